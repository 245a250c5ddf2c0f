"""Whether two samples differ by more than chance: Fisher, the two-proportion z and Mann-Whitney."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from brain.prompt.adjustments import Rate

SMALL = 5.0
"""Expected count in a cell below which the normal approximation does not hold."""
_Z95 = 1.959964


def rates_differ(one: Rate, other: Rate) -> float:
    """Two-sided p-value that both have the same share: z of two proportions, Fisher for small counts."""
    if not one.n or not other.n:
        return 1.0
    pooled = (one.hits + other.hits) / (one.n + other.n)
    if pooled in (0.0, 1.0):
        return 1.0
    if min(one.n, other.n) * min(pooled, 1 - pooled) < SMALL:
        return _fisher(one, other)
    error = math.sqrt(pooled * (1 - pooled) * (1 / one.n + 1 / other.n))
    return _two_sided((one.hits / one.n - other.hits / other.n) / error)


def times_differ(one: Sequence[float], other: Sequence[float]) -> float:
    """Two-sided p-value of Mann-Whitney's U, normal approximation with correction for ties."""
    n, m = len(one), len(other)
    if not n or not m:
        return 1.0
    values = np.concatenate([np.asarray(one, dtype=float), np.asarray(other, dtype=float)])
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    u = float(ranks[:n].sum()) - n * (n + 1) / 2
    size = n + m
    ties = float((counts.astype(float) ** 3 - counts).sum()) / (size * (size - 1))
    error = math.sqrt(n * m / 12 * (size + 1 - ties))
    if not error:
        return 1.0
    away = max(0.0, abs(u - n * m / 2) - 0.5)
    return _two_sided(away / error)


def interval(rate: Rate) -> tuple[float, float]:
    """Wilson's 95 % interval of a share; everything is possible without a sample."""
    if not rate.n:
        return 0.0, 1.0
    share, z2 = rate.hits / rate.n, _Z95**2
    middle = (share + z2 / (2 * rate.n)) / (1 + z2 / rate.n)
    spread = share * (1 - share) / rate.n + z2 / (4 * rate.n**2)
    half = _Z95 * math.sqrt(spread) / (1 + z2 / rate.n)
    return max(0.0, middle - half), min(1.0, middle + half)


def _two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2))


def _fisher(one: Rate, other: Rate) -> float:
    """The chance of a table at most as likely as this one, given its margins."""
    hits, size = one.hits + other.hits, one.n + other.n

    def likelihood(k: int) -> float:
        return _choose(one.n, k) + _choose(other.n, hits - k) - _choose(size, hits)

    observed = likelihood(one.hits) + 1e-7
    tables = (likelihood(k) for k in range(max(0, hits - other.n), min(hits, one.n) + 1))
    return min(1.0, math.fsum(math.exp(each) for each in tables if each <= observed))


def _choose(n: int, k: int) -> float:
    """Logarithm of the binomial coefficient."""
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
