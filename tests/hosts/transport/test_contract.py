"""What every transport promises, the one list for all of them: real ssh, system ssh and local."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sys

import pytest
from tests.sshd import until

from leuko.hosts.port import Unreachable
from leuko.hosts.transport.lines import LONGEST_LINE, TAIL

pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("status", [0, 1, 3, 126, 254, 255])
async def test_exit_status_arrives(reached, status):
    assert (await reached.run("sh", "-c", f"exit {status}"))[0] == status


async def test_a_program_that_is_not_there_is_127(reached):
    status, lines, errors = await reached.run("no-such-program", "x")
    assert (status, lines) == (127, [])
    assert b"no-such-program" in errors


async def test_a_signal_is_128_and_its_number_or_255(reached):
    status = (await reached.run("sh", "-c", "kill -9 $$"))[0]
    assert status == (255 if reached.kind == "openssh" else 137)  # system ssh tells no signals apart


async def test_binary_input_goes_round(reached):
    data = random.Random(5).randbytes(5_000_000)
    status, lines, _ = await reached.run("sha256sum", stdin=data)
    assert (status, lines) == (0, [hashlib.sha256(data).hexdigest().encode() + b"  -"])


ARGUMENTS = [
    "plain", "", "two words", " lead and trail ", "it's", 'a "quote"', "new\nline", "tab\there", "-n", "--", "-",
    "$(touch /tmp/never)", "`id`", "$HOME", "${PATH}", "*", "?", "[a-z]", "~", "~root", "!", "!!", "#", "a;b", "a&b",
    "a|b", "<in", ">out", "\\", "\\n", "back\\slash'", "grüße", "日本語", "🚀", "%s", "{a,b}", "(x)", "\x01\x7f", "=x", "a=b",
]  # fmt: skip


async def test_arguments_arrive_untouched(reached):
    script = "import sys; print(ascii(sys.argv[1:]))"
    status, lines, errors = await reached.run(sys.executable, "-c", script, *ARGUMENTS)
    assert (status, errors) == (0, b"")
    assert lines == [ascii(ARGUMENTS).encode()]


async def test_a_long_argument_arrives(reached):
    script = "x" * 60_000
    assert (await reached.run("sh", "-c", 'printf "%s\\n" "${#1}"', "sh", script))[1] == [b"60000"]


async def test_lines_without_end_are_cut_and_counted_off(reached):
    script = "head -c 10000000 /dev/zero | tr '\\0' x; echo; echo after"
    status, lines, _ = await reached.run("sh", "-c", script)
    assert status == 0
    assert lines == [b"x" * LONGEST_LINE, b"after"]


async def test_many_lines_arrive_in_order(reached):
    status, lines, _ = await reached.run("seq", "-f", "%019.0f", "500000")
    assert status == 0
    assert lines == [b"%019d" % n for n in range(1, 500_001)]


async def test_a_last_line_needs_no_newline(reached):
    assert (await reached.run("printf", "a\\n\\nb"))[1] == [b"a", b"", b"b"]


async def test_a_flood_on_stderr_blocks_nothing_and_its_end_is_kept(reached):
    script = "seq 1 400000 >&2; echo done; seq 1 400000 >&2; echo the end >&2"
    status, lines, errors = await reached.run("sh", "-c", script)
    assert (status, lines) == (0, [b"done"])
    assert len(errors) == TAIL
    assert errors.endswith(b"400000\nthe end\n")


async def test_a_slow_reader_slows_the_program_and_loses_nothing(reached):
    channel = await reached.connection.start(["seq", "300000"])
    await channel.end_input()
    lines = channel.lines()
    first = [await anext(lines) for _ in range(10)]
    assert first[-1] == b"10"
    other = await reached.run("echo", "meanwhile")
    assert other[1] == [b"meanwhile"]
    assert sum([1 async for _ in lines]) == 299_990
    assert await channel.wait() == 0
    await channel.close()


async def test_input_that_nobody_reads_waits_and_ends_with_the_program(reached):
    """`write` waits while the program reads nothing; once it has ended it raises, or returns at the latest then."""
    channel = await reached.connection.start(["sh", "-c", "read go; exit 7"])
    writing = asyncio.create_task(channel.write(b"x" * 20_000_000))
    done, _ = await asyncio.wait({writing}, timeout=0.3)
    assert not done
    other = await reached.run("echo", "meanwhile")
    assert other[1] == [b"meanwhile"]
    await channel.close()
    with pytest.raises(Unreachable) as caught:
        await asyncio.wait_for(writing, 5)
    assert caught.value.code == "T020"


async def test_writing_to_a_program_that_has_ended(reached):
    channel = await reached.connection.start(["true"])
    assert await channel.wait() == 0

    async def flood() -> None:
        while True:
            await channel.write(b"x" * 1_000_000)

    with pytest.raises(Unreachable) as caught:
        await asyncio.wait_for(flood(), 10)
    assert caught.value.code == "T020"
    await channel.close()


async def test_ending_the_input_twice_is_fine_and_writing_afterwards_is_not(reached):
    channel = await reached.connection.start(["cat"])
    await channel.write(b"abc")
    await channel.end_input()
    await channel.end_input()
    assert [line async for line in channel.lines()] == [b"abc"]
    with pytest.raises(Unreachable):
        await channel.write(b"more")
    await channel.close()
    await channel.close()


async def test_what_a_program_leaves_behind_does_not_hold_its_lines_up(reached):
    channel = await reached.connection.start(["sh", "-c", "sleep 3 & echo hi; exit 4"])
    await channel.end_input()
    lines = [line async for line in channel.lines()]
    assert lines == [b"hi"]
    assert await channel.wait() == 4
    await channel.close()


async def test_close_frees_whoever_waits(reached):
    channel = await reached.connection.start(["sh", "-c", "echo hi; trap '' TERM HUP PIPE; exec sleep 20"])
    lines = channel.lines()
    assert await anext(lines) == b"hi"

    async def rest() -> list[bytes]:
        return [line async for line in lines]

    waiting = [asyncio.create_task(work) for work in (rest(), channel.wait(), channel.errors())]
    await asyncio.sleep(0)
    await channel.close()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [[], None, b""]


async def test_closing_a_channel_ends_the_programs_input_and_no_more(reached, tmp_path):
    sign = tmp_path / "sign"
    script = 'echo up; cat >/dev/null; sleep 0.2; echo ended >"$1"'
    channel = await reached.connection.start(["sh", "-c", script, "sh", str(sign)])
    assert await anext(channel.lines()) == b"up"
    await channel.close()
    await until(sign.exists)


async def test_the_environment_is_scrubbed(reached):
    lines = (await reached.run("env"))[1]
    names = {line.split(b"=")[0].decode() for line in lines}
    assert {"PATH", "HOME"} <= names
    assert not [
        name for name in names if name.startswith("LEUKO") or name in {"VIRTUAL_ENV", "SSH_AUTH_SOCK"}
    ]


async def test_functions_of_a_start_up_file_do_not_come_between(reached):
    """The servers' sshd sets SHLVL=1, so that bash reads no .bashrc; test_bashrc has one that does."""
    if reached.kind != "local":
        (reached.host.home / ".bashrc").write_text("echo from bashrc; exit 9\n")
        (reached.host.home / ".profile").write_text("echo from profile; exit 9\n")
    assert await reached.run("echo", "hi") == (0, [b"hi"], b"")


async def test_eight_programs_at_once(reached):
    async def one(number: int) -> list[bytes]:
        data = bytes([number]) * 1_000_000
        status, lines, _ = await reached.run(
            "sh", "-c", "cat | wc -c; echo $1", "sh", str(number), stdin=data
        )
        assert status == 0
        return lines

    found = await asyncio.gather(*(one(number) for number in range(8)))
    assert found == [[b"1000000", str(number).encode()] for number in range(8)]


async def test_a_conversation(reached):
    """Question and answer over one program: nothing waits in a buffer."""
    channel = await reached.connection.start(["cat"])
    lines = channel.lines()
    for number in range(50):
        await channel.write(b"question %d\n" % number)
        assert await asyncio.wait_for(anext(lines), 5) == b"question %d" % number
    await channel.end_input()
    assert [line async for line in lines] == []
    assert await channel.wait() == 0
    await channel.close()


async def test_a_cancelled_reader_loses_nothing(reached):
    channel = await reached.connection.start(["sh", "-c", "read a; seq 1000"])
    reading = asyncio.create_task(anext(channel.lines()))
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await channel.write(b"go\n")
    assert [line async for line in channel.lines()] == [b"%d" % n for n in range(1, 1001)]
    await channel.close()


async def test_a_closed_connection_starts_nothing(reached):
    await reached.connection.close()
    assert not reached.connection.alive
    with pytest.raises(Unreachable):
        await reached.connection.start(["true"])
    await reached.connection.close()
