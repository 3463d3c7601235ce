from __future__ import annotations

import os
import subprocess

import pytest

from leuko.vcs.checkout import check_out, checkout
from leuko.vcs.git import GitError

ODD = ("-rf", "two\nlines", "ünï cödé", "sp ace", "deep/er/file")


@pytest.fixture
def odd(origin):
    for name in ODD:
        origin.write(name, f"content of {name}\n")
    (origin.path / os.fsdecode(b"latin-\xf6")).write_text("x")
    (origin.path / "out").symlink_to("/etc/passwd")
    (origin.path / "gone").symlink_to("nowhere")
    (origin.path / "run.sh").write_text("#!/bin/sh\n")
    (origin.path / "run.sh").chmod(0o755)
    (origin.path / ".gitattributes").write_text("*.txt export-ignore\nsub export-subst\n*.evil filter=trap\n")
    (origin.path / "kept.txt").write_text("tests need me")
    (origin.path / "a.evil").write_text("plain")
    origin.git("add", "-A")
    origin.commit("odd")
    origin.git("tag", "-a", "v1", "-m", "t")
    return origin


@pytest.mark.parametrize("history", [False, True])
async def test_the_tree_is_complete_and_clean(odd, mirror, tmp_path, history):
    head = (await mirror.fetch()).head
    async with checkout(mirror.git, head, tmp_path / "c", history=history) as found:
        for name in ODD:
            assert (found.folder / name).read_text() == f"content of {name}\n"
        assert os.path.lexists(found.folder / os.fsdecode(b"latin-\xf6"))
        assert (found.folder / "out").readlink().as_posix() == "/etc/passwd"
        assert (found.folder / "gone").is_symlink()
        assert os.access(found.folder / "run.sh", os.X_OK)
        assert not os.access(found.folder / "kept.txt", os.X_OK)
        assert (found.folder / "kept.txt").exists(), "export-ignore is for archives"
        assert (found.folder / ".git").exists() is history
        assert found.warnings == ()
        if history:
            told = subprocess.run(
                ["git", "-C", found.folder, "describe", "--dirty"], check=True, capture_output=True
            )
            assert told.stdout == b"v1\n"
            assert not list((found.folder / ".git").glob("hooks/*"))
            assert str(mirror.path).encode() not in (found.folder / ".git" / "config").read_bytes()
            assert not (found.folder / ".git" / "objects" / "info" / "alternates").exists()
    assert not (tmp_path / "c").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["origin", "state"]


async def test_an_older_revision_and_two_at_once(origin, mirror, tmp_path):
    first = origin.change("a", "1")
    second = origin.change("a", "2")
    await mirror.fetch()
    async with (
        checkout(mirror.git, first, tmp_path / "1") as old,
        checkout(mirror.git, second, tmp_path / "2") as new,
    ):
        assert (old.folder / "a").read_text() == "1"
        assert (new.folder / "a").read_text() == "2"


async def test_submodules_and_large_files_are_named(origin, mirror, tmp_path):
    head = origin.change("a")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    origin.write("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    origin.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor/lib")
    (origin.path / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    origin.git("add", ".gitattributes")
    origin.commit("odd")
    await mirror.fetch()
    found = await check_out(mirror.git, origin.head, tmp_path / "c")
    assert found.submodules == ("vendor/lib",)
    assert found.large_files == ("big.bin",)
    assert "submodules are not fetched" in found.warnings[0]
    assert "Git LFS" in found.warnings[1]


async def test_an_empty_tree(origin, mirror, tmp_path):
    origin.commit("nothing")
    await mirror.fetch()
    async with checkout(mirror.git, origin.head, tmp_path / "c") as found:
        assert list(found.folder.iterdir()) == []


async def test_a_folder_in_use_is_refused_and_an_unknown_revision_too(origin, mirror, tmp_path):
    origin.change("a")
    await mirror.fetch()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "mine").touch()
    with pytest.raises(GitError, match="empty folder"):
        await check_out(mirror.git, origin.head, tmp_path / "c")
    assert (tmp_path / "c" / "mine").exists()
    with pytest.raises(GitError):
        await check_out(mirror.git, "f" * 40, tmp_path / "d")


async def test_a_symlink_is_never_written_through(origin, mirror, tmp_path):
    """A tree made by hand: a link and a file below it, as no git would make it."""
    blob = origin.git("hash-object", "-w", "--stdin", given=b"pwned").stdout.decode().strip()
    link = origin.git("hash-object", "-w", "--stdin", given=str(tmp_path).encode()).stdout.decode().strip()
    sub = origin.git("mktree", given=f"100644 blob {blob}\tpwned\n".encode()).stdout.decode().strip()
    tree = (
        origin.git("mktree", given=f"120000 blob {link}\ta\n040000 tree {sub}\ta \n".encode())
        .stdout.decode()
        .strip()
    )
    head = origin.git("commit-tree", tree, "-m", "trap").stdout.decode().strip()
    origin.git("update-ref", "refs/heads/main", head)
    await mirror.fetch()
    await check_out(mirror.git, head, tmp_path / "c")
    assert not (tmp_path / "pwned").exists()


@pytest.mark.slow
async def test_a_big_tree(origin, mirror, tmp_path):
    for number in range(20_000):
        place = origin.path / f"d{number % 100}" / f"f{number}"
        place.parent.mkdir(exist_ok=True)
        place.write_text(str(number))
    origin.git("add", "-A")
    origin.commit("big")
    await mirror.fetch()
    async with checkout(mirror.git, origin.head, tmp_path / "c") as found:
        assert sum(1 for _ in found.folder.rglob("f*")) == 20_000
