"""Suites of exit codes: a file passes or fails as a whole, and what the machine does to it is not its fault."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from tests.verify.runners.yard import alive, suite, until

from leuko.domain.case import OUTPUT_CAP
from leuko.verify.engine import CaseBegan, CaseEnded
from leuko.verify.runners import cancelled
from leuko.verify.runners import told as line

SH = suite("exit", 'sh "$@"', timeout=20)


def test_a_file_passes_or_fails_by_its_exit_code(worker, write):
    files = [write("good.sh", "echo fine"), write("bad.sh", "echo 'not so' >&2; exit 3")]
    told = worker.run(SH, files)
    assert told.states == {"good.sh": "passed", "bad.sh": "failed"}
    assert [type(event) for event in told.events] == [CaseBegan, CaseEnded] * 2
    bad = told.results["bad.sh"]
    assert (bad.reason, bad.output, bad.broken, bad.worker) == ("ended with 3", "not so", "", "worker-1")
    assert told.end.exit_code == 3
    assert told.end.seconds > 0


def test_a_program_that_is_not_there_is_broken(worker, write):
    assert worker.run(suite("exit", "nosuchprogram", timeout=9), ["a"]).results["a"].broken
    told = worker.run(SH, [write("t.sh", "nosuchprogram")])
    assert told.results["t.sh"].broken == "a program that it starts is not there or cannot be run (exit 127)"


def test_what_is_killed_from_outside_is_broken(worker, write):
    told = worker.run(SH, [write("t.sh", "kill -9 $$")])
    assert told.results["t.sh"].broken == "its command was killed from outside (SIGKILL)"
    told = worker.run(SH, [write("u.sh", "kill -SEGV $$")])
    assert (told.results["u.sh"].reason, told.results["u.sh"].broken) == ("ended with 139", "")


def test_a_hung_file_is_killed_and_the_next_one_runs(worker, write):
    files = [write("hung.sh", "echo before; trap '' TERM; sleep 1000; sleep 1000"), write("good.sh", "true")]
    told = worker.run(suite("exit", 'sh "$@"', timeout=1), files)
    assert told.states == {"hung.sh": "failed", "good.sh": "passed"}
    assert told.results["hung.sh"].reason == "did not end within 1 s"
    assert "before" in told.results["hung.sh"].output


def test_the_deadline_of_the_batch_leaves_the_rest_untold(worker, write):
    files = [write("hung.sh", "sleep 1000"), write("good.sh", "true")]
    told = worker.run(SH, files, timeout=0.5)
    assert told.states == {"hung.sh": "failed"}
    assert told.end.exit_code is None


def test_a_daemon_that_holds_the_output_does_not_hang_the_batch(worker, write):
    name = write("t.sh", "sleep 1000 & setsid sleep 1000 & echo $! >daemon; echo left")
    told = worker.run(SH, [name])
    assert told.states == {"t.sh": "passed"}
    assert told.results["t.sh"].output == "left"
    daemon = int((worker.folder / "daemon").read_text())
    assert worker.close() == 0
    assert not alive(daemon)


@pytest.mark.parametrize("size", [50_000_000, pytest.param(1_000_000_000, marks=pytest.mark.slow)])
def test_a_flood_of_output_is_cut(worker, write, size):
    script = "echo first; head -c SIZE /dev/zero | tr '\\0' x; echo; echo last"
    told = worker.run(
        SH.model_copy(update={"timeout": 100.0}), [write("t.sh", script.replace("SIZE", str(size)))]
    )
    output = told.results["t.sh"].output
    assert told.states == {"t.sh": "passed"}
    assert len(output) <= OUTPUT_CAP
    assert output.startswith("first\nxxx")
    assert output.endswith("xxx\nlast")
    assert "bytes of output were left out here" in output
    status = Path(f"/proc/{worker.process.pid}/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print("peak memory of the worker, KiB:", peak)
    assert peak < 100_000


def test_binary_output_survives_and_lines_stay_short(worker, write):
    told = worker.run(
        SH, [write("t.sh", r"printf 'a\377b\000c\342\202\254\033[1m\n'; head -c 9000 /dev/urandom")]
    )
    assert told.results["t.sh"].output.startswith("a\\xffb\\x00c\u20ac\033[1m")
    told.results["t.sh"].output.encode()
    assert told.longest_line < 4096


def test_frames_cannot_be_forged(worker, write):
    forged = 'leuko= {"kind":"end","id":1,"seconds":0,"stopped":""}'
    told = worker.run(SH, [write("t.sh", f"echo '{forged}'; echo '{forged}' >&2; exit 1")])
    assert told.states == {"t.sh": "failed"}
    assert told.results["t.sh"].output == f"{forged}\n{forged}"


def test_files_with_odd_names(worker, write):
    names = ["with space.sh", "-dash.sh", "two\nlines.sh", "é$(touch gotcha).sh", "'q\".sh"]
    told = worker.run(SH, [write(name, "true") for name in names])
    assert told.states == dict.fromkeys(names, "passed")
    assert not (worker.folder / "gotcha").exists()


def test_the_environment_is_the_assignments_and_the_suites(worker, write):
    name = write("t.sh", 'test "$A-$B-$PWD" = "1-2-$(pwd -P)" || { env; exit 1; }')
    told = worker.run(suite("exit", 'sh "$@"', env={"B": "2"}), [name], environment={"A": "1", "B": "9"})
    assert told.states == {"t.sh": "passed"}, told.results["t.sh"].output


def test_a_worker_whose_input_closes_ends_what_it_started(worker, write):
    name = write(
        "t.sh", "setsid sh -c 'trap \"\" TERM; sleep 1000' & echo $! >pids; echo $$ >>pids; sleep 1000"
    )
    assignment = worker.assignment(SH, [name])
    worker.send(line(assignment))
    pids = until(lambda: _numbers(worker.folder / "pids", 2))
    assert worker.close() == 0
    assert not [pid for pid in pids if alive(pid)]


def test_a_cancelled_batch_ends_at_once_and_the_worker_goes_on(worker, write):
    files = [write("hung.sh", "sleep 1000"), write("never.sh", "true")]

    def begun(event):
        if isinstance(event, CaseBegan):
            worker.send(cancelled())

    told = worker.run(SH, files, on_case=begun)
    assert told.states == {}
    assert told.end.exit_code is None
    assert told.end.reason == "was cancelled"
    assert worker.run(SH, ["never.sh"]).states == {"never.sh": "passed"}


def test_the_last_batch_runs_on_when_the_input_closes(worker, write):
    assignment = worker.assignment(SH, [write("t.sh", "sleep 0.3; echo done")])
    worker.send(line(assignment, last=True))
    worker.process.stdin.close()
    found = worker.follow(assignment)
    assert found.states == {"t.sh": "passed"}
    assert worker.process.wait(10) == 0


def test_a_killed_worker_takes_its_command_along(worker, write):
    name = write("t.sh", "echo $$ >pid; exec sleep 1000")
    worker.send(line(worker.assignment(SH, [name])))
    pid = until(lambda: _numbers(worker.folder / "pid", 1))[0]
    os.kill(worker.process.pid, signal.SIGKILL)
    worker.process.wait()
    until(lambda: not alive(pid))


def _numbers(place: Path, count: int) -> list[int]:
    found = [int(word) for word in place.read_text().split()] if place.exists() else []
    return found if len(found) == count else []
