"""What every searcher must do, as tests: inherit, say how to make yours, run pytest.

::

    class TestMySearcher(SearcherConformance):
        def make(self, space, seed):
            return MySearcher(space, seed=seed)
"""

from __future__ import annotations

import json
from collections.abc import Callable

from vtacsp.causes import SRAM_ACC
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.tune.result import MeasureErrorNo, Result
from vtacsp.tune.search_space import SearchSpace, search_space
from vtacsp.tune.searcher import Searcher

__all__ = ["SearcherConformance"]

SMALL = Conv2D(
    name="conformance",
    in_channels=64,
    height=7,
    width=14,
    out_channels=64,
    kernel=(3, 3),
    padding=(1, 1),
)

Measure = Callable[[int], Result]


def _fast(index: int) -> Result:
    """An invented cost, different for nearly every index; every third one fails."""
    if index % 3 == 2:
        return _fails(index)
    return Result(costs=(1e-3 + (index * 7919 % 1009) * 1e-6,), timestamp=0.0)


def _fails(_: int) -> Result:
    error = MeasureErrorNo.COMPILE_HOST
    return Result(error=error, cause=SRAM_ACC, timestamp=0.0)


class SearcherConformance:
    """Tests of one searcher, on a small whole grid and on its feasible set."""

    batch_size = 16

    def make(self, space: SearchSpace, seed: int) -> Searcher:
        """Your searcher; called with spaces of a few hundred configurations and fewer."""
        raise NotImplementedError

    def spaces(self) -> list[SearchSpace]:
        """Where the tests search."""
        return [search_space(SMALL, feasible=feasible) for feasible in (False, True)]

    def run(
        self, searcher: Searcher, measure: Measure = _fast, batches: int | None = None
    ) -> list[int]:
        """Proposals of so many batches, or of all until there are none left."""
        proposed: list[int] = []
        while batches is None or batches > 0:
            batch = searcher.next_batch(self.batch_size)
            if not batch:
                break
            assert len(batch) <= self.batch_size, "a batch is longer than asked for"
            proposed += batch
            searcher.update({index: measure(index) for index in batch})
            batches = None if batches is None else batches - 1
            assert len(proposed) <= len(searcher.space), "more proposals than configurations"
        return proposed

    def test_proposes_every_configuration_once(self) -> None:
        """No repeats, nothing from outside, nothing left out."""
        for space in self.spaces():
            proposed = self.run(self.make(space, 1))
            assert len(proposed) == len(set(proposed)), "a configuration was proposed twice"
            assert sorted(proposed) == space.indices().tolist()

    def test_ends_when_all_is_proposed(self) -> None:
        """An exhausted searcher gives empty batches."""
        for space in self.spaces():
            searcher = self.make(space, 1)
            self.run(searcher)
            assert searcher.next_batch(self.batch_size) == []

    def test_same_seed_same_proposals(self) -> None:
        """Reproducible."""
        for space in self.spaces():
            first, second = (self.run(self.make(space, 3), batches=8) for _ in range(2))
            assert first == second

    def test_restored_searcher_continues_the_same(self) -> None:
        """Saved in the middle of a run, through JSON."""
        for space in self.spaces():
            original = self.make(space, 5)
            self.run(original, batches=6)
            state = json.loads(json.dumps(original.state()))
            copy = self.make(space, 99)
            copy.restore(state)
            assert self.run(copy, batches=6) == self.run(original, batches=6)

    def test_survives_failures_only(self) -> None:
        """Nothing ever runs: the space is exhausted all the same."""
        for space in self.spaces():
            proposed = self.run(self.make(space, 1), _fails)
            assert sorted(proposed) == space.indices().tolist()

    def test_learns_from_results_it_did_not_ask_for(self) -> None:
        """Results of a resumed log are never proposed again."""
        for space in self.spaces():
            searcher = self.make(space, 1)
            known = space.indices()[: len(space) // 2].tolist()
            searcher.update({index: _fast(index) for index in known})
            assert not set(self.run(searcher)) & set(known)

    def test_proposes_without_results(self) -> None:
        """Batches may be in flight at the same time."""
        for space in self.spaces():
            searcher = self.make(space, 1)
            proposed: list[int] = []
            while batch := searcher.next_batch(self.batch_size):
                proposed += batch
            assert sorted(proposed) == space.indices().tolist()
