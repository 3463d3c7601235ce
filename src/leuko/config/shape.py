"""What the model has at a path: which keys are known there, and what a value there may be."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel

from leuko.config.model import Configuration

Path = tuple[str | int, ...]


def bare(annotation: Any) -> Any:
    """The annotation without Optional and Annotated."""
    if get_origin(annotation) is Annotated:
        return bare(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        kinds = [bare(part) for part in get_args(annotation) if part is not NoneType]
        return kinds[0] if len(kinds) == 1 else annotation
    return annotation


def at(path: Path, model: Any = Configuration) -> Any:
    """The annotation at a path, or None where the model has nothing."""
    kind = bare(model)
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = bare(field.annotation) if field else None
        elif get_origin(kind) is dict:
            kind = bare(get_args(kind)[1])
        elif get_origin(kind) is tuple and isinstance(part, int):
            kind = bare(get_args(kind)[0])
        else:
            return None
    return kind


def is_section(kind: Any) -> bool:
    """True for a model with keys of its own."""
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def is_named(kind: Any) -> bool:
    """True for a mapping whose keys are the user's own names (gauges, roles, secrets)."""
    return get_origin(kind) is dict


_ELSEWHERE: dict[str, str | dict[Path, str]] = {
    "user": {("verify",): "verify_user"},
    "deploy_to": "fleet.root",
    "keep_releases": "fleet.keep",
    "max_fail_percentage": "push.budget.unreachable",
    "serial": "push.phases",
    "servers": "fleet.roles",
    "hosts": {(): "fleet.roles"},
    "service": {(): "application"},
}
"""Words that people bring along from other tools, or would look for here, and where they stand in ours."""


def _brought_along(key: str, path: Path) -> str:
    ours = _ELSEWHERE.get(key, "")
    return ours.get(path, "") if isinstance(ours, dict) else ours


def nearest(key: str, path: Path) -> str:
    """The way out for an unknown key: the nearest known one here, else where that key is known."""
    kind = at(path)
    known = list(kind.model_fields) if is_section(kind) else []
    snake = _snake(key)
    if snake in known:
        return f"Write `{snake}`."
    ours = _brought_along(snake, path)
    if ours:
        return f"Here it is `{ours}`."
    close = difflib.get_close_matches(snake, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean `{close[0]}`?"
    elsewhere = sorted(
        {dotted for name, dotted in _everywhere() if name == snake}, key=lambda text: (text.count("."), text)
    )
    if elsewhere:
        return f"`{snake}` is known as `{elsewhere[0]}`."
    return f"Known here: {', '.join(known)}." if known else ""


def _snake(key: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", key).replace("-", "_").replace(" ", "_").lower()


@cache
def _everywhere() -> tuple[tuple[str, str], ...]:
    return tuple((path[-1], ".".join(path)) for path, _ in fields())


def fields(kind: Any = Configuration, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the model with its field, in order: lists as `[]`, names of the user's own as `<name>`."""
    kind = bare(kind)
    if is_section(kind):
        for name, field in kind.model_fields.items():
            yield (*path, name), field
            yield from fields(field.annotation, (*path, name))
    elif get_origin(kind) is dict:
        yield from fields(get_args(kind)[1], (*path, "<name>"))
    elif get_origin(kind) is tuple:
        inner = bare(get_args(kind)[0])
        if is_section(inner):
            yield from fields(inner, (*path[:-1], f"{path[-1]}[]"))
