"""`leuko demo`: the main job on this machine, in a minute and a half."""

from __future__ import annotations

import asyncio
import json
import shlex
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from leuko.clock import SystemClock
from leuko.demo.installation import WATCHES
from leuko.demo.report import report, tell
from leuko.demo.repository import FAULTS, STORY
from leuko.demo.story import Demo, play, running_demo
from leuko.demo.telling import Teller
from leuko.domain.errors import LeukoError


def run(
    *,
    as_json: bool = False,
    keep: bool = False,
    folder: Path | None = None,
    hosts: int = 8,
    story: Sequence[str] = STORY,
) -> int:
    """Plays the demo; 0 when all that was expected came true. With `keep` it runs on until Ctrl-C."""
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        return asyncio.run(_run(as_json=as_json, keep=keep, folder=folder, hosts=hosts, story=story))
    return 130


async def _run(*, as_json: bool, keep: bool, folder: Path | None, hosts: int, story: Sequence[str]) -> int:
    me = asyncio.current_task()
    assert me is not None
    for each in (signal.SIGTERM, signal.SIGHUP):  # Ctrl-C cancels by itself
        asyncio.get_running_loop().add_signal_handler(each, me.cancel)
    clock = SystemClock()
    teller = Teller(clock.now())
    place = _place(folder)
    facts: dict[str, Any] = {"ok": False}
    left = False
    try:
        async with running_demo(place, clock, teller, hosts) as demo:
            await play(demo, story)
            facts = await report(demo)
            tell(teller, facts, keep=keep)
            if keep:
                await _keep(demo, teller, removed=folder is None)
    except LeukoError as error:
        teller.plain(f"\nThe demo failed: {error}")
        facts["error"] = str(error)
    except asyncio.CancelledError:
        teller.plain("\nEnded before its end; nothing is left of it.")
        left = True
        raise
    finally:
        if folder is None and (facts["ok"] or left):
            shutil.rmtree(place, ignore_errors=True)
        elif not facts["ok"]:
            teller.plain(f"  Everything is left in {place} to look at.")
    if as_json:
        sys.stdout.write(json.dumps(facts) + "\n")
    return 0 if facts["ok"] else 1


def _place(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="leuko-demo-"))
    if folder.exists() and any(folder.iterdir()):
        raise LeukoError(
            "is not empty", where=str(folder), way_out="name a folder that is new or empty", code="D013"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


async def _keep(demo: Demo, teller: Teller, *, removed: bool) -> None:
    """The repository is the visitor's now."""
    clone, state = shlex.quote(str(demo.repository.clone)), shlex.quote(str(demo.shop.state))
    teller.heading("It all keeps running. The repository is yours")
    teller.plain(f"  Commit what you like in {clone} and push it: git -C {clone} push")
    teller.plain(f"  Ask about it with: leuko status --state {state}   (also why, log, hosts, locks)")
    teller.plain(f"  The console's token is in {state}/token. Or play a fault:")
    for name, what in FAULTS.items():
        teller.plain(f"    {name:<15} {what}\n      {demo.repository.recipe(name)}")
    teller.plain(
        f"  (Watches are of {WATCHES[0]} and {WATCHES[1]} s here: a fault that begins later shows later.)"
    )
    after = "and removes it" if removed else f"and leaves the files in {shlex.quote(str(demo.folder))}"
    teller.plain(f"  Ctrl-C ends everything, {after}.")
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(each, ended.set)
    await ended.wait()
