"""The searcher: proposes configurations, learns from results, can be saved and restored."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from vtacsp.errors import SearchError
from vtacsp.operators.knobs import ConfigLike
from vtacsp.tune.result import Result
from vtacsp.tune.search_space import SearchSpace

__all__ = ["Searcher"]


class Searcher(ABC):
    """Base of all searchers; yours needs :meth:`propose`, and :meth:`learn` if it learns.

    ``initial`` are the configurations to propose first, in order, each as such or by its AutoTVM
    index (see :mod:`vtacsp.tune.initial`).  The same space, seed, batch sizes and results give the
    same proposals.  Raises :class:`~vtacsp.errors.SearchError` for an initial configuration that is
    not of the space.

    >>> class Backwards(Searcher):
    ...     def propose(self, n):
    ...         backwards = self.space.indices().tolist()[::-1]
    ...         return [index for index in backwards if index not in self.visited][:n]
    ...
    >>> Backwards(search_space(vtacsp.suite("resnet18")[9])).next_batch(2)
    [243, 242]
    """

    def __init__(
        self, space: SearchSpace, *, seed: int = 0, initial: Iterable[ConfigLike] = ()
    ) -> None:
        self.space = space
        self.rng = np.random.default_rng(seed)
        self.visited: set[int] = set()
        """Indices proposed so far, or measured by somebody else."""
        knobs = space.knob_space
        first = [knobs.index(c) if isinstance(c, Mapping) else int(c) for c in initial]
        self._initial = list(dict.fromkeys(first))
        strangers = [index for index in self._initial if index not in space]
        if strangers:
            raise SearchError(f"initial: index {strangers[0]} is not of {space!r}")

    # -- the interface

    def next_batch(self, n: int) -> list[int]:
        """Up to ``n`` AutoTVM indices that were never proposed; empty when there are none left.

        A batch may be shorter than ``n`` where a searcher wants results before it goes on.
        """
        if n < 1:
            raise SearchError(f"n is {n}, must be at least 1")
        batch: list[int] = []
        while self._initial and len(batch) < n:
            index = self._initial.pop(0)
            if index not in self.visited:
                self.visited.add(index)
                batch.append(index)
        if len(batch) < n and len(self.visited) < len(self.space):
            for index in self.propose(n - len(batch)):
                self.visited.add(index)
                batch.append(index)
        return batch

    def update(self, results: Mapping[int, Result]) -> None:
        """Learn from results by index; also from ones that were never proposed (a resumed log).

        Results of configurations that are not of the space are ignored: in a search over the
        feasible set, a log of the whole grid may hold failures.
        """
        known = {int(index): result for index, result in results.items() if index in self.space}
        self.visited.update(known)
        self.learn(known)

    def state(self) -> dict[str, Any]:
        """Everything that the next proposals depend on, as JSON values."""
        return {
            "searcher": type(self).__name__,
            "rng": self.rng.bit_generator.state,
            "visited": sorted(self.visited),
            "initial": list(self._initial),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue where :meth:`state` was taken, on a searcher made with the same arguments.

        Raises :class:`~vtacsp.errors.SearchError` for the state of another kind of searcher.
        """
        if state.get("searcher") != type(self).__name__:
            raise SearchError(
                f"the state is of {state.get('searcher')!r}, this is a {type(self).__name__}"
            )
        self.rng.bit_generator.state = dict(state["rng"])
        self.visited = set(state["visited"])
        self._initial = list(state["initial"])

    # -- what a searcher is made of

    @abstractmethod
    def propose(self, n: int) -> Iterable[int]:
        """At least one and at most ``n`` different indices, none of them in ``visited``.

        Called only while something is left to propose.  A generator finds each index that it
        yielded in ``visited`` when it goes on.
        """

    def learn(self, results: Mapping[int, Result]) -> None:  # noqa: B027 - optional
        """Take results into account."""

    def draw(self, exclude: Iterable[int] = ()) -> int | None:
        """A random index that was never proposed and is not excluded."""
        taken = {*self.visited, *exclude} if exclude else self.visited
        return self.space.draw(self.rng, taken)
