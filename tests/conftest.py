"""What every test shares: what the machine has, and the list of what was skipped for the want of it."""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest

_NEEDS = re.compile(r"needs (\w+)")


def _has(name: str) -> bool:
    match name:
        case "root":
            return os.geteuid() == 0
        case "sshd":
            return Path("/usr/sbin/sshd").exists() and shutil.which("ssh-keygen") is not None
        case "openssh":
            return shutil.which("ssh") is not None
        case "postgres":
            return bool(shutil.which("postgres") or list(Path("/usr/lib/postgresql").glob("*/bin/postgres")))
        case "prometheus":
            return shutil.which("prometheus") is not None
        case "mariadb":
            return Path("/usr/sbin/mariadbd").exists() and shutil.which("mariadb-install-db") is not None
        case "graphite":
            web = Path("/usr/lib/python3/dist-packages/graphite/settings.py")
            return web.exists() and shutil.which("carbon-cache") is not None
        case "node":
            return shutil.which("node") is not None
        case "phpunit":
            return shutil.which("phpunit") is not None
        case "buildbot":
            own = Path(__file__).parents[1] / ".venv-farm" / "bin" / "buildbot"
            return own.exists() or None not in (shutil.which("buildbot"), shutil.which("buildbot-worker"))
        case "chromium":
            return shutil.which("chromium") is not None
        case _:
            raise pytest.UsageError(
                f"needs({name!r}): not a thing that tests/conftest.py knows how to look for"
            )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips what this machine cannot run; the summary lists it, so that it is never silent."""
    found: dict[str, bool] = {}
    for item in items:
        for mark in item.iter_markers("needs"):
            for name in mark.args:
                if not found.setdefault(name, _has(name)):
                    item.add_marker(pytest.mark.skip(reason=f"needs {name}"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    skipped = Counter(
        found[1]
        for report in terminalreporter.stats.get("skipped", [])
        if (found := _NEEDS.search(str(report.longrepr)))
    )
    if skipped:
        terminalreporter.section("not run on this machine")
        for name, number in sorted(skipped.items()):
            terminalreporter.write_line(f"{number} tests need {name} (as root, `make setup` installs it)")


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own environment must not steer a test."""
    for name in [name for name in os.environ if name.startswith("LEUKO_")]:
        monkeypatch.delenv(name)
