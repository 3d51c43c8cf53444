"""Random search: every configuration that was not proposed yet is equally likely."""

from __future__ import annotations

from collections.abc import Iterator

from vtacsp.tune.searcher import Searcher

__all__ = ["RandomSearcher"]


class RandomSearcher(Searcher):
    """AutoTVM's ``RandomTuner``.

    >>> searcher = RandomSearcher(search_space(vtacsp.suite("resnet18")[9]), seed=1)
    >>> len(searcher.next_batch(4))
    4
    """

    def propose(self, n: int) -> Iterator[int]:
        """Draws without replacement."""
        for _ in range(n):
            index = self.draw()
            if index is None:
                return
            yield index
