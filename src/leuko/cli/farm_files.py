"""The folder of a farm on disk: written once, read by the commands that act on it."""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.errors import LeukoError
from leuko.verify.buildbot.layout import FACTS, USER, WEB_PASSWORD, Plan, pieces

PASSWORD_BYTES = 24


@dataclass(frozen=True, slots=True)
class FarmFolder:
    """What `leuko farm init` wrote."""

    folder: Path
    url: str
    user: str
    builder: str
    workers: tuple[str, ...]
    repository: str

    @property
    def password(self) -> str:
        """Of the master's web pages and API."""
        return _read(self.folder / WEB_PASSWORD).strip()


def write(plan: Plan, folder: Path) -> list[str]:
    """Writes every file; hands back their paths below the folder. What is there is never overwritten."""
    made = pieces(plan, secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES))
    there = [path for path in made if (folder / path).exists()]
    if there:
        raise LeukoError(
            f"{there[0]} is there already, and nothing is overwritten",
            where=str(folder),
            way_out="name a new folder, or edit what stands there: it is yours",
            code="F020",
        )
    try:
        for path, piece in made.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            if piece.secret and place.parent.name == "secrets":
                place.parent.chmod(0o700)
            mode = 0o600 if piece.secret else 0o644
            with os.fdopen(
                os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="utf-8"
            ) as file:
                file.write(piece.text)
    except OSError as error:
        raise LeukoError(
            f"cannot be written: {error.strerror}", where=str(error.filename or folder), code="F020"
        ) from error
    return list(made)


def read(folder: Path) -> FarmFolder:
    """The farm in a folder. Raises LeukoError where there is none."""
    path = folder / FACTS
    try:
        facts = json.loads(_read(path))
        return FarmFolder(
            folder.resolve(),
            str(facts["url"]),
            str(facts["user"]),
            str(facts["builder"]),
            tuple(str(name) for name in facts["workers"]),
            str(facts["repository"]),
        )
    except (ValueError, KeyError, TypeError) as error:
        raise LeukoError(
            f"is not what `leuko farm init` writes: {error}",
            where=str(path),
            way_out="leuko farm init",
            code="F021",
        ) from error


def leuko_yml(plan: Plan, folder: Path) -> str:
    """The lines that leuko.yml needs to use the farm."""
    lines = [
        "farm:",
        "  engine: buildbot",
        f"  url: {plan.url}",
        f"  user: {USER}",
        "  password: secret:FARM",
    ]
    if plan.repository:
        lines.append(f"  repository: {json.dumps(plan.repository)}")
    password = json.dumps(str(folder.resolve() / WEB_PASSWORD))
    return "\n".join([*lines, "secrets:", "  FARM:", f"    file: {password}"]) + "\n"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise LeukoError(
            f"cannot be read: {error.strerror}",
            where=str(path),
            way_out="`leuko farm init` writes a farm's folder; without one, the `farm` of leuko.yml is meant",
            code="F021",
        ) from error
