"""What a team has before Leuko: the shop's first version, copied onto every host by hand."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from leuko.demo.fleet import EmbeddedFleet, EmbeddedHost
from leuko.demo.places import shop_folder

FOLDER = "deployed-by-hand"
LEFT_AT_HOME = shutil.ignore_patterns(
    ".git", "__pycache__", "*.pyc", "tests", "leuko*.yml", "README.md", ".gitignore"
)


def deploy_by_hand(fleet: EmbeddedFleet, revision: str, source: Path | None = None) -> None:
    """Puts the shop's tree on each host, with a `current` that Leuko did not make."""
    for host in fleet.hosts:
        _deploy(host, revision, source or shop_folder())


def _deploy(host: EmbeddedHost, revision: str, source: Path) -> None:
    tree = host.home / FOLDER / "first"
    shutil.copytree(source, tree, ignore=LEFT_AT_HOME)
    (tree / "REVISION").write_text(revision + "\n")
    shutil.copystat(source / "README.md", tree / "REVISION")  # its time is part of what is compared
    for name in ("log", "var"):
        shared = host.home / "shared" / name
        shared.mkdir(parents=True, exist_ok=True)
        (tree / name).symlink_to(os.path.relpath(shared, tree))
    link = host.home / "current"
    link.symlink_to(Path(FOLDER) / "first")
