"""The ends of logs: which lines, and when they were written."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import pytest
from tests.gauges.conftest import start_here

from leuko.gauges.tails import READ, LogLine, Tail, lines_of, newest, tail_argv, time_of

NOW = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)


async def tail(folder, **more):
    program = await start_here("www1", tail_argv(Tail(**more), str(folder)))
    printed = [line async for line in program.lines()]
    status = await program.wait()
    said = (await program.errors()).decode()
    return status, lines_of("www1", printed, NOW), said


async def test_the_last_matching_lines_cut_and_cleaned(tmp_path):
    (tmp_path / "e.log").write_bytes(
        b"ERROR first\nfine\nERROR \x1b[31mred\x00\x07\nERROR %b\nERROR last, unfinished" % (b"y" * 9000)
    )
    status, found, _ = await tail(tmp_path, file="e.log", match="ERROR", lines=3, width=20)
    assert status == 0
    assert [line.text for line in found] == ["ERROR  [31mred", "ERROR yyyyyyyyyyyyyy", "ERROR last, unfinish"]


async def test_of_a_gigabyte_only_the_end_is_read(tmp_path):
    with (tmp_path / "big.log").open("wb") as log:
        log.truncate(1 << 30)
        log.seek(0, 2)
        log.write(b"\nERROR one\nERROR two\n")
    status, found, _ = await tail(tmp_path, file=str(tmp_path / "big.log"), match="ERROR")
    assert (status, [line.text for line in found]) == (0, ["ERROR one", "ERROR two"])


async def test_a_first_line_that_was_cut_is_left_out(tmp_path):
    (tmp_path / "e.log").write_text("ERROR cut " + "x" * READ + "\nERROR whole\n")
    _, found, _ = await tail(tmp_path, file="e.log", match="x|ERROR")
    assert [line.text for line in found] == ["ERROR whole"]


@pytest.mark.parametrize("file", ["none.log", ".", "x; touch /tmp/never"])
async def test_a_log_that_is_not_there_says_so(tmp_path, file):
    status, found, said = await tail(tmp_path, file=file)
    assert (status, found) == (1, [])
    assert "there is no log" in said


EAST = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026-03-02 11:59:58,123 ERROR x", "09:59:58"),
        ("2026-03-02T11:59:58Z x", "11:59:58"),
        ("[2026-03-02T11:59:58.5+01:00] x", "10:59:58"),
        ("2026/03/02 11:59:58 [error] 7#7: *1 x", "09:59:58"),
        ('10.0.0.1 - - [02/Mar/2026:11:59:58 +0000] "GET / HTTP/1.1" 500', "11:59:58"),
        ("Mar  2 11:59:58 www1 app[7]: x", "09:59:58"),
        ("2026-03-02 11:59:58.123 UTC [7] LOG:  x", "11:59:58"),
        ("2026-13-45 99:99:99 x", None),
        ("no time at all 12", None),
        ("Xyz  2 11:59:58 x", None),
    ],
)
def test_when_a_line_was_written(text, at):
    found = time_of(text, EAST, NOW)
    assert (found.strftime("%H:%M:%S") if found else None) == at


def test_syslog_of_last_year():
    january = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
    assert time_of("Dec 31 23:59:00 x", UTC, january).year == 2025


def test_the_newest_first_and_those_without_a_time_last():
    lines = [
        LogLine("a", NOW - timedelta(minutes=9), "old"),
        LogLine("a", NOW - timedelta(minutes=2), "two"),
        LogLine("b", NOW - timedelta(minutes=1), "one"),
        LogLine("b", None, "whenever"),
    ]
    found = newest(lines, NOW - timedelta(minutes=5), 10)
    assert [line.text for line in found] == ["one", "two", "whenever"]
    assert [line.text for line in newest(lines, NOW - timedelta(hours=1), 2)] == ["one", "two"]


async def test_a_match_is_data_not_shell(tmp_path):
    (tmp_path / "e.log").write_text("a$(touch never)b\n")
    _, found, _ = await tail(tmp_path, file="e.log", match="[$][(]touch never[)]")
    assert len(found) == 1
    await asyncio.sleep(0)
    assert not (tmp_path / "never").exists()
