"""The one string that ssh carries, made of an argv."""

from __future__ import annotations

import shlex
from collections.abc import Sequence


def command_line(argv: Sequence[str]) -> str:
    """The argv as the one string that ssh carries to the user's login shell, which runs it with `-c`.

    `exec` replaces that shell: no second process stays, and neither functions nor aliases that a start-up
    file left come between. What it cannot prevent: Debian's bash, when sshd starts it, reads ~/.bashrc
    *before* it looks at the command (measured: what a .bashrc prints is in front of the program's output,
    and an `exit` in it ends everything). Only another login shell, or SHLVL=1 from sshd's SetEnv, does.
    """
    return "exec -- " + " ".join(shlex.quote(word) for word in argv)
