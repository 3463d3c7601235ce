"""Checks of what is watched after a release is live."""

from __future__ import annotations

from leuko.config.model import Configuration
from leuko.config.notes import Notes

ALONG = ("", "time", "uptime")


def check_trends(configuration: Configuration, notes: Notes) -> None:
    """What a chain of releases is laid along must count something."""
    for name, gauge in configuration.gauges.items():
        if gauge.trend is None or gauge.trend.over in ALONG:
            continue
        other = configuration.gauges.get(gauge.trend.over)
        if other is None or other.kind != "count":
            rule = f'"{gauge.trend.over}" is not a count gauge'
            way_out = "Write `uptime`, `time`, or the name of a gauge that counts, such as requests."
            notes.say(("gauges", name, "trend", "over"), "C026", rule, way_out)
