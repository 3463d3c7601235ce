"""Tells people what they asked to be told: rollbacks, holds, stuck pushes, red builds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from leuko.domain.change import Change
from leuko.domain.push import Origin
from leuko.notify.port import Message, Notifier, Tone, send_all
from leuko.runtime.ground import Ground
from leuko.statistics.trends_sentences import place
from leuko.store.events import Event

log = structlog.get_logger(__name__)

TOLD_UPTO = "told"
"""Kind of the event that says up to which event people were told."""
FARTHEST = 10_000
"""Events that are looked through at most after a start."""
STALE = timedelta(hours=6)
"""What is older is no news to anybody."""
TOLD = {
    "LIVE": ("live", Tone.SUCCESS),
    "ROLLED_BACK": ("rolled_back", Tone.FAILURE),
    "HELD": ("held", Tone.WARNING),
    "STUCK": ("stuck", Tone.FAILURE),
}


@dataclass
class Messenger:
    """Follows the events from where the last one stopped: what was sent is an event itself.

    So a controller that dies between what happened and its message loses none; one that dies just after a
    message may send it twice.
    """

    ground: Ground
    notifiers: Sequence[Notifier]
    address: str = ""
    """Where the console is, for the links."""

    async def run(self) -> None:
        """Until cancelled."""
        if not self.notifiers:
            return
        async for event in self.ground.store.events.follow(self.ground.line, await self.begin()):
            message = await self.message(event)
            if message is None or message.event not in self.ground.configuration.notify.on:
                continue
            if self.ground.clock.now() - event.at <= STALE:
                for delivery in await send_all(self.notifiers, message):
                    if not delivery.ok:
                        log.warning("a message did not go out", via=delivery.via, reason=delivery.reason)
            await self._note(event.number)

    async def begin(self) -> int:
        """The number of the event that was told last. Nothing before the very first start is ever told."""
        store, line = self.ground.store, self.ground.line
        newest = await store.events.last_number(line)
        told = await store.events.latest(line, kind=TOLD_UPTO, limit=1)
        if not told:
            await self._note(newest)
            return newest
        return max(int(told[0].data["event"]), newest - FARTHEST)

    async def _note(self, number: int) -> None:
        async with self.ground.write() as tx:
            tx.event(TOLD_UPTO, TOLD_UPTO, {"event": number}, self.ground.clock.now())

    async def message(self, event: Event) -> Message | None:
        """What this event means to people; None for most."""
        data = event.data
        match event.kind:
            case "build" if data.get("to") == "failed":
                said = await self._of_build(event)
                return self._message("build_failed", Tone.FAILURE, "build failed", said)
            case "culprit" | "revert":
                return self._of_tests(event)
            case "push" | "push.spared":
                return self._of_pushes(event)
            case "trend" if data.get("to") in ("found", "worse"):
                return self._of_trend(event)
            case "detector":
                return self._of_detector(event)
            case _:
                return None

    def _of_pushes(self, event: Event) -> Message | None:
        data = event.data
        if event.kind == "push.spared":
            title, said = f"{event.subject} goes on, observed", str(data.get("reason"))
            return self._message("observed", Tone.WARNING, title, said, f"pushes/{data.get('push')}")
        return self._of_push(event) if data.get("to") in TOLD and "from" in data else None

    def _of_trend(self, event: Event) -> Message:
        data = event.data
        what = "slow failure" if data["to"] == "found" else "slow failure gets worse"
        title = f"{what}: {place(str(data.get('gauge')), str(data.get('subject')))}"
        return self._message("trend", Tone.WARNING, title, str(data.get("reason")), "trends")

    def _of_detector(self, event: Event) -> Message:
        if event.data.get("ok"):
            told = str(event.data.get("tally"))
            return self._message("detector", Tone.SUCCESS, "the verdict keeps its promise again", told)
        reason = str(event.data.get("reason"))
        return self._message("detector", Tone.FAILURE, "the verdict is wrong too often", reason)

    def _of_tests(self, event: Event) -> Message | None:
        to = event.data.get("to")
        if event.kind == "culprit":
            return self._of_culprit(event) if to in ("found", "ended") else None
        return self._of_revert(event) if to in ("landed", "refused") else None

    def _of_culprit(self, event: Event) -> Message:
        """To whoever broke it, by name and address: who is told reads whom it is about."""
        data = event.data
        named = [f"{one['author']} <{one['email']}>" for one in data.get("culprits", ()) if one.get("email")]
        body = f"{data.get('reason')}\nFor: {', '.join(named)}" if named else str(data.get("reason"))
        found = data["to"] == "found"
        title = "the culprit of a red build is found" if found else "a red build without a culprit"
        culprits = data.get("culprits") or [{}]
        page = f"changes/{culprits[0]['revision']}" if culprits[0] else ""
        return self._message("culprit", Tone.FAILURE if found else Tone.WARNING, title, body, page)

    def _of_revert(self, event: Event) -> Message:
        data = event.data
        what = f"revert of {str(data.get('of'))[:12]}"
        if data["to"] == "refused":
            title, tone, body = f"the {what} did not land", Tone.WARNING, str(data.get("reason"))
        else:
            how = "by itself, as configured" if data.get("automatic") else f"by {data.get('by')}"
            title, tone, body = f"the {what} landed", Tone.SUCCESS, f"{str(data.get('revision'))[:12]}, {how}"
        return self._message("culprit", tone, title, body, f"changes/{data.get('of')}")

    def _of_push(self, event: Event) -> Message | None:
        data = event.data
        if data.get("origin") == Origin.DRILL and data["to"] != "STUCK":
            return None  # nobody is to be woken by a drill
        kind, tone = TOLD[str(data["to"])]
        title = f"{event.subject} is {kind.replace('_', ' ')}"
        body = str(data.get("reason") or f"revision {str(data.get('revision'))[:12]}")
        return self._message(kind, tone, title, body, f"pushes/{data.get('push')}")

    async def _of_build(self, event: Event) -> str:
        revision = str(event.data.get("revision", ""))
        landed = await self.ground.store.changes.get(self.ground.line, revision)
        change: Change | None = landed.change if landed else None
        who = f' "{change.subject}" by {change.author}' if change else ""
        return f"{revision[:12]}{who}: {event.data.get('reason')}"

    def _message(self, event: str, tone: Tone, title: str, body: str, page: str = "") -> Message:
        line = self.ground.line
        url = f"{self.address}/{line}/{page}" if self.address else ""
        return Message(event, str(line), f"{line}: {title}", body, tone, url)
