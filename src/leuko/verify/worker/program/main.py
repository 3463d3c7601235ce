"""The worker: reads assignments as JSON lines, runs them, says what happens in frames.

When its standard input ends, it ends everything it started, and itself; unless a batch says it is the last.
"""

from __future__ import annotations

import os
import platform
import secrets
import shutil
import signal
import sys
import tempfile
import time
from typing import Any, Dict

from .call import Call
from .frames import Frames
from .keeper import MARK, Keeper
from .pipes import Waiting
from .processes import adopt_orphans, kill_all
from .station import Station

PROTOCOL = 1


def main(tools: str) -> int:
    """Serves until there is nothing more. `tools` is the folder that holds this package."""
    frames = Frames(os.dup(1))
    os.dup2(2, 1)  # whatever prints by mistake does not end up among the frames
    mark = os.environ[MARK] = secrets.token_hex(8)
    keeper = Keeper(mark)
    adopt_orphans()
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda number, _frame: sys.exit(128 + number))
    folder = tempfile.mkdtemp(prefix="leuko-worker-")
    station = Station(frames, Waiting(), tools, folder, keeper.pid)
    try:
        frames.emit("ready", protocol=PROTOCOL, python=platform.python_version(), pid=os.getpid())
        return _serve(station, frames)
    except BrokenPipeError:  # nobody listens any more
        return 3
    finally:
        kill_all((keeper.pid,))
        keeper.dismiss()
        shutil.rmtree(folder, ignore_errors=True)


def _serve(station: Station, frames: Frames) -> int:
    while True:
        assignment = station.next()
        if assignment is None:
            return 0
        _batch(station, frames, assignment)
        if assignment.get("last"):
            return 0


def _batch(station: Station, frames: Frames, assignment: Dict[str, Any]) -> None:
    begun = time.monotonic()
    stopped = ""
    for number in range(len(assignment["calls"])):
        stopped = station.stop(assignment)
        if not stopped and time.monotonic() - begun >= assignment["timeout"]:
            stopped = "timeout"
        if stopped:
            break
        Call(station, assignment, number).run()
    station.between()
    frames.emit("end", id=assignment["id"], seconds=time.monotonic() - begun, stopped=stopped)
