"""What can be wrong with a farm, so said that somebody can mend it."""

from __future__ import annotations

from leuko.domain.errors import LeukoError

SHAPELESS = (KeyError, TypeError, IndexError, ValueError, AttributeError)
"""What reading an answer ends with that has another shape: a master of another version."""


class FarmError(LeukoError):
    """The farm cannot be used, or not as it is."""

    exit_code = 5


class FarmUnreachableError(FarmError):
    """Nobody answers at the master's address, or what answers is on its way down."""

    exit_code = 6


def unreachable(url: str, reason: str) -> FarmUnreachableError:
    """Of the master itself."""
    return FarmUnreachableError(
        f"the Buildbot master does not answer: {reason}",
        where=url,
        way_out="is it running (`leuko farm up`, `buildbot start`), and is `farm.url` its address?",
        code="F001",
    )


def not_let_in(url: str, user: str) -> FarmError:
    """A wrong name or password."""
    return FarmError(
        f"the master does not let {user or 'anybody'!r} in: wrong user or password",
        where=url,
        way_out="`farm.user` and `farm.password` should be those of its master.cfg; "
        "`leuko farm init` wrote them to master/secrets/web-password",
        code="F002",
    )


def forbidden(url: str, what: str, said: str) -> FarmError:
    """Somebody who is let in and may not do it."""
    return FarmError(
        f"the master forbids {what}: {said}",
        where=url,
        way_out="the user of `farm.user` needs the role that master.cfg asks for in `authz`",
        code="F003",
    )


def no_builder(url: str, name: str, known: list[str]) -> FarmError:
    """A master that is not set up for Leuko, or under another name."""
    has = ", ".join(known[:8]) or "none"
    return FarmError(
        f"the master has no builder {name!r}; it has: {has}",
        where=url,
        way_out="copy builder and scheduler from a master.cfg that `leuko farm init` wrote, or name "
        "yours as `farm.builder`",
        code="F004",
    )


def unexpected(url: str, what: str, said: str) -> FarmError:
    """An answer that is none."""
    return FarmError(
        f"the master answered {what} with: {said[:300]}",
        where=url,
        way_out="is it a Buildbot 4 master? `leuko farm check` tells its version; its own log is twistd.log",
        code="F005",
    )
