"""Which configuration files the controller of a state directory was started with, for who has only that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from leuko.cli.scene import Scene
    from leuko.config.loading import Loaded

SERVED = "served.json"


def note_served(folder: Path, files: Sequence[Path], environment: str | None) -> None:
    """Writes them down; the next controller's take their place."""
    told = {"files": [str(path.resolve()) for path in files], "environment": environment}
    (folder / SERVED).write_text(json.dumps(told) + "\n")


def configuration_of(scene: Scene) -> tuple[Loaded, Path]:
    """The configuration that a command means, with its path: named, lying here, or that of the controller.

    Raises LeukoError where none of these is there, or the controller has several and none is meant.
    """
    from leuko.config.loading import load

    if scene.config_given or scene.config.exists() or (scene.state_given is None and not scene.remote):
        return load(scene.config, scene.environment), scene.config
    if scene.state_given is None:
        raise LeukoError(
            "connects to the hosts from here, and there is no configuration here that tells how",
            where=str(scene.config),
            way_out="name it with --config; or type this where the controller runs",
            code="X019",
        )
    files, environment = _served(scene.state_given)
    wanted = scene.wanted
    found = [(load(path, scene.environment or environment), path) for path in files]
    lines = [f"{one.configuration.application}/{one.configuration.environment}" for one, _ in found]
    fitting = [
        pair for pair, line in zip(found, lines, strict=True) if wanted in ("", line, line.split("/")[0])
    ]
    if len(fitting) == 1:
        return fitting[0]
    raise LeukoError(
        f"there is no {wanted}" if wanted and not fitting else "there are several lines: say which",
        where="--line",
        way_out=f"lines here: {', '.join(lines) or 'none'}",
        code="X015",
    )


def _served(state: Path) -> tuple[list[Path], str | None]:
    try:
        told = json.loads((state / SERVED).read_text())
        return [Path(path) for path in told["files"]], told["environment"]
    except (OSError, ValueError, KeyError, TypeError):
        raise LeukoError(
            "does not tell which configuration its controller has",
            where=str(state),
            way_out="name the configuration with --config as well",
            code="X019",
        ) from None
