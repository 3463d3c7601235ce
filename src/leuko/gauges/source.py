"""Where readings come from: the port that samplers read, and the few words of the protocol it needs."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

OF = ":of"
"""Ending of the series that holds a ratio's denominators: `errors` and `errors:of`."""


class Program(Protocol):
    """A running program whose lines are read. A channel of the port to hosts is one."""

    def lines(self) -> AsyncIterator[bytes]:
        """Lines of stdout without their newline."""
        ...

    async def wait(self) -> int | None:
        """The exit status; None when the connection died."""
        ...

    async def errors(self) -> bytes:
        """The end of stderr, once the program has ended."""
        ...

    async def close(self) -> None:
        """Lets go of the program."""
        ...


Start = Callable[[str, Sequence[str]], Awaitable[Program]]
"""Starts argv on the host of that name. Raises when the host cannot be reached."""


@dataclass(frozen=True, slots=True)
class Target:
    """A host as the sampler sees it. `root` is the component's folder on it."""

    name: str
    role: str
    root: str
    address: str = ""
    port: int = 22
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


@dataclass(frozen=True, slots=True)
class Health:
    """How a source of one host does: when it last gave readings, and what is wrong with it now."""

    host: str
    source: str
    last_good: datetime | None
    reason: str
    gauges: tuple[str, ...] = ()
    """Names of the gauges that come from it."""


OnTick = Callable[[datetime, tuple[str, ...], Mapping[str, NDArray[np.float32]]], None]
"""Called once a tick: closing time, roster, and per series an array over the roster; NaN is absence."""


class Source(Protocol):
    """Gives the readings of a tick that is being closed."""

    def readings(self, tick: int) -> Mapping[str, NDArray[np.float32]]:
        """Arrays over the roster by series; what came for that tick until now. The tick is then closed."""
        ...

    def health(self) -> tuple[Health, ...]:
        """One entry for each host and source."""
        ...
