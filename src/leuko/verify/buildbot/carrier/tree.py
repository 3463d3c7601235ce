"""The revision's tree: fetched once, checked out once for each build, kept while it is used."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import subprocess
import time
from typing import Any, Dict, Optional, Tuple

from .processes import MARK, Trouble, end_marked

KEPT_TREES = 3
KEPT_SECONDS = 600.0
GIT_SECONDS = 1800.0
GIT_SETTINGS = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "gc.autoDetach=false",
    "advice.detachedHead=false",
    "safe.directory=*",
    "protocol.ext.allow=never",
)


def git(folder: Optional[str], *arguments: str, **extra: str) -> str:
    """What git says; raises Trouble with its last line where it fails."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept.update(
        GIT_TERMINAL_PROMPT="0", GIT_LFS_SKIP_SMUDGE="1", LC_ALL="C", SSH_ASKPASS_REQUIRE="never", **extra
    )
    argv = ["git"] if folder is None else ["git", "--git-dir=" + folder]
    for setting in GIT_SETTINGS:
        argv += ["-c", setting]
    try:
        done = subprocess.run(
            [*argv, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=kept,
            timeout=GIT_SECONDS,
            check=False,
            start_new_session=True,
        )
    except FileNotFoundError:
        raise Trouble("git is not installed at this worker") from None
    except subprocess.TimeoutExpired:
        raise Trouble("git %s did not end within half an hour" % arguments[0]) from None
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        told = re.sub(r"(?<=://)[^/@\s]+@", "***@", said[-1]) if said else "it said nothing"
        raise Trouble("git %s: %s" % (arguments[0], told))
    return done.stdout.decode("utf-8", "replace").strip()


def fetched(repository: str, revision: str) -> str:
    """The mirror that has the revision; fetched where it has not."""
    mirror = os.path.abspath(
        os.path.join("mirrors", hashlib.sha256(repository.encode()).hexdigest()[:16] + ".git")
    )
    if not os.path.exists(os.path.join(mirror, "HEAD")):
        os.makedirs(mirror, exist_ok=True)
        git(mirror, "init", "-q", "--bare", mirror)
    kept = "refs/leuko/" + revision
    try:
        git(mirror, "cat-file", "-e", revision + "^{tree}")
    except Trouble:
        try:
            git(
                mirror, "fetch", "-q", "--no-tags", "--depth=1", "--", repository, "+%s:%s" % (revision, kept)
            )
        except Trouble:  # an old server only gives what a branch points at
            git(mirror, "fetch", "-q", "--no-tags", "--", repository, "+refs/heads/*:refs/heads/*")
    git(mirror, "update-ref", kept, revision)
    return mirror


def tree_of(order: Dict[str, Any]) -> Tuple[str, str]:
    """The folder of the build, with a clean checkout made for its first batch; and the digest of its tree."""
    folder = os.path.abspath(os.path.join("trees", order["folder"]))
    ready = os.path.join(folder, "ready")
    if os.path.exists(ready):
        os.utime(ready)
        with open(ready, encoding="ascii") as file:
            return folder, file.read()
    mirror = fetched(order["repository"], order["revision"])
    tree = git(mirror, "rev-parse", order["revision"] + "^{tree}")
    end_marked(MARK, folder)
    remove(folder)
    for name in ("checkout", "home", "tmp"):
        os.makedirs(os.path.join(folder, name))
    index = os.path.join(folder, "index")
    where = {"GIT_WORK_TREE": os.path.join(folder, "checkout"), "GIT_INDEX_FILE": index}
    git(mirror, "-c", "core.bare=false", "read-tree", "--reset", "-u", order["revision"], **where)
    os.unlink(index)
    with open(ready + ".new", "w", encoding="ascii") as file:
        file.write(tree)
    os.replace(ready + ".new", ready)
    return folder, tree


def tidy(keep: str) -> None:
    """Old trees go, with whatever their set-up left running."""
    ages = []
    for name in os.listdir("trees"):
        folder = os.path.abspath(os.path.join("trees", name))
        if name == keep:
            continue
        try:
            ages.append((os.stat(os.path.join(folder, "ready")).st_mtime, folder))
        except OSError:
            ages.append((0.0, folder))
    ages.sort(reverse=True)
    oldest = time.time() - KEPT_SECONDS
    for position, (used, folder) in enumerate(ages):
        if position >= KEPT_TREES or used < oldest:
            end_marked(MARK, folder)
            remove(folder)


def remove(folder: str) -> None:
    """Takes a folder away whatever its modes are."""

    def opened(_call: object, path: str, _error: object) -> None:
        with contextlib.suppress(OSError):
            os.chmod(os.path.dirname(path), 0o700)
            if os.path.isdir(path) and not os.path.islink(path):
                os.chmod(path, 0o700)

    for _ in range(64):
        if not os.path.lexists(folder):
            return
        shutil.rmtree(folder, onerror=opened)
    raise Trouble("%s cannot be removed" % folder)


def room(folder: str) -> None:
    """Raises Trouble on a full disk."""
    state = os.statvfs(folder)
    if state.f_bavail * state.f_frsize < 1 << 20 or (state.f_files and state.f_favail == 0):
        raise Trouble("no space left on the disk of " + folder)
