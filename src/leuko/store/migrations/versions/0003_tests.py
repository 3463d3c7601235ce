"""Each test by itself, quarantine, what else is known of a build, culprits, the results of another CI."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "test_case",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), server_default="", nullable=False),
        sa.Column("file", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("runs", sa.Integer(), server_default="0", nullable=False),
        sa.Column("failures", sa.Integer(), server_default="0", nullable=False),
        sa.Column("flakes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("last_state", sa.Text(), server_default="", nullable=False),
        sa.Column("last_build", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=True),
        sa.Column("last_failed_at", sa.BigInteger(), nullable=True),
        sa.Column("last_flaked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("application", "environment", "id", name="test_case_key"),
        sa.UniqueConstraint("application", "environment", "digest", name="test_case_digest"),
    )
    op.create_table(
        "case_result",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("build", sa.BigInteger(), nullable=False),
        sa.Column("case", sa.BigInteger(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("worker", sa.Text(), server_default="", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("broken", sa.Text(), server_default="", nullable=False),
        sa.Column("flaky", sa.Boolean(), nullable=False),
        sa.Column("quarantined", sa.Boolean(), nullable=False),
        sa.Column("output_at", sa.BigInteger(), nullable=True),
        sa.Column("output_length", sa.Integer(), server_default="0", nullable=False),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "application", "environment", "build", "case", "attempt", name="case_result_key"
        ),
    )
    op.create_index(
        "case_result_event", "case_result", ["application", "environment", "build", "event"], unique=False
    )
    op.create_table(
        "build_node",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("build", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("position", sa.Integer(), server_default="0", nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("broken", sa.Text(), server_default="", nullable=False),
        sa.Column("output_at", sa.BigInteger(), nullable=True),
        sa.Column("output_length", sa.Integer(), server_default="0", nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=True),
        sa.Column("event", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application", "environment", "build", "name", name="build_node_key"),
    )
    op.create_table(
        "build_fact",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("build", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("application", "environment", "build", "kind", name="build_fact_key"),
    )
    op.create_table(
        "quarantine",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("suite", sa.Text(), server_default="", nullable=False),
        sa.Column("file", sa.Text(), server_default="", nullable=False),
        sa.Column("name", sa.Text(), server_default="", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.Text(), server_default="", nullable=False),
        sa.Column("ended_why", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("application", "environment", "id", name="quarantine_key"),
    )
    op.create_index("quarantine_digest", "quarantine", ["application", "environment", "digest"], unique=False)
    op.create_table(
        "culprit_search",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("build", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("culprit", sa.Text(), server_default="", nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.Column("sentence", sa.Text(), server_default="", nullable=False),
        sa.Column("revert", sa.Text(), server_default="", nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("application", "environment", "id", name="culprit_search_key"),
    )
    op.create_index(
        "culprit_search_build", "culprit_search", ["application", "environment", "build"], unique=False
    )
    op.create_table(
        "outside_status",
        sa.Column("application", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("revision", sa.Text(), nullable=False),
        sa.Column("context", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), server_default="", nullable=False),
        sa.Column("url", sa.Text(), server_default="", nullable=False),
        sa.Column("description", sa.Text(), server_default="", nullable=False),
        sa.Column("by", sa.Text(), server_default="", nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint(
            "application", "environment", "revision", "context", name="outside_status_key"
        ),
    )
    op.add_column("line", sa.Column("cases", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("line", sa.Column("quarantines", sa.BigInteger(), server_default="0", nullable=False))
    op.add_column("line", sa.Column("culprits", sa.BigInteger(), server_default="0", nullable=False))
