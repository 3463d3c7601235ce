"""What of a gauge is looked at: each role as a whole, and each host beside its peers.

Hosts of a role share the day's wave, the traffic and the releases. Their common course is the role's; what a
host does besides is its own, and almost free of waves: one host of many that leaks stands out. Roles of few
hosts have no such course, so their hosts are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from leuko.statistics.question import Values
from leuko.statistics.trends_question import History
from leuko.statistics.trends_season import middle

PEERS = 4
"""Hosts from which on a role has a common course."""
ROUNDS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Hourly readings [n]. `own` are those that are tested: beside its peers, a host's less the role's."""

    name: str
    role: str
    aggregate: bool
    hosts: int
    values: Values
    own: Values
    columns: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Crew:
    """The hosts of one role that have readings. `own` is as in a subject, for all of them [n, H]."""

    role: str
    names: tuple[str, ...]
    columns: tuple[int, ...]
    values: Values
    own: Values
    course: Values | None
    """The role's common course [n]; None where it has too few hosts for one."""

    def whole(self) -> Subject | None:
        """The role itself."""
        if self.course is None:
            return None
        return Subject(self.role, self.role, True, len(self.names), self.course, self.course, self.columns)

    def host(self, place: int) -> Subject:
        """One of its hosts."""
        mine = (self.values[:, place], self.own[:, place])
        return Subject(self.names[place], self.role, False, 1, *mine, self.columns[place : place + 1])


def crews(history: History, hours: Values) -> Iterator[Crew]:
    """Role by role; hosts without any reading are left out."""
    present = (~np.isnan(hours)).sum(axis=0) > 0
    for role in dict.fromkeys(history.roles):
        columns = tuple(index for index, its in enumerate(history.roles) if its == role and present[index])
        if not columns:
            continue
        names = tuple(history.hosts[column] for column in columns)
        mine = hours[:, columns]
        if len(columns) < PEERS:
            yield Crew(role, names, columns, mine, mine, None)
            continue
        course, levels = polish(mine)
        yield Crew(role, names, columns, mine, mine - course[:, None], course + float(np.median(levels)))


def count(roles: tuple[str, ...]) -> int:
    """How many subjects a gauge on such hosts has, for the budget."""
    sizes = [roles.count(role) for role in dict.fromkeys(roles)]
    return sum(size + (size >= PEERS) for size in sizes)


def polish(values: Values) -> tuple[Values, Values]:
    """(course [n], level of each host [H]) by medians: hosts may come and go, and differ by a constant."""
    course = np.zeros(len(values))
    levels = np.zeros(values.shape[1])
    for _ in range(ROUNDS):
        levels = middle(values - np.where(np.isnan(course), 0.0, course)[:, None])
        course = middle(values - levels, axis=1)
    return course, levels
