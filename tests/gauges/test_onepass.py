"""What one awk answers for all gauges of a log is what grep and sed answer for each of them."""

import math
import random
import subprocess

import pytest
from tests.gauges.conftest import host_gauge, log_gauge
from tests.gauges.test_reader import reading

from leuko.gauges.onepass import parts, passes, plain
from leuko.gauges.reader import reader_argv


@pytest.mark.parametrize(
    ("expression", "same"),
    [
        (" 5[0-9][0-9] [0-9.]+ [^ ]+$", True),
        (r"GET /a\.html", True),
        ("error|fatal", True),
        ("(a|b)+c?", True),
        ("a/b\"c'd", True),
        ("", False),
        ("[[:digit:]]", False),
        ("a{2}", False),
        (r"\bword", False),
        (r"a\<b", False),
        (r"[\.]", False),
        ("*a", False),
        ("a|", False),
        ("(|a)", False),
        ("^*a", False),
        ("a\\", False),
        ("grün", False),
        ("a\nb", False),
    ],
)
def test_only_what_every_awk_reads_alike_is_asked_at_once(expression, same):
    assert plain(expression) is same


@pytest.mark.parametrize(
    ("expression", "cut"),
    [
        (" [0-9]+ ([0-9.]+) [^ ]+$", (" [0-9]+ ", "[0-9.]+", " [^ ]+")),
        ("^took=(.*)", ("took=", ".*", "")),
        ("took=([0-9])+", None),
        ("(a)(b)", None),
        ("a|(b)", None),
        ("[(]a[)]", None),
        ("none", None),
    ],
)
def test_an_expression_with_one_group_is_cut_in_three(expression, cut):
    assert parts(expression) == cut


def test_gauges_of_hosts_and_odd_expressions_are_left_to_others():
    gauges = [
        host_gauge("load"),
        log_gauge("count", "x{1}"),
        log_gauge("count", "x"),
        log_gauge("ratio", "x", of="[[:alpha:]]"),
        log_gauge("level", "x", value="(a)|b"),
        log_gauge("ratio", "x", of="y", file="b.log"),
    ]
    assert {file: places for file, (_, places) in passes(gauges).items()} == {"app.log": (2,), "b.log": (5,)}


# each of the first kind is asked in the one pass, each of the second, which means the same, by itself
PAIRS = [
    (log_gauge("count", "a.b"), log_gauge("count", "a.{1}b")),
    (log_gauge("count", "^GET|5[0-9]+$"), log_gauge("count", "^GE{1}T|5[0-9]+$")),
    (log_gauge("ratio", "500"), log_gauge("ratio", "50{2}")),
    (log_gauge("ratio", "500", of="GET"), log_gauge("ratio", "500", of="G{1}ET")),
    (
        log_gauge("level", "GET", value=" t=([0-9.]+)[a-z]*"),
        log_gauge("level", "GET", value=" t{1}=([0-9.]+)[a-z]*"),
    ),
    (
        log_gauge("level", "t=", value="^.*t=([^ ]*)"),
        log_gauge("level", "t=", value="^.*t{1}=([^ ]*)"),
    ),
    (log_gauge("level", "t=", value="t=(.*)$"), log_gauge("level", "t=", value="t{1}=(.*)$")),
]
# no zero byte: sed's own `.` does not match it, and every other one does
WORDS = [
    "GET",
    "500",
    " ",
    " t=12.5ms",
    " t=7",
    " t=x",
    "a",
    "b",
    "\xff",
    "\t",
    "t=",
    "é",
    "-1e3",
    "\\",
]


async def test_both_ways_give_the_same_readings(tmp_path):
    seed = random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    gauges = [one for pair in PAIRS for one in pair]
    assert passes(gauges)["app.log"][1] == tuple(range(0, len(gauges), 2))
    log = tmp_path / "app.log"
    log.write_text("")
    compared = 0
    async with reading(gauges, tmp_path) as next_tick:
        await next_tick()
        for _ in range(6):
            text = "".join(chance.choice([*WORDS, "\n"]) for _ in range(chance.randint(0, 400)))
            with log.open("ab") as out:
                out.write(text.encode("latin-1"))
            found, _ = await next_tick()
            for place in range(0, len(gauges), 2):
                once, alone = found[place], found[place + 1]
                assert once.value == pytest.approx(alone.value, nan_ok=True), (gauges[place].log, text)
                assert once.denominator == pytest.approx(alone.denominator, nan_ok=True)
                compared += not math.isnan(once.value)
    assert compared > 15


@pytest.mark.parametrize(
    "awk", ["exit 127", "exit 0", "echo 1 5; exit 0", "tr -d '\\000' | /usr/bin/awk \"$@\""]
)
async def test_without_an_awk_that_can_everything_is_asked_one_by_one(tmp_path, awk, monkeypatch):
    program = tmp_path / "bin" / "awk"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{awk}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    log = tmp_path / "app.log"
    log.write_text("")
    async with reading([log_gauge("count", "x"), log_gauge("ratio", "x")], tmp_path) as next_tick:
        await next_tick()
        with log.open("ab", buffering=0) as out:
            out.write(b"x\ny\nhalf an x")
        found, _ = await next_tick()
        assert (found[0].value, found[1].value, found[1].denominator) == (1, 1, 2)


def test_the_program_asks_few_processes():
    argv = reader_argv([log_gauge("count", "x"), log_gauge("count", "y")], root="/r", tick=1.0)
    assert argv.count("pass") == 1
    assert subprocess.run(["sh", "-n", "-c", argv[2]], check=False).returncode == 0
