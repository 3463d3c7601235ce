"""One batch, from its order to its end."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from typing import Any, Dict

from .nodes import end_of, environment, set_up
from .processes import BATCH, Trouble, end_marked
from .tree import git, room, tidy, tree_of
from .voice import Voice

LONGEST_LINE = 4 << 20
GRACE = 15.0
"""Seconds that the program of the batch has beyond the batch's own deadline, which it keeps itself."""


def main(order: Dict[str, Any], programs: Dict[str, Any], text: str) -> int:
    """One batch. 0 where its program ran, whatever came of the tests; 75 where it could not."""
    voice = Voice(order["pace"])
    key = order["key"]

    def stopped(_number: int, _frame: object) -> None:
        end_marked(BATCH, key)
        os._exit(143)

    signal.signal(signal.SIGTERM, stopped)
    for name in ("programs", "mirrors", "trees"):
        os.makedirs(name, exist_ok=True)
    threading.Thread(target=voice.speak, args=(os.getppid(), key), daemon=True).start()
    voice.tell("hello", python=platform.python_version(), host=platform.node(), at=time.time(), key=key)
    try:
        return carry_out(order, programs, text, voice)
    except Trouble as trouble:
        voice.tell("trouble", why=str(trouble))
    except OSError as error:
        voice.tell("trouble", why="%s: %s" % (error.filename or "the worker", error.strerror or error))
    finally:
        voice.flush()
    return 75


def carry_out(order: Dict[str, Any], programs: Dict[str, Any], text: str, voice: Voice) -> int:
    """The batch from its fetch to its end."""
    keep_programs(order["digest"], text)
    end_leftover()
    with open("batch", "w", encoding="ascii") as file:
        file.write(order["key"])
    if order["wants"] == "look":
        return look(order, voice)
    tidy(order["folder"])
    folder, tree = tree_of(order)
    voice.tell("tree", tree=tree)
    room(folder)
    if not set_up(order, folder, voice):
        voice.tell("unprepared")
    elif order["wants"] == "ready":
        voice.tell("ready")
    else:
        run_batch(order, programs["worker"], folder, voice)
    room(folder)
    return 0


def _is_end(line: bytes) -> bool:
    return line.startswith(b"leuko= ") and len(line) < 4096 and b'"kind"' in line and b'"end"' in line


def look(order: Dict[str, Any], voice: Voice) -> int:
    """Whether this worker can fetch, for `leuko farm check`; its pause shows whether logs are live."""
    voice.flush()
    time.sleep(1.0)
    version = git(None, "--version").rpartition(" ")[2]
    found = (
        git(None, "ls-remote", "--", order["repository"], order["revision"])
        if order["repository"]
        else "unasked"
    )
    voice.tell("looked", revisions=len(found.splitlines()), git=version)
    return 0


def keep_programs(digest: str, text: str) -> None:
    """So that they need not be sent with every batch; the newest four stay."""
    path = os.path.join("programs", digest + ".json")
    if not os.path.exists(path):
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)
    os.utime(path)
    found = sorted((os.path.join("programs", name) for name in os.listdir("programs")), key=os.path.getmtime)
    for old in found[:-4]:
        os.unlink(old)


def end_leftover() -> None:
    """The batch before this one may have been killed with no chance to clean up."""
    with contextlib.suppress(OSError), open("batch", encoding="ascii") as file:
        end_marked(BATCH, file.read())


def run_batch(order: Dict[str, Any], program: str, folder: str, voice: Voice) -> None:
    """Runs the program that runs the tests, and passes on every line that it says."""
    errors = os.path.join(folder, "batch.err")
    begun = time.monotonic()
    with open(errors, "wb") as err:
        process = subprocess.Popen(
            [sys.executable, *order["arguments"]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=err,
            cwd=os.path.join(folder, "checkout"),
            env={**environment(order, folder), BATCH: order["key"]},
            start_new_session=True,
        )
        late = threading.Event()

        def too_late() -> None:
            late.set()
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)  # it hides its environment from others of its user
            end_marked(BATCH, order["key"])

        timer = threading.Timer(order["timeout"] + GRACE, too_late)
        timer.daemon = True
        timer.start()
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(program.encode() + order["given"].encode())
            process.stdin.flush()
        while True:
            line = process.stdout.readline(LONGEST_LINE)
            if not line:
                break
            voice.relay(line)
            if _is_end(line):
                # open until now: should this program die, the other learns of it and ends what it runs
                with contextlib.suppress(BrokenPipeError):
                    process.stdin.close()
        code = process.wait()
        timer.cancel()
    end_marked(BATCH, order["key"])
    reason = "did not end within %g s" % order["timeout"] if late.is_set() else ""
    seconds = round(time.monotonic() - begun, 3)
    voice.tell("end", exit=code, seconds=seconds, reason=reason, output=end_of(errors))
