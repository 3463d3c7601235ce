"""Windows in which no push starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim

from leuko.config.model import Window


@dataclass(frozen=True, slots=True)
class Closed:
    """Why no push starts now, and until when."""

    window: Window
    until: datetime

    @property
    def sentence(self) -> str:
        """For whoever asks why nothing moves."""
        reason = f" ({self.window.reason})" if self.window.reason else ""
        return f"no push starts before {self.until:%Y-%m-%d %H:%M} UTC{reason}"


def closed(windows: Iterable[Window], now: datetime) -> Closed | None:
    """The window that `now` lies in, of several the one that ends last; None when pushes may start."""
    found = [
        Closed(window, start + timedelta(seconds=window.lasts))
        for window in windows
        if (start := _latest_start(window, now)) is not None
    ]
    return max(found, key=lambda one: one.until, default=None)


def _latest_start(window: Window, now: datetime) -> datetime | None:
    """The latest start that `now` is still within the length of."""
    zone = ZoneInfo(window.timezone)
    earliest = now.astimezone(UTC) - timedelta(seconds=window.lasts)
    latest: datetime | None = None
    # cronsim gives whole minutes after the time it is given; a start at that very time has just ended
    for start in CronSim(window.start, earliest.astimezone(zone)):
        if start > now:
            break
        latest = start.astimezone(UTC)
    return latest
