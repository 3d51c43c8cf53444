"""Model-based search: a cost model learns from results, annealing proposes its maxima."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from vtacsp.arrays import DoubleArray, IntArray
from vtacsp.errors import SearchError
from vtacsp.operators.knobs import ConfigLike
from vtacsp.tune.annealing import SimulatedAnnealing
from vtacsp.tune.costmodel import XGBoostModel
from vtacsp.tune.result import Result
from vtacsp.tune.search_space import FeasibleGrid, SearchSpace
from vtacsp.tune.searcher import Searcher

__all__ = ["AUTOTVM_PLAN", "ModelSearcher"]

AUTOTVM_PLAN = 64
"""Results between two trainings of AutoTVM's ``XGBTuner``."""

_SHORTEST_PLAN = 8
_RANDOM_SHARE = 0.05  # of a plan is left for random exploration
_LISTED = 64_000  # predictions of one annealing run: a space that is smaller is predicted once


class ModelSearcher(Searcher):
    """AutoTVM's ``XGBTuner`` with the knob feature, and its defaults.

    Every ``plan_size`` results the model is trained from scratch on all of them and annealing
    plans the next ``plan_size`` proposals; the last 5% of a plan, and all before the first one,
    are random.  With a ``diversity_filter_ratio`` r annealing finds r times as many, of which
    those with the most different knob values are taken.

    ``plan_size`` is AutoTVM's 64 when not given, but on a feasible set about the square root of
    its size, from 8 to 64: the sets are small, and a plan of 64 would measure half of one before
    the model learnt anything (``docs/study.md`` compares them).

    ``first_fit`` is the number of results before the first training (``plan_size`` when not
    given).  ``bias`` is added to the score of an index while annealing: the validity-driven
    method of Rieber et al. uses +1 for known valid and -1e6 for known invalid configurations.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> searcher = ModelSearcher(space, initial=lowest_bounds(space, 2))
    >>> len(searcher.next_batch(4))
    4
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        initial: Iterable[ConfigLike] = (),
        loss: str = "reg",
        plan_size: int | None = None,
        diversity_filter_ratio: float | None = None,
        first_fit: int | None = None,
        bias: Mapping[int, float] | None = None,
        annealing: SimulatedAnnealing | None = None,
        threads: int = 1,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        if plan_size is None:
            plan_size = _plan_size(space)
        if plan_size < 1:
            raise SearchError(f"plan_size is {plan_size}, must be at least 1")
        if diversity_filter_ratio is not None and diversity_filter_ratio < 1:
            raise SearchError(
                f"diversity_filter_ratio is {diversity_filter_ratio}, must be at least 1"
            )
        self.plan_size = plan_size
        self.diversity_filter_ratio = diversity_filter_ratio
        self.first_fit = plan_size if first_fit is None else first_fit
        self.model = XGBoostModel(loss, threads=threads)
        self.annealing = annealing or SimulatedAnnealing(space)
        self._biased = np.array(sorted(bias or {}), dtype=np.int64)
        self._bias = np.array([(bias or {})[int(i)] for i in self._biased], dtype=np.float64)
        self._plan: list[int] = []
        self._next = 0
        self._speeds: dict[int, float] = {}
        self._fits = 0

    def propose(self, n: int) -> Iterator[int]:
        """The plan in order, then random configurations until there is a new one."""
        for _ in range(n):
            while self._next < len(self._plan) and self._plan[self._next] in self.visited:
                self._next += 1
            index: int | None
            if self._next < len(self._plan) - int(_RANDOM_SHARE * self.plan_size):
                index = self._plan[self._next]
            else:
                index = self.draw()
            if index is None:
                return
            yield index

    def learn(self, results: Mapping[int, Result]) -> None:
        """Keep the results; train and plan when there are enough new ones."""
        self._speeds.update({index: result.speed for index, result in results.items()})
        due = len(self._speeds) >= self.first_fit + self.plan_size * self._fits
        left = len(self.visited) < len(self.space)
        if due and left and any(self._speeds.values()):
            indices = np.array(list(self._speeds), dtype=np.int64)
            speeds = np.array(list(self._speeds.values()), dtype=np.float64)
            self.model.fit(self.space.features(indices), speeds, self.plan_size, self.rng)
            self._plan, self._next = self._maximums(), 0
            self._fits += 1

    def _maximums(self) -> list[int]:
        ratio = self.diversity_filter_ratio
        wanted = self.plan_size if ratio is None else int(self.plan_size * ratio)
        found = self.annealing.find_maximums(self._scorer(), wanted, self.visited, self.rng)
        if ratio is None or not found:
            return found
        digits = self.space.digits(np.array(found, dtype=np.int64))
        return [found[i] for i in most_different(digits, self.plan_size)]

    def _scorer(self) -> Any:
        if len(self.space) > _LISTED:
            return self._score
        everything = self.space.indices()
        scores = self._score(everything)
        return lambda indices: scores[np.searchsorted(everything, indices)]

    def _score(self, indices: IntArray) -> DoubleArray:
        scores = self.model.predict(self.space.features(indices))
        if len(self._biased):
            place = np.minimum(np.searchsorted(self._biased, indices), len(self._biased) - 1)
            known = self._biased[place] == indices
            scores[known] += self._bias[place[known]]
        return scores

    def state(self) -> dict[str, Any]:
        """See :meth:`Searcher.state`; the model itself is trained again when it is needed."""
        points = self.annealing.points
        return {
            **super().state(),
            "plan": [int(i) for i in self._plan],
            "next": self._next,
            "speeds": list(self._speeds.items()),
            "fits": self._fits,
            "chains": None if points is None else points.tolist(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :meth:`Searcher.restore`."""
        super().restore(state)
        self._plan = list(state["plan"])
        self._next = state["next"]
        self._speeds = dict(state["speeds"])
        self._fits = state["fits"]
        chains = state["chains"]
        self.annealing.points = None if chains is None else np.array(chains, dtype=np.int64)


def _plan_size(space: SearchSpace) -> int:
    if not isinstance(space, FeasibleGrid):
        return AUTOTVM_PLAN
    return min(max(round(math.sqrt(len(space))), _SHORTEST_PLAN), AUTOTVM_PLAN)


def most_different(digits: IntArray, n: int) -> list[int]:
    """Positions of ``n`` rows, each with the most knob values that no row before it has."""
    seen: list[set[int]] = [set() for _ in range(digits.shape[1])]
    rest = list(range(len(digits)))
    chosen: list[int] = []
    while rest and len(chosen) < n:
        new = [sum(int(v) not in s for v, s in zip(digits[i], seen, strict=True)) for i in rest]
        pick = rest.pop(int(np.argmax(new)))
        chosen.append(pick)
        for value, values in zip(digits[pick], seen, strict=True):
            values.add(int(value))
    return chosen
