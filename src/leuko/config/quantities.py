"""Durations, shares and tick counts as people write them."""

from __future__ import annotations

import re
from math import ceil
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema

from leuko.domain.fleet import Share

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"^([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)$")
_PERCENT = re.compile(r"^([0-9]{1,3}(?:\.[0-9]{1,6})?)\s*%$")
_COUNT = re.compile(r"^[0-9]{1,7}$")
_TICKS = re.compile(r"^([0-9]{1,7})\s*ticks?$")


def parse_duration(value: Any) -> float:
    """Seconds from "500ms", "30s", "5m", "1h", "2d", or a compound such as "1h30m"."""
    if isinstance(value, bool) or not isinstance(value, str):
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value) if value > 0 else _wrong_duration(value)
        return _wrong_duration(value)
    parts = re.findall(r"[0-9]{1,12}(?:\.[0-9]{1,9})?(?:ms|s|m|h|d)", value.replace(" ", ""))
    if not parts or "".join(parts) != value.replace(" ", ""):
        return _wrong_duration(value)
    seconds = 0.0
    for part in parts:
        match = _DURATION.match(part)
        assert match is not None
        seconds += float(match[1]) * _UNITS[match[2]]
    return seconds if seconds > 0 else _wrong_duration(value)


def _wrong_duration(value: object) -> float:
    raise ValueError(f'should be a duration such as "30s", "5m" or "1h", not {_shown(value)}')


def parse_share(value: Any) -> str:
    """The text of a count or percentage, checked; `share()` turns it into a value."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 10_000_000:
        return str(value)
    if isinstance(value, str):
        text = value.strip()
        if _COUNT.match(text):
            return str(int(text))
        match = _PERCENT.match(text)
        if match and 0 <= float(match[1]) <= 100:
            return f"{float(match[1]):.6f}".rstrip("0").rstrip(".") + "%"
    raise ValueError(f'should be a count such as 2 or a percentage such as "10%", not {_shown(value)}')


def parse_percentage(value: Any) -> str:
    """The text of a percentage, checked; `portion()` turns it into a value."""
    match = _PERCENT.match(value.strip()) if isinstance(value, str) else None
    if match and 0 < float(match[1]) <= 100:
        return f"{float(match[1]):.6f}".rstrip("0").rstrip(".") + "%"
    raise ValueError(f'should be a percentage such as "0.5%", not {_shown(value)}')


def portion(text: str) -> float:
    """The part of one that a checked percentage is."""
    return float(text.rstrip("%")) / 100.0


def share(text: str) -> Share:
    """The value of a checked share."""
    match = _PERCENT.match(text)
    return Share(percent=float(match[1])) if match else Share(count=int(text))


def parse_ticks(value: Any) -> int | float:
    """A number of ticks (int), or a duration in seconds (float) that `ticks()` turns into ticks."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value < 10_000_000:
        return value
    if isinstance(value, float) and value > 0:
        return value  # seconds, parsed before
    if isinstance(value, str):
        match = _TICKS.match(value.strip())
        if match and int(match[1]) >= 1:
            return int(match[1])
        try:
            return parse_duration(value)
        except ValueError:
            pass
    raise ValueError(
        'should be a number of ticks such as 12 or "12 ticks", or a duration such as "1m", '
        f"not {_shown(value)}"
    )


def ticks(value: int | float, tick: float) -> int:  # noqa: PYI041 - an int is ticks, a float seconds
    """How many ticks of `tick` seconds: a duration is rounded up."""
    return value if isinstance(value, int) else max(1, ceil(value / tick - 1e-9))


def _shown(value: object) -> str:
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": ["string", "number"], "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"}),
]
ShareText = Annotated[
    str,
    BeforeValidator(parse_share),
    WithJsonSchema({"type": ["string", "integer"], "pattern": r"^\d+(\.\d+)?%?$", "minimum": 0}),
]
PercentageText = Annotated[
    str,
    BeforeValidator(parse_percentage),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*%$"}),
]
TickCount = Annotated[
    int | float,
    BeforeValidator(parse_ticks),
    WithJsonSchema({"type": ["string", "integer"], "minimum": 1}),
]
