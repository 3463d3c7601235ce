"""What ends a command, and the exit code for each way of ending."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from leuko.domain.errors import LeukoError, Refused

DONE, ERROR, USAGE, INVALID, REFUSED, BAD_END, UNREACHABLE, HELD = 0, 1, 2, 3, 4, 5, 6, 7
INTERRUPTED = 130
BROKEN_PIPE = 141

EXIT_CODES: Mapping[int, str] = MappingProxyType(
    {
        DONE: "done; a push that was followed is LIVE",
        ERROR: "an error that none of the others names",
        USAGE: "wrong usage: an option or argument that does not exist or does not fit",
        INVALID: "the configuration is not valid",
        REFUSED: "refused: a lock, a window or the present state does not allow it; nothing was changed",
        BAD_END: "it ended badly: the push rolled back, cancelled or stuck, or the build not green",
        UNREACHABLE: "unreachable: the controller, or with `check --hosts` a host",
        HELD: "held: a person is wanted (`leuko resume`, `leuko promote` or `leuko abort`)",
        INTERRUPTED: "interrupted: following stopped, what was followed goes on",
        BROKEN_PIPE: "whoever read the output went away",
    }
)
_KNOWN = frozenset({ERROR, INVALID, REFUSED, UNREACHABLE})


class NoController(LeukoError):  # noqa: N818 - it is a state of the world
    """Nobody answers where the controller should be."""

    exit_code = UNREACHABLE


def exit_code_of(error: LeukoError) -> int:
    """By the error's class; a room's own numbers that are not among ours count as 1."""
    return error.exit_code if error.exit_code in _KNOWN else ERROR


def error_object(error: LeukoError) -> dict[str, Any]:
    """As `--json` prints it; an invalid configuration carries every problem."""
    told: dict[str, Any] = {
        "where": error.where,
        "rule": error.rule,
        "way_out": error.way_out,
        "code": error.code,
    }
    problems = getattr(error, "problems", None)
    if problems is not None:
        told["problems"] = [problem_object(problem) for problem in problems]
    return {"error": told}


def problem_object(problem: Any) -> dict[str, str]:
    """One problem of a configuration."""
    return {name: getattr(problem, name) for name in ("where", "rule", "way_out", "code")}


def from_server(status: int, body: Mapping[str, Any]) -> LeukoError:
    """The error that an answer of the API stands for."""
    told = body.get("error")
    fields = told if isinstance(told, Mapping) else {"rule": f"the controller answered {status}"}
    words = {name: str(fields.get(name) or "") for name in ("where", "way_out", "code")}
    kind = Refused if status == 409 else LeukoError
    return kind(str(fields.get("rule") or f"the controller answered {status}"), **words)
