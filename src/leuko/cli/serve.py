"""`leuko serve`: the one process of an installation that acts, with console and API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from leuko.cli.installation import Installation
    from leuko.runtime.supervision import LoopLag

LISTEN = "127.0.0.1:8420"
LOG = "serve.log"
ADDRESS = "address"


def run(
    files: Sequence[Path],
    *,
    state: Path,
    environment: str | None = None,
    database: str = "",
    listen: str = LISTEN,
    names: Sequence[str] = (),
    detach: bool = False,
    stop: bool = False,
) -> int:
    """Serves until SIGTERM or SIGINT; or starts that in the background; or ends the one that runs."""
    from leuko.cli.background import start_detached, stop_running
    from leuko.cli.installation import make_state
    from leuko.cli.presence import present

    if stop:
        return stop_running(state)
    if detach:
        return start_detached(
            files, state=state, environment=environment, database=database, listen=listen, names=names
        )
    configure_log()
    with present(make_state(state)):
        return asyncio.run(
            _serve(files, state=state, environment=environment, database=database, listen=listen, names=names)
        )


def read_token(state: Path) -> str:
    """The token that writing over HTTP needs; made when it is first asked for, for its owner's eyes."""
    from leuko.cli.installation import TOKEN

    path = state / TOKEN
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
    return path.read_text().strip()


def configure_log() -> None:
    """Plain lines on stderr. Tracebacks show no local variables: a secret may be among them."""
    import structlog

    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S"),
            structlog.processors.format_exc_info,
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


async def _serve(
    files: Sequence[Path],
    *,
    state: Path,
    environment: str | None,
    database: str,
    listen: str,
    names: Sequence[str],
) -> int:
    from leuko.cli.installation import installation, make_state
    from leuko.cli.served import note_served
    from leuko.runtime.supervision import LoopLag

    lag = LoopLag()
    folder = make_state(state)
    host, port = split_address(listen)
    ending = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, ending.set)
    address = f"http://{host}:{port}" if port else ""
    async with installation(
        files, folder, environment=environment, database=database, address=address, held_up=lag.held_up
    ) as made:
        note_served(folder, files, environment)
        await _until(ending, made, folder, host, port, lag, names)
    return 0


async def _until(
    ending: asyncio.Event,
    made: Installation,
    folder: Path,
    host: str,
    port: int,
    lag: LoopLag,
    names: Sequence[str],
) -> None:
    """Everything runs until `ending`; a part that ends by itself ends the rest, with its error."""
    from leuko.cli.installation import SOCKET
    from leuko.web.app import create_app
    from leuko.web.serving import Serving

    registry = own_figures(lag)
    app = create_app(
        made.store,
        made.clock,
        token=read_token(folder),
        state=folder,
        registry=registry,
        names=frozenset(names),
    )
    serving = await Serving.start(app, host=host, port=port, path=folder / SOCKET)
    _announce(made, f"http://{serving.host}:{serving.port}", folder)
    tasks = {
        asyncio.create_task(made.run(), name="lines"),
        asyncio.create_task(lag.run(), name="loop lag"),
        asyncio.create_task(ending.wait(), name="ending"),
    }
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await serving.stop()


def own_figures(lag: LoopLag) -> CollectorRegistry:
    """What this process tells of itself: memory, CPU, open files, and how late its event loop is."""
    from prometheus_client import CollectorRegistry, Gauge, ProcessCollector

    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    late = Gauge("leuko_loop_lag_seconds", "How late the event loop is.", registry=registry)
    late.set_function(lambda: lag.seconds)
    worst = Gauge("leuko_loop_lag_worst_seconds", "How late it ever was since the start.", registry=registry)
    worst.set_function(lambda: lag.worst)
    return registry


def _announce(made: Installation, address: str, folder: Path) -> None:
    lines = ", ".join(str(controller.ground.line) for controller in made.controllers)
    (folder / ADDRESS).write_text(address + "\n")
    sys.stderr.write(
        f"serving {lines}\nconsole  {address}\nstate    {folder}\n"
        f"token    in {folder / 'token'} (the console's buttons ask for it)\n"
    )
    sys.stderr.flush()


def split_address(listen: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `:PORT` or `PORT`; port 0 lets the system choose."""
    host, _, port = listen.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise LeukoError(
            f"should be HOST:PORT, not {listen!r}",
            where="--listen",
            way_out=f"for example {LISTEN}",
            code="X003",
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def read_address(folder: Path) -> str:
    """Where the console is, as the controller last wrote it; empty where it has not yet."""
    try:
        return (folder / ADDRESS).read_text().strip()
    except FileNotFoundError:
        return ""


def answers(path: Path) -> bool:
    """True where somebody listens on the unix socket."""
    folder = os.open(path.parent, os.O_RDONLY)  # a path over 107 bytes is reached through its folder
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1.0)
            client.connect(f"/proc/self/fd/{folder}/{path.name}")
            return True
    except OSError:
        return False
    finally:
        os.close(folder)
