"""What people ask to be pushed: a revision, a hotfix, one more try; and what such a push would do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from leuko.domain.build import BuildState
from leuko.domain.errors import Refused
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.push import Origin, Push, State
from leuko.domain.release import Release
from leuko.runtime.admission import Overrides
from leuko.runtime.builder import Builder
from leuko.runtime.ground import Ground
from leuko.runtime.hotfixes import Hotfixes
from leuko.runtime.planning import Planner
from leuko.runtime.queue import Queue
from leuko.store.records import to_json
from leuko.vcs.mirror import Mirror

RECENT = 100
Answer = Mapping[str, Any]


@dataclass
class Requests:
    """Of one line."""

    ground: Ground
    queue: Queue
    planner: Planner
    builder: Builder
    mirror: Mirror
    hotfixes: Hotfixes
    look: Callable[[], Awaitable[object]]
    """Looks at the branch now."""

    async def verify(self, intent: Intent) -> Answer:
        """Has a revision verified, without pushing it."""
        revision = await self._revision(str(intent.arguments.get("revision", "")))
        return {"build": (await self.builder.request(revision)).id, "revision": revision}

    async def push(self, intent: Intent) -> Answer:
        """A push of the revision that is named, else of the newest; verified first where it is not yet."""
        named = str(intent.arguments.get("revision", ""))
        if not named:
            await self.look()  # whoever pushed to the branch a moment ago means that
        revision = await self._revision(named)
        await self._refuse_live(revision, named=bool(named))
        under_way = await self._under_way(revision, intent)
        if under_way is not None:
            return {"push": under_way.number, "state": under_way.state.value}
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

    async def _under_way(self, revision: str, intent: Intent) -> Push | None:
        """The push that carries it already, as continuous delivery often does: a second one would only wait.

        Who overrides something means more than that push does.
        """
        pushes, line = self.ground.store.pushes, self.ground.line
        if any(value for name, value in intent.arguments.items() if name != "revision"):
            return None
        for push in (await pushes.active(line), await pushes.pending(line)):
            going_back = push is not None and push.state is State.ROLLING_BACK
            if push is not None and push.revision == revision and not going_back:
                return push
        return None

    async def _refuse_live(self, revision: str, *, named: bool) -> None:
        """Pushing what runs by mistake would look like a success of something else."""
        live = await self.ground.store.pushes.live(self.ground.line)
        if live is not None and live.revision == revision and not named:
            raise Refused(
                f"the newest change, {revision[:12]}, is live already (push {live.number})",
                where=str(self.ground.line),
                way_out="name a revision to push another one, or this one again",
                code="P016",
            )

    async def _verify_first(self, revision: str) -> Answer:
        """The push follows by itself once it is green: `to_follow_up` finds this answer.

        A build that passed a moment ago may not have its release yet: that is no refusal either.
        """
        build = await self.ground.store.builds.of_revision(self.ground.line, revision)
        if build is not None and build.state.ended and build.state is not BuildState.PASSED:
            if build.state is not BuildState.BROKEN:
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

    async def to_follow_up(self) -> list[tuple[Intent, Release]]:
        """Accepted pushes and hotfixes that waited for a release which is there now, oldest first."""
        store, line = self.ground.store, self.ground.line
        waited = [
            intent
            for intent in await store.intents.recent(line, limit=RECENT)
            if intent.kind in (IntentKind.PUSH, IntentKind.HOTFIX)
            and intent.state is IntentState.ACCEPTED
            and intent.answer.get("state") == "verifying"
        ]
        if not waited:
            return []
        told = await store.events.latest(line, kind="push.refused", limit=RECENT)
        refused = {event.data.get("intent") for event in told}
        found = []
        for intent in reversed(waited):
            release = await store.releases.get(line, str(intent.answer.get("revision", "")))
            if release is None or intent.id in refused:
                continue
            pushes = await store.pushes.of_release(line, release.name)
            if not any(push.created_at >= intent.at for push in pushes):
                found.append((intent, release))
        return found

    async def hotfix(self, intent: Intent) -> Answer:
        """What is live and one commit more, verified and pushed as usual."""
        commit, revision, warning = await self.hotfixes.pick(str(intent.arguments.get("commit", "")))
        release = await self.ground.store.releases.get(self.ground.line, revision)
        more = {"commit": commit, "warning": warning}
        if release is None:
            return {**await self._verify_first(revision), **more}
        overrides = overrides_of(intent)
        push = await self.queue.propose(release, Origin.HOTFIX, intent.by, intent.why, overrides=overrides)
        return {"revision": revision, "push": push.number, "state": push.state.value, **more}

    async def plan(self, intent: Intent) -> Answer:
        """What a push would do. Raises Refused before there is a release."""
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

    async def retry(self, intent: Intent) -> Answer:
        """Once more what was taken back or cancelled: the push that is named, else the newest of those."""
        pushes, line = self.ground.store.pushes, self.ground.line
        number = intent.push or intent.arguments.get("push")
        push = await pushes.get(line, _number(number)) if number else None
        if push is None and not number:
            ended = [one for one in await pushes.recent(line, limit=50) if one.state.ended]
            ended = [one for one in ended if one.origin is not Origin.DRILL]
            push = next((one for one in ended if one.state is not State.LIVE), None)
            await self._refuse_retried(push)
        release = await self.ground.store.releases.get(line, push.release) if push else None
        if push is None or release is None:
            raise Refused(
                "there is no push to try again",
                where=str(line),
                way_out="`leuko log` lists pushes by number; `leuko push REVISION` makes one",
                code="P008",
            )
        _refuse_unended(push)
        overrides = Overrides(blocks=intent.why or f"retry of {push.name}", window=True)
        new = await self.queue.propose(
            release, Origin.RETRY, intent.by, intent.why, first=push.base is None, overrides=overrides
        )
        return {"push": new.number, "state": new.state.value, "of": push.number}

    async def _refuse_retried(self, push: Push | None) -> None:
        """Nobody named it: a second `retry` must not push again what the first one made live."""
        live = await self.ground.store.pushes.live(self.ground.line)
        if push is not None and live is not None and live.release == push.release:
            raise Refused(
                f"what {push.name} carried is live with {live.name}",
                where=str(self.ground.line),
                way_out=f"`leuko retry {push.number}` pushes it all the same",
                code="P008",
            )

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


def _refuse_unended(push: Push) -> None:
    if push.origin in (Origin.ROLLBACK, Origin.DRILL):
        way = "`leuko rollback` or `leuko drill` asks for another"
    elif not push.state.ended:
        way = "`leuko status --follow` follows it; it can be tried again when it has ended"
    elif push.state is State.LIVE:
        way = f"`leuko push {push.revision[:12]}` pushes it once more"
    else:
        return
    raise Refused(f"{push.name} is {push.state}", where=str(push.line), way_out=way, code="P008")


def _number(value: object) -> int:
    if not str(value).isdecimal():
        raise Refused(
            f"a push is named by its number, not by {value!r}",
            way_out="`leuko log` lists them",
            code="P014",
        )
    return int(str(value))


def overrides_of(intent: Intent) -> Overrides:
    """What the author of a push said to override."""
    arguments = intent.arguments
    return Overrides(
        blocks=str(arguments.get("override_blocks", "")),
        window=bool(arguments.get("override_window", False)),
        approved=bool(arguments.get("approve", False)),
        limits=str(arguments.get("override_limits", "")),
        observe=bool(arguments.get("observe", False)),
    )
