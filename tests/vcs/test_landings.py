from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

from leuko.domain.change import Change
from leuko.vcs.git import GitError
from leuko.vcs.mirror import Mirror
from leuko.vcs.trouble import UnknownRevisionError


def shape(changes):
    return [(change.subject, [commit.subject for commit in change.commits]) for change in changes]


async def test_merges_bring_their_side_and_stay_one_landing(origin, mirror):
    origin.change("a", message="one")
    old = origin.head
    origin.git("checkout", "-q", "-b", "side")
    origin.change("s1", message="side 1")
    origin.change("s2", message="side 2")
    origin.git("checkout", "-q", "main")
    origin.change("b", message="two")
    origin.git("merge", "-q", "--no-ff", "-m", "merge side", "side")
    origin.commit("empty")
    await mirror.fetch()
    changes = await mirror.history.landings(old, origin.head)
    assert shape(changes) == [
        ("two", ["two"]),
        ("merge side", ["merge side", "side 2", "side 1"]),
        ("empty", ["empty"]),
    ]
    assert [change.parent for change in changes] == [old, changes[0].revision, changes[1].revision]
    assert changes[2].tree == changes[1].tree == await mirror.history.tree_of(origin.head)
    assert changes[0].landed_at == datetime.fromtimestamp(1700000000, UTC)
    one = await mirror.history.landing(changes[1].revision)
    assert one == changes[1]


async def test_root_and_whole_history(origin, mirror):
    root = origin.change("a", message="root")
    origin.change("b", message="next")
    await mirror.fetch()
    changes = await mirror.history.landings(None, origin.head)
    assert shape(changes) == [("root", ["root"]), ("next", ["next"])]
    assert changes[0].parent is None
    assert await mirror.history.landing(root) == changes[0]
    assert await mirror.history.files_changed(None, root) == ("a",)
    assert await mirror.history.landings(origin.head, origin.head) == []
    assert shape(await mirror.history.landings(None, origin.head, limit=1)) == [("next", ["next"])]


async def test_octopus_and_a_merge_within_a_side(origin, mirror):
    origin.change("a", message="base")
    base = origin.head
    for name in ("x", "y", "z"):
        origin.git("checkout", "-q", "-b", name, base)
        origin.change(name, message=name)
    origin.git("checkout", "-q", "x")
    origin.git("merge", "-q", "--no-ff", "-m", "inner", "y")
    origin.git("checkout", "-q", "main")
    origin.commit("before")
    origin.git("merge", "-q", "--no-ff", "-m", "octopus", "x", "z")
    await mirror.fetch()
    changes = await mirror.history.landings(base, origin.head)
    assert [change.subject for change in changes] == ["before", "octopus"]
    assert changes[1].commits[0].subject == "octopus"
    assert {commit.subject for commit in changes[1].commits} == {"octopus", "inner", "x", "y", "z"}


async def test_history_merged_the_wrong_way_round(origin, mirror):
    """`git pull` on main: what was live is the second parent now, and still nothing is counted twice."""
    root = origin.change("a", message="root")
    live = origin.change("b", message="live")
    origin.git("checkout", "-q", "-b", "mine", root)
    origin.change("c", message="mine")
    origin.git("merge", "-q", "--no-ff", "-m", "pulled", "main")
    origin.git("checkout", "-q", "-B", "main", "mine")
    await mirror.fetch()
    assert shape(await mirror.history.landings(live, origin.head)) == [
        ("mine", ["mine"]),
        ("pulled", ["pulled"]),
    ]


async def test_range_says_what_the_head_lacks(origin, mirror):
    root = origin.change("a", message="root")
    live = origin.change("b", message="live")
    await mirror.fetch()
    origin.git("reset", "-q", "--hard", root)
    head = origin.change("c", message="other")
    await mirror.fetch()
    found = await mirror.history.commits_between(live, head)
    assert not found.straight
    assert [commit.subject for commit in found.commits] == ["other"]
    assert [commit.subject for commit in found.missing] == ["live"]
    found = await mirror.history.commits_between(root, head)
    assert found.straight
    assert len((await mirror.history.commits_between(None, head)).commits) == 2


async def test_messages_of_any_bytes(origin, mirror):
    origin.write("a")
    origin.commit(
        b"J\xf6rg was here\n\nbody \x1b[31m red\nLeuko-Fix: L7\n",
        "--author=J\xf6rg \xff <j@x>".encode("latin-1"),
    )
    origin.git("commit", "-q", "--allow-empty", "--allow-empty-message", "-m", "")
    origin.commit("subject\n\nThis reverts commit " + "a" * 40 + ".\n")
    await mirror.fetch()
    odd, empty, revert = await mirror.history.landings(None, origin.head)
    assert odd.subject == "Jörg was here"
    assert "\x1b" not in odd.commits[0].message
    assert odd.commits[0].fixes == ("L7",)
    odd.author.encode()
    assert empty.subject == ""
    assert revert.commits[0].reverts == ("a" * 40,)


async def test_a_real_revert_is_recognised(origin, mirror):
    origin.change("a", message="good")
    bad = origin.change("b", message="bad")
    origin.git("revert", "--no-edit", bad)
    await mirror.fetch()
    change = (await mirror.history.landings(bad, origin.head))[0]
    assert change.commits[0].reverts == (bad,)


async def test_impossible_times(origin, mirror):
    origin.change("a")
    tree = origin.out("rev-parse", "HEAD^{tree}")
    raw = f"tree {tree}\nauthor A <a> 99999999999999999999 +0000\ncommitter A <a> 99999999999999999999 +0000\n\nfuture\n"
    revision = (
        origin.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", given=raw.encode())
        .stdout.decode()
        .strip()
    )
    origin.git("update-ref", "refs/heads/main", revision)
    await mirror.fetch()
    assert (await mirror.history.landing(revision)).landed_at.tzinfo is UTC


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ((), [True, True, True, True]),
        (("shop/**",), [True, False, False, False]),
        (("shop",), [True, False, False, False]),
        (("**/*.py",), [True, True, False, False]),
        (("lib/*.py", "!lib/x.py"), [False, False, False, False]),
        (("**", "!shop/**"), [False, True, True, False]),
        ((":(literal)*",), [False, False, False, False]),
    ],
)
async def test_which_changes_concern_an_application(origin, mirror, patterns, expected):
    origin.change("shop/a.py")
    origin.change("lib/x.py")
    origin.change("-new\nline é")
    origin.commit("empty")
    await mirror.fetch()
    changes = await mirror.history.landings(None, origin.head)
    assert [await mirror.history.concerns(change, patterns) for change in changes] == expected


async def test_a_merge_concerns_by_what_it_brings(origin, mirror):
    origin.change("other/a")
    origin.git("checkout", "-q", "-b", "side")
    origin.change("shop/b")
    origin.git("checkout", "-q", "main")
    origin.change("other/c")
    origin.git("merge", "-q", "--no-ff", "-m", "m", "side")
    await mirror.fetch()
    merge: Change = (await mirror.history.landings(None, origin.head))[-1]
    assert await mirror.history.concerns(merge, ["shop/**"])
    assert not await mirror.history.concerns(merge, ["other/**"])


async def test_files_with_odd_names(origin, mirror):
    origin.change("a")
    for name in ("-dash", "two\nlines", "ünï", ":(glob)x", "sp ace"):
        origin.write(name)
    origin.commit()
    await mirror.fetch()
    files = await mirror.history.files_changed(f"{origin.head}^", origin.head)
    assert set(files) == {"-dash", "two\nlines", "ünï", ":(glob)x", "sp ace"}
    assert await mirror.history.show_file(origin.head, ":(glob)x") == "x\n"


async def test_show_file(origin, mirror):
    origin.write("leuko.yml", "application: shop\n")
    (origin.path / "bad").write_bytes(b"\xff\xfe")
    (origin.path / "link").symlink_to("/etc/passwd")
    origin.change("sub/x")
    await mirror.fetch()
    history, head = mirror.history, origin.head
    assert await history.show_file(head, "leuko.yml") == "application: shop\n"
    assert await history.show_file(head, "none.yml") is None
    assert await history.show_file(head, "sub/x") == "sub/x\n"
    assert await history.show_file(head, "bad") == "ÿþ"
    for name in ("sub", "link"):
        with pytest.raises(GitError, match="plain file"):
            await history.show_file(head, name)


async def test_resolving_names(origin, mirror):
    first = origin.change("a")
    origin.git("tag", "-a", "v1", "-m", "t")
    second = origin.change("b")
    await mirror.fetch()
    resolve = mirror.history.resolve
    assert await resolve("v1") == first
    assert await resolve("main") == second
    assert await resolve("main~1") == first
    assert await resolve(second[:8]) == second
    for wrong in (
        "nope",
        "--all",
        "-x",
        "",
        "f" * 40,
        "main:a",
        "main..v1",
        "a b",
        "v1\nmain",
        "main^{tree}",
    ):
        with pytest.raises(UnknownRevisionError):
            await resolve(wrong)


async def test_contains(origin, mirror):
    first = origin.change("a")
    origin.git("checkout", "-q", "-b", "side")
    side = origin.change("s")
    origin.git("checkout", "-q", "main")
    await mirror.fetch()
    assert await mirror.history.contains("main", first)
    assert not await mirror.history.contains("main", side)
    assert await mirror.history.contains("side", side)
    assert not await mirror.history.is_ancestor("f" * 40, first)


async def test_ten_thousand_commits_are_read_in_seconds(tmp_path, origin):
    lines = []
    for number in range(10_000):
        lines.append(
            f"commit refs/heads/main\ncommitter A <a@x> {1700000000 + number} +0000\ndata 8\nnumber {number % 10}\n"
        )
        if number % 100 == 0:
            lines.append(f"M 100644 inline f{number}\ndata 2\nx\n")
    origin.git("fast-import", "--quiet", given="".join(lines).encode())
    mirror = Mirror(tmp_path / "m.git", str(origin.path), "main")
    head = (await mirror.fetch()).head
    begun = time.monotonic()
    changes = await mirror.history.landings(None, head)
    took = time.monotonic() - begun
    assert len(changes) == 10_000
    print(f"10,000 landings in {took:.2f} s")
    begun = time.monotonic()
    assert len(await mirror.history.landings(changes[-201].revision, head)) == 200
    print(f"the last 200 in {time.monotonic() - begun:.3f} s")
