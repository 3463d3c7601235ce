"""Help, examples, suggestions, the generated reference, and how fast the program starts."""

from __future__ import annotations

import re
import resource
import shlex
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from leuko import __version__
from leuko.cli.failures import EXIT_CODES
from leuko.cli.group import Command, Noun
from leuko.cli.main import SECTIONS, cli
from leuko.cli.reference import leaves, markdown

ROOT = Path(__file__).parents[2]
LEAVES = [leaf for part in SECTIONS.values() for one in part for leaf in leaves(one, f"leuko {one.name}")]
EXAMPLES = [
    (path, one, text) for path, one in LEAVES if isinstance(one, Command | Noun) for text, _ in one.examples
]
ISSUE = "init check serve status push plan abort hold resume promote retry rollback adopt why log hosts lock unlock locks completion schema demo"


def run(*args: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, list(args))
    return result.exit_code, result.output


def test_every_command_of_the_issue_is_there() -> None:
    assert set(ISSUE.split()) <= set(cli.commands)
    assert [path for path, _ in LEAVES if path.startswith("leuko hook")] == [
        "leuko hook install",
        "leuko hook remove",
    ]


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=[path for path, _ in LEAVES])
def test_help_has_a_purpose_and_examples_and_json(path: str, command: click.Command) -> None:
    code, text = run(*path.split()[1:], "--help")
    assert code == 0
    first = (command.help or "").partition("\n")[0]
    assert 10 < len(first) <= 66
    assert first[0].isupper()
    assert first.endswith((".", ":"))
    assert "Examples:" in text
    assert "--json" in text


@pytest.mark.parametrize(("path", "command", "example"), EXAMPLES, ids=[text for *_, text in EXAMPLES])
def test_each_example_parses(path: str, command: click.Command, example: str) -> None:
    words = shlex.split(example.partition(" > ")[0])
    name = path.split()
    assert words[: len(name)] == name
    with command.make_context(path, words[len(name) :]) as context:
        assert context.params is not None


def test_an_unknown_command_names_the_nearest() -> None:
    assert run("pussh") == (2, run("pussh")[1])
    assert "push" in run("pussh")[1].rpartition("pussh")[2]
    assert "--follow" in run("status", "--folow")[1]


def test_the_version_is_told_where_the_project_is_on_the_path_only() -> None:
    """`make demo` makes no distribution of it, so there is nothing that tells the version but the package."""
    assert run("--version") == (0, f"leuko, version {__version__}\n")
    assert f"\nVersion {__version__}. " in (ROOT / "README.md").read_text()


def test_exit_codes_are_in_help_and_reference() -> None:
    text = run("--help")[1]
    for code in EXIT_CODES:
        assert f"\n  {code} " in text
        assert f"| {code} |" in markdown()


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/cli.md").read_text() == markdown(), (
        "python -m leuko.cli.reference > docs/reference/cli.md"
    )


def test_messages_name_commands_that_there_are() -> None:
    """`leuko verify` was once the way out of a broken build, and there is no such command."""
    named = {
        (word, path.name)
        for path in (ROOT / "src/leuko").rglob("*")
        if path.suffix in (".py", ".html", ".sh", ".js")
        for word in re.findall(r"`leuko ([a-z][a-z-]*)", path.read_text())
    }
    assert len(named) > 50
    assert [(word, file) for word, file in named if word not in cli.commands] == []


def test_help_starts_fast_and_imports_nothing_heavy() -> None:
    probe = "import sys, leuko.cli.main; print([m for m in ('asyncio', 'rich', 'httpx2', 'sqlalchemy', 'pydantic', 'asyncssh', 'litestar', 'numpy', 'msgspec') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "leuko.cli.main", "--help"], capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"leuko --help: {spent:.3f} s of CPU")
    assert spent < 0.4, "0.10 s alone on a machine; other tests share this one's caches"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_the_script_and_how_to_install_it(shell: str) -> None:
    code, text = run("completion", shell)
    assert code == 0
    assert text.startswith("# install with: ")
    assert "_LEUKO_COMPLETE" in text


def test_completion_completes(tmp_path: Path) -> None:
    environment = {
        "_LEUKO_COMPLETE": "bash_complete",
        "COMP_WORDS": "leuko pro",
        "COMP_CWORD": "1",
        "PATH": "/usr/bin:/bin",
    }
    done = subprocess.run(
        [sys.executable, "-m", "leuko.cli.main"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert "plain,promote" in done.stdout
