"""A command that runs: as a process of its own, or in a fork of a runner that is loaded already."""

from __future__ import annotations

import os
import subprocess
from typing import Dict, List, Optional

from .processes import die_with_parent


class Cold:
    """A process of its own, and of its own group. Raises OSError where it cannot be started."""

    def __init__(self, argv: List[str], env: Dict[str, str], cwd: str, out: int, err: int) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=env,
            cwd=cwd,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509 - the worker has one thread only
        )
        self.pid = self._process.pid

    def poll(self) -> Optional[int]:
        """Its exit code, negative for a signal; None while it runs."""
        return self._process.poll()


def search(program: str, env: Dict[str, str]) -> bool:
    """True where the program can be found and run."""
    if os.sep in program:
        return os.access(program, os.X_OK)
    return any(
        os.access(os.path.join(folder, program), os.X_OK)
        for folder in env.get("PATH", os.defpath).split(os.pathsep)
    )
