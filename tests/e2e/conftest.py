"""Servers for whole stories, started once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.playing import Site
from tests.sshd import SshFleet, sshd_fleet


@pytest.fixture(scope="session")
def five_servers() -> Iterator[SshFleet]:
    with sshd_fleet(5, network="127.19.0") as fleet:
        yield fleet


@pytest.fixture
def servers() -> Iterator[SshFleet]:
    """Three that a test may freeze and stop."""
    with sshd_fleet(3, network="127.19.1") as fleet:
        yield fleet


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)
