"""From the stored events of a line to what the demo reports: when each stage of each push began and ended."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass
class PushTimes:
    """One push as its events tell it. Times are aware; seconds leave nothing out."""

    number: int
    revision: str = ""
    committed: datetime | None = None
    seen: datetime | None = None
    verified: datetime | None = None
    released: datetime | None = None
    states: list[tuple[str, int, datetime]] = field(default_factory=list)
    """(state, phase, since)"""
    first_switched: datetime | None = None
    reason: str = ""
    cause: str = ""

    @property
    def state(self) -> str:
        """The last state."""
        return self.states[-1][0] if self.states else ""

    @property
    def ended(self) -> datetime | None:
        """When it became live or was rolled back."""
        ends = ("LIVE", "ROLLED_BACK", "CANCELLED", "STUCK")
        return next((at for state, _, at in self.states if state in ends), None)

    def stages(self) -> dict[str, float]:
        """Seconds by stage: noticed, verified, released, waited, copied, switched, watched, went back."""
        found: dict[str, float] = {}
        _add(found, "notice", self.committed, self.seen)
        _add(found, "verify", self.seen, self.verified)
        _add(found, "build release", self.verified, self.released)
        begun = {"STAGING": "copy", "SWITCHING": "switch", "WATCHING": "watch", "COMPLETING": "switch"}
        begun |= {"ROLLING_BACK": "roll back", "PENDING": "queue", "HELD": "held"}
        for (state, _, since), (_, _, until) in zip(self.states, self.states[1:], strict=False):
            name = begun.get(state)
            if name:
                found[name] = found.get(name, 0.0) + (until - since).total_seconds()
        return {name: round(seconds, 2) for name, seconds in found.items()}

    def commit_to_end(self, *, without_watch: bool) -> float | None:
        """Seconds from the commit to the end of its push."""
        if self.committed is None or self.ended is None:
            return None
        seconds = (self.ended - self.committed).total_seconds()
        return round(seconds - (self.stages().get("watch", 0.0) if without_watch else 0.0), 2)

    def detection(self) -> float | None:
        """Seconds from the first canary's switch to the verdict against it."""
        back = next((at for state, _, at in self.states if state == "ROLLING_BACK"), None)
        if self.first_switched is None or back is None:
            return None
        return round((back - self.first_switched).total_seconds(), 2)


def _add(found: dict[str, float], name: str, since: datetime | None, until: datetime | None) -> None:
    if since is not None and until is not None:
        found[name] = max(0.0, (until - since).total_seconds())


def timelines(events: Iterable[Mapping[str, Any]], commits: Mapping[str, datetime]) -> dict[int, PushTimes]:
    """Push number -> its times; `commits` says when each revision was committed."""
    pushes: dict[int, PushTimes] = {}
    seen: dict[str, dict[str, datetime]] = {}
    for event in events:
        at, data = datetime.fromisoformat(event["at"]), event["data"]
        revision = str(data.get("revision", ""))
        match event["kind"]:
            case "change":
                seen.setdefault(revision, {})["seen"] = at
            case "build" if data.get("to") == "passed":
                seen.setdefault(revision, {})["verified"] = at
            case "release":
                seen.setdefault(revision, {})["released"] = at
            case "push" if "push" in data:
                push = pushes.setdefault(int(data["push"]), PushTimes(int(data["push"])))
                push.revision = revision or push.revision
                push.states.append((str(data["to"]), int(data.get("phase", 0)), at))
                push.reason = str(data.get("reason") or push.reason)
                push.cause = str(data.get("cause") or push.cause)
            case "host" if data.get("state") == "switched" and int(data.get("push", 0)) in pushes:
                push = pushes[int(data["push"])]
                push.first_switched = push.first_switched or at
            case _:
                continue
    for push in pushes.values():
        times = seen.get(push.revision, {})
        push.committed = commits.get(push.revision)
        push.seen, push.verified = times.get("seen"), times.get("verified")
        push.released = times.get("released")
    return pushes
