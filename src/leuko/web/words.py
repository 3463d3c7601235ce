"""Times, spans and names as people read them: the same words on pages, in `why` and in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from leuko.domain.change import Commit


def when(moment: datetime, now: datetime) -> str:
    """`14:36:40 UTC (3 min ago)`, with the date where it is not today's."""
    shown = f"{moment:%H:%M:%S} UTC" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M:%S} UTC"
    seconds = (now - moment).total_seconds()
    distance = f"{span(seconds)} ago" if seconds >= 1 else "now" if seconds > -1 else f"in {span(-seconds)}"
    return f"{shown} ({distance})"


def span(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`, `3 d 4 h`."""
    if seconds < 0:
        return f"-{span(-seconds)}"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for size, name, part, smaller in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {smaller}" if rest else "")
    return f"{whole} s"


def short(revision: str) -> str:
    """The first twelve characters, as in a release's name."""
    return revision[:12]


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 host`, `3 hosts`, `2,000 hosts`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def names(items: Sequence[str], limit: int = 4) -> str:
    """`www1, www2 and 7 more`."""
    shown = list(items[:limit])
    more = len(items) - len(shown)
    if more:
        return f"{', '.join(shown)} and {more:,} more"
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def figure(value: float | None) -> str:
    """Four significant digits, thousands apart; `no data` where there is none."""
    if value is None or value != value:  # noqa: PLR0124 - NaN
        return "no data"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.4g}"


def quoted(commit: Commit) -> str:
    """`3f1a2b4c5d6e "Sort the basket" by jlee`."""
    return f'{short(commit.revision)} "{cut(commit.subject, 72)}" by {commit.author}'


def cut(text: str, length: int) -> str:
    """One line of at most so many characters."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def stopped(text: str) -> str:
    """Ends in a full stop, once; starts with a capital letter where it starts with a word."""
    text = text.strip()
    if not text:
        return ""
    return text if text[-1] in ".!?…" else text + "."
