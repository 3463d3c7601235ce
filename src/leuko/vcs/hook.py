"""The commit lock at the git server: putting the hooks in, writing the lock file, picking up overrides."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from leuko.domain.lock import Lock, LockKind
from leuko.vcs.git import Git, GitError, printable, text

LOCK_FILE = "leuko-lock.json"
OVERRIDES = "leuko-overrides.jsonl"
POKE = "leuko-poke"
FORMAT = 1
_OURS = "# Installed by leuko"
_NAMES = ("pre-receive", "post-receive")
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Override:
    """A push that a hard lock was overridden for. `identity` is the git server's word, not the author's."""

    id: str
    at: datetime
    identity: str
    known_by: str
    reason: str
    locks: tuple[str, ...]
    branch: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Overrides:
    """What was read. `next` is where to read on; `damaged` are lines that make no sense, for the log."""

    entries: tuple[Override, ...]
    next: int
    damaged: tuple[str, ...] = ()


async def install(
    repository: Path, lock_file: Path, branch: str, socket: Path | None = None, poke: str = "/api/poke"
) -> tuple[str, ...]:
    """Puts both hooks into a bare repository; hooks that were there are kept and called first.

    Installing again renews. Returns sentences about what was done.
    """
    hooks = await hooks_folder(repository)
    hooks.mkdir(exist_ok=True)
    said = []
    for name in _NAMES:
        place, before = hooks / name, hooks / f"{name}.before-leuko"
        if place.exists() and not _is_ours(place):
            if before.exists():
                raise GitError(
                    f"both {name} and {before.name} are somebody else's",
                    where=str(hooks),
                    way_out="merge the two by hand into one of them, then install again",
                    code="V041",
                )
            place.rename(before)
            said.append(f"the {name} hook that was there is now {before.name}, and is asked first")
    known = {"lock_file": str(lock_file), "branch": branch, "socket": str(socket or ""), "poke": poke}
    _write(hooks / "leuko.json", json.dumps(known, indent=2) + "\n", 0o644)
    package = files("leuko.vcs") / "hooks"
    _write(hooks / "leuko_hook.py", (package / "leuko_hook.py").read_text(encoding="utf-8"), 0o644)
    for name in _NAMES:
        _write(hooks / name, (package / name).read_text(encoding="utf-8"), 0o755)
        said.append(f"{name} is in place")
    return tuple(said)


async def remove(repository: Path) -> None:
    """Takes our hooks out and puts back those that were there before."""
    hooks = await hooks_folder(repository)
    for name in _NAMES:
        place, before = hooks / name, hooks / f"{name}.before-leuko"
        if place.exists() and _is_ours(place):
            place.unlink()
        if before.exists() and not place.exists():
            before.rename(place)
    for name in ("leuko.json", "leuko_hook.py"):
        (hooks / name).unlink(missing_ok=True)


async def hooks_folder(repository: Path) -> Path:
    """Where the repository's hooks are; refused when it is no bare repository."""
    where = str(repository)
    answer = await Git(repository).run("rev-parse", "--is-bare-repository")
    if answer.code != 0:
        raise GitError(
            "is not a git repository", where=where, way_out="name the bare repository's folder", code="V040"
        )
    if text(answer.out).strip() != "true":
        raise GitError(
            "is a working copy; people push to a bare repository",
            where=where,
            way_out="name the bare one: on most servers its name ends in .git",
            code="V040",
        )
    local = await Git(repository).run("config", "--local", "--get", "core.hooksPath")
    place = text(local.out).strip()
    return repository / (place or "hooks")


def write_lock_file(
    path: Path, locks: Iterable[Lock], now: datetime, *, branch: str = "main", override: Sequence[str] = ()
) -> None:
    """Writes what the hook goes by, atomically. Call it at every change of a lock and every few minutes:
    the hook does not believe a file older than ten.
    """
    held = [lock for lock in locks if lock.held(now)]
    state = {
        "format": FORMAT,
        "written_at": now.isoformat(),
        "branch": branch,
        "override": list(override),
        "locks": [_entry(lock, held) for lock in held if lock.kind is LockKind.COMMIT],
    }
    _write(path, json.dumps(state, indent=2, ensure_ascii=True) + "\n", 0o644)


def read_overrides(lock_file: Path, after: int = 0) -> Overrides:
    """Overrides recorded beside the lock file, from byte `after` on.

    Keep `next` with what you stored of them; ids tell repeats apart should the two get out of step.
    """
    path = lock_file.with_name(OVERRIDES)
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            start = after if after <= size else 0  # somebody began a new file
            file.seek(start)
            data = file.read(_MOST)
    except FileNotFoundError:
        return Overrides((), 0)
    whole = data.rfind(b"\n") + 1
    if not whole and len(data) == _MOST:
        return Overrides((), start + _MOST, ("a line over 1 MiB",))
    entries, damaged = [], []
    for line in data[:whole].splitlines():
        try:
            entries.append(_override(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError):
            damaged.append(printable(text(line))[:200])
    return Overrides(tuple(entries), start + whole, tuple(damaged))


def poked_at(lock_file: Path) -> int:
    """Changes whenever a push came in: compare it with what it was. 0 before the first."""
    try:
        return lock_file.with_name(POKE).stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _override(found: dict[str, object]) -> Override:
    locks = found["locks"]
    if not isinstance(locks, list):
        raise TypeError("locks")
    words = {
        name: printable(str(found[name]))
        for name in ("id", "identity", "known_by", "reason", "branch", "old", "new")
    }
    return Override(
        at=datetime.fromisoformat(str(found["at"])), locks=tuple(str(lock) for lock in locks), **words
    )


def _entry(lock: Lock, held: Iterable[Lock]) -> dict[str, object]:
    """A rollback takes a push lock beside the commit lock: a fix may name either."""
    same = [other.id for other in held if lock.push is not None and other.push == lock.push]
    return {
        "id": lock.id,
        "same_rollback": same,
        "severity": lock.severity.value,
        "owner": lock.owner,
        "reason": lock.reason,
        "since": lock.since.isoformat(timespec="seconds"),
        "expires_at": lock.expires_at.isoformat() if lock.expires_at else None,
        "blocks": list(lock.blocks),
    }


def _is_ours(place: Path) -> bool:
    with place.open("rb") as file:
        return _OURS.encode() in file.read(200)


def _write(path: Path, content: str, mode: int) -> None:
    """Through a new file of an unguessable name: the folder may belong to another user."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
