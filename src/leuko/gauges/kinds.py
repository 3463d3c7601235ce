"""Kinds of lines: what is left of a log line without its names and numbers, and which of them are new.

The same lines in the same order give the same kinds. What is known is bounded, and can be kept elsewhere:
`changes` and `learn`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from drain3.drain import Drain, LogCluster

from leuko.domain.template import Template

FRESH = timedelta(minutes=15)
"""How long after its first line a kind is new: as long as a bad release goes on making it, and no longer."""
MOST = 2000
"""Kinds of one gauge; the one not seen for longest is forgotten first."""
MOST_HOSTS = 50
"""Hosts that one kind names."""
ROOM = 500
"""Lines in new words that are compared with all kinds in one tick: each takes up to 0.6 ms."""
EACH = 2
"""Of them, how many of each host are compared in any case: a flood elsewhere hides no canary."""
CACHED = 4096
SIMILAR = 0.5
"""Part of a template's words that a line must share with it."""

_VARIABLE = re.compile(
    r"""[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}   # a uuid
      |0x[0-9a-fA-F]+
      |\b(?=[0-9a-fA-F]*[0-9])[0-9a-fA-F]{8,}\b                # a digest
      |[0-9]+(?:[.,:/T-][0-9]+)*                               # numbers, times, addresses
    """,
    re.VERBOSE,
)


@dataclass(slots=True)
class Kind:
    """One kind of line. `id` stays the same when its template becomes more general."""

    id: str
    template: str
    example: str
    first_seen: datetime
    last_seen: datetime
    seen: int = 0
    hosts: dict[str, int] = field(default_factory=dict)

    def known(self, gauge: str) -> Template:
        """As it is kept."""
        times = self.first_seen, self.last_seen
        return Template(gauge, self.id, self.template, self.example, *times, self.seen, dict(self.hosts))

    def on(self, host: str) -> None:
        """One more line of it on a host."""
        self.seen += 1
        if host in self.hosts or len(self.hosts) < MOST_HOSTS:
            self.hosts[host] = self.hosts.get(host, 0) + 1


class Kinds:
    """Of one gauge."""

    def __init__(self, gauge: str) -> None:
        self.gauge = gauge
        self._drain: Any = Drain(sim_th=SIMILAR, max_clusters=MOST)
        self._kinds: dict[int, Kind] = {}
        self._cache: dict[str, int] = {}
        self._changed: set[int] = set()
        self._tick = -1
        self._room = ROOM
        self.left_out = 0
        """Lines that were not looked at because there were too many."""

    def __len__(self) -> int:
        return len(self._kinds)

    def learn(self, known: Iterable[Template]) -> None:
        """Takes up what was known before, in the order in which it was first seen."""
        for one in sorted(known, key=lambda one: (one.first_seen, one.id)):
            self._drain.clusters_counter += 1
            number = self._drain.clusters_counter
            cluster = LogCluster(one.text.split(), number)
            self._drain.id_to_cluster[number] = cluster
            self._drain.add_seq_to_prefix_tree(self._drain.root_node, cluster)
            times = one.first_seen, one.last_seen
            self._kinds[number] = Kind(one.id, one.text, one.example, *times, one.seen, dict(one.hosts))
        self._forget()

    def take(self, host: str, lines: Sequence[str], tick: int, at: datetime) -> int:
        """How many of a host's lines in a tick are of kinds first seen lately."""
        if tick > self._tick:
            self._tick, self._room = tick, ROOM
        fresh, own = 0, EACH
        for line in lines:
            masked = masked_line(line)
            number = self._known(masked)
            if number is None and own <= 0 and self._room <= 0:
                self.left_out += 1
                continue
            if number is None:
                own, self._room = (own - 1, self._room) if own > 0 else (own, self._room - 1)
                number = self._clustered(masked)
            kind = self._kind(number, masked, line, at)
            kind.on(host)
            kind.last_seen = max(kind.last_seen, at)
            fresh += at - kind.first_seen < FRESH
        return fresh

    def changes(self) -> list[Template]:
        """Every kind that changed since this was asked for last."""
        changed = [self._kinds[number] for number in sorted(self._changed) if number in self._kinds]
        self._changed.clear()
        return [kind.known(self.gauge) for kind in changed]

    def _known(self, masked: str) -> int | None:
        """The kind of a line that came before in the same words, where it is still known."""
        number = self._cache.get(masked)
        if number is None or self._drain.id_to_cluster[number] is None:  # asking for it keeps it
            return None
        return number

    def _kind(self, number: int, masked: str, line: str, at: datetime) -> Kind:
        self._changed.add(number)
        kind = self._kinds.get(number)
        if kind is None:
            digest = hashlib.sha256(masked.encode()).hexdigest()[:16]
            kind = self._kinds[number] = Kind(digest, masked, line, at, at)
            self._forget()
        return kind

    def _clustered(self, masked: str) -> int:
        cluster, change = self._drain.add_log_message(masked)
        number: int = cluster.cluster_id
        if change == "cluster_template_changed" and number in self._kinds:
            self._kinds[number].template = cluster.get_template()
        if len(self._cache) >= CACHED:
            self._cache.clear()
        self._cache[masked] = number
        return number

    def _forget(self) -> None:
        if len(self._kinds) > MOST:
            self._kinds = {n: kind for n, kind in self._kinds.items() if n in self._drain.id_to_cluster}


def masked_line(line: str) -> str:
    """The line's words with what differs from one time to the next taken out."""
    return " ".join(_VARIABLE.sub("<*>", line).split()) or "(empty)"
