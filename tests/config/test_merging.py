"""Laying one tree over another, for any two trees."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.tree import Tree, merge, read, walk

QUICK = settings(deadline=None, max_examples=60)

KEYS = some.sampled_from(["a", "b", "c", "d"])
VALUES = some.recursive(
    some.one_of(some.integers(-9, 9), some.text("xyz", max_size=3), some.booleans()),
    lambda inner: some.one_of(some.lists(inner, max_size=3), some.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
WITH_NULLS = some.recursive(
    some.one_of(some.none(), some.integers(-9, 9), some.lists(some.integers(), max_size=2)),
    lambda inner: some.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
TREES = some.dictionaries(KEYS, VALUES, min_size=1, max_size=4)
OVERLAYS = some.dictionaries(KEYS, WITH_NULLS, min_size=1, max_size=4)


def tree(data: dict, name: str) -> Tree:
    return read(json.dumps(data, indent=1), name)


def laid_over(under, over):
    """What merging means, said once more in the plainest way."""
    if not (isinstance(under, dict) and isinstance(over, dict)):
        return (
            {key: laid_over(None, value) for key, value in over.items() if value is not None}
            if isinstance(over, dict)
            else over
        )
    result = {key: value for key, value in under.items() if over.get(key, 0) is not None}
    for key, value in over.items():
        if value is not None:
            result[key] = laid_over(under.get(key), value)
    return result


@QUICK
@given(TREES, OVERLAYS)
def test_merging_is_what_the_reference_says(under, over):
    merged = merge(tree(under, "a.yml"), tree(over, "b.yml"))
    assert merged.data == laid_over(under, over)


@QUICK
@given(TREES, OVERLAYS)
def test_every_value_has_a_place_in_the_file_it_came_from(under, over):
    merged = merge(tree(under, "a.yml"), tree(over, "b.yml"))
    lines = {
        "a.yml": json.dumps(under, indent=1).splitlines(),
        "b.yml": json.dumps(over, indent=1).splitlines(),
    }
    for path, value in walk(merged.data):
        if not path:
            continue
        place = merged.places[path]
        if not isinstance(value, dict | list):
            assert lines[place.file][place.line - 1][place.column - 1 :].rstrip(",") == json.dumps(value)
    assert {path for path, _ in walk(merged.data) if path} == set(merged.places)


@QUICK
@given(TREES)
def test_nothing_laid_over_changes_nothing(data):
    assert merge(tree(data, "a.yml"), Tree("b.yml")).data == tree(data, "a.yml").data == data
