"""What people say of the verdict's stops, and the alarm of the detector on itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leuko.config.quantities import portion
from leuko.domain.errors import Refused
from leuko.domain.intent import Intent
from leuko.domain.push import Cause, Push
from leuko.domain.tally import Tally
from leuko.runtime.ground import Ground
from leuko.store.marks import Mark

DETECTOR = "detector"
"""Kind and subject of the event."""


async def mark(ground: Ground, intent: Intent) -> Mapping[str, Any]:
    """A person says whether a stop was right; the newest word counts."""
    number, correct = intent.arguments.get("push"), bool(intent.arguments.get("correct", True))
    push = await ground.store.pushes.get(ground.line, int(number or 0))
    if push is None or not push.state.ended or not stopped_by_verdict(push):
        what = "there is no such push" if push is None else f"{push.name} was not stopped by the verdict"
        raise Refused(
            what,
            where=str(ground.line),
            way_out="`leuko log` lists pushes; what a verdict rolled back, or would have, can be marked",
            code="P040",
        )
    now = ground.clock.now()
    async with ground.write() as tx:
        await ground.store.marks.set(tx, Mark(push.number, correct, intent.by, intent.why, now))
        facts = {"push": push.number, "correct": correct, "by": intent.by, "why": intent.why}
        tx.event("mark", push.name, facts, now)
        word = "true" if correct else "false"
        done = await ground.store.operations.start(
            tx, f"Mark as {word}", now, person=intent.by, revision=push.revision, subject=push.name
        )
        await ground.store.operations.finish(tx, done, intent.why or word, now)
    found = await look(ground)
    return {"push": push.number, "correct": correct, "tally": found.sentence, "alarms": list(found.alarms)}


def stopped_by_verdict(push: Push) -> bool:
    """Or would have been, had it not only observed. A drill's fault was there: nobody need say so."""
    if push.rules.drill:
        return False
    return bool(push.spared) or (push.stop is not None and push.stop.cause is Cause.VERDICT)


async def tally(ground: Ground) -> Tally:
    """As it stands."""
    return await ground.store.tallies.count(ground.line, portion(ground.configuration.push.false_rollbacks))


async def look(ground: Ground) -> Tally:
    """Counts anew; tells when the verdict begins to be wrong more often than it promises, or ceases to."""
    found = await tally(ground)
    told = await ground.store.events.latest(ground.line, kind=DETECTOR, limit=1)
    alarmed = bool(told) and told[0].data.get("ok") is False
    if bool(found.alarms) != alarmed:
        now = ground.clock.now()
        async with ground.write() as tx:
            facts = {"ok": not found.alarms, "reason": "; ".join(found.alarms), "tally": found.sentence}
            tx.event(DETECTOR, DETECTOR, facts, now)
    return found
