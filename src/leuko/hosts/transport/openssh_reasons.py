"""What the system's ssh says when it cannot connect, in the words of `refusals`. Pure: text in, error out."""

from __future__ import annotations

import re
from collections.abc import Callable

from leuko.hosts.port import Address, Unreachable
from leuko.hosts.transport import refusals

_SERVER_KEY = re.compile(r"Server host key: (\S+ \S+)")
_OFFERED = re.compile(r"(?:Offering public key|Will attempt key): (\S+)")
_WHO = re.compile(r"(\S+)@\S+: Permission denied")
_DEBUG = re.compile(r"^(debug\d: .*|OpenSSH_.*)\n?", re.MULTILINE)
_REFUSED_SESSION = (b"mux_client", b"Control socket", b"UNKNOWN port 65535")


def session_refused(errors: bytes) -> bool:
    """Whether a session ended because the master or the host gave none: nothing was started."""
    return any(sign in errors for sign in _REFUSED_SESSION)


def explained(address: Address, text: str) -> Unreachable:
    """The reason and the way out. The first rule that fits counts: the more telling ones come first."""
    said = _DEBUG.sub("", text.replace("\r", ""))
    for pattern, say in _REASONS:
        if re.search(pattern, said):
            return say(address, text)
    last = [line for line in said.splitlines() if line.strip()]
    return refusals.unexplained(address, last[-1].strip() if last else "it ended without a word")


def _fingerprint(text: str) -> str:
    found = _SERVER_KEY.findall(text)
    return found[-1] if found else ""


def _denied(address: Address, text: str) -> Unreachable:
    who = _WHO.search(text)
    tried = list(dict.fromkeys(_OFFERED.findall(text)))
    return refusals.denied(address, who[1] if who else address.user, ", ".join(tried) or "no key at all")


_REASONS: tuple[tuple[str, Callable[[Address, str], Unreachable]], ...] = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        lambda address, text: refusals.changed_key(address, _fingerprint(text), address.known_hosts),
    ),
    (
        "host key is known for|Host key verification failed",
        lambda address, text: refusals.unknown_key(address, _fingerprint(text), address.known_hosts),
    ),
    ("Permission denied|Too many authentication failures", _denied),
    ("Could not resolve hostname", lambda address, _: refusals.no_name(address)),
    (
        "[Nn]o such identity|bad permissions|error in libcrypto|invalid format",
        lambda address, text: refusals.bad_key_file(address, _last(text)),
    ),
    ("Connection refused", lambda address, _: refusals.refused(address)),
    ("[Tt]imed out|Timeout, server", lambda address, _: refusals.timed_out(address)),
    (
        "No route to host|Network is unreachable|Host is down|administratively prohibited|open failed",
        lambda address, text: refusals.network(address, _last(text)),
    ),
    (
        "Bad configuration|[Bb]ad owner|keyword .* extra arguments|unsupported option|no argument after",
        lambda address, text: refusals.bad_settings(address, _last(text)),
    ),
    (
        "Connection reset|Connection closed|Broken pipe|Not allowed at this time",
        lambda address, _: refusals.reset(address),
    ),
)


def _last(text: str) -> str:
    lines = [line.strip() for line in _DEBUG.sub("", text.replace("\r", "")).splitlines() if line.strip()]
    return lines[-1] if lines else ""
