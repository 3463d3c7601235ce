"""The documentation of the configuration is what the model says: nothing left out, nothing out of date."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from leuko.config import reference, shape
from leuko.config.loading import load
from leuko.config.problems import CODES
from leuko.config.schema import json_schema
from leuko.config.tree import read, walk

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "leuko.reference.yml"


def test_the_reference_page_is_up_to_date():
    page = ROOT / "docs" / "reference" / "configuration.md"
    assert page.read_text("utf-8") == reference.markdown(), (
        "run: python -m leuko.config.reference > docs/reference/configuration.md"
    )


def test_the_reference_explains_every_key_and_code():
    page = reference.markdown()
    assert [".".join(path) for path, field in shape.fields() if not field.description] == []
    assert [code for code in CODES if f"| {code} |" not in page] == []
    assert [path[-1] for path, _ in shape.fields() if f"| `{path[-1]}` |" not in page] == []


def test_the_annotated_example_loads_without_a_word():
    loaded = load(EXAMPLE)
    assert [str(warning) for warning in loaded.warnings] == []


def test_the_annotated_example_holds_every_key():
    tree = read(EXAMPLE.read_bytes(), "example")
    written = set()
    for path, _ in walk(tree.data):
        _kind, names = None, []
        for depth, part in enumerate(path):
            around = shape.at(path[:depth])
            if isinstance(part, int):
                names[-1] += "[]"
            else:
                names.append("<name>" if shape.is_named(around) else part)
        written.add(".".join(names))
    # a component's release says only what differs, and is the same section as the one at the top level
    known = {
        ".".join(path)
        for path, _ in shape.fields()
        if path[:3] != ("components", "<name>", "release") or len(path) == 3
    }
    assert known - written == set()


def test_the_annotated_example_says_the_true_defaults():
    text = EXAMPLE.read_text("utf-8")
    for line in (
        "poll: 10s ",
        "tick: 5s ",
        "keep: 5 ",
        "min_healthy: 75% ",
        "watch_timeout: 30m ",
        "retries_broken: 2 ",
    ):
        assert line in text
    configuration = load(EXAMPLE).configuration
    for path in ("poll", "tick", "branch", "continuous", "revision_file", "verify_user"):
        assert getattr(configuration, path) == type(configuration).model_fields[path].default


def agrees(value: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    """The part of JSON Schema that ours uses."""
    if "$ref" in schema:
        return agrees(value, root["$defs"][schema["$ref"].rpartition("/")[2]], root)
    if "anyOf" in schema:
        return any(agrees(value, part, root) for part in schema["anyOf"])
    if "const" in schema:
        return value == schema["const"]
    if "enum" in schema:
        return value in schema["enum"]
    kinds = {
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    wanted = schema.get("type")
    names = wanted if isinstance(wanted, list) else [wanted] if wanted else []
    if names and not any(
        isinstance(value, kinds[name]) and (name == "boolean" or not isinstance(value, bool))
        for name in names
    ):
        return False
    if isinstance(value, str) and "pattern" in schema and not re.search(schema["pattern"], value):
        return False
    if isinstance(value, int | float) and value < schema.get("minimum", value):
        return False
    if isinstance(value, list) and isinstance(schema.get("items"), dict):
        return all(agrees(item, schema["items"], root) for item in value)
    if isinstance(value, dict):
        return all(key_agrees(key, item, schema, root) for key, item in value.items())
    return True


def key_agrees(key: str, item: Any, schema: dict[str, Any], root: dict[str, Any]) -> bool:
    if key in schema.get("properties", {}):
        return agrees(item, schema["properties"][key], root)
    matching = [
        part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, key)
    ]
    return (
        all(agrees(item, part, root) for part in matching)
        if matching
        else schema.get("additionalProperties", True) is not False
    )


SCHEMA = {
    "the example": (EXAMPLE.read_text("utf-8"), True),
    "keys of one's own": (
        "x-a: {b: 1}\nfleet: {x-b: 2, roles: {x-old: 5, www: [a, {name: b, x-c: 1}]}}\n",
        True,
    ),
    "numbers as text": ("fleet: {roles: {www: [{name: a, vars: {PORT: 80}}]}}\n", True),
    "an overlay": ("branch: next\n", True),
    "a slip": ("brnch: next\n", False),
    "a slip further in": ("fleet: {hooks: {relod: x}}\n", False),
    "a slip in a host": ("fleet: {roles: {www: [{nam: a}]}}\n", False),
    "a time that is none": ("tick: 5 minutes\n", False),
    "a compound time": ("poll: 1h30m\n", True),
    "a word that is not known": ("fleet: {transport: pigeon}\n", False),
    "a share": ("push: {phases: [{hosts: 10%}, {hosts: 3}]}\n", True),
    "a share that is none": ("push: {phases: [{hosts: ten}]}\n", False),
    "a list where text belongs": ("branch: [a]\n", False),
}


@pytest.mark.parametrize("name", SCHEMA)
def test_the_schema_for_editors_agrees_with_loading(name):
    text, expected = SCHEMA[name]
    schema = json_schema()
    assert agrees(read(text, "x").data, schema, schema) is expected
