"""Obeys intents: each ends accepted, refused with the reason, or expired; none is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from leuko.domain.change import Change
from leuko.domain.errors import LeukoError, Refused
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.lock import Lock, LockKind, Severity
from leuko.domain.push import (
    Abort,
    Hold,
    Origin,
    Promote,
    Push,
    Resume,
    RollBack,
    State,
    advance,
    begin_back,
)
from leuko.domain.push import Intent as PushIntent
from leuko.domain.release import Release
from leuko.domain.rollout import HostProgress, HostState, again
from leuko.runtime.admission import Overrides
from leuko.runtime.builder import Builder
from leuko.runtime.ground import Ground
from leuko.runtime.planning import Planner
from leuko.runtime.queue import Queue
from leuko.runtime.saving import background, convict, operation_name, save
from leuko.store.records import to_json
from leuko.vcs.hotfix import cherry_pick
from leuko.vcs.mirror import Mirror

Answer = Mapping[str, Any]


@dataclass
class Obeying:
    """Of one line. `adopt` and `poke` are done by others: they are handed over."""

    ground: Ground
    queue: Queue
    planner: Planner
    builder: Builder
    mirror: Mirror
    adopt: Callable[[Intent], Awaitable[Answer]]
    poke: Callable[[], None]

    async def step(self) -> int:
        """Answers every waiting intent; returns how many there were."""
        waiting = await self.ground.store.intents.waiting(self.ground.line)
        for intent in waiting:
            await self._answer(intent)
        if waiting:
            self.ground.bell.ring()
        return len(waiting)

    async def _answer(self, intent: Intent) -> None:
        if self.ground.clock.now() >= intent.expires_at:
            await self._end(intent, IntentState.EXPIRED, {"rule": "nobody obeyed it in time"})
            return
        try:
            answer = await self._obey(intent)
        except LeukoError as error:
            await self._end(intent, IntentState.REFUSED, refusal(error))
            return
        await self._end(intent, IntentState.ACCEPTED, answer)

    async def _obey(self, intent: Intent) -> Answer:
        ways: Mapping[IntentKind, Callable[[Intent], Awaitable[Answer]]] = {
            IntentKind.ABORT: self._direct,
            IntentKind.HOLD: self._direct,
            IntentKind.RESUME: self._direct,
            IntentKind.PROMOTE: self._direct,
            IntentKind.ROLLBACK: self._roll_back,
            IntentKind.PUSH: self._push,
            IntentKind.HOTFIX: self._hotfix,
            IntentKind.PLAN: self._plan,
            IntentKind.RETRY: self._retry,
            IntentKind.LOCK: self._lock,
            IntentKind.UNLOCK: self._unlock,
            IntentKind.ADOPT: self.adopt,
            IntentKind.VERIFY: self._verify,
            IntentKind.POKE: self._poke,
        }
        return await ways[intent.kind](intent)

    async def _verify(self, intent: Intent) -> Answer:
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        return {"build": (await self.builder.request(revision)).id, "revision": revision}

    async def _poke(self, _intent: Intent) -> Answer:
        self.poke()
        return {}

    # -- about the push that runs -----------------------------------------------------------------------

    async def _direct(self, intent: Intent) -> Answer:
        push = await self._meant(intent)
        _check_fresh(intent, push)
        event = _event(intent)
        if isinstance(event, Resume) and push.held_from in (State.SWITCHING, State.COMPLETING):
            await self._try_left_out_again(push)
        after = await self._advance(push, event)
        return {"push": after.number, "state": after.state.value}

    async def _meant(self, intent: Intent) -> Push:
        pushes, line = self.ground.store.pushes, self.ground.line
        if intent.push is not None:
            push = await pushes.get(line, intent.push)
        else:
            push = await pushes.active(line) or await pushes.pending(line)
        if push is None:
            raise Refused(
                "no push is running" if intent.push is None else f"there is no push {intent.push}",
                where=str(line),
                way_out="`leuko status` shows what runs",
                code="P002",
            )
        return push

    async def _advance(self, push: Push, event: PushIntent) -> Push:
        now = self.ground.clock.now()
        known = await background(self.ground, push)
        after = advance(push, event, now)
        async with self.ground.write() as tx:
            facts = {"push": push.number, "by": event.by, "why": event.why, "intent": type(event).__name__}
            tx.event("intent", push.name, facts, now)
            return await save(self.ground, tx, push, after, known, now)

    async def _try_left_out_again(self, push: Push) -> None:
        rows = await self.ground.store.hosts.progress(self.ground.line, push.number)
        left_out = [again(row) for row in rows if row.state is HostState.LEFT_OUT]
        async with self.ground.write() as tx:
            await self.ground.store.hosts.save_progress(tx, push.number, left_out)

    async def _roll_back(self, intent: Intent) -> Answer:
        store, line = self.ground.store, self.ground.line
        wanted = str(intent.arguments.get("revision", ""))
        at_once = bool(intent.arguments.get("now", False))
        active = await store.pushes.active(line) or await store.pushes.pending(line)
        if active is not None:
            if wanted and not active.revision.startswith(wanted) and active.base != wanted:
                raise Refused(
                    f"{active.name} is {active.state}; going to {wanted} has to wait for its end",
                    where=str(line),
                    way_out="`leuko rollback` without a revision takes it back now",
                    code="P003",
                )
            after = await self._advance(active, RollBack(intent.by, intent.why, at_once))
            return {"push": after.number, "state": after.state.value}
        push = await self._roll_back_live(wanted, intent, at_once=at_once)
        return {"push": push.number, "state": push.state.value}

    async def _roll_back_live(self, wanted: str, intent: Intent, *, at_once: bool) -> Push:
        """A push that starts going back at once; what was live in between is convicted, too."""
        store, line = self.ground.store, self.ground.line
        live = await store.pushes.live(line)
        if live is None:
            raise Refused("nothing is live", where=str(line), way_out="`leuko log`", code="P004")
        passed = await self._lives_since(live, wanted)
        if not passed:
            raise Refused(
                f"no earlier release {wanted or 'that was live and good'} is known",
                where=str(line),
                way_out="`leuko log` lists what was live",
                code="P005",
            )
        target = passed[-1]
        draft = await self.planner.rollback(live, target, intent.by, intent.why)
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            push = await self.planner.keep(tx, draft)
            rows = [
                HostProgress(host.name, host.role, host.phase, HostState.SWITCHED, switched_at=now)
                for host in draft.plan.hosts
            ]
            await store.hosts.save_progress(tx, push.number, rows)
            after = begin_back(push, RollBack(intent.by, intent.why, at_once), now)
            saved = await store.pushes.save(tx, after)
            for between in passed[:-1]:
                await store.releases.convict(tx, between.release, f"rolled back past it by {intent.by}", now)
            await convict(self.ground, tx, saved, draft.plan.commits, now)
            facts = {"push": push.number, "to": saved.state.value, "by": intent.by, "why": intent.why}
            tx.event("push", saved.name, facts, now)
            name = operation_name(saved)
            revision = target.revision
            await store.operations.start(
                tx, name, now, person=intent.by, revision=revision, subject=saved.name
            )
        return saved

    async def _lives_since(self, live: Push, wanted: str) -> list[Push]:
        """Pushes that were LIVE and good before `live`, newest first, up to the one wanted (or the first)."""
        store, line = self.ground.store, self.ground.line
        found: list[Push] = []
        for push in await store.pushes.recent(line, limit=500):
            if push.state is not State.LIVE or push.number >= live.number or push.release == live.release:
                continue
            release = await store.releases.get(line, push.release)
            if release is None or (release.convicted and not wanted):
                continue
            found.append(push)
            if not wanted or wanted == push.release or push.revision.startswith(wanted):
                return found
        return []

    # -- new pushes -------------------------------------------------------------------------------------

    async def _push(self, intent: Intent) -> Answer:
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        release = await self.ground.store.releases.get(self.ground.line, revision)
        if release is None:
            return await self._verify_first(revision)
        push = await self.queue.propose(
            release,
            Origin.PERSON,
            intent.by,
            intent.why,
            first=bool(intent.arguments.get("first", False)),
            overrides=overrides_of(intent),
        )
        return {"push": push.number, "state": push.state.value}

    async def _verify_first(self, revision: str) -> Answer:
        """The push follows by itself once it is green: `followed_up` finds this answer."""
        build = await self.ground.store.builds.of_revision(self.ground.line, revision)
        if build is not None and build.state.ended:
            if build.state.value != "broken":
                raise Refused(
                    f"{revision[:12]} is {build.state}: {build.reason}",
                    where=f"build {build.id}",
                    way_out=f"`leuko log {revision[:12]}` shows its output; `leuko push` of a green one goes",
                    code="P006",
                )
            build = None
        if build is None:
            build = await self.builder.request(revision)
        return {"revision": revision, "state": "verifying", "build": build.id}

    async def followed_up(self, release: Release) -> Intent | None:
        """The accepted push or hotfix that waited for this release, and was not followed up yet."""
        pushes = await self.ground.store.pushes.of_release(self.ground.line, release.name)
        for intent in await self.ground.store.intents.recent(self.ground.line, limit=100):
            if (
                intent.kind in (IntentKind.PUSH, IntentKind.HOTFIX)
                and intent.state is IntentState.ACCEPTED
                and intent.answer.get("state") == "verifying"
                and intent.answer.get("revision") == release.revision
                and not any(push.created_at >= intent.at for push in pushes)
            ):
                return intent
        return None

    async def _hotfix(self, intent: Intent) -> Answer:
        live = await self.ground.store.pushes.live(self.ground.line)
        if live is None:
            raise Refused("nothing is live to put a hotfix on", where=str(self.ground.line), code="P004")
        commit = await self._revision(str(intent.arguments.get("commit", "")))
        revision = await cherry_pick(self.mirror, live.revision, commit)
        change = await self.mirror.history.landing(revision)
        await self._know(change)
        answer = await self._verify_first(revision)
        return {**answer, "commit": commit, "warning": "a hotfix: it is not on the branch yet"}

    async def _know(self, change: Change) -> None:
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            tx.event("hotfix", change.revision, {"revision": change.revision, "subject": change.subject}, now)

    async def _plan(self, intent: Intent) -> Answer:
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        release = await self.ground.store.releases.get(self.ground.line, revision)
        if release is None:
            raise Refused(
                f"{revision[:12]} has no release yet: it is not verified, or not green",
                where=str(self.ground.line),
                way_out="`leuko status` shows what is verified; `leuko push` verifies it first",
                code="P007",
            )
        base = await self.planner.base()
        draft = await self.planner.draft(release, Origin.PERSON, intent.by, intent.why, first=base is None)
        return {
            "release": release.name,
            "revision": revision,
            "base": draft.push.base,
            "plan": to_json(draft.plan),
        }

    async def _retry(self, intent: Intent) -> Answer:
        pushes, line = self.ground.store.pushes, self.ground.line
        number = intent.push or intent.arguments.get("push")
        push = await pushes.get(line, int(number)) if number else None
        if push is None and not number:
            ended = [one for one in await pushes.recent(line, limit=50) if one.state.ended]
            push = next((one for one in ended if one.state is not State.LIVE), None)
        release = await self.ground.store.releases.get(line, push.release) if push else None
        if push is None or release is None:
            raise Refused("there is no push to try again", where=str(line), code="P008")
        if not push.state.ended or push.state is State.LIVE or push.origin is Origin.ROLLBACK:
            raise Refused(f"{push.name} is {push.state}", where=str(line), code="P008")
        overrides = Overrides(blocks=intent.why or f"retry of {push.name}", window=True)
        new = await self.queue.propose(
            release, Origin.RETRY, intent.by, intent.why, first=push.base is None, overrides=overrides
        )
        return {"push": new.number, "state": new.state.value, "of": push.number}

    async def _revision(self, name: str) -> str:
        """A full revision; the newest green one, or else the branch's head, where no name is given."""
        if name:
            return await self.mirror.history.resolve(name)
        latest = await self.ground.store.changes.latest(self.ground.line, concerning=True)
        if latest is None:
            raise Refused(
                "no change has been seen on the branch yet",
                where=str(self.ground.line),
                way_out="`leuko why` says whether the repository can be reached",
                code="P009",
            )
        return latest.revision

    # -- locks ------------------------------------------------------------------------------------------

    async def _lock(self, intent: Intent) -> Answer:
        arguments, now = intent.arguments, self.ground.clock.now()
        expires = arguments.get("expires_in")
        lock = Lock(
            id="",
            kind=LockKind(arguments.get("kind", "push")),
            severity=Severity(arguments.get("severity", "hard")),
            owner=intent.by,
            reason=intent.why or "no reason given",
            since=now,
            expires_at=now + timedelta(seconds=float(expires)) if expires else None,
        )
        async with self.ground.write() as tx:
            taken = await self.ground.store.locks.take(tx, lock)
            facts = {"lock": taken.id, "kind": taken.kind, "severity": taken.severity}
            tx.event("lock", taken.id, facts | {"owner": taken.owner, "reason": taken.reason}, now)
            number = await self.ground.store.operations.start(
                tx, f"Take {taken.kind} lock", now, person=intent.by, subject=taken.id
            )
            await self.ground.store.operations.finish(tx, number, taken.reason, now)
        return {"lock": taken.id}

    async def _unlock(self, intent: Intent) -> Answer:
        named, now = str(intent.arguments.get("lock", "")), self.ground.clock.now()
        held = await self.ground.store.locks.held(self.ground.line, None, now)
        chosen = [
            lock for lock in held if named.upper() == lock.id or named.lower() in ("all", lock.kind.value)
        ]
        if not chosen:
            shown = ", ".join(f"{lock.id} ({lock.kind})" for lock in held) or "none"
            raise Refused(f"no lock {named!r} is held", way_out=f"held now: {shown}", code="L001")
        forget = bool(intent.arguments.get("forget", False))
        async with self.ground.write() as tx:
            for lock in chosen:
                await self.ground.store.locks.release(tx, lock.id, intent.by, intent.why, now, forget=forget)
                facts = {"lock": lock.id, "by": intent.by, "why": intent.why, "forget": forget}
                tx.event("unlock", lock.id, facts, now)
                number = await self.ground.store.operations.start(
                    tx, f"Release {lock.kind} lock", now, person=intent.by, subject=lock.id
                )
                await self.ground.store.operations.finish(tx, number, intent.why or lock.id, now)
        return {"lock": chosen[0].id, "locks": [lock.id for lock in chosen]}

    async def _end(self, intent: Intent, state: IntentState, answer: Answer) -> None:
        now = self.ground.clock.now()
        async with self.ground.write() as tx:
            await self.ground.store.intents.answer(tx, intent.id, state, answer, now)


def overrides_of(intent: Intent) -> Overrides:
    """What the author of a push said to override."""
    arguments = intent.arguments
    return Overrides(
        blocks=str(arguments.get("override_blocks", "")),
        window=bool(arguments.get("override_window", False)),
        approved=bool(arguments.get("approve", False)),
    )


def refusal(error: LeukoError) -> dict[str, str]:
    """As the API and the CLI show it."""
    return {"rule": error.rule, "where": error.where, "way_out": error.way_out, "code": error.code}


def _check_fresh(intent: Intent, push: Push) -> None:
    """Letting a push go on by an old picture of it is refused; stopping it never is."""
    if intent.kind not in (IntentKind.PROMOTE, IntentKind.RESUME) or not intent.seen_state:
        return
    if intent.seen_state != push.state.value or intent.seen_version not in (None, push.version):
        raise Refused(
            f"{push.name} is {push.state} now, and was {intent.seen_state} when you looked",
            where=str(push.line),
            way_out="look at it again, and decide again",
            code="P013",
        )


def _event(intent: Intent) -> PushIntent:
    match intent.kind:
        case IntentKind.ABORT:
            return Abort(intent.by, intent.why)
        case IntentKind.HOLD:
            return Hold(intent.by, intent.why)
        case IntentKind.RESUME:
            return Resume(intent.by, intent.why)
        case _:
            return Promote(intent.by, intent.why)
