"""Secrets in what tests print at a farm: hidden before anything is kept or shown."""

from __future__ import annotations

from dataclasses import replace

from leuko.domain.case import CaseEnded, CaseEvent
from leuko.verify.capture import Mask, unmasked
from leuko.verify.engine import BatchEnd, OnCase


def masked(on_case: OnCase, mask: Mask) -> OnCase:
    """Tells on with secrets hidden."""
    if mask is unmasked:
        return on_case

    def told(event: CaseEvent) -> None:
        if isinstance(event, CaseEnded):
            result = event.result
            hidden = replace(result, reason=_hidden(result.reason, mask), output=_hidden(result.output, mask))
            event = CaseEnded(hidden)
        on_case(event)

    return told


def masked_end(end: BatchEnd, mask: Mask) -> BatchEnd:
    """The same for the end of a batch."""
    return replace(end, reason=_hidden(end.reason, mask), output=_hidden(end.output, mask))


def _hidden(text: str, mask: Mask) -> str:
    return mask(text.encode("utf-8", "backslashreplace")).decode("utf-8", "replace")
