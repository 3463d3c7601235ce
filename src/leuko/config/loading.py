"""From `leuko.yml` to a checked configuration, every problem at once and each with its place."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from leuko.config import shape
from leuko.config.complaints import complaints, no_truth_for_numbers
from leuko.config.model import Configuration
from leuko.config.problems import ConfigurationInvalid, Problem, dotted
from leuko.config.rules import broken_rules
from leuko.config.tree import LARGEST, Place, Tree, merge, read

_Path = tuple[str | int, ...]
DEFAULT_ENVIRONMENT = "production"
_FATAL = frozenset({"C002", "C003", "C004", "C006", "C007"})


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that may be used, and where each part of it was written."""

    configuration: Configuration
    files: tuple[Path, ...]
    digest: str
    """SHA-256 of the files' bytes: tells whether what is on disk is still what was loaded."""
    warnings: tuple[Problem, ...] = ()
    places: Mapping[str, Place] = field(default_factory=dict, repr=False)
    name: str = "leuko.yml"

    def at(self, dotted_path: str) -> str:
        """`leuko.yml:31:14` for `push.phases[1].watch`, or the nearest thing around it that was written."""
        path = dotted_path
        while path and path not in self.places:
            path = path[: max(path.rfind("."), path.rfind("["), 0)]
        return str(self.places[path]) if path else f"{self.name}:1:1"


def load(path: Path, environment: str | None = None) -> Loaded:
    """Reads `leuko.yml`, and `leuko.<environment>.yml` over it when that is there.

    The environment is the one asked for, else the one that the file names, else production. Raises
    ConfigurationInvalid with every problem. Reading takes about a second for a file of 300 KB: call it in a
    thread where others wait.
    """
    content = _content(path)
    tree = spelled_out(read(content, str(path)))
    contents, files = [content], [path]
    said = tree.data.get("environment")
    wanted = environment or (said if isinstance(said, str) else DEFAULT_ENVIRONMENT)
    over = path.with_name(overlay_name(path.name, wanted))
    if _is_name(wanted) and over.exists():
        more = _content(over)
        contents.append(more)
        files.append(over)
        tree = merge(tree, _overlay(spelled_out(read(more, str(over))), wanted))
        tree.data["environment"] = wanted
    elif environment and environment != (said or DEFAULT_ENVIRONMENT):
        tree.problems.append(_no_such_environment(tree, environment, over))
    configuration, warnings = validate(tree)
    digest = hashlib.sha256(b"\0".join(contents)).hexdigest()
    return _loaded(configuration, warnings, tree, tuple(files), digest)


def overlay_name(name: str, environment: str) -> str:
    """`leuko.staging.yml` for `leuko.yml` and staging; a mark such as `@4f2a9c1` stays at the end."""
    bare, mark, revision = name.partition("@")
    stem, dot, suffix = bare.rpartition(".")
    return (f"{stem}.{environment}.{suffix}" if dot else f"{bare}.{environment}") + mark + revision


def parse(text: str | bytes, name: str = "leuko.yml", defaults: Mapping[str, Any] | None = None) -> Loaded:
    """The same for a text alone; `defaults` stand in for top-level keys that it leaves out."""
    tree = spelled_out(read(text, name))
    for key, value in (defaults or {}).items():
        tree.data.setdefault(key, value)
    configuration, warnings = validate(tree)
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    return _loaded(configuration, warnings, tree, (), hashlib.sha256(raw).hexdigest())


def validate(tree: Tree) -> tuple[Configuration, tuple[Problem, ...]]:
    """The configuration of a tree and its warnings; raises ConfigurationInvalid with all that is wrong."""
    configuration, problems = _model(tree)
    warnings: tuple[Problem, ...] = ()
    if configuration is not None:
        found = broken_rules(configuration, tree.where)
        problems += [problem for problem in found if not problem.warning]
        warnings = tuple(problem for problem in found if problem.warning)
    if problems or configuration is None:
        raise ConfigurationInvalid(_sorted(dict.fromkeys(problems)))
    return configuration, warnings


def checked_model(tree: Tree) -> Configuration:
    """The same without the rules between fields: for a revision's own file, which may say only a part."""
    configuration, problems = _model(tree)
    if problems or configuration is None:
        raise ConfigurationInvalid(_sorted(dict.fromkeys(problems)))
    return configuration


def _model(tree: Tree) -> tuple[Configuration | None, list[Problem]]:
    problems = list(tree.problems)
    if any(problem.code in _FATAL for problem in problems) or (problems and not tree.data):
        return None, problems
    problems += no_truth_for_numbers(tree)
    data = _tidy(tree.data, ())
    for _ in range(2):  # once more when numbers became the text that they were meant to be
        try:
            return Configuration.model_validate(data), problems
        except ValidationError as error:
            errors = error.errors(include_url=False)
            numbers = [entry["loc"] for entry in errors if entry["type"] == "string_type"]
            if not _as_written(data, numbers, tree):
                return None, problems + complaints(errors, tree)
    return None, problems


def spelled_out(tree: Tree) -> Tree:
    """Short forms written in full: a role that is only a list of hosts, a host that is only a name."""
    fleet = tree.data.get("fleet")
    roles = fleet.get("roles") if isinstance(fleet, dict) else None
    if not isinstance(roles, dict):
        return tree
    for role, value in roles.items():
        here: _Path = ("fleet", "roles", role)
        if isinstance(value, list):
            roles[role] = {"hosts": value}
            depth = len(here)
            below = [at for at in tree.places if at[:depth] == here]
            for at in below[1:] if below and below[0] == here else below:
                tree.places[(*here, "hosts", *at[depth:])] = tree.places.pop(at)
        hosts = roles[role].get("hosts") if isinstance(roles[role], dict) else None
        if not isinstance(hosts, list):
            continue
        for index, host in enumerate(hosts):
            if isinstance(host, str):
                hosts[index] = {"name": host}
                place = tree.places.get((*here, "hosts", index))
                if place:
                    tree.places[(*here, "hosts", index, "name")] = place
    return tree


def _as_written(data: dict[str, Any], paths: Iterable[_Path], tree: Tree) -> bool:
    """Numbers where text belongs become the very text that was written: `PORT: 08080` keeps its zero."""
    changed = False
    for path in paths:
        place = tree.places.get(path)
        parent: Any = data
        for part in path[:-1]:
            parent = parent[part]
        value = parent[path[-1]]
        if place and place.raw is not None and isinstance(value, int | float) and not isinstance(value, bool):
            parent[path[-1]] = place.raw
            changed = True
    return changed


def _tidy(value: Any, path: _Path) -> Any:
    """Without nulls: a key with nothing after it means its default; a name with nothing, an empty section."""
    if isinstance(value, list):
        return [_tidy(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    named = shape.is_named(shape.at(path))
    result: dict[str, Any] = {}
    for key, item in value.items():
        here = (*path, key)
        if item is not None:
            result[key] = _tidy(item, here)
        elif named and shape.is_section(shape.at(here)):
            result[key] = {}
        elif named or shape.at(here) is None:
            result[key] = None
    return result


def _overlay(tree: Tree, environment: str) -> Tree:
    said = tree.data.get("environment", environment)
    if said != environment:
        tree.problems.append(
            Problem(
                tree.where(("environment",)),
                f'should be "{environment}", as the file is called',
                "Leave the key out: the file's name says it.",
                "C018",
            )
        )
    return tree


def _no_such_environment(tree: Tree, environment: str, over: Path) -> Problem:
    said = tree.data.get("environment", DEFAULT_ENVIRONMENT)
    return Problem(
        tree.where(("environment",)),
        f'is "{said}", and there is no {over.name} for "{environment}"',
        f"Write what differs for {environment} into {over}.",
        "C018",
    )


def _is_name(text: str) -> bool:
    return text.replace("-", "").isalnum() and text.isascii()


def _content(path: Path) -> bytes:
    """The bytes of a file, never more than one over the limit (then reading refuses it)."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
            size = path.stat().st_size if len(content) > LARGEST else len(content)
    except FileNotFoundError:
        way_out = "Run `leuko init` in your repository to write one, or name another file with --config."
        raise ConfigurationInvalid([Problem(str(path), "is not there", way_out, "C001")]) from None
    except OSError as error:
        raise ConfigurationInvalid(
            [Problem(str(path), f"cannot be read: {error.strerror}", "", "C001")]
        ) from error
    if size > LARGEST:
        rule = f"is {size / LARGEST:.1f} MiB large; a configuration may have 1 MiB"
        way_out = "Is it the right file? A large fleet belongs into an inventory file."
        raise ConfigurationInvalid([Problem(str(path), rule, way_out, "C003")])
    return content


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    def order(problem: Problem) -> tuple[str, int, int]:
        parts = problem.where.split(" ")[0].rsplit(":", 2)
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            return parts[0], int(parts[1]), int(parts[2])
        return problem.where, 0, 0

    return sorted(problems, key=order)


def _loaded(
    configuration: Configuration,
    warnings: tuple[Problem, ...],
    tree: Tree,
    files: tuple[Path, ...],
    digest: str,
) -> Loaded:
    places = {dotted(path): place for path, place in tree.places.items()}
    return Loaded(configuration, files, digest, tuple(_sorted(warnings)), places, tree.name)
