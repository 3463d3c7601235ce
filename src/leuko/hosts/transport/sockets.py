"""The private folder in which the control sockets of one process lie."""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import subprocess
import threading
from pathlib import Path

LOCK = "lock"


class SocketFolder:
    """`<runtime folder>/ssh-<letters>`, 0700, locked for as long as this process lives.

    A controller that was killed leaves masters behind. Whoever comes next sees that their folder's lock is
    free, ends them and removes the folder.
    """

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self._path: Path | None = None
        self._lock = -1
        self._making = threading.Lock()

    @property
    def path(self) -> Path:
        """The folder; there once something was prepared in it."""
        assert self._path is not None, "prepare() comes first"
        return self._path

    def prepare(self, config: str) -> str:
        """Writes `<name>.conf` and gives the name that a socket may have."""
        with self._making:
            if self._path is None:
                self._parent.mkdir(parents=True, exist_ok=True)
                self._end_leftovers()
                self._path = self._make()
        name = f"c-{secrets.token_hex(6)}"
        (self._path / f"{name}.conf").write_text(config)
        return name

    def remove(self, name: str) -> None:
        """Removes what belongs to a connection."""
        for file in (self.path / name, self.path / f"{name}.conf"):
            file.unlink(missing_ok=True)

    def _make(self) -> Path:
        letters = secrets.token_hex(4)
        unnamed, path = (self._parent.absolute() / f"{kind}-{letters}" for kind in ("new", "ssh"))
        unnamed.mkdir(mode=0o700)
        self._lock = os.open(unnamed / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return unnamed.rename(path)  # it bears the name only once it is locked

    def _end_leftovers(self) -> None:
        for folder in self._parent.glob("ssh-????????"):
            try:
                lock = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC)
            except OSError:
                continue  # not one of ours
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue  # its process lives
            else:
                _end_masters(folder)
            finally:
                os.close(lock)


def _end_masters(folder: Path) -> None:
    for socket in folder.iterdir():
        if socket.is_socket():
            asked = ["ssh", "-F", "none", "-S", socket.name, "-O", "exit", "leftover"]
            subprocess.run(asked, cwd=folder, capture_output=True, check=False, timeout=5)
    shutil.rmtree(folder, ignore_errors=True)
