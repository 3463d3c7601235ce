"""A real Buildbot master with real workers, as `leuko farm init` writes them; and a repository for them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

from leuko.cli.farm_files import read, write
from leuko.cli.farm_up import twistd_argv
from leuko.verify.buildbot.farm import Farm, workers_of
from leuko.verify.buildbot.layout import Plan
from leuko.verify.buildbot.master import FarmError, Master

ROOT = Path(__file__).parents[3]
PATIENCE = 60.0


def programs() -> Path | None:
    """Where Buildbot is, if anywhere."""
    own = ROOT / ".venv-farm" / "bin"
    if (own / "buildbot").exists() and (own / "twistd").exists():
        return own
    found = shutil.which("buildbot")
    return Path(found).parent if found and shutil.which("buildbot-worker") else None


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


async def until(true, what: str, patience: float = PATIENCE) -> None:
    """Waits for a condition, with a deadline."""
    try:
        async with asyncio.timeout(patience):
            while True:
                found = true()
                if asyncio.iscoroutine(found):
                    found = await found
                if found:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {patience:g} s: {what}") from None


class Rig:
    """The farm's processes. Every one is ended by its own id."""

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder
        self.place = programs()
        plan = Plan(workers, "127.0.0.1", free_port(), free_port())
        write(plan, folder)
        self.farm = read(folder)
        self.processes: dict[str, subprocess.Popen] = {}
        argv = [str(self.place / "buildbot"), "upgrade-master", "--quiet", str(folder / "master")]
        subprocess.run(argv, check=True, capture_output=True)

    def start(self, name: str) -> None:
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.processes[name] = subprocess.Popen(
            twistd_argv(self.place, self.folder / name),
            cwd=self.folder / name,
            env={**os.environ, "PATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def end(self, name: str, how: signal.Signals = signal.SIGTERM) -> None:
        process = self.processes.pop(name, None)
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def end_all(self) -> None:
        for name in list(self.processes):
            self.end(name)

    def master(self, password: str | None = None) -> Master:
        return Master(self.farm.url, self.farm.user, self.farm.password if password is None else password)

    async def ready(self) -> None:
        """Everything that is not running is started; returns when all workers are connected."""
        for name in ("master", *self.farm.workers):
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start(name)
        master = self.master()

        async def all_there() -> bool:
            with contextlib.suppress(FarmError):
                return all(one.connected for one in (await workers_of(master, "leuko")).values())
            return False

        try:
            await until(all_there, "all workers are connected")
        finally:
            await master.close()


class Repository:
    """A repository with one commit a call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.git("init", "-q", "-b", "main", str(folder), cwd=folder.parent)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        argv = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
        return subprocess.run(
            argv, cwd=cwd or self.folder, check=True, capture_output=True, text=True
        ).stdout.strip()

    def commit(self, files: dict[str, str]) -> str:
        for name, content in files.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "change")
        return self.git("rev-parse", "HEAD")


def farm_of(rig: Rig, prefix: str = "test", kind: type[Farm] = Farm) -> Farm:
    return kind(rig.master(), "leuko", prefix)
