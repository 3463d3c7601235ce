"""The exact interval agrees with an independent library."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from leuko.statistics.proportion import interval


@pytest.mark.parametrize(("hits", "of"), [(0, 120), (1, 120), (5, 3000), (600, 600), (300, 600), (599, 600)])
def test_clopper_and_pearson(hits: int, of: int) -> None:
    expected = binomtest(hits, of).proportion_ci(method="exact")
    assert interval(hits, of) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_nothing_seen_says_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)
