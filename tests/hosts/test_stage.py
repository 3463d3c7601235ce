"""Copying a release to a host, when something is wrong with the copy, the host or the names."""

# ruff: noqa: PTH102, PTH103, PTH106, PTH107, PTH112, PTH114, PTH115, PTH118, PTH120, PTH123, PTH211 - paths are bytes here: a name need not be text

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from tests.hosts.conftest import make_world

from leuko.domain.errors import LeukoError
from leuko.domain.order import Result
from leuko.hosts.perform import Orders
from leuko.hosts.port import Unreachable
from leuko.releases.archives import Archives

ODD_NAMES = [
    b"with space",
    b"new\nline",
    "ünïcödé/日本".encode(),
    b"-rf",
    b"--help",
    b"invalid \xff\xfe",
    b"back\\slash",
    b"tab\t",
    b"quote'\"$(reboot)`id`",
    b"*",
    b" -> ",
    b"f 444 1 1 0123",
    b"a/d 755 x",
    b"cr\r",
    b"trailing ",
    b"%s",
    b"manifest",
    b"tree",
    b"added",
    b".hidden",
]


def write_odd(top: Path, content: bytes) -> None:
    for number, name in enumerate(ODD_NAMES):
        path = os.path.join(os.fsencode(top), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content + b"%d" % number)
    os.symlink(b"with space", os.path.join(os.fsencode(top), b"link -> x\n"))
    os.symlink(b"./new\nline", os.path.join(os.fsencode(top), b"-link//".rstrip(b"/")))
    os.mkdir(top / "empty")
    os.mkdir(top / "empty 2")


def read_odd(top: Path) -> dict[bytes, bytes]:
    found = {}
    for folder, folders, files in os.walk(os.fsencode(top)):
        for name in files + folders:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, os.fsencode(top))
            if os.path.islink(path):
                found[key] = b"-> " + os.readlink(path)
            elif os.path.isdir(path):
                found[key] = b"folder"
            else:
                with open(path, "rb") as file:
                    found[key] = file.read()
    return found


async def test_odd_names_arrive_by_full_copy_and_by_delta(world):
    one, two = world.folder / "one", world.folder / "two"
    write_odd(one, b"1")
    write_odd(two, b"1")
    (two / "with space").write_text("changed")
    os.remove(os.path.join(os.fsencode(two), b"new\nline"))
    os.remove(os.path.join(os.fsencode(two), b"-rf"))
    (two / "-rf").mkdir()
    (two / "-rf" / "file").write_text("was a file")
    os.rmdir(two / "empty")
    (two / "empty").write_text("was a folder")
    os.remove(two / "--help")
    os.symlink("-rf", two / "--help")
    first, second = await world.build_from(one, "a" * 40), await world.build_from(two, "b" * 40)
    await world.ready(first)
    outcome = await world.stage(second, first)
    assert outcome.done, outcome
    assert outcome.facts["copied"] == "delta"
    for release, source, revision in ((first, one, "a"), (second, two, "b")):
        expected = read_odd(source) | {b"REVISION": revision.encode() * 40 + b"\n"}
        assert read_odd(world.root / "releases" / release) == expected
        verified = await world.give("verify", target=release)
        assert verified.done, verified


async def test_a_changed_file_gets_another_time_even_at_the_same_size(here):
    first, second = await here.build({"a": "xx", "b": "same"}), await here.build({"a": "yy", "b": "same"})
    await here.ready(first)
    assert (await here.stage(second, first)).done
    old, new = (here.root / "releases" / name for name in (first, second))
    assert (old / "a").stat().st_mtime != (new / "a").stat().st_mtime
    assert (old / "b").stat().st_mtime == (new / "b").stat().st_mtime


async def test_staging_again_does_nothing(here):
    release = await here.build({"a": "1"})
    await here.ready(release)
    inode = (here.root / "releases" / release / "a").stat().st_ino
    again = await here.stage(release)
    assert again.done
    assert again.facts["copied"] == "nothing"
    assert (here.root / "releases" / release / "a").stat().st_ino == inode


@pytest.mark.parametrize(
    "damage",
    [
        "chmod u+w a; echo other >a; touch -d @1100000000 a",
        "rm a",
        "rm a; echo one >a",
        "rm -r folder",
        "rm .link; ln -s elsewhere .link",
    ],
)
async def test_a_base_that_others_changed_is_not_built_upon(here, damage):
    files = {"a": "one", "folder/b": "two", "c": "three"}
    source = here.folder / "with-link"
    source.mkdir()
    for name, content in files.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(content)
    (source / ".link").symlink_to("a")
    first = await here.build_from(source, "1" * 40)
    (source / "c").write_text("four")
    second = await here.build_from(source, "2" * 40)
    await here.ready(first)
    subprocess.run(["sh", "-c", damage], cwd=here.root / "releases" / first, check=True)
    outcome = await here.stage(second, first)
    assert outcome.done, outcome
    assert outcome.facts["copied"] == "full"
    assert outcome.facts["fallback"] == first
    assert (await here.give("verify", target=second)).done
    damaged = await here.give("verify", target=first)
    assert damaged.result is Result.FAILED
    assert int(damaged.facts["different"]) >= 1


async def test_a_file_that_keeps_size_and_time_is_found_by_the_full_hash(here):
    release = await here.build({"a": "one"})
    await here.ready(release)
    file = here.root / "releases" / release / "a"
    before = file.stat()
    file.chmod(0o644)
    file.write_text("two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    file.chmod(0o444)
    outcome = await here.give("verify", target=release)
    assert outcome.result is Result.FAILED
    assert "1 files missing or different, 0 too many: a" in outcome.reason


async def test_what_the_application_wrote_into_its_release_is_not_carried_on(here):
    first, second = await here.build({"a": "1"}), await here.build({"a": "2"})
    await here.ready(first)
    cache = here.root / "releases" / first / "__pycache__"
    cache.mkdir()
    (cache / "a.pyc").write_text("compiled")
    outcome = await here.stage(second, first)
    assert outcome.done, outcome
    assert (outcome.facts["copied"], outcome.facts["extra"]) == ("delta", "2")
    assert set(here.tree(second)) == {"a", "REVISION"}
    assert (cache / "a.pyc").exists()
    verified = await here.give("verify", target=first)
    assert (verified.facts["different"], verified.facts["extra"]) == ("0", "2")


async def test_linked_folders_and_files_live_in_shared(here):
    options = {"linked_dirs": ("log", "public/uploads"), "linked_files": ("config/secrets.yml",)}
    files = {"a": "1", "log/old": "in git", "config/app.yml": "x"}
    first = await here.build(files, **options)
    missing = await here.stage(first, **options)
    assert missing.result is Result.FAILED
    assert f"the linked file {here.root}/shared/config/secrets.yml is missing" in missing.reason
    (here.root / "shared/config").mkdir()
    (here.root / "shared/config/secrets.yml").write_text("key")
    staged = await here.stage(first, **options)
    assert staged.done, staged
    assert len(staged.facts["linked_files"]) == 16
    top = here.root / "releases" / first
    (top / "log/x").write_text("logged")
    (top / "public/uploads/cat").write_text("cat")
    assert (top / "config/secrets.yml").read_text() == "key"
    assert (here.root / "shared/log/x").read_text() == "logged"
    second = await here.build({**files, "a": "2"}, **options)
    delta = await here.stage(second, first, **options)
    assert delta.done, delta
    assert (delta.facts["copied"], delta.facts.get("extra")) == ("delta", None)
    assert (here.root / "releases" / second / "log/x").read_text() == "logged"
    unlinked = await here.build({**files, "a": "3"})
    third = await here.stage(unlinked, second)
    assert third.facts["copied"] == "delta", third
    assert (here.root / "releases" / unlinked / "log/old").read_text() == "in git"
    for name in (first, second, unlinked):
        assert (await here.give("verify", target=name)).done


async def test_a_path_that_is_both_in_the_release_and_linked(here):
    release = await here.build({"log/a": "1"})
    outcome = await here.stage(release, linked_dirs=("log",))
    assert outcome.reason == "log is in the release and in linked_dirs or linked_files: it can be only one"
    assert here.leftovers() == []


async def test_a_release_folder_that_is_there_already_is_not_touched(here):
    release = await here.build({"a": "1"})
    folder = here.root / "releases" / release
    folder.mkdir(parents=True)
    (folder / "mine").write_text("precious")
    outcome = await here.stage(release)
    assert outcome.reason == f"releases/{release} is there, but Leuko did not put it there: move it away"
    manifests = here.root / ".leuko/manifests" / release
    manifests.mkdir(parents=True)
    (manifests / "manifest").write_bytes(b"d 755 other\0")
    other = await here.stage(release)
    assert "is there with another manifest" in other.reason
    assert (folder / "mine").read_text() == "precious"
    assert here.leftovers() == []


async def test_a_damaged_release_is_staged_again_unless_it_is_current(here):
    release, other = await here.build({"a": "1"}), await here.build({"a": "2"})
    await here.ready(release, other)
    assert (await here.give("switch", target=release)).done
    (here.root / "releases" / release / "a").unlink()
    refused = await here.stage(release)
    assert "is current and was changed by others" in refused.reason
    assert (await here.give("switch", target=other)).done
    again = await here.stage(release)
    assert again.done, again
    assert again.facts["copied"] == "full"
    assert (await here.give("verify", target=release)).done


def reworked(payload, folder: Path, change):
    full = Path(payload.full)
    copy = folder / "reworked.tar.gz"
    copy.write_bytes(change(full.read_bytes()))
    return replace(payload, full=str(copy))


async def test_a_payload_of_another_release(here):
    release, other = await here.build({"a": "1"}), await here.build({"a": "2"})
    wrong = replace(await here.payload(release), full=(await here.payload(other)).full)
    outcome = await here.perform(here.order("stage", target=release), wrong)
    assert outcome.result is Result.FAILED
    assert f"the payload is not release {release}" in outcome.reason
    assert here.leftovers() == []
    assert not (here.root / "releases" / release).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-100],
        lambda data: data[:40] + b"x" * 20 + data[60:],
        lambda data: b"",
        lambda data: b"garbage",
    ],
)
async def test_a_damaged_archive(here, change):
    release = await here.build({"a": "1" * 1000})
    outcome = await here.perform(
        here.order("stage", target=release), reworked(await here.payload(release), here.folder, change)
    )
    assert outcome.result is Result.FAILED
    assert "could not be unpacked" in outcome.reason
    assert here.leftovers() == []


async def test_a_damaged_delta_fails_clearly(here):
    first, second = await here.build({"a": "1"}), await here.build({"a": "2"})
    await here.ready(first)
    payload = await here.payload(second, (first,))
    (here.folder / "bad").write_bytes(b"garbage")
    outcome = await here.perform(
        here.order("stage", target=second), replace(payload, deltas={first: str(here.folder / "bad")})
    )
    assert outcome.result is Result.FAILED
    assert (await here.stage(second, first)).done


async def test_a_delta_from_another_base_falls_back_to_the_whole(here):
    first, second, third = [await here.build({"a": text, "b": "same"}) for text in "123"]
    await here.ready(first)
    wrong = replace(
        await here.payload(third, (first,)),
        deltas={first: (await here.payload(third, (second,))).deltas[second]},
    )
    outcome = await here.perform(here.order("stage", target=third), wrong)
    assert outcome.done, outcome
    assert outcome.facts["copied"] in ("full", "delta")
    assert (await here.give("verify", target=third)).done


class Cut:
    """A connection that dies after so many bytes were written to one of its programs."""

    def __init__(self, connection, limit):
        self.connection, self.left, self.alive = connection, limit, True

    async def start(self, argv):
        return CutChannel(await self.connection.start(argv), self)

    async def close(self):
        await self.connection.close()


class CutChannel:
    def __init__(self, channel, cut):
        self.channel, self.cut = channel, cut

    async def write(self, data):
        if self.cut.left < len(data):
            self.cut.alive = False
            await self.channel.end_input()
            raise Unreachable("the connection was cut")
        self.cut.left -= len(data)
        await self.channel.write(data)

    async def lines(self):
        async for line in self.channel.lines():
            if not self.cut.alive:
                return
            yield line

    async def end_input(self):
        await self.channel.end_input()

    async def wait(self):
        return None

    async def errors(self):
        return b""

    async def close(self):
        await self.channel.close()


@pytest.mark.parametrize("limit", [10, 30_000, 200_000, 700_000])
async def test_a_connection_cut_in_the_middle(here, limit):
    release = await here.build({"a": os.urandom(1_000_000), "b": "small"})
    payload = await here.payload(release)
    cut = Cut(await here.source(), limit)

    async def source():
        return cut if cut.alive else await here.source()

    order = here.order("stage", target=release)
    unknown = await Orders(asks=0).perform(source, here.reach, order, payload)
    assert unknown.result is Result.UNKNOWN
    assert not (here.root / "releases" / release).exists()
    cut.alive, cut.left = True, limit
    outcome = await here.performer.perform(source, here.reach, order, payload)
    assert outcome.done, outcome
    assert (await here.give("verify", target=release)).done


async def test_progress_is_told(here):
    release = await here.build({"a": os.urandom(1_000_000)})
    seen = []
    order = here.order("stage", target=release)
    outcome = await here.performer.perform(
        here.source, here.reach, order, await here.payload(release), progress=lambda *it: seen.append(it)
    )
    assert outcome.done
    size = Path((await here.payload(release)).full).stat().st_size
    assert seen[-1] == (size, size)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) == -(-size // (128 * 1024))


@pytest.fixture
async def small_disk(tmp_path):
    """A world whose host has a disk of 4 MB."""
    made = make_world(tmp_path)
    srv = tmp_path / "srv"
    srv.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", srv], check=True)
    yield made
    subprocess.run(["umount", "-l", srv], check=True)


@pytest.mark.needs("root")
class TestFullDisk:
    async def test_it_is_seen_before_the_copy(self, small_disk):
        release = await small_disk.build({"a": os.urandom(6_000_000)})
        outcome = await small_disk.stage(release)
        assert outcome.result is Result.FAILED
        assert "no space left on web1: the payload needs" in outcome.reason
        assert small_disk.leftovers() == []

    async def test_it_is_seen_before_unpacking(self, small_disk):
        release = await small_disk.build({"a": b"0" * 6_000_000})
        outcome = await small_disk.stage(release)
        assert "no space left on web1: the release needs" in outcome.reason
        assert small_disk.leftovers() == []

    async def test_it_fills_up_during_the_copy_and_a_rollback_still_works(self, small_disk):
        first, second = await small_disk.build({"a": "1"}), await small_disk.build({"a": "2"})
        await small_disk.ready(first, second)
        assert (await small_disk.give("switch", target=second, base=first)).done
        filler = f'cat /dev/zero >"{small_disk.folder}/srv/filler" 2>/dev/null; true'
        big = await small_disk.build({"a": os.urandom(1_000_000)})
        outcome = await small_disk.stage(big, hooks={"before_stage": filler})
        assert outcome.result is Result.FAILED
        assert "no space" in outcome.reason.lower()
        assert not [path for path in (small_disk.root / "releases").iterdir() if ".tmp." in path.name]
        restored = await small_disk.give("restore", target=second, base=first, hooks={"reload": "true"})
        assert restored.done, restored
        assert small_disk.current == first


async def test_what_an_order_may_not_hold(here):
    release = await here.build({"a": "1"})
    payload = await here.payload(release)
    for fields in (
        {"target": "../evil"},
        {"target": release, "base": "a/b"},
        {"target": release, "linked_dirs": ("../x",)},
        {"target": release, "variables": {"A B": "x"}},
        {"target": release, "variables": {"A": "x\0y"}},
        {"target": release, "id": "x y"},
        {"target": release, "id": "*"},
    ):
        with pytest.raises(LeukoError):
            await here.perform(here.order("stage", **fields), payload)


async def test_thirty_hosts_staged_at_once_share_one_reading(tmp_path):
    worlds = [make_world(tmp_path / f"h{number}") for number in range(8)]
    first = worlds[0]
    release = await first.build({f"f{number}": str(number) for number in range(50)})
    payload = await first.payload(release)
    outcomes = await asyncio.gather(
        *(
            first.performer.perform(w.source, w.reach, w.order("stage", target=release), payload)
            for w in worlds
        )
    )
    assert all(outcome.done for outcome in outcomes), outcomes
    digests = {hashlib.sha256(repr(w.tree(release)).encode()).hexdigest() for w in worlds}
    assert len(digests) == 1
    assert isinstance(first.archives, Archives)


async def test_an_order_without_its_payload_or_whose_archive_is_gone(here):
    release, other = await here.build({"a": "1"}), await here.build({"a": "2"})
    without = await here.give("stage", target=release)
    assert without.result is Result.FAILED
    assert without.reason == "the payload did not come"
    payload = await here.payload(other)
    Path(payload.full).unlink()
    gone = await here.perform(here.order("stage", target=other), payload)
    assert gone.result is Result.FAILED
    assert "No such file" in gone.facts["archive"]
    Path(payload.manifest).unlink()
    assert "cannot be read here" in (await here.perform(here.order("stage", target=other), payload)).reason
    assert here.leftovers() == []
