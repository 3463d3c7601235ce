"""What a controller tells one host to do, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType


class OrderKind(StrEnum):
    """Each is idempotent on the host: a repeated order is answered with its recorded result."""

    PROBE = "probe"
    STAGE = "stage"
    SWITCH = "switch"
    RESTORE = "restore"
    STOP = "stop"
    PRUNE = "prune"
    VERIFY = "verify"
    ADOPT = "adopt"


@dataclass(frozen=True, slots=True)
class Fence:
    """(installation, lease epoch, sequence): a host refuses an order older than the last it obeyed."""

    installation: str
    epoch: int
    sequence: int


@dataclass(frozen=True, slots=True)
class Order:
    """One order to one host about one component.

    `target` and `base` are release names (`domain.release.release_name`); a RESTORE goes to `base`. `hooks`
    are shell commands by moment, from the configuration of the release that is being switched to.
    `variables` reach hooks as environment; `secrets` through a 0600 file that is gone when the hook ends.
    `deadline` is in seconds and is enforced on the host.
    """

    id: str
    kind: OrderKind
    fence: Fence
    component: str
    target: str = ""
    base: str = ""
    hooks: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    health: str = ""
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    secrets: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False, repr=False)
    linked_dirs: tuple[str, ...] = ()
    linked_files: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    deadline: float = 300.0
    hook_timeout: float = 120.0
    health_timeout: float = 10.0
    health_tries: int = 5
    health_pause: float = 1.0
    running: str = ""
    """Shell command that prints the release or revision that the processes run."""
    push: int = 0
    attempt: int = 1
    """Hooks run at least once: they are told which time this is."""


class Result(StrEnum):
    """UNKNOWN: the order may or may not have been carried out; ask again. UNREACHABLE: it was not sent."""

    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"
    TIMED_OUT = "timed out"
    UNREACHABLE = "unreachable"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order. `reason` is a sentence, `output` the end of what hooks printed, masked."""

    result: Result
    reason: str = ""
    output: str = ""
    seconds: float = 0.0
    link_seconds: float = 0.0
    """The rename alone, without hooks."""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)

    @property
    def done(self) -> bool:
        """True only when the host itself said so."""
        return self.result is Result.DONE
