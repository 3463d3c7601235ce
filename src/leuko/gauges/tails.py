"""The end of a log on a host: its argv, and what its lines say about when they were written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from leuko.gauges.reader import WIDTH

READ = 512 << 10
"""Bytes of a log's end that are looked at."""
SENT = 100
"""Lines of one log that a host sends, at most."""

# The offset of the host's clock from UTC comes first: most logs are written in local time. Only whole lines.
_SCRIPT = """\
LC_ALL=C
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
export LC_ALL PATH
case $2 in /*) file=$2 ;; *) file=$1/$2 ;; esac
date +%z
[ -f "$file" ] && [ -r "$file" ] || { printf '%s\\n' "there is no log $file that can be read" >&2; exit 1; }
size=$(stat -L -c %s -- "$file")
end() {
    if [ "$size" -gt "$3" ]; then tail -c "$3" -- "$file" | tail -n +2; else cat -- "$file"; fi
}
end "$@" | grep -a -E -e "$4" | tail -n "$5" | cut -b "1-$6" | tr '\\000-\\010\\013-\\037\\177' ' '
"""
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NUMBERED = re.compile(
    r"(?P<y>\d{4})[-/](?P<m>\d\d)[-/](?P<d>\d\d)[T ](?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?:[.,]\d+)?"
    r" ?(?P<z>Z|UTC|GMT|[+-]\d\d:?\d\d)?"
)
_NAMED = re.compile(
    r"(?P<d>\d\d)/(?P<m>[A-Za-z]{3})/(?P<y>\d{4}):(?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)(?: (?P<z>[+-]\d{4}))?"
)
_SYSLOG = re.compile(r"^(?P<m>[A-Z][a-z]{2}) (?P<d>[ \d]\d) (?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)")


@dataclass(frozen=True, slots=True)
class Tail:
    """A log, and which of its lines are wanted."""

    file: str
    match: str = "."
    lines: int = SENT
    width: int = WIDTH


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line; `at` None: it does not say when."""

    host: str
    at: datetime | None
    text: str


def tail_argv(tail: Tail, root: str) -> tuple[str, ...]:
    """Prints the host's offset from UTC, then the last matching lines."""
    numbers = str(READ), tail.match, str(tail.lines), str(tail.width)
    return ("sh", "-c", _SCRIPT, "leuko-tail", root, tail.file, *numbers)


def lines_of(host: str, printed: Sequence[bytes], now: datetime) -> list[LogLine]:
    """What a host printed, in the order of its log."""
    if not printed:
        return []
    zone = _zone(printed[0].decode("ascii", "replace").strip()) or UTC
    texts = [line.decode("utf-8", "replace").rstrip() for line in printed[1:]]
    return [LogLine(host, time_of(text, zone, now), text) for text in texts if text.strip()]


def time_of(text: str, zone: timezone, now: datetime) -> datetime | None:
    """When a line says it was written, in the usual forms; None where it does not say."""
    head = text[:200]
    for match in _times(head):
        found = match.groupdict()
        try:
            month = int(found["m"]) if found["m"].isdigit() else _MONTHS.index(found["m"].lower()) + 1
            at = datetime(
                int(found.get("y") or now.year),
                month,
                int(found["d"]),
                int(found["H"]),
                int(found["M"]),
                int(found["S"]),
                tzinfo=_zone(found.get("z") or "") or zone,
            )
        except (ValueError, KeyError):
            continue
        if "y" not in found and at > now + timedelta(days=1):
            at = at.replace(year=at.year - 1)  # syslog knows no year: last December is not next December
        return at.astimezone(UTC)
    return None


def _times(text: str) -> Iterator[re.Match[str]]:
    for form in (_NUMBERED, _NAMED, _SYSLOG):
        if (match := form.search(text)) is not None:
            yield match


def _zone(text: str) -> timezone | None:
    if text in ("Z", "UTC", "GMT"):
        return UTC
    match = re.fullmatch(r"([+-])(\d\d):?(\d\d)", text)
    if match is None or int(match[2]) > 14:
        return None
    offset = timedelta(hours=int(match[2]), minutes=int(match[3]))
    return timezone(offset if match[1] == "+" else -offset)


def newest(lines: Iterable[LogLine], since: datetime, limit: int) -> list[LogLine]:
    """Those written since then, and those that do not say when; the newest first, those at the end."""
    wanted = [line for line in lines if line.at is None or line.at >= since]
    dated = sorted(
        (line for line in wanted if line.at is not None), key=lambda one: (one.at, one.host), reverse=True
    )
    undated = [line for line in wanted if line.at is None]
    return [*dated, *reversed(undated)][:limit]
