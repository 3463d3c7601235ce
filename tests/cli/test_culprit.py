"""`leuko culprit` by hand: real commits, real commands, the real program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.vcs.conftest import Repository, new_repository

TEST = "grep -q good state"


@pytest.fixture
def repository(tmp_path) -> Repository:
    """Twelve commits; the seventh breaks what `state` says, and moves the size of `blob`."""
    made = new_repository(tmp_path / "work")
    made.write("state", "good\n")
    made.write("blob", "x" * 1000)
    made.commit("the good end")
    for number in range(1, 13):
        if number == 7:
            made.write("state", "bad\n")
            made.write("blob", "x" * 1300)
        made.change(f"file{number}", message=f"Change {number}")
    return made


def leuko(folder: Path, *arguments: str, timeout: float = 110.0) -> subprocess.CompletedProcess[str]:
    surroundings = {key: value for key, value in os.environ.items() if not key.startswith(("LEUKO_", "GIT_"))}
    return subprocess.run(
        [sys.executable, "-m", "leuko.cli.main", *arguments],
        cwd=folder, capture_output=True, text=True, check=False, timeout=timeout, env=surroundings,
    )  # fmt: skip


def test_a_command_finds_the_commit_that_broke_it(repository) -> None:
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--command", TEST, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    guilty = repository.out("rev-parse", "HEAD~5")
    assert found["answer"] == "culprit"
    assert found["suspects"][found["subjects"][0]["culprits"][0] - 1]["revision"] == guilty
    assert {probe["state"] for probe in found["probes"]} == {"done"}
    assert repository.out("status", "--porcelain") == "", "the checkout itself is left alone"


def test_people_read_a_sentence_and_what_ran(repository) -> None:
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--command", TEST)
    assert done.returncode == 0, done.stderr
    assert '"Change 7" by Ann broke' in done.stdout
    assert "certainty 9" in done.stdout
    assert "12 commits between" in done.stderr
    assert "passes, 0." in done.stderr


def test_a_flake_names_nobody_and_ends_with_one(repository, tmp_path) -> None:
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--command", "true", "--json")
    assert (done.returncode, json.loads(done.stdout)["answer"]) == (1, "flake")


def test_what_fails_everywhere_was_there_before(repository) -> None:
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--command", "false", "--json")
    assert (done.returncode, json.loads(done.stdout)["answer"]) == (1, "before")


def test_commits_that_do_not_build_are_gone_around(repository) -> None:
    skip = "test -e file4 && ! test -e file6 && exit 125; "
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--command", skip + TEST, "--json")
    assert done.returncode == 0, done.stdout
    assert "Change 7" in json.loads(done.stdout)["sentence"]


def test_a_number_finds_the_commit_that_moved_it(repository) -> None:
    done = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--metric", "wc -c < blob", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["culprits"] == [repository.out("rev-parse", "HEAD~5")]
    assert (found["before"], found["after"]) == (1000.0, 1300.0)
    down = leuko(repository.path, "culprit", "HEAD~12..HEAD", "--metric", "wc -c < blob", "--worse", "down")
    assert down.returncode == 1
    assert "No commit moved it for the worse" in down.stdout


def test_a_test_of_a_suite_is_run_as_the_build_runs_it(repository) -> None:
    repository.git("checkout", "-q", "-b", "suites", "HEAD~12")
    pytest_ = f"{sys.executable} -m pytest -p no:cacheprovider"
    repository.write(
        "leuko.yml",
        "application: shop\nrepository: .\nfleet: {roles: {www: [www1, www2, www3]}, root: /srv/shop}\n"
        f'verify:\n  suites:\n    unit: {{runner: pytest, command: "{pytest_}", files: ["tests/test_*.py"]}}\n',
    )
    body = (
        "def test_one():\n    assert open('state').read() == 'good\\n'\n\ndef test_two():\n    assert True\n"
    )
    repository.change("tests/test_a.py", body)
    for number in range(4):
        if number == 2:
            repository.write("state", "bad\n")
        repository.change(f"more{number}", message=f"More {number}")
    done = leuko(repository.path, "culprit", "HEAD~4..HEAD", "--test", "tests/test_a.py::test_one", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "More 2" in json.loads(done.stdout)["sentence"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("HEAD..HEAD~3", "--command", "true"), 1, "does not contain"),
        (("HEAD..HEAD", "--command", "true"), 1, "no commit between"),
        (("HEAD~3..HEAD",), 2, "one of --command, --test and --metric"),
        (("HEAD~3..HEAD", "--command", "a", "--metric", "b"), 2, "one of --command"),
        (("nonsense", "--command", "true"), 2, "GOOD..BAD"),
        (("HEAD~3..HEAD", "--metric", "echo none"), 1, "printed no number"),
        (("HEAD~3..HEAD", "--metric", "exit 3"), 1, "cannot be measured"),
        (("HEAD~3..HEAD", "--command", "exit 127"), 5, "cannot be told"),
        (("HEAD~3..HEAD", "--command", "true", "--mirror"), 1, "no mirror"),
    ],
)
def test_what_cannot_be_is_said_with_a_way_out(repository, arguments, code, said) -> None:
    done = leuko(repository.path, "culprit", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
