"""Hosts from an Ansible inventory (INI, YAML, or the JSON of `--list`) or from a plain list of names.

Only what a push needs is read: groups and their children, host ranges, variables. Patterns, vaults and
plugins are Ansible's own; `ansible-inventory --list` as the command resolves them all.
"""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from leuko.config.model import Configuration
from leuko.config.programs import NotRunError, printed
from leuko.config.ranges import unfold
from leuko.config.tree import LARGEST as LARGEST_YAML
from leuko.config.tree import read
from leuko.domain.errors import LeukoError

LARGEST = 64 << 20
COMMAND_SECONDS = 30.0
_SECTION = re.compile(r"^\[\s*([^:\[\]]+?)\s*(?::\s*(\w+)\s*)?\]\s*(?:[#;].*)?$")
_EVERY = ("all", "ungrouped")


@dataclass(frozen=True, slots=True)
class Machine:
    """One host of an inventory: `variables` are those of its groups and its own, as text."""

    name: str
    address: str = ""
    port: int | None = None
    user: str = ""
    groups: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), hash=False)


@dataclass(slots=True)
class _Group:
    hosts: dict[str, dict[str, str]] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)


_Groups = dict[str, _Group]


def machines(text: str, name: str = "inventory") -> tuple[Machine, ...]:
    """The hosts of an inventory text, in its order. Raises LeukoError with the line that cannot be read."""
    stripped = text.lstrip("\ufeff \t\r\n")
    if stripped.startswith("{"):
        groups, own = _json_groups(stripped, name)
    elif _looks_like_yaml(stripped):
        groups, own = _yaml_groups(text, name)
    else:
        groups, own = _ini_groups(text, name)
    return tuple(_gather(groups, own, name))


async def read_inventory(configuration: Configuration, folder: Path) -> str | None:
    """The text of the configured inventory; None when there is none. `folder` is where leuko.yml lies."""
    inventory = configuration.fleet.inventory
    if inventory is None:
        return None
    if inventory.file:
        return await asyncio.to_thread(_file_text, folder / inventory.file)
    return await _command_text(inventory.command, folder)


def _file_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise _unreadable(str(path), f"cannot be read: {error.strerror}") from error
    return _decoded(content, str(path))


async def _command_text(argv: tuple[str, ...], folder: Path) -> str:
    shown = shlex.join(argv)
    try:
        result = await printed(argv, folder, seconds=COMMAND_SECONDS, most=LARGEST)
    except NotRunError as error:
        raise _failed(shown, str(error)) from None
    if result.status != 0:
        raise _failed(shown, f"ended with {result.status}: {result.errors or 'it printed no error'}")
    return _decoded(result.output, shown)


def _decoded(content: bytes, where: str) -> str:
    if len(content) > LARGEST:
        raise _unreadable(where, "is larger than 64 MiB")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _unreadable(where, f"is not UTF-8 text (byte {error.start})") from error


def _failed(shown: str, rule: str) -> LeukoError:
    way_out = "Run it by hand in the folder of leuko.yml; it should print an inventory."
    return LeukoError(f"`{shown}` {rule}", where="fleet.inventory.command", way_out=way_out, code="C061")


def _unreadable(where: str, rule: str, way_out: str = "") -> LeukoError:
    return LeukoError(rule, where=where, way_out=way_out, code="C060")


# --- INI and plain lists


def _ini_groups(text: str, name: str) -> tuple[_Groups, dict[str, dict[str, str]]]:
    groups: _Groups = {}
    own: dict[str, dict[str, str]] = {}
    group, kind = "ungrouped", "hosts"
    for number, raw in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        where = f"{name}:{number}"
        if line.startswith("[") and (match := _SECTION.match(line)):
            group, kind = match[1], match[2] or "hosts"
            if kind not in ("hosts", "children", "vars"):
                raise _unreadable(where, f'has a section of kind "{kind}"', "Known: hosts, children, vars.")
            groups.setdefault(group, _Group())
            continue
        target = groups.setdefault(group, _Group())
        if kind == "vars":
            key, sign, value = line.partition("=")
            if not sign:
                raise _unreadable(where, f'should be "name=value", not "{line[:60]}"')
            target.variables[key.strip()] = _unquoted(value.strip())
        elif kind == "children":
            target.children.append(line.split("#")[0].split()[0])
        else:
            for host, variables in _ini_hosts(line, where):
                target.hosts[host] = {}
                own.setdefault(host, {}).update(variables)
    return groups, own


def _ini_hosts(line: str, where: str) -> Iterator[tuple[str, dict[str, str]]]:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        raise _unreadable(where, "has a quote that is not closed") from error
    variables: dict[str, str] = {}
    for word in words[1:]:
        key, sign, value = word.partition("=")
        if not sign:
            raise _unreadable(where, f'should be "name=value" after the host, not "{word}"')
        variables[key] = value
    pattern = words[0]
    bare, colon, port = pattern.rpartition(":")
    if colon and port.isdigit() and "]" not in port and ":" not in bare.split("]")[-1]:
        pattern = bare
        variables.setdefault("ansible_port", port)
    for host in _unfolded(pattern, where):
        yield host, variables


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


# --- YAML


def _looks_like_yaml(text: str) -> bool:
    for line in text.splitlines():
        bare = line.split(" #")[0].rstrip()
        if not bare or bare.lstrip().startswith("#"):
            continue
        return bare.startswith(("---", "%YAML")) or re.match(r"^[^\s\[\]=]+:\s*(\{.*)?$", bare) is not None
    return False


def _yaml_groups(text: str, name: str) -> tuple[_Groups, dict[str, dict[str, str]]]:
    if len(text) > LARGEST_YAML:
        way_out = "Use a command that prints JSON: `ansible-inventory --list`."
        raise _unreadable(name, "is YAML of more than 1 MiB, which takes too long to read", way_out)
    tree = read(text, name)
    # a tag is Ansible's own (`!vault`): its value is left out, for Leuko could not read it anyway
    first = next((problem for problem in tree.problems if problem.code != "C008"), None)
    if first is not None:
        raise _unreadable(first.where, first.rule, first.way_out)
    groups: _Groups = {}
    own: dict[str, dict[str, str]] = {}
    for group, content in tree.data.items():
        _yaml_group(group, content, groups, own, name)
    return groups, own


def _yaml_group(group: str, content: Any, groups: _Groups, own: dict[str, dict[str, str]], name: str) -> None:
    target = groups.setdefault(group, _Group())
    where = f"{name} {group}"
    for key, value in _mapping(content, where).items():
        if key == "hosts":
            for pattern, variables in _mapping(value, f"{where}.hosts").items():
                for host in _unfolded(pattern, f"{where}.hosts"):
                    target.hosts[host] = {}
                    own.setdefault(host, {}).update(_texts(_mapping(variables, f"{where}.hosts.{host}")))
        elif key == "children":
            for child, inner in _mapping(value, f"{where}.children").items():
                target.children.append(child)
                _yaml_group(child, inner, groups, own, name)
        elif key == "vars":
            target.variables.update(_texts(_mapping(value, f"{where}.vars")))
        else:
            raise _unreadable(where, f'has the key "{key}"', "A group has hosts, children and vars.")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if isinstance(value, dict):
        return value
    if isinstance(value, str):
        return {value: None}
    raise _unreadable(where, "should be keys and values", "Write each host as `name:`, not as `- name`.")


# --- the JSON of `--list`


def _json_groups(text: str, name: str) -> tuple[_Groups, dict[str, dict[str, str]]]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unreadable(name, f"is not valid JSON: {error}") from error
    groups: _Groups = {}
    own: dict[str, dict[str, str]] = {}
    for group, content in data.items():
        if group == "_meta":
            for host, variables in _json_mapping(content, "hostvars", f"{name} _meta").items():
                own.setdefault(host, {}).update(_texts(_mapping(variables, f"{name} _meta.hostvars.{host}")))
            continue
        target = groups.setdefault(group, _Group())
        where = f"{name} {group}"
        listed = content if isinstance(content, list) else _json_list(content, "hosts", where)
        for host in listed:
            target.hosts[str(host)] = {}
        if isinstance(content, dict):
            target.children += [str(child) for child in _json_list(content, "children", where)]
            target.variables.update(_texts(_json_mapping(content, "vars", where)))
    return groups, own


def _json_list(content: Any, key: str, where: str) -> list[Any]:
    value = content.get(key, []) if isinstance(content, dict) else None
    if not isinstance(value, list):
        raise _unreadable(where, f'should have a list of names as "{key}"')
    return value


def _json_mapping(content: Any, key: str, where: str) -> dict[str, Any]:
    value = content.get(key, {}) if isinstance(content, dict) else None
    if not isinstance(value, dict):
        raise _unreadable(where, f'should have keys and values as "{key}"')
    return value


# --- from groups to hosts


def _gather(groups: _Groups, own: dict[str, dict[str, str]], name: str) -> Iterator[Machine]:
    parents: dict[str, list[str]] = {}
    for group, content in groups.items():
        for child in content.children:
            parents.setdefault(child, []).append(group)
    direct: dict[str, list[str]] = {}
    for group, content in groups.items():
        for host in content.hosts:
            direct.setdefault(host, []).append(group)
    for host, listed in direct.items():
        ancestry = _ancestry(listed, parents, name)
        variables: dict[str, str] = {}
        for group in ("all", *(group for group in reversed(ancestry) if group != "all")):
            variables.update(groups.get(group, _Group()).variables)
        variables.update(own.get(host, {}))
        yield _machine(host, ancestry, variables, name)


def _ancestry(listed: list[str], parents: Mapping[str, list[str]], name: str) -> list[str]:
    """The groups of a host, nearest first, `all` always among them."""
    found = list(dict.fromkeys(listed))
    for group in found:  # the list grows while it is walked
        found += [parent for parent in parents.get(group, ()) if parent not in found]
        if len(found) > LARGEST:
            raise _unreadable(name, "has groups without end")
    return [*(group for group in found if group != "all"), "all"]


def _machine(host: str, groups: list[str], variables: dict[str, str], name: str) -> Machine:
    port = variables.get("ansible_port", variables.get("ansible_ssh_port", ""))
    if port and not (port.isdigit() and port.isascii() and 0 < int(port[:9]) < 1 << 16):
        raise _unreadable(f"{name} {host}", f'has ansible_port "{port}", which is no port')
    return Machine(
        name=host,
        address=variables.get("ansible_host", variables.get("ansible_ssh_host", "")),
        port=int(port) if port else None,
        user=variables.get("ansible_user", variables.get("ansible_ssh_user", "")),
        groups=tuple(groups),
        variables=MappingProxyType(
            {key: value for key, value in variables.items() if not key.startswith("ansible_")}
        ),
    )


def _texts(variables: Mapping[str, Any]) -> dict[str, str]:
    """Variables as text; lists and mappings are left out, for an environment variable cannot hold them."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in variables.items()
        if isinstance(value, str | int | float)
    }


def _unfolded(pattern: str, where: str) -> list[str]:
    try:
        found = unfold(pattern)
    except ValueError as error:
        raise _unreadable(where, str(error)) from error
    for host in found:
        if not re.fullmatch(r"[A-Za-z0-9_.:@%\[\]-]+", host) or host.startswith("-"):
            raise _unreadable(where, f'"{host}" is not a host name')
    return found
