"""Archives: by content, all or nothing, deltas made once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from leuko.config.model import Release as ReleaseOptions
from leuko.domain.errors import LeukoError
from leuko.domain.release import Component, release_name
from leuko.releases.archives import Archives
from leuko.releases.manifest import Manifest
from leuko.releases.packing import pack_full
from leuko.releases.tree import build_tree

OPTIONS = ReleaseOptions()


def folder(path: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def inside(archive: str | Path) -> list[str]:
    with tarfile.open(archive) as opened:
        return sorted(opened.getnames())


def name(component: Component, revision: str) -> str:
    return release_name(revision, component.digest)


@pytest.fixture
def archives(tmp_path):
    return Archives(tmp_path / "archives")


async def test_a_build_is_archived_under_its_digest(archives, tmp_path):
    component = await archives.build(folder(tmp_path / "s", a="1", b="22"), OPTIONS, "r1", component="shop")
    assert (component.name, component.files, component.bytes) == ("shop", 3, 6)
    home = archives.path(component.digest)
    assert sorted(path.name for path in home.iterdir()) == ["full.tar.gz", "manifest"]
    assert Manifest.parse((home / "manifest").read_bytes()).digest == component.digest
    assert inside(home / "full.tar.gz") == ["manifest", "tree/REVISION", "tree/a", "tree/b"]
    before = (home / "full.tar.gz").stat().st_mtime_ns
    assert await archives.build(tmp_path / "s", OPTIONS, "r1", component="shop") == component
    assert (home / "full.tar.gz").stat().st_mtime_ns == before


async def test_the_archive_is_the_same_bytes_wherever_it_was_built(archives, tmp_path):
    one = await archives.build(folder(tmp_path / "s", a="1"), OPTIONS, "r1")
    other = Archives(tmp_path / "other")
    two = await other.build(folder(tmp_path / "elsewhere", a="1"), OPTIONS, "r1")
    files = [which.path(it.digest) / "full.tar.gz" for which, it in ((archives, one), (other, two))]
    assert files[0].read_bytes() == files[1].read_bytes()


async def test_options_choose_what_is_archived(archives, tmp_path):
    folder(tmp_path / "s", **{"out/a": "1", "out/b.log": "x", "out/log/x": "x", "outside": "x"})
    options = ReleaseOptions(path="out", exclude=("*.log",), linked_dirs=("log",))
    component = await archives.build(tmp_path / "s", options, "r1")
    assert inside(archives.path(component.digest) / "full.tar.gz") == ["manifest", "tree/REVISION", "tree/a"]
    with pytest.raises(LeukoError, match="leads out of the checkout"):
        await archives.build(tmp_path / "s", ReleaseOptions(path="../x"), "r1")


async def test_a_delta_holds_what_changed_and_is_made_once(archives, tmp_path):
    one = await archives.build(folder(tmp_path / "1", a="1", b="same" * 9999, gone="x"), OPTIONS, "r1")
    two = await archives.build(folder(tmp_path / "2", a="2", b="same" * 9999, new="x"), OPTIONS, "r2")
    base, target = name(one, "r1"), name(two, "r2")
    payloads = await asyncio.gather(
        *(archives.payload(two, target, [base, "unknown-00000000", target]) for _ in range(5))
    )
    assert len({tuple(payload.deltas.items()) for payload in payloads}) == 1
    (delta,) = payloads[0].deltas.values()
    assert inside(delta) == ["added", "removed", "tree/REVISION", "tree/a", "tree/new"]
    assert await archives.size(two, target, base) == Path(delta).stat().st_size
    assert await archives.size(two, target) == Path(payloads[0].full).stat().st_size
    before = Path(delta).stat().st_mtime_ns
    await archives.payload(two, target, [base])
    assert Path(delta).stat().st_mtime_ns == before


async def test_an_archive_that_is_gone(archives, tmp_path):
    component = await archives.build(folder(tmp_path / "s", a="1"), OPTIONS, "r1")
    (archives.path(component.digest) / "full.tar.gz").unlink()
    with pytest.raises(LeukoError) as caught:
        await archives.payload(component, name(component, "r1"))
    assert "is gone" in str(caught.value)
    assert caught.value.way_out == "build r1 again: push its revision"


async def test_expiry(archives, tmp_path):
    components = [
        await archives.build(folder(tmp_path / str(number), a=str(number)), OPTIONS, "r")
        for number in range(3)
    ]
    one, two, three = components
    payload = await archives.payload(three, name(three, "r"), [name(one, "r"), name(two, "r")])
    assert len(payload.deltas) == 2
    (tmp_path / "archives" / ".new-1-1").mkdir()
    assert await archives.expire({two.digest, three.digest}) == [one.digest]
    left = sorted(path.name for path in (tmp_path / "archives").iterdir())
    assert left == sorted([two.digest, three.digest])
    assert [path.name for path in archives.path(three.digest).glob("from-*")] == [f"from-{two.digest}.tar.gz"]
    assert await archives.build(tmp_path / "0", OPTIONS, "r") == one


async def test_a_file_that_changes_while_it_is_packed(tmp_path):
    source = folder(tmp_path / "s", a="1" * 100)
    tree = build_tree(source, revision="r")
    for content in ("2" * 100, "1" * 99, "1" * 101):
        (source / "a").write_text(content)
        with pytest.raises(LeukoError, match="a: the file changed while it was being packed"):
            pack_full(tree, tmp_path / "full")


async def test_two_builds_of_one_tree_at_once(archives, tmp_path):
    folder(tmp_path / "s", **{f"f{number}": str(number) for number in range(200)})
    components = await asyncio.gather(*(archives.build(tmp_path / "s", OPTIONS, "r") for _ in range(4)))
    assert len(set(components)) == 1
    assert [path.name for path in (tmp_path / "archives").iterdir()] == [components[0].digest]


@pytest.mark.needs("root")
async def test_a_full_disk_leaves_nothing_half(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
    try:
        archives = Archives(disk / "archives")
        small = await archives.build(folder(tmp_path / "small", a="1"), OPTIONS, "r")
        big = folder(tmp_path / "big", a=os.urandom(3_000_000))
        with pytest.raises(LeukoError) as caught:
            await archives.build(big, OPTIONS, "r")
        assert "no space is left for the release's archive" in str(caught.value)
        assert [path.name for path in (disk / "archives").iterdir()] == [small.digest]
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.slow
async def test_two_gigabytes(archives, tmp_path):
    with (folder(tmp_path / "s", a="1") / "big").open("wb") as file:
        file.truncate(2 << 30)
    component = await archives.build(tmp_path / "s", OPTIONS, "r")
    assert component.bytes > 2 << 30
    assert await archives.size(component, name(component, "r")) < 64 << 20
