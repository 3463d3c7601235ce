from __future__ import annotations

import base64
import copy
import json
import pickle
import sys
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.freeze import frozen_text
from leuko.config.loading import parse
from leuko.config.problems import ConfigurationInvalid
from leuko.config.secrets import Secrets, resolve
from leuko.domain.errors import LeukoError

QUICK = settings(deadline=None, max_examples=60)

PLANTED = 'hunter2 "&/ä'


def configured(secrets: str):
    text = f"application: shop\nrepository: /x\nfleet: {{roles: {{www: [a, b]}}}}\nsecrets: {secrets}\n"
    return parse(text).configuration


async def test_from_environment_file_and_command(tmp_path):
    (tmp_path / "key").write_text("one\ntwo\n\n")
    configuration = configured(
        "{A: {env: SHOP_A}, B: {file: key}, C: {command: [sh, -c, 'echo $PWD-value']}}"
    )
    secrets = await resolve(configuration, tmp_path, {"SHOP_A": "from the environment"})
    assert secrets.values() == {"A": "from the environment", "B": "one\ntwo\n", "C": f"{tmp_path}-value"}
    assert secrets.names == ("A", "B", "C")


async def test_everything_that_cannot_be_read_is_told_at_once_and_without_any_value(tmp_path):
    (tmp_path / "latin").write_bytes(b"hunter2\xff")
    (tmp_path / "zero").write_bytes(b"hunter2\0x")
    (tmp_path / "large").write_bytes(b"hunter2" * 20_000)
    configuration = configured(
        "{A: {env: NOPE}, B: {file: nope}, C: {command: [sh, -c, 'echo hunter2; echo hunter2 >&2; exit 7']}, D: {env: SHORT},"
        " E: {file: latin}, F: {file: zero}, G: {command: [no-such-program, hunter2]}, H: {file: large}}"
    )
    with pytest.raises(ConfigurationInvalid) as caught:
        await resolve(configuration, tmp_path, {"SHORT": "abc"})
    assert [str(problem).split("\n")[0] for problem in caught.value.problems] == [
        "secrets.A: is to come from the environment variable NOPE, which is not set [C053]",
        f"secrets.B: is to come from {tmp_path}/nope, which cannot be read: No such file or directory [C053]",
        "secrets.C: is to come from `sh`, which ended with 7 [C053]",
        "secrets.D: has only 3 characters: it could not be hidden in what is kept [C054]",
        f"secrets.E: is to come from {tmp_path}/latin, which gives something that is not UTF-8 text [C053]",
        "secrets.F: holds a zero byte, which no environment or file of variables can hold [C053]",
        "secrets.G: is to come from `no-such-program`, which could not be started: No such file or directory [C053]",
        f"secrets.H: is to come from {tmp_path}/large, which gives more than 64 KiB [C053]",
    ]
    assert "hunter2" not in str(caught.value)


async def test_a_command_that_prints_without_end_is_ended(tmp_path):
    with pytest.raises(ConfigurationInvalid, match="gives more than 64 KiB"):
        await resolve(configured("{A: {command: ['yes']}}"), tmp_path)


FORMS = {
    "as it is": PLANTED,
    "in an address": quote(PLANTED, safe=""),
    "in a path": quote(PLANTED),
    "in a form": quote_plus(PLANTED),
    "in JSON": json.dumps(PLANTED),
    "in JSON with its letters": json.dumps(PLANTED, ensure_ascii=False),
    "in base64": base64.b64encode(PLANTED.encode()).decode(),
    "in base64 for addresses": base64.urlsafe_b64encode(PLANTED.encode()).decode(),
    "in a login": base64.b64encode(f"u:{PLANTED}".encode()).decode(),
    "in a longer login": base64.b64encode(f"user:{PLANTED}@".encode()).decode(),
    "in the longest login": base64.b64encode(f"user2:{PLANTED}@x".encode()).decode(),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("kind", [str, bytes])
def test_each_form_is_hidden(name, kind):
    secrets = Secrets({"TOKEN": PLANTED})
    text = f"before {FORMS[name]} after"
    masked = secrets.mask(text) if kind is str else secrets.mask(text.encode()).decode()
    assert "***TOKEN***" in masked
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    for length in range(len(PLANTED), 5, -1):
        assert PLANTED[:length] not in masked


def test_the_longest_is_hidden_first():
    secrets = Secrets({"SHORT": "abcd", "LONG": "abcdefgh"})
    assert secrets.mask("abcdefgh abcd abcdef") == "***LONG*** ***SHORT*** ***SHORT***ef"


def test_a_key_of_several_lines_is_hidden_line_by_line():
    secrets = Secrets({"KEY": "-----BEGIN-----\nAAAABBBBCCCC\n-----END-----"})
    assert secrets.mask("+ AAAABBBBCCCC") == "+ ***KEY***"


@QUICK
@given(some.text(min_size=4, max_size=30), some.text(max_size=20), some.text(max_size=20))
def test_no_value_ever_remains(value, before, after):
    masked = Secrets({"N": value}).mask(before + value + after)
    assert value not in masked.replace("***N***", "")
    assert value.encode("utf-8", "surrogateescape") not in Secrets({"N": value}).mask(
        value.encode("utf-8", "surrogateescape")
    )


def test_without_secrets_nothing_changes():
    assert Secrets().mask("text") == "text"
    assert Secrets().mask(b"text") == b"text"
    assert Secrets().longest == 0


def test_values_are_never_shown_or_written_down():
    secrets = Secrets({"TOKEN": PLANTED})
    assert repr(secrets) == str(secrets) == "Secrets(TOKEN)"
    for write in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="secrets are not written down"):
            write(secrets)


def test_the_frozen_configuration_holds_references_only():
    text = frozen_text(configured("{A: {env: SHOP_A}}"))
    assert '"secrets":{"A":{"command":[],"env":"SHOP_A","file":""}}' in text


def test_references_are_filled_in_just_before_use():
    secrets = Secrets({"CHAT": "slack://a/b/c", "KEY": "k1k2"})
    assert secrets.fill_in("secret:CHAT") == "slack://a/b/c"
    assert secrets.fill_in("https://x/secret:KEY/y") == "https://x/k1k2/y"
    with pytest.raises(LeukoError, match='there is no secret "NOPE"'):
        secrets.fill_in("secret:NOPE")


async def test_a_planted_secret_is_in_no_argument_of_this_process(tmp_path):
    configuration = configured(f"{{A: {{command: [{sys.executable}, -c, 'print(open(\"v\").read())']}}}}")
    (tmp_path / "v").write_text("planted-value-1")
    secrets = await resolve(configuration, tmp_path)
    assert secrets.value("A") == "planted-value-1"
    assert "planted-value-1" not in repr(configuration) + frozen_text(configuration)
