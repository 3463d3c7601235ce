"""Slow failures: what a gauge does over days, after the push that did it has long been live.

Theory of operation. Hourly readings are freed of the day's wave (`trends_season`), laid along the chain of
releases (`trends_chain`), and given a slope with a guard (`trends_kendall`), for each role as a whole and for
each host beside its peers (`trends_subjects`). A slope is a finding when it is sure enough for the budget of
false warnings, when it goes on, when no single jump explains it better, and when it matters: a capacity is
used up within the horizon, or the gauge grows notably in that time. `trends_suspects` names the pushes.

The same history has the same answer. Absence never is one: it is said how much is missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from leuko.domain.trend import Outlook, Shape, Trend
from leuko.statistics.trends_inquiry import Inquiry
from leuko.statistics.trends_question import Bar, History, hourly
from leuko.statistics.trends_screen import beyond, enough, worth_it
from leuko.statistics.trends_sentences import told
from leuko.statistics.trends_subjects import PEERS, crews


@dataclass(frozen=True, slots=True)
class Answer:
    """What one look found about one gauge."""

    trends: tuple[Trend, ...]
    outlooks: tuple[Outlook, ...]
    cleared: frozenset[tuple[str, bool, Shape]]
    """(subject, whether it is a role, shape) about which there was enough data, and clearly nothing."""


def look(history: History, bar: Bar) -> Answer:
    """One look at one gauge."""
    hours = hourly(history.cells)
    trends: list[Trend] = []
    outlooks: list[Outlook] = []
    cleared: set[tuple[str, bool, Shape]] = set()
    for crew in crews(history, hours):
        chosen = (
            worth_it(history, crew, bar) if crew.course is not None else np.ones(len(crew.names), dtype=bool)
        )
        whole = crew.whole()
        subjects = ([whole] if whole else []) + [crew.host(int(place)) for place in np.flatnonzero(chosen)]
        for subject in subjects:
            asked = Inquiry(history, bar, subject)
            found = asked.trend()
            trends += [found] if found else []
            if subject.aggregate or crew.course is None or asked.evident:
                outlooks.append(asked.outlook())
            cleared |= {(subject.name, subject.aggregate, shape) for shape in asked.cleared()}
        if crew.course is None:  # what they did together is over when each of them is calm
            mine = [shape for name, role, shape in cleared if not role and name in crew.names]
            cleared |= {(crew.role, True, shape) for shape in Shape if mine.count(shape) == len(crew.names)}
        calm = [crew.names[place] for place in np.flatnonzero(~chosen & enough(crew.values))]
        cleared |= {(name, False, shape) for name in calm for shape in Shape}
    return Answer(tuple(_merged(trends, history)), tuple(outlooks), frozenset(cleared))


def fills(history: History, bar: Bar) -> tuple[Trend, ...]:
    """The quick look between two hours: only hosts that fill up at this moment."""
    found = []
    for crew in crews(history, hourly(history.cells)):
        for place in np.flatnonzero(beyond(history, crew)):
            trend = Inquiry(history, bar, crew.host(int(place))).trend(only=Shape.FILL)
            found += [trend] if trend else []
    return tuple(_merged(found, history))


def _merged(trends: Sequence[Trend], history: History) -> list[Trend]:
    """Hosts of a small role that all do the same are one finding of the role."""
    kept = [trend for trend in trends if trend.aggregate or history.roles.count(trend.role) >= PEERS]
    rest = [trend for trend in trends if trend not in kept]
    for role, shape in dict.fromkeys((trend.role, trend.shape) for trend in rest):
        mine = [trend for trend in rest if (trend.role, trend.shape) == (role, shape)]
        if len(mine) < 2 or len(mine) < history.roles.count(role):
            kept += mine
            continue
        mine.sort(key=lambda trend: trend.room.hours if trend.room else -trend.evidence)
        whole = replace(mine[0], subject=role, aggregate=True, hosts=len(mine))
        kept.append(replace(whole, sentence=told(whole)))
    return kept
