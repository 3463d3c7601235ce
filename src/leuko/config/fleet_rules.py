"""Checks of hosts, roles, ssh, hooks and phases."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

from leuko.config.fleet import phase_rules, unfold_entry
from leuko.config.model import Configuration, HostEntry, Phase
from leuko.config.notes import NAME, Notes, Path, near
from leuko.config.quantities import share
from leuko.domain.errors import LeukoError
from leuko.domain.fleet import Host, PhaseRule, Share, assign_phases

_HOST = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}$")
_ADDRESS = re.compile(r"^[A-Za-z0-9_\[:][A-Za-z0-9_.:%\[\]-]{0,252}$")
_LOGIN = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9_.\\@$-]{0,63}$")
_JUMP = re.compile(
    r"^(?:[A-Za-z0-9_][A-Za-z0-9_.-]*@)?(?:[A-Za-z0-9_][A-Za-z0-9_.-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?$"
)
_OPTION = re.compile(r"^[A-Za-z][A-Za-z0-9]*$")
_VARIABLE = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


def known_roles(configuration: Configuration) -> list[str]:
    """Roles named under `fleet.roles`, and those that an inventory's groups become."""
    inventory = configuration.fleet.inventory
    from_groups = inventory.groups.values() if inventory else ()
    return list(dict.fromkeys([*configuration.fleet.roles, *from_groups]))


def pushed_roles(configuration: Configuration) -> list[str]:
    """Roles that releases go to."""
    roles = configuration.fleet.roles
    return [role for role in known_roles(configuration) if role not in roles or roles[role].pushed]


def check_fleet(configuration: Configuration, notes: Notes) -> None:
    """Roles, hosts, inventory, ssh, hooks."""
    fleet = configuration.fleet
    for role in known_roles(configuration):
        if not NAME.match(role):
            notes.say(("fleet", "roles", role), "C017", f'"{role}" should be letters, digits, - and _')
    from_groups = set(fleet.inventory.groups.values()) if fleet.inventory else set()
    for role, section in fleet.roles.items():
        if not section.hosts and role not in from_groups:
            notes.say(
                ("fleet", "roles", role), "C033", f'the role "{role}" has no hosts', "Add `hosts: [...]`."
            )
    if not pushed_roles(configuration):
        way_out = "Add `roles: {www: [www1.example.com]}`, or an inventory."
        notes.say(("fleet",), "C033", "has no host to push to", way_out)
    _check_hosts(configuration, notes)
    _check_inventory(configuration, notes)
    _check_ssh(configuration, notes)
    _check_hooks(configuration, notes)


def _check_hosts(configuration: Configuration, notes: Notes) -> None:
    seen: dict[str, Path] = {}
    _check_root(configuration.fleet.root, ("fleet", "root"), notes)
    for path, entry in _entries(configuration):
        try:
            pairs = unfold_entry(entry)
        except ValueError as error:
            notes.say((*path, "name"), "C032", str(error))
            continue
        for name, _ in pairs:
            if name in seen:
                first = notes.where(seen[name]).split(" ")[0]
                notes.say((*path, "name"), "C032", f'the host "{name}" is listed already, at {first}')
            else:
                seen[name] = (*path, "name")
        _check_entry(entry, pairs[0], path, notes)
    if configuration.fleet.transport == "local":
        _check_local_roots(configuration, notes)


def _check_entry(entry: HostEntry, first: tuple[str, str], path: Path, notes: Notes) -> None:
    if not _HOST.match(first[0]):
        rule = f'"{first[0]}" is not a host name'
        notes.say(
            (*path, "name"), "C032", rule, "Letters, digits, dots and hyphens; an IP goes into `address`."
        )
    elif not _ADDRESS.match(first[1]):
        notes.say((*path, "address"), "C036", f'"{first[1]}" is not an address')
    if entry.user and not _LOGIN.match(entry.user):
        notes.say((*path, "user"), "C036", f'"{entry.user}" is not a login')
    if entry.root:
        _check_root(entry.root, (*path, "root"), notes)
    for variable in entry.vars:
        if not _VARIABLE.match(variable) or variable.startswith("LEUKO_"):
            rule = f'"{variable}" cannot be the name of an environment variable of yours'
            way_out = "Use letters, digits and _, and do not begin with LEUKO_."
            notes.say((*path, "vars", variable), "C037", rule, way_out)


def _check_root(root: str, path: Path, notes: Notes) -> None:
    pure = PurePosixPath(root)
    if not pure.is_absolute() or ".." in pure.parts or len(pure.parts) < 2 or "\n" in root:
        rule = f'should be an absolute folder such as "/srv", not "{root}"'
        notes.say(path, "C040", rule)


def _check_local_roots(configuration: Configuration, notes: Notes) -> None:
    roots: dict[str, str] = {}
    for path, entry in _entries(configuration):
        for name in _names(entry):
            root = (entry.root or configuration.fleet.root).replace("{name}", name).rstrip("/")
            other = roots.setdefault(root, name)
            if other != name:
                rule = f'"{name}" and "{other}" would share the folder {root} of this machine'
                notes.say((*path, "name"), "C040", rule, "Write `root: /somewhere/{name}` under `fleet`.")
                break


def _names(entry: HostEntry) -> list[str]:
    try:
        return [name for name, _ in unfold_entry(entry)]
    except ValueError:
        return []  # said already, as C032


def _check_inventory(configuration: Configuration, notes: Notes) -> None:
    inventory = configuration.fleet.inventory
    if inventory is None:
        return
    path: Path = ("fleet", "inventory")
    if bool(inventory.file) == bool(inventory.command):
        found = "both" if inventory.file else "neither"
        notes.say(path, "C035", f"should have a file or a command; it has {found}")
    if inventory.command and not inventory.command[0].strip():
        notes.say((*path, "command"), "C044", "names no program")
    if not inventory.groups:
        rule = "names no group: no host would be taken"
        notes.say(
            (*path, "groups"), "C062", rule, "Add `groups: {webservers: www}`; a plain list is `all: www`."
        )
    for group, role in inventory.groups.items():
        if not role.strip():
            notes.say((*path, "groups", group), "C044", "names no role")
    for index, variable in enumerate(inventory.vars):
        if not _VARIABLE.match(variable) or variable.startswith(("LEUKO_", "ansible_")):
            notes.say((*path, "vars", index), "C037", f'"{variable}" cannot be taken over as a variable')


def _check_ssh(configuration: Configuration, notes: Notes) -> None:
    ssh = configuration.fleet.ssh
    path: Path = ("fleet", "ssh")
    if ssh.user and not _LOGIN.match(ssh.user):
        notes.say((*path, "user"), "C036", f'"{ssh.user}" is not a login')
    for index, jump in enumerate(ssh.jump):
        if not _JUMP.match(jump):
            rule = f'"{jump}" is not a jump host'
            notes.say(
                (*path, "jump", index),
                "C036",
                rule,
                "Write it as `user@host:port`; user and port may be left out.",
            )
    for name, value in ssh.options.items():
        if not _OPTION.match(name) or "\n" in value:
            notes.say((*path, "options", name), "C036", f'"{name}" is not an option of ssh_config')
        elif name.lower() == "stricthostkeychecking" and value.lower() in ("no", "off"):
            rule = "would accept any machine that answers"
            way_out = (
                "Put the hosts' keys into a file (`ssh-keyscan`, then compare) and name it as known_hosts."
            )
            notes.say((*path, "options", name), "C036", rule, way_out)


def _check_hooks(configuration: Configuration, notes: Notes) -> None:
    fleet = configuration.fleet
    if not fleet.hooks.reload:
        rule = "has no reload hook: processes that hold the old release open would go on running it"
        notes.say(
            ("fleet", "hooks"), "W004", rule, "Add `reload:`, for example `sudo systemctl reload shop`."
        )
    if not fleet.hooks.stop:
        rule = "has no stop hook: when the very first push fails, the application is left running"
        notes.say(("fleet", "hooks"), "W012", rule, "Add `stop:`, for example `sudo systemctl stop shop`.")
    if not fleet.health.command:
        rule = "has no command: a host counts as healthy as soon as its reload hook ends well"
        way_out = "Add `command:`, for example `curl -fsS localhost:8080/health`."
        notes.say(("fleet", "health"), "W005", rule, way_out)


def check_phases(configuration: Configuration, notes: Notes) -> None:
    """Phases by themselves, and with the hosts that the file names when it names them all."""
    phases = configuration.push.phases
    if not phases:
        notes.say(("push", "phases"), "C034", "has no phase: nothing would be pushed", "Add `- hosts: 100%`.")
        return
    before = len(notes.problems)
    for index, phase in enumerate(phases):
        _check_phase(configuration, phase, ("push", "phases", index), notes)
    if len(notes.problems) > before or any(problem.code in ("C032", "C033") for problem in notes.problems):
        return
    if configuration.fleet.inventory is None:
        check_reach(configuration, _inline_hosts(configuration), notes)
    else:
        _check_rising(phases, notes)


def _check_phase(configuration: Configuration, phase: Phase, path: Path, notes: Notes) -> None:
    known, pushed = known_roles(configuration), pushed_roles(configuration)
    for index, role in enumerate(phase.roles):
        if role not in known:
            notes.unknown_role((*path, "roles", index), role, known)
        elif role not in pushed:
            rule = f'the role "{role}" is only watched (pushed: false)'
            notes.say((*path, "roles", index), "C030", rule)
    names = {host.name for host in _inline_hosts(configuration) if host.pushed}
    for index, name in enumerate(phase.names):
        if configuration.fleet.inventory is None and name not in names:
            rule = f'there is no pushed host "{name}"'
            notes.say((*path, "names", index), "C031", rule, near(name, sorted(names), "Hosts"))
    if phase.names and (phase.hosts or phase.roles):
        notes.say(path, "C034", "names hosts one by one and by share or role", "Use one of the two.")
    if phase.hosts and share(phase.hosts) in (Share(count=0), Share(percent=0.0)):
        notes.say((*path, "hosts"), "C034", "takes no host", "Take the phase out, or make it larger.")
    for key in ("gate", "run_once"):
        if getattr(phase, key):
            rule = "is kept for a later release, and would do nothing yet"
            notes.say(
                (*path, key), "C045", rule, "Take it out: a gate that stops nothing is worse than none."
            )


def check_reach(configuration: Configuration, hosts: Sequence[Host], notes: Notes) -> None:
    """Whether the phases, as written, take every pushed host, and each at least one.

    To be called again with the hosts of an inventory, once it was read.
    """
    rules = phase_rules(configuration)
    everything = PhaseRule(share=Share(percent=100.0))
    try:
        phases = assign_phases(hosts, (*rules, everything), None)
    except LeukoError as error:
        empty = int("".join(re.findall(r"[0-9]+", error.where)) or 0)
        if empty < len(rules):
            rule = "takes no host: earlier phases took them all"
            way_out = "Make the earlier phases smaller, or take this one out."
            notes.say(("push", "phases", empty), "C034", rule, way_out)
            return
        phases = assign_phases(hosts, rules, None)  # nothing was left for `everything`: all are reached
    left = sorted(name for name, phase in phases.items() if phase == len(rules))
    if left:
        shown = ", ".join(left[:3]) + (f" and {len(left) - 3} more" if len(left) > 3 else "")
        rule = f"never reach {shown}: they would only come along with the last phase, unannounced"
        notes.say(("push", "phases"), "C034", rule, "End with a phase `hosts: 100%`.")
    _check_controls(hosts, phases, notes)


def _check_controls(hosts: Sequence[Host], phases: dict[str, int], notes: Notes) -> None:
    if len(set(phases.values())) < 2:
        return
    sizes: dict[str, list[int]] = {}
    for host in hosts:
        if host.name in phases:
            sizes.setdefault(host.role, []).append(phases[host.name])
    for role, taken in sizes.items():
        if set(taken) == {0}:
            rule = f'takes every host of the role "{role}": there is none left to compare with'
            notes.say(
                ("push", "phases", 0),
                "W008",
                rule,
                "Canaries are judged against the hosts before them, then.",
            )


def _check_rising(phases: Sequence[Phase], notes: Notes) -> None:
    """What can be said without knowing the hosts."""
    reached = 0.0
    for index, phase in enumerate(phases):
        if not phase.hosts or phase.roles or not phase.hosts.endswith("%"):
            continue
        wanted = float(phase.hosts.rstrip("%"))
        if wanted <= reached:
            rule = f"reaches {wanted:g}%, and {reached:g}% are reached before it"
            notes.say(
                ("push", "phases", index, "hosts"), "C034", rule, "Shares are those reached, so they rise."
            )
        reached = max(reached, wanted)
    last = phases[-1]
    if last.hosts and (last.hosts != "100%" or last.roles):
        rule = "may leave hosts to the last phase that it does not name"
        notes.say(("push", "phases", len(phases) - 1), "C034", rule, "End with a phase `hosts: 100%`.")


def _entries(configuration: Configuration) -> Iterator[tuple[Path, HostEntry]]:
    for role, section in configuration.fleet.roles.items():
        for index, entry in enumerate(section.hosts):
            yield ("fleet", "roles", role, "hosts", index), entry


def _inline_hosts(configuration: Configuration) -> list[Host]:
    found: list[Host] = []
    for path, entry in _entries(configuration):
        role = str(path[2])
        try:
            pairs = unfold_entry(entry)
        except ValueError:
            continue  # said already, as C032
        pushed = configuration.fleet.roles[role].pushed
        found += [Host(name, role, address, pushed=pushed) for name, address in pairs]
    return found
