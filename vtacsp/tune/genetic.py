"""Genetic search over knob positions, after AutoTVM's ``GATuner``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vtacsp.errors import SearchError
from vtacsp.operators.knobs import ConfigLike
from vtacsp.tune.result import Result
from vtacsp.tune.search_space import SearchSpace
from vtacsp.tune.searcher import Searcher

__all__ = ["GeneticSearcher"]

_ATTEMPTS = 20  # children bred before a child that is new is looked for elsewhere


class GeneticSearcher(Searcher):
    """Generations of ``pop_size`` configurations bred from the fitter ones.

    Parents are drawn with probability proportional to speed, cut at one knob and joined; each
    knob then mutates with ``mutation_prob``; the ``elite_num`` best stay parents.  Defaults are
    those of AutoTVM 0.17.  Two differences: a child that was proposed before is bred again
    (AutoTVM measures it again), and on a feasible set a child that is not feasible is replaced
    by a feasible neighbour of one of its parents.

    >>> searcher = GeneticSearcher(search_space(vtacsp.suite("resnet18")[9]), seed=1)
    >>> len(searcher.next_batch(4))
    4
    """

    def __init__(
        self,
        space: SearchSpace,
        *,
        seed: int = 0,
        initial: Iterable[ConfigLike] = (),
        pop_size: int = 100,
        elite_num: int = 3,
        mutation_prob: float = 0.1,
    ) -> None:
        super().__init__(space, seed=seed, initial=initial)
        if not 1 <= elite_num <= pop_size:
            raise SearchError(f"elite_num is {elite_num}, allowed are 1 to pop_size ({pop_size})")
        if not 0 <= mutation_prob <= 1:
            raise SearchError(f"mutation_prob is {mutation_prob}, allowed are 0 to 1")
        self.pop_size = min(pop_size, len(space))
        self.elite_num = min(elite_num, self.pop_size)
        self.mutation_prob = mutation_prob
        first = self._initial[: self.pop_size]
        fill = space.sample(self.pop_size, self.rng)
        self._queue = [int(i) for i in fill if i not in first][: self.pop_size - len(first)]
        self._scores: dict[int, float] = {}  # of the current generation
        self._elites: dict[int, float] = {}

    def propose(self, n: int) -> list[int]:
        """The rest of this generation, then the next one."""
        batch = self._take(n)
        if not batch:
            self._queue = self._next_generation()
            batch = self._take(n)
        return batch

    def learn(self, results: Mapping[int, Result]) -> None:
        """Scores of the current generation."""
        self._scores.update({index: result.speed for index, result in results.items()})

    def _take(self, n: int) -> list[int]:
        fresh = [index for index in self._queue if index not in self.visited]
        self._queue = fresh[n:]
        return fresh[:n]

    def _next_generation(self) -> list[int]:
        left = len(self.space) - len(self.visited)
        if left <= self.pop_size:
            return [int(i) for i in self.space.indices() if i not in self.visited]
        scores = {**self._elites, **self._scores}
        if len(scores) < 2:  # nothing to breed from
            return [int(i) for i in self._unseen(self.pop_size)]
        best = sorted(scores, key=lambda index: -scores[index])[: self.elite_num]
        self._elites = {index: scores[index] for index in best}
        self._scores = {}
        parents = np.array(list(scores), dtype=np.int64)
        fitness = np.array(list(scores.values())) + 1e-8
        chances = fitness / fitness.sum()
        children: dict[int, None] = {}
        while len(children) < self.pop_size:
            children[self._child(parents, chances, children)] = None
        return list(children)

    def _child(self, parents: Any, chances: Any, siblings: Mapping[int, None]) -> int:
        shape = self.space.knob_space.shape
        strides = np.cumprod([1, *shape[:-1]], dtype=np.int64)
        for _ in range(_ATTEMPTS):
            pair = self.rng.choice(parents, size=2, replace=False, p=chances)
            first, second = self.space.digits(pair)
            cut = int(self.rng.integers(len(shape)))
            gene = np.concatenate([first[:cut], second[cut:]])
            mutate = self.rng.random(len(shape)) < self.mutation_prob
            gene[mutate] = self.rng.integers(shape)[mutate]
            index = int(gene @ strides)
            if index not in self.space:
                index = int(self.space.random_neighbours(pair[:1], self.rng)[0])
            if index not in self.visited and index not in siblings:
                return index
        other = self.draw(siblings)
        assert other is not None  # more are left than a generation holds
        return other

    def _unseen(self, n: int) -> list[int]:
        found: dict[int, None] = {}
        while len(found) < n:
            index = self.draw(found)
            assert index is not None
            found[index] = None
        return list(found)

    def state(self) -> dict[str, Any]:
        """See :meth:`Searcher.state`."""
        return {
            **super().state(),
            "queue": list(self._queue),
            "scores": list(self._scores.items()),
            "elites": list(self._elites.items()),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :meth:`Searcher.restore`."""
        super().restore(state)
        self._queue = list(state["queue"])
        self._scores = dict(state["scores"])
        self._elites = dict(state["elites"])
