"""Probing, adopting, pruning, stopping, verifying; and going back without a controller."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from tests.hosts.conftest import make_world, until

from leuko.clock import SystemClock
from leuko.domain.order import Outcome, Result
from leuko.hosts import journal
from leuko.hosts.facts import Facts
from leuko.hosts.port import Unreachable
from leuko.hosts.transport.local import LocalTransport


async def test_a_probe_of_a_host_that_was_never_set_up_changes_nothing(world):
    facts = await world.probe()
    assert facts.reachable
    assert not facts.set_up
    assert facts.current_kind == "none"
    assert facts.releases == ()
    assert facts.user == "root" or facts.user
    assert abs(facts.clock - SystemClock().now().timestamp()) < 5
    assert facts.free_bytes > 1_000_000
    assert facts.writable
    assert facts.missing == ()
    assert not (world.folder / "srv").exists()


async def test_a_probe_names_missing_tools(here):
    bare = here.folder / "bin"
    bare.mkdir()
    for tool in ("sh", "head", "gzip", "date", "id", "df", "tail", "dirname"):
        (bare / tool).symlink_to(
            subprocess.run(
                ["sh", "-c", f"command -v {tool}"], capture_output=True, check=False, text=True
            ).stdout.strip()
        )

    class Bare:
        alive = True

        async def start(self, argv):
            # only this PATH: the program adds the usual folders behind it, so they are taken out of its text
            connection = await LocalTransport().connect(here.address)
            return await connection.start(["env", f"PATH={bare}", *argv])

    from leuko.hosts.orders import Program, program_text
    from leuko.hosts.perform import Orders

    text = program_text().replace("PATH=$PATH:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "")

    async def source():
        return Bare()

    performer = Orders(program=Program.of(text), asks=0)
    facts = Facts.of(await performer.probe(source, here.reach, "app"))
    assert facts.reachable, facts.reason
    assert {"flock", "setsid", "timeout", "tar", "sha256sum"} <= set(facts.missing)
    outcome = await performer.perform(source, here.reach, here.order("switch", target="x"))
    assert outcome.result is Result.FAILED
    assert "a program that Leuko needs on the host is missing" in outcome.reason


async def test_an_unreachable_host(here):
    async def source():
        raise Unreachable("nobody there", where="web1")

    outcome = await here.performer.perform(source, here.reach, here.order("switch", target="x"))
    assert outcome == Outcome(Result.UNREACHABLE, "web1: nobody there")
    assert not Facts.of(await here.performer.probe(source, here.reach, "app")).reachable


async def test_a_root_that_cannot_be_made(here):
    (here.folder / "srv").write_text("a file")
    outcome = await here.give("switch", target="x")
    assert outcome.result is Result.REFUSED
    assert "cannot be made or entered" in outcome.reason


FOREIGN = {
    "folder": "mkdir current; echo old >current/app; mkdir current/log",
    "link": "mkdir -p elsewhere/app; echo old >elsewhere/app/app; ln -s elsewhere/app current",
    "capistrano": "mkdir -p releases/20240101000000; echo old >releases/20240101000000/app; echo 0123456789abcdef0123456789abcdef01234567 >releases/20240101000000/REVISION; mkdir -p shared/log; ln -s ../../shared/log releases/20240101000000/log; ln -s $PWD/releases/20240101000000 current",
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_what_is_not_leukos_is_never_overwritten_and_can_be_adopted(world, kind):
    release = await world.build({"app": "new"})
    await world.ready(release)
    subprocess.run(["sh", "-c", FOREIGN[kind]], cwd=world.root, check=True)
    for order in ("switch", "restore", "stop"):
        refused = await world.give(order, target=release, base=release)
        assert refused.result is Result.REFUSED, refused
        assert "`leuko adopt web1` makes it the first base" in refused.reason
    assert (world.root / "current/app").read_text() == "old\n"
    assert (await world.probe()).current_kind == ("folder" if kind == "folder" else "link")

    adopted = await world.give("adopt")
    assert adopted.done, adopted
    base = adopted.facts["release"]
    assert base.startswith("0123456789ab-" if kind == "capistrano" else "adopted-")
    assert base.endswith(adopted.facts["digest"][:8])
    assert world.current == base
    assert (world.root / "current/app").read_text() == "old\n"
    assert (world.root / "current.before-leuko").exists() == (kind == "folder")
    assert (await world.probe()).current_kind == "release"
    verified = await world.give("verify")
    assert verified.done, verified
    assert (await world.give("switch", target=release, base=base)).done
    assert (await world.give("restore", base=base)).done
    assert (world.root / "current/app").read_text() == "old\n"
    assert world.leftovers() == []
    again = await world.give("adopt")
    assert again.done
    assert again.facts["release"] == base


async def test_adopting_a_file_or_a_broken_link_is_refused(here):
    here.root.mkdir(parents=True)
    (here.root / "current").write_text("x")
    assert "current is a file" in (await here.give("adopt")).reason
    (here.root / "current").unlink()
    (here.root / "current").symlink_to("nowhere")
    assert "current leads nowhere: nowhere" in (await here.give("adopt")).reason


async def test_prune_keeps_what_is_named_current_base_or_used(here):
    releases = [await here.build({"app": str(number)}) for number in range(6)]
    await here.ready(*releases)
    named, current, base, used, *rest = releases
    assert (await here.give("switch", target=current, base=base)).done
    foreign = here.root / "releases/20240101000000"
    foreign.mkdir()
    process = subprocess.Popen(["sleep", "1000"], cwd=here.root / "releases" / used)
    try:
        outcome = await here.give("prune", keep=(named,), base=base)
    finally:
        process.kill()
        process.wait()
    assert outcome.done, outcome
    assert set(outcome.facts["removed"].split(",")) == set(rest)
    assert outcome.facts["in_use"] == used
    left = {path.name for path in (here.root / "releases").iterdir()}
    assert left == {named, current, base, used, foreign.name}
    assert here.leftovers() == []
    assert set((await here.probe()).releases) == {named, current, base, used}


async def test_stop_runs_its_hook_and_takes_the_link_away(here):
    release = await here.build({"app": "1"})
    await here.ready(release)
    assert (await here.give("switch", target=release)).done
    failed = await here.give("stop", hooks={"stop": "exit 9"})
    assert failed.reason.startswith("stop failed with exit code 9")
    assert here.current == release
    outcome = await here.give("stop", hooks={"stop": 'echo "stopping $LEUKO_RELEASE in $PWD"'})
    assert outcome.done
    assert outcome.output == f"stopping {release} in {here.root}/releases/{release}\n"
    assert not (here.root / "current").is_symlink()
    assert (await here.give("stop")).done


async def test_a_target_that_is_not_there(here):
    outcome = await here.give("switch", target="abc-def")
    assert outcome.result is Result.FAILED
    assert outcome.reason == "release abc-def is not on this host, or was not staged to its end"


async def test_going_back_without_a_controller(here):
    base, target = await here.build({"app": "old"}), await here.build({"app": "new"})
    await here.ready(base)
    assert (await here.give("switch", target=base)).done
    hooks = {"reload": 'echo "$LEUKO_RELEASE $LEUKO_PREVIOUS $LEUKO_HOST $PORT $PWD" >"$LEUKO_ROOT/log"'}
    assert (await here.stage(target, base, base=base, hooks=hooks, variables={"PORT": "1 2'3"})).done
    assert (await here.give("switch", target=target)).done
    done = subprocess.run(
        [here.root / ".leuko/rollback"], capture_output=True, check=False, text=True, cwd="/"
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"current is {base}\n", "")
    assert here.current == base
    assert (here.root / "log").read_text() == f"{base} {target} web1 1 2'3 {here.root}/releases/{base}\n"
    assert f" link by-hand from={target} to={base}" in here.journal
    assert (await here.probe()).current == base


async def test_a_host_left_alone_has_journals_alike_over_every_transport(world, tmp_path):
    """The same orders, over this transport and over the local one: the same journal."""
    other = make_world(tmp_path / "other")
    for each in (world, other):
        base, target = await each.build({"app": "old", "b": "b"}), await each.build({"app": "new", "b": "b"})
        await each.ready(base)
        await each.give("switch", target=base, hooks={"reload": "true"})
        await each.stage(target, base, base=base)
        await each.give("switch", target=target, base=base, hooks={"reload": "exit 3"})
        await each.give("restore", target=target, base=base, hooks={"reload": "true"})
        await each.give("prune", keep=(base,))
    mine, its = (journal.normalised(each.journal) for each in (world, other))
    assert mine == its
    assert len(mine) == 15
    entries = journal.parse(world.journal)
    assert len(entries) == len(world.journal.splitlines())
    failed = next(entry for entry in entries if entry.facts.get("result") == "failed")
    assert failed.reason.startswith("reload failed with exit code 3 after 0.")


async def test_a_torn_journal_line_is_left_out(here):
    release = await here.build({"app": "1"})
    await here.ready(release)
    whole = journal.parse(here.journal)
    with (here.root / ".leuko/journal").open("a") as file:
        file.write("2026-01-01T00:0")
    assert journal.parse(here.journal) == whole
    assert (await here.give("switch", target=release)).done


def test_the_program_is_plain_sh(tmp_path):
    from leuko.hosts.orders import program_text

    path = tmp_path / "program.sh"
    path.write_text(program_text())
    for shell in ("dash", "bash"):
        assert subprocess.run([shell, "-n", path], capture_output=True, check=False).stderr == b"", shell
    for word in ("[[", "function ", "local ", "pipefail", "<<<", "&>", "$'"):
        lines = [
            line for line in program_text().splitlines() if word in line and not line.lstrip().startswith("#")
        ]
        assert lines == [], word
    assert os.access("/bin/sh", os.X_OK)


@pytest.mark.needs("root")
async def test_the_whole_life_as_a_user_without_rights(here):
    """As most people deploy: a user of its own, which owns the application's folder and nothing else."""
    ordinary = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "env", "HOME=/"]

    class Ordinary:
        alive = True

        async def start(self, argv):
            return await (await LocalTransport().connect(here.address)).start([*ordinary, *argv])

    here.connection = Ordinary()
    here.root.mkdir(parents=True)
    for path in (here.root, *here.root.parents):
        if path.is_relative_to(tempfile.gettempdir()) and path != Path(tempfile.gettempdir()):
            path.chmod(0o755)
    os.chown(here.root, 65534, 65534)
    base, target = await here.build({"app": "1", "b": "b"}), await here.build({"app": "2", "b": "b"})
    await here.ready(base)
    assert (await here.give("switch", target=base, hooks={"reload": "id -u"})).output == "65534\n"
    staged = await here.stage(target, base, base=base)
    assert staged.facts["copied"] == "delta", staged
    assert (await here.give("switch", target=target, base=base)).done
    assert (await here.give("restore", base=base)).done
    assert (await here.give("prune", keep=(base,))).facts["removed"] == target
    assert (await here.give("verify", target=base)).done
    facts = await here.probe()
    assert (facts.user, facts.writable) == ("nobody", True)
    here.root.parent.chmod(0o755)
    os.chown(here.root / ".leuko", 0, 0)
    refused = await here.give("switch", target=base)
    assert refused.result is Result.REFUSED
    assert refused.reason == f"nobody may not write in {here.root}/.leuko"
    assert not (await here.probe()).writable


async def test_a_journal_that_has_grown_is_put_aside_and_still_read(here):
    release = await here.build({"app": "1"})
    await here.ready(release)
    order = here.order("switch", target=release, hooks={"reload": 'echo run >>"$LEUKO_ROOT/log"'})
    assert (await here.perform(order)).done
    with (here.root / ".leuko/journal").open("a") as file:
        file.write(("2020-01-01T00:00:00Z begin x kind=probe\n") * 220_000)
    assert (await here.give("prune", keep=(release,))).done
    assert len(here.journal) < 1000
    again = await here.perform(order)
    assert again.done
    assert (here.root / "log").read_text() == "run\n"
    assert (await here.give("switch", target=release)).done


async def test_staging_and_switching_do_not_wait_for_each_other(here):
    first, second = await here.build({"app": "1"}), await here.build({"app": "2"})
    await here.ready(first)
    hook = 'touch "$LEUKO_ROOT/began"; while [ ! -e "$LEUKO_ROOT/go" ]; do sleep 0.01; done'
    switching = asyncio.create_task(here.give("switch", target=first, hooks={"reload": hook}))
    await until((here.root / "began").exists)
    staged = await here.stage(second, first)
    assert staged.done, staged
    assert not switching.done()
    (here.root / "go").touch()
    assert (await switching).done
    assert here.leftovers() == []
