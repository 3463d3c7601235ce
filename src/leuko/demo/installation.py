"""The installation's own part of the configuration: what the shop's `leuko.yml` cannot know."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from leuko.demo.fleet import EmbeddedFleet
from leuko.demo.places import shop_folder

TICK = "1s"
CANARIES = 2
WATCHES = (8, 6)
"""Ticks that the canaries, then all hosts, are watched in the demo."""


def write_installation(
    folder: Path,
    fleet: EmbeddedFleet,
    origin: Path,
    *,
    tick: str = TICK,
    watches: tuple[int, int] = WATCHES,
    more: Mapping[str, Any] | None = None,
) -> Path:
    """Writes `leuko.yml` (the shop's) and `leuko.production.yml` over it; the path of the former.

    `more` is merged over the latter, section by section.
    """
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy2(shop_folder() / "leuko.yml", folder / "leuko.yml")
    canaries = max(1, min(CANARIES, len(fleet.hosts) // 2))
    phases = [{"hosts": canaries, "watch": watches[0]}, {"hosts": "100%", "watch": watches[1]}]
    content: dict[str, Any] = {
        "repository": str(origin),
        "poll": "1s",
        "tick": tick,
        "fleet": fleet.section(),
        "push": {"phases": phases},
    }
    _merge(content, more or {})
    with (folder / "leuko.production.yml").open("w") as file:
        file.write("# Written by the demo: the hosts, the repository, and how long to watch.\n")
        yaml = YAML()
        yaml.default_flow_style = False
        yaml.dump(content, file)
    return folder / "leuko.yml"


def _merge(content: dict[str, Any], more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        before = content.get(key)
        if isinstance(before, dict) and isinstance(value, Mapping):
            _merge(before, value)
        else:
            content[key] = value
