"""Draws docs/reference/push-states.md from the push's own state table: `tools/diagram.py [--check]`."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path

from leuko.domain.push import TABLE, State

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "push-states.md"

MEANINGS = {
    State.PENDING: "waits to start: for a lock, a window, an approver, or the push before it",
    State.STAGING: "target and base are copied to all hosts; nothing is switched yet",
    State.SWITCHING: "the hosts of a phase are switched, as many at once as `min_healthy` lets",
    State.WATCHING: "the switched hosts are watched and judged",
    State.COMPLETING: "every phase has passed; the held-back hosts are switched",
    State.HELD: "stands still, and is judged on; a person is wanted, and at the deadline it goes back",
    State.ROLLING_BACK: "every host that may be on the target is restored",
    State.LIVE: "runs everywhere: the base of the next push",
    State.ROLLED_BACK: "every host that was switched is restored",
    State.CANCELLED: "ended before anything was switched",
    State.STUCK: "a host could not be confirmed restored: a person is paged, and it is tried on",
}
EVENTS = {
    "admitted": "nothing forbids the start: locks, blocks, windows and approver were looked at",
    "not admitted": "the start is refused for good",
    "superseded": "a newer release took its place and carries its commits",
    "progressed": "hosts answered their orders",
    "judged": "the watch came to a verdict (inconclusive never promotes)",
    "expired": "the deadline of the state passed",
    "drifted": "somebody else changed `current`, or what the processes run",
    "abort": "a person takes it back without convicting it",
    "hold": "a person wants it to stay where it is",
    "resume": "a person lets a held push go on",
    "promote": "a person passes the phase",
    "roll back": "a person convicts the release",
}


def page() -> str:
    """The whole page."""
    return "\n".join(
        [
            "# The states of a push",
            "",
            "Drawn by `tools/diagram.py` from the table in `src/leuko/domain/push.py`, the only place",
            "that knows them; a test fails when this page is older. Where a state is left by several events,",
            "the table below says which.",
            "",
            "```mermaid",
            *diagram(),
            "```",
            "",
            "## States",
            "",
            "| state | what it means |",
            "| --- | --- |",
            *(f"| {state} | {MEANINGS[state]} |" for state in State),
            "",
            "## Events",
            "",
            "| event | what happened | what it leads to |",
            "| --- | --- | --- |",
            *(f"| {event} | {what} | {leads(event)} |" for event, what in EVENTS.items()),
            "",
            "An intent (abort, hold, resume, promote, roll back) that the state does not allow is refused",
            "with the reason. A report that comes too late leaves the push as it is.",
            "",
        ]
    )


def diagram() -> list[str]:
    """Mermaid: one arrow a pair of states, with every event that leads from the one to the other."""
    lines = ["stateDiagram-v2", f"    [*] --> {State.PENDING}"]
    for state, row in TABLE.items():
        arrows: dict[State, list[str]] = defaultdict(list)
        for event, afters in row.items():
            for after in afters:
                arrows[after].append(event)
        lines += [f"    {state} --> {after}: {', '.join(events)}" for after, events in arrows.items()]
    lines += [f"    {state} --> [*]" for state in State if state.ended]
    return lines


def leads(event: str) -> str:
    """`PENDING to STAGING; ...`, in the order of the table."""
    found = [
        f"{state} to {' or '.join(dict.fromkeys(afters))}"
        for state, row in TABLE.items()
        if (afters := row.get(event))
    ]
    return "; ".join(found)


def main() -> int:
    """Writes the page; with --check only says whether it is up to date."""
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.exists() and PAGE.read_text() == page() else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
