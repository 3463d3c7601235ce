"""Readings out of a Prometheus, or a server that answers as one does."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Mapping, Sequence

import msgspec

from leuko.config.model import Gauge
from leuko.config.secrets import Secrets
from leuko.config.sources import PrometheusSource
from leuko.domain.gauge import HOSTLESS
from leuko.gauges.answers import UnreadableError
from leuko.gauges.asking import Answer, Numbers, shown
from leuko.gauges.fetching import Fetcher
from leuko.gauges.roster import Roster, hosts_of
from leuko.gauges.source import Target

IN_THREAD = 256_000
"""Answers above this are read in a thread."""
_TEXT = r"""(?:"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`[^`]*`)"""
_SELECTOR = re.compile(rf"""\s*[a-zA-Z_:][a-zA-Z0-9_:]*\s*(?:\{{(?:[^"'`{{}}]|{_TEXT})*\}})?\s*""")


class _Sample(msgspec.Struct):
    metric: dict[str, str] = {}
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []

    @property
    def newest(self) -> str:
        """The text of its last value."""
        last = self.value or (self.values[-1] if self.values else None)
        return last[1] if last else "NaN"


class _Data(msgspec.Struct):
    result: msgspec.Raw
    type: str = msgspec.field(name="resultType")


class _Reply(msgspec.Struct):
    status: str
    data: _Data | None = None
    error_type: str = msgspec.field(name="errorType", default="")
    error: str = ""


class PrometheusQuestion:
    """One gauge's query, and that of its denominator."""

    def __init__(
        self,
        name: str,
        gauge: Gauge,
        targets: Sequence[Target],
        *,
        tick: float,
        secrets: Secrets,
        fetcher: Fetcher,
    ) -> None:
        assert gauge.prometheus is not None, "only Prometheus gauges are asked here"
        self._name = name
        self._asked = gauge.prometheus
        self._queries = tuple(query for query in (self._asked.query, self._asked.of) if query)
        self._roster = Roster(targets)
        self._secrets = secrets
        self._fetcher = fetcher
        self._lookback = f"{round((tick + self._asked.every) * 1000)}ms"
        hosts = frozenset((HOSTLESS,)) if gauge.hostless else hosts_of(targets, gauge.roles)
        self.gauges: Mapping[str, frozenset[str]] = {name: hosts}
        self.source = f"prometheus {shown(self._asked.url)}"

    async def ask(self) -> Answer:
        """Puts both queries at the same time."""
        found = await asyncio.gather(*(self._numbers(query) for query in self._queries))
        if len(found) == 1:
            return {self._name: {host: (value, math.nan) for host, value in found[0].items()}}
        above, below = found
        both: Numbers = {host: (value, below[host]) for host, value in above.items() if host in below}
        return {self._name: both}

    async def close(self) -> None:
        """The fetcher is shared; whoever made it closes it."""

    async def _numbers(self, query: str) -> Mapping[str, float]:
        asked = self._asked
        form = [
            ("query", query_of_what_is_new(query, self._lookback)),
            ("timeout", f"{asked.timeout:g}s"),
            ("lookback_delta", self._lookback),  # newer servers leave out what is older in expressions, too
        ]
        status, body = await self._fetcher.fetch(
            f"{self._secrets.fill_in(asked.url).rstrip('/')}/api/v1/query",
            timeout=asked.timeout,
            form=form,
            headers={name: self._secrets.fill_in(value) for name, value in asked.headers.items()},
        )
        try:
            if len(body) > IN_THREAD:
                return await asyncio.to_thread(numbers_of, status, body, asked, self._roster)
            return numbers_of(status, body, asked, self._roster)
        except UnreadableError as error:
            key = "query" if query == asked.query else "of"
            raise UnreadableError(f"gauges.{self._name}.prometheus.{key} `{query[:200]}`: {error}") from error


def query_of_what_is_new(query: str, lookback: str) -> str:
    """A plain selector is asked for its values of that time: an instant answer may be five minutes old.

    An expression's answer does not tell how old it is. There the server's own marks of a target that went
    away are relied on, and `lookback_delta` where the server knows it.
    """
    return f"{query.strip()}[{lookback}]" if _SELECTOR.fullmatch(query) else query


def numbers_of(status: int, body: bytes, asked: PrometheusSource, roster: Roster) -> Mapping[str, float]:
    """Host, or HOSTLESS, -> number of one answer. Raises UnreadableError."""
    samples = _samples(status, body)
    if not samples:
        raise UnreadableError("the answer is empty: no such series, or nothing new in it")
    if asked.by:
        return _by_host(samples, asked, roster)
    if len(samples) > 1:
        raise UnreadableError(f"gives {len(samples)} series, not one: sum() them, or say `by` which label")
    return {HOSTLESS: _number(samples[0].newest)}


def _samples(status: int, body: bytes) -> list[_Sample]:
    try:
        reply = msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UnreadableError(f"answered {status}, and nothing that Prometheus would say") from None
    if reply.status != "success" or reply.data is None:
        raise UnreadableError(f"answered {status} {reply.error_type}: {reply.error[:300]}")
    try:
        if reply.data.type in ("vector", "matrix"):
            return msgspec.json.decode(reply.data.result, type=list[_Sample])
        if reply.data.type == "scalar":
            return [_Sample(value=msgspec.json.decode(reply.data.result, type=tuple[float, str]))]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"holds a {reply.data.type} that cannot be read: {error}") from error
    raise UnreadableError(f"gives a {reply.data.type[:20]}, not a number for each series")


def _by_host(samples: Sequence[_Sample], asked: PrometheusSource, roster: Roster) -> Mapping[str, float]:
    found: dict[str, float] = {}
    for sample in samples:
        host = _host(sample.metric.get(asked.by, ""), asked.host, roster)
        if host is None:
            continue
        if host in found:
            raise UnreadableError(f"gives several series for {host}: sum by ({asked.by}) makes one of them")
        found[host] = _number(sample.newest)
    if not found:
        said = samples[0].metric.get(asked.by)
        has = f'for example "{said[:80]}"' if said else f"and has no label {asked.by}"
        raise UnreadableError(f"none of its {len(samples)} series is of a host of ours, {has}")
    return found


def _host(said: str, expression: str, roster: Roster) -> str | None:
    if expression:
        match = re.fullmatch(expression, said)
        return roster.find(match[1]) if match and match[1] else None
    return roster.find(said)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UnreadableError(f'gives "{text[:50]}", which is no number') from None
