"""`leuko serve` in the background: started, waited for, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leuko.cli.serve import ADDRESS, LISTEN, LOG, answers, read_address
from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from leuko.cli.presence import Presence

STARTING_SECONDS = 30.0
STOPPING_SECONDS = 20.0


def start_detached(
    files: Sequence[Path],
    *,
    state: Path,
    environment: str | None = None,
    database: str = "",
    listen: str = LISTEN,
    names: Sequence[str] = (),
) -> int:
    """Starts `leuko serve` in a session of its own; returns when it answers, or raises with the reason."""
    from leuko.cli.installation import SOCKET, make_state
    from leuko.cli.presence import starting, taken

    folder = make_state(state)
    if answers(folder / SOCKET):  # its socket must not be taken from it
        raise LeukoError(
            "a controller serves here already",
            where=str(folder),
            way_out="use it (`leuko status`), or end it first with `leuko serve --stop`",
            code="X004",
        )
    argv = [sys.executable, "-m", "leuko.cli.main", "serve", "--state", str(folder), "--listen", listen]
    argv += [part for path in files for part in ("--config", str(path))]
    argv += ["--environment", environment] if environment else []
    argv += ["--database", database] if database else []
    argv += [part for name in names for part in ("--name", name)]
    presence = taken(folder)
    if presence is None:
        raise starting(folder)
    (folder / SOCKET).unlink(missing_ok=True)
    (folder / ADDRESS).unlink(missing_ok=True)  # the next one's is written just after its socket answers
    try:
        process = _begun(argv, folder, presence)
    finally:
        presence.let_go()
    try:
        if _comes_up(process, folder, folder / SOCKET):
            return 0
    except KeyboardInterrupt:
        process.terminate()  # who gave up waiting does not expect it to come up a moment later
        raise
    if process.poll() == -signal.SIGTERM:
        raise LeukoError(
            "the controller was ended while it started",
            where=str(folder),
            way_out="somebody typed `leuko serve --stop`; start it again with `leuko serve`",
            code="X001",
        )
    process.terminate()
    tail = (folder / LOG).read_text(errors="replace")[-2000:]
    raise LeukoError(
        f"the controller did not start; the end of {folder / LOG}:\n{tail}",
        way_out="mend that, or start it in the foreground with `leuko serve`",
        code="X001",
    )


def _begun(argv: Sequence[str], folder: Path, presence: Presence) -> subprocess.Popen[bytes]:
    """The process, which keeps the presence that is handed to it until it ends."""
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            pass_fds=(presence.descriptor,),
        )
    presence.tell(process.pid)
    return process


def _comes_up(process: subprocess.Popen[bytes], folder: Path, path: Path) -> bool:
    """True once it answers; False where it ended, or took too long."""
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if answers(path) and read_address(folder):
            return True
        time.sleep(0.05)
    return False


def stop_running(state: Path) -> int:
    """Ends the controller of this state directory, one that is only starting too; 0 also where none ran."""
    from leuko.cli.presence import holders

    if not state.is_dir():
        return 0
    until = time.monotonic() + STOPPING_SECONDS
    asked: set[int] = set()
    pids: set[int] = set()
    while time.monotonic() < until:
        there, found = holders(state)
        if not there:
            return 0
        pids = found or pids
        for pid in found - asked:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        asked |= found
        time.sleep(0.05)
    which = " ".join(map(str, sorted(pids))) or "unknown"
    raise LeukoError(
        f"the controller (pid {which}) did not end within {STOPPING_SECONDS:.0f} s",
        where=str(state),
        way_out=f"kill -9 {which} is safe: the next start goes on where it was",
        code="X002",
    )
