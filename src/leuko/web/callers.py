"""Who asks: the unix socket's peer, a token's bearer, a session of the console, or anybody."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import pwd
import re
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus

from leuko.clock import Clock
from leuko.web.failures import NotAllowed

COOKIE = "leuko"
SESSION = timedelta(days=30)
TRIES = 8
"""Wrong tokens from one address within a minute; then it has to wait."""
PEER = "unix:"
"""How the server marks a unix socket's peer: no address of TCP begins so."""
_PRINTABLE = re.compile(r"[^\w .,@+'()\[\]-]+")


@dataclass(frozen=True, slots=True)
class Caller:
    """`by` goes into intents. `writes` and `reads` say what it may."""

    by: str
    reads: bool
    writes: bool
    via: str
    """`socket`, `token`, `session` or empty."""


def clean_name(name: str) -> str:
    """A person's name as it may stand in a row and on a page."""
    return " ".join(_PRINTABLE.sub(" ", name).split())[:64]


def login_name(uid: int) -> str:
    """The login name of a user of this machine."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


@dataclass(slots=True)
class Sessions:
    """Signed with a key made of the token: they outlive a restart, any controller knows them, and a new token
    ends them all."""

    token: str
    clock: Clock
    _wrong: dict[str, deque[datetime]] = field(default_factory=dict)

    def check(self, given: str, address: str) -> None:
        """Raises NotAllowed unless `given` is the token; slows down who guesses."""
        now = self.clock.now()
        self._forget(now)
        tries = self._wrong.get(address, deque())
        if len(tries) >= TRIES:
            raise NotAllowed(
                "too many wrong tokens from this address",
                way_out="wait a minute; the token is in the file `token` of the state directory",
                code="W012",
                status=HTTPStatus.TOO_MANY_REQUESTS,
            )
        if not hmac.compare_digest(_digest(given.strip()), _digest(self.token)):
            self._wrong.setdefault(address, deque()).append(now)
            raise NotAllowed(
                "that is not the token",
                way_out="it is in the file `token` of the state directory, on the machine that runs Leuko",
                code="W011",
                status=HTTPStatus.UNAUTHORIZED,
            )

    def begin(self, name: str) -> str:
        """The cookie's value for somebody who gave the token."""
        until = int((self.clock.now() + SESSION).timestamp())
        payload = f"{until}.{clean_name(name).encode().hex()}"
        return f"{payload}.{self._sign(payload)}"

    def person(self, cookie: str) -> str | None:
        """The name in a cookie that we signed and that has not run out; else None."""
        payload, _, signature = cookie.rpartition(".")
        if not payload or not hmac.compare_digest(
            signature.encode("utf-8", "surrogatepass"), self._sign(payload).encode()
        ):
            return None
        until, _, name = payload.partition(".")
        if int(until) < self.clock.now().timestamp():
            return None
        return bytes.fromhex(name).decode() or "console"

    def _sign(self, payload: str) -> str:
        key = b"leuko session\x00" + self.token.encode()
        return hmac.new(key, payload.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def _forget(self, now: datetime) -> None:
        for address in list(self._wrong):
            tries = self._wrong[address]
            while tries and now - tries[0] > timedelta(minutes=1):
                tries.popleft()
            if not tries:
                del self._wrong[address]
        while len(self._wrong) > 1000:  # somebody with many addresses: the oldest go
            del self._wrong[next(iter(self._wrong))]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def trusted_peer(address: str) -> int | None:
    """The uid of a unix socket's peer that has the same rights as we do anyway; None for everybody else."""
    if not address.startswith(PEER):
        return None
    uid = int(address.removeprefix(PEER))
    return uid if uid in (0, os.geteuid()) else None


def loopback(address: str) -> bool:
    """True for an address of this machine itself."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def host_known(header: str, names: frozenset[str]) -> bool:
    """False for a name that somebody else's DNS made point here. An address cannot be rebound."""
    host = header.strip().lower()
    host = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
    if host in names or host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
