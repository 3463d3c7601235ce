"""A hotfix that the branch has not got: said for as long as that is so."""

from __future__ import annotations

from leuko.domain.push import Push
from leuko.web.facts import Facts
from leuko.web.words import cut, short


def hotfixed(facts: Facts) -> list[str]:
    """One sentence, of what is being pushed or else of what is live."""
    for push in (facts.active.push if facts.active else None, facts.pending, facts.live):
        if push is not None and push.revision in facts.hotfixes:
            return [_sentence(facts, push)]
    return []


def _sentence(facts: Facts, push: Push) -> str:
    live = facts.live is not None and push.number == facts.live.number
    verb = "is live" if live else "is on its way"
    return (
        f"A hotfix {verb} that the branch has not got: {short(push.revision)} "
        f'"{cut(facts.hotfixes[push.revision], 72)}" (push {push.number}). The next push of the branch takes '
        "it away again, so land it there, too."
    )
