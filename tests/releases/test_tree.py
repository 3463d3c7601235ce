"""Trees read into manifests: the same everywhere, and nothing in them that a host could not hold."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leuko.domain.errors import LeukoError
from leuko.domain.patterns import Patterns
from leuko.releases.manifest import Entry, Manifest, content_time, path_of
from leuko.releases.tree import build_tree

REVISION = "a" * 40


def tree(path, **options):
    return build_tree(path, revision=REVISION, **options)


@pytest.fixture
def source(tmp_path):
    top = tmp_path / "source"
    (top / "lib").mkdir(parents=True)
    (top / "empty").mkdir()
    (top / "app").write_text("app")
    (top / "lib/run").write_text("run")
    (top / "lib/run").chmod(0o755)
    (top / "lib/link").symlink_to("../app")
    (top / ".git").mkdir()
    (top / ".git/config").write_text("x")
    return top


def paths(manifest):
    return [path_of(record) for record in manifest.records]


def test_what_a_manifest_says(source):
    manifest = tree(source).manifest
    assert sorted(paths(manifest)) == [b"REVISION", b"app", b"empty", b"lib", b"lib/link", b"lib/run"]
    record = next(record for record in manifest.records if record.endswith(b" lib/run")).decode()
    kind, mode, size, mtime, digest, path = record.split(" ")
    assert (kind, mode, size, path) == ("f", "555", "3", "lib/run")
    assert int(mtime) == content_time(digest)
    assert b"l lib/link//../app" in manifest.records
    assert b"d 755 empty" in manifest.records
    assert (manifest.files, manifest.bytes) == (3, 3 + 3 + 41)
    assert Manifest.parse(manifest.text) == manifest


def test_the_digest_follows_from_content_alone(source, tmp_path):
    first = tree(source).manifest.digest
    other = tmp_path / "copied elsewhere"
    shutil.copytree(source, other, symlinks=True)
    for path in other.rglob("*"):
        if not path.is_symlink():
            os.utime(path, (1, 1))
            path.chmod(path.stat().st_mode & ~0o022 | 0o200)
    (other / ".git/more").write_text("not of the tree")
    assert tree(other).manifest.digest == first
    assert build_tree(source, revision="b" * 40).manifest.digest != first
    for change in (
        lambda: (other / "app").write_text("apq"),
        lambda: (other / "lib/run").chmod(0o644),
        (other / "new").mkdir,
    ):
        before = tree(other).manifest.digest
        change()
        assert tree(other).manifest.digest != before


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "lib/../../outside", "../source/app", "/"])
def test_a_link_out_of_the_tree_is_refused(source, target):
    (source / "bad").symlink_to(target)
    with pytest.raises(LeukoError) as caught:
        tree(source)
    assert str(caught.value).startswith(f"bad: symbolic link points out of the tree, to {target}:")
    assert "release.exclude" in caught.value.way_out


def test_a_link_that_leaves_through_another_link_is_refused(source):
    (source / "p/q").mkdir(parents=True)
    (source / "p/q/up").symlink_to("../..")
    (source / "p/q/out").symlink_to("up/../x")
    with pytest.raises(LeukoError, match="p/q/out"):
        tree(source)


def test_links_within_the_tree_are_kept_dangling_or_in_circles(source):
    (source / "dangling").symlink_to("lib/nothing")
    (source / "one").symlink_to("two")
    (source / "two").symlink_to("one")
    (source / "self").symlink_to(".")
    assert {b"dangling", b"one", b"two", b"self"} <= set(paths(tree(source).manifest))


def test_pipes_sockets_and_devices_are_refused(source):
    os.mkfifo(source / "pipe")
    with pytest.raises(LeukoError, match="pipe: a named pipe cannot be released"):
        tree(source)
    (source / "pipe").unlink()
    where = os.getcwd()  # noqa: PTH109 - a socket's path may not be long
    os.chdir(source)
    try:
        listening = socket.socket(socket.AF_UNIX)
        listening.bind("sock")
        listening.close()
    finally:
        os.chdir(where)
    with pytest.raises(LeukoError, match="sock: a socket cannot be released"):
        tree(source)
    assert tree(source, exclude=("sock",)).manifest.files == 3


def test_linked_paths_are_not_part_of_the_tree_but_their_folders_are(source):
    (source / "log").mkdir()
    (source / "log/x").write_text("x")
    manifest = tree(source, linked=("log", "public/a/uploads", "/lib/run/")).manifest
    assert {b"public", b"public/a"} <= set(paths(manifest))
    assert not {b"log", b"log/x", b"lib/run"} & set(paths(manifest))
    for bad in ("../x", "", "/", "a//b", "a/./b"):
        with pytest.raises(LeukoError, match="linked path"):
            tree(source, linked=(bad,))


def test_a_missing_folder(tmp_path):
    with pytest.raises(LeukoError, match="does not exist"):
        tree(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("pattern", "matches", "leaves"),
    [
        ("*.log", [b"a.log", b"x/y/a.log", b".log"], [b"a.logs", b"a.log/x"]),
        ("tmp/*.log", [b"tmp/a.log"], [b"x/tmp/a.log", b"tmp/x/a.log"]),
        ("/tmp", [b"tmp"], [b"x/tmp"]),
        ("node_modules/", [b"node_modules", b"x/node_modules"], [b"node_modules2"]),
        ("a/**", [b"a/b", b"a/b/c"], [b"a", b"ab"]),
        ("**/test", [b"test", b"x/y/test"], [b"xtest"]),
        ("a/**/z", [b"a/z", b"a/b/c/z"], [b"az"]),
        ("f?o[0-9]", [b"foo1", b"x/f.o2"], [b"f/o1", b"foo"]),
        ("x[!a]", [b"xb"], [b"xa", b"x"]),
        ("a+(b).c", [b"a+(b).c"], [b"aab.c"]),
        ("ünï", ["ünï".encode()], [b"uni"]),
    ],
)
def test_patterns(pattern, matches, leaves):
    patterns = Patterns([pattern, ""])
    assert [path for path in matches if not patterns.match(path)] == []
    assert [path for path in leaves if patterns.match(path)] == []


NAMES = st.binary(min_size=1, max_size=20).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)


@given(
    st.lists(NAMES, min_size=1, max_size=4).map(b"/".join),
    st.binary(max_size=20).filter(lambda it: b"\0" not in it),
)
@settings(max_examples=300, deadline=None)
def test_every_path_comes_back_out_of_its_record(path, target):
    digest = "0" * 64
    for entry in (
        Entry(path, "f", 0o444, 5, digest),
        Entry(path, "d", 0o755),
        Entry(path, "l", target=target),
    ):
        manifest = Manifest.of([entry])
        assert paths(Manifest.parse(manifest.text)) == [path]


def test_records_are_sorted_as_sort_does(tmp_path):
    entries = [
        Entry(bytes([first, second]), "d", 0o755)
        for first in (1, 32, 47 - 1, 127, 200, 255)
        for second in (9, 100, 254)
    ]
    manifest = Manifest.of(
        [*entries, Entry(b"a", "d", 0o755), Entry(b"a b", "d", 0o755), Entry(b"a/b", "d", 0o755)]
    )
    sorted_text = subprocess.run(
        ["sort", "-z"], input=manifest.text, capture_output=True, check=True, env={"LC_ALL": "C"}
    ).stdout
    assert sorted_text == manifest.text


@pytest.mark.slow
def test_two_gigabytes_need_no_memory(tmp_path):
    with (tmp_path / "big").open("wb") as file:
        file.truncate(2 << 30)
    tracemalloc.start()
    began = time.monotonic()
    assert tree(tmp_path).manifest.bytes == (2 << 30) + 41
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(f"2 GB read in {time.monotonic() - began:.1f} s, peak {peak >> 20} MB")
    assert peak < 16 << 20
