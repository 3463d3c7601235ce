"""Intents as they come in: checked, stored, waited for."""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import msgspec

from leuko.domain.errors import LeukoError
from leuko.domain.intent import Intent, IntentKind, IntentState
from leuko.domain.line import Line
from leuko.store.store import Store
from leuko.web.failures import NotThere

LONGEST = 2000
"""Characters of a reason, or of any other argument."""
GRACE = timedelta(seconds=30)
"""How long after its author stopped waiting an intent may still be obeyed."""

ARGUMENTS: Mapping[IntentKind, Mapping[str, type]] = {
    IntentKind.PUSH: {
        "revision": str,
        "first": bool,
        "override_blocks": str,
        "override_window": bool,
        "override_limits": str,
        "approve": bool,
        "observe": bool,
    },
    IntentKind.HOTFIX: {
        "commit": str,
        "first": bool,
        "override_blocks": str,
        "override_window": bool,
        "override_limits": str,
        "approve": bool,
        "observe": bool,
    },
    IntentKind.PLAN: {"revision": str, "first": bool},
    IntentKind.RETRY: {"push": int},
    IntentKind.ROLLBACK: {"revision": str, "now": bool},
    IntentKind.LOCK: {"kind": str, "severity": str, "expires_in": float},
    IntentKind.UNLOCK: {"lock": str, "forget": bool},
    IntentKind.ADOPT: {"host": str, "component": str},
    IntentKind.VERIFY: {"revision": str},
    IntentKind.REVERT: {"revision": str, "prepare": bool},
    IntentKind.MARK: {"push": int, "correct": bool},
    IntentKind.QUARANTINE: {"test": str, "owner": str, "days": float, "end": bool},
    IntentKind.READ: {"what": str, "host": str, "since": float},
    IntentKind.DRILL: {"fault": str, "host": str, "gauge": str, "line": str},
    IntentKind.LIMIT: {
        "gauge": str,
        "above": float,
        "below": float,
        "scope": str,
        "role": str,
        "host": str,
        "readings": int,
        "clear": bool,
        "seen": int,
    },
    IntentKind.TRY: {
        "gauge": str,
        "above": float,
        "below": float,
        "scope": str,
        "role": str,
        "host": str,
        "readings": int,
        "budget": float,
        "pushes": int,
    },
    IntentKind.REPLAY: {"push": int, "budget": float, "watch": int, "limits": list},
    IntentKind.CALIBRATE: {"pushes": int, "hours": float},
    IntentKind.OBSERVE: {
        "observation": int,
        "command": list,
        "canaries": list,
        "watch": float,
        "exit_code": int,
        "ended": str,
    },
}
_CHOICES = {
    (IntentKind.LOCK, "kind"): ("push", "commit"),
    (IntentKind.READ, "what"): ("errors", "slow"),
    (IntentKind.LOCK, "severity"): ("hard", "warn"),
    (IntentKind.DRILL, "fault"): ("errors", "silence"),
    (IntentKind.LIMIT, "scope"): ("host", "aggregate"),
    (IntentKind.TRY, "scope"): ("host", "aggregate"),
}
_REQUIRED = {
    IntentKind.HOTFIX: ("commit",),
    IntentKind.LOCK: ("kind",),
    IntentKind.UNLOCK: ("lock",),
    IntentKind.VERIFY: ("revision",),
    IntentKind.LIMIT: ("gauge",),
    IntentKind.MARK: ("push",),
    IntentKind.QUARANTINE: ("test",),
    IntentKind.REVERT: ("revision",),
    IntentKind.READ: ("what",),
    IntentKind.REPLAY: ("push",),
}
_REASONED = {
    IntentKind.LOCK: "a lock needs a reason: others will read it",
    IntentKind.LIMIT: "a limit needs a reason: others will read it",
    IntentKind.QUARANTINE: "a quarantine needs a reason: others will read it",
}


class Wish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST .../intents`."""

    kind: IntentKind
    push: int | None = None
    seen_state: str = ""
    seen_version: int | None = None
    arguments: dict[str, Any] = {}
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The status and the body of the answer."""

    status: int
    body: dict[str, Any]


async def wish(
    store: Store, line: Line, wanted: Wish, by: str, now: datetime, seconds: float, closing: asyncio.Event
) -> Reply:
    """Stores the intent and waits for its answer, but no longer than `seconds` or until closing."""
    checked(wanted)
    intent = Intent(
        id=0,
        kind=wanted.kind,
        by=by,
        why=wanted.why.strip(),
        at=now,
        expires_at=now + timedelta(seconds=seconds) + GRACE,
        push=wanted.push,
        seen_state=wanted.seen_state,
        seen_version=wanted.seen_version,
        arguments=wanted.arguments,
    )
    async with store.write(line) as tx:
        intent = await store.intents.add(tx, intent)
    waiting = asyncio.ensure_future(store.intents.wait_answer(line, intent.id, seconds))
    closed = asyncio.ensure_future(closing.wait())
    try:
        await asyncio.wait((waiting, closed), return_when=asyncio.FIRST_COMPLETED)
        return reply(waiting.result() or intent if waiting.done() else intent)
    finally:
        waiting.cancel()
        closed.cancel()


async def wished(store: Store, line: Line, number: int) -> Reply:
    """What became of an intent."""
    intent = await store.intents.get(line, number)
    if intent is None:
        raise NotThere(f"intent {number}", "this line has no such intent")
    return reply(intent)


def reply(intent: Intent) -> Reply:
    """200 accepted, 409 refused or expired, 202 still waiting."""
    body: dict[str, Any] = {"state": intent.state.value, "id": intent.id, "kind": intent.kind.value}
    match intent.state:
        case IntentState.ACCEPTED:
            return Reply(HTTPStatus.OK, body | {"answer": dict(intent.answer)})
        case IntentState.WAITING:
            return Reply(HTTPStatus.ACCEPTED, body)
        case IntentState.REFUSED:
            said = {key: str(intent.answer.get(key, "")) for key in ("where", "rule", "way_out", "code")}
        case IntentState.EXPIRED:
            said = {
                "where": f"intent {intent.id}",
                "rule": "no controller answered it in time, so it was dropped",
                "way_out": "see that a controller runs (`leuko status`), then ask again",
                "code": "W021",
            }
            said |= {key: str(value) for key, value in intent.answer.items() if key in said and value}
    return Reply(HTTPStatus.CONFLICT, body | {"error": said})


def checked(wanted: Wish) -> None:
    """Raises LeukoError for what no state of the line could make right."""
    kind = wanted.kind
    if kind.about_a_push and wanted.push is None:
        raise _wrong("push", f"{kind} is about a push: say which")
    if len(wanted.why) > LONGEST or len(wanted.seen_state) > 40:
        raise _wrong("why", f"should be at most {LONGEST} characters")
    if kind in _REASONED and not wanted.why.strip():
        raise _wrong("why", _REASONED[kind])
    known = ARGUMENTS.get(kind, {})
    for name, value in wanted.arguments.items():
        _argument(kind, known, name, value)
    for name in _REQUIRED.get(kind, ()):
        if not wanted.arguments.get(name):
            raise _wrong(f"arguments.{name}", f"{kind} needs it")


def _argument(kind: IntentKind, known: Mapping[str, type], name: str, value: Any) -> None:
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise _wrong(f"arguments.{name[:40]}", f"{kind} knows no such argument{hint}")
    expected = known[name]
    fits = isinstance(value, (int, float) if expected is float else expected)
    if not fits or (expected is float and isinstance(value, bool)):
        raise _wrong(f"arguments.{name}", f"should be of the type {expected.__name__}")
    if isinstance(value, str) and len(value) > LONGEST:
        raise _wrong(f"arguments.{name}", f"should be at most {LONGEST} characters")
    choices = _CHOICES.get((kind, name))
    if choices and value not in choices:
        raise _wrong(f"arguments.{name}", f"should be {' or '.join(choices)}")
    if name == "expires_in" and not 0 < value < 10 * 365 * 86400:
        raise _wrong(f"arguments.{name}", "should be a number of seconds above 0 and below ten years")


def _wrong(where: str, rule: str) -> LeukoError:
    return LeukoError(rule, where=where, way_out="docs/reference/api.md lists every intent", code="W020")
