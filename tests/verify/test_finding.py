"""Finding files of tests, with the names that a repository may hold."""

from __future__ import annotations

import os
import subprocess

import pytest

from leuko.config.verify import Suite
from leuko.verify.finding import find, listed


def plant(top, *names):
    for name in names:
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def files(top, **suite):
    return find(top, {"unit": Suite(**suite)}).files["unit"]


def test_patterns_begin_at_the_top_and_cross_folders_with_two_stars(tmp_path):
    plant(tmp_path, "test_top.py", "a/test_a.py", "a/b/test_b.py", "a/b/data.py", ".git/test_no.py")
    assert files(tmp_path, files=("test_*.py",)) == ("test_top.py",)
    assert files(tmp_path, files=("**/test_*.py",)) == ("a/b/test_b.py", "a/test_a.py", "test_top.py")
    assert files(tmp_path, files=("a/*.py",)) == ("a/test_a.py",)
    assert files(tmp_path, files=("./a/**",), exclude=("a/b",)) == ("a/test_a.py",)
    assert files(tmp_path, files=("nothing/**",)) == ()


def test_any_name_is_only_a_name(tmp_path):
    names = ["-rf.py", "two words.py", "new\nline.py", "$(id).py", "[x].py", "é.py", "'q\".py"]
    plant(tmp_path, *names)
    assert sorted(files(tmp_path, files=("*.py",))) == sorted(names)
    assert files(tmp_path, files=("-*.py",)) == ("-rf.py",)


def test_names_that_no_command_can_be_told_are_left_out_and_said(tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff.py")).write_text("x")
    plant(tmp_path, "good.py")
    found = find(tmp_path, {"unit": Suite(files=("*.py",))})
    assert found.files == {"unit": ("good.py",)}
    assert "not UTF-8" in found.warnings[0]


def test_a_link_out_of_the_checkout_is_refused_and_one_inside_is_followed(tmp_path):
    outside, inside = tmp_path / "outside", tmp_path / "in"
    plant(outside, "secret.py")
    plant(inside, "real.py")
    (inside / "leads_out.py").symlink_to(outside / "secret.py")
    (inside / "folder").symlink_to(outside)
    (inside / "alias.py").symlink_to("real.py")
    (inside / "broken.py").symlink_to("nowhere.py")
    (inside / "loop.py").symlink_to("loop.py")
    suites = {"unit": Suite(files=("**/*.py",))}
    found = find(inside, suites)
    assert found.files == {"unit": ("alias.py", "real.py")}
    assert "lead out of the checkout" in found.warnings[0]
    sly = find(inside, suites, ["folder/secret.py", "../outside/secret.py", "/etc/passwd.py", "real.py"])
    assert sly.files == {"unit": ("real.py",)}


def test_tags_and_files_of_several_suites(tmp_path):
    plant(tmp_path, "tests/selenium/a.py", "tests/b.py")
    found = find(
        tmp_path,
        {
            "unit": Suite(
                files=("tests/**/*.py",), tags={"browser": ("tests/selenium",), "slow": ("**/a.py",)}
            ),
            "all": Suite(files=("tests/*.py",)),
        },
    )
    assert found.tags == {"tests/selenium/a.py": ("browser", "slow")}
    assert found.warnings == (
        "1 files belong to several suites and run in each: tests/b.py (in unit and all)",
    )


async def test_a_developers_checkout_has_new_files_and_no_ignored_ones(tmp_path):
    assert await listed(tmp_path) is None
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    plant(tmp_path, "kept.py", "new.py", "build/ignored.py", "gone.py")
    (tmp_path / ".gitignore").write_text("build/\n")
    subprocess.run(["git", "-C", tmp_path, "add", "kept.py", "gone.py"], check=True)
    (tmp_path / "gone.py").unlink()
    paths = await listed(tmp_path)
    assert find(tmp_path, {"unit": Suite(files=("**/*.py",))}, paths).files == {"unit": ("kept.py", "new.py")}


def test_a_checkout_that_is_not_there_has_no_files(tmp_path):
    assert files(tmp_path / "nowhere", files=("**",)) == ()


@pytest.mark.parametrize("pattern", ["**", "**/*", "*"])
def test_a_pipe_or_a_folder_is_no_file_of_tests(tmp_path, pattern):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    assert files(tmp_path, files=(pattern,)) == ()
