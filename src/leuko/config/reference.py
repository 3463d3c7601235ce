"""docs/reference/configuration.md, made from the model: `python -m leuko.config.reference > ...`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from leuko.config import shape
from leuko.config.model import Configuration
from leuko.config.problems import CODES
from leuko.config.quantities import Duration, PercentageText, ShareText, TickCount
from leuko.config.section import Section

_PLAIN = {str: "text", int: "whole number", float: "number", bool: "`true`, `false`"}
_HEAD = """\
# leuko.yml

One file describes one application in one environment. This page is made from the model that reads it
(`python -m leuko.config.reference`); [examples/leuko.reference.yml](../../examples/leuko.reference.yml)
is the same as one annotated file.

## How the file is read

- It is YAML 1.2 in UTF-8, at most 1 MiB. A key that stands twice is refused; so is a key that Leuko does
  not know, with the nearest one that it does. Keys that begin with `x-` are yours, anywhere; aliases
  work.
- `leuko.<environment>.yml` beside it is laid over it: keys are merged, lists and values replaced, and
  `null` takes away what the first file says.
- A key with nothing behind it has its default.
- **Durations** are `500ms`, `30s`, `5m`, `1h30m`, `2d`, or a number of seconds. **Shares** are a count
  (`2`) or a percentage (`"10%"`). **Ticks** are a number of sampling intervals (`12`, `"12 ticks"`) or a
  duration.
- A host may be its name alone, a role a list of hosts, and `www[01:20].example.com` stands for twenty
  hosts.
- Every error is told at once, with file, line, column, rule and a way out:

  ```
  leuko.yml:31:14 fleet.health.timeout: should be a duration such as "30s", ... not "5 minutes" [C012]
    Units are ms, s, m, h and d; `1h30m` works too.
  ```

## What may come from a commit

A commit may carry a `leuko.yml` of its own (`revision_file`). From it come `verify`, `release`, the
components' `release`, `fleet.hooks`, `fleet.health`, `fleet.running` and `gauges`. Everything else comes
only from the installation's own file; where the commit says otherwise, that is ignored and shown in
`leuko plan`. A commit can add gauges and tighten limits; it cannot loosen the installation's limits or
take its gauges out. A push that changes gauges or limits is judged by the stricter of old and new.
"""


def markdown() -> str:
    """The whole page."""
    parts = [_HEAD, "## Keys\n", *_sections(), "## What is refused, and warned of\n", _codes()]
    return "\n".join(parts)


def _sections() -> Iterator[str]:
    yield _table("At the top level", Configuration, ())
    for path, field in shape.fields():
        kind = shape.bare(field.annotation)
        inner = shape.bare(get_args(kind)[-1 if get_origin(kind) is dict else 0]) if get_args(kind) else kind
        if not shape.is_section(inner):
            continue
        if "release" in path[1:]:
            continue  # the components' release is as the one at the top level
        mark = ".<name>" if get_origin(kind) is dict else "[]" if get_origin(kind) is tuple else ""
        yield _table(f"`{'.'.join(path)}{mark}`", inner, path)


def _table(title: str, section: type[Section], path: tuple[str, ...]) -> str:
    lines = [f"### {title}\n"]
    if path and section.__doc__:
        lines.append(" ".join(section.__doc__.split()) + "\n")
    lines += ["| key | value | default | |", "| --- | --- | --- | --- |"]
    for name, field in section.model_fields.items():
        meaning = (field.description or "").replace("|", "\\|")
        lines.append(f"| `{name}` | {_value(field)} | {_default(field)} | {meaning} |")
    return "\n".join(lines) + "\n"


def _value(field: FieldInfo) -> str:
    kind = shape.bare(field.annotation)
    quantity = _quantity(field)
    if quantity:
        return quantity
    inner = shape.bare(get_args(kind)[-1 if get_origin(kind) is dict else 0]) if get_args(kind) else None
    match get_origin(kind):
        case origin if origin is Literal:
            return _words(kind)
        case origin if origin is dict:
            return "name: keys" if shape.is_section(inner) else "name: text"
        case origin if origin is tuple:
            words = _words(inner) if get_origin(inner) is Literal else "text"
            return "list" if shape.is_section(inner) else f"list of {words}"
    return _PLAIN.get(kind, "keys")


def _words(kind: Any) -> str:
    return ", ".join(f"`{word}`" for word in get_args(kind))


def _quantity(field: FieldInfo) -> str:
    names = (
        (Duration, "duration"),
        (ShareText, "share"),
        (PercentageText, "percentage"),
        (TickCount, "ticks"),
    )
    for annotated, word in names:
        parser = get_args(annotated)[1]
        written = (*field.metadata, *(item for part in get_args(field.annotation) for item in get_args(part)))
        if parser in written:
            return word
    return ""


def _default(field: FieldInfo) -> str:
    value: Any = field.get_default()
    if field.is_required() or value is PydanticUndefined:
        return "*required*"
    if value in ("", None, (), {}) or isinstance(value, Section):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if _quantity(field) == "duration":
        return f"`{_duration(value)}`"
    if isinstance(value, tuple):
        return "see below" if isinstance(value[0], Section) else ", ".join(f"`{item}`" for item in value)
    return f"`{value}`"


def _duration(seconds: float) -> str:
    for unit, size in (("h", 3600), ("m", 60)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g}{unit}"
    return f"{seconds:g}s"


def _codes() -> str:
    lines = [
        "Each has a stable id. Those with W are warnings: `leuko check` prints them; the file can be used.\n",
        "| id | |",
        "| --- | --- |",
        *(f"| {code} | {meaning} |" for code, meaning in CODES.items()),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
