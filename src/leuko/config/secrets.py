"""Secrets: read once from environment, file or command, and hidden in everything that is kept.

Values live in `Secrets` alone. The configuration, plans, digests and stored rows hold names only; a value in
a message, an output or an error becomes `***NAME***`.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import overload
from urllib.parse import quote, quote_plus

from leuko.config.model import Configuration, Secret
from leuko.config.problems import ConfigurationInvalid, Problem
from leuko.config.programs import NotRunError, printed
from leuko.domain.errors import LeukoError

SHORTEST = 4
LARGEST = 64 << 10
COMMAND_SECONDS = 30.0
REFERENCE = re.compile(r"secret:([A-Za-z_][A-Za-z0-9_]*)")


class Secrets:
    """Names and values; only `value`, `values` and `fill_in` ever give a value away."""

    def __init__(self, values: Mapping[str, str] | None = None) -> None:
        self._values = dict(values or {})
        forms = {form: name for name, value in self._values.items() for form in _forms(value)}
        self._names_by_form = forms
        self._names_by_bytes = {form.encode("utf-8", "surrogateescape"): name for form, name in forms.items()}
        # the longest first: a secret that begins another one must not leave the rest of that one behind
        ordered = sorted(forms, key=len, reverse=True)
        self._text = re.compile("|".join(map(re.escape, ordered))) if ordered else None
        self._bytes = (
            re.compile(b"|".join(re.escape(form.encode("utf-8", "surrogateescape")) for form in ordered))
            if ordered
            else None
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names, in the order of the file."""
        return tuple(self._values)

    def value(self, name: str) -> str:
        """One value, for the place that needs it."""
        return self._values[name]

    def values(self, names: Iterable[str] | None = None) -> dict[str, str]:
        """Values by name, for the 0600 file that hooks read: all, or those named."""
        return {name: self._values[name] for name in (self._values if names is None else names)}

    def fill_in(self, text: str) -> str:
        """The text with each `secret:NAME` replaced by its value: for an address, just before its use."""
        unknown = [name for name in REFERENCE.findall(text) if name not in self._values]
        if unknown:
            raise LeukoError(f'there is no secret "{unknown[0]}"', way_out="Name its source.", code="C051")
        return REFERENCE.sub(lambda match: self._values[match[1]], text)

    @overload
    def mask(self, text: str) -> str: ...
    @overload
    def mask(self, text: bytes) -> bytes: ...
    def mask(self, text: str | bytes) -> str | bytes:
        """The text with every value, also base64 or URL-encoded, replaced by `***NAME***`."""
        if isinstance(text, bytes):
            if self._bytes is None:
                return text
            return self._bytes.sub(lambda match: b"***%s***" % self._names_by_bytes[match[0]].encode(), text)
        if self._text is None:
            return text
        return self._text.sub(lambda match: f"***{self._names_by_form[match[0]]}***", text)

    @property
    def longest(self) -> int:
        """Bytes of the longest form: a reader that masks in pieces must keep this many over to the next."""
        return max((len(form) for form in self._names_by_bytes), default=0)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(self._values)})"

    def __reduce__(self) -> str:
        raise TypeError("secrets are not written down")


def _forms(value: str) -> set[str]:
    """How a value may turn up in output: as it is, quoted, encoded, or line by line."""
    raw = value.encode("utf-8", "surrogateescape")
    forms = {
        value,
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        json.dumps(value)[1:-1],
        json.dumps(value, ensure_ascii=False)[1:-1],
    }
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        # base64 depends on where in a group of three the value begins; cut off what its neighbours change
        for before in range(3):
            encoded = encode(b"\0" * before + raw).decode("ascii").rstrip("=")
            begin = (0, 2, 3)[before]
            end = len(encoded) - (1 if (before + len(raw)) % 3 else 0)
            forms.add(encoded[begin:end])
        forms.add(encode(raw).decode("ascii"))
    # a key of many lines is printed line by line as well
    forms |= {line for line in value.splitlines() if len(line) >= 2 * SHORTEST}
    return {form for form in forms if len(form) >= SHORTEST}


async def resolve(
    configuration: Configuration, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> Secrets:
    """Reads every secret; raises ConfigurationInvalid that names each one that could not be read.

    `folder` is where leuko.yml lies: relative files are looked for there, and commands run there.
    """
    variables = os.environ if environment is None else environment
    place = folder or Path()
    entries = configuration.secrets.items()
    found = await asyncio.gather(*(_read(name, secret, place, variables) for name, secret in entries))
    problems = [result for result in found if isinstance(result, Problem)]
    if problems:
        raise ConfigurationInvalid(problems)
    return Secrets(
        {name: result for (name, _), result in zip(entries, found, strict=True) if isinstance(result, str)}
    )


async def _read(name: str, secret: Secret, folder: Path, variables: Mapping[str, str]) -> str | Problem:
    where = f"secrets.{name}"
    try:
        if secret.env:
            value = _from_environment(secret.env, variables)
        elif secret.file:
            value = await asyncio.to_thread(_from_file, folder / secret.file)
        else:
            value = await _from_command(secret.command, folder)
    except _NotReadError as error:
        return Problem(where, str(error), error.way_out, "C053")
    value = value.removesuffix("\n").removesuffix("\r")
    if len(value) < SHORTEST:
        rule = f"has only {len(value)} characters: it could not be hidden in what is kept"
        return Problem(where, rule, f"Use a value of at least {SHORTEST} characters.", "C054")
    if "\0" in value:
        return Problem(
            where, "holds a zero byte, which no environment or file of variables can hold", "", "C053"
        )
    return value


class _NotReadError(Exception):
    """Why, in words that hold nothing of the value."""

    def __init__(self, rule: str, way_out: str = "") -> None:
        super().__init__(rule)
        self.way_out = way_out


def _from_environment(name: str, variables: Mapping[str, str]) -> str:
    if name not in variables:
        raise _NotReadError(
            f"is to come from the environment variable {name}, which is not set",
            "Set it where `leuko serve` is started.",
        )
    return variables[name]


def _from_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise _NotReadError(f"is to come from {path}, which cannot be read: {error.strerror}") from None
    return _decoded(content, str(path))


async def _from_command(argv: tuple[str, ...], folder: Path) -> str:
    # only the program is named: its arguments, and what it complains of, may be what nobody should read
    program = f"`{argv[0]}`"
    try:
        result = await printed(argv, folder, seconds=COMMAND_SECONDS, most=LARGEST)
    except NotRunError as error:
        raise _NotReadError(f"is to come from {program}, which {error}") from None
    if result.status != 0:
        raise _NotReadError(
            f"is to come from {program}, which ended with {result.status}", "Run it by hand to see why."
        )
    return _decoded(result.output, program)


def _decoded(content: bytes, source: str) -> str:
    if len(content) > LARGEST:
        raise _NotReadError(f"is to come from {source}, which gives more than {LARGEST >> 10} KiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise _NotReadError(
            f"is to come from {source}, which gives something that is not UTF-8 text"
        ) from None
