"""`leuko serve`: the one process of an installation that acts, with console and API."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from leuko.domain.errors import LeukoError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from leuko.cli.installation import Installation
    from leuko.runtime.supervision import LoopLag

LISTEN = "127.0.0.1:8420"
STARTING_SECONDS = 30.0
STOPPING_SECONDS = 20.0
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
    if stop:
        return stop_running(state)
    if detach:
        return start_detached(
            files, state=state, environment=environment, database=database, listen=listen, names=names
        )
    configure_log()
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


def start_detached(
    files: Sequence[Path],
    *,
    state: Path,
    environment: str | None = None,
    database: str = "",
    listen: str = LISTEN,
    names: Sequence[str] = (),
) -> int:
    """Starts `leuko serve` in a session of its own; returns when it answers, or raises with the reason."""
    from leuko.cli.installation import SOCKET, make_state

    folder = make_state(state)
    if answers(folder / SOCKET):  # its socket must not be taken from it
        raise LeukoError(
            "a controller serves here already",
            where=str(folder),
            way_out="use it (`leuko status`), or end it first with `leuko serve --stop`",
            code="X004",
        )
    argv = [sys.executable, "-m", "leuko.cli.main", "serve", "--state", str(folder), "--listen", listen]
    argv += [part for path in files for part in ("--config", str(path))]
    argv += ["--environment", environment] if environment else []
    argv += ["--database", database] if database else []
    argv += [part for name in names for part in ("--name", name)]
    (folder / SOCKET).unlink(missing_ok=True)
    (folder / ADDRESS).unlink(missing_ok=True)  # the next one's is written just after its socket answers
    with (folder / LOG).open("ab") as log:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        if _comes_up(process, folder, folder / SOCKET):
            return 0
    except KeyboardInterrupt:
        process.terminate()  # who gave up waiting does not expect it to come up a moment later
        raise
    process.terminate()
    tail = (folder / LOG).read_text(errors="replace")[-2000:]
    raise LeukoError(
        f"the controller did not start; the end of {folder / LOG}:\n{tail}",
        way_out="mend that, or start it in the foreground with `leuko serve`",
        code="X001",
    )


def _comes_up(process: subprocess.Popen[bytes], folder: Path, path: Path) -> bool:
    """True once it answers; False where it ended, or took too long."""
    until = time.monotonic() + STARTING_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if answers(path) and read_address(folder):
            return True
        time.sleep(0.05)
    return False


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


def stop_running(state: Path) -> int:
    """Ends the controller of this state directory; 0 also where none ran."""
    from leuko.store.installation import InstallationLock, holder_of

    if not state.is_dir():
        return 0
    word = holder_of(state)
    pid = int(word.removeprefix("pid ")) if word.removeprefix("pid ").isdigit() else 0
    until = time.monotonic() + STOPPING_SECONDS
    asked = False
    while time.monotonic() < until:
        try:
            InstallationLock.take(state, "").release()
        except LeukoError:
            if pid and not asked:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
                asked = True
            time.sleep(0.05)
        else:
            return 0
    raise LeukoError(
        f"the controller (pid {pid}) did not end within {STOPPING_SECONDS:.0f} s",
        where=str(state),
        way_out=f"kill -9 {pid} is safe: the next start goes on where it was",
        code="X002",
    )
