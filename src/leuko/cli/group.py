"""The group of all commands: one place where every ending becomes text and an exit code."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import click

from leuko.cli.failures import BROKEN_PIPE, ERROR, EXIT_CODES, INTERRUPTED, error_object, exit_code_of
from leuko.domain.errors import LeukoError


class Commands(click.Group):
    """Endings as `docs/reference/cli.md` lists them, for the real program and for tests alike."""

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[click.Command]] | None = None, **rest: Any
    ) -> None:
        super().__init__(*args, **rest)
        self.sections = sections or {}
        for commands in self.sections.values():
            for command in commands:
                self.add_command(command)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order in which they are shown."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """By section."""
        for name, commands in self.sections.items():
            with formatter.section(name):
                formatter.write_dl([(command.name or "", _brief(command)) for command in commands])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs the command; here and not further out, since click would end with 1 where a pipe broke."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            # what Python would flush at its end goes nowhere instead of into a second error
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return BROKEN_PIPE
        return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,  # noqa: ARG002 - endings are always ours
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Runs a command and exits."""
        given = list(sys.argv[1:] if args is None else args)
        sys.exit(self._run(given, prog_name or "leuko", complete_var, windows_expand_args, extra))

    def _run(
        self, args: list[str], name: str, complete_var: str | None, expand: bool, extra: dict[str, Any]
    ) -> int:
        as_json = "--json" in args
        try:
            code = super().main(
                args, name, complete_var, standalone_mode=False, windows_expand_args=expand, **extra
            )
        except LeukoError as error:
            return _told(error, as_json=as_json)
        except click.ClickException as error:
            return _usage(error, as_json=as_json)
        except (KeyboardInterrupt, click.exceptions.Abort):
            _say("interrupted")
            return INTERRUPTED
        except Exception as error:  # noqa: BLE001 - a fault of ours: told in a line, whole with LEUKO_DEBUG=1
            return _bug(error, as_json=as_json)
        return code if isinstance(code, int) else 0

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The exit codes."""
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), text) for code, text in EXIT_CODES.items()])
        super().format_epilog(ctx, formatter)


def _brief(command: click.Command) -> str:
    """The help's first line, whole: every command's is written to fit."""
    return (command.help or "").strip().partition("\n")[0]


class Command(click.Command):
    """A command with examples, which the help shows and a test tries."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **rest: Any) -> None:
        super().__init__(*args, **rest)
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        if self.examples:
            with formatter.section("Examples"):
                formatter.write_dl(list(self.examples), col_max=44)
        super().format_epilog(ctx, formatter)


class Noun(click.Group):
    """A group that does something by itself, and more with a word behind it: `leuko limits set`."""

    def __init__(self, *args: Any, examples: Sequence[tuple[str, str]] = (), **rest: Any) -> None:
        super().__init__(*args, **{**rest, "invoke_without_command": True})
        self.examples = tuple(examples)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples."""
        with formatter.section("Examples"):
            formatter.write_dl(list(self.examples), col_max=44)
        super().format_epilog(ctx, formatter)


def _told(error: LeukoError, *, as_json: bool) -> int:
    if os.environ.get("LEUKO_DEBUG") == "1":
        _trace()
    if as_json:
        _print_json(error_object(error))
    else:
        _say(str(error))
    return exit_code_of(error)


def _usage(error: click.ClickException, *, as_json: bool) -> int:
    """Click's own text has the usage line and the nearest name."""
    if as_json:
        where = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "leuko"
        told = LeukoError(error.format_message(), where=where, way_out=f"{where} --help", code="X000")
        _print_json(error_object(told))
    elif isinstance(error, click.exceptions.NoArgsIsHelpError):
        _say(error.format_message())
    else:
        error.show()
    return error.exit_code


def _bug(error: Exception, *, as_json: bool) -> int:
    """A fault of ours: one line, for a traceback helps nobody who only wanted to push."""
    if os.environ.get("LEUKO_DEBUG") == "1":
        _trace()
    told = LeukoError(
        f"a fault in Leuko itself: {type(error).__name__}: {error}",
        way_out="LEUKO_DEBUG=1 shows where; please report it",
        code="X999",
    )
    if as_json:
        _print_json(error_object(told))
    else:
        _say(str(told))
    return ERROR


def _trace() -> None:
    import traceback

    traceback.print_exc()


def _say(text: str) -> None:
    click.echo(text, err=True)


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, ensure_ascii=False))
