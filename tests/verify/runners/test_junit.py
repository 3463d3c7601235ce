"""Suites that write JUnit XML."""

from __future__ import annotations

import pytest
from tests.verify.runners.yard import suite

COPY = suite(
    "junit",
    'mkdir -p out/deep; for file in *.in; do cp "$file" "out/deep/$file.xml"; done',
    report="out/**/*.xml",
    timeout=20,
)

NESTED = """<?xml version="1.0" encoding="ISO-8859-1"?>
<testsuites>
  <testsuite name="outer">
    <testsuite name="inner">
      <testcase classname="shop.CartTest" name="total" time="0.25"/>
      <testcase classname="shop.CartTest" name="total" time="1,000.5"/>
      <testcase classname="shop.CartTest" name="bad" time="0.1">
        <failure message="expected 1&#10;but was 2" type="AssertionError">at CartTest.java:7</failure>
        <system-out>caf\u00e9</system-out>
      </testcase>
      <testcase classname="shop.UserTest" name="error"><error type="NullPointerException">at line 9
more</error></testcase>
      <testcase classname="shop.UserTest" name="skipped"><skipped message="not now"/></testcase>
      <testcase classname="elsewhere.OddTest" name="odd"/>
    </testsuite>
    <testcase classname="shop.UserTest" name="beside"/>
  </testsuite>
</testsuites>"""


def report(worker, name, content):
    place = worker.folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content.encode("iso-8859-1"))


def test_all_tests_of_nested_suites(worker, write):
    report(worker, "a.in", NESTED)
    files = ["src/shop/CartTest.java", "src/shop/UserTest.java"]
    told = worker.run(COPY, files)
    assert told.states == {
        "src/shop/CartTest.java::total": "passed",
        "src/shop/CartTest.java::total (2)": "passed",
        "src/shop/CartTest.java::bad": "failed",
        "src/shop/UserTest.java::error": "failed",
        "src/shop/UserTest.java::skipped": "skipped",
        "elsewhere.OddTest::odd": "passed",
        "src/shop/UserTest.java::beside": "passed",
    }
    bad = told.results["src/shop/CartTest.java::bad"]
    assert (bad.reason, bad.seconds) == ("expected 1", 0.1)
    assert bad.output == "expected 1\nbut was 2\nat CartTest.java:7\ncafé"
    assert told.results["src/shop/UserTest.java::error"].reason == "at line 9"
    assert told.results["src/shop/UserTest.java::skipped"].reason == "not now"
    assert told.results["src/shop/CartTest.java::total (2)"].seconds == 1000.5


BOMB = (
    '<!DOCTYPE a [<!ENTITY a "xxxxxxxxxx">'
    + "".join(
        f'<!ENTITY {chr(98 + n)} "{"&" + chr(97 + n) + ";" * 1}{("&" + chr(97 + n) + ";") * 30}">'
        for n in range(9)
    )
    + "]><testsuite><testcase name='&j;'/></testsuite>"
)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<testsuite><testcase name='a'/>", "cannot be read: no element found"),
        ("", "cannot be read: no element found"),
        ("<html/>", "cannot be read: Invalid format."),
        ("<testsuite>" * 300 + "</testsuite>" * 300, "nested more than 200 deep"),
        ("<testsuite><testcase name='a' time='soon'/></testsuite>", "cannot be read"),
        (BOMB, "cannot be read"),
    ],
    ids=["cut off", "empty", "another format", "deep", "odd time", "entity bomb"],
)
def test_a_report_that_cannot_be_read_is_a_failure(worker, content, said):
    report(worker, "a.in", content)
    told = worker.run(COPY, ["A.java"])
    assert told.states.pop("A.java") == "failed"
    assert said in told.results["A.java"].reason
    assert told.results["A.java"].reason.startswith("the report out/deep/a.in.xml ")


def test_no_report_a_stale_report_and_an_empty_one_are_no_passes(worker, write):
    report(worker, "out/deep/old.xml", NESTED)
    silent = COPY.model_copy(update={"command": "echo built"})
    told = worker.run(silent, ["A.java"])
    assert told.states == {"A.java": "failed"}
    assert told.results["A.java"].reason == "the command wrote no new report at out/**/*.xml"
    report(worker, "a.in", "<testsuites/>")
    assert worker.run(COPY, ["A.java"]).results["A.java"].reason == "has no test in the report"
    failing = COPY.model_copy(update={"command": "echo cannot compile; exit 2"})
    result = worker.run(failing, ["A.java"]).results["A.java"]
    assert result.reason == "its command ended with 2, though no test failed"
    assert result.output == "cannot compile"


def test_the_exit_code_and_the_report_both_count(worker):
    report(worker, "a.in", "<testsuite><testcase name='a'/></testsuite>")
    told = worker.run(COPY.model_copy(update={"command": COPY.command + "; exit 1"}), ["A.java"])
    assert told.states == {"A.java::a": "passed", "A.java": "failed"}
    report(worker, "a.in", "<testsuite><testcase name='a'><failure/></testcase></testsuite>")
    told = worker.run(COPY, ["A.java"])
    assert told.states == {"A.java::a": "failed"}


def test_a_report_that_is_too_large_is_said_to_be(worker):
    command = "mkdir -p out; (echo '<testsuite>'; head -c 17000000 /dev/zero | tr '\\0' ' '; echo '</testsuite>') >out/a.xml"
    told = worker.run(COPY.model_copy(update={"command": command}), ["A.java"])
    assert told.results["A.java"].reason == "the report out/a.xml is larger than 16 MiB"


def test_a_report_of_thousands_of_tests(worker):
    cases = "".join(f"<testcase classname='a.ATest' name='t{number}'/>" for number in range(5000))
    report(worker, "a.in", f"<testsuite>{cases}</testsuite>")
    assert len(worker.run(COPY, ["a/ATest.java"]).states) == 5000
