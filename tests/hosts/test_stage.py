"""Copying a release to a host, when something is wrong with the copy, the host or the names."""

# ruff: noqa: PTH102, PTH103, PTH106, PTH107, PTH112, PTH114, PTH115, PTH118, PTH120, PTH123, PTH211 - paths are bytes here: a name need not be text

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
from pathlib import Path

import pytest
from tests.hosts.conftest import make_world

from leuko.domain.errors import LeukoError
from leuko.domain.order import Result
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
