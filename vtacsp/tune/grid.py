"""Grid search: every configuration in the order of AutoTVM's index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vtacsp.tune.searcher import Searcher

__all__ = ["GridSearcher"]


class GridSearcher(Searcher):
    """AutoTVM's ``GridSearchTuner``; on the feasible set the exhaustive search.

    >>> GridSearcher(search_space(vtacsp.suite("resnet18")[9])).next_batch(4)
    [0, 1, 3, 24]
    """

    _rank = 0

    def propose(self, n: int) -> list[int]:
        """The next ``n`` in order."""
        batch: list[int] = []
        while len(batch) < n and self._rank < len(self.space):
            index = self.space.index(self._rank)
            self._rank += 1
            if index not in self.visited:
                batch.append(index)
        return batch

    def state(self) -> dict[str, Any]:
        """See :meth:`Searcher.state`."""
        return {**super().state(), "rank": self._rank}

    def restore(self, state: Mapping[str, Any]) -> None:
        """See :meth:`Searcher.restore`."""
        super().restore(state)
        self._rank = state["rank"]
