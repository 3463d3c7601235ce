from __future__ import annotations

import asyncio
import contextlib
import json
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from leuko.config.inventory import COMMAND_SECONDS, machines, read_inventory
from leuko.config.loading import parse
from leuko.config.ranges import unfold
from leuko.domain.errors import LeukoError

QUICK = settings(deadline=None, max_examples=60)

INI = """\
# the fleet
mail.example.com
10.0.0.5:2222

[web servers]
odd.example.com # a comment
[webservers]
www[01:03].example.com  ansible_user=deploy   # three
www04.example.com ansible_host=10.0.3.4 note="two words"

[dbservers]
db-[a:b].example.com:2200

[europe:children]
webservers
dbservers

[europe:vars]
region = "eu-west"
[webservers:vars]
region=eu-www
[all:vars]
ansible_port=23
"""
YAML = """\
---
all:
  vars:
    ansible_port: 23
  hosts:
    mail.example.com:
  children:
    europe:
      vars: {region: eu-west, many: [1, 2], secret: !vault abc}
      children:
        webservers:
          vars: {region: eu-www}
          hosts:
            www[01:03].example.com: {ansible_user: deploy}
            www04.example.com:
              ansible_host: 10.0.3.4
              fast: true
"""
LIST = {
    "_meta": {
        "hostvars": {"www04.example.com": {"ansible_host": "10.0.3.4", "ansible_port": 24, "deep": {"a": 1}}}
    },
    "all": {"children": ["europe", "ungrouped"], "vars": {"ansible_port": 23}},
    "europe": {"children": ["webservers"], "vars": {"region": "eu-west"}},
    "webservers": {"hosts": ["www01.example.com", "www04.example.com"]},
    "ungrouped": ["mail.example.com"],
}


def shown(text: str) -> list[tuple]:
    return [(m.name, m.address, m.port, m.user, m.groups, dict(m.variables)) for m in machines(text)]


def test_ini():
    web = ("webservers", "europe", "all")
    assert shown(INI) == [
        ("mail.example.com", "", 23, "", ("ungrouped", "all"), {}),
        ("10.0.0.5", "", 2222, "", ("ungrouped", "all"), {}),
        ("odd.example.com", "", 23, "", ("web servers", "all"), {}),
        *((f"www0{n}.example.com", "", 23, "deploy", web, {"region": "eu-www"}) for n in (1, 2, 3)),
        ("www04.example.com", "10.0.3.4", 23, "", web, {"region": "eu-www", "note": "two words"}),
        *(
            (f"db-{x}.example.com", "", 2200, "", ("dbservers", "europe", "all"), {"region": "eu-west"})
            for x in "ab"
        ),
    ]


def test_yaml():
    web = ("webservers", "europe", "all")
    assert shown(YAML) == [
        ("mail.example.com", "", 23, "", ("all",), {}),
        *((f"www0{n}.example.com", "", 23, "deploy", web, {"region": "eu-www"}) for n in (1, 2, 3)),
        ("www04.example.com", "10.0.3.4", 23, "", web, {"region": "eu-www", "fast": "true"}),
    ]


def test_json():
    web = ("webservers", "europe", "all")
    assert shown(json.dumps(LIST)) == [
        ("www01.example.com", "", 23, "", web, {"region": "eu-west"}),
        ("www04.example.com", "10.0.3.4", 24, "", web, {"region": "eu-west"}),
        ("mail.example.com", "", 23, "", ("ungrouped", "all"), {}),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "a.example.com\nb.example.com\n",
        "\ufeffa.example.com\r\nb.example.com\r\n",
        "\n# x\na.example.com\n\n  b.example.com",
    ],
)
def test_a_plain_list(text):
    assert [machine.name for machine in machines(text)] == ["a.example.com", "b.example.com"]
    assert {machine.groups for machine in machines(text)} == {("ungrouped", "all")}


def test_nothing_gives_nothing():
    assert machines("") == machines("{}") == machines("# nobody\n") == ()


def test_groups_that_contain_each_other_end():
    text = "[a]\nx\n[a:children]\nb\n[b:children]\na\n"
    assert shown(text) == [("x", "", None, "", ("a", "b", "all"), {})]


REFUSED = {
    "a variable without value": (
        "[a]\nx y\n",
        'inventory:2: should be "name=value" after the host, not "y" [C060]',
    ),
    "a section of no kind": ("[a:b]\n", 'inventory:1: has a section of kind "b" [C060]'),
    "a quote left open": ("x a='b\n", "inventory:1: has a quote that is not closed [C060]"),
    "a port that is none": (
        "x ansible_port=ssh\n",
        'inventory x: has ansible_port "ssh", which is no port [C060]',
    ),
    "a range backwards": ("w[9:1]\n", "inventory:1: the range [9:1] runs backwards [C060]"),
    "an option of ssh's": ("-oProxyCommand=x\n", 'inventory:1: "-oProxyCommand=x" is not a host name [C060]'),
    "a shell": ("a;reboot\n", 'inventory:1: "a;reboot" is not a host name [C060]'),
    "JSON left open": (
        '{"a": ',
        "inventory: is not valid JSON: Expecting value: line 1 column 7 (char 6) [C060]",
    ),
    "JSON of another shape": ('{"a": 5}', 'inventory a: should have a list of names as "hosts" [C060]'),
    "YAML of another shape": (
        "all:\n  hosts:\n    - a\n",
        "inventory all.hosts: should be keys and values [C060]",
    ),
    "YAML with a tab": (
        "all:\n\thosts:\n",
        "inventory:2:1: is indented with a tab, which YAML does not allow [C060]",
    ),
    "a key that is none": ("all:\n  host: {}\n", 'inventory all: has the key "host" [C060]'),
    "variables that are none": ("[a:vars]\nx\n", 'inventory:2: should be "name=value", not "x" [C060]'),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_says_where(name):
    text, expected = REFUSED[name]
    with pytest.raises(LeukoError) as caught:
        machines(text)
    assert str(caught.value).split("\n")[0] == expected


@QUICK
@given(some.binary(max_size=200))
def test_garbage_is_refused_or_read_and_never_crashes(garbage):
    with contextlib.suppress(LeukoError):
        machines(garbage.decode("latin-1"))


@QUICK
@given(some.integers(0, 300), some.integers(0, 300), some.integers(1, 20), some.integers(1, 4))
def test_a_range_of_numbers(low, extra, step, width):
    first = str(low).zfill(width)
    names = unfold(f"www[{first}:{low + extra}:{step}].example.com")
    padded = len(first) if first.startswith("0") and len(first) > 1 else 0
    assert names == [f"www{str(n).zfill(padded)}.example.com" for n in range(low, low + extra + 1, step)]


@QUICK
@given(some.text("abcdefghij[]:0-9", max_size=20))
def test_any_text_is_unfolded_or_refused(text):
    try:
        names = unfold(text)
    except ValueError:
        return
    assert names
    assert len(set(names)) == len(names) or "[" in text


def test_ranges_combine():
    assert unfold("r[1:2]-[a:c:2]") == ["r1-a", "r1-c", "r2-a", "r2-c"]
    assert unfold("[::1]") == ["[::1]"]


@pytest.mark.parametrize("text", ["w[0:99999]", "w[0:999][0:999]", "w[1:5:0]", "w[a:5]", "w[a:F]"])
def test_ranges_that_are_refused(text):
    with pytest.raises(ValueError, match=r"range|stands for more"):
        unfold(text)


def configured(inventory: str):
    text = f"application: shop\nrepository: /x\nfleet: {{inventory: {{{inventory}, groups: {{all: www}}}}}}\n"
    return parse(text).configuration


async def test_a_file_is_looked_for_beside_leuko_yml(tmp_path):
    (tmp_path / "hosts").write_text("a\nb\n")
    assert await read_inventory(configured("file: hosts"), tmp_path) == "a\nb\n"
    with pytest.raises(LeukoError, match=r"cannot be read: No such file or directory \[C060\]"):
        await read_inventory(configured("file: others"), tmp_path)


async def test_a_command_prints_one(tmp_path):
    (tmp_path / "hosts").write_text("a\n")
    assert await read_inventory(configured("command: [cat, hosts]"), tmp_path) == "a\n"


FAILING = {
    "no such program": ("[no-such-program-anywhere]", "could not be started: No such file or directory"),
    "a failure": ("[sh, -c, 'echo one >&2; echo no route >&2; exit 3']", "ended with 3: no route"),
    "no end": ("['yes', aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]", "gives more than 65536 KiB"),
    "a quiet failure": ("['false']", "ended with 1: it printed no error"),
    "no text": (
        f"[{sys.executable}, -c, 'import sys; sys.stdout.buffer.write(bytes([255]))']",
        "is not UTF-8 text",
    ),
}


@pytest.mark.parametrize("name", FAILING)
async def test_a_command_that_fails_says_how(name, tmp_path):
    command, expected = FAILING[name]
    with pytest.raises(LeukoError, match=expected):
        await read_inventory(configured(f"command: {command}"), tmp_path)


async def test_a_command_that_hangs_is_ended(tmp_path):
    assert COMMAND_SECONDS == 30.0
    reading = asyncio.create_task(
        read_inventory(configured("command: [sh, -c, 'echo $$ > pid; exec sleep 1000']"), tmp_path)
    )
    pid = tmp_path / "pid"
    async with asyncio.timeout(20):
        while not (pid.exists() and pid.read_text().strip()):
            await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    import os

    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)
