"""What is understood of a suite's command: does it take files, can its runner be kept loaded?"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_POSITIONAL = re.compile(r"\$(?:[@*#1-9]|\{[@*#1-9])")
_SHELL = re.compile(r"[\n;&|<>()`$\\*?\[\]#~!{}]")
"""Characters that make a command more than words."""
_PYTHON = re.compile(r"(?:.*/)?python(?:\d+(?:\.\d+)?)?")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)
_ALONE = frozenset({"-B", "-O", "-OO", "-s", "-u", "-q", "-b", "-bb", "-d", "-v"})
_WITH_A_VALUE = frozenset({"-W", "-X"})
_UNITTEST_FLAGS = frozenset({"-v", "--verbose", "-q", "--quiet", "-b", "--buffer", "--locals"})


@dataclass(frozen=True, slots=True)
class Plain:
    """`python -m MODULE ...` and nothing else: what can be run in a fork of an interpreter that is loaded."""

    interpreter: str
    options: tuple[str, ...]
    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)


def takes_files(command: str) -> bool:
    """True where the command says itself where its arguments go."""
    return _POSITIONAL.search(command) is not None


def with_files(command: str) -> str:
    """The command with its arguments at the end, unless it says itself where they go."""
    return command if takes_files(command) else command.rstrip() + ' "$@"'


def shell(command: str, arguments: tuple[str, ...]) -> list[str]:
    """A user's shell command as argv: handed over whole, the arguments beside it."""
    return ["/bin/sh", "-c", command, "leuko", *arguments]


def plain(command: str) -> Plain | None:
    """What a command is, where it is a plain `python -m pytest` or `python -m unittest`; else None."""
    text = re.sub(r"""\s+"\$@"\s*$""", "", command.strip())
    if _SHELL.search(text):
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    environment = {}
    while words and (found := _ASSIGNMENT.fullmatch(words[0])):
        environment[found[1]] = found[2]
        words.pop(0)
    if not words or not _PYTHON.fullmatch(words[0]):
        return None
    return _module(words, environment)


def _module(words: list[str], environment: dict[str, str]) -> Plain | None:
    position = 1
    while position < len(words) and words[position] != "-m":
        if words[position] in _WITH_A_VALUE:
            position += 2
        elif words[position] in _ALONE or words[position].startswith(("-W", "-X")):
            position += 1
        else:
            return None
    if position + 1 >= len(words):
        return None
    module, arguments = words[position + 1], tuple(words[position + 2 :])
    if module == "unittest" and not set(arguments) <= _UNITTEST_FLAGS:
        return None
    if module not in ("pytest", "unittest"):
        return None
    return Plain(words[0], tuple(words[1:position]), module, arguments, environment)
