"""Hosts as others call them: which one an answer speaks of."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from leuko.gauges.source import Target

_PORT = re.compile(r"^\[?(?P<host>[^\[\]]+?)\]?:[0-9]{1,5}$")


class Roster:
    """Finds hosts by name, by address, or by a first label, where those are of one host only."""

    def __init__(self, targets: Sequence[Target]) -> None:
        found = [(target.name, target.name) for target in targets]
        found += _distinct([(target.address, target.name) for target in targets if target.address])
        found += _distinct([(target.name.partition(".")[0], target.name) for target in targets])
        self._names: dict[str, str] = {}
        for known, name in found:
            self._names.setdefault(known.lower(), name)

    def find(self, said: str) -> str | None:
        """The host that a label, a column or a line names, with or without a port; None: none of ours."""
        name = self._names.get(said.lower())
        if name is None and (match := _PORT.match(said)):
            name = self._names.get(match["host"].lower())
        return name


def _distinct(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Without what stands for several hosts: a guess would be worse than absence."""
    often = Counter(known for known, _ in pairs)
    return [(known, name) for known, name in pairs if often[known] == 1]


def hosts_of(targets: Sequence[Target], roles: Sequence[str]) -> frozenset[str]:
    """Names of the hosts of these roles; of all hosts where there are none."""
    return frozenset(target.name for target in targets if not roles or target.role in roles)
