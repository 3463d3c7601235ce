"""What every table is made of: its line in front, and columns that are never NULL without a reason."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
)

from leuko.domain.line import Line
from leuko.store.columns import Json, Moment, Words

metadata: Final = MetaData()


def of(table: Table, line: Line) -> ColumnElement[bool]:
    """The rows of one line."""
    return and_(table.c.application == line.application, table.c.environment == line.environment)


def key(line: Line) -> dict[str, str]:
    """The two columns that every row begins with."""
    return {"application": line.application, "environment": line.environment}


def table(name: str, key_columns: tuple[str, ...], *items: Column[Any] | UniqueConstraint | Index) -> Table:
    return Table(
        name,
        metadata,
        Column("application", Text, nullable=False),
        Column("environment", Text, nullable=False),
        *items,
        PrimaryKeyConstraint("application", "environment", *key_columns, name=f"{name}_key"),
    )


def text(name: str) -> Column[Any]:
    return Column(name, Words, nullable=False, default="", server_default="")


def time(name: str) -> Column[Any]:
    return Column(name, Moment, nullable=False)


def maybe_time(name: str) -> Column[Any]:
    return Column(name, Moment, nullable=True)


def number(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, default=0, server_default="0")


def flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False)


def json(name: str) -> Column[Any]:
    return Column(name, Json, nullable=False)
