"""A person takes a flaky test out of the count for a while, or puts it back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from leuko.domain.case import Case
from leuko.domain.errors import Refused
from leuko.domain.intent import Intent
from leuko.domain.quarantine import LONGEST, USUAL, Quarantine
from leuko.runtime.ground import Ground

_SHOWN = 5


async def quarantine(ground: Ground, intent: Intent) -> Mapping[str, Any]:
    """Begins or ends one; who and why are kept."""
    arguments = intent.arguments
    said = Case.parsed(str(arguments.get("test", "")))
    if arguments.get("end"):
        return await _end(ground, intent, said)
    case = await _known(ground, said)
    days = float(arguments.get("days") or USUAL / timedelta(days=1))
    if not 0 < days <= LONGEST / timedelta(days=1):
        raise Refused(
            f"should last more than 0 and at most {LONGEST.days} days, not {days:g}",
            where="days",
            way_out="a test that nobody mends in that time is better taken out",
            code="P061",
        )
    now = ground.clock.now()
    owner = str(arguments.get("owner") or "").strip() or _owner(ground, case) or intent.by
    wanted = Quarantine(0, case, owner, intent.why, intent.by, now, now + timedelta(days=days))
    async with ground.write() as tx:
        made = await ground.store.quarantines.add(tx, wanted)
        facts = {
            "test": str(case),
            "owner": owner,
            "until": made.until.isoformat(),
            "by": intent.by,
            "why": intent.why,
        }
        tx.event("quarantine", str(case)[:200], facts | {"to": "held"}, now)
    return {"test": str(case), "owner": owner, "until": made.until.isoformat(), "id": made.id}


async def _end(ground: Ground, intent: Intent, said: Case) -> Mapping[str, Any]:
    now = ground.clock.now()
    holding = [one.case for one in await ground.store.quarantines.holding(ground.line, now)]
    meant = [
        case
        for case in holding
        if (case.file, case.name) == (said.file, said.name) and said.suite in ("", case.suite)
    ]
    if len(meant) != 1:
        names = ", ".join(str(case) for case in (meant or holding)[:_SHOWN]) or "none"
        raise Refused(
            f"{said.file}::{said.name} is in several suites" if meant else f"{_shown(said)} is not held",
            where="test",
            way_out=f"in quarantine are: {names}",
            code="P062",
        )
    async with ground.write() as tx:
        await ground.store.quarantines.end(tx, meant[0], now, intent.by, intent.why)
        facts = {"test": str(meant[0]), "to": "ended", "by": intent.by, "why": intent.why}
        tx.event("quarantine", str(meant[0])[:200], facts, now)
    return {"test": str(meant[0]), "ended": True}


async def _known(ground: Ground, said: Case) -> Case:
    """A name with a typing error would hold nothing, and look as if it did."""
    found = await ground.store.cases.named(ground.line, said.file, said.name, said.suite)
    if len(found) == 1:
        return found[0]
    if found:
        raise Refused(
            "is in several suites: say which",
            where=_shown(said),
            way_out=", ".join(f'"{case}"' for case in found[:_SHOWN]),
            code="P060",
        )
    text = said.name.rpartition("::")[2] or said.file.rpartition("/")[2]
    near = await ground.store.cases.pasts(ground.line, text=text, limit=_SHOWN)
    names = ", ".join(f'"{past.case}"' for past in near)
    raise Refused(
        "no build had such a test",
        where=_shown(said),
        way_out=f"near it are: {names}" if names else "`leuko tests` lists those that are known",
        code="P060",
    )


def _owner(ground: Ground, case: Case) -> str:
    suite = ground.configuration.verify.suites.get(case.suite)
    return suite.owner if suite is not None else ""


def _shown(case: Case) -> str:
    return (str(case) if case.suite else str(case).removeprefix(": "))[:200] or "test"
