"""The whole life of a release on a host, over every transport."""

from __future__ import annotations

import shutil
import stat

from leuko.domain.order import Result
from leuko.hosts.transport.local import LocalTransport


async def test_a_release_is_staged_switched_and_restored(world):
    base = await world.build({"app.py": "one", "lib/a": "a", "bin/x": "x"})
    target = await world.build({"app.py": "two", "lib/a": "a", "bin/y": "y"})
    await world.ready(base)
    first = await world.give(
        "switch", target=base, hooks={"reload": 'echo "$LEUKO_RELEASE $LEUKO_PREVIOUS" >>"$LEUKO_ROOT/log"'}
    )
    assert first.done, first
    assert world.current == base

    staged = await world.stage(target, base, base=base)
    assert staged.done, staged
    assert staged.facts["copied"] == "delta"
    assert world.tree(target) == {
        "REVISION": f"{2:040x}\n".encode(),
        "app.py": b"two",
        "lib/a": b"a",
        "bin/y": b"y",
    }
    assert world.tree(base)["app.py"] == b"one"
    assert (world.root / "releases" / target / "lib/a").stat().st_ino == (
        world.root / "releases" / base / "lib/a"
    ).stat().st_ino

    hooks = {
        "reload": 'echo "$LEUKO_RELEASE $LEUKO_PREVIOUS $LEUKO_REVISION" >>"$LEUKO_ROOT/log"; echo printed'
    }
    switched = await world.give(
        "switch", target=target, base=base, hooks=hooks, health="cat app.py", running="cat REVISION"
    )
    assert switched.done, switched
    assert world.current == target
    assert 0 < switched.link_seconds < 0.5
    assert switched.output == "printed\ntwo"
    assert switched.facts["runs"] == f"{2:040x}"

    restored = await world.give("restore", target=target, base=base, hooks=hooks)
    assert restored.done, restored
    assert world.current == base
    assert (world.root / "log").read_text().splitlines() == [
        f"{base} ",
        f"{target} {base} {2:040x}",
        f"{base} {target} {1:040x}",
    ]
    assert world.leftovers() == []
    mode = stat.S_IMODE((world.root / "releases" / target / "app.py").stat().st_mode)
    assert mode == 0o444

    facts = await world.probe()
    assert facts.current_kind == "release"
    assert facts.current == base
    assert set(facts.releases) == {base, target}
    assert (facts.epoch, facts.sequence) == (1, world.fence.sequence)
    assert facts.missing == ()
    assert facts.writable


async def test_a_repeated_order_is_answered_from_the_journal(world):
    base = await world.build({"a": "1"})
    await world.ready(base)
    order = world.order("switch", target=base, hooks={"reload": 'echo again >>"$LEUKO_ROOT/log"; echo said'})
    first = await world.perform(order)
    second = await world.perform(order)
    assert (first.result, first.reason, first.output) == (second.result, second.reason, second.output)
    assert second.result is Result.DONE
    assert second.facts["replayed"] == "1"
    assert (world.root / "log").read_text() == "again\n"


async def test_the_program_runs_under_bash_as_well(here):
    """Where /bin/sh is bash (Red Hat and its kin)."""
    shells = here.folder / "shells"
    shells.mkdir()
    bash = shutil.which("bash")
    assert bash is not None
    (shells / "sh").symlink_to(bash)

    class Bash:
        alive = True

        async def start(self, argv):
            path = f"PATH={shells}:/usr/sbin:/usr/bin:/sbin:/bin"
            return await (await LocalTransport().connect(here.address)).start(["env", path, *argv])

    here.connection = Bash()
    options = {"linked_dirs": ("log",)}
    base, target = (
        await here.build({"a": "1", "b": "b"}, **options),
        await here.build({"a": "2", "b": "b"}, **options),
    )
    assert (await here.stage(base, **options)).done
    assert (
        await here.give("switch", target=base, hooks={"reload": "echo hi"}, secrets={"A": "b"})
    ).output == "hi\n"
    staged = await here.stage(target, base, base=base, **options)
    assert staged.facts["copied"] == "delta", staged
    failed = await here.give("switch", target=target, base=base, hooks={"reload": "exit 3"})
    assert failed.reason.startswith("reload failed with exit code 3 after 0.")
    late = await here.give("switch", target=target, base=base, hooks={"reload": "sleep 100"}, deadline=1)
    assert late.result is Result.TIMED_OUT
    assert (await here.give("restore", base=base, health="true", running="cat REVISION")).done
    assert (await here.give("verify", target=target)).done
    assert (await here.give("prune", keep=(base,), base=base)).facts["removed"] == target
    assert (await here.probe()).current == base
    assert here.leftovers() == []
