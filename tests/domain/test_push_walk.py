"""Walks every push that can be reached: 2 roles, 3 phases or a hold-back, and every event.

Three hosts in every run; four, with three phases and a hold-back, in the slow one.

The walk knows what is really on each host, also where the controller does not: an order whose outcome is
unknown may or may not have been carried out. At every stop the invariants of the design are checked.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pytest

from leuko.domain.errors import Refused
from leuko.domain.fleet import HOLD_BACK
from leuko.domain.line import Line
from leuko.domain.order import OrderKind, Outcome, Result
from leuko.domain.push import (
    TABLE,
    Abort,
    Admitted,
    Cause,
    Drifted,
    Entered,
    Event,
    Expired,
    Hold,
    Judged,
    NotAdmitted,
    Progressed,
    Promote,
    Push,
    Resume,
    RollBack,
    Rules,
    State,
    Step,
    Superseded,
    advance,
    todo,
)
from leuko.domain.rollout import HostProgress, HostState, Tally, answered, belongs, ordered
from leuko.domain.timeline import Judging, judging
from leuko.domain.verdict import Decision

AT = datetime(2026, 1, 1, tzinfo=UTC)
LATE = AT + timedelta(days=1)
Fleet = tuple[tuple[str, str, int], ...]
THREE_PHASES: Fleet = (("www1", "www", 0), ("chat1", "chat", 1), ("www2", "www", 2))
HELD_BACK: Fleet = (("www1", "www", 0), ("chat1", "chat", 1), ("www2", "www", HOLD_BACK))
OBSERVING: Fleet = (*HELD_BACK,)
BOTH: Fleet = (*THREE_PHASES, ("www3", "www", HOLD_BACK))


class Same:
    """One object for all that are equal, so that a million worlds are compared by identity."""

    def __init__(self) -> None:
        self.known: dict[object, object] = {}

    def __call__(self, value: Any) -> Any:
        return self.known.setdefault(value, value)


same = Same()


@dataclass(frozen=True)
class World:
    """A push, its rows, and what is really on the hosts. Push and rows are the `same` for equal ones."""

    push: Push
    rows: tuple[HostProgress, ...]
    really: tuple[bool, ...]  # True: the target is switched on there
    trusted: frozenset[int] = frozenset()  # phases that a pass verdict or a person let through

    @cached_property
    def key(self) -> tuple[object, ...]:
        push = self.push
        return (
            push.state,
            push.phase,
            push.held_from,
            push.stop.cause if push.stop else None,
            push.pardoned,
            tuple((row.state, row.perhaps) for row in self.rows),
            self.really,
            self.trusted,
        )


def start(fleet: Fleet = BOTH, *, observe: bool = False, drill: bool = False) -> World:
    phases = {phase for _, _, phase in fleet}
    push = Push(
        number=1,
        line=Line("shop", "production"),
        release="new",
        revision="n" * 40,
        base="old",
        rules=Rules(
            phases=len(phases - {HOLD_BACK}),
            hold_back=HOLD_BACK in phases,
            unreachable_allowed=1,
            failed_allowed=1,
            observe=observe,
            drill=drill,
        ),
        state=State.PENDING,
        since=AT,
        created_at=AT,
    )
    rows = tuple(same(HostProgress(name, role, phase)) for name, role, phase in fleet)
    return World(same(push), rows, (False,) * len(rows))


class Once:
    """Asks a pure function once for each question. What is the `same` is told by identity: no hashing."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.answers: dict[tuple[int, ...], Any] = {}

    def __call__(self, *question: Any) -> Any:
        key = tuple(map(id, question))
        if key not in self.answers:
            self.answers[key] = self.function(*question)
        return self.answers[key]


def _following(push: Push, event: Event, at: datetime) -> Push | None:
    try:
        after = advance(push, event, at)
    except Refused:
        return None
    # the times do not matter to the walk, except that a deadline exists
    return same(replace(after, watch=min(after.watch, 1)))


BECAUSE = {result: Outcome(result, "because") for result in Result}
following = Once(_following)
told = Once(lambda row, kind, result: same(answered(row, kind, BECAUSE[result], AT)))
tried_again = Once(
    lambda row, kind, state: same(ordered(replace(row, order=kind, attempts=2), state, kind, AT))
)
tried = Once(lambda row, kind, state: same(ordered(replace(row, order=kind, attempts=0), state, kind, AT)))
sent = Once(lambda row: same(ordered(row, HostState.SWITCHING, "switch", AT)))
counted = Once(lambda *rows: Progressed(Tally.of(rows), "because"))


def on(world: World, event: Event, at: datetime = AT) -> World | None:
    after = following(world.push, event, at)
    if after is None:
        return None
    trusted = world.trusted
    passed = isinstance(event, Promote) or (isinstance(event, Judged) and event.decision is Decision.PASS)
    if world.push.rules.observe:  # nobody acts on what is seen: the end of the watch lets it through
        passed = passed or isinstance(event, Expired) or (isinstance(event, Judged) and event.full)
    if passed and after.state in (State.SWITCHING, State.COMPLETING, State.LIVE):
        trusted |= {world.push.phase}
    return World(after, world.rows, world.really, trusted)


def answers(world: World, index: int, kind: OrderKind, state: HostState) -> Iterator[World]:
    """Every answer of one host to one order, and what it does there; then the controller counts."""
    for order in (tried, tried_again):  # any try, and the last one: the count itself is left out of the walk
        yield from outcomes(world, index, kind, order(world.rows[index], kind, state))


def outcomes(world: World, index: int, kind: OrderKind, row: HostProgress) -> Iterator[World]:
    switched = kind is OrderKind.SWITCH
    # a refused or timed out order is treated like a failed one: test_rollout says so
    for result in (Result.DONE, Result.FAILED, Result.UNREACHABLE, Result.UNKNOWN):
        effects = {Result.DONE: (True,), Result.UNREACHABLE: (False,)}.get(result, (True, False))
        for effect in effects:
            really = list(world.really)
            if effect and kind is not OrderKind.STAGE:
                really[index] = switched
            rows = _with(world.rows, index, told(row, kind, result))
            after = World(world.push, rows, tuple(really), world.trusted)
            known = on(after, counted(*rows))
            assert known is not None
            yield known
            yield after  # the controller died before it counted


def steps(world: World) -> Iterator[World]:
    do = todo(world.push)
    for index, row in enumerate(world.rows):
        if do.step is Step.STAGE and row.state is HostState.WAITING:
            yield from answers(world, index, OrderKind.STAGE, HostState.WAITING)
        if do.step in (Step.SWITCH, Step.COMPLETE) and belongs(row.phase, do.phase):
            if row.state in (HostState.STAGED, HostState.SWITCHING):
                # written before the order is sent: the controller may die here
                yield replace(world, rows=_with(world.rows, index, sent(row)))
                yield from answers(world, index, OrderKind.SWITCH, HostState.SWITCHING)
            if row.state in (HostState.FAILED, HostState.RESTORING):
                yield from answers(world, index, OrderKind.RESTORE, HostState.RESTORING)
        if do.step is Step.RESTORE and row.state in (
            HostState.SWITCHING,
            HostState.SWITCHED,
            HostState.FAILED,
            HostState.RESTORING,
        ):
            yield from answers(world, index, OrderKind.RESTORE, HostState.RESTORING)
    known = on(world, counted(*world.rows))
    assert known is not None
    yield known


def _with(rows: tuple[HostProgress, ...], index: int, row: HostProgress) -> tuple[HostProgress, ...]:
    return (*rows[:index], row, *rows[index + 1 :])


def events(world: World) -> Iterator[World]:
    for event in _events(world.push):
        after = on(world, event)
        if after is not None:
            yield after
    after = on(world, EXPIRED, LATE)
    assert after is not None
    yield after


EXPIRED = Expired()
ALWAYS: tuple[Event, ...] = (
    Admitted(),
    NotAdmitted("locked"),
    Superseded(2),
    Drifted("somebody was here"),
    Abort("ann"),
    Hold("ann"),
    Resume("ann"),
    Promote("ann"),
    RollBack("ann"),
    RollBack("ann", at_once=True),
)


def _events_of(push: Push) -> tuple[Event, ...]:
    verdicts = [
        Judged(push.phase, push.watch, decision, "so", full)
        for decision in Decision
        for full in (False, True)
    ]
    late = [Judged(push.phase - 1, push.watch, decision, "late") for decision in Decision]
    return (*verdicts, *late, *ALWAYS)


_events = Once(_events_of)


def check(world: World) -> None:
    push, rows, really = world.push, world.rows, world.really
    state = push.state
    assert state.ended or state is State.PENDING or push.deadline is not None, "a state without a way out"
    assert (push.ended_at is not None) == state.ended
    if state in (State.PENDING, State.STAGING, State.CANCELLED):
        assert not any(really), "nothing may be switched before the first phase or in a cancelled push"
    if state is State.ROLLED_BACK:
        assert not any(really), "a host still serves what was rolled back"
    if state is State.LIVE:
        assert world.trusted == set(range(push.rules.phases)), "live without every phase being passed"
        for row, is_on in zip(rows, really, strict=True):
            assert is_on == (row.state is HostState.SWITCHED), row
    for row, is_on in zip(rows, really, strict=True):
        later = push.rules.phases if row.phase == HOLD_BACK else row.phase
        if is_on:
            assert set(range(later)) <= world.trusted, f"{row.host} switched before phase {later} was passed"
            assert row.state not in (HostState.WAITING, HostState.STAGED, HostState.RESTORED), row
    if state is State.ROLLING_BACK:
        assert push.stop is not None
    if push.stop is not None and push.stop.cause.convicts:
        assert push.stop.reason


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(THREE_PHASES, id="three phases"),
        pytest.param(HELD_BACK, id="hold-back"),
        pytest.param(OBSERVING, id="observing"),
        pytest.param(BOTH, id="both", marks=[pytest.mark.slow, pytest.mark.timeout(1800)]),
    ],
)
def reachable(request) -> dict[tuple[object, ...], tuple[World, set[tuple[object, ...]]]]:
    return walk(start(request.param, observe=request.param is OBSERVING))


def walk(first: World) -> dict[tuple[object, ...], tuple[World, set[tuple[object, ...]]]]:
    seen: dict[tuple[object, ...], tuple[World, set[tuple[object, ...]]]] = {}
    queue = deque([first])
    known = {first.key}
    while queue:
        world = queue.popleft()
        check(world)
        following = set()
        for after in (*steps(world), *events(world)):
            following.add(after.key)
            if after.key not in known:
                known.add(after.key)
                queue.append(after)
        seen[world.key] = (world, following)
    return seen


@pytest.mark.timeout(300)
def test_every_reachable_push_keeps_the_invariants(reachable) -> None:
    states = {world.push.state for world, _ in reachable.values()}
    print(f"{len(reachable)} reachable pushes")
    assert set(State) - {State.COMPLETING} <= states


def test_every_line_of_the_table_is_walked_and_no_other(reachable) -> None:
    walked = {
        (world.push.state, reachable[key][0].push.state)
        for world, following in reachable.values()
        for key in following
        if reachable[key][0].push.state is not world.push.state
    }
    table = {(state, after) for state, row in TABLE.items() for afters in row.values() for after in afters}
    unseen = table - walked - {(State.ROLLING_BACK, State.ROLLING_BACK)}
    assert walked <= table
    with_or_without_hold_back = {State.COMPLETING, State.LIVE}
    assert all(with_or_without_hold_back & set(pair) for pair in unseen), unseen


def test_from_everywhere_an_end_can_be_reached(reachable) -> None:
    backwards: dict[tuple[object, ...], set[tuple[object, ...]]] = {}
    for key, (_, following) in reachable.items():
        for after in following:
            backwards.setdefault(after, set()).add(key)
    ends = [key for key, (world, _) in reachable.items() if world.push.state.ended]
    queue, good = deque(ends), set(ends)
    while queue:
        for before in backwards.get(queue.popleft(), ()):
            if before not in good:
                good.add(before)
                queue.append(before)
    assert good == set(reachable)


def test_no_state_outlives_its_deadline(reachable) -> None:
    """Left alone, with a clock that goes on, every push that began ends within four deadlines."""
    for world, _ in reachable.values():
        push = world.push
        if push.state is State.PENDING:
            continue
        at = AT
        for _ in range(4):
            if push.state.ended:
                break
            at += timedelta(days=1)
            push = advance(push, Expired(), at)
        assert push.state.ended, world.push.state


def test_inconclusive_never_goes_further() -> None:
    push = replace(start().push, state=State.WATCHING, watch=1, deadline=LATE)
    for decision in (Decision.CONTINUE, Decision.HOLD):
        after = advance(push, Judged(0, 1, decision, "no data"), AT)
        assert after.phase == 0
        assert after.state in (State.WATCHING, State.HELD)


@pytest.mark.timeout(120)
def test_a_drill_always_goes_back_and_never_becomes_live() -> None:
    found = walk(start((("www1", "www", 0), ("chat1", "chat", 0)), drill=True))
    states = {world.push.state for world, _ in found.values()}
    assert State.LIVE not in states
    assert {State.ROLLED_BACK, State.WATCHING, State.HELD} <= states
    causes = {world.push.stop.cause for world, _ in found.values() if world.push.stop is not None}
    assert Cause.DRILL in causes
    assert Cause.VERDICT not in causes, "a drill convicts nothing"


@pytest.mark.parametrize("decision", [Decision.FAIL, Decision.HOLD])
def test_an_observing_push_tells_and_goes_on(decision: Decision) -> None:
    push = replace(start(observe=True).push, state=State.WATCHING, watch=1, deadline=LATE)
    early = advance(push, Judged(0, 1, decision, "errors tripled"), AT)
    assert early.state is State.WATCHING
    assert [(one.phase, one.decision, one.sentence) for one in early.spared] == [
        (0, decision, "errors tripled")
    ]
    again = advance(early, Judged(0, 1, decision, "errors quadrupled"), AT)
    assert again is early, "told once, so that the version does not grow with every look"
    over = advance(again, Judged(0, 1, decision, "errors quadrupled", full=True), AT)
    assert (over.state, over.phase, over.stop) == (State.SWITCHING, 1, None)


def test_an_observing_push_without_a_verdict_goes_on_and_says_so() -> None:
    push = replace(start(observe=True).push, state=State.WATCHING, watch=1, deadline=AT)
    after = advance(push, Expired(), LATE)
    assert after.state is State.SWITCHING
    assert [one.decision for one in after.spared] == [Decision.HOLD]


def test_what_was_judged_when_is_known_for_ever() -> None:
    moments = [AT + timedelta(minutes=minute) for minute in range(9)]
    push = replace(start().push, state=State.SWITCHING, deadline=LATE)
    push = replace(push, history=(Entered(State.SWITCHING, 0, moments[0]),))
    switched = Progressed(Tally.of([HostProgress("www1", "www", 0, HostState.SWITCHED)]))
    push = advance(push, switched, moments[1])
    push = advance(push, Hold("ann"), moments[2])
    push = advance(push, Resume("ann"), moments[3])
    push = advance(push, Judged(0, 2, Decision.PASS, "good"), moments[4])
    push = advance(push, switched, moments[5])
    push = advance(push, Judged(1, 3, Decision.FAIL, "bad"), moments[6])
    assert push.state is State.ROLLING_BACK
    seen = [judging(push, at + timedelta(seconds=1)) for at in moments[:7]]
    first, later = moments[1], moments[5]
    assert seen[0] == Judging(0, moments[0], moments[0], watching=False)
    assert seen[1] == seen[2] == Judging(0, first, first, watching=True), "a hold goes on with the watch"
    assert seen[3] == Judging(0, moments[3], first, watching=True), "a resume gets no fresh budget"
    assert seen[4] == Judging(1, moments[4], moments[4], watching=False)
    assert seen[5] == seen[6] == Judging(1, later, later, watching=True)
    assert judging(push, AT - timedelta(days=1)) is None


def test_only_a_verdict_a_failed_switch_or_a_person_convicts() -> None:
    assert {cause for cause in Cause if cause.convicts} == {Cause.VERDICT, Cause.SWITCH_FAILED, Cause.PERSON}
