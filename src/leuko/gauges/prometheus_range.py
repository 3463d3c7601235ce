"""The past out of a Prometheus: ranges of a query, piece by piece, and what the server has at all."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

import msgspec
import numpy as np
from numpy.typing import NDArray

from leuko.domain.errors import LeukoError
from leuko.gauges.answers import UnreadableError
from leuko.gauges.asking import shown
from leuko.gauges.fetching import Fetcher

BODY = 64_000_000
PIECE = 400_000
"""Values asked for in one request: about 10 MB of answer."""
UNKNOWN_WIDTH = 2_000
"""Series that an answer is thought to have before the first one."""
MOST_POINTS = 10_000
"""A Prometheus refuses more than 11,000 for one series."""
USUAL = (1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0)
"""Seconds between scrapes, as people set them."""
_SCRAPES = "count_over_time(up[10m])"
TYPICAL = f"bottomk(5, abs({_SCRAPES} - scalar(quantile(0.5, {_SCRAPES}))))"
"""Five targets that are asked as often as most."""
CODE = "G030"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """One series on the grid of times that was asked for; NaN where there was nothing."""

    labels: Mapping[str, str]
    values: NDArray[np.float64]


class _Series(msgspec.Struct):
    metric: dict[str, str] = {}
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct):
    result: msgspec.Raw
    type: str = msgspec.field(name="resultType", default="")


class _Reply(msgspec.Struct):
    status: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")
    error_type: str = msgspec.field(name="errorType", default="")
    error: str = ""


@dataclass
class PrometheusHistory:
    """One server. Close it at the end."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout: float = 60.0

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise LeukoError(
                f"should begin with http:// or https://, not {shown(self.url)!r}",
                where="--prometheus",
                code=CODE,
            )
        self.url = self.url.rstrip("/")
        self._fetcher = Fetcher(BODY)
        self._width = UNKNOWN_WIDTH

    async def close(self) -> None:
        """Lets go of the connections."""
        await self._fetcher.close()

    async def range(self, query: str, times: NDArray[np.float64], *, lookback: float) -> list[Line]:
        """The query's series at these evenly spaced times; values older than `lookback` are absent."""
        if not len(times):
            return []
        found: dict[tuple[tuple[str, str], ...], NDArray[np.float64]] = {}
        begin = 0
        while begin < len(times):
            size = max(20, min(MOST_POINTS, PIECE // self._width))
            part = times[begin : begin + size]
            series = await self._piece(query, part, lookback)
            self._width = max(1, len(series))
            await asyncio.to_thread(_put, found, series, times, begin)
            begin += len(part)
        return [Line(dict(labels), values) for labels, values in sorted(found.items())]

    async def names(self) -> frozenset[str]:
        """Every metric that the server knows."""
        return await self._texts("/api/v1/label/__name__/values")

    async def labels(self, selector: str) -> frozenset[str]:
        """Labels of the series of a selector."""
        return await self._texts(f"/api/v1/labels?match[]={quote(selector, safe='')}")

    async def values(self, label: str, selector: str) -> frozenset[str]:
        """Values that a label has among these series."""
        return await self._texts(f"/api/v1/label/{quote(label)}/values?match[]={quote(selector, safe='')}")

    async def interval(self) -> float | None:
        """Seconds between two scrapes, of usual targets; None where nothing was scraped lately.

        It is told by the samples' own times. How many there are within some minutes would not do: a target
        that is new, or a server that was down meanwhile, has few of them and is asked as often.
        """
        found = await self._vector(TYPICAL)
        gaps: list[float] = []
        for labels in found:
            chosen = ",".join(
                f"{name}={_quoted(text)}" for name, text in labels.items() if name != "__name__"
            )
            data = _decoded(await self._data("/api/v1/query", [("query", f"up{{{chosen}}}[10m]")]), _Data)
            for series in _decoded(data.result, list[_Series]) if data.type == "matrix" else []:
                gaps += np.diff([at for at, _ in series.values]).tolist()
        return usual(float(np.median(gaps))) if gaps else None

    async def _vector(self, query: str) -> list[dict[str, str]]:
        """The labels of what an instant query gives."""
        data = _decoded(await self._data("/api/v1/query", [("query", query)]), _Data)
        return [one.metric for one in _decoded(data.result, list[_Series])] if data.type == "vector" else []

    async def _texts(self, path: str) -> frozenset[str]:
        return frozenset(_decoded(await self._data(path, None), list[str]))

    async def _piece(self, query: str, times: NDArray[np.float64], lookback: float) -> Sequence[_Series]:
        step = float(times[1] - times[0]) if len(times) > 1 else 1.0
        form = [
            ("query", query),
            ("start", f"{times[0]:.3f}"),
            ("end", f"{times[-1]:.3f}"),
            ("step", f"{step:g}"),
            ("timeout", f"{self.timeout:g}s"),
            ("lookback_delta", f"{lookback:g}s"),
        ]
        data = _decoded(await self._data("/api/v1/query_range", form), _Data)
        if data.type != "matrix":
            raise _unusable(f"gives a {data.type[:20]}, not series over time", query)
        return await asyncio.to_thread(_decoded, data.result, list[_Series])

    async def _data(self, path: str, form: Sequence[tuple[str, str]] | None) -> msgspec.Raw:
        where = shown(self.url)
        try:
            status, body = await self._fetcher.fetch(
                f"{self.url}{path}", timeout=self.timeout, form=form, headers=self.headers
            )
        except UnreadableError as error:
            raise LeukoError(
                str(error), where=where, way_out="is it up, and the address right?", code=CODE
            ) from error
        reply = await asyncio.to_thread(_reply, status, body, where)
        if reply.status != "success":
            query = dict(form or ()).get("query", path)
            raise _unusable(f"answered {status} {reply.error_type}: {reply.error[:300]}", query)
        return reply.data


def _reply(status: int, body: bytes, where: str) -> _Reply:
    try:
        return msgspec.json.decode(body, type=_Reply)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise LeukoError(
            f"answered {status}, and nothing that Prometheus would say",
            where=where,
            way_out="the address should be the server's own, without /api or /graph",
            code=CODE,
        ) from None


def _decoded(raw: msgspec.Raw, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LeukoError(f"its answer cannot be read: {error}"[:300], where="Prometheus", code=CODE) from None


def usual(gap: float) -> float:
    """Seconds as somebody will have set them, for a gap that was measured; an odd one stays as it is."""
    nearest = min(USUAL, key=lambda one: abs(math.log(one / gap))) if gap > 0 else USUAL[0]
    return nearest if abs(nearest - gap) <= 0.1 * nearest else float(max(1.0, round(gap)))


def _quoted(text: str) -> str:
    """As a string of PromQL, whose escapes are those of JSON."""
    return msgspec.json.encode(text).decode()


def _unusable(rule: str, query: str) -> LeukoError:
    return LeukoError(
        rule, where=f"`{query[:200]}`", way_out="try the query on the server's own page", code=CODE
    )


def _put(
    found: dict[tuple[tuple[str, str], ...], NDArray[np.float64]],
    series: Sequence[_Series],
    times: NDArray[np.float64],
    begin: int,
) -> None:
    step = float(times[1] - times[0]) if len(times) > 1 else 1.0
    for one in series:
        key = tuple(sorted(one.metric.items()))
        values = found.setdefault(key, np.full(len(times), np.nan))
        at = np.array([moment for moment, _ in one.values], dtype=np.float64)
        places = np.rint((at - times[0]) / step).astype(np.int64)
        numbers = np.array([_number(text) for _, text in one.values], dtype=np.float64)
        inside = (places >= begin) & (places < len(times)) & np.isfinite(numbers)
        values[places[inside]] = numbers[inside]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
