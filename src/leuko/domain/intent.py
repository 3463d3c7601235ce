"""What a person wants, as it waits for the acting process to accept or refuse it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any


class IntentKind(StrEnum):
    """Arguments, by kind, are described in `docs/reference/api.md`."""

    PUSH = "push"
    HOTFIX = "hotfix"
    PLAN = "plan"
    ABORT = "abort"
    HOLD = "hold"
    RESUME = "resume"
    PROMOTE = "promote"
    RETRY = "retry"
    ROLLBACK = "rollback"
    LOCK = "lock"
    UNLOCK = "unlock"
    ADOPT = "adopt"
    VERIFY = "verify"
    POKE = "poke"
    LIMIT = "limit"
    TRY = "try"
    REPLAY = "replay"
    CALIBRATE = "calibrate"
    OBSERVE = "observe"
    MARK = "mark"
    QUARANTINE = "quarantine"
    DRILL = "drill"
    READ = "read"
    REVERT = "revert"

    @property
    def about_a_push(self) -> bool:
        """True for intents that carry the push, state and version that their author saw."""
        return self in (
            IntentKind.ABORT,
            IntentKind.HOLD,
            IntentKind.RESUME,
            IntentKind.PROMOTE,
        )


class IntentState(StrEnum):
    """An intent ends accepted, refused or expired; never silently."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Intent:
    """`push`, `seen_state` and `seen_version` are as the author saw them; a stale promote is refused."""

    id: int
    kind: IntentKind
    by: str
    why: str
    at: datetime
    expires_at: datetime
    push: int | None = None
    seen_state: str = ""
    seen_version: int | None = None
    arguments: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    state: IntentState = IntentState.WAITING
    answer: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    """Accepted: what came of it. Refused: `rule`, `way_out`, `code`, `where` as in LeukoError."""
    answered_at: datetime | None = None
