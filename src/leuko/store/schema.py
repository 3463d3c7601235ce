"""The tables. Every row but the installation's is keyed by its line: (application, environment).

What the code runs on is what the migrations made; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, Table, Text, UniqueConstraint

from leuko.store.columns import Words
from leuko.store.schema_verify import (
    build_fact,
    build_node,
    case,
    case_result,
    culprit_search,
    outside_status,
    quarantine,
)
from leuko.store.table import flag, json, key, maybe_time, metadata, number, of, table, text, time

__all__ = [
    "build_fact",
    "build_node",
    "case",
    "case_result",
    "culprit_search",
    "key",
    "metadata",
    "of",
    "outside_status",
    "quarantine",
]

installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True),
    time("created_at"),
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
    "cases",
    "quarantines",
    "culprits",
)

line = table(
    "line",
    (),
    time("created_at"),
    text("configuration"),
    *(Column(name, BigInteger, nullable=False, default=0, server_default="0") for name in COUNTERS),
)

event = table(
    "event",
    ("number",),
    Column("number", BigInteger, nullable=False),
    text("kind"),
    text("subject"),
    json("data"),
    time("at"),
    Index("event_subject", "application", "environment", "subject", "number"),
    Index("event_kind", "application", "environment", "kind", "number"),
)

lease = table(
    "lease",
    (),
    text("holder"),
    text("host"),
    number("pid"),
    Column("epoch", BigInteger, nullable=False),
    time("expires_at"),
    time("since"),
)

change = table(
    "change",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("revision"),
    text("tree"),
    Column("parent", Words, nullable=True),
    time("landed_at"),
    time("seen_at"),
    json("commits"),
    flag("concerns"),
    text("state"),
    Column("build", BigInteger, nullable=True),
    UniqueConstraint("application", "environment", "revision", name="change_revision"),
)

build = table(
    "build",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("revision"),
    text("tree"),
    text("state"),
    time("since"),
    time("created_at"),
    maybe_time("started_at"),
    maybe_time("ended_at"),
    text("reason"),
    number("attempt"),
    number("version"),
    Index("build_tree", "application", "environment", "tree"),
    Index("build_state", "application", "environment", "state"),
)

build_change = table(
    "build_change",
    ("build", "revision"),
    Column("build", BigInteger, nullable=False),
    Column("revision", Words, nullable=False),
    Index("build_change_revision", "application", "environment", "revision"),
)

build_step = table(
    "build_step",
    ("build", "position"),
    Column("build", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    text("name"),
    text("kind"),
    Column("exit_code", Integer, nullable=True),
    Column("seconds", Float, nullable=False),
    text("output"),
    text("reason"),
)

release = table(
    "release",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("name"),
    text("revision"),
    text("digest"),
    json("components"),
    time("built_at"),
    text("configuration"),
    json("archives"),
    flag("good"),
    flag("convicted"),
    text("convicted_why"),
    maybe_time("convicted_at"),
    UniqueConstraint("application", "environment", "revision", "digest", name="release_digest"),
    Index("release_name", "application", "environment", "name"),
)

push = table(
    "push",
    ("number",),
    Column("number", BigInteger, nullable=False),
    text("state"),
    text("release"),
    text("revision"),
    text("origin"),
    text("stop_cause"),
    time("created_at"),
    maybe_time("ended_at"),
    number("version"),
    json("record"),
    json("plan"),
    text("configuration"),
    text("base_configuration"),
    Index("push_state", "application", "environment", "state"),
    Index("push_ended", "application", "environment", "ended_at"),
)

push_host = table(
    "push_host",
    ("push", "host"),
    Column("push", BigInteger, nullable=False),
    Column("host", Words, nullable=False),
    text("role"),
    number("phase"),
    text("state"),
    json("record"),
)

host = table(
    "host",
    ("name",),
    Column("name", Words, nullable=False),
    text("role"),
    text("address"),
    flag("pushed"),
    text("desired"),
    text("current"),
    text("running"),
    Column("reachable", Boolean, nullable=True),
    maybe_time("since"),
    maybe_time("last_seen"),
    text("quarantined"),
    Column("clock_skew", Float, nullable=True),
    Column("free_bytes", BigInteger, nullable=True),
    json("facts"),
)

finding = table(
    "finding",
    ("push", "phase", "number"),
    Column("push", BigInteger, nullable=False),
    Column("phase", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    text("decision"),
    text("sentence"),
    json("record"),
    time("at"),
)

lock = table(
    "lock",
    ("number",),
    Column("number", BigInteger, nullable=False),
    text("kind"),
    text("severity"),
    text("owner"),
    text("reason"),
    time("since"),
    maybe_time("expires_at"),
    Column("push", BigInteger, nullable=True),
    json("blocks"),
    text("pins"),
    maybe_time("released_at"),
    text("released_by"),
    text("released_why"),
    number("version"),
)

intent = table(
    "intent",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("kind"),
    Column("push", BigInteger, nullable=True),
    text("seen_state"),
    Column("seen_version", Integer, nullable=True),
    json("arguments"),
    text("by"),
    text("why"),
    time("at"),
    time("expires_at"),
    text("state"),
    json("answer"),
    maybe_time("answered_at"),
    Index("intent_state", "application", "environment", "state"),
)

operation = table(
    "operation",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("operation"),
    time("started_at"),
    maybe_time("finished_at"),
    text("person"),
    text("revision"),
    text("outcome"),
    text("subject"),
)

configuration = table(
    "configuration",
    ("digest",),
    Column("digest", Text, nullable=False),
    json("text"),
    time("at"),
)

override = table(
    "override",
    ("gauge", "scope", "role", "host"),
    Column("gauge", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("host", Words, nullable=False),
    json("value"),
    text("by"),
    text("why"),
    time("at"),
)

limit_change = table(
    "limit_change",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("gauge", Words, nullable=False),
    Column("scope", Words, nullable=False),
    Column("role", Words, nullable=False),
    Column("host", Words, nullable=False),
    json("was"),
    json("became"),
    text("by"),
    text("why"),
    time("at"),
    Index("limit_change_gauge", "application", "environment", "gauge", "id"),
)

study = table(
    "study",
    ("push", "kind"),
    Column("push", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
    json("value"),
    time("at"),
)

mark = table(
    "mark",
    ("push",),
    Column("push", BigInteger, nullable=False),
    flag("correct"),
    text("by"),
    text("why"),
    time("at"),
)

drill = table(
    "drill",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("push", BigInteger, nullable=True),
    text("state"),
    text("fault"),
    Column("host", Words, nullable=False),
    time("started_at"),
    maybe_time("ended_at"),
    text("by"),
    text("why"),
    json("record"),
    number("version"),
)

observation = table(
    "observation",
    ("id",),
    Column("id", BigInteger, nullable=False),
    json("command"),
    text("state"),
    time("started_at"),
    maybe_time("ended_at"),
    Column("exit_code", Integer, nullable=True),
    text("by"),
    text("decision"),
    text("sentence"),
    json("record"),
    number("version"),
)

trend = table(
    "trend",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("gauge", Words, nullable=False),
    Column("subject", Words, nullable=False),
    Column("push", BigInteger, nullable=True),
    time("found_at"),
    maybe_time("ended_at"),
    text("sentence"),
    json("record"),
    number("version"),
    Index("trend_gauge", "application", "environment", "gauge", "subject"),
)

trend_look = table(
    "trend_look",
    ("gauge",),
    Column("gauge", Words, nullable=False),
    json("record"),
    time("at"),
)

template = table(
    "template",
    ("gauge", "id"),
    Column("gauge", Words, nullable=False),
    Column("id", Words, nullable=False),
    text("text"),
    text("example"),
    time("first_seen_at"),
    time("last_seen_at"),
    Column("seen", BigInteger, nullable=False, default=0, server_default="0"),
    Column("push", BigInteger, nullable=True),
    json("record"),
)
