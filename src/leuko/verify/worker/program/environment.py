"""The environment of a command, with what the runner's plugin needs to find the worker."""

from __future__ import annotations

import json
import os
from typing import Any, Dict, List, Mapping

from .events import SPEC
from .station import Station


def call_environment(
    station: Station,
    assignment: Dict[str, Any],
    task: Dict[str, Any],
    scratch: str,
    pipe: str,
    nonce: str,
    top: str,
) -> Dict[str, str]:
    """The worker's own environment, the assignment's, and ours; the plugin takes ours out again."""
    env = {**os.environ, **assignment.get("env", {}), **task.get("env", {})}
    env["PWD"] = top
    if assignment["channel"] != "events":
        return env
    paths = [station.tools]
    ours: Dict[str, str] = {}
    if assignment.get("site"):
        paths.insert(0, os.path.join(station.tools, "leuko_worker", "site"))
    own = env.get("PYTHONPATH")
    if assignment["python"]:
        ours["PYTHONPATH"] = os.pathsep.join([*paths, own] if own else paths)
    plugin = assignment.get("plugin", "")
    if plugin:
        ours["PYTEST_PLUGINS"] = ",".join(filter(None, [env.get("PYTEST_PLUGINS", ""), plugin]))
    spec = {
        "pipe": pipe,
        "top": top,
        "files": task["files"],
        "only": task.get("only"),
        "without": task.get("without", {}),
        "nonce": nonce,
        "restore": {name: env.get(name) for name in ours},
        "paths": paths,
    }
    place = os.path.join(scratch, "spec.json")
    with open(place, "w", encoding="utf-8") as file:
        json.dump(spec, file)
    return {**env, **ours, SPEC: place}


def filled(argv: List[str], places: Mapping[str, str]) -> List[str]:
    """Puts paths where `\\0pipe`, `\\0tools` and `\\0scratch` stand: no argument has a NUL."""
    found = []
    for argument in argv:
        for name, path in places.items():
            argument = argument.replace("\0" + name, path)  # noqa: PLW2901 - one after the other
        found.append(argument)
    return found
