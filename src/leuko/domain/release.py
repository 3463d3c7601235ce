"""What is pushed: immutable, built once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the application with a tree of its own. `digest` is the SHA-256 of its manifest, hex."""

    name: str
    digest: str
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class Release:
    """A revision and the digest of each component's tree."""

    revision: str
    components: tuple[Component, ...]
    built_at: datetime
    id: int = 0
    convicted: bool = False
    good: bool = False
    """True once a push of it became LIVE and nothing convicted it since."""

    @property
    def name(self) -> str:
        """The same on every host and in every table: `<revision, 12>-<digest, 8>`."""
        return release_name(self.revision, self.components[0].digest if self.components else "0" * 8)


def release_name(revision: str, digest: str) -> str:
    """Directory name of a component's release on a host."""
    return f"{revision[:12]}-{digest[:8]}"


def same_release(one: str, other: str) -> bool:
    """True where two words mean the same release: hosts may say its name or its revision, long or short."""
    if one == other:
        return True
    (short, long) = sorted((one, other), key=len)
    named = one.partition("-")[1] and other.partition("-")[1]
    return bool(short) and not named and long.startswith(short.partition("-")[0])
