"""The controller dies at each effect, before it and after it; the next one ends where it would have ended."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.builders import LINE, release
from tests.runtime.fleet import Crash, Effects
from tests.runtime.rig import Rig

from leuko.domain.order import OrderKind
from leuko.domain.push import State
from leuko.domain.verdict import Decision
from leuko.store.store import Store

STORIES = {
    "passes": ([], set(), State.LIVE),
    "fails on the canary": ([Decision.CONTINUE, Decision.FAIL], set(), State.ROLLED_BACK),
    "fails on all": ([Decision.PASS, Decision.FAIL], set(), State.ROLLED_BACK),
    "a switch fails": ([], {("www1", OrderKind.SWITCH)}, State.ROLLED_BACK),
}


class CrashingStore:
    """Counts each transaction as an effect; the transaction itself stays whole, as the database promises."""

    def __init__(self, store: Store, effects: Effects) -> None:
        self._write = store.write
        self._effects = effects
        store.write = self.write  # type: ignore[method-assign] # the seam of this test

    def write(self, line):
        from contextlib import asynccontextmanager

        @asynccontextmanager
        async def counted():
            self._effects.before_effect("write")
            async with self._write(line) as tx:
                yield tx
            self._effects.after_effect("write")

        return counted()


async def play(folder: Path, story: str, crash_at: int = -1, *, after: bool = False):
    verdicts, fails, _ = STORIES[story]
    rig = await Rig.make(folder)
    push = await rig.pending(release("n"))
    rig.judge.verdicts = list(verdicts)
    rig.fleet.fails = set(fails)
    pusher = await rig.controller()
    effects = Effects(crash_at, after)
    rig.fleet.effects = effects
    CrashingStore(rig.store, effects)
    try:
        ended = await rig.settle(pusher, push.number)
    except BaseException as error:
        if not isinstance(error, Crash) and not (
            isinstance(error, BaseExceptionGroup) and error.subgroup(Crash) is not None
        ):
            raise
        effects.crash_at = -1
        await pusher.close()
        await rig.store.close()
        rig.store = await Store.open(folder / "leuko.sqlite", rig.clock)
        # what the judge saw stands in the readings: the next controller is told the same
        if verdicts and verdicts[-1] is Decision.FAIL and not rig.judge.verdicts:
            rig.judge.verdicts = [Decision.FAIL]
        ended = await rig.settle(await rig.controller(), push.number)
    result = ended, rig.serving(), await rig.store.locks.recent(LINE)
    operations = await rig.store.operations.recent(LINE)
    await rig.store.close()
    return result, operations, effects


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=[pytest.mark.slow, pytest.mark.timeout(900)])])
@pytest.mark.parametrize("story", STORIES)
async def test_a_crash_at_any_effect_changes_nothing_about_the_end(
    tmp_path: Path, story: str, every: int
) -> None:
    """Every effect in the slow run; in the quick one every fifth, beginning elsewhere in each story."""
    (calm, serving, locks), operations, effects = await play(tmp_path / "calm", story)
    assert calm.state is STORIES[story][2]
    assert set(serving.values()) == {release("n" if calm.state is State.LIVE else "b").name}
    assert len(locks) == (2 if calm.state is State.ROLLED_BACK else 0)
    assert [one.outcome for one in operations] == [operations[0].outcome]
    assert operations[0].finished_at
    print(f"{story}: {effects.count} effects")
    for number in range(1 + len(story) % every, effects.count + 1, every):
        for after in (False, True):
            folder = tmp_path / f"{number}-{after}"
            (ended, now_serving, now_locks), now_operations, _ = await play(
                folder, story, number, after=after
            )
            where = f"crash {'after' if after else 'before'} effect {number}: {effects.log[number - 1]}"
            assert ended.state is calm.state, where
            assert now_serving == serving, where
            assert [(one.kind, one.severity) for one in now_locks] == [
                (one.kind, one.severity) for one in locks
            ], where
            assert len(now_operations) == 1, where
            assert now_operations[0].finished_at, where
