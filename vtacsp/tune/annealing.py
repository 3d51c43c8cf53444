"""Simulated annealing over a space: where a cost model has its maxima."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection

import numpy as np

from vtacsp.arrays import DoubleArray, IntArray
from vtacsp.errors import SearchError
from vtacsp.tune.search_space import SearchSpace

__all__ = ["SimulatedAnnealing"]


class SimulatedAnnealing:
    """AutoTVM's ``SimulatedAnnealingOptimizer``, with its defaults; chains move in parallel.

    ``n_iter`` steps at most, linear cooling from ``temp[0]`` to ``temp[1]``, ``parallel_size``
    chains, which go on where they stood with ``persistent``; ends after ``early_stop`` steps
    without a new maximum.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> annealing = SimulatedAnnealing(space, n_iter=50, parallel_size=8)
    >>> score = lambda indices: 1.0 * indices  # what a cost model says
    >>> annealing.find_maximums(score, 1, (), np.random.default_rng(1)) == [max(space.indices())]
    True
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        n_iter: int = 500,
        temp: tuple[float, float] = (1.0, 0.0),
        persistent: bool = True,
        parallel_size: int = 128,
        early_stop: int = 50,
    ) -> None:
        for name, value in (("n_iter", n_iter), ("parallel_size", parallel_size)):
            if value < 1:
                raise SearchError(f"{name} is {value}, must be at least 1")
        self.space = space
        self.n_iter = n_iter
        self.temp = temp
        self.persistent = persistent
        self.parallel_size = min(parallel_size, len(space))
        self.early_stop = early_stop
        self.points: IntArray | None = None
        """Where the chains stand."""

    def find_maximums(
        self,
        score: Callable[[IntArray], DoubleArray],
        num: int,
        exclude: Collection[int],
        rng: np.random.Generator,
    ) -> list[int]:
        """Up to ``num`` indices with the highest scores seen, best first, none excluded.

        As in AutoTVM, what scores below zero is no maximum.
        """
        points = self.points
        if points is None or not self.persistent:
            points = self.space.sample(self.parallel_size, rng)
        points = points.copy()
        scores = score(points)
        best = _Best(num, exclude)
        best.offer(scores, points)
        start, end = self.temp
        temperature, cooling = start, (start - end) / (self.n_iter + 1)
        step = modified = 0
        while step < self.n_iter and step < modified + self.early_stop:
            moved = self.space.random_neighbours(points, rng)
            moved_scores = score(moved)
            gain = np.minimum((moved_scores - scores) / (temperature + 1e-5), 1)
            accept = rng.random(len(points)) < np.exp(gain)
            points[accept] = moved[accept]
            scores[accept] = moved_scores[accept]
            if best.offer(moved_scores, moved):
                modified = step
            step += 1
            temperature -= cooling
        self.points = points if self.persistent else None
        return best.indices()


class _Best:
    """The ``num`` highest scores offered so far, each index once."""

    def __init__(self, num: int, exclude: Collection[int]) -> None:
        self._heap = [(float("-inf"), -1 - i) for i in range(num)]
        heapq.heapify(self._heap)
        self._taken = set(exclude)

    def offer(self, scores: DoubleArray, points: IntArray) -> bool:
        """Take what is better than the worst; whether anything was."""
        changed = False
        for place in np.flatnonzero(scores > self._heap[0][0]):
            value, point = float(scores[place]), int(points[place])
            if value > self._heap[0][0] and point not in self._taken:
                _, dropped = heapq.heapreplace(self._heap, (value, point))
                self._taken.discard(dropped)
                self._taken.add(point)
                changed = True
        return changed

    def indices(self) -> list[int]:
        """Best first."""
        return [p for value, p in sorted(self._heap, key=lambda item: -item[0]) if value >= 0]
