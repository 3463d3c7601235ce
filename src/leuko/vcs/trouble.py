"""Telling apart what can go wrong with the repository and with the mirror, from what git says."""

from __future__ import annotations

from pathlib import Path

from leuko.vcs.git import Answer, GitError, failure, mask_address

_UNREACHABLE = (
    "could not resolve host",
    "connection refused",
    "connection timed out",
    "connection reset",
    "connection closed",
    "network is unreachable",
    "no route to host",
    "operation timed out",
    "failed to connect",
    "couldn't connect",
    "unable to access",
    "early eof",
    "the remote end hung up",
)
_DENIED = (
    "permission denied",
    "authentication failed",
    "could not read username",
    "could not read password",
    "host key verification failed",
    "terminal prompts disabled",
    "http basic: access denied",
)
_ABSENT = ("does not appear to be a git repository", "not a git repository", "does not exist", "not found")
_CORRUPT = (
    "bad object",
    "corrupt",
    "unable to read",
    "missing blob",
    "missing tree",
    "missing commit",
    "bad config line",
    "object file",
    "broken link",
    "unresolved deltas",
    "invalid sha1 pointer",
)


class OriginUnreachableError(GitError):
    """The repository's server did not answer, or the way to it is broken. Try again later."""


class OriginDeniedError(GitError):
    """The repository's server answered and would not let us in."""


class NotARepositoryError(GitError):
    """There is something else, or nothing, where the repository should be."""


class BranchMissingError(GitError):
    """The repository is there and the branch is not."""


class MirrorCorruptError(GitError):
    """The mirror on the controller's disk cannot be read any more."""


class UnknownRevisionError(GitError):
    """A name that stands for no commit, or for more than one."""


def looks_corrupt(answer: Answer) -> bool:
    """True where git complains about the repository it was started in."""
    said = answer.error.lower()
    return any(sign in said for sign in (*_CORRUPT, "not a git repository"))


def corrupt(answer: Answer, mirror: Path) -> MirrorCorruptError:
    """The mirror cannot be read."""
    said = answer.error.splitlines()
    return MirrorCorruptError(
        f"the mirror is damaged: {said[-1] if said else 'git cannot read it'}",
        where=str(mirror),
        way_out="check the disk, move the folder away and start again: it is fetched anew",
        code="V013",
    )


def fetch_trouble(answer: Answer, origin: str, mirror: Path) -> GitError:
    """Why a fetch failed."""
    said, where = answer.error.lower(), mask_address(origin)
    lines = [line for line in answer.error.splitlines() if line.strip()]
    first = lines[0] if lines else f"git ended with {answer.code} and said nothing"

    def has(signs: tuple[str, ...]) -> bool:
        return any(sign in said for sign in signs)

    if "dubious ownership" in said:
        return OriginDeniedError(
            first,
            where=where,
            way_out="the repository belongs to somebody else; let the controller's user own it",
            code="V014",
        )
    if has(_DENIED):
        return OriginDeniedError(
            f"the repository's server refused us: {first}",
            where=where,
            way_out="check the key or token that the controller's user has for it",
            code="V015",
        )
    if has(_ABSENT) and not has(("could not resolve host",)):
        return NotARepositoryError(
            f"is not a git repository: {first}",
            where=where,
            way_out="set `repository:` in leuko.yml to a path or address that `git fetch` accepts",
            code="V017",
        )
    if has(_UNREACHABLE):
        return OriginUnreachableError(
            f"the repository cannot be reached: {first}",
            where=where,
            way_out="it is tried again at the next poll",
            code="V016",
        )
    if has(_CORRUPT):
        return corrupt(answer, mirror)
    return failure("fetch", answer, mirror)
