"""The demo's controller: a real `leuko serve` as a process of its own, spoken to as any client does."""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from leuko.domain.errors import LeukoError

LINE = "/api/v1/lines/shop/production"
STARTING_SECONDS = 90.0


class ServedShop:
    """Started with `start`; everything is asked over its unix socket."""

    def __init__(self, state: Path, configuration: Path, listen: str) -> None:
        self.state = state
        self._configuration = configuration
        self._listen = listen
        self._process: subprocess.Popen[bytes] | None = None
        state.mkdir(parents=True, exist_ok=True)
        # through its folder, for the kernel takes no socket's path over 107 bytes
        self._folder = os.open(state, os.O_RDONLY | os.O_DIRECTORY)
        transport = httpx2.AsyncHTTPTransport(uds=f"/proc/self/fd/{self._folder}/leuko.sock")
        self._http = httpx2.AsyncClient(
            transport=transport, base_url="http://localhost", timeout=20.0, headers={"X-Leuko-By": "you"}
        )

    @property
    def pid(self) -> int | None:
        """Its process id, while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def address(self) -> str:
        """Of the console."""
        return (self.state / "address").read_text().strip()

    @property
    def log(self) -> Path:
        """What it said."""
        return self.state / "serve.log"

    async def start(self) -> None:
        """Returns when it answers."""
        self.state.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "leuko.cli.main", "serve", "--config", str(self._configuration)]
        argv += ["--state", str(self.state), "--listen", self._listen]
        self._spawn(argv)
        deadline = asyncio.get_running_loop().time() + STARTING_SECONDS
        while self.pid is not None and asyncio.get_running_loop().time() < deadline:
            try:
                await self.get("/status")
            except (httpx2.HTTPError, LeukoError):
                await asyncio.sleep(0.05)
            else:
                return
        raise LeukoError(
            "the controller did not start",
            where=str(self.log),
            way_out=self.log.read_text(errors="replace")[-2000:],
            code="D010",
        )

    def _spawn(self, argv: list[str]) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - one system call, made before any thread needs a lock
            )  # fmt: skip

    async def get(self, path: str) -> Any:
        """JSON of a path below the line."""
        return _answer(await self._http.get(LINE + path))

    async def intend(self, kind: str, why: str = "", **arguments: Any) -> dict[str, Any]:
        """Writes an intent and waits for the answer; raises what it was refused for."""
        body = {"kind": kind, "why": why, "arguments": arguments}
        answer = _answer(await self._http.post(LINE + "/intents?wait=60", json=body, timeout=70.0))
        found: dict[str, Any] = answer.get("answer", {})
        return found

    async def events(self) -> AsyncIterator[dict[str, Any]]:
        """Every event from the first, then live."""
        async with self._http.stream("GET", LINE + "/stream?after=0", timeout=None) as response:
            async for text in response.aiter_lines():
                if text.startswith("data:"):
                    yield json.loads(text[5:])

    def peak_memory(self) -> int:
        """Bytes of memory that it held at most; 0 when it runs no more."""
        try:
            status = Path(f"/proc/{self.pid}/status").read_text()
        except OSError:
            return 0
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def cpu_seconds(self) -> float:
        """CPU that it and what it waited for have taken so far; 0 when it runs no more."""
        try:
            fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            return 0.0
        return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")

    async def stop(self) -> None:
        """Ends it as an administrator would: SIGTERM; SIGKILL when that does not help."""
        await self._http.aclose()
        os.close(self._folder)
        if self._process is None:
            return
        if self.pid is not None:
            os.kill(self.pid, signal.SIGTERM)
        try:
            await asyncio.to_thread(self._process.wait, 20.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            await asyncio.to_thread(self._process.wait)


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """A demo that was killed leaves no controller behind: it gets an administrator's signal."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _answer(response: httpx2.Response) -> Any:
    body = response.json()
    if response.is_success:
        return body
    error = body.get("error", {})
    raise LeukoError(
        str(error.get("rule", body)),
        where=str(error.get("where", "")),
        way_out=str(error.get("way_out", "")),
        code=str(error.get("code", "")),
    )
