"""Drawing ranks without replacement; every method is a pure function of its generator."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray

__all__ = ["METHODS", "diverse_ranks", "ordered", "uniform_ranks"]

METHODS = ("uniform", "diverse", "ordered")


def uniform_ranks(size: int, n: int, rng: np.random.Generator) -> IntArray:
    """``n`` of ``size`` ranks, every ordered subset equally likely."""
    return rng.permutation(size)[:n]


def diverse_ranks(
    digits: NDArray[np.signedinteger[Any]], n: int, rng: np.random.Generator
) -> IntArray:
    """Greedy max-min: each next rank is the farthest from those chosen, in knob steps.

    ``digits`` has shape (size, knobs); the first rank and the choice among equals are random.
    """
    size = len(digits)
    if n == 0:
        return np.empty(0, dtype=np.int64)
    order = rng.permutation(size)  # argmax takes the first of equals: make that a random one
    shuffled = digits[order]
    chosen = [0]
    distance = np.abs(shuffled - shuffled[0]).sum(axis=1)
    distance[0] = -1
    while len(chosen) < n:
        farthest = int(distance.argmax())
        chosen.append(farthest)
        distance = np.minimum(distance, np.abs(shuffled - shuffled[farthest]).sum(axis=1))
        distance[chosen] = -1
    return order[chosen]


def ordered(size: int, n: int, rng: np.random.Generator, keys: Iterable[Any]) -> IntArray:
    """The ``n`` ranks with the smallest keys, ties in random order."""
    ties = rng.permutation(size)
    smallest = nsmallest(n, zip(keys, ties, range(size), strict=True))
    return np.array([rank for _, _, rank in smallest], dtype=np.int64)
