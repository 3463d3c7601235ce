"""Errors that the web itself finds, and how every error is answered."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from leuko.domain.errors import LeukoError, Refused


class NotThere(LeukoError):  # noqa: N818 - it is an answer
    """What was asked for does not exist."""

    status = HTTPStatus.NOT_FOUND

    def __init__(self, where: str, rule: str, way_out: str = "") -> None:
        super().__init__(rule, where=where, way_out=way_out, code="W001")


class NotAllowed(LeukoError):  # noqa: N818 - it is an answer
    """Who asks may not: 401 without a token, 403 with something wrong about it, 429 after too many tries."""

    def __init__(self, rule: str, *, way_out: str, code: str, status: HTTPStatus) -> None:
        super().__init__(rule, way_out=way_out, code=code)
        self.status = status


def error_body(error: LeukoError) -> dict[str, Mapping[str, str]]:
    """The body of an error's answer."""
    fields = {"where": error.where, "rule": error.rule, "way_out": error.way_out, "code": error.code}
    return {"error": fields}


def status_of(error: LeukoError) -> int:
    """Refused is 409; what the store cannot do now is 503; a fault of the asker 400."""
    known: Any = getattr(error, "status", None)
    if known is not None:
        return int(known)
    if isinstance(error, Refused):
        return HTTPStatus.CONFLICT
    if error.code.startswith("S00"):
        return HTTPStatus.SERVICE_UNAVAILABLE
    return HTTPStatus.BAD_REQUEST
