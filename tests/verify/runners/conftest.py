"""A worker in a checkout of its own, and files in it."""

from __future__ import annotations

import textwrap

import pytest
from tests.verify.runners.yard import Worker


@pytest.fixture
def worker(tmp_path):
    """A worker in a checkout of its own."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    one = Worker(folder)
    yield one
    one.close()


@pytest.fixture
def write(worker):
    """Writes a file into the worker's checkout."""

    def one(name: str, content: str) -> str:
        place = worker.folder / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(textwrap.dedent(content))
        return name

    return one
