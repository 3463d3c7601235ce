"""Kinds of errors that hosts told of, and what their logs said when they were read last."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from leuko.domain.intent import IntentKind, IntentState
from leuko.domain.line import Line
from leuko.domain.template import Template
from leuko.store.store import Store

SHOWN = 100
DAY = 86400.0


class KindView(msgspec.Struct, frozen=True):
    """One kind of line. `hosts`: how many lines came from where, those with most first."""

    gauge: str
    id: str
    text: str
    example: str
    first_seen: datetime
    last_seen: datetime
    seen: int
    hosts: dict[str, int]
    push: int | None


class ErrorsPage(msgspec.Struct, frozen=True):
    """What was seen since a moment; the kinds seen first last stand first."""

    event: int
    since: datetime
    kinds: list[KindView]


def kind_view(template: Template) -> KindView:
    """One kind as it is shown."""
    by_count = sorted(template.hosts.items(), key=lambda pair: (-pair[1], pair[0]))
    return KindView(
        template.gauge,
        template.id,
        template.text,
        template.example,
        template.first_seen,
        template.last_seen,
        template.seen,
        dict(by_count),
        template.push,
    )


async def errors(
    store: Store, line: Line, now: datetime, *, host: str = "", seconds: float = DAY
) -> ErrorsPage:
    """Kinds seen since then, on that host where one is named."""
    event = await store.events.last_number(line)
    since = now - timedelta(seconds=min(max(seconds, 1.0), 365 * DAY))
    found = await store.templates.recent(line, since)
    wanted = [kind_view(one) for one in found if not host or host in one.hosts]
    return ErrorsPage(event, since, wanted[:SHOWN])


async def reading(store: Store, line: Line, number: int | None, what: str) -> Mapping[str, Any] | None:
    """What hosts' logs said: the answer to the intent of that number."""
    intent = await store.intents.get(line, number) if number is not None else None
    if intent is None or intent.kind is not IntentKind.READ or intent.state is not IntentState.ACCEPTED:
        return None
    return intent.answer if intent.answer.get("what") == what else None
