"""What a batch costs on a Buildbot farm of this machine: JSON lines.

    python bench/farm.py [--programs .venv-farm/bin] [--workers 2] [--batches 40]

A real master and real workers, started by `leuko farm up`. Each batch is one file whose test does nothing, so
that all that is measured is the way there and back.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leuko.config.verify import Suite
from leuko.domain.case import Batch, CaseBegan, CaseEvent
from leuko.verify.buildbot.engine import BuildbotEngine, Ground
from leuko.verify.buildbot.farm import Farm
from leuko.verify.buildbot.master import Master
from leuko.verify.engine import Assignment

LEUKO = (sys.executable, "-m", "leuko.cli.main")
SUITE = Suite(runner="exit", command='sh "$@"', files=("*.sh",))


def main() -> None:
    """Starts the farm, measures, prints."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--programs", default=str(Path(__file__).parents[1] / ".venv-farm" / "bin"))
    given.add_argument("--workers", type=int, default=2)
    given.add_argument("--batches", type=int, default=40)
    options = given.parse_args()
    with tempfile.TemporaryDirectory(prefix="leuko-bench-") as name:
        folder = Path(name)
        repository, revision = _repository(folder)
        begun = time.monotonic()
        farm, facts = _started(folder, options)
        print(json.dumps({"what": "farm up", "seconds": round(time.monotonic() - begun, 2), **_load()}))
        try:
            password = Path(facts["password_file"]).read_text(encoding="utf-8").strip()
            master = Master(facts["url"], facts["user"], password)
            measured = _measured(master, repository, revision, options.batches, lambda: _cpu(farm.pid))
            for told in asyncio.run(measured):
                print(json.dumps({**told, **_load()}), flush=True)
        finally:
            farm.terminate()
            farm.wait()


def _started(folder: Path, options: argparse.Namespace) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    where = str(folder / "farm")
    ports = ["--port", str(_free_port()), "--workers-port", str(_free_port())]
    init = [*LEUKO, "farm", "init", where, "--workers", str(options.workers), *ports]
    subprocess.run(init, check=True, capture_output=True)
    up = [*LEUKO, "farm", "up", where, "--programs", options.programs, "--json"]
    farm = subprocess.Popen(up, stdout=subprocess.PIPE, text=True)
    assert farm.stdout is not None
    return farm, json.loads(farm.stdout.readline())


async def _measured(
    master: Master, repository: str, revision: str, batches: int, cpu: Callable[[], float]
) -> list[dict[str, Any]]:
    farm = Farm(master, "leuko", "bench")
    await farm.start()
    engine = BuildbotEngine(farm, Ground(repository, revision, "bench"))
    begun = time.monotonic()
    engine.release(await engine.idle())
    told: list[dict[str, Any]] = [
        {"what": "first worker ready", "seconds": round(time.monotonic() - begun, 2)}
    ]
    firsts: list[float] = []
    wholes: list[float] = []

    async def one(number: int) -> None:
        worker = await engine.idle()
        sent = time.monotonic()
        first = 0.0

        def hear(event: CaseEvent) -> None:
            nonlocal first
            if isinstance(event, CaseBegan) and not first:
                first = time.monotonic() - sent

        batch = Batch(number, "unit", ("a.sh",), timeout=60.0)
        await engine.run(worker, Assignment(batch, SUITE, revision, "bench"), hear)
        firsts.append(first)
        wholes.append(time.monotonic() - sent)

    for number in range(min(10, batches)):
        await one(number)
    told.append({"what": "one batch at a time", **_quantiles(firsts, wholes)})
    firsts.clear()
    wholes.clear()
    begun, busy = time.monotonic(), cpu()
    await asyncio.gather(*(one(100 + number) for number in range(batches)))
    seconds, busy = time.monotonic() - begun, cpu() - busy
    told.append(
        {
            "what": "all workers at once",
            "per_second": round(batches / seconds, 2),
            "cpu_each": round(busy / batches, 3),
            **_quantiles(firsts, wholes),
        }
    )
    await engine.close()
    await farm.close()
    return told


def _quantiles(firsts: list[float], wholes: list[float]) -> dict[str, Any]:
    return {
        "batches": len(wholes),
        "sent_to_first_test": round(statistics.median(firsts), 3),
        "sent_to_end": round(statistics.median(wholes), 3),
        "slowest": round(max(wholes), 3),
    }


def _repository(folder: Path) -> tuple[str, str]:
    where = folder / "shop"
    git = ["git", "-C", str(where), "-c", "user.name=bench", "-c", "user.email=bench@example.com"]
    where.mkdir()
    (where / "a.sh").write_text("exit 0\n", encoding="utf-8")
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run([*git, *arguments], check=True)
    found = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return str(where), found.stdout.strip()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _cpu(parent: int) -> float:
    """Seconds of processor time of the farm's processes, and of those of theirs that have ended."""
    ticks = 0
    for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="ascii").split():
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def _load() -> dict[str, float]:
    return {"load": round(os.getloadavg()[0], 1)}


if __name__ == "__main__":
    main()
