"""Hooks on their bad days. Readings go on meanwhile, and an abort gets through."""

from __future__ import annotations

import os
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests.e2e.playing import Playing, blocked_by

from leuko.clock import SystemClock
from leuko.domain.intent import IntentKind
from leuko.domain.push import Cause, State

pytestmark = pytest.mark.timeout(420)


def hooks(**moments: str) -> dict[str, object]:
    return {"hooks": {**moments}}


async def test_a_hook_that_reads_its_stdin(site):
    async with site.play() as line:
        site.commit("two", fleet=hooks(before_switch="cat; read -r line; echo read all of it"))
        await line.switched(2)
        assert (await line.rows(2))["web1"].output.strip().endswith("read all of it")


async def test_a_hook_that_leaves_a_daemon_holding_its_stdout(site, tmp_path):
    daemon = f"sleep 300 & echo $! >{tmp_path}/daemon; echo started"
    async with site.play() as line:
        try:
            site.commit("two", fleet=hooks(before_switch=daemon))
            await line.switched(2)
            os.kill(daemon_of(tmp_path), 0)  # it lives: nothing of the order kills what the hook left
            assert (await line.rows(2))["web1"].output.strip().endswith("started")
        finally:
            os.kill(daemon_of(tmp_path), 9)


def daemon_of(folder: Path) -> int:
    return int((folder / "daemon").read_text())


async def test_a_hook_that_never_ends_meets_its_deadline(site):
    async with site.play() as line:
        base = site.currents()
        site.commit("two", fleet=hooks(reload="echo waiting for the database; sleep 1000", timeout="2s"))
        push = await line.push(2, State.ROLLED_BACK)
        assert push.stop is not None
        assert push.stop.cause is Cause.SWITCH_FAILED
        assert "web1: reload did not end within 2 s and was killed" in push.stop.reason
        assert site.currents() == base


async def test_readings_go_on_and_abort_gets_through_beside_a_hook_that_hangs(site, tmp_path):
    gate = tmp_path / "gate"
    async with site.play() as line:
        base = site.currents()
        gate.touch()
        site.commit("two", fleet=hooks(reload=f"yes & {blocked_by(gate)}"))
        await line.until(lambda: exists(tmp_path / "gate.began"), "the hook")
        push = await line.push(2, State.SWITCHING)
        since = SystemClock().now()
        await line.until(lambda: read_since(line, since), "four readings of every host")
        began = time.monotonic()
        await line.accepted(IntentKind.ABORT, push=push, why="it hangs")
        ended = await line.push(2, State.ROLLED_BACK)
        took = time.monotonic() - began
        print(f"aborted within {took:.1f} s")
        assert took < 30
        assert ended.stop is not None
        assert (ended.stop.cause, ended.stop.by, ended.stop.reason) == (Cause.ABORTED, "ann", "it hangs")
        assert site.currents() == base
        assert await line.locks() == []
        await line.until(lambda: no_hook_runs(gate), "the end of the hook's processes")


async def exists(path: Path) -> bool:
    return path.exists()


async def read_since(line: Playing, since: datetime) -> bool:
    read = await line.store.readings.read(line.line, ["disk"], since, SystemClock().now())
    values = read.values.get("disk")
    return values is not None and bool((np.isfinite(values).sum(axis=0) >= 4).all())


async def no_hook_runs(gate: Path) -> bool:
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if str(gate).encode() in each.read_bytes():
                return False
        except (FileNotFoundError, ProcessLookupError):
            continue
    return True


@pytest.mark.slow
async def test_a_hook_that_prints_a_gigabyte(site):
    async with site.play() as line:
        loud = "yes 'a line that nobody reads' | head -c 1000000000; echo the last words"
        site.commit("two", fleet=hooks(before_switch=loud, timeout="2m"))
        await line.switched(2)
        output = (await line.rows(2))["web1"].output
        assert output.strip().endswith("the last words")
        assert len(output) < 200_000
        kept = sum(
            path.stat().st_size for path in (site.home("web1") / ".leuko").rglob("*") if path.is_file()
        )
        assert kept < 4_000_000
