"""One awk program for all gauges of a log: what a reader costs its host is the number of its processes.

Only expressions that mean the same to every awk as they mean to grep and sed are asked in it; the host
program asks the others one by one, and all of them where its awk does not understand the program.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from leuko.config.model import Gauge
from leuko.config.sources import LogSource

_ODD = re.compile(
    r"""\{|\[[:.=]                      # repetitions and classes: not in every awk
      |\\(?![.*+?()|^$/])               # GNU's own signs
      |(?:^|[(|^])[*+?]                 # a repetition of nothing
      |(?:^|[(|])(?:[|)]|$)             # an empty alternative
      |\|$""",
    re.VERBOSE,
)
_NUMBER = "^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$"
# mawk's match() finds where a match begins, but not always its longest one: `~` alone is trusted for that
_INSIDE = """
function inside(text, whole, head, group, tail,   a, b) {
    for (a = length(text); a > 0 && substr(text, 1, a) !~ whole; a--);
    text = substr(text, 1, a)
    for (a = length(text); a >= 0; a--) if (substr(text, 1, a) ~ head)
        for (b = length(text) - a; b >= 0; b--)
            if (substr(text, a + 1, b) ~ group && substr(text, a + b + 1) ~ tail)
                return substr(text, a + 1, b)
    return ""
}
"""


def plain(expression: str) -> bool:
    """True where awk reads the expression as grep does."""
    if not expression or not expression.isascii() or not expression.isprintable():
        return False
    return not _ODD.search(expression) and not ("[" in expression and "\\" in expression)


def parts(expression: str) -> tuple[str, str, str] | None:
    """What is before the only group of an expression, the group, and what is after it."""
    if not plain(expression) or "\\" in expression or "|" in expression:
        return None
    if expression.count("(") != 1 or expression.count(")") != 1:
        return None
    head, _, rest = expression.partition("(")
    group, found, tail = rest.partition(")")
    if not found or not group or (tail and tail[0] in "*+?"):
        return None
    head, tail = head.removeprefix("^"), tail.removesuffix("$")
    cut_open = any(part.count("[") != part.count("]") for part in (head, group, tail))
    return None if cut_open else (head, group, tail)


def passes(gauges: Sequence[Gauge]) -> Mapping[str, tuple[str, tuple[int, ...]]]:
    """File -> awk program, and the places of the gauges that it answers, in the order of its answers."""
    by_file: dict[str, list[tuple[int, str, str]]] = {}
    for place, gauge in enumerate(gauges):
        if gauge.log is None:
            continue
        each = _asked(place, gauge.kind, gauge.log)
        if each is not None:
            by_file.setdefault(gauge.log.file, []).append((place, *each))
    return {file: (_program(asked), tuple(place for place, _, _ in asked)) for file, asked in by_file.items()}


def _program(asked: Sequence[tuple[int, str, str]]) -> str:
    """A sign comes after the log's last byte, so the last record is the unfinished line and is left out."""
    each = "\n".join(line for _, line, _ in asked)
    told = "; ".join(end for _, _, end in asked)
    return f"""{_INSIDE if "inside(" in each else ""}
{{ line = held; held = $0 }}
NR > 1 {{
bytes += length(line) + 1
{each}
}}
END {{ printf "%d %d", NR - 1, bytes; {told} }}
"""


def _asked(place: int, kind: str, log: LogSource) -> tuple[str, str] | None:
    """What is done with each line, and what is printed in the end: value and denominator."""
    if not plain(log.match):
        return None
    hit = f"line ~ {_text(log.match)}"
    counted = f"if ({hit}) c{place}++"
    if kind == "count":
        return counted, f'printf " %d -", c{place}'
    if kind == "ratio" and not log.of:
        return counted, f'printf " %d %d", c{place}, NR - 1'
    if kind == "ratio":
        if not plain(log.of):
            return None
        return f"{counted}\nif (line ~ {_text(log.of)}) n{place}++", f'printf " %d %d", c{place}, n{place}'
    return _level(place, hit, log.value or log.match)


def _level(place: int, hit: str, value: str) -> tuple[str, str] | None:
    cut = parts(value)
    if cut is None:
        return None
    head, group, tail = (_text(f"^({part})$" if part else "^$") for part in cut)
    whole = _text("^({}({}){})$".format(*cut))
    each = (
        f"if ({hit} && match(line, {_text(value)})) {{\n"
        f"  split(inside(substr(line, RSTART), {whole}, {head}, {group}, {tail}), word)\n"
        f"  if (word[1] ~ {_text(_NUMBER)}) {{ s{place} += word[1]; n{place}++ }}\n}}"
    )
    said = f'if (n{place}) printf " %.9g -", s{place} / n{place}; else printf " - -"'
    return each, said


def _text(expression: str) -> str:
    """A string of awk."""
    return '"' + expression.replace("\\", "\\\\").replace('"', '\\"') + '"'
