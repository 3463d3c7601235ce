"""Deployments that somebody else made, from a file: CSV or JSON, as people and other tools write them."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from leuko.domain.errors import LeukoError

CODE = "D001"
NAMES: Mapping[str, tuple[str, ...]] = {
    "time": ("time", "start", "started", "started_at", "begin", "began", "at", "date", "timestamp"),
    "end": ("end", "ended", "ended_at", "finish", "finished", "finished_at"),
    "hosts": ("hosts", "servers", "nodes"),
    "canaries": ("canaries", "canary"),
    "revision": ("revision", "commit", "sha", "version", "release", "name"),
    "bad": ("bad", "failed", "rolled_back", "incident"),
}
TRUE = frozenset({"1", "true", "yes", "y", "bad", "x"})
FALSE = frozenset({"", "0", "false", "no", "n", "good", "ok", "-"})
LONGEST = timedelta(days=1)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
MILLISECONDS = 1e11
"""A number above this is a time in milliseconds."""
MOST = 10_000


@dataclass(frozen=True, slots=True)
class Deploy:
    """One. `hosts` empty: all; `canaries` empty: none apart. `bad` None: nobody said."""

    place: str
    began: datetime
    ended: datetime
    hosts: tuple[str, ...] = ()
    canaries: tuple[str, ...] = ()
    revision: str = ""
    bad: bool | None = None

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.revision[:12] or 'deploy'} at {self.began:%Y-%m-%d %H:%M:%S}"


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that cannot be used, and why."""

    place: str
    why: str


def read_deploys(
    text: str, now: datetime, zone: tzinfo | None = None
) -> tuple[tuple[Deploy, ...], tuple[LeftOut, ...]]:
    """The deployments of a file, oldest first, and the rows that make no sense. Raises where none does.

    `zone` is what times without one are in; without it they are refused, for nobody knows when they were.
    """
    rows = list(_rows(text.removeprefix("\ufeff")))
    if len(rows) > MOST:
        raise LeukoError(f"holds {len(rows):,} rows: at most {MOST:,} are read", where="--deploys", code=CODE)
    good: list[Deploy] = []
    bad: list[LeftOut] = []
    for place, row in rows:
        try:
            good.append(_deploy(place, row, now, zone))
        except ValueError as error:
            bad.append(LeftOut(place, str(error)))
    if not good:
        why = f"; {bad[0].place}: {bad[0].why}" if bad else ""
        raise LeukoError(
            f"holds no deployment that can be used{why}",
            where="--deploys",
            way_out="CSV with a header such as time,end,canaries,revision,bad; or a JSON list",
            code=CODE,
        )
    return tuple(sorted(good, key=lambda one: one.began)), tuple(bad)


def _rows(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if text.lstrip()[:1] in ("[", "{"):
        return _json_rows(text)
    return _csv_rows(text)


def _json_rows(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    try:
        found = json.loads(text)
    except ValueError as error:
        try:
            found = [json.loads(line) for line in text.splitlines() if line.strip()]
        except ValueError:
            raise LeukoError(f"is no JSON: {error}", where="--deploys", code=CODE) from None
    if isinstance(found, dict):
        lists = [value for value in found.values() if isinstance(value, list)]
        found = lists[0] if len(lists) == 1 else [found]
    for number, row in enumerate(found, 1):
        yield f"entry {number}", row if isinstance(row, dict) else {}


def _csv_rows(text: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    header: list[str] = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells) or cells[0].lstrip().startswith("#"):
                continue
            if not header:
                header = [cell.strip().lower().replace(" ", "_") for cell in cells]
                continue
            yield f"line {reader.line_num}", dict(zip(header, cells, strict=False))
    except csv.Error as error:
        raise LeukoError(
            f"is no CSV: {error}", where=f"--deploys line {reader.line_num}", code=CODE
        ) from error


def _deploy(place: str, row: Mapping[str, Any], now: datetime, zone: tzinfo | None) -> Deploy:
    known = {str(name).lower(): value for name, value in row.items()}

    def field(name: str) -> Any:
        return next((known[one] for one in NAMES[name] if known.get(one) not in (None, "")), None)

    began = _time(field("time"), "time", zone)
    ended = _time(field("end"), "end", zone) if field("end") is not None else began
    if ended < began:
        raise ValueError(f"ends {began - ended} before it begins")
    if ended - began > LONGEST:
        raise ValueError(f"lasts {ended - began}: more than a day is no deployment")
    if ended > now:
        raise ValueError(f"{ended:%Y-%m-%d %H:%M:%S} UTC lies in the future: is its time zone right?")
    if began < EARLIEST:
        raise ValueError(f"{began:%Y-%m-%d} is too long ago: is it seconds, or milliseconds?")
    hosts, canaries = _names(field("hosts")), _names(field("canaries"))
    return Deploy(
        place, began, ended, hosts, canaries, str(field("revision") or "")[:80], _flag(field("bad"))
    )


def _time(value: Any, name: str, zone: tzinfo | None) -> datetime:
    if value is None:
        raise ValueError(f"has no {name}")
    text = str(value).strip()
    if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?([eE][0-9]+)?", text):
        seconds = float(text)
        seconds = seconds / 1000 if seconds > MILLISECONDS else seconds
        if not math.isfinite(seconds) or not 0 <= seconds < 1e11:
            raise ValueError(f"{name} {text[:40]} is no time")
        return datetime.fromtimestamp(seconds, UTC)
    try:
        found = datetime.fromisoformat(text.replace(" UTC", "+00:00").replace(" GMT", "+00:00"))
    except ValueError:
        raise ValueError(
            f"{name} {text[:40]!r} is no time; write 2026-11-23T14:36:40+01:00, or seconds since 1970"
        ) from None
    if found.tzinfo is None:
        if zone is None:
            raise ValueError(f"{name} {text[:40]} has no time zone: write it behind, or say --zone")
        found = found.replace(tzinfo=zone)
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{name} {text[:40]} is no time") from None


def _names(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    parts = value if isinstance(value, list) else re.split(r"[\s,;|]+", str(value))
    return tuple(dict.fromkeys(str(part).strip() for part in parts if str(part).strip()))


def _flag(value: Any) -> bool | None:
    if value is None:
        return None
    text = str(value).strip().lower()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(f"bad should be yes or no, not {text[:40]!r}")
