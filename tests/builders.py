"""Values that tests begin with. Each takes what the test is about and fills in the rest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from leuko.config.model import Configuration
from leuko.domain.change import Change, Commit
from leuko.domain.line import Line
from leuko.domain.release import Component, Release

LINE = Line("shop", "production")
NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


def revision(letter: str) -> str:
    """A revision that is easy to tell from others."""
    return (letter * 40)[:40]


def commit(letter: str, message: str = "Change something", author: str = "Ann Author") -> Commit:
    return Commit(revision(letter), author, f"{author.partition(' ')[0].lower()}@example.org", NOON, message)


def change(letter: str, *commits: Commit, parent: str | None = None) -> Change:
    brought = commits or (commit(letter),)
    return Change(revision(letter), f"tree-{letter}", parent, NOON, tuple(brought))


def release(letter: str) -> Release:
    return Release(revision(letter), (Component("app", letter * 64, 1000, 3),), NOON)


def configuration(hosts: Sequence[str] = ("www1", "www2", "www3"), **more: Any) -> Configuration:
    """One role, local transport, the first host as canary; one gauge, so that there is something to judge."""
    text: dict[str, Any] = {
        "application": "shop",
        "repository": "/srv/git/shop.git",
        "tick": "5s",
        "verify": {"tests": {"all": "true"}},
        "fleet": {
            "transport": "local",
            "min_healthy": 1,
            "roles": {"www": {"hosts": [{"name": name} for name in hosts]}},
        },
        "push": {"phases": [{"hosts": 1, "watch": 2}, {"hosts": "100%", "watch": 2}], "rotate": False},
        "gauges": {"errors": {"kind": "count", "log": {"file": "log/error.log", "match": "ERROR"}}},
    }
    return Configuration.model_validate(_merged(text, more))


def _merged(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged


class HandClock:
    """Stands still until it is moved."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        """Moves instead of waiting."""
        self.move(seconds)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
