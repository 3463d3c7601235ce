"""Numbers out of HTTP answers: a JSON path, or a metric of a Prometheus text with label matchers."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from prometheus_client.parser import text_string_to_metric_families

_METRIC = re.compile(r"^\s*(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*(?:\{(?P<labels>.*)\})?\s*$")
_LABEL = re.compile(r'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"\s*(?:,|$)')


class UnreadableError(Exception):
    """The answer holds no such number; the text says why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's name, and what its labels must be."""

    name: str
    labels: tuple[tuple[str, str, str], ...]

    def fits(self, labels: dict[str, str]) -> bool:
        """True when every matcher holds; a missing label is the empty text."""
        return all(_holds(labels.get(label, ""), relation, wanted) for label, relation, wanted in self.labels)


def _holds(value: str, relation: str, wanted: str) -> bool:
    if relation == "=":
        return value == wanted
    if relation == "!=":
        return value != wanted
    matched = re.fullmatch(wanted, value) is not None
    return matched if relation == "=~" else not matched


@lru_cache(maxsize=1024)
def metric_of(text: str) -> Metric:
    """The metric that `http_errors_total{code="500"}` names. Raises UnreadableError."""
    match = _METRIC.match(text)
    if match is None:
        raise UnreadableError(f'"{text}" names no metric')
    labels, rest = [], match["labels"] or ""
    while rest.strip():
        label = _LABEL.match(rest)
        if label is None:
            raise UnreadableError(f'"{text}": cannot read its labels from "{rest}"')
        labels.append((label[1], label[2], label[3].replace('\\"', '"').replace("\\\\", "\\")))
        rest = rest[label.end() :]
    return Metric(match["name"], tuple(labels))


def prometheus_number(body: str, text: str) -> float:
    """The sum of the series that `text` names. Raises UnreadableError where there is none."""
    metric = metric_of(text)
    # only the metric's own lines are parsed: an exporter's whole page takes a hundred times as long
    lines = [line for line in body.splitlines() if line.startswith(metric.name)]
    try:
        values = [
            sample.value
            for family in text_string_to_metric_families("\n".join(lines) + "\n")
            for sample in family.samples
            if sample.name == metric.name and metric.fits(sample.labels)
        ]
    except (ValueError, IndexError, KeyError, TypeError, re.error) as error:
        raise UnreadableError(f"{metric.name} cannot be read: {str(error)[:200]}") from error
    if not values:
        raise UnreadableError(f"no series {text}")
    return _finite(math.fsum(values), text)


def json_number(body: bytes, path: str) -> float:
    """The number at a dotted path; whole numbers in it index lists. Raises UnreadableError."""
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableError(f"not JSON: {str(error)[:200]}") from error
    for step in path.split("."):
        if isinstance(found, dict) and step in found:
            found = found[step]
        elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
            found = found[int(step)]
        else:
            raise UnreadableError(f"nothing at {path}")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UnreadableError(f"{path} is no number but {str(found)[:50]!r}")
    return _finite(float(found), path)


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise UnreadableError(f"{where} is {value}")
    return value
