"""How a checkout is tested: its `leuko.yml`, or what its files look like where there is none."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leuko.config.loading import checked_model, parse, spelled_out
from leuko.config.notes import Notes
from leuko.config.problems import ConfigurationInvalid
from leuko.config.proposal import look, propose
from leuko.config.tree import read
from leuko.config.verify import Suite, Verify
from leuko.config.verify_rules import check_verify
from leuko.domain.errors import LeukoError

FILE = "leuko.yml"
COMMANDS = "commands"
"""What the page calls the plain commands of `verify.tests`: a suite of their own, one row each."""
_NEEDED = {"application": "checkout", "environment": "development", "repository": "."}
_VIRTUAL = (".venv/bin/python", "venv/bin/python")


@dataclass(frozen=True, slots=True)
class Settings:
    """`said` is a sentence for the page where something was guessed."""

    verify: Verify
    said: str = ""


async def settings_of(checkout: Path) -> Settings:
    """Raises ConfigurationInvalid for a `leuko.yml` that is wrong, LeukoError where no tests can be found."""
    path = checkout / FILE
    if path.is_file():
        return Settings(_verify(path))
    loaded = parse(propose(await look(checkout)))
    suites = {name: _here(suite) for name, suite in loaded.configuration.verify.suites.items()}
    tests = {} if suites else loaded.configuration.verify.tests
    if not suites and (not tests or set(tests.values()) == {"false"}):
        raise LeukoError(
            "nothing here says how it is tested",
            where=str(checkout),
            way_out="write verify.suites into leuko.yml: `leuko init` begins one",
            code="T020",
        )
    names = ", ".join(f"{name} ({suite.runner})" for name, suite in suites.items()) or ", ".join(tests)
    said = f"There is no {FILE}: found {names}. `leuko init` writes one."
    return Settings(
        loaded.configuration.verify.model_copy(update={"setup": (), "suites": suites, "tests": tests}), said
    )


def surroundings(checkout: Path, own: Mapping[str, str]) -> dict[str, str]:
    """The developer's own environment, and the checkout's own virtual one where none is active."""
    environment = dict(own)
    if "VIRTUAL_ENV" not in environment:
        for python in _VIRTUAL:
            if (checkout / python).exists():
                folder = str((checkout / python).parent)
                environment["PATH"] = f"{folder}{os.pathsep}{environment.get('PATH', os.defpath)}"
                break
    environment["LEUKO_RUNTESTS"] = "1"
    return environment


def _verify(path: Path) -> Verify:
    tree = spelled_out(read(path.read_bytes(), str(path)))
    for key, value in _NEEDED.items():
        tree.data.setdefault(key, value)
    configuration = checked_model(tree)
    notes = Notes(tree.where)
    check_verify(configuration, notes)
    wrong = [problem for problem in notes.problems if not problem.warning]
    if wrong:
        raise ConfigurationInvalid(wrong)
    return configuration.verify


def _here(suite: Suite) -> Suite:
    """A guessed suite, with the usual command: the developer's own environment has what it needs."""
    if suite.runner not in ("pytest", "unittest", "node"):
        return suite
    return suite.model_copy(update={"command": "", "needs": None})
