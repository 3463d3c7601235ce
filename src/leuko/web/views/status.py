"""The line at one moment: what the first page shows, and `leuko status`."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.domain.lock import LockKind
from leuko.domain.push import Push
from leuko.domain.tally import Tally
from leuko.store.store import Store
from leuko.web.facts import Facts
from leuko.web.gathering import gather
from leuko.web.outputs import Outputs
from leuko.web.views.changes import ChangeView, change_view
from leuko.web.views.hosts import FleetView, fleet
from leuko.web.views.locks import LockView, lock_view
from leuko.web.views.push import VerdictView, verdict_view
from leuko.web.views.pushes import PushSummary, push_summary
from leuko.web.views.trends import TrendView, trend_view
from leuko.web.why import why_now


class Serving(msgspec.Struct, frozen=True):
    """Whether a controller acts: `alive` while its lease is valid."""

    alive: bool
    holder: str = ""
    host: str = ""
    pid: int = 0
    epoch: int = 0
    since: datetime | None = None
    expires_at: datetime | None = None


class Live(msgspec.Struct, frozen=True):
    """What is live, and with which push it became so."""

    push: int
    release: str
    revision: str
    since: datetime | None


class RunningBuild(msgspec.Struct, frozen=True):
    """A build that waits or runs."""

    id: int
    revision: str
    state: str
    started_at: datetime | None
    done: int
    of: int | None
    doing: str


class Trouble(msgspec.Struct, frozen=True):
    """A source of readings that gives none."""

    source: str
    why: str
    since: datetime
    hosts: list[str]


class TallyView(msgspec.Struct, frozen=True):
    """How often the verdict was wrong, as far as people said, beside what it promises."""

    promised: float
    healthy: int
    stopped: int
    marked: int
    false: int
    sentence: str
    alarms: list[str]


class Status(msgspec.Struct, frozen=True):
    """Everything that the first page shows. `event` is the newest event that it knows of."""

    application: str
    environment: str
    now: datetime
    event: int
    serving: Serving
    commit_lock: LockView | None
    push_lock: LockView | None
    live: Live | None
    active: PushSummary | None
    verdict: VerdictView | None
    pending: PushSummary | None
    last: PushSummary | None
    """The push that ended last."""
    changes: list[ChangeView]
    builds: list[RunningBuild]
    fleet: FleetView
    sources: list[Trouble]
    tally: TallyView | None
    trends: list[TrendView]
    why: list[str]


async def status(store: Store, line: Line, now: datetime, outputs: Outputs | None = None) -> Status:
    """From stored rows alone: the same from any process."""
    return status_of(await gather(store, line, now, outputs))


def status_of(facts: Facts) -> Status:
    """From facts that are there already."""
    now, active = facts.now, facts.active
    commit, push_lock = facts.lock(LockKind.COMMIT), facts.lock(LockKind.PUSH)
    ended = next((push for push in facts.pushes if push.state.ended), None)
    return Status(
        application=facts.line.application,
        environment=facts.line.environment,
        now=now,
        event=facts.event,
        serving=_serving(facts),
        commit_lock=lock_view(commit, now) if commit else None,
        push_lock=lock_view(push_lock, now) if push_lock else None,
        live=_live(facts.live),
        active=push_summary(active.push, now, active.progress) if active else None,
        verdict=verdict_view(active.judgement) if active and active.judgement else None,
        pending=push_summary(facts.pending, now) if facts.pending else None,
        last=push_summary(ended, now) if ended else None,
        changes=[change_view(facts, landed) for landed in facts.changes],
        builds=_builds(facts),
        fleet=fleet(facts.hosts),
        sources=[Trouble(t.source, t.why, t.since, list(t.hosts)) for t in facts.troubles],
        trends=[trend_view(each) for each in facts.trends],
        tally=_tally(facts.tally),
        why=list(why_now(facts)),
    )


def _tally(tally: Tally | None) -> TallyView | None:
    if tally is None:
        return None
    return TallyView(
        tally.promised,
        tally.healthy,
        tally.stopped,
        tally.marked,
        tally.false,
        tally.sentence,
        list(tally.alarms),
    )


def _serving(facts: Facts) -> Serving:
    lease = facts.lease
    if lease is None:
        return Serving(alive=False)
    return Serving(
        facts.serving, lease.holder, lease.host, lease.pid, lease.epoch, lease.since, lease.expires_at
    )


def _live(push: Push | None) -> Live | None:
    return Live(push.number, push.release, push.revision, push.ended_at) if push else None


def _builds(facts: Facts) -> list[RunningBuild]:
    return [
        RunningBuild(
            item.build.id,
            item.build.revision,
            item.build.state.value,
            item.started_at,
            len(item.steps),
            item.of,
            item.doing,
        )
        for item in facts.builds.values()
        if not item.build.state.ended
    ]
