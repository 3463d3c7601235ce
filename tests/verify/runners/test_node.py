"""Suites of node --test."""

from __future__ import annotations

import pytest
from tests.verify.runners.yard import suite

from leuko.verify.engine import CaseEnded

pytestmark = pytest.mark.needs("node")
NODE = suite("node", timeout=30)


def test_each_test_is_told(worker, write):
    write(
        "a.test.mjs",
        """
        import test, { describe, it } from 'node:test';
        import assert from 'node:assert';
        test('good', () => { console.log('hello'); });
        test('good', () => {});
        test('bad é', () => { assert.equal(1, 2); });
        test('skipped', { skip: 'no network' }, () => {});
        test('todo', { todo: 'later' }, () => { throw new Error('x'); });
        describe('suite', () => {
          it('inner', () => {});
          it('innerbad', () => { throw new Error('boom\\nmore'); });
          describe('deep', () => { it('deepest', () => {}); });
        });
        test('outer', async (t) => { await t.test('sub', () => {}); });
        """,
    )
    write("b.test.mjs", "throw new Error('at load');")
    write("c.test.mjs", "console.log('no tests');")
    told = worker.run(NODE, ["a.test.mjs", "b.test.mjs", "c.test.mjs"])
    assert told.states == {
        "a.test.mjs::good": "passed",
        "a.test.mjs::good (2)": "passed",
        "a.test.mjs::bad é": "failed",
        "a.test.mjs::skipped": "skipped",
        "a.test.mjs::todo": "skipped",
        "a.test.mjs::suite > inner": "passed",
        "a.test.mjs::suite > innerbad": "failed",
        "a.test.mjs::suite > deep > deepest": "passed",
        "a.test.mjs::outer > sub": "passed",
        "a.test.mjs::outer": "passed",
        "b.test.mjs": "failed",
        "c.test.mjs": "passed",
    }
    assert (
        told.results["a.test.mjs::bad é"].reason.startswith("1 == 2")
        or "1 == 2" in told.results["a.test.mjs::bad é"].output
    )
    assert told.results["a.test.mjs::suite > innerbad"].reason == "boom"
    assert told.results["a.test.mjs::skipped"].reason == "no network"
    assert "at load" in told.results["b.test.mjs"].output


def test_results_come_while_others_run_and_a_hung_test_is_named(worker, write):
    write(
        "a.test.mjs",
        """
        import test, { describe, it } from 'node:test';
        import fs from 'node:fs';
        const until = (file) => new Promise((resolve) => {
          const look = () => (fs.existsSync(file) ? resolve() : setTimeout(look, 10));
          look();
        });
        test('one', () => {});
        describe('slow', () => { it('two', () => until('go')); });
        test('hung', () => { setInterval(() => {}, 1000); return new Promise(() => {}); });
        """,
    )

    def ended(event):
        if isinstance(event, CaseEnded) and event.result.case.name == "one":
            (worker.folder / "go").touch()

    told = worker.run(NODE.model_copy(update={"timeout": 5.0}), ["a.test.mjs"], on_case=ended)
    assert told.states == {
        "a.test.mjs::one": "passed",
        "a.test.mjs::slow > two": "passed",
        "a.test.mjs::hung": "failed",
    }
    assert told.results["a.test.mjs::hung"].reason == "did not end within 5 s"


def test_a_command_of_ones_own(worker, write):
    write("package.json", '{"scripts": {"test": "node --test"}}')
    name = write("a.test.mjs", "import test from 'node:test'; test('one', () => {});")
    assert worker.run(suite("node", 'node --test "$@"', timeout=30), [name]).states == {
        f"{name}::one": "passed"
    }
    told = worker.run(suite("node", "true", timeout=30), [name])
    assert told.states == {name: "failed"}
    assert "told Leuko nothing" in told.results[name].reason
    assert worker.run(suite("node", "nosuchnode --test", timeout=30), [name]).results[name].broken


def test_only_some_tests_of_a_file(worker, write):
    name = write(
        "a.test.mjs", "import test from 'node:test'; test('one', () => {}); test('two', () => { throw 1; });"
    )
    assert worker.run(NODE, [name], only=[(name, "one")]).states == {f"{name}::one": "passed"}
