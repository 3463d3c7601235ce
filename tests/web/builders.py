"""A line's rows as a controller would have left them, for tests of what is shown of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from leuko.domain.build import BuildState, StepResult
from leuko.domain.change import Change, Commit
from leuko.domain.line import Line
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.plan import Plan, PlannedHost
from leuko.domain.push import Admitted, Judged, Origin, Progressed, Push, Rules, State, advance
from leuko.domain.release import Component, Release
from leuko.domain.rollout import HostProgress, HostState, Tally
from leuko.domain.verdict import Decision, Finding, Verdict
from leuko.store.changes import ChangeState
from leuko.store.hosts import KnownHost
from leuko.store.store import Store

LINE = Line("shop", "production")
START = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
TOKEN = "open-sesame-0123456789"
HOSTS = (*tuple(f"www{number}" for number in range(1, 7)), "chat1", "chat2")


class HandClock:
    """A clock that the test moves."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def role(host: str) -> str:
    return host.rstrip("0123456789")


def revision(letter: str) -> str:
    return (letter * 40)[:40]


def commit(letter: str, subject: str, author: str = "jlee", body: str = "") -> Commit:
    message = subject + (f"\n\n{body}" if body else "")
    return Commit(revision(letter), author, f"{author}@example.com", START - timedelta(minutes=5), message)


def finding(gauge: str, subject: str, before: float | None, after: float | None, **values: object) -> Finding:
    fields = {
        "role": role(subject),
        "aggregate": subject in ("www", "chat"),
        "limit": "",
        "evidence": 0.3,
        "decision": Decision.CONTINUE,
        "blind": False,
        "sentence": "",
        "unit": "",
    }
    return Finding(gauge=gauge, subject=subject, before=before, after=after, **(fields | values))  # type: ignore[arg-type]


BAD = "errors at www went from 0.2 to 41 a minute on 2 of 6 hosts: a regression is 900 times likelier than chance"


def bad_verdict() -> Verdict:
    fail = {"decision": Decision.FAIL, "sentence": BAD, "unit": "/min", "limit": ">6"}
    findings = (
        finding("errors", "www", 0.2, 41.3, evidence=912.0, **fail),
        finding("errors", "www1", 0.0, 44.0, evidence=611.0, **fail),
        finding("errors", "www2", 0.4, 38.5, evidence=344.0, **fail),
        finding("errors", "chat", 0.0, 0.0, unit="/min", limit=">6"),
        finding("errors", "chat1", 0.0, 0.0, unit="/min", limit=">6"),
        finding("load", "www", 4.13, 4.95, limit=">6"),
        finding("load", "www1", 4.0, 4.9, limit=">8"),
        finding("load", "www2", 4.2, 5.0, limit=">8"),
        finding("load", "chat1", 2.77, None, limit=">8", blind=True, sentence="no data since the switch"),
        finding("response time", "www", 0.0312, 0.0309, unit="s"),
    )
    return Verdict(Decision.FAIL, BAD, findings, 9, 12)


def good_verdict() -> Verdict:
    findings = (
        finding("errors", "www", 0.2, 0.2, unit="/min", limit=">6"),
        finding("errors", "www1", 0.1, 0.3, unit="/min", limit=">6"),
        finding("load", "www", 4.13, 4.05, limit=">6"),
        finding("registrations", "www", None, None, blind=True, sentence="no events to compare"),
    )
    sentence = "nothing is worse than before; registrations are too rare to tell"
    return Verdict(Decision.PASS, sentence, findings, 12, 12)


@dataclass(frozen=True)
class Story:
    """Numbers of what `fill` made."""

    good: int
    bad: int
    build: int


async def open_store(folder: Path, clock: HandClock) -> Store:
    return await Store.open(folder / "leuko.sqlite", clock)


async def add_change(
    store: Store, letter: str, subject: str, state: ChangeState, at: datetime, **more: str
) -> None:
    landed = commit(letter, subject, **more)
    async with store.write(LINE) as tx:
        await store.changes.add(
            tx, Change(revision(letter), f"tree-{letter}", None, at, (landed,)), concerns=True, at=at
        )
        await store.changes.mark(tx, [revision(letter)], state)
        tx.event("change", f"change {revision(letter)}", {"subject": subject}, at)


async def add_build(
    store: Store,
    letter: str,
    state: BuildState,
    at: datetime,
    steps: tuple[StepResult, ...],
    reason: str = "",
) -> int:
    async with store.write(LINE) as tx:
        build = await store.builds.create(tx, revision(letter), f"tree-{letter}", [revision(letter)], at)
        build = await store.builds.save(tx, build.to(BuildState.RUNNING, at))
        await store.builds.save_steps(tx, build.id, steps)
        if state is not BuildState.RUNNING:
            await store.builds.save(tx, build.to(state, at + timedelta(seconds=21), reason))
        known = {
            BuildState.RUNNING: ChangeState.VERIFYING,
            BuildState.PASSED: ChangeState.GREEN,
            BuildState.FAILED: ChangeState.RED,
            BuildState.BROKEN: ChangeState.BROKEN,
        }
        await store.changes.mark(tx, [revision(letter)], known[state], build=build.id)
        tx.event("build", f"build {build.id}", {"to": str(state), "of": 3}, at)
        if state is BuildState.RUNNING:
            tx.event("build.step", f"build {build.id}", {"step": "pytest", "state": "running"}, at)
    return build.id


def plan(commits: tuple[Commit, ...], hosts: tuple[str, ...] = HOSTS) -> Plan:
    canaries = {"www1", "www2", "chat1"}
    planned = tuple(PlannedHost(host, role(host), 0 if host in canaries else 1) for host in hosts)
    return Plan(
        planned, (12, 60), 5.0, commits, bytes_full=8_400_000, bytes_sent=91_000, expected_seconds=360.0
    )


async def create_push(
    store: Store, letter: str, subject: str, at: datetime, base: str | None, hosts: tuple[str, ...] = HOSTS
) -> Push:
    release = Release(revision(letter), (Component("shop", letter * 64, 8_400_000, 311),), at)
    new = Push(
        number=0,
        line=LINE,
        release=release.name,
        revision=revision(letter),
        base=base,
        rules=Rules(phases=2),
        state=State.PENDING,
        since=at,
        created_at=at,
        origin=Origin.CONTINUOUS,
        by="jlee",
    )
    async with store.write(LINE) as tx:
        await store.releases.add(tx, release)
        push = await store.pushes.create(tx, new, plan=plan((commit(letter, subject),), hosts))
        rows = [HostProgress(p.name, p.role, p.phase) for p in plan((), hosts).hosts]
        await store.hosts.save_progress(tx, push.number, rows)
        tx.event("push", push.name, {"to": "PENDING", "by": "jlee"}, at)
    return push


async def step(store: Store, push: Push, event: object, at: datetime) -> Push:
    """One transition, stored and told as the runtime does it."""
    after = advance(push, event, at)  # type: ignore[arg-type]
    async with store.write(LINE) as tx:
        after = await store.pushes.save(tx, after)
        told = {
            "from": str(push.state),
            "to": str(after.state),
            "phase": after.phase,
            "reason": after.held_why,
        }
        tx.event("push", push.name, told, at)
    return after


async def all_hosts(
    store: Store, push: Push, state: HostState, at: datetime, phase: int | None = None, **values: object
) -> Tally:
    rows = await store.hosts.progress(LINE, push.number)
    moved = [
        replace(row, state=state, at=at, **values) if phase is None or row.phase == phase else row
        for row in rows
    ]
    async with store.write(LINE) as tx:
        await store.hosts.save_progress(tx, push.number, moved)
    return Tally.of(moved)


async def to_watching(store: Store, push: Push, at: datetime, phase: int = 0) -> Push:
    if push.state is State.PENDING:
        push = await step(store, push, Admitted(), at)
        tally = await all_hosts(store, push, HostState.STAGED, at + timedelta(seconds=8), seconds=7.9)
        push = await step(store, push, Progressed(tally), at + timedelta(seconds=8))
    at += timedelta(seconds=10)
    values = {"switched_at": at, "seconds": 1.4, "link_seconds": 0.012, "output": "reloaded\n"}
    tally = await all_hosts(store, push, HostState.SWITCHED, at, phase, **values)
    return await step(store, push, Progressed(tally), at)


async def judge(store: Store, push: Push, verdict: Verdict, at: datetime) -> Push:
    async with store.write(LINE) as tx:
        await store.findings.save(tx, push.number, push.phase, verdict, at)
    return await step(store, push, Judged(push.phase, push.watch, verdict.decision, verdict.sentence), at)


async def to_live(store: Store, push: Push, at: datetime) -> Push:
    push = await to_watching(store, push, at)
    push = await judge(store, push, good_verdict(), at + timedelta(seconds=70))
    push = await to_watching(store, push, at + timedelta(seconds=70), phase=1)
    push = await judge(store, push, good_verdict(), at + timedelta(seconds=380))
    async with store.write(LINE) as tx:
        await store.releases.mark_good(tx, push.release)
    return push


async def to_rolled_back(store: Store, push: Push, at: datetime) -> Push:
    push = await to_watching(store, push, at)
    push = await judge(store, push, bad_verdict(), at + timedelta(seconds=55))
    tally = await all_hosts(store, push, HostState.RESTORED, at + timedelta(seconds=57), phase=0)
    push = await step(store, push, Progressed(tally), at + timedelta(seconds=58))
    async with store.write(LINE) as tx:
        await store.releases.convict(tx, push.release, BAD, at + timedelta(seconds=58))
        for kind in (LockKind.PUSH, LockKind.COMMIT):
            lock = Lock(
                "",
                kind,
                Severity.HARD,
                "leuko",
                f"push {push.number} was rolled back: {BAD}",
                at,
                push=push.number,
            )
            await store.locks.take(
                tx, replace(lock, since=at + timedelta(seconds=58), blocks=(push.revision,))
            )
        tx.event("lock", push.name, {"kind": "push"}, at)
    return push


async def operation(
    store: Store,
    name: str,
    at: datetime,
    seconds: float | None,
    person: str,
    letter: str,
    outcome: str,
    subject: str = "",
) -> None:
    async with store.write(LINE) as tx:
        number = await store.operations.start(
            tx, name, at, person=person, revision=revision(letter), subject=subject
        )
        if seconds is not None:
            await store.operations.finish(tx, number, outcome, at + timedelta(seconds=seconds))
        tx.event("operation", name, {}, at)


async def hosts(
    store: Store, names: tuple[str, ...], runs: str, at: datetime, away: tuple[str, ...] = ()
) -> None:
    known = [
        KnownHost(name, role(name), f"10.0.0.{index % 250}", True, runs, runs, runs, name not in away, at, at)
        for index, name in enumerate(names)
    ]
    async with store.write(LINE) as tx:
        await store.hosts.save(tx, known)


async def serve(store: Store, clock: HandClock, ttl: float = 15.0) -> None:
    """A controller acts (says the lease)."""
    async with store.write(LINE) as tx:
        await store.leases.acquire(tx, "test:1", timedelta(seconds=ttl), clock.now(), host="ops1", pid=4242)


async def fill(store: Store, clock: HandClock) -> Story:
    """A good push, a bad one rolled back with its locks, a fix that is being verified; hosts, operations."""
    minute = timedelta(minutes=1)
    await serve(store, clock, ttl=86400)
    await add_change(
        store, "a", "Sort the basket by price", ChangeState.WAITING, START - 40 * minute, author="henstein"
    )
    steps = (
        StepResult("setup", "setup", 0, 3.2, "builds/1/001-setup.log"),
        StepResult("unit", "test", 0, 11.9, "builds/1/002-unit.log"),
        StepResult("pytest", "test", 0, 5.1, "builds/1/003-pytest.log"),
    )
    await add_build(store, "a", BuildState.PASSED, START - 39 * minute, steps)
    good = await to_live(
        store,
        await create_push(store, "a", "Sort the basket by price", START - 38 * minute, None),
        START - 38 * minute,
    )
    await add_change(
        store, "b", "Cache the <script>alert(1)</script> catalogue", ChangeState.WAITING, START - 20 * minute
    )
    await add_build(store, "b", BuildState.PASSED, START - 19 * minute, steps)
    subject = "Cache the <script>alert(1)</script> catalogue"
    bad = await to_rolled_back(
        store,
        await create_push(store, "b", subject, START - 15 * minute, good.release),
        START - 15 * minute,
    )
    fix = "Do not cache empty catalogues"
    await add_change(
        store, "c", fix, ChangeState.WAITING, START - minute, author="amara", body="Leuko-Fix: L1"
    )
    build = await add_build(store, "c", BuildState.RUNNING, START - timedelta(seconds=20), steps[:2])
    await hosts(store, HOSTS, good.release, START - minute, away=("www5",))
    await operation(store, "Verify", START - 39 * minute, 21, "henstein", "a", "green", "build 1")
    await operation(
        store, "Production push", START - 38 * minute, 380, "henstein", "a", "live", f"push {good.number}"
    )
    await operation(store, "Verify", START - 19 * minute, 21, "jlee", "b", "green", "build 2")
    await operation(
        store, "Production push", START - 15 * minute, 58, "jlee", "b", "rolled back", f"push {bad.number}"
    )
    await operation(store, "Verify", START - timedelta(seconds=20), None, "amara", "c", "", f"build {build}")
    return Story(good.number, bad.number, build)
