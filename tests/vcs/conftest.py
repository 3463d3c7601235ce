"""A real repository that people work in, and a mirror of it."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from leuko.vcs.mirror import Mirror


@dataclass
class Repository:
    """A working copy driven by the real git, with fixed names and times."""

    path: Path

    def git(self, *arguments, given=None, check=True, env=None):
        surroundings = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        surroundings |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(self.path)}
        surroundings |= {"GIT_AUTHOR_NAME": "Ann", "GIT_AUTHOR_EMAIL": "ann@example.com"}
        surroundings |= {"GIT_COMMITTER_NAME": "Ann", "GIT_COMMITTER_EMAIL": "ann@example.com"}
        surroundings |= {"GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_DATE": "1700000000 +0000"}
        return subprocess.run(
            ["git", "-C", str(self.path), *arguments],
            input=given,
            capture_output=True,
            check=check,
            env=surroundings | (env or {}),
        )

    def out(self, *arguments):
        return self.git(*arguments).stdout.decode().strip()

    def write(self, name, content="x\n"):
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content)
        self.git("add", "-A")

    def commit(self, message="a commit", *arguments):
        """Commits what is staged, empty or not; hands back the revision."""
        given = message if isinstance(message, bytes) else message.encode()
        self.git("commit", "-q", "--allow-empty", "--cleanup=verbatim", "-F", "-", *arguments, given=given)
        return self.head

    def change(self, name, content=None, message=None):
        self.write(name, content if content is not None else f"{name}\n")
        return self.commit(message or f"change {name}")

    @property
    def head(self):
        return self.out("rev-parse", "HEAD")


def new_repository(path: Path) -> Repository:
    path.mkdir(parents=True)
    repository = Repository(path)
    repository.git("init", "-q", "-b", "main")
    return repository


@pytest.fixture
def origin(tmp_path) -> Repository:
    return new_repository(tmp_path / "origin")


@pytest.fixture
def mirror(tmp_path, origin) -> Mirror:
    return Mirror(tmp_path / "state" / "mirror.git", str(origin.path), "main")
