"""The key of everything stored: one application in one environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Line:
    """One application in one environment: what every row, lock, lease, URL and API path is keyed by."""

    application: str
    environment: str

    def __str__(self) -> str:
        return f"{self.application}/{self.environment}"
