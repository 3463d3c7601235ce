"""Values of the domain to JSON and back. Fields that a row is too old to have get their defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Plain lists, dicts, texts and numbers."""
    return msgspec.to_builtins(value, str_keys=True, enc_hook=_encode)


def from_json(value: Any, kind: type[T]) -> T:
    """The value again."""
    return msgspec.convert(value, kind, dec_hook=_decode)


def _encode(value: Any) -> Any:
    if isinstance(value, Mapping):  # a read-only view, as frozen values hold
        return dict(value)
    raise NotImplementedError(f"{type(value).__name__} does not go into a row")


def _decode(kind: type, value: Any) -> Any:
    raise NotImplementedError(f"{kind} does not come from a row: {value!r}")
