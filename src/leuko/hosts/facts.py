"""What a probe tells about a host."""

from __future__ import annotations

from dataclasses import dataclass

from leuko.domain.order import Outcome, Result


@dataclass(frozen=True, slots=True)
class Facts:
    """A host as it is now. `reachable` False: nothing else is known, and `reason` says why."""

    reachable: bool
    reason: str = ""
    user: str = ""
    shell: str = ""
    clock: int = 0
    """The host's own time, seconds since the epoch."""
    free_bytes: int = 0
    writable: bool = False
    missing: tuple[str, ...] = ()
    """Programs that orders need and the host lacks."""
    set_up: bool = False
    current_kind: str = "none"
    """none | release | link | folder | file; only the first two are Leuko's own."""
    current: str = ""
    """The release's name, or where a link leads."""
    releases: tuple[str, ...] = ()
    installation: str = ""
    epoch: int = 0
    sequence: int = 0
    runs: str = ""
    """What the `running` command printed."""
    under_way: tuple[str, ...] = ()
    """Orders that are being carried out."""

    @classmethod
    def of(cls, outcome: Outcome) -> Facts:
        """From a probe's outcome."""
        if outcome.result is not Result.DONE:
            return cls(False, outcome.reason)
        facts = outcome.facts
        return cls(
            True,
            user=facts.get("user", ""),
            shell=facts.get("shell", ""),
            clock=_whole(facts.get("clock", "")),
            free_bytes=_whole(facts.get("free", "")),
            writable=facts.get("writable") == "1",
            missing=_names(facts.get("missing", "")),
            set_up=facts.get("set_up") == "1",
            current_kind=facts.get("current_kind", "none"),
            current=facts.get("current", ""),
            releases=_names(facts.get("releases", "")),
            installation=facts.get("installation", ""),
            epoch=_whole(facts.get("epoch", "")),
            sequence=_whole(facts.get("sequence", "")),
            runs=facts.get("runs", ""),
            under_way=_names(facts.get("under_way", "")),
        )


def _names(text: str) -> tuple[str, ...]:
    return tuple(name for name in text.split(",") if name)


def _whole(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() else 0
