"""The files of a farm: `leuko farm init` writes them, `leuko farm up` starts what they describe."""

from __future__ import annotations

import json
import string
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

VERSION = "4.3.0"
"""Of Buildbot: what the files below are written for and tested with."""
USER = "leuko"
FACTS = "farm.json"
WEB_PASSWORD = "master/secrets/web-password"  # noqa: S105 - a place, not a password
WORKER_PASSWORD = "master/secrets/worker-password"  # noqa: S105 - as above


@dataclass(frozen=True, slots=True)
class Plan:
    """What a farm is to look like: one master, and workers that run one batch at a time each.

    `address` is where the master listens (`127.0.0.1`, or one that other machines reach); ports are TCP.
    `repository` is what workers fetch from, as they see it.
    """

    workers: int
    address: str
    web_port: int
    workers_port: int
    repository: str = ""

    @property
    def url(self) -> str:
        """Where Leuko finds the master."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"http://{host}:{self.web_port}"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the workers."""
        return tuple(f"worker{number}" for number in range(1, self.workers + 1))


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the farm. `secret` ones are readable by their owner only."""

    text: str
    secret: bool = False


def pieces(plan: Plan, web_password: str, worker_password: str) -> Mapping[str, Piece]:
    """Path below the farm's folder -> what stands there."""
    found = {
        "master/master.cfg": Piece(_master(plan)),
        "master/buildbot.tac": Piece(text("master.tac")),
        WEB_PASSWORD: Piece(web_password + "\n", secret=True),
        WORKER_PASSWORD: Piece(worker_password + "\n", secret=True),
        FACTS: Piece(json.dumps(_facts(plan), indent=2) + "\n"),
    }
    for name in plan.names:
        found[f"{name}/buildbot.tac"] = Piece(_worker(plan, name))
        found[f"{name}/password"] = Piece(worker_password + "\n", secret=True)
    return found


def text(name: str) -> str:
    """One of the templates beside this file."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def requirements() -> str:
    """Buildbot and all that it needs, with hashes: from the package, or from the checkout it lives in."""
    packaged = resources.files(__package__) / "requirements.txt"
    if packaged.is_file():
        return packaged.read_text(encoding="utf-8")
    return (Path(__file__).parents[5] / "requirements" / "farm.txt").read_text(encoding="utf-8")


def _facts(plan: Plan) -> dict[str, object]:
    return {
        "url": plan.url,
        "user": USER,
        "builder": "leuko",
        "workers": list(plan.names),
        "repository": plan.repository,
    }


def _master(plan: Plan) -> str:
    return string.Template(text("master.cfg")).substitute(
        workers=json.dumps(list(plan.names)),
        workers_endpoint=json.dumps(_endpoint(plan.address, plan.workers_port)),
        web_endpoint=json.dumps(_endpoint(plan.address, plan.web_port)),
        web_address=json.dumps(plan.url + "/"),
    )


def _worker(plan: Plan, name: str) -> str:
    return string.Template(text("worker.tac")).substitute(
        host=json.dumps(plan.address), port=plan.workers_port, name=json.dumps(name), version=VERSION
    )


def _endpoint(address: str, port: int) -> str:
    """As Twisted writes it."""
    kind = "tcp6" if ":" in address else "tcp"
    return f"{kind}:{port}:interface={address.replace(':', chr(92) + ':')}"
