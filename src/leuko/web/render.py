"""Templates, and the few words and figures that they need."""

from __future__ import annotations

import hashlib
import mimetypes
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from leuko.statistics.trends_sentences import amount
from leuko.web import words
from leuko.web.sparks import spark

_CODE = re.compile(r"`([^`\n]{1,200})`")
_SLUG = re.compile(r"[^A-Za-z0-9_-]+")
TONES = {
    "good": {"live", "passed", "pass", "green", "reachable", "switched", "accepted", "no lock", "done"},
    "bad": {"rolled_back", "stuck", "failed", "fail", "red", "unreachable", "refused", "rolling_back", "no"},
    "wait": {
        "held",
        "pending",
        "hold",
        "broken",
        "quarantined",
        "differs",
        "waiting",
        "left out",
        "restored",
    },
    "run": {
        "staging",
        "switching",
        "watching",
        "completing",
        "running",
        "verifying",
        "continue",
        "restoring",
    },
}
_TONE = {word: tone for tone, words_ in TONES.items() for word in words_}


def state(word: str) -> str:
    """`ROLLING_BACK` as people say it."""
    return word.replace("_", " ").lower() if word.isupper() else word


def tone(word: str) -> str:
    """The colour family of a state; `was live ...` and the like go by their first word that is known."""
    plain = word.lower().replace("rolled back", "rolled_back")
    if plain in _TONE:
        return _TONE[plain]
    first = re.split(r"[ ,:]", plain, maxsplit=1)[0]
    return _TONE.get(first, "")


def codes(sentence: str) -> Markup:
    """What stands between backticks becomes code; everything is escaped first."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(sentence))))  # noqa: S704 - escaped in this line


def iso(moment: datetime) -> str:
    """For `<time datetime>`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clock(moment: datetime, now: datetime) -> str:
    """`14:36:40`, with the date where it is not today's."""
    return f"{moment:%H:%M:%S}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M:%S}"


def signed(value: float) -> str:
    """`+1.2`."""
    shown = words.figure(value)
    return f"+{shown}" if value > 0 else shown


def percent(value: float) -> str:
    """`+19.8 %`."""
    return f"{value:+,.0f} %" if abs(value) >= 100 else f"{value:+.1f} %"


def capitalize_first(text: str) -> str:
    """The rest stays as it is."""
    return text[:1].upper() + text[1:]


def environment() -> Environment:
    """Escapes everything; an unknown name in a template is an error."""
    made = Environment(
        loader=PackageLoader("leuko.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters |= {
        "state": state,
        "tone": tone,
        "codes": codes,
        "iso": iso,
        "moment": datetime.fromisoformat,
        "clock": clock,
        "span": words.span,
        "short": words.short,
        "figure": words.figure,
        "names": words.names,
        "signed": signed,
        "percent": percent,
        "amount": amount,
        "spark": spark,
        "capitalize_first": capitalize_first,
        "slug": lambda text: _SLUG.sub("-", text),
    }
    return made


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages load."""

    body: bytes
    media_type: str
    etag: str


class Pages:
    """Everything that comes out of the package's own files, read once."""

    def __init__(self) -> None:
        self._environment = environment()
        for name in self._environment.list_templates(["html"]):
            self._environment.get_template(name)  # compiled now, not while somebody waits
        self.assets = dict(_assets(files("leuko.web") / "static", ""))
        whole = b"".join(asset.body for _, asset in sorted(self.assets.items()))
        self._environment.globals["version"] = hashlib.sha256(whole).hexdigest()[:10]

    def render(self, name: str, **values: Any) -> str:
        """A page."""
        return self._environment.get_template(name).render(**values)


def _assets(folder: Traversable, prefix: str) -> list[tuple[str, Asset]]:
    found: list[tuple[str, Asset]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _assets(entry, f"{prefix}{entry.name}/")
        else:
            body = entry.read_bytes()
            kind = mimetypes.guess_type(entry.name)[0] or "application/octet-stream"
            found.append((prefix + entry.name, Asset(body, kind, hashlib.sha256(body).hexdigest()[:16])))
    return found
