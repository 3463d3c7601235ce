"""Slow queries out of the logs of MySQL, MariaDB and PostgreSQL, grouped by what is left without literals."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from leuko.gauges.tails import LogLine

Format = Literal["mysql", "postgresql"]
LONGEST = 500
"""Characters of a query that is shown."""
LINES = 4000
"""Lines of a slow log that a host sends: a query takes five and more."""

_HEADER = re.compile(
    r"^# (Time|User@Host|Thread_id|Query_time|Rows_affected|Schema|Full_scan|Tmp_table|Filesort)"
)
_SECONDS = re.compile(r"^# Query_time: ([0-9.]+)")
_TIMESTAMP = re.compile(r"^SET timestamp=([0-9]+)")
_NOT_A_QUERY = re.compile(
    r"^(use [^ ;]+;|SET timestamp=|# |/usr/|Tcp port:|Time +Id +Command)", re.IGNORECASE
)
_DURATION = re.compile(r"duration: ([0-9.]+) ms  (?:statement|execute [^:]*|parse [^:]*|bind [^:]*): ?(.*)$")
_NEXT = re.compile(r"^\S.*?\b(?:LOG|DETAIL|ERROR|STATEMENT|HINT|CONTEXT|WARNING|FATAL|PANIC|NOTICE):  ")

_LITERALS = re.compile(
    r"""/\*.*?\*/ | (?:--\ |\#)[^\n]*$                      # comments
      |'(?:[^'\\]|\\.|'')*'? | "(?:[^"\\]|\\.|"")*"?        # texts, also one that was cut off
      |\$([A-Za-z_]*)\$.*?(?:\$\1\$|$)
      |\b0x[0-9a-fA-F]+\b | \$[0-9]+ | :[A-Za-z_]\w*
      |(?<![\w.`])[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\b""",
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
_LIST = re.compile(r"\((?: ?\? ?,)+ ?\? ?\)")
_ROWS = re.compile(r"(\(\?(?:, \.\.\.)?\))(?: ?, ?\(\?(?:, \.\.\.)?\))+")


@dataclass(frozen=True, slots=True)
class SlowQuery:
    """One query that took long."""

    host: str
    at: datetime | None
    seconds: float
    query: str


@dataclass(slots=True)
class SlowGroup:
    """The same query with other literals, wherever it ran."""

    query: str
    count: int = 0
    total: float = 0.0
    worst: float = 0.0
    last: datetime | None = None
    hosts: dict[str, int] = field(default_factory=dict)

    def add(self, one: SlowQuery) -> None:
        """One more of it."""
        self.count += 1
        self.total += one.seconds
        self.worst = max(self.worst, one.seconds)
        self.hosts[one.host] = self.hosts.get(one.host, 0) + 1
        if one.at is not None and (self.last is None or one.at > self.last):
            self.last = one.at


def slow_queries(form: Format, lines: Sequence[LogLine]) -> Iterator[SlowQuery]:
    """The queries of one host's log, in its order. A beginning that was cut off is left out."""
    return _mysql(lines) if form == "mysql" else _postgresql(lines)


def grouped(queries: Iterable[SlowQuery], since: datetime) -> list[SlowGroup]:
    """By normalised query, those that took most time together first."""
    found: dict[str, SlowGroup] = {}
    for one in queries:
        if one.at is None or one.at >= since:
            text = normalised(one.query)
            found.setdefault(text, SlowGroup(text)).add(one)
    return sorted(found.values(), key=lambda group: (-group.total, group.query))


def normalised(query: str) -> str:
    """Without literals, comments and needless space: no customer's data is left in it."""
    text = _LITERALS.sub(
        lambda match: " " if match[0][:2] in ("/*", "--") or match[0][0] == "#" else "?", query
    )
    text = " ".join(text.split()).rstrip("; ")
    text = _LIST.sub("(?, ...)", text)
    text = _ROWS.sub(r"\1, ...", text)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _mysql(lines: Sequence[LogLine]) -> Iterator[SlowQuery]:
    seconds: float | None = None
    at: datetime | None = None
    said: list[str] = []
    host = lines[0].host if lines else ""

    def ended() -> Iterator[SlowQuery]:
        if seconds is not None and said:
            yield SlowQuery(host, at, seconds, "\n".join(said))

    for line in lines:
        if _HEADER.match(line.text):
            if said:
                yield from ended()
                seconds, at, said = None, None, []
            if (match := _SECONDS.match(line.text)) is not None:
                seconds = _number(match[1])
        elif (stamp := _TIMESTAMP.match(line.text)) is not None:
            at = _moment(stamp[1])
        elif seconds is not None and not _NOT_A_QUERY.match(line.text):
            said.append(line.text)
    yield from ended()


def _postgresql(lines: Sequence[LogLine]) -> Iterator[SlowQuery]:
    begun: SlowQuery | None = None
    said: list[str] = []
    for line in lines:
        match = _DURATION.search(line.text)
        if match is None and begun is not None and not _NEXT.match(line.text):
            said.append(line.text)
            continue
        if begun is not None:
            yield SlowQuery(begun.host, begun.at, begun.seconds, "\n".join(said))
            begun = None
        seconds = _number(match[1]) if match is not None else None
        if match is not None and seconds is not None:
            begun, said = SlowQuery(line.host, line.at, seconds / 1000, ""), [match[2]]
    if begun is not None:
        yield SlowQuery(begun.host, begun.at, begun.seconds, "\n".join(said))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(text), UTC)
    except (ValueError, OverflowError, OSError):
        return None
