"""Hosts on their bad days: each is told apart, named, and put right when it is back."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.playing import Playing, Site, blocked_by
from tests.sshd import SshFleet, SshHost, sshd_fleet

from leuko.domain.intent import IntentKind
from leuko.domain.push import Cause, State
from leuko.domain.rollout import HostState

pytestmark = pytest.mark.timeout(420)

ONE_MAY_BE_AWAY = {"budget": {"unreachable": 1}}
LAST = "web3"


@pytest.fixture
def remote(tmp_path: Path, servers: SshFleet) -> Site:
    return Site(tmp_path, servers=servers)


def away(server: SshHost, how: str) -> None:
    server.stop() if how == "refuses" else server.freeze()


def back(server: SshHost, how: str) -> None:
    server.start() if how == "refuses" else server.thaw()


@pytest.mark.needs("sshd")
@pytest.mark.parametrize("how", ["refuses", pytest.param("hangs", marks=pytest.mark.slow)])
async def test_a_host_that_is_away_is_left_out_and_converges(remote, servers, how):
    async with remote.play(push=ONE_MAY_BE_AWAY) as line:
        before = remote.current(LAST)
        away(servers.hosts[2], how)
        remote.commit("two")
        live = await line.live(2)
        row = (await line.rows(2))[LAST]
        assert row.state is HostState.LEFT_OUT
        assert servers.hosts[2].address.host in row.detail
        assert remote.current(LAST) == before
        assert remote.current("web1") == remote.current("web2") == live.release
        back(servers.hosts[2], how)
        await line.until(lambda: brought(remote, live.release), "the host is brought along")


async def brought(site: Site, release: str) -> bool:
    """By link, and by its hook: it runs what the others run."""
    return site.currents() == {release} and site.reloads(LAST) == ["one", "two"]


@pytest.mark.needs("sshd")
async def test_more_hosts_away_than_allowed_cancel_the_push(remote, servers):
    async with remote.play(push=ONE_MAY_BE_AWAY) as line:
        before = remote.currents()
        for server in servers.hosts[1:]:
            server.stop()
        remote.commit("two")
        push = await line.push(2, State.CANCELLED)
        assert push.stop is not None
        assert push.stop.cause is Cause.STAGING_FAILED
        assert push.stop.reason.startswith("2 hosts could not be prepared, 1 allowed: ")
        assert "web2: " in push.stop.reason
        assert "web3: " in push.stop.reason
        assert "\n" not in push.stop.reason, "locks, logs and messages carry it in one line"
        assert remote.currents() == before
        assert await line.locks() == []


@pytest.mark.needs("sshd")
async def test_a_host_that_reboots_in_the_middle_of_its_switch(remote, servers, tmp_path):
    """Whether it was switched is asked again when it is back; its hook runs once more."""
    gate = tmp_path / "gate"
    slow = {"hooks": {"reload": f"{blocked_by(gate)}; cat version >>$LEUKO_ROOT/log/reloads"}}
    async with remote.play() as line:
        gate.touch()
        remote.commit("two", fleet=slow)
        await line.until(lambda: exists(gate.with_name("gate.began")), "the hook")
        servers.hosts[0].stop()
        power_off(remote, "web1")
        gate.unlink()
        row = (await line.rows(2))["web1"]
        assert row.state is HostState.SWITCHING
        servers.hosts[0].start()
        live = await line.live(2)
        assert remote.currents() == {live.release}
        assert remote.reloads("web1")[-1] == "two"


async def exists(path: Path) -> bool:
    return path.exists()


def power_off(site: Site, name: str) -> None:
    """What ran for orders on the host is gone, by the process groups that its folder names: orders first."""
    folder = site.home(name) / ".leuko" / "run"
    for file in [*folder.glob("*@group"), *folder.glob("*@hook")]:
        os.killpg(int(file.read_text().split()[0]), signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Where the last host's files are: 3 MB."""
    folder = tmp_path / "hosts" / LAST
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(f"cannot mount: {done.stderr.decode()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.needs("root")
async def test_a_disk_that_fills_during_the_copy(site, small_disk):
    """The host keeps what it had and nothing of the rest; with room it gets the next one."""
    async with site.play(push=ONE_MAY_BE_AWAY) as line:
        before = site.current(LAST)
        (site.clone / "big").write_bytes(b"".join(number.to_bytes(8, "big") for number in range(500_000)))
        site.commit("two")
        push = await line.switched(2)
        row = (await line.rows(2))[LAST]
        assert row.state is HostState.LEFT_OUT
        assert "no space left on web3" in row.detail
        assert site.current(LAST) == before
        assert {path.name for path in (site.home(LAST) / "releases").iterdir()} == {before}
        await line.ask(IntentKind.ABORT, push=push)
        await line.push(2, State.ROLLED_BACK)
        (site.clone / "big").unlink()
        site.commit("three")
        after = await line.switched(3)
        assert (await line.rows(3))[LAST].state is HostState.STAGED
        assert site.current("web1") == after.release


WRONG_DATE = """#!/bin/sh
# an hour ahead on the third server
case $SSH_CONNECTION in
*" 127.19.2.3 "*) exec /bin/date -d '+1 hour' "$@" ;;
esac
exec /bin/date "$@"
"""


@pytest.mark.needs("sshd")
async def test_a_wrong_clock_is_seen_and_changes_nothing(tmp_path):
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "date").write_text(WRONG_DATE)
    (programs / "date").chmod(0o755)
    environment = f"SetEnv SHLVL=1 HOME={tmp_path} PATH={programs}:/usr/local/bin:/usr/bin:/bin"
    with sshd_fleet(3, network="127.19.2", settings=[environment]) as servers:
        site = Site(tmp_path / "site", servers=servers)
        site.folder.mkdir()
        async with site.play() as line:
            site.commit("two")
            live = await line.live(2)
            assert site.currents() == {live.release}
            await line.until(lambda: skewed(line), "the skew of the last host")


async def skewed(line: Playing) -> bool:
    hosts = {host.name: host.clock_skew for host in await line.store.hosts.all(line.line)}
    if None in hosts.values():
        return False
    assert abs(hosts["web1"]) < 30
    return 3500 < hosts[LAST] < 3700


@pytest.mark.parametrize("what", ["a folder", "a link"])
async def test_a_current_that_is_not_ours_is_adopted_never_overwritten(site, what):
    """As another tool left it: a real folder, or a link to a release of its own."""
    site.create()
    for name in site.names:
        home = site.home(name)
        old = home / ("current" if what == "a folder" else "releases/20260101120000")
        old.mkdir(parents=True)
        (old / "version").write_text("before Leuko\n")
        if what == "a link":
            (home / "current").symlink_to("releases/20260101120000")
    async with site.play(live=False) as line:
        await line.landed(site.git("rev-parse", "HEAD"), "green")
        await line.accepted(IntentKind.PUSH, first=True)
        push = await line.push(1)
        assert push.state is State.CANCELLED
        assert push.stop is not None
        assert "leuko adopt" in push.stop.reason
        for name in site.names:
            assert (site.home(name) / "current" / "version").read_text() == "before Leuko\n"
        answer = await line.accepted(IntentKind.ADOPT)
        base = answer["release"]
        assert base
        assert (await line.store.pushes.live(line.line)).release == base
        for name in site.names:
            assert (site.home(name) / "current" / "version").read_text() == "before Leuko\n"
            assert site.current(name) == base
        assert await base_of_the_next(line, site) == base


async def base_of_the_next(line: Playing, site: Site) -> str | None:
    site.commit("two")
    live = await line.store.pushes.live(line.line)

    async def begun():
        push = await line.store.pushes.latest(line.line)
        return push if push.number > live.number and push.state is not State.PENDING else None

    return (await line.until(begun, "the next push")).base


async def test_the_first_push_of_all_fails(site):
    """The stop hook runs and the link goes: there is nothing to go back to."""
    site.own = {"fleet": {"hooks": {"stop": 'echo "$LEUKO_HOST" >>"$LEUKO_ROOT/stopped"'}}}
    site.create()
    site.commit("broken", fleet={"hooks": {"reload": "echo no such library >&2; exit 3"}})
    async with site.play(live=False) as line:
        await line.landed(site.git("rev-parse", "HEAD"), "green")
        assert "first" in await line.refused(IntentKind.PUSH)
        await line.accepted(IntentKind.PUSH, first=True)
        push = await line.push(1, State.ROLLED_BACK)
        assert push.stop is not None
        assert push.stop.cause is Cause.SWITCH_FAILED
        assert "reload failed with exit code 3" in push.stop.reason
        assert "web1" in push.stop.reason
        assert not (site.home("web1") / "current").is_symlink()
        assert (site.home("web1") / "stopped").read_text() == "web1\n"
        for name in ("web2", "web3"):
            assert not (site.home(name) / "current").is_symlink()
            assert not (site.home(name) / "stopped").exists()
        site.commit("two")
        await line.landed(site.git("rev-parse", "HEAD"), "green")
        await line.accepted(IntentKind.PUSH, first=True, override_blocks="mended")
        live = await line.live(2)
        assert site.currents() == {live.release}
