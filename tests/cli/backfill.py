"""A real Prometheus with a past: six hours of a simulated fleet, written by promtool."""

from __future__ import annotations

import math
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tests.gauges.servers import free_port, opened, running, wait_for

STEP = 15
HOURS = 6
MENDED = 600


@dataclass
class Fleet:
    """What the hosts' metrics were like.

    Deploys: (seconds before the end, hosts, factor on errors); a bad one is mended after ten minutes.
    """

    end: float
    hosts: int = 10
    hours: float = HOURS
    deploys: list[tuple[float, list[int], float]] = field(default_factory=list)
    seed: int = 5
    gap: tuple[float, float] | None = None
    restarts: bool = True

    def text(self) -> str:
        """OpenMetrics, the samples of one series together."""
        random = np.random.default_rng(self.seed)
        times = np.arange(self.end - self.hours * 3600, self.end + 1, STEP)
        shape = (len(times), self.hosts)
        errors = np.full(shape, 0.5)
        for before, hosts, factor in self.deploys:
            for host in hosts:
                at = self.end - before
                errors[(times > at) & (times <= at + MENDED), host] *= factor
        requests = np.cumsum(random.poisson(60, shape), axis=0).astype(float)
        failed = np.cumsum(random.poisson(errors), axis=0).astype(float)
        if self.restarts:
            for before, hosts, _ in self.deploys:  # a restart begins counters anew
                at = int(np.searchsorted(times, self.end - before))
                for host in hosts:
                    for table in (requests, failed):
                        table[at:, host] -= table[at, host]
        load = np.exp(0.2 * random.standard_normal(shape)) * 1.5
        kept = np.ones(len(times), dtype=bool)
        if self.gap is not None:
            kept = (times < self.end - self.gap[0]) | (times > self.end - self.gap[1])
        lines = []
        for name, kind, table in (
            ("http_requests", "counter", requests),
            ("php_errors", "counter", failed),
            ("node_load1", "gauge", load),
            ("up", "gauge", np.ones(shape)),
        ):
            lines.append(f"# TYPE {name} {kind}")
            suffix = "_total" if kind == "counter" else ""
            for host in range(self.hosts):
                label = f'{{instance="www{host + 1}:9100",job="shop"}}'
                for at in np.flatnonzero(kept):
                    value = table[at, host]
                    said = "NaN" if not math.isfinite(value) else f"{value:g}"
                    lines.append(f"{name}{suffix}{label} {said} {times[at]:.0f}")
        return "\n".join([*lines, "# EOF", ""])


@contextmanager
def prometheus_with(fleet: Fleet, folder: Path) -> Iterator[str]:
    """Its address. Backfilled blocks are there from its start; it scrapes nothing."""
    data, port = folder / "data", free_port()
    (folder / "past.txt").write_text(fleet.text())
    (folder / "prometheus.yml").write_text("scrape_configs: []\n")
    subprocess.run(
        [
            "promtool",
            "tsdb",
            "create-blocks-from",
            "openmetrics",
            "--max-block-duration=1000h",
            str(folder / "past.txt"),
            str(data),
        ],
        check=True,
        capture_output=True,
        timeout=60,
    )
    argv = [
        "prometheus",
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={data}",
        "--storage.tsdb.retention.time=10y",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(argv, folder, env={**os.environ, "GOMAXPROCS": "2"}):
        url = f"http://127.0.0.1:{port}"
        # ready is not enough: the past must be there, and of this server
        there = f"{url}/api/v1/query?query=up&time={fleet.end - 60:.0f}"
        wait_for(lambda: b'"result":[{' in opened(there), "the past of prometheus")
        yield url
