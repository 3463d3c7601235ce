"""Which driver is chosen, from the text of ssh_config alone."""

from __future__ import annotations

import pytest
from asyncssh.config import SSHClientConfig

from leuko.hosts.port import Address
from leuko.hosts.transport.choice import HANDLED, choose, read_files

USER, SYSTEM = "~/.ssh/config", "/etc/ssh/ssh_config"


def chosen(text: str = "", *, system: str = "", files: dict[str, str] | None = None, **address):
    texts = {USER: text, SYSTEM: system, **(files or {})}
    return choose(Address("web-1", **address), lambda path: [texts[path]] if path in texts else [])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Host web-*\n  User deploy\n  IdentityFile ~/.ssh/%h\n  ProxyJump bastion",
        "Host db-1\n  KnownHostsCommand /bin/x",
        "Host * !web-1\n  ProxyUseFdpass yes",
        "ProxyUseFdpass no\nPKCS11Provider none\nVerifyHostKeyDNS=no",
        "# ProxyUseFdpass yes",
        "Match originalhost db-* exec true\n  User x",
        "Match host web-1\n  User x",
        "ProxyCommand nc %h %p",
        "GSSAPIAuthentication no",
        'Host "web-1"\n  User "some one',
        "garbage \x00 \xff\n=\n==",
    ],
)
def test_asyncssh_where_it_will_do(text):
    assert chosen(text).driver == "asyncssh"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ProxyUseFdpass yes", "~/.ssh/config:1: asyncssh does not have proxyusefdpass"),
        ("Host web-*\n\n  KnownHostsCommand /bin/x %H", "~/.ssh/config:3"),
        ("PKCS11Provider /usr/lib/x.so", "module pkcs11"),
        ("GSSAPIAuthentication yes", "module gssapi"),
        ('Match exec "test -f /etc/vpn"\n  User x', "`Match exec`"),
        ("Match host web-1 localnetwork 10.0.0.0/8", "`Match localnetwork`"),
        ("Match !exec=false", "`Match exec`"),
        ("Match originalhost web-1 sessiontype shell", "`Match sessiontype`"),
        ("IdentityFile ~/.ssh/%k", "%k in identityfile"),
        ("ProxyJump a,me@[::1]:23\nHost a\nRevokedHostKeys /x", "jump host a: ~/.ssh/config:3"),
    ],
)  # fmt: skip
def test_openssh_where_asyncssh_lacks_something(text, why):
    choice = chosen(text)
    assert choice.driver == "openssh"
    assert why in choice.why


def test_debians_own_file_asks_for_nothing():
    text = "Include /etc/ssh/ssh_config.d/*.conf\nHost *\n SendEnv LANG LC_*\n HashKnownHosts yes\n GSSAPIAuthentication yes\n"
    assert chosen(system=text).driver == "asyncssh"


def test_included_files_count_where_they_are_included():
    files = {"~/.ssh/conf.d/*": "Host web-1\nProxyUseFdpass yes"}
    assert chosen("Include conf.d/*", files=files).driver == "openssh"
    assert chosen("Host db\nInclude conf.d/*", files=files).driver == "asyncssh"
    assert chosen(f"Include {USER}").driver == "asyncssh"  # itself


def test_the_installations_own_options_count():
    assert chosen(options=(("HostName", "10.0.0.1"),)).driver == "asyncssh"
    assert chosen(options=(("ProxyUseFdpass", "yes"),)).driver == "openssh"
    assert chosen(options=(("NoSuchOption", "yes"),)).driver == "openssh"
    assert chosen(options=(("Match", "exec true"), ("User", "x"))).driver == "openssh"


def test_jump_hosts_of_the_installation_count():
    assert chosen("Host bastion\nProxyUseFdpass yes", jump=("me@bastion:22",)).driver == "openssh"


def test_a_driver_that_is_set_is_taken():
    assert chosen("ProxyUseFdpass yes", driver="asyncssh").driver == "asyncssh"
    assert chosen(driver="local").driver == "local"


def test_the_list_of_what_asyncssh_handles_is_the_installed_ones():
    assert frozenset(SSHClientConfig._handlers) == HANDLED


def test_real_files(tmp_path):
    (tmp_path / "a.conf").write_text("A")
    (tmp_path / "b.conf").write_text("B")
    assert read_files(f"{tmp_path}/*.conf") == ["A", "B"]
    assert read_files(f"{tmp_path}/none") == []
