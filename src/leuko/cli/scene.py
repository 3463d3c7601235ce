"""Where a command acts: configuration, state directory, controller and line, as the options say."""

from __future__ import annotations

import functools
import os
import pwd
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from leuko.domain.errors import LeukoError

CONFIGURATION = "leuko.yml"
STATE = ".leuko"
_KEY = re.compile(r"^(application|environment)\s*:\s*[\"']?([a-z][a-z0-9-]*)", re.MULTILINE)
_MOST = 1 << 20


@dataclass(frozen=True, slots=True)
class Scene:
    """What the common options said. Nothing is read before it is asked for."""

    config: Path
    config_given: bool
    environment: str | None
    state_given: Path | None
    url: str
    token: str
    wanted: str
    as_json: bool
    quiet: bool

    @property
    def state(self) -> Path:
        """The state directory: as given, or `.leuko` beside the configuration file."""
        return self.state_given or self.config.parent / STATE

    @property
    def remote(self) -> bool:
        """True when the controller is on another machine, or asked over HTTP all the same."""
        return bool(self.url)

    @property
    def interactive(self) -> bool:
        """True when somebody can be asked."""
        return not self.as_json and not self.quiet and sys.stdin.isatty() and sys.stderr.isatty()

    def named(self) -> tuple[str, str] | None:
        """(application, environment) that options or the configuration file name; empty parts are any.

        The two keys are looked for in the text: reading it all takes longer than most commands. None where
        neither says anything.
        """
        if self.wanted:
            application, slash, environment = self.wanted.partition("/")
            if not application or (slash and not environment):
                raise click.BadParameter(
                    "should be application/environment, for example shop/production", param_hint="--line"
                )
            return application, environment or self.environment or ""
        if self.remote and not self.config_given and not self.config.exists():
            return ("", self.environment) if self.environment else None
        found = dict(_KEY.findall(self._text()))
        environment = self.environment or found.get("environment") or ("production" if found else "")
        application = found.get("application", "")
        return (application, environment) if application or environment else None

    def _text(self) -> str:
        try:
            with self.config.open(encoding="utf-8", errors="replace") as file:
                return file.read(_MOST)
        except FileNotFoundError:
            if not self.config_given:
                return ""
            raise LeukoError(
                "is not there",
                where=str(self.config),
                way_out="`leuko init` writes one; `--config` names another",
                code="C001",
            ) from None
        except OSError as error:
            raise LeukoError(
                f"cannot be read: {error.strerror}", where=str(self.config), code="C001"
            ) from error

    def say(self, text: str) -> None:
        """A remark beside the answer: on stderr, unless `--quiet` or `--json`."""
        if not self.quiet and not self.as_json:
            click.echo(text, err=True)


def person() -> str:
    """Who types, for the record: sudo does not hide it."""
    for name in ("LEUKO_USER", "SUDO_USER", "USER"):
        if os.environ.get(name):
            return os.environ[name]
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


_Function = Callable[..., Any]
OUTPUT_OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Print one JSON value and nothing else."),
    click.option("-q", "--quiet", is_flag=True, help="Print only the answer, no remarks."),
)
FILE_OPTIONS = (
    click.option(
        "-c",
        "--config",
        type=click.Path(path_type=Path),
        envvar="LEUKO_CONFIG",
        help=f"The installation's configuration file. [env LEUKO_CONFIG; default ./{CONFIGURATION}]",
    ),
    click.option(
        "-e",
        "--environment",
        envvar="LEUKO_ENVIRONMENT",
        help="Environment, when it is not the file's own. [env LEUKO_ENVIRONMENT]",
    ),
)
STATE_OPTION = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="LEUKO_STATE",
    help="State directory of the controller. "
    "[env LEUKO_STATE; default: .leuko beside the configuration file]",
)
PLACE_OPTIONS = (
    STATE_OPTION,
    click.option(
        "--url",
        envvar="LEUKO_URL",
        default="",
        help="Address of a controller, to ask it over HTTP instead of its socket. [env LEUKO_URL]",
    ),
    click.option(
        "--token",
        envvar="LEUKO_TOKEN",
        default="",
        help="Token for --url; LEUKO_TOKEN keeps it out of the process list. [env LEUKO_TOKEN]",
    ),
    click.option(
        "--line", default="", metavar="APP/ENV", help="Which line, when the controller has several."
    ),
)


def with_scene(function: _Function) -> _Function:
    """Gives the command its Scene, from the options that all commands about a line share."""
    return _options((*FILE_OPTIONS, *PLACE_OPTIONS, *OUTPUT_OPTIONS), function)


def with_files(function: _Function) -> _Function:
    """The same for commands that need no controller."""
    return _options((*FILE_OPTIONS, STATE_OPTION, *OUTPUT_OPTIONS), function)


def with_output(function: _Function) -> _Function:
    """The same for commands that look at nothing."""
    return _options(OUTPUT_OPTIONS, function)


def _options(options: tuple[Callable[[_Function], _Function], ...], function: _Function) -> _Function:
    @functools.wraps(function)
    def command(**given: Any) -> Any:
        config: Path | None = given.pop("config", None)
        scene = Scene(
            config=config or Path(CONFIGURATION),
            config_given=config is not None,
            environment=given.pop("environment", None) or None,
            state_given=given.pop("state", None),
            url=given.pop("url", "").rstrip("/"),
            token=given.pop("token", ""),
            wanted=given.pop("line", ""),
            as_json=given.pop("as_json", False),
            quiet=given.pop("quiet", False),
        )
        return function(scene, **given)

    wrapped: _Function = command
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped
