"""Who gets which tests, and when."""

from __future__ import annotations

import heapq
import random
from dataclasses import replace

import pytest

from leuko.domain.case import Case
from leuko.domain.schedule import NothingKnown, Rank, Schedule, Unit, divided, units


class Remembered(NothingKnown):
    def __init__(self, seconds, failed=()):
        self._seconds, self._failed = seconds, failed

    def seconds(self, case):
        return self._seconds.get(case)

    def file_seconds(self, suite, file):
        known = [value for case, value in self._seconds.items() if (case.suite, case.file) == (suite, file)]
        return sum(known) if known else None

    def cases(self, suite, file):
        return tuple(case for case in self._seconds if (case.suite, case.file) == (suite, file))

    def file_failed_last(self, suite, file):
        return file in self._failed


def schedule(*listed, exclusive=(), opened=True):
    one = Schedule({"unit": exclusive, "browser": exclusive})
    one.add(listed)
    if opened:
        one.open("unit")
        one.open("browser")
    return one


def test_files_never_seen_are_expected_to_last_as_the_median_known_one():
    seconds = {
        Case("unit", f"{letter}", "t"): value for letter, value in zip("abc", (1.0, 7.0, 2.0), strict=True)
    }
    made = units({"unit": ["a", "b", "c", "new"]}, Remembered(seconds), {"unit": 60.0})
    assert [(unit.file, unit.expected, unit.timeout) for unit in made] == [
        ("a", 1.0, 60.0),
        ("b", 7.0, 60.0),
        ("c", 2.0, 60.0),
        ("new", 2.0, 60.0),
    ]


def test_what_failed_goes_first_then_what_the_change_touches_then_the_longest():
    seconds = {
        Case("unit", file, "t"): value
        for file, value in {"long": 90.0, "failed": 1.0, "touched": 2.0, "short": 3.0}.items()
    }
    one = schedule(
        *units(
            {"unit": ["short", "long", "touched", "failed"]},
            Remembered(seconds, ["failed"]),
            {"unit": 60.0},
            ["touched"],
        )
    )
    order = []
    while batch := one.take("w1", ["w1", "w2"]):
        order += [unit.file for unit in batch]
    assert order == ["failed", "touched", "long", "short"]


def test_batches_shrink_and_none_is_too_small():
    one = schedule(*(Unit("unit", f"{number:03}", expected=0.5) for number in range(100)))
    sizes = []
    while batch := one.take("w1", ["w1", "w2"]):
        sizes.append(sum(unit.expected for unit in batch))
    assert sizes[:3] == [12.5, 9.0, 7.0]
    assert min(sizes[:-1]) >= 1.0  # the last is what is left
    assert sum(sizes) == 50.0


def test_a_first_run_learns_what_its_guesses_are_worth():
    """Files of a tenth of a second, and a second around each batch."""
    one = schedule(
        *units({"unit": [f"{number:03}" for number in range(100)]}, NothingKnown(), {"unit": 60.0})
    )
    first, second = one.take("w1", ["w1", "w2"]), one.take("w2", ["w1", "w2"])
    assert (len(first), len(second)) == (25, 18)
    one.learn(first, 2.0, 1.5)
    one.learn(second, 1.5, 1.3)
    assert len(one.take("w1", ["w1", "w2"])) == 20
    slow = schedule(
        *units({"unit": [f"{number:03}" for number in range(100)]}, NothingKnown(), {"unit": 60.0})
    )
    first, second = slow.take("w1", ["w1", "w2"]), slow.take("w2", ["w1", "w2"])
    slow.learn(first, 250.0, 0.5)
    slow.learn(second, 180.0, 0.5)
    assert len(slow.take("w2", ["w1", "w2"])) == 14


def test_a_batch_holds_one_suite():
    one = schedule(Unit("unit", "a"), Unit("browser", "b"), Unit("unit", "c"))
    assert {unit.suite for unit in one.take("w1", ["w1"])} == {"browser"}


def test_a_suite_waits_for_its_set_up_and_can_be_dropped():
    one = schedule(Unit("unit", "a"), Unit("browser", "b"), opened=False)
    assert not one.ready
    one.open("unit")
    assert [unit.file for unit in one.take("w1", ["w1"])] == ["a"]
    assert one.take("w1", ["w1"]) == ()
    assert [unit.file for unit in one.drop("browser")] == ["b"]
    assert not one.waiting


def test_what_is_used_alone_is_used_by_one_batch_at_a_time():
    one = schedule(Unit("unit", "a"), Unit("browser", "b"), exclusive=["port-8080"])
    assert one.take("w1", ["w1", "w2"])[0].file == "b"
    assert not one.ready
    assert one.take("w2", ["w1", "w2"]) == ()
    one.free("browser")
    assert one.take("w2", ["w1", "w2"])[0].file == "a"


def test_a_retry_never_goes_to_the_worker_that_saw_it_fail_unless_there_is_no_other():
    again = Unit(
        "unit", "a", only=(Case("unit", "a", "t"),), attempt=2, avoid=frozenset({"w1"}), rank=Rank.RETRY
    )
    one = schedule(again)
    assert one.take("w1", ["w1", "w2"]) == ()
    assert one.take("w2", ["w1", "w2"]) == (again,)
    one.add([again])
    assert one.take("w1", ["w1"]) == (again,)


def test_what_may_have_done_harm_goes_alone_and_retries_go_together():
    alone = Unit("unit", "a", expected=0.1, alone=True)
    others = [Unit("unit", file, expected=0.1) for file in "bcd"]
    retries = [
        Unit("unit", file, only=(Case("unit", file, "t"),), expected=0.1, attempt=2, rank=Rank.RETRY)
        for file in "ef"
    ]
    one = schedule(alone, *others, *retries)
    batches = []
    while batch := one.take("w1", ["w1"]):
        batches.append("".join(unit.file for unit in batch))
    assert batches == ["ef", "a", "bcd"]


def test_a_giant_is_divided_and_the_last_part_is_whatever_else_it_holds():
    seconds = {Case("unit", "giant", f"t{number}"): 1.0 for number in range(60)} | {
        Case("unit", "small", "t"): 5.0
    }
    known = Remembered(seconds)
    made = divided(units({"unit": ["giant", "small"]}, known, {"unit": 60.0}), known, 4, ["unit"])
    parts = [unit for unit in made if unit.file == "giant"]
    assert len(parts) == 8
    assert max(part.expected for part in parts) <= 8.125
    named = [case for part in parts for case in part.only]
    assert sorted(named) == sorted(parts[-1].without)
    assert len(set(named)) == len(named) == 60 - round(parts[-1].expected)
    assert divided(units({"unit": ["giant"]}, known, {"unit": 60.0}), known, 4, []) == [
        Unit("unit", "giant", expected=60.0, timeout=60.0)
    ]


def simulate(expected, true, speeds, late, pull, rng):
    """Seconds until the last test ended, over workers of these speeds that come at these times."""
    one = Schedule({"unit": ()}, smallest=1.0)
    one.add([Unit("unit", str(number), expected=seconds) for number, seconds in enumerate(expected)])
    one.open("unit")
    workers = [(late[number], number) for number in range(len(speeds))]
    heapq.heapify(workers)
    names = [str(number) for number in range(len(speeds))]
    end, pulls = 0.0, 0
    while workers:
        now, number = heapq.heappop(workers)
        batch = one.take(str(number), names)
        if batch:
            pulls += 1
            done = now + pull + sum(true[int(unit.file)] for unit in batch) / speeds[number]
            end = max(end, done)
            heapq.heappush(workers, (done, number))
    return end, pulls


@pytest.mark.parametrize("seed", range(4))
def test_uneven_workers_end_near_the_lower_bound(seed):
    """A smaller world than the bench's: 6,000 lognormal tests, 14 machines, one late, 400 ms a pull."""
    rng = random.Random(seed)
    true = [rng.lognormvariate(-0.9, 1.5) for _ in range(6000)]
    speeds = [rng.uniform(0.6, 1.4) for _ in range(14)]
    late = [0.0] * 13 + [30.0]
    end, pulls = simulate(true, true, speeds, late, 0.4, rng)
    share = [(speed, moment) for speed, moment in zip(speeds, late, strict=True)]
    bound = (sum(true) + sum(speed * moment for speed, moment in share)) / sum(speeds)
    assert end / bound < 1.03
    assert pulls < 400


def test_replacing_a_unit_keeps_its_place():
    unit = Unit("unit", "a", expected=3.0)
    assert replace(unit, losses=1).key == unit.key
