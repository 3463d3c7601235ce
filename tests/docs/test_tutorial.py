"""The tutorial, followed word for word: its files are saved, its commands typed, its output compared."""

from __future__ import annotations

import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from tests.docs.pages import ROOT, Block, blocks, commands

PAGE = ROOT / "docs" / "tutorial.md"
PLACE = "/tmp/leuko-tutorial"
PORTS = ("9101", "9102", "9103")
SECONDS = 420.0
"""For all of it. One command that hangs fails the test, with what was printed until then."""

_VARYING = re.compile(
    r"[0-9a-f]{12}-[0-9a-f]{8}|\b[0-9a-f]{12}\b|\b[0-9a-f]{8}\b|\d{4}-\d\d-\d\d|\d\d:\d\d(:\d\d)?|(?<= )[+-]\d+|\d+(\.\d+)?"
)


class Typist:
    """A terminal in which commands are typed one after the other."""

    def __init__(self, environment: dict[str, str], folder: Path) -> None:
        self.until = time.monotonic() + SECONDS
        self.told = ""
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )

    def type(self, command: str) -> tuple[int, str]:
        """Exit status and output."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{command}\nprintf '\\n--done %d--\\n' $?\n".encode())
        self.process.stdin.flush()
        self.told += f"$ {command}\n"
        printed = ""
        while True:
            printed += self._more()
            if found := re.search(r"\n--done (\d+)--\n$", printed):
                printed = printed[: found.start()]
                self.told += printed + "\n"
                return int(found[1]), printed

    def _more(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            left = self.until - time.monotonic()
            assert left > 0, f"not ready in time:\n{self.told}"
            assert selector.select(left), f"not ready in time:\n{self.told}"
        piece = os.read(self.process.stdout.fileno(), 65536)
        assert piece, f"the shell ended:\n{self.told}"
        return piece.decode(errors="replace")

    def close(self) -> None:
        """Ends the shell, and what it left in its session."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


def free_ports(number: int) -> list[str]:
    found = []
    with (
        closing(socket.socket()) as first,
        closing(socket.socket()) as second,
        closing(socket.socket()) as third,
    ):
        for each in (first, second, third)[:number]:
            each.bind(("127.0.0.1", 0))
            found.append(str(each.getsockname()[1]))
    return found


@pytest.fixture
def place() -> Iterator[Path]:
    """Where the test follows it instead: short enough for a socket, reachable for the verify user."""
    folder = Path(tempfile.mkdtemp(prefix="leuko-tut-"))
    yield folder / "t"
    shutil.rmtree(folder, ignore_errors=True)


def shape(line: str) -> str:
    """A line of output without what differs from run to run: numbers, times, revisions, widths."""
    return " ".join(_VARYING.sub("#", line).split())


def missing(shown: str, printed: str) -> list[str]:
    """Lines that the page shows and the command did not print, in shape and in order."""
    lines = iter([shape(line) for line in printed.splitlines()])
    wanted = [line for line in shown.splitlines() if line.strip() and line.strip() != "…"]
    return [line for line in wanted if not _found(line, lines)]


def _found(line: str, lines: Iterator[str]) -> bool:
    pieces = [re.escape(shape(piece)) for piece in line.split("…")]
    pattern = re.compile(".*".join(pieces))
    return any(pattern.fullmatch(printed) or pattern.fullmatch(printed.strip()) for printed in lines)


def followed() -> list[Block]:
    return [block for block in blocks(PAGE) if block.run and (block.word == "console" or block.saved_as)]


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 60)
@pytest.mark.skipif(not shutil.which("curl"), reason="the tutorial needs curl")
def test_the_tutorial_works_word_for_word(place):
    swaps = dict(zip(PORTS, free_ports(3), strict=True)) | {PLACE: str(place)}

    def ours(text: str) -> str:
        for old, new in swaps.items():
            text = text.replace(old, new)
        return text.replace("leuko serve --detach", "leuko serve --detach --listen 127.0.0.1:0")

    named = {f"GIT_{role}_{what}": text for role in ("AUTHOR", "COMMITTER")
             for what, text in (("NAME", "Ines Kowalski"), ("EMAIL", "ines@hello.example"))}  # fmt: skip
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "LEUKO_"))}
    environment |= named | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    environment |= {"GIT_CONFIG_GLOBAL": "/dev/null", "COLUMNS": "200"}
    typist = Typist(environment, place.parent)
    different: list[str] = []
    try:
        for block in followed():
            if block.saved_as:
                (place / block.saved_as).write_text(ours(block.text))
                continue
            for command, shown in commands(block):
                status, printed = typist.type(ours(command))
                wanted = 5 if "was rolled back after" in shown else 0
                if status != wanted:
                    different.append(f"{block}: `{command}` ended with {status}, not {wanted}")
                different += [f"{block}: not printed: {line}" for line in missing(ours(shown), printed)]
        assert not different, "\n".join([*different, "", typist.told])
        assert not place.exists()
    finally:
        if (place / ".leuko").exists():
            typist.type(
                f"cd {place}; leuko serve --stop; kill $(cat customers.pid hosts/*/hello/app/shared/hello.pid)"
            )
        typist.close()


def test_shown_output_is_compared_by_its_shape():
    assert missing("push 1 of 0b91b9afcb15 …\n…\ndone", "push 22 of 9e72d10163db waits\nmore\ndone\n") == []
    assert missing("done\n", "not quite done\n") == ["done"]


def test_every_file_of_the_tutorial_has_a_name():
    files = [block for block in blocks(PAGE) if block.word in ("python", "sh", "make", "yaml") and block.run]
    assert [str(block) for block in files if not block.saved_as and "partial" not in block.info] == []
    assert len([block for block in files if block.saved_as]) >= 6
