"""What the reader costs its host: CPU and processes a tick, with the shop's own gauges and its demo traffic.

    python bench/reader.py [--ticks 60] [--lines 20] [--slow-path]

The ticks are a tenth of a second long, so that a minute of them takes six seconds. One JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from leuko.config.loading import load
from leuko.demo.places import shop_folder
from leuko.gauges.reader import reader_argv

TICK = 0.1
LINE = "2026-01-01T00:00:00.000Z GET /product/{n} 200 {ms}.4 c00{n} 0123456789ab-01234567\n"


def measured(ticks: int, lines: int, *, slow_path: bool) -> dict[str, object]:
    """CPU of the reader and all that it starts, over so many ticks, without its start."""
    gauges = list(load(shop_folder() / "leuko.yml").configuration.gauges.values())
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in ("log", "var"):
            (root / "shared" / name).mkdir(parents=True)
        (root / "shared/var/shopd.pid").write_text(f"{os.getpid()}\n")
        (root / "shared/log/shopd.log").write_text("")
        argv = reader_argv(gauges, root=folder, tick=TICK)
        if slow_path:
            argv = argv[: argv.index("pass")]
        short = _run(argv, root, 5, lines)
        long = _run(argv, root, 5 + ticks, lines)
    return {
        "cell": "reader, expressions one by one" if slow_path else "reader",
        "ticks": ticks,
        "lines_a_tick": lines,
        "gauges": len(gauges),
        "cpu_ms_a_tick": round((long - short) * 1000 / ticks, 2),
    }


def _run(argv: tuple[str, ...], root: Path, ticks: int, lines: int) -> float:
    log = root / "shared/log/access.log"
    log.write_text("")
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, start_new_session=True)
    assert process.stdout is not None
    seen = 0
    while seen < ticks:
        line = process.stdout.readline()
        if line.startswith(b"E"):
            seen += 1
            with log.open("a") as out:
                out.writelines(LINE.format(n=n, ms=n + 3) for n in range(lines))
    process.send_signal(signal.SIGKILL)
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = -signal.SIGKILL
    process.stdout.close()
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ticks", type=int, default=60)
    parser.add_argument("--lines", type=int, default=20)
    parser.add_argument("--slow-path", action="store_true", help="without the one pass of awk")
    chosen = parser.parse_args()
    print(json.dumps(measured(chosen.ticks, chosen.lines, slow_path=chosen.slow_path)))
    sys.stdout.flush()


if __name__ == "__main__":
    main()
