"""A field that the domain gains must find its column: without one it would be lost in silence."""

from __future__ import annotations

from dataclasses import fields

import pytest

from leuko.domain.build import Build, StepResult
from leuko.domain.change import Change
from leuko.domain.intent import Intent
from leuko.domain.lock import Lock
from leuko.domain.push import Push
from leuko.domain.release import Release
from leuko.store import schema
from leuko.store.hosts import KnownHost

KEPT = [
    (Build, schema.build, set()),
    (StepResult, schema.build_step, set()),
    (Change, schema.change, set()),
    (Intent, schema.intent, set()),
    (KnownHost, schema.host, set()),
    (Lock, schema.lock, {"id"}),  # as `number`
    (Release, schema.release, set()),
]


@pytest.mark.parametrize(
    ("kind", "table", "elsewhere"), KEPT, ids=lambda value: getattr(value, "__name__", "")
)
def test_every_field_has_a_column(kind, table, elsewhere):
    assert {item.name for item in fields(kind)} - elsewhere <= set(table.columns.keys())


def test_what_is_asked_of_pushes_is_beside_their_record():
    beside = {"number", "state", "release", "revision", "origin", "created_at", "ended_at", "version"}
    assert beside <= {item.name for item in fields(Push)} & set(schema.push.columns.keys())
