"""What tests printed, in a file: the pages ask for one at a time, and memory should not hold all of them."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from leuko.domain.case import CaseState

MOST = 256 << 20
"""Bytes kept; past it only what failed is."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of one test. `output` may hold letters that terminals obey; the page shows them as text."""

    attempt: int
    state: str
    seconds: float
    worker: str
    reason: str
    output: str


@dataclass(frozen=True, slots=True)
class _Place:
    attempt: int
    state: str
    seconds: float
    worker: str
    reason: str
    start: int
    size: int


class Printed:
    """Outputs of one session, in a nameless file below `folder` that is gone when the session is."""

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - closed by close
        self._end = 0
        self._places: dict[int, list[_Place]] = {}

    def close(self) -> None:
        """The file goes."""
        self._file.close()

    def forget(self, row: int) -> None:
        """The test runs anew."""
        self._places.pop(row, None)

    def keep(
        self, row: int, attempt: int, state: CaseState, facts: tuple[float, str, str], output: str
    ) -> None:
        """`facts`: seconds, worker, reason. Raises OSError where the disk is full."""
        data = output.encode("utf-8", "replace")
        if self._end + len(data) > MOST and state is not CaseState.FAILED:
            data = b""
        if data:
            os.pwrite(self._file.fileno(), data, self._end)
        seconds, worker, reason = facts
        place = _Place(attempt, state.value, seconds, worker, reason, self._end, len(data))
        self._end += len(data)
        self._places.setdefault(row, []).append(place)

    def of(self, row: int) -> list[Attempt]:
        """Every attempt of the last run, the first one first."""
        return [
            Attempt(
                place.attempt, place.state, place.seconds, place.worker, place.reason,
                os.pread(self._file.fileno(), place.size, place.start).decode("utf-8", "replace"),
            )
            for place in self._places.get(row, [])
        ]  # fmt: skip

    def rewind(self) -> None:
        """Before a run: where the file has grown past its measure, only what is still asked for is kept."""
        if self._end <= MOST:
            return
        kept = {row: [(place, self._read(place)) for place in places] for row, places in self._places.items()}
        self._file.truncate(0)
        self._end, self._places = 0, {}
        for row, places in kept.items():
            for place, data in places:
                if self._end + len(data) > MOST // 2:
                    continue
                os.pwrite(self._file.fileno(), data, self._end)
                moved = _Place(
                    place.attempt,
                    place.state,
                    place.seconds,
                    place.worker,
                    place.reason,
                    self._end,
                    len(data),
                )
                self._end += len(data)
                self._places.setdefault(row, []).append(moved)

    def _read(self, place: _Place) -> bytes:
        return os.pread(self._file.fileno(), place.size, place.start)
