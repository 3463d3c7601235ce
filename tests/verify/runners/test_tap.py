"""Suites that print TAP: bash scripts, as anybody writes them."""

from __future__ import annotations

import pytest
from tests.verify.runners.yard import suite

from leuko.verify.engine import CaseEnded

BASH = suite("tap", 'bash "$@"', timeout=20)


def run(worker, write, text, code=0, command=BASH):
    write("t.sh", f"cat <<'END'\n{text}\nEND\nexit {code}\n")
    return worker.run(command, ["t.sh"])


def names(told):
    return {name.removeprefix("t.sh::"): state for name, state in told.states.items()}


def test_results_directives_subtests_and_yaml(worker, write):
    told = run(
        worker,
        write,
        """TAP version 14
1..7
ok 1 - first
# a comment
hello
not ok 2 - second
  ---
  message: "it broke"
  severity: fail
  ...
ok 3 - third # SKIP no network
not ok 4 - fourth # TODO later
ok 5 - fifth \\# of 7 # TODO later
# Subtest: outer
    ok 1 - in a
    # Subtest: deep
        ok 1 - deepest
        1..1
    ok 2 - deep
    not ok 3 - in b
    # why b
    1..3
not ok 6 - outer
okay then
1024 rows
ok 7 - first""",
        code=1,
    )
    assert names(told) == {
        "first": "passed",
        "second": "failed",
        "third": "skipped",
        "fourth": "skipped",
        "fifth # of 7": "passed",
        "outer > in a": "passed",
        "outer > deep > deepest": "passed",
        "outer > in b": "failed",
        "first (2)": "passed",
    }
    second = told.results["t.sh::second"]
    assert second.reason == "it broke"
    assert second.output.startswith("# a comment\nhello\nmessage:")
    assert told.results["t.sh::third"].reason == "no network"
    assert told.results["t.sh::fifth # of 7"].reason == "passed, though it is still to do: later"
    assert told.results["t.sh::outer > in b"].reason == "why b"
    assert told.results["t.sh::first (2)"].output == "okay then\n1024 rows"


def test_results_come_while_the_command_runs(worker, write):
    write("t.sh", "echo 1..2; echo ok 1 - one; until [ -e go ]; do sleep 0.01; done; echo ok 2 - two")

    def ended(event):
        if isinstance(event, CaseEnded) and event.result.case.name == "one":
            (worker.folder / "go").touch()

    assert names(worker.run(BASH, ["t.sh"], on_case=ended)) == {"one": "passed", "two": "passed"}


@pytest.mark.parametrize(
    ("text", "code", "reason"),
    [
        ("1..3\nok 1\nok 2", 0, "planned 3 tests and printed 2 results"),
        ("1..1\nok 1\nok 2", 0, "planned 1 tests and printed 2 results"),
        ("ok 1 - a", 0, "printed 1 results and no plan (1..1): it may have ended early"),
        ("1..2\nok 1\nBail out! no database", 0, "bailed out: no database"),
        ("1..2\nok 1\nok 2", 3, "its command ended with 3, though no test failed"),
        ("1..2", 0, "planned 2 tests and printed 0 results"),
        ("nothing of the kind", 0, "printed no TAP: not a single `ok` or `not ok`"),
        ("nothing of the kind", 4, "its command ended with 4, though no test failed"),
    ],
)
def test_a_stream_that_is_not_whole_is_a_failure_of_its_file(worker, write, text, code, reason):
    told = run(worker, write, text, code)
    assert told.results["t.sh"].state.value == "failed"
    assert told.results["t.sh"].reason == reason


def test_exit_code_0_with_a_failed_result_is_failed(worker, write):
    assert names(run(worker, write, "1..1\nnot ok 1 - bad")) == {"bad": "failed"}


def test_a_file_may_skip_itself(worker, write):
    told = run(worker, write, "1..0 # SKIP no docker here")
    assert told.states == {"t.sh": "skipped"}
    assert told.results["t.sh"].reason == "no docker here"


def test_unnamed_results_and_odd_bytes(worker, write):
    write("t.sh", r"printf '1..3\nok\nok 2\nnot ok 3 - \377\000 caf\303\251\n'")
    told = worker.run(BASH, ["t.sh"])
    assert names(told) == {"test 1": "passed", "test 2": "passed", "\\xff\\x00 café": "failed"}


def test_a_flood_between_results_is_cut(worker, write):
    write("t.sh", "echo 1..2; echo ok 1 - a; yes ok-ish | head -n 5000000; echo not ok 2 - b; echo '# why'")
    told = worker.run(BASH.model_copy(update={"timeout": 60.0}), ["t.sh"])
    assert names(told) == {"a": "passed", "b": "failed"}
    assert "left out here" in told.results["t.sh::b"].output
    assert told.results["t.sh::b"].reason == "why"


def test_what_goes_to_the_error_output_is_no_result(worker, write):
    write("t.sh", "echo 1..1; echo 'not ok 9 - forged' >&2; echo ok 1 - real")
    told = worker.run(BASH, ["t.sh"])
    assert names(told) == {"real": "passed"}
    assert "forged" in told.end.output


def test_each_file_is_a_command_of_its_own(worker, write):
    files = [
        write(name, f"echo 1..1; echo ok 1 - same; exit {code}") for name, code in (("a.sh", 0), ("b.sh", 0))
    ]
    assert worker.run(BASH, files).states == {"a.sh::same": "passed", "b.sh::same": "passed"}


def test_a_hung_command_keeps_what_it_told(worker, write):
    write("t.sh", "echo 1..3; echo ok 1 - a; echo not ok 2 - b; sleep 1000")
    told = worker.run(suite("tap", 'bash "$@"', timeout=1), ["t.sh"])
    assert names(told) == {"a": "passed", "b": "failed", "t.sh": "failed"}
    assert told.results["t.sh"].reason == "did not end within 1 s"
