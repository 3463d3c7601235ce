"""The demo's story on five real servers: a good commit live, a bad one caught and taken back, its fix let through."""

from __future__ import annotations

import asyncio
import re
import subprocess
import time
from pathlib import Path

import pytest
from tests.e2e.playing import Playing, Site, history, playing, ssh_addresses, ssh_section
from tests.sshd import SshFleet

from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.installation import write_installation
from leuko.demo.repository import NOTHING, STORY, ShopRepository
from leuko.demo.traffic import Traffic
from leuko.domain.errors import LeukoError
from leuko.domain.intent import IntentKind
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.push import Cause, Origin, Push, State
from leuko.hosts.journal import normalised
from leuko.runtime.gatehouse import lock_file_of
from leuko.vcs.hook import install

pytestmark = [pytest.mark.needs("sshd"), pytest.mark.timeout(400)]

RATE = 30.0
BAD_AUTHOR = "Priya Nair"


class Town:
    """The shop's hosts, people and customers."""

    def __init__(self, folder: Path, servers: SshFleet) -> None:
        self.folder = folder
        self.repository = ShopRepository(folder)
        self.fleet = EmbeddedFleet(folder / "hosts", hosts=5, first_port=18600)
        self.servers = servers

    def write(self) -> Path:
        """The installation of the demo, with the hosts reached over ssh instead."""
        names = [host.name for host in self.fleet.hosts]
        places = ssh_addresses(self.servers, names)
        entries = [
            {"name": host.name, "root": str(host.root), "vars": host.variables, **places[host.name]}
            for host in self.fleet.hosts
        ]
        fleet = {**ssh_section(self.servers), "roles": {"www": {"hosts": entries}}}
        return write_installation(
            self.folder / "etc", self.fleet, self.repository.origin, watches=(6, 4), more={"fleet": fleet}
        )

    def currents(self) -> set[str]:
        """What the hosts' links say."""
        return {(host.home / "current").readlink().name for host in self.fleet.hosts}

    def requests(self, push: Push, status: str = "") -> dict[str, int]:
        """Host -> how many requests its access log has that this push's release answered, with this status."""
        found = {}
        for host in self.fleet.hosts:
            lines = (host.home / "shared" / "log" / "access.log").read_text().splitlines()
            words = [line.split(" ") for line in lines]
            found[host.name] = sum(
                w[-1] == push.revision and w[3].startswith(status) for w in words if len(w) > 4
            )
        return {name: number for name, number in found.items() if number}

    def failed(self, push: Push) -> dict[str, int]:
        """Host -> requests that this push's release failed."""
        return self.requests(push, "5")


@pytest.fixture
async def town(tmp_path, five_servers):
    town = Town(tmp_path, five_servers)
    await town.repository.create()
    await town.fleet.start()
    traffic = Traffic(town.fleet.addresses(), tmp_path / "traffic")
    traffic.start(rate=RATE)
    town.traffic = traffic
    yield town
    await traffic.stop()
    await town.fleet.stop()


async def test_the_story(town):
    repository = town.repository
    lock_file = lock_file_of(str(repository.origin))
    assert lock_file is not None
    await install(repository.origin, lock_file, "main")
    began = time.monotonic()
    async with playing(town.write(), town.folder / "state", environment="production") as line:
        base = await first_push(line, repository)
        good = await good_commit(line, town)
        bad = await bad_commit(line, town, good)
        lock = await locks_that_explain_themselves(line, bad)
        await ordinary_push_is_refused(repository, lock)
        fixed = await fix(line, town, lock)
        await line.until(lambda: on(town, fixed.release), "all hosts on the fix")
        await the_old_ones_are_still_there(town, base, good, bad)
        assert [host.children() != [] for host in town.servers.hosts] == [True] * 5, "not over ssh"
    print(f"the story took {time.monotonic() - began:.1f} s")


async def on(town: Town, release: str) -> bool:
    return town.currents() == {release}


async def first_push(line: Playing, repository: ShopRepository) -> Push:
    await line.landed(await repository.head(), "green")
    await line.accepted(IntentKind.PUSH, first=True)
    live = await line.push(1, State.LIVE)
    await history(line, live, gauge="requests")
    return live


async def good_commit(line: Playing, town: Town) -> Push:
    """Live with nobody's action."""
    revision = await town.repository.commit(STORY[0])
    push = await line.push(2, State.LIVE)
    assert (push.revision, push.by, push.origin) == (revision, "leuko", Origin.CONTINUOUS)
    assert town.currents() == {push.release}
    assert town.failed(push) == {}
    return push


async def bad_commit(line: Playing, town: Town, good: Push) -> Push:
    """Caught by the errors of the canaries and taken back; nobody else's customers saw it."""
    await town.repository.commit(STORY[1])
    push = await line.push(3, State.ROLLED_BACK)
    assert push.stop is not None
    assert push.stop.cause is Cause.VERDICT
    assert "error" in push.stop.reason
    assert push.phase == 0
    rows = await line.rows(3)
    canaries = {name for name, row in rows.items() if row.phase == 0}
    assert len(canaries) == 2
    assert town.currents() == {good.release}
    failed = town.failed(push)
    assert failed, "nobody noticed anything of the bad release"
    assert set(failed) <= canaries
    assert set(town.requests(push)) <= canaries
    return push


async def locks_that_explain_themselves(line: Playing, bad: Push) -> Lock:
    """Both, with culprit and author; the one that people who commit run into."""
    locks = {lock.kind: lock for lock in await line.locks()}
    assert set(locks) == {LockKind.COMMIT, LockKind.PUSH}
    for lock in locks.values():
        assert lock.severity is Severity.HARD
        assert bad.revision[:8] in lock.reason
        assert BAD_AUTHOR in lock.reason
        assert "error" in lock.reason
    return locks[LockKind.COMMIT]


async def ordinary_push_is_refused(repository: ShopRepository, lock: Lock) -> None:
    """With who, why, since when, and how to get a fix through."""
    before = await repository.head()
    with pytest.raises(LeukoError) as refused:
        await repository.commit(NOTHING)
    said = " ".join(str(refused.value).split())
    for word in (lock.owner, BAD_AUTHOR, f"Leuko-Fix: {lock.id}", f"{lock.since:%Y-%m-%d %H:%M}"):
        assert word in said, said
    await asyncio.to_thread(take_back, repository, before)


def take_back(repository: ShopRepository, revision: str) -> None:
    """The author does something else first."""
    subprocess.run(["git", "-C", str(repository.clone), "reset", "-q", "--hard", revision], check=True)


async def fix(line: Playing, town: Town, lock: Lock) -> Push:
    """Let through because it says what it fixes; the locks end with it."""
    revision = await town.repository.commit(STORY[2], fixes=lock.id)
    push = await line.push(4, State.LIVE)
    assert push.revision == revision
    assert await line.locks() == []
    assert town.failed(push) == {}
    return push


async def the_old_ones_are_still_there(town: Town, *pushes: Push) -> None:
    """To go back to without a copy: what was live is kept on every host."""
    for host in town.fleet.hosts:
        kept = {path.name for path in (host.home / "releases").iterdir()}
        assert {push.release for push in pushes} <= kept


async def test_journals_are_the_same_on_ssh_and_on_folders(tmp_path, five_servers):
    journals = {}
    for name, servers in (("local", None), ("ssh", five_servers)):
        (tmp_path / name).mkdir()
        site = Site(tmp_path / name, servers=servers, dated="2026-11-23T12:00:00+00:00")
        async with site.play() as line:
            site.commit("two")
            await line.live(2)
        journals[name] = {host: read_journal(site, host) for host in site.names}
    assert journals["ssh"] == journals["local"]
    kinds = [line.split()[1].split("-")[1] for line in journals["ssh"]["web1"] if line.startswith("begin")]
    assert kinds == ["stage", "switch", "stage", "switch"]


def read_journal(site: Site, host: str) -> list[str]:
    """Of a host, without times, and without what numbers the orders of all hosts.

    Pruning is left out: it comes when the fleet is next looked after, which may be after the test's end.
    """
    lines = normalised((site.home(host) / ".leuko" / "journal").read_text())
    return [re.sub(r"(installation|sequence)=\S+", r"\1", line) for line in lines if "-prune-" not in line]
