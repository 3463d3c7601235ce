"""The forms of the page of limits, as intents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from leuko.domain.errors import LeukoError
from leuko.domain.intent import IntentKind
from leuko.web.wishes import Wish


def limit_wish(word: str, form: Mapping[str, str]) -> Wish:
    """What the buttons Set, Clear and Try mean, with the fields beside them."""
    why = form.get("why", "")
    arguments: dict[str, Any] = {"gauge": form.get("gauge", ""), **_place(form.get("place", ""))}
    if word == "clear-limit":
        arguments["clear"] = True
    else:
        arguments |= {name: _number(form, name) for name in ("above", "below") if form.get(name, "").strip()}
        arguments |= {"readings": int(_number(form, "readings"))} if form.get("readings") else {}
    if word == "try-limit":
        budget = form.get("budget", "").strip().removesuffix("%").strip()
        if budget:
            arguments["budget"] = _number({"budget": budget}, "budget") / 100.0
        if not {"above", "below"} & arguments.keys():
            arguments.pop("gauge")
        return Wish(IntentKind.TRY, arguments={k: v for k, v in arguments.items() if v != ""}, why=why)
    seen = form.get("seen", "")
    if seen.isascii() and seen.isdigit() and len(seen) < 16:
        arguments["seen"] = int(seen)
    return Wish(IntentKind.LIMIT, arguments=arguments, why=why)


def _place(text: str) -> dict[str, str]:
    """`host`, `aggregate`, `host role www`, `aggregate role www`, `host host www3`: a select's value."""
    scope, _, rest = text.partition(" ")
    kind, _, name = rest.partition(" ")
    found = {"scope": scope or "host"}
    if kind in ("role", "host") and name:
        found[kind] = name
    return found


def _number(form: Mapping[str, str], name: str) -> float:
    try:
        return float(form[name].strip().replace(",", "."))
    except ValueError:
        raise LeukoError(
            f"should be a number, not {form[name][:40]!r}",
            where=name,
            way_out="load the page again and correct it",
            code="W020",
        ) from None
