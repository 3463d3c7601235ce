"""Which paths a release leaves out: glob patterns in the manner of `.gitignore`."""

from __future__ import annotations

import re
from collections.abc import Iterable


class Patterns:
    """`*.log` matches a name anywhere; `tmp/*.log` and `/tmp` match from the top; `**` crosses folders."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._compiled = [re.compile(_expression(pattern), re.DOTALL) for pattern in patterns if pattern]

    def match(self, path: bytes) -> bool:
        """True for a path (relative to the tree) that is left out."""
        return any(expression.fullmatch(path) for expression in self._compiled)


def _expression(pattern: str) -> bytes:
    text = pattern.rstrip("/")
    anchored = "/" in text
    parts = [_part(part) for part in text.strip("/").split("/")]
    body = b""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part is None:
            body += b".*" if last else b"(?:.*/)?"
        else:
            body += part if last else part + b"/"
    return body if anchored else b"(?:.*/)?" + body


def _part(part: str) -> bytes | None:
    if part == "**":
        return None
    out = b""
    for piece in re.split(r"(\[[!^]?[^]]+\]|\*|\?)", part):
        if piece == "*":
            out += b"[^/]*"
        elif piece == "?":
            out += b"[^/]"
        elif len(piece) > 2 and piece.startswith("[") and piece.endswith("]"):
            inside = re.sub(r"([\\\\\[&~|])", r"\\\1", piece[1:-1]).encode()
            out += b"[^" + inside[1:] + b"]" if inside[:1] in (b"!", b"^") else b"[" + inside + b"]"
        else:
            out += re.escape(piece.encode())
    return out
