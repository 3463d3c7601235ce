"""Student's t far out in its tails, where a distribution function says 0 and its logarithm tells much."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TERMS = 300
_TINY = 1e-300
_ELSEWHERE = 1e-9


def log_student(t: Floats, degrees: int) -> Floats:
    """Log of the distribution function of Student's t with so many degrees of freedom.

    The tail beyond |t| is half the regularised incomplete beta function of v / (v + t^2) at v/2 and 1/2
    (Abramowitz and Stegun 26.7.1), by its continued fraction (26.5.8), which is as good for tails of 1e-1000.
    """
    half = degrees / 2.0
    square = np.square(np.asarray(t, dtype=np.float64))
    x, rest = degrees / (degrees + square), square / (degrees + square)
    small = x < (half + 1.0) / (half + 2.5)
    # each way has its own half of the axis; elsewhere it is asked about a place where it holds
    near = _log_beta(np.where(small, _ELSEWHERE, rest), np.where(small, 1 - _ELSEWHERE, x), 0.5, half)
    far = _log_beta(np.where(small, x, _ELSEWHERE), np.where(small, rest, 1 - _ELSEWHERE), half, 0.5)
    tail = np.where(small, far, np.log1p(-np.exp(near))) - math.log(2.0)
    found: Floats = np.where(t < 0, tail, np.log1p(-np.exp(tail)))
    return found


def _log_beta(x: Floats, rest: Floats, a: float, b: float) -> Floats:
    """Log of the regularised incomplete beta function, for x below (a + 1) / (a + b + 2); rest = 1 - x."""
    with np.errstate(divide="ignore"):
        front = a * np.log(x) + b * np.log(rest) - math.log(a)
    front = front + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return np.asarray(front - np.log(_fraction(x, a, b)))


def _fraction(x: Floats, a: float, b: float) -> Floats:
    """1 + d1/(1 + d2/(1 + ...)), from the front (Lentz's method)."""
    value = np.ones_like(x)
    above, below = np.ones_like(x), np.zeros_like(x)
    for term in range(1, _TERMS):
        m = term // 2
        if term % 2:
            step = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        else:
            step = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        below = 1.0 + step * below
        below = 1.0 / np.where(np.abs(below) < _TINY, _TINY, below)
        above = 1.0 + step / above
        above = np.where(np.abs(above) < _TINY, _TINY, above)
        change = above * below
        value = value * change
        if bool(np.all(np.abs(change - 1.0) < 1e-12)):
            break
    return value
