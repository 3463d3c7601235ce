"""What a worker is sent for one batch: the tree, the set-up, the program that runs it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources

from leuko.config.verify import SetupNode, Verify
from leuko.config.verify_rules import node_name
from leuko.verify.buildbot.errors import FarmError

LARGEST = 600_000
"""Characters: Buildbot's protocol with its workers takes no string above 640 KiB."""
OURS = frozenset(
    ("PATH", "LANG", "HOME", "TMPDIR", "USER", "LOGNAME", "SHELL", "CI", "LEUKO_FOLDER", "LEUKO_BATCH")
)
"""Variables of this machine's builds that say something else at a worker, which sets its own."""

_PARTS = ("__init__", "processes", "voice", "tree", "nodes", "main")
"""Of the carrier: each uses those before it only."""


@dataclass(frozen=True, slots=True)
class Programs:
    """What runs at the worker, as one text that it keeps under its digest."""

    text: str
    digest: str


@dataclass(frozen=True, slots=True)
class Command:
    """How the program of the batch is called: its arguments, and what it reads from its standard input."""

    arguments: Sequence[str] = ()
    given: str = ""
    timeout: float = 300.0


@dataclass(frozen=True, slots=True)
class Order:
    """One batch at one worker. `key` is its own for ever, `build` names the tree it works in."""

    key: str
    repository: str
    revision: str
    build: str
    reason: str = ""
    command: Command | None = None
    """None: get the tree ready, and no more."""
    look: bool = False
    """Only see whether `revision` (here also a branch) can be had."""
    setup: Sequence[Mapping[str, object]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    pace: float = 0.1
    """Seconds between two writes of its log."""


def programs(worker: str) -> Programs:
    """The carrier and the program that runs a batch (its text)."""
    carrier = [
        ("leuko_carrier" if name == "__init__" else f"leuko_carrier.{name}", _source(name)) for name in _PARTS
    ]
    text = json.dumps({"carrier": carrier, "worker": worker})
    return Programs(text, hashlib.sha256(text.encode()).hexdigest())


def encoded(order: Order, sent: Programs, *, whole: bool) -> str:
    """The order as Python text that the worker runs; `whole` with the programs, else by their digest.

    Raises FarmError where it is longer than Buildbot carries.
    """
    command = order.command or Command()
    told = {
        "key": order.key,
        "digest": sent.digest,
        "repository": order.repository,
        "revision": order.revision,
        "build": order.build,
        "folder": folder_of(order),
        "wants": "look" if order.look else "batch" if order.command is not None else "ready",
        "setup": list(order.setup),
        "environment": {name: value for name, value in order.environment.items() if name not in OURS},
        "arguments": list(command.arguments),
        "given": command.given,
        "timeout": command.timeout,
        "pace": order.pace,
    }
    if whole:
        told["programs"] = sent.text
    data = base64.b64encode(zlib.compress(json.dumps(told).encode(), 6)).decode("ascii")
    text = f"ORDER = {data!r}\n{_source('boot')}"
    if len(text) > LARGEST:
        raise FarmError(
            f"the order for a batch is {len(text)} characters long, and Buildbot carries {LARGEST}",
            where=order.reason,
            way_out="put less into the environment of the suite, or fewer tests into one file",
            code="F006",
        )
    return text


def set_up(verify: Verify, needs: Sequence[str] | None) -> list[dict[str, object]]:
    """The set-up nodes that a suite needs, and those that they need, in the order of the file."""
    nodes = [(node_name(index, node), node) for index, node in enumerate(verify.setup)]
    above: list[str] = []
    needed_by: dict[str, tuple[str, ...]] = {}
    for name, node in nodes:
        needed_by[name] = tuple(above) if node.needs is None else node.needs
        above.append(name)
    wanted = set(above if needs is None else needs)
    for name, _ in reversed(nodes):
        if name in wanted:
            wanted |= set(needed_by[name])
    return [_node(name, node, needed_by[name], verify.timeout) for name, node in nodes if name in wanted]


def _node(name: str, node: SetupNode, needs: Sequence[str], timeout: float) -> dict[str, object]:
    return {"name": name, "run": node.run, "needs": list(needs), "timeout": node.timeout or timeout}


def folder_of(order: Order) -> str:
    """The folder of a build's tree at a worker: readable, and nobody else's who uses the same farm."""
    readable = re.sub(r"[^A-Za-z0-9_-]+", "-", order.build).strip("-")[:40] or "build"
    whole = "\0".join((order.key.partition("/")[0], order.repository, order.revision, order.build))
    return f"{readable}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"


def _source(name: str) -> str:
    return (resources.files(__package__) / "carrier" / f"{name}.py").read_text(encoding="utf-8")
