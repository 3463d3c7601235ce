"""Readings that wait for their tick to close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Slots:
    """Arrays over the roster for each series of each open tick; what comes later is counted and dropped."""

    def __init__(self, series: tuple[str, ...], hosts: int, ahead: int = 8) -> None:
        self.series = series
        self.late = 0
        self._hosts = hosts
        self._ahead = ahead
        self._open: dict[int, Array] = {}
        self._closed = -(2**62)

    def put(self, tick: int, host: int, values: Array) -> bool:
        """One host's values, in the order of `series`. False when the tick was closed already."""
        if tick <= self._closed:
            self.late += 1
            return False
        slot = self._slot(tick)
        slot[:, host] = np.where(np.isnan(values), slot[:, host], values)
        return True

    def put_one(self, tick: int, series: int, host: int, value: float) -> bool:
        """One value."""
        if tick <= self._closed:
            self.late += 1
            return False
        self._slot(tick)[series, host] = value
        return True

    def _slot(self, tick: int) -> Array:
        slot = self._open.get(tick)
        if slot is None:
            slot = np.full((len(self.series), self._hosts), np.nan, dtype=np.float32)
            self._open[tick] = slot
            while len(self._open) > self._ahead:  # a clock that runs wild must not fill the memory
                del self._open[min(self._open)]
        return slot

    def close(self, tick: int) -> dict[str, Array]:
        """The tick's arrays; it and everything before it takes no more."""
        slot = (
            self._slot(tick)
            if tick > self._closed
            else np.full((len(self.series), self._hosts), np.nan, np.float32)
        )
        self._closed = max(self._closed, tick)
        for old in [key for key in self._open if key <= tick]:
            del self._open[old]
        return {name: slot[index] for index, name in enumerate(self.series)}
