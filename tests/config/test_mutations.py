"""Any single slip in a whole file is loaded, or refused with a place: nothing else ever comes out."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest

from leuko.config.freeze import differences, freeze, frozen_text, stricter, thaw
from leuko.config.loading import validate
from leuko.config.problems import CODES, ConfigurationInvalid, Problem
from leuko.config.tree import Tree, read, walk

EXAMPLE = Path(__file__).parents[2] / "examples" / "leuko.reference.yml"
ODD = (
    None, True, False, 0, -1, 1, 10**30, 0.5, float("nan"), float("inf"), -float("inf"), "", " ", ".", "..", "/", "~", "\n",
    "\0", "a b", "{", "}", "{}", "{name}", "{0}", "{name!r:>{x}}", "[", "[1:2]", "[9:1]", "[a:z]x[0:9]", "(", "*", "\\", "%", "0%",
    "5 minutes", "99999999999h", "é" * 300, "secret:", "secret:X", "http://", "-x", [], {}, [None], [[]], {"": 1},
    {"a": None}, [{"a": 1}], ["a", 1, None, {}],
)  # fmt: skip


@pytest.fixture(scope="module")
def example() -> Tree:
    return read(EXAMPLE.read_bytes(), "leuko.yml")


@pytest.fixture(scope="module")
def whole(example):
    return validate(example)[0]


def told(problem: Problem) -> bool:
    whole = (
        problem.where.startswith(("leuko.yml:", "leuko.yml@abc:")) and problem.rule and problem.code in CODES
    )
    return bool(whole) and (problem.where + problem.rule + problem.way_out).isprintable()


def mutated(example: Tree, chance: random.Random) -> Tree:
    data = copy.deepcopy(example.data)
    path = chance.choice([path for path, _ in walk(data) if path])
    around = data
    for part in path[:-1]:
        around = around[part]
    match chance.randrange(4):
        case 0 if isinstance(around, dict):
            around[chance.choice(["", "x y", "zzz", "Keep", "0"])] = around.pop(path[-1])
        case 1:
            del around[path[-1]]
        case _:
            around[path[-1]] = copy.deepcopy(chance.choice(ODD))
    return Tree("leuko.yml", data, dict(example.places), [])


@pytest.mark.parametrize("seed", range(6))
def test_a_slip_never_crashes(seed, example, whole):
    chance = random.Random(seed)
    refused = 0
    for _ in range(40):
        tree = mutated(example, chance)
        try:
            configuration, warnings = validate(tree)
        except ConfigurationInvalid as error:
            refused += 1
            assert [problem for problem in error.problems if not told(problem)] == []  # noqa: PT017 - one of two right ends
            continue
        assert all(warning.code for warning in warnings)
        assert thaw(frozen_text(configuration)) == configuration
        stricter(whole, configuration)
        differences(whole, configuration)
    assert refused > 5


def test_a_revision_with_a_slip_never_crashes(whole):
    chance = random.Random(1)
    lines = EXAMPLE.read_text("utf-8").splitlines()
    for _ in range(40):
        changed = list(lines)
        at = chance.randrange(len(changed))
        changed[at] = chance.choice(
            [changed[at][1:], changed[at] + ":", "", " " + changed[at], changed[at].replace(":", "", 1)]
        )
        try:
            assert freeze(whole, "\n".join(changed), "leuko.yml@abc").digest
        except ConfigurationInvalid as error:
            assert [problem for problem in error.problems if not told(problem)] == []  # noqa: PT017 - one of two right ends
