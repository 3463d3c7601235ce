"""Why a host could not be reached, in the same words whichever driver found out.

The codes are stable: the documentation lists them, and the pool tries a reset once more by its code.
"""

from __future__ import annotations

import shlex

from leuko.hosts.port import Address, Unreachable

RESET = "T007"
"""The host dropped the connection before a login: usually sshd's MaxStartups, which passes."""

_EDIT = "`ssh_config`, `fleet.ssh` or the host's own entry in `leuko.yml`"


def place(address: Address) -> str:
    """`user@host:port`, as far as it is known."""
    user = f"{address.user}@" if address.user else ""
    return f"{user}{address.host}" + (f":{address.port}" if address.port != 22 else "")


def refused(address: Address) -> Unreachable:
    return Unreachable(
        "the connection was refused: nothing listens there",
        where=place(address),
        way_out="Is the machine up and sshd running? Is the port right?",
        code="T001",
    )


def timed_out(address: Address, detail: str = "") -> Unreachable:
    return Unreachable(
        f"no answer within {address.connect_timeout:g} s{detail}",
        where=place(address),
        way_out="Is the machine up, and does a firewall or route let port "
        f"{address.port} through? `fleet.ssh.connect_timeout` sets the time.",
        code="T002",
    )


def no_name(address: Address, detail: str = "") -> Unreachable:
    return Unreachable(
        f"the name cannot be resolved{detail}",
        where=place(address),
        way_out=f"Correct the name, or give the host an `address`, in {_EDIT}.",
        code="T003",
    )


def unknown_key(address: Address, fingerprint: str, file: str) -> Unreachable:
    key = f"its key is {fingerprint}" if fingerprint else "its key is unknown"
    return Unreachable(
        f"the host is not in the list of known hosts: {key}",
        where=place(address),
        way_out="Compare it on the host with `ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub`; if it is "
        f"the same: `ssh-keyscan -p {address.port} {shlex.quote(address.host)} >> {_file(file)}`",
        code="T004",
    )


def changed_key(address: Address, fingerprint: str, file: str) -> Unreachable:
    name = address.host if address.port == 22 else f"[{address.host}]:{address.port}"
    now = f": now {fingerprint}" if fingerprint else ""
    return Unreachable(
        f"THE HOST'S KEY HAS CHANGED{now}; this is another machine, a new installation, or an attack",
        where=place(address),
        way_out=f"Find out which. Only then: `ssh-keygen -R {shlex.quote(name)} -f {_file(file)}`, "
        "and add the new key.",
        code="T005",
    )


def denied(address: Address, user: str, tried: str) -> Unreachable:
    return Unreachable(
        f"permission denied for user {user or '(as ssh_config says)'}; tried: {tried}",
        where=place(address),
        way_out="Add the public key to ~/.ssh/authorized_keys of that user on the host, or set "
        "`fleet.ssh.user` and `fleet.ssh.identity`. Passwords are never asked for.",
        code="T006",
    )


def reset(address: Address, detail: str = "") -> Unreachable:
    return Unreachable(
        f"the host closed the connection before the login{detail}",
        where=place(address),
        way_out="Usually sshd's MaxStartups (too many logins at once) or a ban list such as fail2ban; "
        "see the host's log.",
        code=RESET,
    )


def network(address: Address, detail: str) -> Unreachable:
    return Unreachable(
        f"the network does not lead there: {detail}",
        where=place(address),
        way_out="Check address, routes and firewall from this machine.",
        code="T008",
    )


def bad_key_file(address: Address, detail: str) -> Unreachable:
    return Unreachable(
        f"a private key cannot be used: {detail}",
        where=place(address),
        way_out="Name an existing key without passphrase in `fleet.ssh.identity`, or load it into ssh-agent.",
        code="T009",
    )


def bad_settings(address: Address, detail: str) -> Unreachable:
    return Unreachable(
        f"its ssh settings cannot be used: {detail}",
        where=place(address),
        way_out=f"Correct them in {_EDIT}; `ssh -G {shlex.quote(address.host)}` shows what OpenSSH makes of "
        "them. `driver: openssh` uses the system's own ssh.",
        code="T010",
    )


def unchecked_key(address: Address) -> Unreachable:
    return Unreachable(
        "its ssh settings turn host key checking off (UserKnownHostsFile none), which is refused",
        where=place(address),
        way_out="Set `fleet.ssh.known_hosts` to a file of host keys.",
        code="T011",
    )


def no_channel(address: Address, detail: str) -> Unreachable:
    return Unreachable(
        f"no further program can be started on this connection: {detail}",
        where=place(address),
        way_out="sshd's MaxSessions (10 unless set) bounds the programs at once on one connection.",
        code="T012",
    )


def lost(address: Address, detail: str = "") -> Unreachable:
    return Unreachable(
        f"the connection was lost{detail}",
        where=place(address),
        way_out="What was under way there is unknown until the host is reached again.",
        code="T013",
    )


def unexplained(address: Address, detail: str) -> Unreachable:
    return Unreachable(
        f"ssh failed: {detail}",
        where=place(address),
        way_out=f"Try `ssh -v {shlex.quote(address.host)} true` as the user that runs leuko.",
        code="T014",
    )


def input_closed(where: str) -> Unreachable:
    return Unreachable("the program no longer reads its input", where=where, code="T020")


def closed(where: str) -> Unreachable:
    return Unreachable("the connection is closed", where=where, code="T021")


def _file(file: str) -> str:
    return shlex.quote(file) if file else "~/.ssh/known_hosts"
