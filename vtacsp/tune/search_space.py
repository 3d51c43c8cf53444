"""What a searcher may propose: the whole knob grid, or the feasible configurations in it.

Both answer the same questions, and both speak in AutoTVM indices.  On the feasible set every
draw and every annealing move is feasible by construction: nothing is drawn and then refused.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from functools import cached_property
from typing import cast

import numpy as np

from vtacsp.arrays import FloatArray, IntArray
from vtacsp.errors import ConfigError, SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.knobs import Config, ConfigLike
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import OfProblem, Problem, Space

__all__ = ["FeasibleGrid", "FeasibleSet", "SearchSpace", "WholeGrid", "search_space"]

_DRAWS = 64  # random tries before the rest of a nearly exhausted space is listed


class SearchSpace(OfProblem, ABC):
    """Configurations of one layer, by AutoTVM index; ``rank`` counts them from 0 ascending.

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> space.index(7) in space, len(space)
    (True, 40)
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def _has(self, index: int) -> bool:
        """Whether an index of the grid is one of the space."""

    def __contains__(self, config: object) -> bool:
        """Whether a configuration, or its AutoTVM index, may be proposed."""
        if not isinstance(config, (Mapping, int, np.integer)):
            return False
        try:
            return self._has(self.knob_space.index(cast(ConfigLike, config)))
        except ConfigError:
            return False

    @abstractmethod
    def at(self, ranks: IntArray) -> IntArray:
        """AutoTVM indices of ranks."""

    @abstractmethod
    def random_neighbours(self, indices: IntArray, rng: np.random.Generator) -> IntArray:
        """A random neighbour of each index, one knob changed: a step of AutoTVM's random walk.

        Every knob that can change is about equally likely, and so is each of its other values.
        """

    def neighbours(self, indices: IntArray, rng: np.random.Generator) -> IntArray:
        """The old name of :meth:`random_neighbours`; it goes with the next release."""
        text = "SearchSpace.neighbours is random_neighbours now"
        warnings.warn(text, DeprecationWarning, stacklevel=2)
        return self.random_neighbours(indices, rng)

    def index(self, rank: int) -> int:
        """AutoTVM index of a rank."""
        if not 0 <= rank < len(self):
            raise SpaceError(f"rank {rank} is out of range, there are {len(self)} configurations")
        return int(self.at(np.array([rank], dtype=np.int64))[0])

    def indices(self) -> IntArray:
        """All AutoTVM indices, ascending."""
        return self.at(np.arange(len(self), dtype=np.int64))

    def config(self, config: ConfigLike) -> Config:
        """Knob values of a configuration, given as such or by its AutoTVM index."""
        return self.knob_space.config(self.knob_space.index(config))

    def sample(self, n: int, rng: np.random.Generator) -> IntArray:
        """``n`` different indices, every subset equally likely, in random order."""
        if not 0 <= n <= len(self):
            raise SpaceError(f"cannot sample {n} configurations, there are {len(self)}")
        return self.at(rng.choice(len(self), size=n, replace=False).astype(np.int64))

    def draw(self, rng: np.random.Generator, exclude: Collection[int] = ()) -> int | None:
        """One index that is not excluded, each equally likely; None when there is none."""
        for _ in range(_DRAWS if 2 * len(exclude) < len(self) else 0):
            index = self.index(int(rng.integers(len(self))))
            if index not in exclude:
                return index
        rest = np.setdiff1d(self.indices(), np.fromiter(exclude, np.int64, len(exclude)))
        return int(rng.choice(rest)) if len(rest) else None

    def digits(self, indices: IntArray) -> IntArray:
        """Candidate position of every knob, shape (len(indices), knobs)."""
        return self.knob_space.digits(indices)

    def features(self, indices: IntArray) -> FloatArray:
        """AutoTVM's ``knob`` feature, shape (len(indices), knobs).

        The inner factor of each split and the value of each thread knob.  AutoTVM also has the
        outer factor of a split, which its logs write as -1: a constant column tells a model
        nothing.
        """
        columns = self.knob_space.columns(indices).values()
        return np.stack([column.astype(np.float32) for column in columns], axis=-1)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.workload.name}: {len(self)} configurations>"


class WholeGrid(SearchSpace):
    """Every configuration, feasible or not: the space that AutoTVM searches.

    Of a space, or of a bare workload on a machine (the default one when not given); raises as
    :func:`search_space`.

    >>> len(WholeGrid(vtacsp.suite("resnet18")[9]))
    576
    """

    def __init__(self, workload: Workload | Space, hardware: VTAConfig | None = None) -> None:
        super().__init__(Problem.of(workload, hardware))
        self._strides = np.cumprod([1, *self.knob_space.shape[:-1]], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.knob_space)

    def _has(self, index: int) -> bool:
        return 0 <= index < len(self)

    def at(self, ranks: IntArray) -> IntArray:
        """AutoTVM indices of ranks: the ranks themselves."""
        return ranks

    def random_neighbours(self, indices: IntArray, rng: np.random.Generator) -> IntArray:
        """One knob changed; see :meth:`SearchSpace.random_neighbours`."""
        sizes = np.asarray(self.knob_space.shape, dtype=np.int64)
        if len(self) == 1:
            return self.at(np.zeros(len(indices), dtype=np.int64))
        # AutoTVM draws a knob and a value until something changes: a knob of d candidates is
        # kept with probability 1/d
        weights = (sizes - 1) / sizes
        knobs = rng.choice(len(sizes), size=len(indices), p=weights / weights.sum())
        old = self.digits(indices)[np.arange(len(indices)), knobs]
        new = rng.integers(sizes[knobs] - 1)
        new += new >= old
        moved = indices + (new - old) * self._strides[knobs]
        return self.at(moved)


class FeasibleGrid(SearchSpace):
    """The feasible configurations, and nothing else.

    Neighbours differ in one knob where there are such; a configuration without any moves to one
    of the nearest in number of changed knobs, so that no chain of moves gets stuck.

    >>> feasible = FeasibleGrid(vtacsp.compile(vtacsp.suite("resnet18")[9]))
    >>> len(feasible), 500 in feasible
    (40, False)
    """

    def __init__(self, feasible: FeasibleSpace) -> None:
        super().__init__(feasible.problem)
        self.feasible = feasible
        self._indices = feasible.indices
        if not len(self._indices):
            raise SpaceError(f"{feasible.workload.name} has no feasible configuration")

    def __len__(self) -> int:
        return len(self._indices)

    def _has(self, index: int) -> bool:
        rank = int(np.searchsorted(self._indices, index))
        return bool(rank < len(self) and self._indices[rank] == index)

    def at(self, ranks: IntArray) -> IntArray:
        """AutoTVM indices of ranks."""
        indices: IntArray = self._indices[ranks]
        return indices

    @cached_property
    def _all_digits(self) -> IntArray:
        return self.digits(self._indices)

    @cached_property
    def _lines(self) -> tuple[IntArray, IntArray, IntArray, IntArray]:
        """Ranks by line: configurations that share all knobs but one are neighbours.

        Per knob and rank: ``order`` lists the ranks line by line, ``place`` is where a rank
        stands in it, ``start`` and ``size`` are those of its line.
        """
        strides = np.cumprod([1, *self.knob_space.shape[:-1]], dtype=np.int64)
        shape = (len(strides), len(self))
        order, place, start, size = (np.empty(shape, dtype=np.int64) for _ in range(4))
        everyone = np.arange(len(self))
        for knob, stride in enumerate(strides):
            key = self._indices - self._all_digits[:, knob] * stride
            order[knob] = np.argsort(key, kind="stable")
            place[knob, order[knob]] = everyone
            _, first, line, members = np.unique(
                key[order[knob]], return_index=True, return_inverse=True, return_counts=True
            )
            start[knob, order[knob]] = first[line]
            size[knob, order[knob]] = members[line]
        return order, place, start, size

    def random_neighbours(self, indices: IntArray, rng: np.random.Generator) -> IntArray:
        """A feasible neighbour of each index; see :meth:`SearchSpace.random_neighbours`."""
        ranks = np.searchsorted(self._indices, indices)
        if len(self) == 1:
            return self.at(np.zeros(len(indices), dtype=np.int64))
        order, place, start, size = self._lines
        sizes = size[:, ranks]
        weights = np.cumsum((sizes - 1) / sizes, axis=0)
        points = rng.random(len(ranks)) * weights[-1]
        knobs = np.minimum((weights <= points).sum(axis=0), len(weights) - 1)
        alone = weights[-1] == 0
        here = place[knobs, ranks] - start[knobs, ranks]
        step = rng.integers(np.maximum(size[knobs, ranks] - 1, 1))
        step += step >= here
        step[alone] = here[alone]
        moved = order[knobs, start[knobs, ranks] + step]
        for i in np.flatnonzero(alone):
            moved[i] = rng.choice(self._nearest(int(ranks[i])))
        return self.at(moved)

    def _nearest(self, rank: int) -> IntArray:
        """Ranks with the fewest knobs changed."""
        changed = (self._all_digits != self._all_digits[rank]).sum(axis=1)
        changed[rank] = changed.max() + 1
        return np.flatnonzero(changed == changed.min())


FeasibleSet = FeasibleGrid  # the name until 0.2; goes with the next release


def search_space(
    workload: Workload | Space, hardware: VTAConfig | None = None, *, feasible: bool = True
) -> SearchSpace:
    """The space of a layer: its feasible configurations, or with False the whole grid.

    ``workload`` is a compiled space, with all that it leaves out, or a bare workload on
    ``hardware``, the default machine when not given.  Raises
    :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed,
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one and
    :class:`~vtacsp.errors.SpaceError` when nothing is feasible.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> len(search_space(layer)), len(search_space(layer, feasible=False))
    (40, 576)
    """
    problem = Problem.of(workload, hardware)
    if not feasible:
        return WholeGrid(workload, hardware)
    if isinstance(workload, FeasibleGrid):
        return workload
    return FeasibleGrid(
        workload if isinstance(workload, FeasibleSpace) else FeasibleSpace.of(problem)
    )
