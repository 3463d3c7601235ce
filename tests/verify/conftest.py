"""Places that another user can reach, users made for the tests, and verifiers."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from leuko.verify.account import create, current, find
from leuko.verify.build import LocalVerifier


@pytest.fixture
def place():
    """Like tmp_path, but in a folder that everybody may enter, as an installation's would be."""
    folder = Path(tempfile.mkdtemp(prefix="leuko-verify-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def separate_name(worker_id="main"):
    """The name of a user that is there for these tests only."""
    import asyncio

    name = f"leuko-t-{os.getpid()}"
    asyncio.run(create(name, Path("/tmp") / name))
    yield name
    subprocess.run(["userdel", "--remove", name], check=True, capture_output=True)


@pytest.fixture
def separate(separate_name):
    return find(separate_name)


@pytest.fixture
def own():
    return current()


def writing(files):
    """A check-out that writes these files."""

    async def check_out(_revision, folder):
        folder.mkdir()
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(content)
            (folder / name).chmod(0o755)
        return ()

    return check_out


@pytest.fixture
def verifier(place):
    """Makes verifiers in `place`."""

    def make(account, files=None, **more):
        state = place / "state"
        state.mkdir(mode=0o700, exist_ok=True)
        return LocalVerifier(writing(files or {"app.py": "x"}), account, place / "builds", state, **more)

    return make
