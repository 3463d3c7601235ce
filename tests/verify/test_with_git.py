"""From a real repository to a tree to pack, as it is put together in an installation."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from leuko.config.model import Release
from leuko.config.verify import Verify
from leuko.domain.build import BuildState
from leuko.vcs.checkout import check_out
from leuko.vcs.mirror import Mirror
from leuko.verify.build import LocalVerifier

pytestmark = pytest.mark.needs("root")


def git(folder, *arguments):
    names = {
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@x",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@x",
    }
    settings = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(
        ["git", "-C", folder, *arguments], check=True, env=os.environ | names | settings, capture_output=True
    )


@pytest.fixture
def origin(place):
    folder = place / "origin"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "app.py").write_text("print('hi')\n")
    (folder / "-odd\nname é").write_text("x")
    (folder / "link").symlink_to("/etc/passwd")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    git(folder, "tag", "-a", "v1", "-m", "t")
    return folder


@pytest.mark.parametrize("history", [False, True])
async def test_a_revision_is_verified_and_built(place, origin, separate, history):
    mirror = Mirror(place / "state" / "mirror.git", str(origin), "main")
    (place / "state").mkdir(mode=0o700)
    head = (await mirror.fetch()).head

    async def write(revision, folder):
        return (await check_out(mirror.git, revision, folder, history=history)).warnings

    one = LocalVerifier(write, separate, place / "builds", place / "state", hidden=(place / "state",))
    tests = {"run": "/usr/bin/python3 app.py", "history": "git describe" if history else "! git status"}
    begun = time.monotonic()
    outcome = await one.verify("1", head, Verify(setup=("mkdir out && cp app.py out",), tests=tests))
    assert outcome.state is BuildState.PASSED, outcome
    print(f"checkout, set-up and two tests: {time.monotonic() - begun:.2f} s")
    tree = await one.release_tree(outcome, Release(build="date > out/built", path="out"))
    assert sorted(path.name for path in tree.iterdir()) == ["app.py", "built"]
    await outcome.discard()
    for path in (mirror.path / "objects").rglob("*"):
        assert path.lstat().st_uid == 0, "the mirror's objects never change hands"
    assert (await mirror.fetch()).head == head


async def test_a_repository_of_another_user_can_be_watched_by_root(place, origin, separate):
    for path in (origin, *origin.rglob("*")):
        os.chown(path, separate.uid, separate.gid, follow_symlinks=False)
    assert (await Mirror(place / "m.git", str(origin), "main").fetch()).news
    bare = place / "bare.git"
    subprocess.run(
        ["git", "-c", "safe.directory=*", "clone", "-q", "--bare", place / "m.git", bare], check=True
    )
    for path in (bare, *bare.rglob("*")):
        os.chown(path, separate.uid, separate.gid, follow_symlinks=False)
    assert (await Mirror(place / "m2.git", str(bare), "main").fetch()).news
    assert (await Mirror(place / "m3.git", f"file://{bare}", "main").fetch()).news
