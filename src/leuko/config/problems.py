"""What is wrong with a configuration: every problem with its place, its rule, a way out and a stable id."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from leuko.domain.errors import LeukoError

CODES: Mapping[str, str] = MappingProxyType(
    {
        "C001": "The file is not there, or cannot be read.",
        "C002": "The file is not UTF-8 text.",
        "C003": "The file is larger than 1 MiB.",
        "C004": "The file is not valid YAML.",
        "C005": "A key stands twice in the same mapping.",
        "C006": "The file is empty, or its top level is not keys and values.",
        "C007": "Too many aliases, or nested too deeply.",
        "C008": "A YAML feature that Leuko does not read: tags, several documents, keys that are not text.",
        "C009": "An unknown key.",
        "C010": "A required key is missing.",
        "C011": "A value of the wrong type.",
        "C012": "Not a duration.",
        "C013": "Not a share (a count or a percentage).",
        "C014": "Not a number of ticks.",
        "C015": "A number outside its range.",
        "C016": "Not one of the words that are known here.",
        "C017": "A name with characters that are not allowed.",
        "C018": "The environment asked for is not the one that the file says.",
        "C020": "A gauge has no source, or more than one.",
        "C021": "A source does not fit the kind of its gauge.",
        "C022": "A regular expression, metric or path of a source cannot be read.",
        "C023": "A limit bounds nothing, or bounds everything.",
        "C024": "A limit or a required change that a gauge of this kind cannot have.",
        "C025": "A command, database or secret that only the installation's own file may use in a gauge.",
        "C026": "A trend laid along what does not count.",
        "C030": "A role that does not exist.",
        "C031": "A host that does not exist.",
        "C032": "Two hosts with the same name, or a name that is not one.",
        "C033": "There is no host to push to.",
        "C034": "A phase that takes no host, or the phases together never reach every host.",
        "C035": "The inventory has no source, or two.",
        "C036": "An address, jump host or ssh option that cannot be used.",
        "C037": "A variable whose name cannot be used.",
        "C040": "A path that is not absolute where it must be, or leads out of its folder.",
        "C041": "Linked paths that contain each other, or stand twice.",
        "C042": "A time limit that contradicts another one.",
        "C043": "A window whose cron fields or time zone cannot be read.",
        "C044": "A command, expression or address that is empty.",
        "C045": "A slot kept for later: it would do nothing yet.",
        "C046": "A percentage outside of what it may be.",
        "C050": "A secret with no source, or more than one.",
        "C051": "A secret that does not exist.",
        "C052": "A secret's name that cannot be an environment variable.",
        "C053": "A secret that could not be read.",
        "C054": "A secret too short to be hidden in what is kept.",
        "C060": "An inventory that cannot be read.",
        "C061": "An inventory command that failed.",
        "C062": "An inventory group that does not exist, or gives no host.",
        "C065": "Two set-up nodes, suites or commands of the same name.",
        "C066": "A set-up node that does not exist, or stands further down.",
        "C067": "A suite without files.",
        "C068": "A report that nothing writes or reads.",
        "W001": "Nothing verifies a change.",
        "W002": "No gauge is watched: a push could not be judged.",
        "W003": "A pushed role has no required gauge.",
        "W004": "No `reload` hook: the application would go on running the old release.",
        "W005": "No health check.",
        "W006": "A notification address written in plain text.",
        "W007": "A watch too short for one of the limits.",
        "W008": "The first phase already takes every host of a role.",
        "W010": "Nobody is told when a push is rolled back.",
        "W011": "A window begins again before it has ended.",
        "W012": "No `stop` hook: a failed first push cannot stop the application.",
        "W013": "Only figures of the machine are watched: nothing tells what customers meet.",
    }
)
"""Stable ids; those with W are warnings: the configuration can be used."""


_LONGEST = 400


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong. `where` is `leuko.yml:31:14 push.phases[1].watch`."""

    where: str
    rule: str
    way_out: str = ""
    code: str = ""

    def __post_init__(self) -> None:
        # a value from the file may stand in these: it must neither break a line nor speak to a terminal
        for name in ("where", "rule", "way_out"):
            object.__setattr__(self, name, _on_one_line(getattr(self, name)))

    @property
    def warning(self) -> bool:
        """True when the configuration can be used all the same."""
        return self.code.startswith("W")

    def __str__(self) -> str:
        head = f"{self.where}: {self.rule}" if self.where else self.rule
        tail = f" [{self.code}]" if self.code else ""
        return head + tail + (f"\n  {self.way_out}" if self.way_out else "")


def _on_one_line(text: str) -> str:
    shown = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text
    )
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 3]}..."


class ConfigurationInvalid(LeukoError):  # noqa: N818 - named as `Refused` and `Unreachable` are
    """The configuration cannot be used. `problems` holds every error, in the order of the file."""

    exit_code = 3

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        first = self.problems[0]
        super().__init__(first.rule, where=first.where, way_out=first.way_out, code=first.code)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in getattr(self, "problems", ()))


def dotted(path: Iterable[str | int]) -> str:
    """`("push", "phases", 1, "watch")` as `push.phases[1].watch`."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{part}" if text else part
    return text
