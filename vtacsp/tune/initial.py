"""What to measure first: plain functions from a space to AutoTVM indices.

``uniform`` over the whole grid is AutoTVM's start; everything else needs no failed measurement.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.errors import SearchError
from vtacsp.space import sampling
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import MAX_GRID
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.tune.bound import cycle_bounds
from vtacsp.tune.search_space import FeasibleGrid, SearchSpace, WholeGrid

__all__ = ["Presample", "diverse", "lowest_bounds", "presample", "ranked", "uniform"]


def uniform(space: SearchSpace, n: int, seed: int = 0) -> list[int]:
    """``n`` configurations, every subset equally likely; all of a smaller space.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> len(uniform(space, 4, seed=1))
    4
    """
    rng = np.random.default_rng(seed)
    return [int(i) for i in space.sample(_at_most(space, n), rng)]


def diverse(space: SearchSpace, n: int, seed: int = 0) -> list[int]:
    """``n`` configurations far apart: greedy max-min distance in steps of the knob grid.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> len(diverse(space, 4, seed=1))
    4
    """
    return _spread(space, space.indices(), _at_most(space, n), np.random.default_rng(seed))


def ranked(
    space: SearchSpace, n: int, cost: Callable[[IntArray], NDArray[np.generic]]
) -> list[int]:
    """The ``n`` configurations of lowest cost, best first, ties in AutoTVM order.

    ``cost`` takes an array of indices (``Simulator.cycles_many`` of the timing simulator).

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> ranked(space, 2, Simulator(vtacsp.suite("resnet18")[9]).cycles_many)
    [219, 243]
    """
    indices = space.indices()
    costs = np.asarray(cost(indices))
    if costs.shape != indices.shape:
        raise SearchError(f"cost gave {costs.shape} values for {indices.shape} configurations")
    return [int(i) for i in indices[np.argsort(costs, kind="stable")[: _at_most(space, n)]]]


def lowest_bounds(space: SearchSpace, n: int, timing: TimingModel = RTL) -> list[int]:
    """The ``n`` feasible programs of a space with the lowest analytic bound of cycles, best first.

    By :func:`~vtacsp.tune.cycle_bound`; one index of each program, equal bounds in AutoTVM order.
    Fewer when there are fewer programs.  A grid that is too large to be listed is left to CP-SAT
    (:mod:`vtacsp.tune.ranking`), which says the same.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> len(lowest_bounds(space, 2))
    2
    """
    n = _at_most(space, n)
    if len(space.knob_space) > MAX_GRID:
        from vtacsp.tune.ranking import lowest

        return lowest(space.problem, n, timing, space)
    whole = isinstance(space, WholeGrid)
    indices = space.problem.feasible_indices() if whole else space.indices()
    _, first = np.unique(space.knob_space.program(indices), return_index=True)
    indices = np.sort(indices[first])
    bounds = cycle_bounds(space.problem, indices, timing)
    return [int(i) for i in indices[np.argsort(bounds, kind="stable")[:n]]]


@dataclass(frozen=True)
class Presample:
    """What a compiler said about some configurations.

    ``valid`` and ``invalid`` are in order of compilation; one compiler call each.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> sample = presample(search_space(layer, feasible=False), limit=64)
    >>> set(sample.valid) <= set(vtacsp.compile(layer).indices.tolist())
    True
    """

    space: SearchSpace
    valid: tuple[int, ...] = field(repr=False)
    invalid: tuple[int, ...] = field(repr=False)

    @property
    def calls(self) -> int:
        """Compiler calls spent."""
        return len(self.valid) + len(self.invalid)

    @property
    def bias(self) -> dict[int, float]:
        """Score to add while annealing: +1 for known valid, -1e6 for known invalid."""
        return {**dict.fromkeys(self.valid, 1.0), **dict.fromkeys(self.invalid, -1e6)}

    def initial(self, n: int = 50, seed: int = 0) -> tuple[list[int], list[int]]:
        """Valid and invalid configurations to train on first, ``n`` together.

        Half of each, or what there is of the smaller class; within each class greedy max-min
        distance in steps of the knob grid.
        """
        rng = np.random.default_rng(seed)
        good = min(max(n // 2, n - len(self.invalid)), len(self.valid))
        bad = min(n - good, len(self.invalid))
        return (
            _spread(self.space, np.array(self.valid, dtype=np.int64), good, rng),
            _spread(self.space, np.array(self.invalid, dtype=np.int64), bad, rng),
        )


def presample(
    space: SearchSpace,
    seed: int = 0,
    *,
    valid: Callable[[int], bool] | None = None,
    batch: int = 64,
    limit: int = 1000,
) -> Presample:
    """The validity-driven presampling of Rieber et al. 2022, over the whole grid.

    Starts from a random batch.  A valid configuration adds its neighbours, one step of one knob
    away, to the frontier; an invalid one adds a random configuration.  Ends after
    min(``limit``, size) compiler calls, or with the frontier.  ``valid`` stands for the compiler;
    without, the feasible set answers, as the real stack would.

    >>> space = search_space(vtacsp.suite("resnet18")[9], feasible=False)
    >>> sample = presample(space, limit=64)
    >>> len(sample.valid), len(sample.invalid)
    (5, 59)
    """
    if valid is None:
        valid = FeasibleGrid(FeasibleSpace.of(space.problem)).__contains__
    rng = np.random.default_rng(seed)
    limit = min(limit, len(space))
    frontier = deque(int(i) for i in space.sample(min(batch, limit), rng))
    seen = set(frontier)
    outcome: dict[int, bool] = {}

    def add(index: int | None) -> None:
        if index is not None and index not in seen:
            seen.add(index)
            frontier.append(index)

    while frontier and len(outcome) < limit:
        index = frontier.popleft()
        outcome[index] = valid(index)
        if outcome[index]:
            for neighbour in _steps(space, index):
                add(neighbour)
        else:
            add(space.draw(rng, seen))
    return Presample(
        space,
        tuple(i for i, good in outcome.items() if good),
        tuple(i for i, good in outcome.items() if not good),
    )


def _steps(space: SearchSpace, index: int) -> list[int]:
    """Configurations of the space at Manhattan distance 1 in the knob grid."""
    shape = space.knob_space.shape
    strides = np.cumprod([1, *shape[:-1]], dtype=np.int64).tolist()
    digits = space.digits(np.array([index]))[0].tolist()
    found = []
    for digit, size, stride in zip(digits, shape, strides, strict=True):
        found += [index - stride] if digit > 0 else []
        found += [index + stride] if digit < size - 1 else []
    return [i for i in found if i in space]


def _spread(space: SearchSpace, indices: IntArray, n: int, rng: np.random.Generator) -> list[int]:
    if n == 0:
        return []
    return [int(i) for i in indices[sampling.diverse_ranks(space.digits(indices), n, rng)]]


def _at_most(space: SearchSpace, n: int) -> int:
    if n < 0:
        raise SearchError(f"n is {n}, must be at least 0")
    return min(n, len(space))
