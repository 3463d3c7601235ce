"""YAML text as plain values with the place of each: what `loading.py` merges and checks.

The nodes that ruamel.yaml composes carry a line and a column each; plain values are made from them here, so
that a duplicate key is seen with both of its places, and an alias bomb is stopped before it is unfolded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from leuko.config.problems import Problem, dotted

Path = tuple[str | int, ...]
LARGEST = 1 << 20
EMPTY = "is empty"
_TOO_DEEP = "is nested too deeply to be a configuration"
MOST_VALUES = 100_000
DEEPEST = 40
MOST_OPEN = 400
_HALF = re.compile("[\ud800-\udfff]")
_TAG = "tag:yaml.org,2002:"
_PLAIN = frozenset({"str", "int", "float", "bool", "null", "timestamp"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands. For a list or mapping it is the place of its key. `raw` is a scalar's text."""

    file: str
    line: int
    column: int
    key_line: int
    key_column: int
    raw: str | None = None

    def __str__(self) -> str:
        if self.raw is None:
            return self.at_key
        return f"{self.file}:{self.line}:{self.column}"

    @property
    def at_key(self) -> str:
        """Place of the key."""
        return f"{self.file}:{self.key_line}:{self.key_column}"


@dataclass(slots=True)
class Tree:
    """Plain values, the place of each by its path, and what was wrong on the way."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    places: dict[Path, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def at(self, path: Path) -> str:
        """The place of a path, or of the nearest thing around it that was written down."""
        while path and path not in self.places:
            path = path[:-1]
        return str(self.places[path]) if path else f"{self.name}:1:1"

    def where(self, path: Path) -> str:
        """Place and dotted path, as errors begin."""
        return f"{self.at(path)} {dotted(path)}".rstrip()


def read(content: bytes | str, name: str) -> Tree:
    """The tree of a file's content. Never raises: what is wrong is in `problems`."""
    tree = Tree(name)
    text = _text(content, tree)
    if text is None:
        return tree
    if _opened(text) > MOST_OPEN:  # ruamel.yaml would take seconds to find that out
        _refuse(tree, _TOO_DEEP, "Look for stray brackets.", "C007")
        return tree
    try:
        node = YAML(typ="safe", pure=True).compose(text)
        if isinstance(node, MappingNode):
            tree.data = _Unfolding(tree).mapping(node, (), 0)
        elif node is None:
            _refuse(tree, EMPTY, "Run `leuko init` to write a first one.", "C006")
        else:
            rule = f"holds {_kind(node)} at its top level, and should hold keys and values"
            _refuse(tree, rule, "Begin with `application: my-application`.", "C006")
    except _Stop as stop:
        tree.data = {}
        _refuse(tree, stop.rule, stop.way_out, "C007", stop.mark)
    except RecursionError:
        _refuse(tree, _TOO_DEEP, "Look for stray brackets.", "C007")
    except MarkedYAMLError as error:
        rule, way_out = _yaml_problem(error)
        _refuse(tree, rule, way_out, "C008" if "document" in rule else "C004", error.problem_mark)
    except ReaderError as error:
        before = text[: error.position]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        character = (
            error.character if isinstance(error.character, int) else ord(str(error.character)[:1] or "\0")
        )
        rule = f"holds a character that no text file should (U+{character:04X})"
        _refuse(tree, rule, "Delete it, or write it as an escape in double quotes.", "C002", (line, column))
    except (YAMLError, ValueError) as error:
        _refuse(tree, f"is not valid YAML: {_one_line(str(error))}", "", "C004")
    return tree


def merge(under: Tree, over: Tree) -> Tree:
    """`over` laid over `under`: mappings are merged, everything else is replaced, null takes away."""
    merged = Tree(under.name, under.data, dict(under.places), under.problems + over.problems)
    merged.data = _merged(under.data, over.data, (), merged.places, over.places)
    return merged


def _merged(
    under: dict[str, Any],
    over: dict[str, Any],
    path: Path,
    places: dict[Path, Place],
    new: Mapping[Path, Place],
) -> dict[str, Any]:
    result = dict(under)
    for key, value in over.items():
        here = (*path, key)
        old = result.get(key)
        if value is None:
            result.pop(key, None)
            _forget(places, here)
        elif isinstance(value, dict) and isinstance(old, dict):
            result[key] = _merged(old, value, here, places, new)
        else:
            _forget(places, here)
            result[key] = _without_nulls(value)
            places.update({at: new[at] for at, _ in walk(result[key], here) if at in new})
    return result


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _forget(places: dict[Path, Place], path: Path) -> None:
    for at in [at for at in places if at[: len(path)] == path]:
        del places[at]


def walk(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value below `value`, with its path, outermost first."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from walk(item, (*path, index))


class _Stop(Exception):  # noqa: N818 - it ends the unfolding, it is not an error of its own
    def __init__(self, rule: str, way_out: str, mark: Any) -> None:
        super().__init__(rule)
        self.rule, self.way_out, self.mark = rule, way_out, mark


class _Unfolding:
    """Plain values from nodes, with a budget: an alias is unfolded where it stands, each time it stands."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.values = 0

    def value(self, node: Any, path: Path, depth: int) -> Any:
        self.values += 1
        if self.values > MOST_VALUES:
            raise _Stop(
                f"unfolds to more than {MOST_VALUES} values",
                "Repeat less with `*aliases`; a large fleet belongs into an inventory file.",
                node.start_mark,
            )
        if depth > DEEPEST:
            raise _Stop(
                f"is nested more than {DEEPEST} levels deep",
                "An alias that contains itself does this.",
                node.start_mark,
            )
        if isinstance(node, MappingNode):
            return self.mapping(node, path, depth)
        if isinstance(node, SequenceNode):
            if self._known(node, path, "seq"):
                return [self._item(item, (*path, i), depth) for i, item in enumerate(node.value)]
            return None
        return self._scalar(node, path)

    def mapping(self, node: MappingNode, path: Path, depth: int) -> dict[str, Any]:
        self._known(node, path, "map")
        result: dict[str, Any] = {}
        marks: dict[str, Any] = {}
        merged: list[Node] = []
        key_node: Any
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            if key == "<<" and key_node.style is None:
                merged.append(value_node)
                continue
            if key in marks:
                self._twice(key, path, marks[key], key_node.start_mark)
                continue
            marks[key] = key_node.start_mark
            if key.startswith("x-"):
                continue
            here = (*path, key)
            self._mark(here, key_node, value_node)
            result[key] = self.value(value_node, here, depth + 1)
        for node_to_merge in merged:
            self._merge_key(node_to_merge, path, result, depth)
        return result

    def _merge_key(self, node: Node, path: Path, result: dict[str, Any], depth: int) -> None:
        parts = node.value if isinstance(node, SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, MappingNode):
                self._say("`<<` takes an alias of keys and values", path, node.start_mark, "C004")
                continue
            inner = Tree(self.tree.name, problems=self.tree.problems)
            unfolding = _Unfolding(inner)
            unfolding.values = self.values
            found = unfolding.value(part, path, depth + 1)
            self.values = unfolding.values
            for key, value in found.items():
                if key not in result:
                    result[key] = value
                    here = (*path, key)
                    self.tree.places.update(
                        {at: place for at, place in inner.places.items() if at[: len(here)] == here}
                    )

    def _item(self, node: Node, path: Path, depth: int) -> Any:
        self._mark(path, node, node)
        return self.value(node, path, depth + 1)

    def _mark(self, path: Path, key: Any, value: Any) -> None:
        raw = value.value if isinstance(value, ScalarNode) else None
        at, key_at = value.start_mark, key.start_mark
        if raw == "" and value.style is None:  # nothing is written: the mark of nothing is on a later line
            at = key_at
        self.tree.places[path] = Place(
            self.tree.name, at.line + 1, at.column + 1, key_at.line + 1, key_at.column + 1, raw
        )

    def _key(self, node: Any, path: Path) -> str | None:
        if isinstance(node, ScalarNode) and not _HALF.search(str(node.value)):
            return str(node.value)
        way_out = "Text that begins with { needs quotes around it." if isinstance(node, MappingNode) else ""
        self._say("has a key that is not text", path, node.start_mark, "C008", way_out)
        return None

    def _twice(self, key: str, path: Path, first: Any, second: Any) -> None:
        rule = f"stands twice: first at {self.tree.name}:{first.line + 1}:{first.column + 1}"
        self._say(
            rule, (*path, key), second, "C005", "Keep one of the two, or bring their contents together."
        )

    def _known(self, node: Node, path: Path, kind: str) -> bool:
        tag = _tag(node)
        if tag == kind:
            return True
        rule = f"has the tag {_shown_tag(tag)}, which Leuko does not read"
        self._say(rule, path, node.start_mark, "C008", "Take the tag out.")
        return False

    def _scalar(self, node: Any, path: Path) -> Any:
        tag, text = _tag(node), str(node.value)
        if tag not in _PLAIN:
            way_out = "Take the tag out; secrets are named under `secrets`."
            self._say(
                f"has the tag {_shown_tag(tag)}, which Leuko does not read",
                path,
                node.start_mark,
                "C008",
                way_out,
            )
            return None
        if _HALF.search(text):
            self._say("holds half of a character (a surrogate)", path, node.start_mark, "C002")
            return None
        try:
            return _plain(tag, text)
        except ValueError:
            self._say(f'"{text}" is not the {tag} that its tag says', path, node.start_mark, "C008")
            return None

    def _say(self, rule: str, path: Path, mark: Any, code: str, way_out: str = "") -> None:
        place = f"{self.tree.name}:{mark.line + 1}:{mark.column + 1} {dotted(path)}".rstrip()
        self.tree.problems.append(Problem(place, rule, way_out, code))


def _plain(tag: str, text: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int":
        digits = text.replace("_", "")
        return int(digits, 0) if re.match(r"^[-+]?0[xob]", digits) else int(digits)
    if tag == "float":
        return float(re.sub(r"^([-+]?)\.(inf|nan)$", r"\1\2", text.replace("_", ""), flags=re.IGNORECASE))
    return text  # a timestamp stays as it was written


def _text(content: bytes | str, tree: Tree) -> str | None:
    if len(content) > LARGEST:
        rule = f"is {len(content) / LARGEST:.1f} MiB large; a configuration may have 1 MiB"
        _refuse(tree, rule, "Is it the right file? A large fleet belongs into an inventory file.", "C003")
        return None
    if isinstance(content, bytes):
        if content.startswith((b"\xff\xfe", b"\xfe\xff")):
            _refuse(tree, "is UTF-16 text", "Save it as UTF-8.", "C002")
            return None
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            before = content[: error.start]
            mark = (before.count(b"\n") + 1, len(before) - before.rfind(b"\n"))
            rule = f"is not UTF-8 text: byte 0x{content[error.start]:02X} does not belong here"
            _refuse(tree, rule, "Save it as UTF-8.", "C002", mark)
            return None
    else:
        text = content
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _opened(text: str) -> int:
    """The most brackets that are open at once, quotes and comments taken for YAML: a rough upper bound."""
    if text.count("[") + text.count("{") <= MOST_OPEN:
        return 0
    steps = ({"[": 1, "{": 1, "]": -1, "}": -1}[letter] for letter in re.findall(r"[\[\]{}]", text))
    return max(accumulate(steps), default=0)


def _refuse(tree: Tree, rule: str, way_out: str, code: str, mark: Any = None) -> None:
    line, column = (
        (1, 1) if mark is None else mark if isinstance(mark, tuple) else (mark.line + 1, mark.column + 1)
    )
    tree.problems.append(Problem(f"{tree.name}:{line}:{column}", rule, way_out, code))


_YAML_PROBLEMS = (
    ("'\\t'", "is indented with a tab, which YAML does not allow", "Use spaces."),
    (
        "mapping values are not allowed",
        "has a colon where no value may begin",
        'Text that holds ": " needs quotes around it; else look at the indentation.',
    ),
    ("another document", "holds more than one YAML document", "Take the `---` lines out."),
    ("undefined alias", "uses an alias that is not defined", "Define it before, with `&` and its name."),
    (
        "cannot start any token",
        "has a character here that no plain text may begin with",
        "Text that begins with @, `, %, * or & needs quotes around it.",
    ),
    ("end of stream", "ends inside a quoted text", "Close the quotes that were opened before."),
)


def _yaml_problem(error: MarkedYAMLError) -> tuple[str, str]:
    """A sentence and a way out for what YAML's own words leave in the dark."""
    problem = _one_line(str(error.problem or error))
    for sign, rule, way_out in _YAML_PROBLEMS:
        if sign in problem:
            return rule, way_out
    context = f" ({_one_line(str(error.context))})" if error.context else ""
    return f"is not valid YAML: {problem}{context}", "Look at the brackets and the indentation before this."


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _tag(node: Node) -> str:
    return str(node.tag).removeprefix(_TAG)


def _shown_tag(tag: str) -> str:
    return tag if tag.startswith("!") else f"!!{tag}"


def _kind(node: Node) -> str:
    return "a list" if isinstance(node, SequenceNode) else "a single value"
