"""Processes that work for a loop: they end with it."""

from __future__ import annotations

import os
import signal
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress


def dismiss(workers: ProcessPoolExecutor | None) -> None:
    """Ends them in the middle of what they do. Whoever only shuts down waits for it when Python ends."""
    if workers is None:
        return
    for process in list(getattr(workers, "_processes", None) or ()):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    workers.shutdown(wait=False, cancel_futures=True)
