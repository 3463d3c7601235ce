"""docs/reference/cli.md, made from the commands themselves: `python -m leuko.cli.reference > ...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from leuko.cli.failures import EXIT_CODES
from leuko.cli.group import Command, Noun
from leuko.cli.main import SECTIONS, cli

_HEAD = """\
# leuko

Every command of the program, made from the program itself (`python -m leuko.cli.reference`).

## What all have in common

- **Where the controller is.** Commands look for `leuko.yml` in the current folder (`--config`,
  `LEUKO_CONFIG`) and for the controller's state directory beside it, `.leuko` (`--state`, `LEUKO_STATE`);
  they talk to the unix socket `leuko.sock` in it. `--url` and `--token` (`LEUKO_URL`, `LEUKO_TOKEN`) ask a
  controller over HTTP instead.
- **Which line.** A controller may have several; the one of the configuration file is meant, or the one that
  `--line application/environment` names.
- **No controller running.** Commands that change something start one in the background and say so;
  `leuko serve --stop` ends it. `status`, `why`, `log`, `hosts` and `locks` read the store and say that nobody
  acts.
- **Who.** The name in the records is `LEUKO_USER`, else `SUDO_USER`, else `USER`.
- **`--json`** prints one JSON value on stdout and nothing else; an error is `{"error": {"where", "rule",
  "way_out", "code"}}`, with the same exit code. `log --events --follow --json` prints one object a line.
- **Following.** `push`, `retry`, `rollback`, `status --follow` and `log --follow` follow to the end: drawn
  over itself on a terminal, line by line elsewhere. Ctrl-C ends the following only.
- `NO_COLOR` is minded; `LEUKO_DEBUG=1` shows tracebacks.
"""


def markdown() -> str:
    """The whole page."""
    return "\n".join([_HEAD, "## Exit codes\n", *_codes(), *_sections()])


def _codes() -> Iterator[str]:
    yield "| code | |\n| --- | --- |"
    for code, text in EXIT_CODES.items():
        yield f"| {code} | {text} |"
    yield ""


def _sections() -> Iterator[str]:
    for name, commands in SECTIONS.items():
        yield f"## {name}\n"
        for command in commands:
            for path, one in leaves(command, f"leuko {command.name}"):
                yield from _command(path, one)


def leaves(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    """The command, or those of a group."""
    if isinstance(command, Noun):
        yield path, command
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from leaves(one, f"{path} {name}")
    else:
        yield path, command


def _command(path: str, command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path, parent=None)
    usage = " ".join(command.collect_usage_pieces(context))
    yield f"### {path}\n"
    yield f"`{path} {usage}`\n"
    paragraphs = (command.help or "").strip().split("\n\n")
    for paragraph in paragraphs:
        yield f"{' '.join(paragraph.split())}\n"
    rows = [
        record for one in command.params if (record := one.get_help_record(context))
    ]  # --help is not in it
    yield "| option | |\n| --- | --- |"
    for names, text in rows:
        yield f"| `{_cell(names)}` | {_cell(text)} |"
    yield ""
    if isinstance(command, Command | Noun) and command.examples:
        yield "```sh"
        for example, text in command.examples:
            yield f"# {text}\n{example}"
        yield "```\n"


def _cell(text: str) -> str:
    """Of a table: one line, bars escaped."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    assert cli.name
    sys.stdout.write(markdown())
