"""`why`: sentences, and the few figures they were made of."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from leuko.domain.errors import LeukoError
from leuko.domain.line import Line
from leuko.domain.lock import LockKind
from leuko.store.changes import ChangeState, Landed
from leuko.store.store import Store
from leuko.web.facts import Facts
from leuko.web.failures import NotThere
from leuko.web.gathering import gather, push_facts
from leuko.web.outputs import Outputs
from leuko.web.views.culprits import change_sentences, search_of
from leuko.web.why import why_now
from leuko.web.why_push import why_change, why_host, why_push


class Why(msgspec.Struct, frozen=True):
    """The answer."""

    about: str
    sentences: list[str]
    facts: dict[str, Any]


async def why(
    store: Store, line: Line, now: datetime, about: str = "now", outputs: Outputs | None = None
) -> Why:
    """`about`: `now`, `push:12`, `change:3f1a2b`, `host:www1`."""
    facts = await gather(store, line, now, outputs)
    kind, _, name = about.partition(":")
    match kind:
        case "now" | "":
            sentences: tuple[str, ...] = (*why_now(facts), *await _searched(store, line, facts.changes[:1]))
        case "push":
            sentences = await _push(store, line, facts, name)
        case "change":
            landed = await store.changes.get(line, name)
            if landed is None:
                raise NotThere(f"change {name}", "no change of this line has that revision", "`leuko log`")
            sentences = (*why_change(facts, landed), *await _searched(store, line, [landed]))
        case "host":
            host = await store.hosts.get(line, name)
            if host is None:
                raise NotThere(f"host {name}", "the fleet has no host of that name", "`leuko hosts`")
            sentences = why_host(facts, host)
        case _:
            raise LeukoError(
                f"should be now, push:N, change:REVISION or host:NAME, not {about[:80]!r}",
                where="about",
                way_out="for example `leuko why push:12`",
                code="W003",
            )
    return Why(about or "now", list(sentences), _figures(facts))


async def _searched(store: Store, line: Line, changes: Sequence[Landed]) -> tuple[str, ...]:
    """What the search says that suspected them; nothing where they are not red."""
    if not changes or changes[0].state is not ChangeState.RED:
        return ()
    search = await search_of(store, line, changes[0].revision)
    return tuple(change_sentences(search, changes[0].revision)) if search is not None else ()


async def _push(store: Store, line: Line, facts: Facts, name: str) -> tuple[str, ...]:
    number = int(name) if name.isascii() and name.isdigit() and len(name) < 16 else 0
    push = await store.pushes.get(line, number)
    if push is None:
        raise NotThere(f"push {name}", "this line has no such push", "`leuko log`")
    return why_push(await push_facts(store, line, push), facts)


def _figures(facts: Facts) -> dict[str, Any]:
    active = facts.active.push if facts.active else None
    commit, push = facts.lock(LockKind.COMMIT), facts.lock(LockKind.PUSH)
    return {
        "serving": facts.serving,
        "live": facts.live.number if facts.live else None,
        "active": active.number if active else None,
        "state": active.state.value if active else None,
        "pending": facts.pending.number if facts.pending else None,
        "commit_lock": commit.id if commit else None,
        "push_lock": push.id if push else None,
        "change": facts.changes[0].revision if facts.changes else None,
        "change_state": facts.changes[0].state.value if facts.changes else None,
        "unreachable": sum(host.reachable is False for host in facts.hosts),
        "event": facts.event,
    }
