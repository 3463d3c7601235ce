"""Printing: tables and JSON on stdout, for people and for pipes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDE = 200
"""Columns where no terminal says how many there are: a pipe's reader wants whole lines."""


def print_json(value: object) -> None:
    """One JSON value."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None))


def terminal() -> bool:
    """True where lines can be drawn over."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


def console() -> Console:
    """Of rich; it minds NO_COLOR itself."""
    from rich.console import Console

    width = None if sys.stdout.isatty() else WIDE
    return Console(highlight=False, markup=False, emoji=False, width=width, soft_wrap=False)


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> Table:
    """Plain columns, no lines around them."""
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    made = Table(box=None, pad_edge=False, header_style="bold" if columns else "", show_header=bool(columns))
    for column in columns:
        made.add_column(Text(column), overflow="fold")
    for row in rows:
        made.add_row(*(Text(plain(cell)) for cell in row))
    if not indent:
        return made
    outer = Table.grid()
    outer.add_row(Padding(made, (0, 0, 0, indent)))
    return outer


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, indent: int = 0) -> None:
    """On stdout, without blanks at the ends of lines."""
    out = console()
    with out.capture() as captured:
        out.print(table(columns, rows, indent=indent))
    for line in captured.get().splitlines():
        click.echo(line.rstrip())


def plain(text: str) -> str:
    """What a host or a commit wrote must not speak to the terminal."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "\ufffd" for letter in text)
