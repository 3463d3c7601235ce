"""Limits that are broken before anything was pushed: nobody could tell afterwards whose fault it is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from types import MappingProxyType

import numpy as np

from leuko.domain.gauge import Gauge, Limit
from leuko.statistics import limits
from leuko.statistics.question import Question
from leuko.statistics.windows import Windows, readings

NO_LIMITS: MappingProxyType[str, tuple[Limit, ...]] = MappingProxyType({})


def standing(question: Question, roles: Collection[str]) -> tuple[limits.Broken, ...]:
    """Those that the newest readings of these roles break, so many in a row as each limit wants."""
    return tuple(
        found
        for gauge in question.gauges
        for limit in question.limits_of(gauge)
        for found in _broken(question, gauge, limit, roles)
    )


def _broken(question: Question, gauge: Gauge, limit: Limit, roles: Collection[str]) -> list[limits.Broken]:
    if len(question.times) < limit.readings:
        return []
    began = float(question.times[-limit.readings]) - question.tick
    alone = replace(gauge, limits=(limit,))
    mine = np.array([role in roles for role in question.roles], dtype=np.bool_)
    asked = replace(
        question, gauges=(alone,), limits=NO_LIMITS, warm_up=MappingProxyType({}), watch_from=began,
        switched_at=np.where(mine, began, np.nan), watched=mine,
    )  # fmt: skip
    return limits.broken(Windows(asked), alone, *readings(asked, alone))
