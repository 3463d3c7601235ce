"""JSON Schema of leuko.yml, for editors: completion and red lines while a person types."""

from __future__ import annotations

from typing import Any

from leuko.config.model import Configuration

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """The schema: the model, and what loading allows besides (short forms, `x-` keys, numbers as text)."""
    schema = Configuration.model_json_schema(mode="validation")
    definitions = schema["$defs"]
    for section in (schema, *definitions.values()):
        _open_for_extras(section)
    definitions["HostEntry"] = _or(
        definitions["HostEntry"], {"type": "string", "description": "Its name alone."}
    )
    definitions["Role"] = _or(
        definitions["Role"],
        {"type": "array", "items": {"$ref": "#/$defs/HostEntry"}, "description": "Its hosts."},
    )
    definitions["SetupNode"] = _or(
        definitions["SetupNode"], {"type": "string", "description": "Its command alone."}
    )
    definitions["GaugeTrend"] = _or(
        definitions["GaugeTrend"], {"type": "boolean", "description": "Watched, or not."}
    )
    # an overlay, and a revision's own file, leave these out
    schema.pop("required", None)
    return {"$schema": _DIALECT, **schema, "title": "leuko.yml"}


def _open_for_extras(node: Any) -> None:
    if isinstance(node, list):
        for item in node:
            _open_for_extras(item)
    elif isinstance(node, dict):
        if node.get("additionalProperties") is False:
            node["patternProperties"] = {"^x-": {}}
        elif "additionalProperties" in node:  # names of the user's own
            inner = node.pop("additionalProperties")
            node["patternProperties"] = {"^x-": {}, "^(?!x-)": inner}
        for key, value in list(node.items()):
            if key not in ("default", "examples", "enum"):
                _open_for_extras(value)
        if node.get("type") == "string" and "enum" not in node and "const" not in node:
            node["type"] = ["string", "number"]


def _or(full: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [full, short]}
