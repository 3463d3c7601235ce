"""The push: its states, and the only place that knows how one leads to the next.

Theory of operation. A push is a row. `todo(push, tally)` reads nothing but stored state and says what is to
be done; the runtime does it, idempotently, and reports events; `advance(push, event, at)` gives the next
push; the store saves it with compare-and-set. A restart calls `todo`: there is no other recovery path.

Two kinds of event reach `advance`. Reports (what hosts answered, what the watch judged, that a deadline
passed) may be late: one that no longer matters leaves the push as it is. Intents (what a person wants) are
never silently dropped: one that the state does not allow raises `Refused`.

`TABLE` names every transition that may ever happen. The diagram in the documentation is drawn from it, and
`advance` refuses to leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from leuko.domain.errors import Refused
from leuko.domain.fleet import HOLD_BACK
from leuko.domain.line import Line
from leuko.domain.rollout import PERHAPS_ON_TARGET, HostState, Tally
from leuko.domain.verdict import Decision


class State(StrEnum):
    """LIVE, ROLLED_BACK, CANCELLED and STUCK are ends."""

    PENDING = "PENDING"
    STAGING = "STAGING"
    SWITCHING = "SWITCHING"
    WATCHING = "WATCHING"
    COMPLETING = "COMPLETING"
    HELD = "HELD"
    ROLLING_BACK = "ROLLING_BACK"
    LIVE = "LIVE"
    ROLLED_BACK = "ROLLED_BACK"
    CANCELLED = "CANCELLED"
    STUCK = "STUCK"

    @property
    def ended(self) -> bool:
        """True where nothing more will happen to the push."""
        return self in (State.LIVE, State.ROLLED_BACK, State.CANCELLED, State.STUCK)


class Origin(StrEnum):
    """Who or what asked for the push."""

    CONTINUOUS = "continuous"
    PERSON = "person"
    HOTFIX = "hotfix"
    RETRY = "retry"
    ROLLBACK = "rollback"
    DRILL = "drill"
    ADOPTED = "adopted"


class Cause(StrEnum):
    """Why a push goes back or ends without being live."""

    VERDICT = "verdict"
    SWITCH_FAILED = "switch failed"
    PERSON = "rolled back by a person"
    ABORTED = "aborted"
    TIMED_OUT = "timed out"
    HELD_TOO_LONG = "held too long"
    STAGING_FAILED = "staging failed"
    SUPERSEDED = "superseded"
    REFUSED = "refused"
    DRILL = "drill"

    @property
    def convicts(self) -> bool:
        """True where the release itself is found bad: only then locks are taken."""
        return self in (Cause.VERDICT, Cause.SWITCH_FAILED, Cause.PERSON)


@dataclass(frozen=True, slots=True)
class Stop:
    """Why, by whom, in a sentence."""

    cause: Cause
    reason: str
    by: str = "leuko"


@dataclass(frozen=True, slots=True)
class Rules:
    """What was fixed when the push was made: it does not change while the push runs. Times in seconds."""

    phases: int
    hold_back: bool = False
    unreachable_allowed: int = 0
    failed_allowed: int = 0
    stage_timeout: float = 1800.0
    switch_timeout: float = 600.0
    watch_timeout: float = 1800.0
    held_timeout: float = 3600.0
    restore_timeout: float = 300.0
    observe: bool = False
    """Judge without acting: what the watch finds is told, and the push goes on."""
    drill: bool = False
    """A fault is planted on purpose: it always goes back, and convicts nothing."""


@dataclass(frozen=True, slots=True)
class Entered:
    """A state that a push came into, of which phase and when."""

    state: State
    phase: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Spared:
    """What an observing push would have been held or rolled back for, the first time in each phase."""

    phase: int
    decision: Decision
    sentence: str
    at: datetime

    @property
    def said(self) -> str:
        """`would have rolled back: errors ...`."""
        return f"would have {'rolled back' if self.decision is Decision.FAIL else 'held'}: {self.sentence}"


@dataclass(frozen=True, slots=True)
class Push:
    """One rollout of one release to one environment. Numbers count from 1 on each line."""

    number: int
    line: Line
    release: str
    revision: str
    base: str | None
    rules: Rules
    state: State
    since: datetime
    created_at: datetime
    deadline: datetime | None = None
    phase: int = 0
    watch: int = 0
    """How many watches have begun: a verdict about an earlier one is late."""
    watch_began: datetime | None = None
    held_from: State | None = None
    held_why: str = ""
    held_by: str = ""
    stop: Stop | None = None
    sentence: str = ""
    """What the last verdict said."""
    origin: Origin = Origin.CONTINUOUS
    by: str = ""
    why: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    at_once: bool = False
    """A rollback that gives up capacity (`--now`)."""
    pardoned: bool = False
    """A person promoted it without the hosts that cannot be reached: they no longer count."""
    history: tuple[Entered, ...] = ()
    """Every state that it came into: what was judged at any moment can be said again later."""
    spared: tuple[Spared, ...] = ()
    version: int = 0

    @property
    def name(self) -> str:
        """For people: `push 12`."""
        return f"push {self.number}"


# -- events ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Admitted:
    """Nothing forbids the start: locks, blocks, windows and hosts were looked at."""


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """The start is refused for good."""

    reason: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """Hosts answered; where they all stand now."""

    tally: Tally
    detail: str = ""
    """Of the hosts that failed or could not be reached, for the sentence."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What the watch says about `watch` of `phase`."""

    phase: int
    watch: int
    decision: Decision
    sentence: str
    full: bool = False
    """All ticks that the watch wants were seen."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The deadline of the present state passed."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """A newer release takes this one's place in the queue and carries its commits."""

    by_push: int


@dataclass(frozen=True, slots=True)
class Drifted:
    """Somebody else changed `current` on pushed hosts."""

    detail: str


@dataclass(frozen=True, slots=True)
class Abort:
    """A person stops it and takes it back, without convicting it."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Hold:
    """A person wants it to stay where it is."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Resume:
    """A person lets a held push go on from where it was held, with a new watch."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Promote:
    """A person passes the phase, whatever the watch says."""

    by: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class RollBack:
    """A person convicts the release."""

    by: str
    why: str = ""
    at_once: bool = False


Report = Admitted | NotAdmitted | Progressed | Judged | Expired | Superseded | Drifted
Intent = Abort | Hold | Resume | Promote | RollBack
Event = Report | Intent

_BACK = State.ROLLING_BACK
NOT_CAUGHT: Final = "the watch ended without a verdict against the planted fault"
NO_VERDICT: Final = "the watch did not come to a verdict within push.watch_timeout"
TABLE: Final[Mapping[State, Mapping[str, tuple[State, ...]]]] = MappingProxyType(
    {
        State.PENDING: {
            "admitted": (State.STAGING,),
            "not admitted": (State.CANCELLED,),
            "superseded": (State.CANCELLED,),
            "abort": (State.CANCELLED,),
            "roll back": (State.CANCELLED,),
        },
        State.STAGING: {
            "progressed": (State.SWITCHING, State.CANCELLED),
            "expired": (State.CANCELLED,),
            "abort": (State.CANCELLED,),
            "roll back": (State.CANCELLED,),
            "hold": (State.HELD,),
        },
        State.SWITCHING: {
            "progressed": (State.WATCHING, _BACK, State.HELD),
            "judged": (_BACK,),
            "expired": (_BACK,),
            "abort": (_BACK,),
            "roll back": (_BACK,),
            "hold": (State.HELD,),
        },
        State.WATCHING: {
            "judged": (State.SWITCHING, State.COMPLETING, State.LIVE, State.HELD, _BACK),
            "promote": (State.SWITCHING, State.COMPLETING, State.LIVE),
            "expired": (State.HELD, _BACK, State.SWITCHING, State.COMPLETING, State.LIVE),
            "drifted": (State.HELD,),
            "abort": (_BACK,),
            "roll back": (_BACK,),
            "hold": (State.HELD,),
        },
        State.COMPLETING: {
            "progressed": (State.LIVE, _BACK, State.HELD),
            "judged": (_BACK,),
            "expired": (_BACK,),
            "abort": (_BACK,),
            "roll back": (_BACK,),
            "hold": (State.HELD,),
        },
        State.HELD: {
            "judged": (_BACK,),
            "progressed": (_BACK,),
            "resume": (State.STAGING, State.SWITCHING, State.WATCHING, State.COMPLETING),
            "promote": (State.SWITCHING, State.COMPLETING, State.LIVE),
            "expired": (_BACK, State.CANCELLED),
            "abort": (_BACK, State.CANCELLED),
            "roll back": (_BACK, State.CANCELLED),
        },
        State.ROLLING_BACK: {
            "progressed": (State.ROLLED_BACK,),
            "roll back": (State.ROLLING_BACK,),
            "expired": (State.STUCK,),
        },
        State.LIVE: {},
        State.ROLLED_BACK: {},
        State.CANCELLED: {},
        State.STUCK: {"progressed": (State.ROLLED_BACK,)},
    }
)
"""Every transition that may happen. STUCK still takes the news that its last host was restored after all."""


# -- what to do next ------------------------------------------------------------------------------------


class Step(StrEnum):
    """What the runtime has to do for a push now. Each may be done again without harm."""

    ADMIT = "admit"
    STAGE = "stage"
    SWITCH = "switch"
    WATCH = "watch"
    COMPLETE = "complete"
    RESTORE = "restore"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Todo:
    """The step, the phase it is about, and whether readings must be judged meanwhile."""

    step: Step
    phase: int
    judge: bool = False


def todo(push: Push) -> Todo:
    """What is to be done, from stored state alone."""
    match push.state:
        case State.PENDING:
            return Todo(Step.ADMIT, 0)
        case State.STAGING:
            return Todo(Step.STAGE, 0)
        case State.SWITCHING:
            return Todo(Step.SWITCH, push.phase, judge=push.phase > 0)
        case State.WATCHING:
            return Todo(Step.WATCH, push.phase, judge=True)
        case State.COMPLETING:
            return Todo(Step.COMPLETE, HOLD_BACK, judge=True)
        case State.HELD:
            return Todo(Step.NOTHING, push.phase, judge=push.held_from is not State.STAGING)
        case State.ROLLING_BACK | State.STUCK:
            return Todo(Step.RESTORE, push.phase)
        case State.LIVE | State.ROLLED_BACK | State.CANCELLED:
            return Todo(Step.NOTHING, push.phase)


# -- what an event leads to -----------------------------------------------------------------------------


def advance(push: Push, event: Event, at: datetime) -> Push:
    """The push after `event`: the same push where a report is late; `Refused` for an intent out of place."""
    after = _next(push, event, at)
    if after.state is not push.state:
        allowed = TABLE[push.state].get(_word(event), ())
        assert after.state in allowed, f"{push.state} -{_word(event)}-> {after.state} is not in the table"
    return after


def _next(push: Push, event: Event, at: datetime) -> Push:
    match event:
        case Abort() | RollBack() | Hold() | Resume() | Promote():
            return _obey(push, event, at)
        case Admitted():
            return _enter(push, State.STAGING, at) if push.state is State.PENDING else push
        case NotAdmitted(reason):
            return _cancel(push, Stop(Cause.REFUSED, reason), at) if push.state is State.PENDING else push
        case Superseded(by_push):
            stop = Stop(Cause.SUPERSEDED, f"push {by_push} is newer and carries its commits")
            return _cancel(push, stop, at) if push.state is State.PENDING else push
        case Progressed():
            return _progress(push, event, at)
        case Judged():
            return _judge(push, event, at)
        case Drifted(detail):
            return _hold(push, detail, "leuko", at) if push.state is State.WATCHING else push
        case Expired():
            return _expire(push, at)


def _word(event: Event) -> str:
    return _WORDS[type(event)]


_WORDS: Final[Mapping[type, str]] = MappingProxyType(
    {
        Admitted: "admitted",
        NotAdmitted: "not admitted",
        Progressed: "progressed",
        Judged: "judged",
        Expired: "expired",
        Superseded: "superseded",
        Drifted: "drifted",
        Abort: "abort",
        Hold: "hold",
        Resume: "resume",
        Promote: "promote",
        RollBack: "roll back",
    }
)


def _progress(push: Push, event: Progressed, at: datetime) -> Push:
    tally = event.tally
    match push.state:
        case State.STAGING:
            return _staged(push, event, at)
        case State.SWITCHING:
            return _switched(push, event, push.phase, at)
        case State.COMPLETING:
            return _switched(push, event, HOLD_BACK, at)
        case State.HELD if push.held_from in (State.SWITCHING, State.COMPLETING) and _too_many_failed(
            push, tally
        ):
            return _back(push, Stop(Cause.SWITCH_FAILED, _failed_sentence(event)), at)
        case State.ROLLING_BACK | State.STUCK:
            if tally.count(*PERHAPS_ON_TARGET):
                return push
            return _end(push, State.ROLLED_BACK, at)
        case _:
            return push


def _staged(push: Push, event: Progressed, at: datetime) -> Push:
    tally = event.tally
    left_out = tally.count(HostState.LEFT_OUT)
    if left_out > push.rules.unreachable_allowed:
        allowed = push.rules.unreachable_allowed
        reason = f"{_hosts(left_out)} could not be prepared, {allowed} allowed: {event.detail}"
        return _cancel(push, Stop(Cause.STAGING_FAILED, reason), at)
    if tally.count(HostState.WAITING):
        return push
    if not tally.count(HostState.STAGED):
        return _cancel(push, Stop(Cause.STAGING_FAILED, f"no host could be prepared: {event.detail}"), at)
    return _enter(push, State.SWITCHING, at, phase=0)


def _switched(push: Push, event: Progressed, phase: int, at: datetime) -> Push:
    tally = event.tally
    if _too_many_failed(push, tally):
        return _back(push, Stop(Cause.SWITCH_FAILED, _failed_sentence(event)), at)
    left_out = tally.count(HostState.LEFT_OUT)
    if left_out > push.rules.unreachable_allowed and not push.pardoned:
        why = (
            f"{_hosts(left_out)} cannot be reached, {push.rules.unreachable_allowed} allowed: {event.detail}"
        )
        return _hold(push, why, "leuko", at)
    moving = (HostState.WAITING, HostState.STAGED, HostState.SWITCHING, HostState.FAILED, HostState.RESTORING)
    if tally.count(*moving, phase=phase):
        return push
    if phase == HOLD_BACK:
        return _end(push, State.LIVE, at)
    uncovered = tally.uncovered(phase)
    if uncovered and not push.pardoned:
        why = (
            f"no {' and no '.join(uncovered)} host of phase {phase + 1} was switched: nothing to judge it by"
        )
        return _hold(push, why, "leuko", at)
    return _watch(push, at)


def _too_many_failed(push: Push, tally: Tally) -> bool:
    """Among canaries one failed switch is enough; later the budget counts those restored already, too."""
    failed = tally.count(HostState.FAILED)
    if push.phase == 0:
        return failed > 0
    return failed + tally.count(HostState.RESTORING, HostState.RESTORED) > push.rules.failed_allowed


def _failed_sentence(event: Progressed) -> str:
    failed = event.tally.count(HostState.FAILED, HostState.RESTORING, HostState.RESTORED)
    return f"the switch failed on {_hosts(failed)}: {event.detail}"


def _judge(push: Push, event: Judged, at: datetime) -> Push:
    if (event.phase, event.watch) != (push.phase, push.watch):
        return push  # about an earlier watch
    if push.rules.drill:
        return _drilled(push, event, at)
    if push.rules.observe and event.decision in (Decision.FAIL, Decision.HOLD):
        return _spare(push, event, at)
    if event.decision is Decision.FAIL:
        if push.state is _BACK or not _was_switched(push):
            return push
        return _back(push, Stop(Cause.VERDICT, event.sentence), at)
    if push.state is not State.WATCHING or event.decision is Decision.CONTINUE:
        return push  # the version must not grow with every look: a promote names the one its author saw
    push = replace(push, sentence=event.sentence)
    match event.decision:
        case Decision.HOLD:
            return _hold(push, event.sentence, "leuko", at)
        case Decision.PASS:
            return _passed(push, at)


def _drilled(push: Push, event: Judged, at: datetime) -> Push:
    """A drill goes back in any case: as soon as its fault is caught, or when its watch is over."""
    if push.state is _BACK or not _was_switched(push):
        return push
    if event.decision is Decision.FAIL:
        return _back(push, Stop(Cause.DRILL, event.sentence), at)
    if event.decision is Decision.HOLD:
        push = _noted(push, event.decision, event.sentence, at)
    over = push.state is State.WATCHING and event.full
    return _back(push, Stop(Cause.DRILL, NOT_CAUGHT), at) if over else push


def _spare(push: Push, event: Judged, at: datetime) -> Push:
    """An observing push takes note, and goes on when its watch is over."""
    if push.state is _BACK or not _was_switched(push):
        return push
    push = _noted(push, event.decision, event.sentence, at)
    return _passed(push, at) if push.state is State.WATCHING and event.full else push


def _noted(push: Push, decision: Decision, sentence: str, at: datetime) -> Push:
    if any((one.phase, one.decision) == (push.phase, decision) for one in push.spared):
        return push
    spared = Spared(push.phase, decision, sentence, at)
    return replace(push, spared=(*push.spared, spared), sentence=sentence)


def _passed(push: Push, at: datetime) -> Push:
    if push.phase + 1 < push.rules.phases:
        return _enter(push, State.SWITCHING, at, phase=push.phase + 1)
    if push.rules.hold_back:
        return _enter(push, State.COMPLETING, at)
    return _end(push, State.LIVE, at)


def _expire(push: Push, at: datetime) -> Push:
    if push.deadline is None or at < push.deadline:
        return push
    match push.state:
        case State.STAGING:
            return _cancel(
                push, Stop(Cause.STAGING_FAILED, "copying took longer than push.stage_timeout"), at
            )
        case State.SWITCHING | State.COMPLETING:
            return _back(push, Stop(Cause.TIMED_OUT, "switching took longer than push.switch_timeout"), at)
        case State.WATCHING if push.rules.drill:
            return _back(push, Stop(Cause.DRILL, NOT_CAUGHT), at)
        case State.WATCHING if push.rules.observe:
            return _passed(_noted(push, Decision.HOLD, NO_VERDICT, at), at)
        case State.WATCHING:
            return _hold(push, NO_VERDICT, "leuko", at)
        case State.HELD:
            stop = Stop(Cause.HELD_TOO_LONG, f"held longer than push.held_timeout: {push.held_why}")
            return _back(push, stop, at) if _was_switched(push) else _cancel(push, stop, at)
        case State.ROLLING_BACK:
            return _end(push, State.STUCK, at)
        case _:
            return push


def _obey(push: Push, intent: Intent, at: datetime) -> Push:
    if push.state.ended:
        raise _refused(push, intent, "it has ended", _after_its_end(push))
    match intent:
        case Abort(by, why):
            if push.state is _BACK:
                raise _refused(push, intent, "it is going back already", _HURRY)
            stop = Stop(Cause.ABORTED, why or "no reason given", by)
            return _back(push, stop, at) if _was_switched(push) else _cancel(push, stop, at)
        case RollBack(by, why, at_once):
            if push.state is _BACK:
                if not at_once or push.at_once:
                    raise _refused(
                        push, intent, "it is going back already", _FOLLOW if push.at_once else _HURRY
                    )
                return replace(push, at_once=True)
            stop = Stop(Cause.PERSON, why or "no reason given", by)
            push = replace(push, at_once=at_once)
            return _back(push, stop, at) if _was_switched(push) else _cancel(push, stop, at)
        case Hold(by, why):
            if push.state in (State.HELD, State.PENDING, _BACK):
                way = _NOT_MOVING.get(push.state, _FOLLOW)
                raise _refused(push, intent, "only a push that is moving can be held", way)
            return _hold(push, why or "no reason given", by, at)
        case Resume():
            if push.state is not State.HELD or push.held_from is None:
                raise _refused(push, intent, "it is not held", "nothing to do: `leuko hold` would hold it")
            return _resumed(push, push.held_from, at)
        case Promote():
            return _promoted(push, intent, at)


def _resumed(push: Push, held_from: State, at: datetime) -> Push:
    if held_from is State.WATCHING:
        return _watch(push, at)
    return _enter(push, held_from, at, phase=push.phase)


def _promoted(push: Push, intent: Promote, at: datetime) -> Push:
    if push.rules.drill:
        raise _refused(push, intent, "it is a drill, and goes back by itself", _FOLLOW)
    if push.state is State.WATCHING or (push.state is State.HELD and push.held_from is State.WATCHING):
        return _passed(push, at)
    if push.state is State.HELD and push.held_from in (State.SWITCHING, State.COMPLETING):
        # the person takes the hosts that can be reached for enough; what failed is still put right first
        return _enter(replace(push, pardoned=True), push.held_from, at)
    way = _NOT_WATCHED.get(push.held_from or push.state, _FOLLOW)
    raise _refused(push, intent, "only a push that is watched or held after its switch can be promoted", way)


def _was_switched(push: Push) -> bool:
    """True where a host may be on the target: from the first switch on."""
    state = push.held_from if push.state is State.HELD else push.state
    return state in (State.SWITCHING, State.WATCHING, State.COMPLETING, _BACK)


_FOLLOW = "`leuko status --follow` shows how it goes on"
_HURRY = "`leuko status --follow` shows how far it is; `leuko rollback --now` takes all hosts back at once"
_NOT_MOVING: Mapping[State, str] = MappingProxyType({
    State.PENDING: "`leuko lock --why ...` keeps it from starting; `leuko abort` ends it",
    State.HELD: "it is held already: `leuko resume`, `leuko promote` or `leuko abort` goes on",
    State.ROLLING_BACK: _HURRY,
})  # fmt: skip
_NOT_WATCHED: Mapping[State, str] = MappingProxyType({
    State.PENDING: "`leuko why` says what it waits for",
    State.STAGING: "nothing runs it yet: `leuko resume` goes on where it is held, `leuko abort` ends it",
    State.ROLLING_BACK: "`leuko retry` pushes it again when it is back",
})  # fmt: skip


def _after_its_end(push: Push) -> str:
    if push.state is State.LIVE:
        return "`leuko rollback` takes back what is live; `leuko status` shows what runs now"
    if push.state is State.STUCK:
        return f"`leuko why {push.number}` names the hosts; each is tried again until it is restored"
    return f"`leuko why {push.number}` says why it ended; `leuko retry {push.number}` pushes it again"


def _refused(push: Push, intent: Intent, because: str, way_out: str) -> Refused:
    return Refused(
        f"can't {_word(intent)} a push that is {push.state}: {because}",
        where=push.name,
        way_out=way_out,
        code="P001",
    )


def begin_back(push: Push, order: RollBack, at: datetime) -> Push:
    """A push that was made to take a live release back: it starts where others get to by `advance`."""
    assert push.state is State.PENDING
    stop = Stop(Cause.PERSON, order.why or "no reason given", order.by)
    return _back(replace(push, at_once=order.at_once), stop, at)


# -- entering a state: the one place that sets since, deadline and end ------------------------------------


def _enter(push: Push, state: State, at: datetime, *, phase: int | None = None) -> Push:
    rules = push.rules
    seconds = {
        State.STAGING: rules.stage_timeout,
        State.SWITCHING: rules.switch_timeout,
        State.WATCHING: rules.watch_timeout,
        State.COMPLETING: rules.switch_timeout,
        State.HELD: rules.held_timeout,
        State.ROLLING_BACK: rules.restore_timeout,
    }[state]
    phase = push.phase if phase is None else phase
    return replace(
        push,
        state=state,
        since=at,
        deadline=at + timedelta(seconds=seconds),
        phase=phase,
        held_from=push.state if state is State.HELD else None,
        started_at=push.started_at or at,
        history=(*push.history, Entered(state, phase, at)),
    )


def _watch(push: Push, at: datetime) -> Push:
    return replace(_enter(push, State.WATCHING, at), watch=push.watch + 1, watch_began=at)


def _hold(push: Push, why: str, by: str, at: datetime) -> Push:
    return replace(_enter(push, State.HELD, at), held_why=why, held_by=by)


def _back(push: Push, stop: Stop, at: datetime) -> Push:
    return replace(_enter(push, _BACK, at), stop=stop)


def _cancel(push: Push, stop: Stop, at: datetime) -> Push:
    return replace(_end(push, State.CANCELLED, at), stop=stop)


def _end(push: Push, state: State, at: datetime) -> Push:
    history = (*push.history, Entered(state, push.phase, at))
    return replace(push, state=state, since=at, deadline=None, held_from=None, ended_at=at, history=history)


def _hosts(number: int) -> str:
    return "1 host" if number == 1 else f"{number} hosts"
