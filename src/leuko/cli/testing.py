"""Puts a session of RunTests together: checkout, board, page, watching; and ends all of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
import webbrowser
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from leuko.cli.failures import BAD_END, DONE, ERROR, INTERRUPTED
from leuko.cli.scene import Scene
from leuko.cli.show import print_json
from leuko.clock import SystemClock
from leuko.domain.board import Board
from leuko.domain.board_rows import Mark, Row, RunState
from leuko.domain.errors import LeukoError
from leuko.runtests.app import create_app
from leuko.runtests.carrier import Ended
from leuko.runtests.checkout import Checkout
from leuko.runtests.memory import folder_of, keep, newer, recall
from leuko.runtests.printed import Printed
from leuko.runtests.session import Session
from leuko.runtests.settings import FILE, settings_of, surroundings
from leuko.runtests.watching import Watching
from leuko.web.serving import Serving

BEAT = 0.5
"""Seconds between two drawings of the line in the terminal."""
LINE_EVERY = 10.0
"""The same where nobody looks at a terminal."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command line said."""

    path: Path
    port: int
    opened: bool
    watch: bool
    once: bool
    workers: int | None


@dataclass(slots=True)
class Bench:
    """A session and what stands around it."""

    session: Session
    checkout: Checkout
    folder: Path
    changed: frozenset[str]
    """Files that are newer than what is remembered of them: their tests may be others."""
    below: str
    """Only files below this folder of the checkout; empty: all."""

    def rows(self) -> list[int]:
        """Of the files below."""
        board = self.session.board
        return [
            row
            for suite, files in self.checkout.found.files.items()
            for file in files
            if not self.below or file == self.below or file.startswith(f"{self.below}/")
            for row in board.in_file(suite, file)
        ]


async def begin(scene: Scene, wanted: Wanted) -> int:
    """Runs until it is ended; the exit code."""
    bench = await _bench(wanted)
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        return await (_once if wanted.once else _page)(scene, wanted, bench, stop)
    finally:
        await bench.session.close()
        with contextlib.suppress(OSError, ValueError):  # a cache that cannot be kept is none
            await asyncio.to_thread(keep, bench.folder, bench.session.board)


async def _bench(wanted: Wanted) -> Bench:
    place = wanted.path.absolute()
    if not place.exists():
        way_out = "name a folder or a file of your checkout"
        raise LeukoError("is not there", where=str(wanted.path), way_out=way_out, code="T021")
    top = _top(place)
    settings = await settings_of(top)
    verify = settings.verify
    if wanted.workers is not None:
        verify = verify.model_copy(update={"workers": wanted.workers})
    folder = await asyncio.to_thread(folder_of, top)
    board = Board(secrets.token_hex(4))
    checkout = Checkout(top, verify, board, folder / f"run-{os.getpid()}", surroundings(top, os.environ))
    found = await checkout.look()
    changed = await asyncio.to_thread(newer, folder, top, found.files)
    damaged = await asyncio.to_thread(recall, folder, board, found.files)
    session = Session(top, board, checkout, Printed(folder), SystemClock())
    session.said = " ".join(part for part in (settings.said, damaged, *found.warnings) if part)
    below = "" if place == top else os.path.relpath(place, top)
    return Bench(session, checkout, folder, changed, below)


def _top(place: Path) -> Path:
    """The folder that holds leuko.yml, or the repository: the nearest at or above the path."""
    folder = place if place.is_dir() else place.parent
    for each in (folder, *folder.parents):
        if (each / FILE).is_file() or (each / ".git").exists():
            return each
    return folder


# -- with a page ------------------------------------------------------------------------------------------


async def _page(scene: Scene, wanted: Wanted, bench: Bench, stop: asyncio.Event) -> int:
    session, token = bench.session, secrets.token_urlsafe(24)
    watching = Watching(session, bench.checkout)
    session.on_watch = watching.turn
    session.on_end = lambda _ended: _keep_soon(bench)
    serving = await Serving.start(create_app(session, SystemClock(), token), port=wanted.port)
    address = f"{serving.address}/enter?token={token}"
    try:
        _announce(scene, bench, address)
        if wanted.opened and not scene.as_json:
            await asyncio.to_thread(webbrowser.open, address)
        collecting = asyncio.create_task(_collect(bench), name="collecting")
        if wanted.watch:
            session.watch(True)
        telling = asyncio.create_task(_tell(scene, session), name="telling")
        await stop.wait()
        collecting.cancel()
        telling.cancel()
        await asyncio.wait({collecting, telling})
    finally:
        await watching.close()
        await session.close()
        await serving.stop()
    return DONE


def _announce(scene: Scene, bench: Bench, address: str) -> None:
    files = sum(len(files) for files in bench.checkout.found.files.values())
    if scene.as_json:
        print_json({"address": address, "checkout": str(bench.session.checkout), "files": files})
        sys.stdout.flush()
        return
    scene.say(bench.session.said) if bench.session.said else None
    scene.say(f"{files:,} files of tests in {bench.session.checkout}")
    click.echo(f"RunTests: {address}")
    scene.say("Ctrl-C ends it, and everything it started.")


async def _collect(bench: Bench) -> None:
    try:
        if await bench.checkout.collect(bench.changed):
            bench.session.changed()
    except (LeukoError, OSError) as error:
        bench.session.tell(f"Tests could not be listed before they run: {error}")


def _keep_soon(bench: Bench) -> None:
    with contextlib.suppress(OSError, ValueError):
        keep(bench.folder, bench.session.board)


async def _tell(scene: Scene, session: Session) -> None:
    """Progress in the terminal, beside the page."""
    run = 0
    while True:
        await asyncio.sleep(BEAT)
        if session.running and sys.stderr.isatty():
            _draw(scene, _line(session))
        elif session.board.run != run and not session.running:
            run = session.board.run
            _draw(scene, "")
            scene.say(_summary(session))


# -- without a page ----------------------------------------------------------------------------------------


async def _once(scene: Scene, wanted: Wanted, bench: Bench, stop: asyncio.Event) -> int:
    session = bench.session
    rows = bench.rows() if bench.below else None
    if session.said:
        scene.say(session.said)
    if not (bench.rows() if bench.below else session.board.counts().all):
        raise LeukoError(
            "there are no tests, and untested is not passed",
            where=str(wanted.path),
            way_out="verify.suites in leuko.yml says where they are",
            code="T022",
        )
    task = session.run(rows)
    stopping = asyncio.create_task(stop.wait())
    told: set[int] = set()
    said = 0.0
    loop = asyncio.get_running_loop()
    while not task.done():
        await asyncio.wait({task, stopping}, timeout=BEAT, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            await session.stop("interrupted")
        _failures(scene, session, told)
        if sys.stderr.isatty():
            _draw(scene, _line(session))
        elif loop.time() - said > LINE_EVERY and not task.done():
            said = loop.time()
            scene.say(_line(session))
    stopping.cancel()
    _failures(scene, session, told)
    _draw(scene, "")
    ended = task.result()
    if scene.as_json:
        print_json(_result(session, ended))
    else:
        click.echo(_summary(session))
    if stop.is_set():
        return INTERRUPTED
    return {RunState.PASSED: DONE, RunState.FAILED: BAD_END}.get(ended.state, ERROR)


def _failures(scene: Scene, session: Session, told: set[int]) -> None:
    """Each failed test once, with its reason, when nothing can make it flaky any more."""
    if session.running:
        return
    for row in session.board.rows:
        if row.mark in (Mark.FAILED, Mark.BROKEN) and row.id not in told and row.run == session.board.run:
            told.add(row.id)
            if not scene.as_json:
                _draw(scene, "")
                click.echo(f"{row.mark.name.lower()}  {_name(session, row)}  {row.reason}")


def _name(session: Session, row: Row) -> str:
    if row.file < 0:
        return f"set-up: {row.name}"
    path = session.board.files[row.file].path
    return f"{path}::{row.name}" if row.name else path


def _line(session: Session) -> str:
    now = SystemClock().now()
    counts, left = session.board.counts(), session.board.seconds_left(now)
    parts = [f"{session.board.percent(now):3.0f} %", f"{counts.passed:,} passed", f"{counts.failed:,} failed"]
    parts += [f"{counts.flaky:,} flaky"] if counts.flaky else []
    parts += [f"{left:.0f} s left"] if left is not None else []
    return ", ".join(parts)


def _summary(session: Session) -> str:
    board = session.board
    counts, progress = board.counts(), board.progress
    figures = [f"{counts.passed:,} passed", f"{counts.failed:,} failed"]
    for name in ("broken", "skipped", "flaky"):
        number = getattr(counts, name)
        figures += [f"{number:,} {name}"] if number else []
    took = (progress.ended or progress.began) - progress.began
    rest = f": {board.reason}" if board.reason else ""
    return f"{board.state.value} in {took:.1f} s: {', '.join(figures)}{rest}"


def _result(session: Session, ended: Ended) -> dict[str, Any]:
    board = session.board
    failed = [row for row in board.rows if row.mark in (Mark.FAILED, Mark.BROKEN)]
    return {
        "state": ended.state.value,
        "reason": ended.reason,
        "seconds": round((board.progress.ended or board.progress.began) - board.progress.began, 3),
        "counts": asdict(board.counts()),
        "failures": [
            {"test": _name(session, row), "state": row.mark.name.lower(), "reason": row.reason}
            for row in failed
        ],
        "flaky": [_name(session, row) for row in board.rows if row.flaky],
    }


def _draw(scene: Scene, text: str) -> None:
    if sys.stderr.isatty() and not scene.as_json and not scene.quiet:
        click.echo(f"\r\033[K{text}", nl=False, err=True)
