"""A host's journal as values. A line: time, event, order, `name=value` ..., ` -- ` and a reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

_LINE = re.compile(
    r"(?P<at>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ) (?P<event>\S+) (?P<order>\S+)"
    r"(?P<rest>.*?)(?: -- (?P<reason>.*))?"
)
_MEASURED = frozenset({"seconds", "link_ns", "hook_seconds"})
_TOOK = re.compile(r"after \d+\.\d+ s")


@dataclass(frozen=True, slots=True)
class Entry:
    """`event` is begin, link, end, or cut: a copy whose connection died, to be done again.

    `order` is an order's id, or `by-hand` for `.leuko/rollback`.
    """

    at: datetime
    event: str
    order: str
    facts: Mapping[str, str]
    reason: str = ""


def parse(text: str) -> list[Entry]:
    """Every whole line; one cut short by a full disk or a crash is left out."""
    entries = []
    for line in text.splitlines():
        match = _LINE.fullmatch(line)
        if match is None:
            continue
        facts = dict(word.split("=", 1) for word in match["rest"].split() if "=" in word)
        at = datetime.strptime(match["at"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        entries.append(Entry(at, match["event"], match["order"], facts, match["reason"] or ""))
    return entries


def normalised(text: str) -> list[str]:
    """Without times and durations: two hosts that did the same have the same."""
    return [
        " ".join(
            (
                entry.event,
                entry.order,
                *(f"{name}={value}" for name, value in entry.facts.items() if name not in _MEASURED),
                "--",
                _TOOK.sub("after ... s", entry.reason),
            )
        )
        for entry in parse(text)
    ]
