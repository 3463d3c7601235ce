"""The tables of verification: each test by itself, what it did before, who else may call it good."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Text, UniqueConstraint

from leuko.store.columns import Words
from leuko.store.table import flag, json, maybe_time, number, table, text, time

case = table(
    "test_case",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    text("suite"),
    text("file"),
    text("name"),
    number("runs"),
    number("failures"),
    number("flakes"),
    Column("seconds", Float, nullable=False, default=0.0, server_default="0"),
    text("last_state"),
    Column("last_build", BigInteger, nullable=False, default=0, server_default="0"),
    maybe_time("last_at"),
    maybe_time("last_failed_at"),
    maybe_time("last_flaked_at"),
    # names of tests are as long as their parameters: longer than PostgreSQL lets a key be
    UniqueConstraint("application", "environment", "digest", name="test_case_digest"),
)

case_result = table(
    "case_result",
    ("build", "case", "attempt"),
    Column("build", BigInteger, nullable=False),
    Column("case", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    text("state"),
    Column("seconds", Float, nullable=False, default=0.0, server_default="0"),
    text("worker"),
    text("reason"),
    text("broken"),
    flag("flaky"),
    flag("quarantined"),
    Column("output_at", BigInteger, nullable=True),
    number("output_length"),
    Column("event", BigInteger, nullable=False),
    Index("case_result_event", "application", "environment", "build", "event"),
)

build_node = table(
    "build_node",
    ("build", "name"),
    Column("build", BigInteger, nullable=False),
    Column("name", Words, nullable=False),
    number("position"),
    text("state"),
    Column("seconds", Float, nullable=False, default=0.0, server_default="0"),
    text("reason"),
    text("broken"),
    Column("output_at", BigInteger, nullable=True),
    number("output_length"),
    maybe_time("began_at"),
    Column("event", BigInteger, nullable=False),
)

build_fact = table(
    "build_fact",
    ("build", "kind"),
    Column("build", BigInteger, nullable=False),
    Column("kind", Words, nullable=False),
    json("value"),
    time("at"),
)

quarantine = table(
    "quarantine",
    ("id",),
    Column("id", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    text("suite"),
    text("file"),
    text("name"),
    text("owner"),
    text("why"),
    text("by"),
    time("since"),
    time("until"),
    maybe_time("ended_at"),
    text("ended_by"),
    text("ended_why"),
    Index("quarantine_digest", "application", "environment", "digest"),
)

culprit_search = table(
    "culprit_search",
    ("id",),
    Column("id", BigInteger, nullable=False),
    text("kind"),
    Column("build", BigInteger, nullable=True),
    text("state"),
    text("culprit"),
    time("started_at"),
    maybe_time("ended_at"),
    text("sentence"),
    text("revert"),
    json("record"),
    number("version"),
    Index("culprit_search_build", "application", "environment", "build"),
)

outside_status = table(
    "outside_status",
    ("revision", "context"),
    Column("revision", Words, nullable=False),
    Column("context", Words, nullable=False),
    text("state"),
    text("url"),
    text("description"),
    text("by"),
    time("at"),
    time("first_at"),
)

TABLES = (case, case_result, build_node, build_fact, quarantine, culprit_search, outside_status)
