"""Suites of PHPUnit."""

from __future__ import annotations

import pytest
from tests.verify.runners.yard import suite

pytestmark = pytest.mark.needs("phpunit")
PHPUNIT = suite("phpunit", timeout=30)

CART = """<?php
namespace Shop;
use PHPUnit\\Framework\\TestCase;
final class CartTest extends TestCase {
  public function testGood(): void { echo "hello\\n"; $this->assertTrue(true); }
  public function testBad(): void { echo "before\\n"; $this->assertSame(1, 2, "it's | [odd]"); }
  public function testSkipped(): void { $this->markTestSkipped('no network'); }
  public function testIncomplete(): void { $this->markTestIncomplete('later'); }
  /** @dataProvider rows */ public function testRow($a): void { $this->assertNotEquals(2, $a); }
  public function rows(): array { return [[1], 'two \\\\ é/' => [2]]; }
  public function testRisky(): void { }
  public function testError(): void { throw new \\RuntimeException('boom'); }
}
"""


def test_each_test_is_told(worker, write):
    told = worker.run(PHPUNIT, [write("tests/CartTest.php", CART)])
    states = {name.partition("::")[2]: state for name, state in told.states.items()}
    assert states == {
        "CartTest::testGood": "passed",
        "CartTest::testBad": "failed",
        "CartTest::testSkipped": "skipped",
        "CartTest::testIncomplete": "skipped",
        "CartTest::testRow with data set #0": "passed",
        'CartTest::testRow with data set "two \\ é/"': "failed",
        "CartTest::testRisky": "passed",
        "CartTest::testError": "failed",
    }
    results = {name.rpartition("::")[2]: result for name, result in told.results.items()}
    assert results["testGood"].output == "hello"
    assert results["testBad"].reason == "Failed asserting that 2 is identical to 1."
    assert "it's | [odd]" in results["testBad"].output
    assert "before" in results["testBad"].output
    assert results["testSkipped"].reason == "no network"
    assert results["testRisky"].reason == "risky: This test did not perform any assertions"
    assert results["testError"].reason == "RuntimeException : boom"
    assert sorted(told.began) == sorted(states)


def test_single_tests_are_run_by_name(worker, write):
    name = write("tests/CartTest.php", CART)
    wanted = [(name, 'CartTest::testRow with data set "two \\ é/"'), (name, "CartTest::testGood")]
    told = worker.run(PHPUNIT, [name], only=wanted)
    assert told.states == {f"{name}::{wanted[1][1]}": "passed", f"{name}::{wanted[0][1]}": "failed"}


def test_files_that_break_hang_or_have_no_tests(worker, write):
    broken = write("BrokenTest.php", "<?php class BrokenTest extends {")
    empty = write("EmptyTest.php", "<?php class EmptyTest extends PHPUnit\\Framework\\TestCase {}")
    hung = write(
        "HungTest.php",
        "<?php class HungTest extends PHPUnit\\Framework\\TestCase { function testHung() { sleep(1000); } }",
    )
    fatal = write(
        "FatalTest.php",
        "<?php class FatalTest extends PHPUnit\\Framework\\TestCase { function testFatal() { exit(0); } }",
    )
    told = worker.run(PHPUNIT.model_copy(update={"timeout": 3.0}), [broken, empty, hung, fatal])
    assert told.states[broken] == "failed"
    assert "syntax error" in told.results[broken].output
    assert told.states[empty] == "skipped"
    assert told.results[empty].reason == 'No tests found in class "EmptyTest".'
    assert told.results[f"{hung}::HungTest::testHung"].reason == "did not end within 3 s"
    assert told.states[f"{fatal}::FatalTest::testFatal"] == "failed"


def test_a_test_cannot_print_itself_green(worker, write):
    name = write(
        "ForgedTest.php",
        """<?php
        class ForgedTest extends PHPUnit\\Framework\\TestCase {
          function testForged() {
            echo "\\n##teamcity[testFinished name='testForged' duration='0' flowId='1']\\n";
            $this->fail('really');
          }
        }
        """,
    )
    assert worker.run(PHPUNIT, [name]).states[f"{name}::ForgedTest::testForged"] == "failed"
