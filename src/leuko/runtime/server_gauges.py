"""What to look at in a Prometheus: as asked, as configured, or proposed from what the server has."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leuko.config.model import Configuration
from leuko.domain.errors import LeukoError
from leuko.domain.gauge import Direction, Gauge, Kind, Limit
from leuko.gauges.prometheus_range import PrometheusHistory
from leuko.runtime.questions import gauge_of

CODE = "D002"
MOST = 12
"""Gauges that are proposed: each costs evidence that the others could use."""
COUNTER = re.compile(r"_(total|count|sum|bucket)\b")
FUNCTION = re.compile(r"\b(rate|irate|increase|delta|deriv|idelta|resets)\s*\(")
METRIC = re.compile(r"^[a-zA-Z_:][a-zA-Z0-9_:]*(\{.*\})?$", re.DOTALL)
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,62}$")


@dataclass(frozen=True, slots=True)
class Watched:
    """A gauge and the queries that it comes from. `counter`: they only ever grow."""

    gauge: Gauge
    query: str
    of: str = ""
    counter: bool = False
    by: str | None = None
    """Label that names the host; empty: of the whole; None: as for all."""
    host: str = ""
    """Expression with one group, around the host in the label's value."""


def asked_for(texts: Sequence[str], by: str) -> list[Watched]:
    """`NAME=PROMQL`, also `NAME:count=PROMQL`, one gauge each. Raises LeukoError."""
    found = []
    for text in texts:
        name, sign, query = text.partition("=")
        name, _, kind = name.strip().partition(":")
        if not sign or not query.strip() or not NAME.match(name) or kind not in ("", "count", "level"):
            raise LeukoError(
                f"should be NAME=PROMQL, not {text[:80]!r}",
                where="--query",
                way_out="--query 'errors=http_errors_total', --query 'busy:level=node_load1'",
                code=CODE,
            )
        found.append(_as_asked(name, kind, query.strip(), by))
    names = [one.gauge.name for one in found]
    if len(set(names)) != len(names):
        raise LeukoError("names one gauge twice", where="--query", code=CODE)
    return found


def _as_asked(name: str, kind: str, query: str, by: str) -> Watched:
    counter = kind == "count" or (not kind and bool(COUNTER.search(query)) and not FUNCTION.search(query))
    counter = counter and not FUNCTION.search(query)
    gauge = Gauge(name, Kind.COUNT if counter or kind == "count" else Kind.LEVEL)
    if METRIC.match(query):  # a bare metric may have many series for one host
        query = f"{'sum' if gauge.kind is Kind.COUNT else 'avg'} by ({by}) ({query})"
    return Watched(gauge, query, counter=counter)


def configured(configuration: Configuration) -> list[Watched]:
    """The gauges of a configuration that come from a Prometheus, limits included."""
    found = []
    for name, section in configuration.gauges.items():
        source = section.prometheus
        if source is None:
            continue
        gauge = gauge_of(name, section)
        counter = source.counter and section.kind != "level"
        limits = tuple(limit for limit in gauge.limits if not limit.host and not limit.role)
        plain = Gauge(
            name, gauge.kind, gauge.direction, gauge.unit, (), gauge.required, limits, gauge.must_see
        )
        found.append(Watched(plain, source.query, source.of, counter, source.by, source.host))
    if not found:
        raise LeukoError(
            "has no gauge that comes from a Prometheus",
            where="--config",
            way_out="leave it out, and queries are proposed from what the server has; or say --query",
            code=CODE,
        )
    return found


async def proposed(server: PrometheusHistory, by: str) -> list[Watched]:
    """What can be watched with the metrics that most servers have. Raises LeukoError where there are none."""
    names = await server.names()
    found: list[Watched] = []
    for metric in sorted(name for name in names if re.search(r"requests?(_seconds)?_(total|count)$", name)):
        found += await _of_requests(server, metric, by)
    for metric in sorted(names):
        found += _of_metric(metric, names, by)
    unique = list({one.gauge.name: one for one in found}.values())[:MOST]
    if not unique:
        raise LeukoError(
            f"has {len(names):,} metrics, and none that a proposal could be made from",
            where="--prometheus",
            way_out="say what to watch: --query 'errors=my_errors_total'",
            code=CODE,
        )
    return unique


async def _of_requests(server: PrometheusHistory, metric: str, by: str) -> list[Watched]:
    labels = await server.labels(metric)
    short = re.sub(r"(_seconds)?_(total|count)$", "", metric)
    found = [Watched(_gauge(short, Kind.COUNT, Direction.DOWN), f"sum by ({by}) ({metric})", counter=True)]
    label = next((one for one in ("code", "status", "status_code", "http_status") if one in labels), None)
    if label is not None:
        bad = f'sum by ({by}) ({metric}{{{label}=~"5.."}}) or 0 * sum by ({by}) ({metric})'
        whole = f"sum by ({by}) ({metric})"
        found.insert(0, Watched(_gauge(f"{short}_5xx", Kind.RATIO), bad, whole, counter=True))
    return found


def _of_metric(metric: str, names: frozenset[str], by: str) -> list[Watched]:
    base = re.sub(r"_(sum|total)$", "", metric)
    if metric.endswith("_duration_seconds_sum") and f"{base}_count" in names:
        query = f"sum by ({by}) (rate({metric}[1m])) / sum by ({by}) (rate({base}_count[1m]))"
        return [Watched(_gauge(base.removesuffix("_seconds"), Kind.LEVEL, unit="s"), query)]
    if re.search(r"(errors|exceptions|failures|panics)_total$", metric):
        return [Watched(_gauge(base, Kind.COUNT), f"sum by ({by}) ({metric})", counter=True)]
    known = {
        "node_load1": ("load", f"avg by ({by}) (node_load1)", Direction.UP),
        "node_cpu_seconds_total": (
            "cpu_busy",
            f'100 - 100 * avg by ({by}) (rate(node_cpu_seconds_total{{mode="idle"}}[1m]))',
            Direction.UP,
        ),
        "node_memory_MemAvailable_bytes": (
            "memory_free",
            f"avg by ({by}) (node_memory_MemAvailable_bytes)",
            Direction.DOWN,
        ),
        "process_resident_memory_bytes": (
            "memory",
            f"sum by ({by}) (process_resident_memory_bytes)",
            Direction.UP,
        ),
    }
    if metric not in known:
        return []
    name, query, direction = known[metric]
    return [Watched(_gauge(name, Kind.LEVEL, direction), query)]


def _gauge(
    name: str, kind: Kind, direction: Direction = Direction.UP, unit: str = "", limits: tuple[Limit, ...] = ()
) -> Gauge:
    return Gauge(name[:63], kind, direction, unit, limits=limits)


def told(watched: Sequence[Watched]) -> list[Mapping[str, str]]:
    """For people and `--json`: what is looked at."""
    return [
        {
            "gauge": one.gauge.name,
            "kind": one.gauge.kind.value,
            "direction": one.gauge.direction.value,
            "query": one.query,
            "of": one.of,
        }
        for one in watched
    ]
