"""What Prometheus reads: the controller's own registry, and figures of the stored rows."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable

from litestar import Response, get
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from leuko.domain.line import Line
from leuko.store.store import Store
from leuko.web.site import Asked, Site, may_read


class Rows(Collector):
    """Figures that were read before the scrape's text is made."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        """As read."""
        return self._families


@get("/metrics")
async def get_metrics(request: Asked, site: Site) -> Response[bytes]:
    may_read(request)
    own = CollectorRegistry()
    own.register(Rows(await families(site)))
    text = await asyncio.to_thread(lambda: generate_latest(site.registry) + generate_latest(own))
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def families(site: Site) -> list[Metric]:
    """One sample a line and label."""
    labels = ["application", "environment"]
    now = site.clock.now()
    serving = GaugeMetricFamily("leuko_serving", "1 while a controller holds the lease", labels=labels)
    locks = GaugeMetricFamily("leuko_locks_held", "Locks held now", labels=[*labels, "kind"])
    hosts = GaugeMetricFamily("leuko_hosts", "Hosts by reachability", labels=[*labels, "state"])
    active = GaugeMetricFamily(
        "leuko_push_active", "1 for the state of the push that runs", labels=[*labels, "state"]
    )
    ends = GaugeMetricFamily(
        "leuko_recent_pushes", "Of the newest 200 pushes, by state", labels=[*labels, "state"]
    )
    events = GaugeMetricFamily("leuko_events", "Number of the newest event", labels=labels)
    for line in await site.store.lines.all():
        key = [line.application, line.environment]
        lease = await site.store.leases.get(line)
        serving.add_metric(key, float(lease is not None and lease.expires_at > now))
        held = Counter(lock.kind.value for lock in await site.store.locks.held(line, None, now))
        for kind in ("commit", "push"):
            locks.add_metric([*key, kind], held[kind])
        for state, number in (await _reach(site.store, line)).items():
            hosts.add_metric([*key, state], number)
        push = await site.store.pushes.active(line)
        if push is not None:
            active.add_metric([*key, push.state.value], 1)
        recent = Counter(each.state.value for each in await site.store.pushes.recent(line, limit=200))
        for state, number in recent.items():
            ends.add_metric([*key, state], number)
        events.add_metric(key, await site.store.events.last_number(line))
    clients = GaugeMetricFamily("leuko_stream_clients", "Clients that follow a stream here")
    clients.add_metric([], site.feeds.clients)
    return [serving, locks, hosts, active, ends, events, clients]


async def _reach(store: Store, line: Line) -> dict[str, int]:
    words = {True: "reachable", False: "unreachable", None: "unknown"}
    found = dict.fromkeys(words.values(), 0)
    for host in await store.hosts.all(line):
        found[words[host.reachable]] += 1
    return found


ROUTES = (get_metrics,)
