"""Checks between fields."""

from __future__ import annotations

from collections.abc import Callable

from leuko.config.model import Configuration
from leuko.config.problems import Problem

Where = Callable[[tuple[str | int, ...]], str]


def broken_rules(configuration: Configuration, where: Where) -> list[Problem]:
    return []
