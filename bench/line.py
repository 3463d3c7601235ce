"""The line: what the demo takes stage by stage, and what orders cost beside rsync and a link.

    python bench/line.py [--runs 3] [--hosts 20] [--out line.jsonl] [--only demo|orders] [--quick]

`demo` cells run `leuko demo --json`. The `orders` cell stages a delta (4,000 files, 40 changed), switches and
rolls back on so many local hosts, and does the same with `rsync --link-dest` and `ln -sfn` in the same run.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from _cells import Cell, do, parser

from leuko.config.model import Release
from leuko.domain.order import Fence, Order, OrderKind
from leuko.domain.release import Component, release_name
from leuko.hosts.orders import Reach
from leuko.hosts.perform import Orders
from leuko.hosts.port import Address, Connection
from leuko.hosts.transport.local import LocalTransport
from leuko.releases.archives import Archives

FILES, CHANGED = 4000, 40


def demo() -> Mapping[str, Any]:
    """One run: stages without the watch, detection, rollback, customers, memory and CPU of the controller."""
    argv = [sys.executable, "-m", "leuko.cli.main", "demo", "--json"]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    facts = json.loads(ran.stdout.splitlines()[-1])
    if "pushes" not in facts:
        return {"ok": False, "error": facts.get("error", ran.stderr[-500:])}
    bad = facts["bad_push"]
    return {
        "ok": facts["ok"],
        "not_as_expected": [one["text"] for one in facts["expectations"] if not one["came_true"]],
        "seconds": facts["seconds"],
        "commit_to_live_without_watch": {
            push["revision"][:8]: push["commit_to_end_without_watch_seconds"] for push in facts["pushes"]
        },
        "stages": {push["revision"][:8]: push["stages"] for push in facts["pushes"]},
        "detected_after": bad.get("detected_after_seconds"),
        "rolled_back_in": bad.get("rolled_back_in_seconds"),
        "failed": bad.get("failed"),
        "would_have_failed": bad.get("would_have_failed_without_canaries"),
        "failed_otherwise": facts["requests"]["failed"] - bad.get("failed", 0),
        "failed_by_kind": facts["requests"]["failed_by_kind"],
        "controller_peak_memory_mb": facts["controller_peak_memory_mb"],
        "controller_cpu_seconds": facts["controller_cpu_seconds"],
    }


@dataclass
class Hosts:
    """Local hosts that take orders."""

    folder: Path
    names: list[str]
    archives: Archives
    performer: Orders = field(default_factory=Orders)
    connections: dict[str, Connection] = field(default_factory=dict)
    sequence: int = 0

    async def connect(self) -> None:
        """One connection each, as a pool keeps them."""
        transport = LocalTransport()
        for name in self.names:
            self.connections[name] = await transport.connect(Address(host=name, driver="local"))

    async def order(self, kind: OrderKind, component: Component, target: str, base: str = "") -> float:
        """Gives all hosts the order at once; seconds until the last has done it."""
        self.sequence += 1
        began = time.monotonic()
        await asyncio.gather(*(self._one(name, kind, component, target, base) for name in self.names))
        return time.monotonic() - began

    async def _one(self, name: str, kind: OrderKind, component: Component, target: str, base: str) -> None:
        order = Order(
            f"{kind}.{self.sequence}", kind, Fence("bench", 1, self.sequence), "app", target=target, base=base
        )
        stage = kind is OrderKind.STAGE
        payload = await self.archives.payload(component, target, [base] if base else []) if stage else None
        place = Reach("shop", "production", name, "www", str(self.folder / name / "srv"))

        async def source() -> Connection:
            return self.connections[name]

        outcome = await self.performer.perform(source, place, order, payload)
        assert outcome.done, outcome


def _trees(folder: Path) -> tuple[Path, Path]:
    before, after = folder / "before", folder / "after"
    for number in range(FILES):
        path = before / f"d{number % 80}" / f"f{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(1500).hex().encode())
    shutil.copytree(before, after)
    for number in range(CHANGED):
        (after / f"d{number % 80}" / f"f{number}.txt").write_bytes(os.urandom(1500).hex().encode())
    return before, after


async def _leuko(folder: Path, before: Path, after: Path, hosts: int) -> dict[str, float]:
    fleet = Hosts(folder, [f"h{n}" for n in range(hosts)], Archives(folder / "archives"))
    await fleet.connect()
    old = await fleet.archives.build(before, Release(), "a" * 40)
    new = await fleet.archives.build(after, Release(), "b" * 40)
    base, target = release_name("a" * 40, old.digest), release_name("b" * 40, new.digest)
    full = await fleet.order(OrderKind.STAGE, old, base)
    await fleet.order(OrderKind.SWITCH, old, base)
    return {
        "full copy": full,
        "delta": await fleet.order(OrderKind.STAGE, new, target, base),
        "switch": await fleet.order(OrderKind.SWITCH, new, target, base),
        "rollback": await fleet.order(OrderKind.RESTORE, old, target, base),
    }


async def _plain(folder: Path, before: Path, after: Path, hosts: int) -> dict[str, float]:
    places = [folder / f"p{n}" for n in range(hosts)]
    for place in places:
        place.mkdir(parents=True)

    async def everywhere(*scripts: str) -> float:
        began = time.monotonic()
        processes = [
            await asyncio.create_subprocess_exec(
                "sh", "-ec", script, "sh", str(before), str(after), cwd=place
            )
            for script, place in zip(scripts * hosts, places, strict=False)
        ]
        assert not any(await asyncio.gather(*(process.wait() for process in processes)))
        return time.monotonic() - began

    full = await everywhere('rsync -a "$1/" old/')
    await everywhere("ln -sfn old current")
    return {
        "full copy": full,
        "delta": await everywhere('rsync -a --link-dest=../old "$2/" new/'),
        "switch": await everywhere("ln -sfn new current"),
        "rollback": await everywhere("ln -sfn old current"),
    }


def orders(hosts: int) -> Mapping[str, Any]:
    """Seconds of both, and Leuko's as a multiple of the plain commands'."""
    with tempfile.TemporaryDirectory(prefix="leuko-bench-") as name:
        folder = Path(name)
        before, after = _trees(folder)
        ours = asyncio.run(_leuko(folder / "leuko", before, after, hosts))
        plain = asyncio.run(_plain(folder / "plain", before, after, hosts))
    return {
        "hosts": hosts,
        "leuko": {name: round(seconds, 3) for name, seconds in ours.items()},
        "rsync and ln": {name: round(seconds, 3) for name, seconds in plain.items()},
        "ratio": {name: round(seconds / plain[name], 2) for name, seconds in ours.items()},
        "median_ratio": round(statistics.median(ours[name] / plain[name] for name in ours), 2),
    }


def main() -> None:
    """The program."""
    made = parser(__doc__)
    made.add_argument("--runs", type=int, default=3, help="of the demo")
    made.add_argument("--hosts", type=int, default=20, help="of the orders")
    chosen = made.parse_args()
    runs = 1 if chosen.quick else chosen.runs
    cells: dict[str, Cell] = {f"demo {number + 1}": demo for number in range(runs)}
    cells[f"orders on {chosen.hosts} hosts"] = lambda: orders(chosen.hosts)
    do(cells, chosen)


if __name__ == "__main__":
    main()
