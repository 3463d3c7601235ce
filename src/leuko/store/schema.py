"""The tables. Every row but the installation's is keyed by its line: (application, environment).

What the code runs on is what the migrations made; a test compares the two.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Float,
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


def _table(name: str, key_columns: tuple[str, ...], *items: Column[Any] | UniqueConstraint | Index) -> Table:
    return Table(
        name,
        metadata,
        Column("application", Text, nullable=False),
        Column("environment", Text, nullable=False),
        *items,
        PrimaryKeyConstraint("application", "environment", *key_columns, name=f"{name}_key"),
    )


def _text(name: str) -> Column[Any]:
    return Column(name, Words, nullable=False, default="", server_default="")


def _time(name: str) -> Column[Any]:
    return Column(name, Moment, nullable=False)


def _maybe_time(name: str) -> Column[Any]:
    return Column(name, Moment, nullable=True)


def _number(name: str) -> Column[Any]:
    return Column(name, Integer, nullable=False, default=0, server_default="0")


def _flag(name: str) -> Column[Any]:
    return Column(name, Boolean, nullable=False)


def _json(name: str) -> Column[Any]:
    return Column(name, Json, nullable=False)


installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True),
    _time("created_at"),
)

COUNTERS: Final = (
    "events",
    "sequence",
    "changes",
    "builds",
    "releases",
    "pushes",
    "locks",
    "intents",
    "operations",
    "drills",
    "observations",
    "trends",
    "limit_changes",
)

line = _table(
    "line",
    (),
    _time("created_at"),
    _text("configuration"),
    *(Column(name, BigInteger, nullable=False, default=0, server_default="0") for name in COUNTERS),
)

event = _table(
    "event",
    ("number",),
    Column("number", BigInteger, nullable=False),
    _text("kind"),
    _text("subject"),
    _json("data"),
    _time("at"),
    Index("event_subject", "application", "environment", "subject", "number"),
    Index("event_kind", "application", "environment", "kind", "number"),
)

lease = _table(
    "lease",
    (),
    _text("holder"),
    _text("host"),
    _number("pid"),
    Column("epoch", BigInteger, nullable=False),
    _time("expires_at"),
    _time("since"),
)

change = _table(
    "change",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _text("revision"),
    _text("tree"),
    Column("parent", Words, nullable=True),
    _time("landed_at"),
    _time("seen_at"),
    _json("commits"),
    _flag("concerns"),
    _text("state"),
    Column("build", BigInteger, nullable=True),
    UniqueConstraint("application", "environment", "revision", name="change_revision"),
)

build = _table(
    "build",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _text("revision"),
    _text("tree"),
    _text("state"),
    _time("since"),
    _time("created_at"),
    _maybe_time("started_at"),
    _maybe_time("ended_at"),
    _text("reason"),
    _number("attempt"),
    _number("version"),
    Index("build_tree", "application", "environment", "tree"),
    Index("build_state", "application", "environment", "state"),
)

build_change = _table(
    "build_change",
    ("build", "revision"),
    Column("build", BigInteger, nullable=False),
    Column("revision", Words, nullable=False),
    Index("build_change_revision", "application", "environment", "revision"),
)

build_step = _table(
    "build_step",
    ("build", "position"),
    Column("build", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    _text("name"),
    _text("kind"),
    Column("exit_code", Integer, nullable=True),
    Column("seconds", Float, nullable=False),
    _text("output"),
    _text("reason"),
)

release = _table(
    "release",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _text("name"),
    _text("revision"),
    _text("digest"),
    _json("components"),
    _time("built_at"),
    _text("configuration"),
    _json("archives"),
    _flag("good"),
    _flag("convicted"),
    _text("convicted_why"),
    _maybe_time("convicted_at"),
    UniqueConstraint("application", "environment", "revision", "digest", name="release_digest"),
    Index("release_name", "application", "environment", "name"),
)

push = _table(
    "push",
    ("number",),
    Column("number", BigInteger, nullable=False),
    _text("state"),
    _text("release"),
    _text("revision"),
    _text("origin"),
    _text("stop_cause"),
    _time("created_at"),
    _maybe_time("ended_at"),
    _number("version"),
    _json("record"),
    _json("plan"),
    _text("configuration"),
    _text("base_configuration"),
    Index("push_state", "application", "environment", "state"),
    Index("push_ended", "application", "environment", "ended_at"),
)

push_host = _table(
    "push_host",
    ("push", "host"),
    Column("push", BigInteger, nullable=False),
    Column("host", Words, nullable=False),
    _text("role"),
    _number("phase"),
    _text("state"),
    _json("record"),
)

host = _table(
    "host",
    ("name",),
    Column("name", Words, nullable=False),
    _text("role"),
    _text("address"),
    _flag("pushed"),
    _text("desired"),
    _text("current"),
    _text("running"),
    Column("reachable", Boolean, nullable=True),
    _maybe_time("since"),
    _maybe_time("last_seen"),
    _text("quarantined"),
    Column("clock_skew", Float, nullable=True),
    Column("free_bytes", BigInteger, nullable=True),
    _json("facts"),
)

finding = _table(
    "finding",
    ("push", "phase", "number"),
    Column("push", BigInteger, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    _text("decision"),
    _text("sentence"),
    _json("record"),
    _time("at"),
)

lock = _table(
    "lock",
    ("number",),
    Column("number", BigInteger, nullable=False),
    _text("kind"),
    _text("severity"),
    _text("owner"),
    _text("reason"),
    _time("since"),
    _maybe_time("expires_at"),
    Column("push", BigInteger, nullable=True),
    _json("blocks"),
    _text("pins"),
    _maybe_time("released_at"),
    _text("released_by"),
    _text("released_why"),
    _number("version"),
)

intent = _table(
    "intent",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _text("kind"),
    Column("push", BigInteger, nullable=True),
    _text("seen_state"),
    Column("seen_version", Integer, nullable=True),
    _json("arguments"),
    _text("by"),
    _text("why"),
    _time("at"),
    _time("expires_at"),
    _text("state"),
    _json("answer"),
    _maybe_time("answered_at"),
    Index("intent_state", "application", "environment", "state"),
)

operation = _table(
    "operation",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _text("operation"),
    _time("started_at"),
    _maybe_time("finished_at"),
    _text("person"),
    _text("revision"),
    _text("outcome"),
    _text("subject"),
)

configuration = _table(
    "configuration",
    ("digest",),
    Column("digest", Text, nullable=False),
    _json("text"),
    _time("at"),
)

override = _table(
    "override",
    ("gauge", "scope", "role", "host"),
    Column("gauge", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("host", Words, nullable=False),
    _json("value"),
    _text("by"),
    _text("why"),
    _time("at"),
)

limit_change = _table(
    "limit_change",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("gauge", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("host", Words, nullable=False),
    _json("was"),
    _json("became"),
    _text("by"),
    _text("why"),
    _time("at"),
    Index("limit_change_gauge", "application", "environment", "gauge", "id"),
)

study = _table(
    "study",
    ("push", "kind"),
    Column("push", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
    _json("value"),
    _time("at"),
)

mark = _table(
    "mark",
    ("push",),
    Column("push", BigInteger, nullable=False),
    _flag("correct"),
    _text("by"),
    _text("why"),
    _time("at"),
)

drill = _table(
    "drill",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("push", BigInteger, nullable=True),
    _text("state"),
    _text("fault"),
    Column("host", Words, nullable=False),
    _time("started_at"),
    _maybe_time("ended_at"),
    _text("by"),
    _text("why"),
    _json("record"),
    _number("version"),
)

observation = _table(
    "observation",
    ("id",),
    Column("id", BigInteger, nullable=False),
    _json("command"),
    _text("state"),
    _time("started_at"),
    _maybe_time("ended_at"),
    Column("exit_code", Integer, nullable=True),
    _text("by"),
    _text("decision"),
    _text("sentence"),
    _json("record"),
    _number("version"),
)

trend = _table(
    "trend",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("gauge", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("push", BigInteger, nullable=True),
    _time("found_at"),
    _maybe_time("ended_at"),
    _text("sentence"),
    _json("record"),
    _number("version"),
    Index("trend_gauge", "application", "environment", "gauge", "subject"),
)

trend_look = _table(
    "trend_look",
    ("gauge",),
    Column("gauge", Words, nullable=False),
    _json("record"),
    _time("at"),
)

template = _table(
    "template",
    ("gauge", "id"),
    Column("gauge", Words, nullable=False),
    Column("id", Words, nullable=False),
    _text("text"),
    _text("example"),
    _time("first_seen_at"),
    _time("last_seen_at"),
    Column("seen", BigInteger, nullable=False, default=0, server_default="0"),
    Column("push", BigInteger, nullable=True),
    _json("record"),
)
