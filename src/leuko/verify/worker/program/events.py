"""How a test runner tells the worker of its tests: one JSON line each, through a named pipe."""

from __future__ import annotations

import faulthandler
import json
import os
import signal
import sys
from typing import Any, Dict, List, Optional, Sequence

SPEC = "LEUKO_WORKER_SPEC"
"""Environment variable: path of a JSON file with `pipe`, `top`, `files`, `only`, `nonce` and `restore`."""


def take_spec() -> Optional[Dict[str, Any]]:
    """The specification of this batch, once: what the tests start themselves does not find it any more."""
    path = os.environ.pop(SPEC, "")
    if not path:
        return None
    try:
        with open(path, encoding="utf-8") as file:
            spec: Dict[str, Any] = json.load(file)
    except OSError:
        return None
    for name, value in spec["restore"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    sys.path[:] = [entry for entry in sys.path if entry not in spec["paths"]]
    return spec


class Teller:
    """The runner's end of the pipe. Only the process that made it tells: forks of a test keep quiet."""

    def __init__(self, spec: Dict[str, Any]) -> None:
        self.spec = spec
        self._owner = os.getpid()
        self._pipe = os.open(spec["pipe"], os.O_WRONLY | os.O_CLOEXEC)
        self.out = os.dup(1)
        """What the command prints to, as it was before the runner redirected it."""
        self._mark = 0
        self._noted: List[str] = []
        self._top = os.path.realpath(spec["top"])
        self._asked = {os.path.realpath(os.path.join(self._top, file)): file for file in spec["files"]}
        self._shown: Dict[str, str] = {}

    def note(self, event: str, **facts: Any) -> None:
        """One event that is told with the next: each write wakes the worker."""
        self._noted.append(json.dumps({"e": event, **facts}) + "\n")

    def tell(self, event: str, **facts: Any) -> None:
        """One event; never raises into the customer's tests."""
        self.note(event, **facts)
        self.flush()

    def flush(self) -> None:
        """Tells what was noted."""
        noted, self._noted = self._noted, []
        if os.getpid() != self._owner or not noted:
            return
        view = memoryview("".join(noted).encode("ascii"))
        try:
            while view:
                view = view[os.write(self._pipe, view) :]
        except OSError:  # the worker is gone, and will end us
            pass

    def greet(self, runner: str, captured: Sequence[int] = ()) -> None:
        """Says who tells, and where prints are captured; lets the worker ask where a test stands."""
        self.tell("hello", pid=os.getpid(), runner=runner, captured=list(captured))
        try:  # the dump goes past a capture, to what the command prints
            faulthandler.register(signal.SIGXCPU, file=os.fdopen(os.dup(self.out), "w"), chain=True)
        except (AttributeError, OSError, ValueError, RuntimeError):
            pass

    def mark(self) -> int:
        """Puts a mark into the output, so that the worker knows what was printed before it. Its number."""
        if os.getpid() != self._owner:
            return 0
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()  # type: ignore[union-attr]  # None where there is none
            except (OSError, ValueError, AttributeError):
                pass
        self._mark += 1
        try:
            os.write(self.out, "\x1e{}:{}\x1e".format(self.spec["nonce"], self._mark).encode("ascii"))
        except OSError:
            return 0
        return self._mark

    def shown(self, path: str) -> str:
        """A file as the worker calls it: as it was asked for, else relative to the checkout."""
        if path not in self._shown:
            real = os.path.realpath(path)
            self._shown[path] = self._asked.get(real) or os.path.relpath(real, self._top)
        return self._shown[path]
