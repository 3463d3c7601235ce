"""Small pictures of a gauge's week, drawn here: a line, with gaps where nothing was read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 168
HEIGHT = 36
PAD = 2


@dataclass(frozen=True, slots=True)
class Spark:
    """Pieces of a polyline, as SVG wants them, and what the picture shows in words."""

    pieces: tuple[str, ...]
    low: float | None
    high: float | None


def spark(points: Sequence[float | None]) -> Spark:
    """A picture of WIDTH x HEIGHT; the scale is the gauge's own range."""
    known = [point for point in points if point is not None]
    if not known:
        return Spark((), None, None)
    low, high = min(known), max(known)
    across = (WIDTH - 2 * PAD) / max(1, len(points) - 1)
    up = (HEIGHT - 2 * PAD) / (high - low) if high > low else 0.0
    pieces: list[list[str]] = [[]]
    for index, point in enumerate(points):
        if point is None:
            pieces.append([])
            continue
        height = (point - low) * up if up else HEIGHT / 2 - PAD
        pieces[-1].append(f"{PAD + index * across:.1f},{HEIGHT - PAD - height:.1f}")
    # a single point is a line of no length: its round cap shows
    return Spark(
        tuple(" ".join(piece * 2 if len(piece) == 1 else piece) for piece in pieces if piece), low, high
    )
