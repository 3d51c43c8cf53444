"""The compiled space: exactly the feasible configurations of one layer, in AutoTVM order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import IntArray
from vtacsp.errors import ConfigError, SpaceError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.knobs import BLOCK, Config, ConfigLike
from vtacsp.operators.workload import Workload
from vtacsp.rules import Rule
from vtacsp.space.explanation import Explanation, explain
from vtacsp.space.problem import OfProblem, Problem
from vtacsp.space.sampling import METHODS, diverse_ranks, ordered, uniform_ranks

__all__ = ["FeasibleSpace", "compile"]


class FeasibleSpace(OfProblem):
    """Feasible configurations as a sequence: rank -> configuration, ascending AutoTVM index.

    Made by :func:`compile`.  ``indices`` is the sorted array of AutoTVM indices.

    >>> space = vtacsp.compile(vtacsp.suite("resnet18")[9])
    >>> len(space), space.rank(space[7]), space.sample(1)[0] in space
    (40, 7, True)
    """

    def __init__(self, problem: Problem, indices: IntArray) -> None:
        self.problem = problem
        self.indices = indices
        self.indices.flags.writeable = False

    @classmethod
    def of(cls, problem: Problem) -> FeasibleSpace:
        """Everything that is feasible."""
        return cls(problem, problem.feasible_indices())

    # -- size and access

    def count(self) -> int:
        """Number of feasible configurations."""
        return len(self.indices)

    __len__ = count

    def programs(self) -> int:
        """Number of distinct programs: configurations that differ in idle knobs are one."""
        return self._programs

    @cached_property
    def _programs(self) -> int:
        return len(np.unique(self.knob_space.program(self.indices)))

    def collapsed(self) -> FeasibleSpace:
        """One configuration per distinct program: the feasible one with the lowest index."""
        _, first = np.unique(self.knob_space.program(self.indices), return_index=True)
        return FeasibleSpace(self.problem, np.sort(self.indices[first]))

    def __iter__(self) -> Iterator[Config]:
        return (self.knob_space.config(int(index)) for index in self.indices)

    def __getitem__(self, rank: int) -> Config:
        return self.knob_space.config(self.index(rank))

    def __contains__(self, config: object) -> bool:
        if not isinstance(config, (Mapping, int, np.integer)):
            return False
        try:
            return self._find(self.knob_space.index(cast(ConfigLike, config))) is not None
        except ConfigError:
            return False

    def index(self, rank: int) -> int:
        """AutoTVM index of a rank; negative ranks count from the end.

        Raises :class:`IndexError` (also a ``VtacspError``) for a rank out of range.
        """
        if not -len(self) <= rank < len(self):
            raise _RankError(f"rank {rank} is out of range, there are {len(self)} configurations")
        return int(self.indices[rank])

    def rank(self, config: ConfigLike) -> int:
        """Rank of a feasible configuration, given as such or by its AutoTVM index.

        Raises :class:`~vtacsp.errors.SpaceError` with the cause for an infeasible one.
        """
        index = self.knob_space.index(config)
        rank = self._find(index)
        if rank is None:
            cause = self.problem.causes([index])[0]
            raise SpaceError(f"index {index} is not feasible: {cause}")
        return rank

    def _find(self, index: int) -> int | None:
        rank = int(np.searchsorted(self.indices, index))
        return rank if rank < len(self.indices) and self.indices[rank] == index else None

    @cached_property
    def _digits(self) -> NDArray[np.int16]:
        digits = np.empty((len(self), len(self.knob_space.knobs)), dtype=np.int16)
        for begin in range(0, len(self), BLOCK):
            part = slice(begin, begin + BLOCK)
            digits[part] = self.knob_space.digits(self.indices[part])
        return digits

    # -- sampling and neighbourhood

    def sample(
        self,
        n: int,
        seed: int = 0,
        method: str = "uniform",
        key: Callable[[Config], Any] | None = None,
    ) -> list[Config]:
        """``n`` different feasible configurations, the same for the same seed.

        ``method`` is ``uniform`` (every subset equally likely), ``diverse`` (greedy max-min
        distance in knob steps) or ``ordered`` (smallest ``key`` first, ties in random order).
        Raises :class:`~vtacsp.errors.SpaceError` when there are fewer than ``n``.
        """
        if method not in METHODS:
            raise SpaceError(
                f"unknown sampling method {shortened(method)}; known are {', '.join(METHODS)}"
            )
        if (key is not None) != (method == "ordered"):
            raise SpaceError("a key goes with the method 'ordered', and with no other")
        if not 0 <= n <= len(self):
            raise SpaceError(f"cannot sample {n} configurations, there are {len(self)}")
        rng = np.random.default_rng(seed)
        if key is not None:
            ranks = ordered(len(self), n, rng, map(key, self))
        elif method == "diverse":
            ranks = diverse_ranks(self._digits, n, rng)
        else:
            ranks = uniform_ranks(len(self), n, rng)
        return [self[int(rank)] for rank in ranks]

    def neighbours(self, config: ConfigLike) -> list[Config]:
        """Feasible configurations one knob step away, or the nearest ones if there is none.

        ``config`` is a configuration or its AutoTVM index.

        A step moves one knob to the next or previous candidate of AutoTVM's grid; distances
        are sums of steps.  ``config`` itself may be infeasible and is never returned.
        """
        index = self.knob_space.index(config)
        here = self.knob_space.digits(np.array([index]))[0].astype(np.int16)
        distance = np.abs(self._digits - here).sum(axis=1)
        others = distance > 0
        if not others.any():
            return []
        nearest = distance[others].min()
        return [self[int(rank)] for rank in np.flatnonzero(distance == nearest)]

    # -- diagnosis

    def explain(self, config: ConfigLike) -> Explanation:
        """Every violated rule with its numbers, what the stack reports, and the way out."""
        nearest = self.neighbours(config) if config not in self else []
        knobs = self.knob_space.config(self.knob_space.index(config))
        return explain(self.problem, knobs, nearest)

    def __repr__(self) -> str:
        return (
            f"<FeasibleSpace of {self.workload.name} on {self.hardware}: "
            f"{len(self)} of {len(self.knob_space)}>"
        )


class _RankError(SpaceError, IndexError):
    pass


def compile(
    workload: Workload,
    hardware: VTAConfig | None = None,
    rules: Iterable[Rule] = (),
    *,
    stack_only: bool = False,
) -> FeasibleSpace:
    """The feasible space of a workload on a machine (the default one when not given).

    ``rules`` are yours, on top of the operator's catalogue.  ``stack_only`` gives the set of
    upstream's own functional simulator, which runs the modules in turns: some of it computes
    wrong numbers on the hardware (rule ``race``).  Raises
    :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed and
    :class:`~vtacsp.errors.RuleError` for a malformed rule.

    >>> vtacsp.compile(vtacsp.suite("resnet18")[9], VTAConfig(log_acc_buff_size=16)).count()
    38
    """
    problem = Problem(workload, hardware or VTAConfig(), rules, stack_only=stack_only)
    return FeasibleSpace.of(problem)
