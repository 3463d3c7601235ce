"""Host ranges as Ansible writes them: `www[01:20].example.com`, `db-[a:c]`, `rack[1:9:2]-[0:3]`."""

from __future__ import annotations

import re

_RANGE = re.compile(r"\[([0-9]{1,6}|[a-zA-Z]):([0-9]{1,6}|[a-zA-Z])(?::([0-9]{1,6}))?\]")
MOST = 10_000


def unfold(text: str) -> list[str]:
    """The names that a text stands for: itself, when it holds no range. Raises ValueError with the rule.

    A leading zero sets the width: `[01:03]` is 01, 02, 03. Several ranges are combined, the last fastest.
    """
    match = _RANGE.search(text)
    if match is None:
        return [text]
    values = _values(match)
    before, rest = text[: match.start()], unfold(text[match.end() :])
    if len(values) * len(rest) > MOST:
        raise ValueError(f'"{text}" stands for more than {MOST} hosts')
    return [before + value + after for value in values for after in rest]


def is_range(text: str) -> bool:
    """True when the text stands for more than its own letters."""
    return _RANGE.search(text) is not None


def _values(match: re.Match[str]) -> list[str]:
    first, last, step = match[1], match[2], int(match[3] or 1)
    if step < 1:
        raise ValueError(f"the range {match[0]} has a step of 0")
    if first.isdigit() != last.isdigit() or first.islower() != last.islower():
        raise ValueError(f"the range {match[0]} mixes digits, small and capital letters")
    low, high = (int(first), int(last)) if first.isdigit() else (ord(first), ord(last))
    if high < low:
        raise ValueError(f"the range {match[0]} runs backwards")
    if high - low >= MOST * step:
        raise ValueError(f"the range {match[0]} stands for more than {MOST} hosts")
    numbers = range(low, high + 1, step)
    if not first.isdigit():
        return [chr(number) for number in numbers]
    width = len(first) if first.startswith("0") and len(first) > 1 else 0
    return [str(number).zfill(width) for number in numbers]
