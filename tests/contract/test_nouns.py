"""What each noun keeps comes back as it was, on both databases, and each line sees only its own rows."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from leuko.domain.build import BuildState, StepResult
from leuko.domain.change import Change, Commit
from leuko.domain.gauge import Limit
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.line import Line
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.plan import Plan, PlannedHost
from leuko.domain.push import Cause, Origin, Push, Rules, State, Stop
from leuko.domain.release import Component, Release
from leuko.domain.rollout import HostProgress, HostState
from leuko.domain.verdict import Decision, Finding, Verdict
from leuko.store.changes import ChangeState
from leuko.store.errors import Lost
from leuko.store.hosts import KnownHost
from leuko.store.overrides import Override

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LINE = Line("shop", "production")
OTHER = Line("shop", "preview")
ODD = "naïve \u2603 'quote' \"double\" \\ back\nnewline\ttab %s ; -- DROP"


def change(revision: str, parent: str | None = None) -> Change:
    commit = Commit(revision, ODD, "a@example.org", NOW, f"{ODD}\n\nLeuko-Fix: L1")
    return Change(revision, f"tree-{revision}", parent, NOW, (commit,))


def push(release: str = "aaaa-1111", state: State = State.PENDING, **fields) -> Push:
    made = Push(0, LINE, release, "a" * 40, None, Rules(2), state, NOW, NOW)
    return replace(made, **fields)


PLAN = Plan(
    (PlannedHost("www-1", "www", 0),), (12, 60), 5.0, (change("a" * 40).commits[0],), differences=(ODD,)
)


async def test_a_new_store_knows_no_line_and_keeps_its_installation(opener):
    first, second = await opener(), await opener()
    assert await first.lines.all() == []
    assert first.installation == second.installation != ""


async def test_lines_and_what_they_are_served_with(store):
    async with store.write(LINE) as tx:
        await store.lines.serve(tx, ODD)
    async with store.write(OTHER) as tx:
        assert await tx.next_sequence() == 1
        assert await tx.next_sequence() == 2
    async with store.write(OTHER) as tx:
        assert await tx.next_sequence() == 3
    assert await store.lines.all() == [OTHER, LINE]
    assert await store.lines.served(LINE) == ODD
    assert await store.lines.served(OTHER) == ""


async def test_changes(store):
    async with store.write(LINE) as tx:
        assert await store.changes.add(tx, change("a1" * 20), concerns=True, at=NOW)
        assert not await store.changes.add(tx, change("a1" * 20), concerns=True, at=NOW)
        assert await store.changes.add(tx, change("a2" * 20, "a1" * 20), concerns=False, at=NOW)
        assert await store.changes.add(tx, change("b3" * 20, "a2" * 20), concerns=True, at=NOW)
    latest = await store.changes.latest(LINE)
    assert latest.change == change("b3" * 20, "a2" * 20)
    assert latest.seen_at == NOW
    assert (await store.changes.get(LINE, "a2a")).state is ChangeState.SKIPPED
    assert await store.changes.get(LINE, "a") is None, "two begin so"
    assert await store.changes.get(LINE, "%") is None
    assert await store.changes.get(LINE, "") is None
    assert await store.changes.get(OTHER, "a2a") is None
    assert [found.revision[:2] for found in await store.changes.since(LINE, "a1" * 20)] == ["b3", "a2"]
    async with store.write(LINE) as tx:
        assert await store.changes.mark(tx, ["a1" * 20, "b3" * 20], ChangeState.GREEN, build=7) == 2
    assert [found.build for found in await store.changes.recent(LINE, concerning=True)] == [7, 7]
    assert [found.id for found in await store.changes.recent(LINE, limit=2)] == [3, 2]
    assert [found.id for found in await store.changes.recent(LINE, before=2)] == [1]
    assert len(await store.changes.recent(LINE, states=[ChangeState.SKIPPED])) == 1


async def test_builds(store):
    async with store.write(LINE) as tx:
        for revision in ("a", "b"):
            await store.changes.add(tx, change(revision), concerns=True, at=NOW)
        build = await store.builds.create(tx, "b", "tree", ["b", "a", "b"], NOW)
    assert await store.builds.unfinished(LINE) == [build]
    assert await store.builds.changes(LINE, build.id) == ["a", "b"]
    later = NOW + timedelta(seconds=1)
    async with store.write(LINE) as tx:
        running = await store.builds.save(tx, build.to(BuildState.RUNNING, later))
    assert await store.builds.running(LINE) == running
    with pytest.raises(Lost, match="build 1"):
        async with store.write(LINE) as tx:
            await store.builds.save(tx, build.to(BuildState.CANCELLED, later))
    steps = [
        StepResult("setup", "setup", 0, 0.25, "out/1"),
        StepResult("t", "test", None, 3.5, "out/2", ODD),
    ]
    async with store.write(LINE) as tx:
        await store.builds.save_steps(tx, build.id, [steps[0]])
        await store.builds.save_steps(tx, build.id, steps)
        done = await store.builds.save(tx, running.to(BuildState.PASSED, later))
    assert await store.builds.steps(LINE, build.id) == steps
    assert await store.builds.passed_tree(LINE, "tree") == done == await store.builds.latest(LINE)
    assert await store.builds.get(LINE, 1) == done == await store.builds.of_revision(LINE, "b")
    assert await store.builds.times(LINE, 1) == (later, later)
    assert await store.builds.running(LINE) is None
    assert await store.builds.passed_tree(OTHER, "tree") is None


async def test_releases(store):
    release = Release("c" * 40, (Component("app", "d" * 64, 123, 4), Component("w", "e" * 64, 1, 1)), NOW)
    again = replace(release, components=(Component("app", "f" * 64, 9, 9),))
    async with store.write(LINE) as tx:
        kept = await store.releases.add(tx, release, configuration="cfg", archives={"app": "k/1"})
        assert (await store.releases.add(tx, release)).id == kept.id == 1
        other = await store.releases.add(tx, again)
    assert await store.releases.get(LINE, release.name) == kept
    assert await store.releases.get(LINE, "ccc") == other, "the newest of a revision"
    assert await store.releases.get(LINE, 1) == kept
    assert await store.releases.get(LINE, "") is None
    assert (await store.releases.kept(LINE, kept.name)).archives == {"app": "k/1"}
    async with store.write(LINE) as tx:
        await store.releases.mark_good(tx, kept.name)
        await store.releases.convict(tx, other.name, ODD, NOW)
    assert (await store.releases.get(LINE, 1)).good
    assert (await store.releases.get(LINE, 2)).convicted
    assert (await store.releases.kept(LINE, 2)).convicted_why == ODD
    assert [found.id for found in await store.releases.recent(LINE)] == [2, 1]
    assert [found.id for found in await store.releases.recent(LINE, good=True)] == [1]
    assert await store.releases.get(OTHER, 1) is None


async def test_a_push_comes_back_whole(store):
    whole = push(
        deadline=NOW + timedelta(seconds=9),
        phase=1,
        watch=3,
        watch_began=NOW,
        held_from=State.WATCHING,
        held_why=ODD,
        held_by="ann",
        stop=Stop(Cause.VERDICT, ODD, "leuko"),
        sentence=ODD,
        origin=Origin.HOTFIX,
        by="ann",
        why=ODD,
        started_at=NOW,
        at_once=True,
        rules=Rules(3, hold_back=True, unreachable_allowed=2),
    )
    async with store.write(LINE) as tx:
        made = await store.pushes.create(tx, whole, plan=PLAN, configuration="c1", base_configuration="c0")
    assert made == replace(whole, number=1)
    assert await store.pushes.get(LINE, 1) == made
    assert await store.pushes.plan(LINE, 1) == PLAN
    assert await store.pushes.configurations(LINE, 1) == ("c1", "c0")
    assert await store.pushes.get(LINE, 2) is None
    assert await store.pushes.plan(LINE, 2) is None


async def test_which_push_is_active_pending_live(store):
    async def make(state: State, release: str) -> Push:
        ended = NOW if state.ended else None
        async with store.write(LINE) as tx:
            return await store.pushes.create(tx, push(release, state, ended_at=ended), plan=PLAN)

    assert await store.pushes.live(LINE) is None
    live = await make(State.LIVE, "good")
    convicted = await make(State.LIVE, "bad-1111")
    await make(State.ROLLED_BACK, "x")
    stuck = await make(State.STUCK, "s")
    running = await make(State.WATCHING, "y")
    waiting = await make(State.PENDING, "z")
    assert await store.pushes.live(LINE) == convicted
    release = Release("bad", (Component("app", "1" * 64, 1, 1),), NOW)
    assert release.name == "bad-11111111"
    async with store.write(LINE) as tx:
        await store.releases.add(tx, release)
        await store.releases.convict(tx, release.name, "why", NOW)
    assert await store.pushes.live(LINE) == convicted, "another release"
    renamed = replace(convicted, release=release.name)
    async with store.write(LINE) as tx:
        await store.pushes.save(tx, renamed)
    assert await store.pushes.live(LINE) == live
    assert await store.pushes.active(LINE) == running
    assert await store.pushes.pending(LINE) == waiting == await store.pushes.latest(LINE)
    assert await store.pushes.unfinished(LINE) == [running, waiting]
    assert await store.pushes.stuck(LINE) == [stuck]
    assert [found.number for found in await store.pushes.recent(LINE, limit=2)] == [6, 5]
    assert [found.number for found in await store.pushes.recent(LINE, before=2)] == [1]
    assert await store.pushes.of_release(LINE, "y") == [running]
    assert await store.pushes.latest(OTHER) is None


async def test_rollbacks_per_day_has_every_day(store):
    for days, state in (
        (0, State.ROLLED_BACK),
        (0, State.STUCK),
        (0, State.LIVE),
        (29, State.ROLLED_BACK),
        (30, State.ROLLED_BACK),
    ):
        async with store.write(LINE) as tx:
            ended = push(state=state, ended_at=NOW - timedelta(days=days))
            await store.pushes.create(tx, ended, plan=PLAN)
    counted = await store.pushes.rollbacks_per_day(LINE, NOW)
    assert len(counted) == 30
    assert list(counted)[-1] == NOW.date()
    assert counted[NOW.date()] == 2
    assert counted[date(2026, 10, 25)] == 1
    assert sum(counted.values()) == 3


async def test_hosts_and_their_progress(store):
    hosts = [
        KnownHost("www-2", "www", reachable=False, since=NOW, clock_skew=-0.5, free_bytes=1 << 40),
        KnownHost("www-1", "www", "10.0.0.1", desired="r", facts={"kernel": ODD}),
        KnownHost("db-1", "db", pushed=False, quarantined=ODD, last_seen=NOW),
    ]
    async with store.write(LINE) as tx:
        await store.hosts.save(tx, hosts)
        await store.hosts.save(tx, [replace(hosts[1], running="r2")])
        await store.hosts.save(tx, [])
    known = await store.hosts.all(LINE)
    assert [host.name for host in known] == ["db-1", "www-1", "www-2"]
    assert known == [hosts[2], replace(hosts[1], running="r2"), hosts[0]]
    assert await store.hosts.get(LINE, "db-1") == hosts[2]
    async with store.write(LINE) as tx:
        await store.hosts.forget(tx, ["db-1"])
    assert await store.hosts.get(LINE, "db-1") is None

    nasty = "binary \x00 and half \ud83d of a pair"
    rows = [
        HostProgress(
            "www-1",
            "www",
            0,
            HostState.SWITCHED,
            "o-1",
            2,
            detail=ODD,
            output=nasty,
            at=NOW,
            not_before=NOW,
            switched_at=NOW,
            seconds=1.5,
            link_seconds=0.001,
        )
    ]
    rows += [HostProgress(f"www-{number}", "www", -1) for number in range(2, 9)]
    async with store.write(LINE) as tx:
        await store.hosts.save_progress(tx, 4, rows)
        await store.hosts.save_progress(tx, 4, [replace(rows[1], state=HostState.LEFT_OUT)])
    expected = [rows[0], replace(rows[1], state=HostState.LEFT_OUT), *rows[2:]]
    assert await store.hosts.progress(LINE, 4) == expected
    assert await store.hosts.progress(LINE, 5) == []


async def test_findings_keep_the_newest_of_each_phase(store):
    finding = Finding("errors", "www", "www", True, 0.5, float("inf"), ">5", 12.5, Decision.FAIL, False, ODD)
    blind = replace(finding, before=None, after=None, decision=Decision.CONTINUE, blind=True)
    for tick in range(65):
        async with store.write(LINE) as tx:
            verdict = Verdict(Decision.CONTINUE, f"tick {tick}", (finding, blind), tick, 60)
            await store.findings.save(tx, 1, 0, verdict, NOW + timedelta(seconds=tick))
    async with store.write(LINE) as tx:
        await store.findings.save(
            tx, 1, 1, Verdict(Decision.PASS, "other phase", (), 1, 1), NOW + timedelta(minutes=9)
        )
    newest = await store.findings.latest(LINE, 1, 0)
    assert newest.verdict == Verdict(Decision.CONTINUE, "tick 64", (finding, blind), 64, 60)
    assert (await store.findings.latest(LINE, 1)).phase == 1
    history = await store.findings.history(LINE, 1, 0)
    assert [judgement.verdict.ticks for judgement in history] == list(range(5, 65))
    assert await store.findings.latest(LINE, 2) is None


async def test_locks(store):
    lock = Lock("?", LockKind.PUSH, Severity.HARD, "leuko", ODD, NOW, None, 3, ("c" * 40, "d" * 40), "r-1")
    short = Lock("?", LockKind.COMMIT, Severity.WARN, "ann", "lunch", NOW, NOW + timedelta(hours=1))
    async with store.write(LINE) as tx:
        taken = await store.locks.take(tx, lock)
        warn = await store.locks.take(tx, short)
    async with store.write(OTHER) as tx:
        assert (await store.locks.take(tx, short)).id == "L1", "each line counts for itself"
    assert taken == replace(lock, id="L1")
    assert await store.locks.get(LINE, "l1") == taken
    assert await store.locks.get(LINE, "L9") is None
    assert await store.locks.get(LINE, "nonsense") is None
    assert await store.locks.held(LINE, None, NOW) == [warn, taken]
    assert await store.locks.held(LINE, LockKind.COMMIT, NOW + timedelta(hours=1)) == []
    async with store.write(LINE) as tx:
        await store.locks.release(tx, "L1", "ann", ODD, NOW)
    assert await store.locks.held(LINE, LockKind.PUSH, NOW) == []
    released = await store.locks.get(LINE, "L1")
    assert released == replace(taken, released_at=NOW, released_by="ann", released_why=ODD)
    assert await store.locks.blocking(LINE) == [released], "released, but it still blocks"
    with pytest.raises(Lost, match="lock L1"):
        async with store.write(LINE) as tx:
            await store.locks.release(tx, "L1", "bob", "too", NOW)
    async with store.write(LINE) as tx:
        await store.locks.forget(tx, "L1")
    assert await store.locks.blocking(LINE) == []
    assert [found.id for found in await store.locks.recent(LINE)] == ["L2", "L1"]


async def test_intents(store):
    wish = Intent(
        0, IntentKind.PROMOTE, "ann", ODD, NOW, NOW + timedelta(minutes=1), 3, "WATCHING", 7, {"x": [1, None]}
    )
    async with store.write(LINE) as tx:
        added = await store.intents.add(tx, wish)
        second = await store.intents.add(tx, wish)
    assert added == replace(wish, id=1)
    assert await store.intents.waiting(LINE) == [added, second]
    assert await store.intents.wait_news(LINE, 5) == [added, second]
    async with store.write(LINE) as tx:
        await store.intents.answer(tx, 1, IntentState.REFUSED, {"rule": ODD}, NOW)
    answered = await store.intents.wait_answer(LINE, 1, 5)
    assert answered == replace(added, state=IntentState.REFUSED, answer={"rule": ODD}, answered_at=NOW)
    with pytest.raises(Lost, match="intent 1"):
        async with store.write(LINE) as tx:
            await store.intents.answer(tx, 1, IntentState.ACCEPTED, {}, NOW)
    assert (await store.intents.wait_answer(LINE, 2, 0.05)).state is IntentState.WAITING
    assert await store.intents.wait_answer(LINE, 99, 5) is None
    assert await store.intents.wait_news(OTHER, 0.05) == []
    assert [found.id for found in await store.intents.recent(LINE)] == [2, 1]


async def test_operations(store):
    async with store.write(LINE) as tx:
        first = await store.operations.start(tx, "push", NOW, person="ann", revision="r", subject="push 1")
        await store.operations.start(tx, "lock", NOW)
    assert [row.id for row in await store.operations.unfinished(LINE)] == [2, 1]
    async with store.write(LINE) as tx:
        await store.operations.finish(tx, first, "LIVE", NOW + timedelta(seconds=90))
    with pytest.raises(Lost):
        async with store.write(LINE) as tx:
            await store.operations.finish(tx, first, "again", NOW)
    rows = await store.operations.recent(LINE)
    assert [(row.operation, row.outcome, row.seconds) for row in rows] == [
        ("lock", "", None),
        ("push", "LIVE", 90.0),
    ]
    assert await store.operations.unfinished(LINE, "push 1") == []
    assert [row.id for row in await store.operations.recent(LINE, before=2)] == [1]


async def test_configurations_and_overrides(store):
    resolved = {"b": [1, 2.5, None], "a": {"é": ODD}}
    async with store.write(LINE) as tx:
        digest = await store.configurations.keep(tx, resolved, NOW)
        assert await store.configurations.keep(tx, dict(reversed(resolved.items())), NOW) == digest
    assert await store.configurations.get(LINE, digest) == resolved
    assert await store.configurations.get(OTHER, digest) is None
    override = Override("errors", Limit(above=5.0, role="www"), "ann", ODD, NOW)
    async with store.write(LINE) as tx:
        await store.overrides.set(tx, override)
        await store.overrides.set(tx, replace(override, limit=Limit(above=9.0, role="www")))
        await store.overrides.set(tx, replace(override, limit=Limit(below=1.0)))
    limits = [found.limit for found in await store.overrides.all(LINE)]
    assert limits == [Limit(below=1.0), Limit(above=9.0, role="www")]
    async with store.write(LINE) as tx:
        assert await store.overrides.clear(tx, "errors", "host", "www")
        assert not await store.overrides.clear(tx, "errors", "host", "www")
    assert len(await store.overrides.all(LINE)) == 1


async def test_events_are_read_by_number_kind_and_subject(store):
    async with store.write(LINE) as tx:
        assert tx.event("push.state", "push 1", {"state": "LIVE", "n": [1]}, NOW) == 1
        assert tx.event("lock.taken", "L1", {}, NOW) == 2
        assert tx.event("push.state", "push 2", {}, NOW) == 3
    found = await store.events.after(LINE)
    assert [event.number for event in found] == [1, 2, 3]
    assert (found[0].data, found[0].at, found[0].line) == ({"state": "LIVE", "n": [1]}, NOW, LINE)
    assert [event.number for event in await store.events.after(LINE, 1, limit=1)] == [2]
    assert [event.number for event in await store.events.latest(LINE, kind="push.state")] == [3, 1]
    assert [event.number for event in await store.events.latest(LINE, subject="L1", before=3)] == [2]
    assert await store.events.last_number(LINE) == 3
    assert await store.events.last_number(OTHER) == 0


async def test_a_time_without_a_zone_is_refused(store):
    with pytest.raises(Exception, match="no time zone"):
        async with store.write(LINE) as tx:
            tx.event("x", "y", {}, datetime(2026, 1, 1))
    assert await store.events.after(LINE) == []
