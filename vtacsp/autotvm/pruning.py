"""A task's configuration space with nothing infeasible in it."""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import Any

import numpy as np
from tvm.autotvm.task.space import ConfigEntity, ConfigSpace

from vtacsp.arrays import IntArray
from vtacsp.autotvm.tvm_task import check_knobs, config_of, problem_of
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.rules import Rule
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Space, layer_and_machine

__all__ = ["HAS_FILTER", "PrunedSpace", "RankedSpace", "feasible_space", "prune"]

HAS_FILTER = hasattr(ConfigSpace, "is_index_valid")
"""Whether this TVM's tuners ask the space which indices are valid (0.11 and later)."""


def prune(
    task: Any,
    hardware: VTAConfig | None = None,
    *,
    workload: Workload | Space | None = None,
    rules: Iterable[Rule] = (),
    distinct: bool = False,
) -> FeasibleSpace:
    """Leave nothing but feasible configurations in the space of an AutoTVM task.

    Call it before making a tuner.  The machine is the one that the task's target names;
    ``hardware`` is needed for a target that names none.  ``workload`` is read from the task
    (:func:`workload_of`) unless given, or a compiled space, whose machine and rules hold;
    ``rules`` are yours, on top of the catalogue; ``distinct`` keeps one of the
    configurations that are the same program.  Indices keep their meaning, in the tuner and in
    the log.  A filter that the template has set still holds.

    Returns the feasible space that the task now has.  Raises
    :class:`~vtacsp.errors.HardwareError` when the target and what is given name two machines, or
    nothing names one,
    :class:`~vtacsp.errors.WorkloadError` when the workload cannot be derived or packed,
    :class:`~vtacsp.errors.ConfigError` when the task's knobs are not VTA's, and
    :class:`~vtacsp.errors.SpaceError` when nothing is feasible.

    >>> task = create_task(vtacsp.suite("resnet18")[9])
    >>> before = len(task.config_space)
    >>> _ = prune(task)
    >>> before, len(task.config_space)
    (576, 40)
    """
    if isinstance(task.config_space, PrunedSpace | RankedSpace):
        raise SpaceError(f"task {task.name} is pruned already")
    feasible = feasible_space(task, hardware, workload, rules)
    if distinct:
        feasible = feasible.collapsed()
    if HAS_FILTER:
        allowed = [i for i in feasible.indices.tolist() if task.config_space.is_index_valid(i)]
        feasible = FeasibleSpace(feasible.problem, np.array(allowed, dtype=np.int64))
    if not len(feasible):
        raise SpaceError(f"task {task.name}: nothing is feasible on {feasible.hardware}")
    make = PrunedSpace if HAS_FILTER else RankedSpace
    task.config_space = make(task.config_space, feasible)
    return feasible


def feasible_space(
    task: Any,
    hardware: VTAConfig | None = None,
    workload: Workload | Space | None = None,
    rules: Iterable[Rule] = (),
) -> FeasibleSpace:
    """What is feasible for a task, once its knobs are found to be VTA's; see :func:`prune`."""
    if isinstance(task.config_space, PrunedSpace | RankedSpace):
        layer_and_machine(task.config_space.feasible, hardware)  # refuses another one
        return task.config_space.feasible
    feasible = FeasibleSpace.of(problem_of(task, hardware, workload).adding(rules))
    check_knobs(task, feasible.knob_space)
    return feasible


class _InfeasibleIndexError(SpaceError, IndexError):
    pass


class PrunedSpace(ConfigSpace):  # type: ignore[misc]
    """A ``ConfigSpace`` of TVM 0.11 or later, in which every answer is feasible.

    Indices, knobs and ``range_length`` are those of the whole grid, as with ``multi_filter``;
    but nothing is found by trial: samples are uniform over the feasible set, and questions with
    no answer raise :class:`~vtacsp.errors.SpaceError` where AutoTVM would ask for ever.
    ``feasible`` is the set.  Random numbers are drawn where AutoTVM draws them (``random`` and
    ``numpy.random``), so that its seeds govern.
    """

    def __init__(self, space: ConfigSpace, feasible: FeasibleSpace) -> None:
        super().__init__()
        self.__dict__.update(space.__dict__)
        self._use(feasible)

    def _use(self, feasible: FeasibleSpace) -> None:
        self.feasible = feasible
        self._indices = feasible.indices
        self._digits = feasible.knob_space.digits(feasible.indices)
        self._neighbours: dict[int, IntArray] = {}
        self._shared_filter = self._holds
        self._make_shared_filter_cache()

    def _holds(self, entities: Any) -> bool:
        """What ``multi_filter`` would be given."""
        return config_of(entities) in self.feasible

    def _make_shared_filter_cache(self) -> None:
        valid = np.zeros(self.range_length, dtype=np.bool_)
        valid[self._indices] = True
        self._shared_filter_cache = tuple(valid.tolist())
        self._length = len(self._indices)

    def clear_cache(self) -> None:
        """Compute the cached sizes and the filter cache again."""
        super().clear_cache()
        self._make_shared_filter_cache()

    def multi_filter(self, filter: Callable[[Any], bool]) -> None:
        """Leave out what ``filter`` refuses, on top of what is infeasible."""
        kept = [i for i in self._indices.tolist() if filter(self.get(i)._entity_map)]
        self._use(FeasibleSpace(self.feasible.problem, np.array(kept, dtype=np.int64)))

    def __len__(self) -> int:
        return len(self._indices)

    def is_index_valid(self, index: int) -> bool:
        """Whether an index of the grid is feasible."""
        if not 0 <= index < self.range_length:
            raise _InfeasibleIndexError(
                f"index {index} is out of range, allowed are 0 to {self.range_length - 1}"
            )
        return bool(self._shared_filter_cache[index])

    def get(self, index: int) -> Any:
        """The ``ConfigEntity`` of a feasible index.

        Raises :class:`IndexError` (also a ``VtacspError``) with the cause for any other.
        """
        if not self.is_index_valid(index):
            cause = self.feasible.problem.causes([int(index)])[0]
            raise _InfeasibleIndexError(f"index {index} is not in the pruned space: {cause}")
        return super().get(index)

    def subrange_length(self, start: int, end: int) -> int:
        """Number of feasible indices from ``start`` up to, not including, ``end``."""
        return len(self._between(start, end))

    def get_rand_index(
        self, start: int | None = None, end: int | None = None, to_exclude: Any = None
    ) -> int:
        """A feasible index from ``start`` up to ``end`` that is not in ``to_exclude``."""
        allowed = self._between(start or 0, end or self.range_length)
        excluded: Collection[int] = () if to_exclude is None else to_exclude
        if len(excluded):
            allowed = np.setdiff1d(allowed, np.fromiter(excluded, np.int64, len(excluded)))
        if not len(allowed):
            raise SpaceError("no feasible index is left to draw")
        return int(allowed[random.randrange(len(allowed))])

    def get_next_index(
        self, index: int, n: int = 1, start: int | None = None, end: int | None = None
    ) -> int | None:
        """The ``n``-th feasible index after ``index`` (before it when negative), or None."""
        if n == 0:
            raise SpaceError("n is 0, allowed is any other number of steps")
        allowed = self._between(start or 0, end or self.range_length)
        if n > 0:
            rank = int(np.searchsorted(allowed, index, side="right")) + n - 1
        else:
            rank = int(np.searchsorted(allowed, index, side="left")) + n
        return int(allowed[rank]) if 0 <= rank < len(allowed) else None

    def sample_ints(self, m: int) -> IntArray:
        """``m`` different feasible indices, uniformly."""
        if not 0 <= m <= len(self):
            raise SpaceError(f"cannot sample {m} configurations, there are {len(self)}")
        return np.array(self._indices[random.sample(range(len(self)), m)], dtype=np.int64)

    def random_walk(self, point: int) -> int:
        """A feasible index that differs from ``point`` in one knob.

        In as few as there can be, should no single knob lead anywhere; ``point`` itself when it
        is the only one.
        """
        nearby = self._neighbours.get(point)
        if nearby is None:
            here = self.feasible.knob_space.digits(np.array([point]))
            changed = (self._digits != here).sum(axis=1)
            others = changed > 0
            least = changed[others].min() if others.any() else 0
            nearby = self._neighbours[point] = self._indices[changed == least]
        return int(nearby[np.random.randint(len(nearby))])

    def _between(self, start: int, end: int) -> IntArray:
        first, last = np.searchsorted(self._indices, [start, end])
        return self._indices[first:last]


class RankedSpace(ConfigSpace):  # type: ignore[misc]
    """The feasible set as a space of TVM 0.10 or earlier, whose tuners know no invalid index.

    Those tuners draw from ``range(len(space))`` and walk over the sizes in ``space_map``, so the
    space they see has one dimension, the rank of a feasible configuration.  Entities have the
    rank as ``index`` while tuning; the log has AutoTVM's index, as from the whole grid.
    ``feasible`` is the set, ``grid`` the space of the template.
    """

    def __init__(self, space: ConfigSpace, feasible: FeasibleSpace) -> None:
        super().__init__()
        self.__dict__.update(space.__dict__)
        self.feasible = feasible
        self.grid = space
        self.space_map = OrderedDict(rank=range(len(feasible)))
        self._length = len(feasible)

    def __len__(self) -> int:
        return len(self.feasible)

    def get(self, index: int) -> Any:
        """The ``ConfigEntity`` of a rank."""
        entity = self.grid.get(self.feasible.index(int(index)))
        return _RankedEntity(int(index), entity)


class _RankedEntity(ConfigEntity):  # type: ignore[misc]
    def __init__(self, rank: int, entity: ConfigEntity) -> None:
        self.__dict__.update(entity.__dict__)
        self.index = rank
        self._grid_index = entity.index

    def to_json_dict(self) -> dict[str, Any]:
        return {**super().to_json_dict(), "index": self._grid_index}

    def __repr__(self) -> str:
        entities = {name: str(entity) for name, entity in self._entity_map.items()}
        return f"{entities},{self.code_hash},{self._grid_index}"
