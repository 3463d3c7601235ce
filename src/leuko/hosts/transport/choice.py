"""Which driver reaches a host: asyncssh, unless its ssh_config uses what asyncssh lacks.

asyncssh reads ssh_config itself, but passes over silently what it does not know. So the text is read here
for what would make a difference: to whether the host is reached, or to whether it is the right host.
"""

from __future__ import annotations

import asyncio
import importlib.util
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asyncssh.pattern import WildcardPatternList

from leuko.hosts.port import Address, Connection, Transport
from leuko.hosts.transport import settings
from leuko.hosts.transport.local import LocalTransport
from leuko.hosts.transport.native import NativeTransport
from leuko.hosts.transport.openssh import OpenSshTransport

Reader = Callable[[str], Sequence[str]]
"""Gives the texts of the files that a path with wildcards names; none when there are none."""

LACKING = {
    "bindinterface": "",
    "knownhostscommand": "",
    "pkcs11provider": "pkcs11",
    "proxyusefdpass": "",
    "refuseconnection": "",
    "requiredrsasize": "",
    "revokedhostkeys": "",
    "securitykeyprovider": "",
    "verifyhostkeydns": "",
    "gssapiauthentication": "gssapi",
    "gssapikeyexchange": "gssapi",
}
"""Option -> the Python module with which asyncssh would have it after all; empty: never."""
HANDLED = frozenset({
    "addressfamily", "bindaddress", "canonicaldomains", "canonicalizefallbacklocal", "canonicalizehostname",
    "canonicalizemaxdots", "canonicalizepermittedcnames", "casignaturealgorithms", "certificatefile",
    "challengeresponseauthentication", "ciphers", "compression", "connecttimeout", "enablesshkeysign",
    "forwardagent", "forwardx11trusted", "globalknownhostsfile", "gssapiauthentication",
    "gssapidelegatecredentials", "gssapikeyexchange", "hostbasedauthentication", "hostkeyalgorithms",
    "hostname", "hostkeyalias", "identitiesonly", "identityagent", "identityfile",
    "kbdinteractiveauthentication", "kexalgorithms", "macs", "passwordauthentication", "pkcs11provider",
    "preferredauthentications", "port", "proxycommand", "proxyjump", "pubkeyauthentication", "rekeylimit",
    "remotecommand", "requesttty", "sendenv", "serveralivecountmax", "serveraliveinterval", "setenv", "tag",
    "tcpkeepalive", "user", "userknownhostsfile", "host", "match", "include",
})  # fmt: skip
"""What asyncssh reads; a test compares it with the installed version."""
OFF = {"no", "none", "false", "never", "0"}
CONDITIONS = {"all", "canonical", "final", "host", "originalhost", "user", "localuser", "tagged"}
"""Conditions of `Match` that asyncssh has. Its `exec` expands no tokens and stands still meanwhile."""
TOKENS = {"h", "p", "r", "n", "u", "d", "i", "l", "L", "C", "%"}
EXPANDED = {"certificatefile", "identityagent", "identityfile", "proxycommand"}
DEEPEST = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """asyncssh | openssh | local, and why, for `check` to print."""

    driver: str
    why: str


def read_files(pattern: str) -> list[str]:
    """The real files."""
    path = Path(pattern).expanduser()
    found = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
    return [file.read_text(errors="replace") for file in found if file.is_file()]


def choose(address: Address, read: Reader = read_files, *, depth: int = 0) -> Choice:
    """The driver for an address."""
    if address.driver != "auto":
        return Choice(address.driver, "set as `driver`")
    jumps = list(address.jump)
    for option in _options(address, read):
        if option.lacking:
            return Choice("openssh", option.lacking)
        if option.key == "proxyjump" and not jumps and option.value.lower() != "none":
            jumps = option.value.split(",")
    for hop in settings.hops(address, jumps) if depth < DEEPEST else []:
        if hop.host != address.host and (found := choose(hop, read, depth=depth + 1)).driver != "asyncssh":
            return Choice(found.driver, f"jump host {hop.host}: {found.why}")
    return Choice("asyncssh", "nothing in ssh_config asks for more")


@dataclass(frozen=True, slots=True)
class _Option:
    key: str
    value: str
    lacking: str
    """Why asyncssh will not do; empty when it will."""


def _options(address: Address, read: Reader) -> Iterator[_Option]:
    for key, value in address.options:
        known = key.lower() in HANDLED
        yield from (
            [] if known else [_Option(key.lower(), value, f"asyncssh does not know the option {key}")]
        )
    own = "\n".join(f"{key} {value}" for key, value in address.options)
    yield from _walk(_File(own, "fleet.ssh.options", "~/.ssh"), address.host, read, 0)
    for file, base in ((settings.USER_FILE, "~/.ssh"), (settings.SYSTEM_FILE, "/etc/ssh")):
        for text in read(file):
            yield from _walk(_File(text, file, base), address.host, read, 0)


@dataclass(frozen=True, slots=True)
class _File:
    text: str
    name: str
    base: str


def _walk(file: _File, host: str, read: Reader, depth: int) -> Iterator[_Option]:
    """The options that may apply to the host. A Match that cannot be decided here counts as fitting."""
    applies = True
    for number, text in enumerate(file.text.splitlines(), 1):
        key, value = _split(text)
        where = f"{file.name}:{number}"
        if key == "host":
            applies = bool(WildcardPatternList(",".join(_words(value))).matches(host))
        elif key == "match":
            applies, lacking = _match(value, host)
            if applies and lacking:
                yield _Option(key, value, f"{where}: asyncssh does not have `Match {lacking}`")
        elif key == "include" and applies and depth < DEEPEST:
            yield from _include(file, value, where, host, read, depth)
        elif key and applies:
            yield _Option(key, value, _lacking(key, value, file, where))


def _include(file: _File, value: str, where: str, host: str, read: Reader, depth: int) -> Iterator[_Option]:
    for pattern in _words(value):
        whole = pattern if pattern.startswith(("/", "~")) else f"{file.base}/{pattern}"
        if whole != pattern and file.name == settings.SYSTEM_FILE:
            yield _Option("include", pattern, f"{where}: asyncssh looks for `Include {pattern}` in ~/.ssh")
        for text in read(whole):
            yield from _walk(_File(text, file.name, file.base), host, read, depth + 1)


def _lacking(key: str, value: str, file: _File, where: str) -> str:
    if key in EXPANDED and (strange := set(re.findall("%(.)", value)) - TOKENS):
        return f"{where}: asyncssh does not know %{min(strange)} in {key}"
    if key not in LACKING or value.strip().lower() in OFF:
        return ""
    if key.startswith("gssapi") and file.name == settings.SYSTEM_FILE:
        return ""  # distributions turn it on for everybody; it says nothing about this host
    module = LACKING[key]
    if module and importlib.util.find_spec(module) is not None:
        return ""
    return f"{where}: asyncssh {f'needs the module {module} for' if module else 'does not have'} {key}"


def _match(value: str, host: str) -> tuple[bool, str]:
    """Whether the block may apply, and the first condition that asyncssh lacks."""
    words = _words(value)
    lacking = ""
    while words:
        condition, equals, pattern = words.pop(0).lower().partition("=")
        negated, condition = condition.startswith("!"), condition.removeprefix("!")
        if condition not in CONDITIONS and not lacking:
            lacking = condition
        if condition in {"all", "canonical", "final"}:
            continue
        argument = pattern if equals else (words.pop(0) if words else "")
        if condition == "originalhost" and bool(WildcardPatternList(argument).matches(host)) == negated:
            return False, ""
    return True, lacking


def _split(text: str) -> tuple[str, str]:
    """Keyword in lower case, and the rest; both empty for a comment."""
    found = re.match(r"\s*([A-Za-z0-9]+)(?:\s*=\s*|\s+)(.*?)\s*$", text)
    return (found[1].lower(), found[2]) if found else ("", "")


def _words(value: str) -> list[str]:
    try:
        return shlex.split(value)
    except ValueError:
        return value.split()


class ChosenTransport:
    """Every address by its own driver."""

    def __init__(
        self, native: Transport, openssh: Transport, local: Transport, read: Reader = read_files
    ) -> None:
        self._drivers = {"asyncssh": native, "openssh": openssh, "local": local}
        self._read = read

    async def connect(self, address: Address) -> Connection:
        """Connects with the address's driver, or the one chosen for it."""
        choice = await asyncio.to_thread(choose, address, self._read)
        return await self._drivers[choice.driver].connect(address)


def every_transport(folder: Path) -> ChosenTransport:
    """What the controller uses. `folder` is its runtime folder, for control sockets."""
    return ChosenTransport(NativeTransport(), OpenSshTransport(folder), LocalTransport())
