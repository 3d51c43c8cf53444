"""A searcher of your own: climb from the best so far to its feasible neighbours."""

from collections.abc import Iterator, Mapping

import numpy as np

from vtacsp import compile, find_workloads
from vtacsp.tune import RandomSearcher, Result, Searcher, SimulatorMeasurer, search_space, tune


class HillClimber(Searcher):
    """A searcher is these two methods; the rest is inherited."""

    best: tuple[float, int] | None = None

    def propose(self, n: int) -> Iterator[int]:
        """What to measure next."""
        for _ in range(n):
            yield self._step()

    def _step(self) -> int:
        if self.best is not None:
            here = np.array([self.best[1]])
            for _ in range(20):  # one knob changed, always feasible
                index = int(self.space.random_neighbours(here, self.rng)[0])
                if index not in self.visited:
                    return index
        index = self.draw()  # a random one that is new
        assert index is not None  # propose is called only while something is left
        return index

    def learn(self, results: Mapping[int, Result]) -> None:
        """Remember the best."""
        for index, result in results.items():
            if result.ok and (self.best is None or result.seconds < self.best[0]):
                self.best = (result.seconds, index)


(layer,) = find_workloads("resnet18.C11")
space = search_space(compile(layer))  # the default machine
for kind in (RandomSearcher, HillClimber):
    result = tune(kind(space, seed=1), SimulatorMeasurer(space), trials=20, batch_size=4)
    print(f"{kind.__name__}: {result.best.result.seconds * 1e3:.3f} ms after 20 measurements")
