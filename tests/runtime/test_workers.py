"""Processes that work for a loop keep nobody from ending."""

from __future__ import annotations

import subprocess
import sys

BUSY = """
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from leuko.runtime.workers import dismiss

if __name__ == "__main__":
    workers = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
    workers.submit(print, "begun", flush=True).result()
    workers.submit(time.sleep, 600)
    dismiss(workers)
    dismiss(None)
"""


def test_whoever_dismisses_a_busy_worker_ends_without_waiting_for_it(tmp_path):
    program = tmp_path / "busy.py"
    program.write_text(BUSY)
    done = subprocess.run(
        [sys.executable, str(program)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "begun\n"), done.stderr
