"""What pydantic refuses, said in the words of a person who reads a file."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic_core import ErrorDetails

from leuko.config import shape
from leuko.config.problems import Problem, dotted
from leuko.config.tree import Tree, walk

Path = tuple[str | int, ...]

_QUANTITIES = {
    "a duration": ("C012", "Units are ms, s, m, h and d; `1h30m` works too."),
    "a count such as": ("C013", 'A percentage needs its sign: "10%".'),
    "a number of ticks": ("C014", "A tick is the sampling interval, `tick` at the top level."),
}
_BOUNDS = {
    "greater_than_equal": ("ge", "at least"),
    "greater_than": ("gt", "more than"),
    "less_than_equal": ("le", "at most"),
    "less_than": ("lt", "less than"),
}
_WANTED = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "tuple": "a list",
    "dict": "keys and values",
    "model": "keys and values",
}


def complaints(errors: Iterable[ErrorDetails], tree: Tree) -> list[Problem]:
    """One problem for each error, in the order of the file."""
    problems = {_complaint(error, tree): None for error in errors}
    return list(problems)


def _complaint(error: ErrorDetails, tree: Tree) -> Problem:
    path = _path(error["loc"])
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    where = tree.where(path)
    match kind:
        case "extra_forbidden":
            place = tree.places.get(path)
            where = f"{place.at_key if place else tree.at(path)} {dotted(path)}"
            way_out = shape.nearest(str(path[-1]), path[:-1])
            problem = Problem(where, "is not a key that Leuko knows", way_out, "C009")
        case "missing":
            problem = _missing(path, tree)
        case "value_error":
            problem = _wrong_quantity(str(context.get("error", error["msg"])), where)
        case "greater_than_equal" | "greater_than" | "less_than_equal" | "less_than":
            name, words = _BOUNDS[kind]
            problem = Problem(where, f"should be {words} {context[name]:g}, not {shown(value)}", "", "C015")
        case "finite_number":
            problem = Problem(where, f"should be a number with an end, not {shown(value)}", "", "C015")
        case "literal_error":
            known = str(context.get("expected", "")).replace("'", "").replace(" or ", ", ").split(", ")
            problem = Problem(where, f"should be {_either(known)}, not {shown(value)}", "", "C016")
        case "string_pattern_mismatch":
            rule = f"should be at most 63 lower-case letters, digits and hyphens, not {shown(value)}"
            way_out = "It begins with a letter: it becomes a folder name, an address and a key."
            problem = Problem(where, rule, way_out, "C017")
        case _:
            problem = _wrong_type(kind, value, where)
    return problem


def _wrong_quantity(rule: str, where: str) -> Problem:
    for beginning, (code, way_out) in _QUANTITIES.items():
        if f"should be {beginning}" in rule:
            return Problem(where, rule, way_out, code)
    return Problem(where, rule, "", "C011")


def _missing(path: Path, tree: Tree) -> Problem:
    around = path[:-1]
    where = f"{tree.at(around)} {dotted(path)}"
    if path in tree.places:
        return Problem(tree.where(path), "is empty, and has to be given", "", "C010")
    return Problem(where, "is missing", f"Add `{path[-1]}: ...` here.", "C010")


def _wrong_type(kind: str, value: Any, where: str) -> Problem:
    wanted = next((words for name, words in _WANTED.items() if kind.startswith(name)), "")
    rule = f"should be {wanted or 'something else'}, not {shown(value)}"
    way_out = ""
    if wanted == "text" and isinstance(value, bool | int | float):
        way_out = f'Put quotes around it: "{str(value).lower() if isinstance(value, bool) else value}".'
    elif wanted == "a list" and isinstance(value, str | int | float):
        way_out = f"Write it as a list: [{value}]."
    elif wanted == "keys and values" and isinstance(value, list):
        way_out = "Take the hyphens out: each entry is `name: ...`."
    return Problem(where, rule, way_out, "C011")


def no_truth_for_numbers(tree: Tree) -> list[Problem]:
    """True and false where a number stands: pydantic would read them as 1 and 0."""
    return [
        Problem(tree.where(path), f"should be a number, not {shown(value)}", "", "C011")
        for path, value in walk(tree.data)
        if isinstance(value, bool) and shape.at(path) in (int, float)
    ]


def _path(loc: tuple[int | str, ...]) -> Path:
    """Where in the file: pydantic's marks for a key and for a branch of a union are left out."""
    path = tuple(part for part in loc if part != "[key]")
    return path[:-1] if path and path[-1] in ("int", "float") and shape.at(path) is None else path


def shown(value: Any) -> str:
    """A value as it may stand in a message: short, on one line."""
    if isinstance(value, str):
        text = " ".join(value.split())
        return f'"{text[:57]}..."' if len(text) > 60 else f'"{text}"'
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list | tuple):
        return "a list"
    return str(value)


def _either(words: list[str]) -> str:
    quoted = [f'"{word}"' for word in words if word]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} or {quoted[-1]}"
