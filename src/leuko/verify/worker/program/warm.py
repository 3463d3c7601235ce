"""The worker's side of runners that are kept loaded."""

from __future__ import annotations

import array
import json
import os
import socket
import subprocess
from typing import Any, Dict, List, Optional

from .pipes import Waiting
from .processes import die_with_parent

_PATIENCE = 30.0


class ColdError(Exception):
    """Why a fork is not possible; the batch runs in a process of its own."""


class Loaded:
    """One loaded runner. Raises ColdError where it cannot be."""

    def __init__(
        self, tools: str, head: List[str], module: str, env: Dict[str, str], cwd: str, bare: bool = False
    ) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.path.join(tools, "leuko_worker", "forkserver.py")
        try:
            self._process = subprocess.Popen(
                [*head, program, module, str(theirs.fileno()), *(["bare"] if bare else [])],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=env, cwd=cwd, pass_fds=[theirs.fileno()], start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the worker has one thread only
            )  # fmt: skip
        except OSError as error:
            ours.close()
            raise ColdError("it cannot be started: {}".format(error.strerror or error)) from error
        finally:
            theirs.close()
        self._line = ours
        self.pid = self._process.pid
        ours.settimeout(_PATIENCE)
        answer = self._answer()
        if "ready" not in answer:
            self.close()
            raise ColdError(str(answer.get("unsafe", "it has ended")))

    def start(self, place: str, out: int, err: int) -> int:
        """Starts a fork by the request in the file `place`; its process id."""
        rights = array.array("i", [out, err])
        try:
            self._line.sendmsg([place.encode("utf-8")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
        except OSError as error:
            raise ColdError("it has ended") from error
        answer = self._answer()
        if "pid" not in answer:
            raise ColdError(str(answer.get("unsafe", "it has ended")))
        return int(answer["pid"])

    def ended(self) -> Optional[int]:
        """The exit code of the fork, negative for a signal; None while it runs."""
        self._line.settimeout(0)
        try:
            data = self._line.recv(4096)
        except BlockingIOError:
            return None
        except OSError:
            data = b""
        finally:
            self._line.settimeout(_PATIENCE)
        return int(json.loads(data)["code"]) if data else -9

    def close(self) -> None:
        """Ends it."""
        self._line.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def listen(self, waiting: Waiting) -> None:
        """Wakes the worker when a fork ends."""
        waiting.forget(self._line.fileno())
        waiting.listen(self._line.fileno(), lambda: waiting.forget(self._line.fileno()))

    def _answer(self) -> Dict[str, Any]:
        try:
            data = self._line.recv(4096)
        except OSError:
            data = b""
        if data:
            found: Dict[str, Any] = json.loads(data)
            return found
        self._process.kill()
        said = b""
        if self._process.stderr is not None:
            said = self._process.stderr.read(20000)
        last = said.decode("utf-8", "backslashreplace").strip().splitlines()[-1:] or ["it said nothing"]
        self.close()
        raise ColdError("it does not load: {}".format(last[0][:200]))


def load(tools: str, head: List[str], module: str, env: Dict[str, str], cwd: str) -> Loaded:
    """A loaded runner: with its plugins where that is safe, else without. Raises ColdError."""
    try:
        return Loaded(tools, head, module, env, cwd)
    except ColdError:
        if module != "pytest":
            raise
    return Loaded(tools, head, module, env, cwd, bare=True)


class Warm:
    """A batch in a fork."""

    def __init__(self, loaded: Loaded, pid: int) -> None:
        self._loaded = loaded
        self._code: Optional[int] = None
        self.pid = pid

    def poll(self) -> Optional[int]:
        """Its exit code, negative for a signal; None while it runs."""
        if self._code is None:
            self._code = self._loaded.ended()
        return self._code
