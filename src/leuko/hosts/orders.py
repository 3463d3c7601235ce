"""Orders as data: what is started on a host, and what the program there reads first. Executes nothing."""

from __future__ import annotations

import gzip
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from leuko.domain.errors import LeukoError
from leuko.domain.order import Fence, Order, OrderKind

_BOOT = 'eval "$(head -c "$1" | gzip -dc)"'
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RELEASE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
MOMENTS = (
    "before_stage",
    "after_stage",
    "drain",
    "before_switch",
    "reload",
    "after_switch",
    "undrain",
    "before_restore",
    "after_restore",
    "stop",
)


@dataclass(frozen=True, slots=True)
class Reach:
    """Which host an order is for, and where on it: `<root>/<application>/<component>`."""

    application: str
    environment: str
    host: str
    role: str
    root: str = "/srv"

    def folder(self, component: str) -> str:
        """The component's folder on the host."""
        return f"{self.root.rstrip('/')}/{self.application}/{component}"


@dataclass(frozen=True, slots=True)
class Program:
    """The host's program, as it is sent."""

    packed: bytes

    @classmethod
    def of(cls, text: str) -> Program:
        """Compressed: it goes with every order, so that a host always runs its controller's own."""
        return cls(gzip.compress(text.encode(), 9, mtime=0))


@cache
def program_text() -> str:
    """The program's parts, in order."""
    folder = files("leuko.hosts") / "program"
    parts = sorted((part for part in folder.iterdir() if part.name.endswith(".sh")), key=lambda it: it.name)
    return "\n".join(part.read_text(encoding="utf-8") for part in parts)


@cache
def default_program() -> Program:
    """The program of this version of Leuko."""
    return Program.of(program_text())


def argv(order_id: str, deadline: float, program: Program, *, bounded: bool = True) -> tuple[str, ...]:
    """What is started on the host. `timeout` gives the order a process group and its deadline.

    A probe is not bounded by it: it must tell even from a host that lacks `timeout`.
    """
    shell = ("sh", "-c", _BOOT, "leuko", str(len(program.packed)), _checked(_ID, order_id, "order id"))
    return ("timeout", "-k", "10", str(_seconds(deadline)), *shell) if bounded else shell


def header(order: Order, reach: Reach, *, token: str, more: Mapping[str, str] | None = None) -> bytes:
    """The order as the program reads it: "name count", then `count` lines; "end"."""
    fields = {
        "token": token,
        "kind": str(order.kind),
        "root": reach.folder(order.component),
        "application": reach.application,
        "environment": reach.environment,
        "host": reach.host,
        "role": reach.role,
        **_fence(order.fence),
        "target": _release(order.target),
        "base": _release(order.base),
        "keep": " ".join(_release(name) for name in order.keep),
        "linked": "\n".join(_linked(order)),
        **{f"hook_{moment}": order.hooks.get(moment, "") for moment in MOMENTS},
        "health": order.health,
        "running": order.running,
        "deadline": str(_seconds(order.deadline)),
        "hook_timeout": str(_seconds(order.hook_timeout)),
        "health_timeout": str(_seconds(order.health_timeout)),
        "health_tries": str(max(1, order.health_tries)),
        "health_pause": f"{max(0.0, order.health_pause):.3f}",
        "push": str(order.push),
        "attempt": str(order.attempt),
        "secrets": secrets_file(order.secrets),
        "masks": masks(order.secrets),
        **{f"v_{_checked(_VARIABLE, name, 'variable')}": text for name, text in order.variables.items()},
        **(more or {}),
    }
    return encode(fields)


def kill_header(victim: str, reach: Reach, component: str, *, why: str, fence: Fence, token: str) -> bytes:
    """The order to end another order's processes; it is sent on a channel of its own."""
    fields = {
        "token": token,
        "kind": "kill",
        "root": reach.folder(component),
        "host": reach.host,
        **_fence(fence),
        "victim": _checked(_ID, victim, "order id"),
        "why": " ".join(why.split()),
        "deadline": "30",
    }
    return encode(fields)


def encode(fields: Mapping[str, str]) -> bytes:
    """Refuses what a shell variable cannot hold."""
    out = []
    for name, value in fields.items():
        if "\0" in value:
            raise LeukoError(
                "a value for a host holds a NUL byte",
                where=name,
                way_out="take it out: shells cannot hold one",
                code="H001",
            )
        lines = value.split("\n") if value else []
        out.append("\n".join([f"{name} {len(lines)}", *lines]))
    return ("\n".join(out) + "\nend\n").encode("utf-8", "surrogateescape")


def secrets_file(secrets: Mapping[str, str]) -> str:
    """`NAME='value'` lines: a hook reads them with `. "$LEUKO_SECRETS"`."""
    return "\n".join(
        f"{_checked(_VARIABLE, name, 'secret')}={shlex.quote(value)}" for name, value in secrets.items()
    )


def masks(secrets: Mapping[str, str]) -> str:
    """A sed script that takes the secrets' lines out of what the host keeps of a hook's output."""
    lines = {line for value in secrets.values() for line in value.split("\n") if line.strip()}
    ordered = sorted(lines, key=lambda line: (-len(line), line))
    return "\n".join("s/" + re.sub(r"([][\\.*^$/])", r"\\\1", line) + "/***/g" for line in ordered)


def masked(text: str, secrets: Mapping[str, str]) -> str:
    """The text without the secrets' values."""
    for value in sorted(secrets.values(), key=len, reverse=True):
        if value.strip():
            text = text.replace(value, "***")
    return text


def sudoers_lines(user: str, hooks: Mapping[str, str]) -> tuple[str, ...]:
    """The least that lets `user` run the hooks' `sudo` commands without a password.

    A command is taken as it is written, arguments and all; one whose arguments the shell would still change
    (variables, patterns, pipes) cannot be granted safely and is named in a comment.
    """
    lines: dict[str, None] = {}
    for moment, hook in hooks.items():
        for command in _sudo_commands(hook):
            plain = not re.search(r"[$`*?<>(){}\\\"'!~\[\]]", command)
            if plain and command.startswith("/"):
                escaped = re.sub(r"([,:=])", r"\\\1", command)
                lines[f"{user} ALL=(root) NOPASSWD: {escaped}"] = None
            else:
                lines[f"# {moment}: grant by hand, with its full path and fixed arguments: {command}"] = None
    return tuple(lines)


def _sudo_commands(hook: str) -> list[str]:
    found = []
    for part in re.split(r"\n|;|&&|\|\||\||&", hook):
        words = part.split()
        if words[:1] == ["sudo"]:
            rest = words[1:]
            while rest and rest[0] in ("-n", "--non-interactive", "--"):
                rest = rest[1:]
            found.append(" ".join(rest))
    return found


def _fence(fence: Fence) -> dict[str, str]:
    return {
        "installation": _checked(_ID, fence.installation, "installation"),
        "epoch": str(fence.epoch),
        "sequence": str(fence.sequence),
    }


def _linked(order: Order) -> Sequence[str]:
    """`d path//link target`, relative, so that the whole folder may be moved or mounted elsewhere."""
    lines = []
    for kind, paths in (("d", order.linked_dirs), ("f", order.linked_files)):
        for path in paths:
            plain = path.strip("/")
            if not plain or "\n" in plain or any(part in ("", ".", "..") for part in plain.split("/")):
                raise LeukoError(
                    f"linked path {path!r} should be a plain path below the release",
                    where="release.linked_dirs" if kind == "d" else "release.linked_files",
                    way_out='write it like "log" or "public/uploads"',
                    code="H002",
                )
            up = "../" * (plain.count("/") + 2)
            lines.append(f"{kind} {plain}//{up}shared/{plain}")
    return lines


def _release(name: str) -> str:
    return _checked(_RELEASE, name, "release name") if name else ""


def _seconds(value: float) -> int:
    return max(1, math.ceil(value))


def _checked(pattern: re.Pattern[str], text: str, what: str) -> str:
    if pattern.fullmatch(text):
        return text
    raise LeukoError(
        f"{text!r} cannot be a {what}",
        where=what,
        way_out=f"use letters, digits and what {pattern.pattern} allows",
        code="H003",
    )


BOUNDED = frozenset(OrderKind) - {OrderKind.PROBE}
"""Orders that run under `timeout`."""
