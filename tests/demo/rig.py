"""A small embedded fleet with real releases of the shop, put there by hand as Leuko would."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from leuko.demo.fleet import EmbeddedFleet, EmbeddedHost
from leuko.demo.places import shop_folder


async def until(condition: Callable[[], object], what: str, seconds: float = 15.0) -> None:
    """Waits for a condition on other processes, which nothing tells us of."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)


@dataclass(frozen=True)
class Told:
    code: int
    out: str
    err: str


@dataclass
class Rig:
    fleet: EmbeddedFleet

    @property
    def host(self) -> EmbeddedHost:
        return self.fleet.hosts[0]

    def install(self, release: str, tree: Path | None = None, host: EmbeddedHost | None = None) -> Path:
        """Stages a release and points `current` at it."""
        host = host or self.host
        folder = host.home / "releases" / release
        if not folder.exists():
            shutil.copytree(
                tree or shop_folder(), folder, ignore=shutil.ignore_patterns(".git", "__pycache__")
            )
            for name in ("log", "var"):
                (folder / name).symlink_to(f"../../shared/{name}")
        fresh = host.home / "current.new"
        fresh.symlink_to(f"releases/{release}")
        fresh.replace(host.home / "current")
        return folder

    async def tell(self, *argv: str, host: EmbeddedHost | None = None, folder: Path | None = None) -> Told:
        """Runs a program of the current release as a hook runs: there, with the host's variables."""
        host = host or self.host
        process = await asyncio.create_subprocess_exec(
            *argv,
            cwd=folder or host.home / "current",
            env={**os.environ, **host.variables},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return Told(process.returncode, out.decode(), err.decode())

    async def switch(self, release: str, tree: Path | None = None, host: EmbeddedHost | None = None) -> Told:
        self.install(release, tree, host)
        return await self.tell("bin/reload", host=host)

    def log(self, name: str, host: EmbeddedHost | None = None) -> str:
        path = (host or self.host).home / "shared" / "log" / name
        return path.read_text() if path.exists() else ""

    def serving(self, host: EmbeddedHost | None = None) -> int:
        """Process id of the child that serves."""
        lines = [line for line in self.log("shopd.log", host).splitlines() if " serving pid " in line]
        return int(lines[-1].split(" pid ")[1].split()[0])


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
