"""What landed, and what became of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from leuko.domain.line import Line
from leuko.store.changes import Landed
from leuko.store.store import Store
from leuko.web.facts import Facts
from leuko.web.gathering import gather
from leuko.web.outputs import Outputs
from leuko.web.views.builds import BuildView, build_view
from leuko.web.views.commits import CommitView, commit_views
from leuko.web.views.culprits import SearchView, change_sentences, search_of, search_view
from leuko.web.why_changes import carrier, standing
from leuko.web.why_push import why_change


class ChangeView(msgspec.Struct, frozen=True):
    """One landing. `standing` is what it is doing in a few words; `push` the push that carried it."""

    revision: str
    subject: str
    author: str
    landed_at: datetime
    seen_at: datetime
    commits: int
    concerns: bool
    state: str
    standing: str
    build: int | None
    push: int | None


class ChangePage(msgspec.Struct, frozen=True):
    """One landing with its commits and its build."""

    change: ChangeView
    commits: list[CommitView]
    build: BuildView | None
    why: list[str]
    search: SearchView | None = None
    """The search that suspected it; it is shown with its runs."""


def change_view(facts: Facts, landed: Landed) -> ChangeView:
    """A change at a moment."""
    push = carrier(facts, landed)
    return ChangeView(
        landed.revision,
        landed.change.subject,
        landed.change.author,
        landed.change.landed_at,
        landed.seen_at,
        len(landed.change.commits),
        landed.concerns,
        landed.state.value,
        standing(facts, landed),
        landed.build,
        push.number if push else None,
    )


async def changes(
    store: Store, line: Line, now: datetime, *, limit: int = 20, before: int | None = None
) -> list[ChangeView]:
    """Newest first, those that do not concern the application included."""
    facts = await gather(store, line, now)
    found = await store.changes.recent(line, limit=limit, before=before)
    return [change_view(facts, landed) for landed in found]


async def change(
    store: Store, line: Line, now: datetime, revision: str, outputs: Outputs | None = None
) -> ChangePage | None:
    """By its revision or the beginning of it; None where there is no such change."""
    landed = await store.changes.get(line, revision)
    if landed is None:
        return None
    facts = await gather(store, line, now, outputs)
    view = await build_view(store, line, landed.build, now, outputs) if landed.build is not None else None
    search = await search_of(store, line, landed.revision)
    why = list(why_change(facts, landed))
    if search is not None:
        why += change_sentences(search, landed.revision)
    return ChangePage(
        change_view(facts, landed),
        commit_views(landed.change.commits),
        view,
        why,
        search_view(search) if search is not None else None,
    )
