"""Leuko's side of a git server: asks the lock file before a push, wakes the controller after it.

Stands alone: copied into the repository's hooks, run by whatever python3 (3.8 or newer) is there, standard
library only. Its own trouble never stops a push: then it warns and lets in. It answers within two seconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import re
import secrets
import signal
import socket
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

ZEROS = re.compile("^0+$")
TRAILER = re.compile(r"^([A-Za-z][A-Za-z-]*):[ \t]*(\S.*)$")
REVERTS = re.compile(r"^This reverts commit ([0-9a-f]{7,64})", re.MULTILINE)
LIMIT = 1.8
STALE = 600.0
MOST_COMMITS = 5000

IDENTITIES = ("LEUKO_USER", "GL_USERNAME", "GL_USER", "GITEA_PUSHER_NAME", "REMOTE_USER")
"""Set by what authenticated the pusher: a forced command, GitLab, gitolite, Gitea, the web server."""


class Unsure(Exception):  # noqa: N818 - it is a state of knowledge, told to the pusher as a warning
    """The lock could not be judged."""


def say(*lines: str) -> None:
    for line in lines:
        clean = "".join(char if char.isprintable() else "?" for char in line)
        sys.stderr.write(clean.encode("utf-8", "replace").decode("utf-8") + "\n")


def now() -> datetime:
    return datetime.now(timezone.utc)  # noqa: TID251,UP017 - stands alone, and older Pythons have no UTC


def moment(value: object) -> datetime:
    at = datetime.fromisoformat(str(value))
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)  # noqa: UP017 - as above


def settings() -> dict[str, str]:
    found = json.loads((Path(__file__).parent / "leuko.json").read_text(encoding="utf-8"))
    return {key: str(value) for key, value in found.items() if value}


def read_lock_file(path: Path) -> dict[str, object]:
    """The lock file, or Unsure."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        written = moment(found["written_at"])
        locks = found["locks"]
    except FileNotFoundError:
        raise Unsure("there is no lock file: is the controller running?") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Unsure("the lock file cannot be read ({}: {})".format(type(error).__name__, error)) from None  # noqa: UP032 - reads better with two names of errors
    if not isinstance(locks, list) or not all(isinstance(lock, dict) for lock in locks):
        raise Unsure("the lock file cannot be read: `locks` is not a list of locks")
    age = (now() - written).total_seconds()
    if abs(age) > STALE:
        raise Unsure("the lock file is {:.0f} minutes old: is the controller running?".format(age / 60))  # noqa: UP032 - as above
    return dict(found)


def held(lock: dict[str, object]) -> bool:
    expires = lock.get("expires_at")
    try:
        return not expires or now() < moment(expires)
    except ValueError:
        return True


def messages(old: str, new: str) -> list[str]:
    """Messages of the commits that the push brings."""
    which = ["--max-count=200", new] if ZEROS.match(old) else [new, "^" + old]
    argv = ["git", "log", "-z", "--format=tformat:%B", f"--max-count={MOST_COMMITS}", *which, "--"]
    answer = subprocess.run(argv, capture_output=True, check=False)
    if answer.returncode != 0:
        raise Unsure("the pushed commits cannot be read: " + answer.stderr.decode("utf-8", "replace").strip())
    return [item.decode("utf-8", "replace") for item in answer.stdout.split(b"\0") if item]


def trailers(texts: list[str], key: str) -> list[str]:
    found = []
    for text in texts:
        for line in text.splitlines()[1:]:
            match = TRAILER.match(line.strip())
            if match and match.group(1).lower() == key.lower():
                found.append(match.group(2).strip())
    return found


def identity() -> tuple[str, str]:
    """Who pushes, and how we know.

    The variables are believed only where the hook runs as the repository's owner (a shared `git` account):
    who can set them there could as well edit this file. Otherwise the account itself is who it is.
    """
    account = os.geteuid()
    if Path(__file__).stat().st_uid == account:
        for name in IDENTITIES:
            if os.environ.get(name):
                return os.environ[name], name
    try:
        return pwd.getpwuid(account).pw_name, "the account"
    except KeyError:
        return str(account), "the account"


def mended(lock: dict[str, object], texts: list[str]) -> bool:
    """True where the push names the lock as fixed, or takes back all that it blocks."""
    same = lock.get("same_rollback")
    names = {str(lock.get("id")), *(str(each) for each in (same if isinstance(same, list) else ()))}
    if names & set(trailers(texts, "Leuko-Fix")):
        return True
    blocks = lock.get("blocks")
    reverts = [short for text in texts for short in REVERTS.findall(text)]
    if not isinstance(blocks, list) or not blocks:
        return False
    return all(any(str(block).startswith(short) for short in reverts) for block in blocks)


def show(lock: dict[str, object]) -> None:
    say(
        "",
        "  lock:   {} ({})".format(lock.get("id"), lock.get("severity")),
        "  by:     {}".format(lock.get("owner")),
        "  since:  {}".format(str(lock.get("since")).replace("T", " ").replace("+00:00", " UTC")),
        "  why:    {}".format(lock.get("reason")),
    )


def record(folder: Path, entry: dict[str, object]) -> None:
    """One line, written at once and synced: an override that is not recorded does not count."""
    line = json.dumps(entry, ensure_ascii=True) + "\n"
    target = os.open(
        str(folder / "leuko-overrides.jsonl"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW, 0o664
    )
    try:
        os.write(target, line.encode("ascii"))
        os.fsync(target)
    finally:
        os.close(target)


def overridden(state: dict[str, object], locks: list[dict[str, object]], texts: list[str],
               update: tuple[str, str, str], folder: Path) -> bool:  # fmt: skip
    reasons = trailers(texts, "Leuko-Override")
    if not reasons:
        return False
    who, how = identity()
    allowed = state.get("override")
    if not isinstance(allowed, list) or who not in allowed:
        say(f"leuko: Leuko-Override does not count from {who} (known by {how})")
        return False
    entry: dict[str, object] = {
        "id": secrets.token_hex(8), "at": now().isoformat(), "identity": who, "known_by": how,
        "reason": reasons[0], "locks": [str(lock.get("id")) for lock in locks],
        "branch": update[2], "old": update[0], "new": update[1],
    }  # fmt: skip
    try:
        record(folder, entry)
    except OSError as error:
        say(f"leuko: the override cannot be recorded ({error}), so it does not count")
        return False
    say(f"leuko: the commit lock is overridden by {who}, recorded: {reasons[0]}")
    return True


def judge(state: dict[str, object], old: str, new: str, branch: str, folder: Path) -> bool:
    """True lets the update in."""
    listed = state["locks"]
    assert isinstance(listed, list)
    locks = [lock for lock in listed if held(lock)]
    hard = [lock for lock in locks if lock.get("severity") == "hard"]
    texts = messages(old, new) if hard and not ZEROS.match(new) else []
    closed = [lock for lock in hard if not mended(lock, texts)]
    if closed and not overridden(state, closed, texts, (old, new, branch), folder):
        refuse(branch, closed)
        return False
    for lock in locks:
        if lock not in hard:
            say(f"leuko: {branch} has a commit lock that warns; the push goes in")
            show(lock)
    return True


def refuse(branch: str, closed: list[dict[str, object]]) -> None:
    say("", f"leuko: {branch} is locked: nothing was pushed")
    for lock in closed:
        show(lock)
    reverts = (
        ["  So does `git revert` of what was rolled back."] if any(x.get("blocks") for x in closed) else []
    )
    say(
        "",
        "  A fix gets in when one of its commits says which lock it is for, in a line at its message's end:",
        *(f"      Leuko-Fix: {lock.get('id')}" for lock in closed),
        *reverts,
        "  Who is allowed to may write instead:",
        "      Leuko-Override: <reason>",
        "  Other branches are open.",
        "",
    )


def pre_receive(updates: list[list[str]]) -> int:
    found = settings()
    path = Path(found["lock_file"])
    branch = found.get("branch", "main")
    try:
        state = read_lock_file(path)
        branch = str(state.get("branch") or branch)
        wanted = [update for update in updates if update[2] == f"refs/heads/{branch}"]
        let_in = [judge(state, old, new, branch, path.parent) for old, new, _ in wanted]
    except Unsure as error:
        if any(update[2] == f"refs/heads/{branch}" for update in updates):
            say(f"leuko: the commit lock was not looked at, the push goes in: {error}")
        return 0
    return 0 if all(let_in) else 1


def post_receive(updates: list[list[str]]) -> int:
    """Tells the controller: by touching a file that it looks at, and over its socket where we may."""
    found = settings()
    if not updates:
        return 0
    with contextlib.suppress(OSError):
        (Path(found["lock_file"]).parent / "leuko-poke").touch()
    if found.get("socket"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(0.5)
            line.connect(found["socket"])
            request = "POST {} HTTP/1.1\r\nHost: leuko\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            line.sendall(request.format(found.get("poke", "/api/poke")).encode("ascii"))
            line.recv(64)
    return 0


def out_of_time(_number: int, _frame: object) -> None:
    raise Unsure("it took too long")


def main() -> int:
    signal.signal(signal.SIGALRM, out_of_time)
    updates = [line.split(" ", 2) for line in sys.stdin.read().splitlines() if line.count(" ") >= 2]
    signal.setitimer(signal.ITIMER_REAL, LIMIT if sys.argv[1] == "pre-receive" else 1.0)
    try:
        return pre_receive(updates) if sys.argv[1] == "pre-receive" else post_receive(updates)
    except Unsure as error:
        say(f"leuko: the commit lock was not looked at, the push goes in: {error}")
    except Exception as error:  # noqa: BLE001 - whatever is wrong with this hook, a push does not pay for it
        say(f"leuko: the hook is broken, the push goes in: {type(error).__name__}: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
