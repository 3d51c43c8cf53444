"""What a tuner measures first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from tvm.autotvm.tuner import GATuner
from tvm.autotvm.tuner.index_based_tuner import RandomTuner
from tvm.autotvm.tuner.model_based_tuner import ModelBasedTuner

from vtacsp.autotvm.pruning import RankedSpace, feasible_space
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.moved import keep_old_names
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Space
from vtacsp.timing import Simulator
from vtacsp.tune import initial
from vtacsp.tune.search_space import FeasibleGrid

__all__ = ["SamplingMethod", "seed"]

keep_old_names(__name__)

SamplingMethod = Callable[[FeasibleGrid, int, int], Iterable["Mapping[str, int] | int"]]
"""(space, n, seed) -> n configurations, or their AutoTVM indices, best guess first."""


def seed(
    tuner: Any,
    n: int,
    method: str | SamplingMethod = "uniform",
    *,
    random_seed: int = 0,
    hardware: VTAConfig | None = None,
    workload: Workload | Space | None = None,
) -> list[int]:
    """Make ``n`` feasible configurations the first that a tuner measures; their indices.

    ``method`` is a function of :mod:`vtacsp.tune.initial` by name: ``uniform``, ``diverse``,
    ``lowest_bounds``, or ``ranked`` by the cycles of the timing simulator; or a function
    (space, n, seed) of yours that returns configurations or their AutoTVM indices, where
    ``space`` is a :class:`vtacsp.tune.FeasibleGrid`.  The task need not be pruned; ``hardware`` and
    ``workload`` are as in :func:`prune` and not needed when it is.  Model-based tuners
    (``XGBTuner``), ``RandomTuner`` and ``GATuner`` can be seeded, before they have started;
    the first generation of a ``GATuner`` is filled up with its own.

    Raises :class:`~vtacsp.errors.SpaceError` when there are fewer than ``n`` feasible
    configurations, when ``method`` returns something else than ``n`` different feasible ones,
    or for a tuner that has no first batch to set.

    >>> from tvm.autotvm.tuner import RandomTuner
    >>> task = create_task(vtacsp.suite("resnet18")[9])
    >>> _ = prune(task)
    >>> len(seed(RandomTuner(task), 4, "diverse"))
    4
    """
    space = feasible_space(tuner.task, hardware, workload)
    chosen = _choose(space, n, method, random_seed)
    points = chosen
    if isinstance(tuner.task.config_space, RankedSpace):
        points = [space.rank(index) for index in chosen]
    for kind, set_first in _SETTERS.items():
        if isinstance(tuner, kind):
            set_first(tuner, points)
            return chosen
    known = ", ".join(kind.__name__ for kind in _SETTERS)
    raise SpaceError(f"a {type(tuner).__name__} has no first batch to set; {known} have")


def _choose(
    space: FeasibleSpace, n: int, method: str | SamplingMethod, random_seed: int
) -> list[int]:
    if not 0 <= n <= len(space):
        raise SpaceError(f"cannot seed {n} configurations, {len(space)} are feasible")
    if not callable(method):
        if method not in _METHODS:
            raise SpaceError(f"unknown method {method!r}; known are {', '.join(_METHODS)}")
        method = _METHODS[method]
    found = method(FeasibleGrid(space), n, random_seed)
    indices = [space.index(space.rank(config)) for config in found]  # refuses what is infeasible
    if len(set(indices)) != n or len(indices) != n:
        raise SpaceError(
            f"the method returned {len(indices)} configurations, {len(set(indices))} of them "
            f"different; {n} were asked for"
        )
    return indices


def _lowest_bounds(space: FeasibleGrid, n: int, _: int) -> list[int]:
    return initial.lowest_bounds(space, n)


def _ranked(space: FeasibleGrid, n: int, _: int) -> list[int]:
    return initial.ranked(space, n, Simulator(space).cycles_many)


_METHODS: dict[str, SamplingMethod] = {
    "uniform": initial.uniform,
    "diverse": initial.diverse,
    "lowest_bounds": _lowest_bounds,
    "ranked": _ranked,
}


def _seed_model_based(tuner: Any, points: Sequence[int]) -> None:
    # the last 5% of a plan are random (epsilon-greedy): let these be repetitions, to be skipped
    random_tail = int(0.05 * tuner.plan_size)
    tuner.trials = [*points, *list(points[-1:]) * random_tail]
    tuner.trial_pt = 0


def _seed_random(tuner: Any, points: Sequence[int]) -> None:
    queue = deque(p for p in points if p not in set(tuner.visited))
    draw = tuner.next_batch
    if hasattr(tuner, "rand_state"):  # TVM 0.10 and earlier: a list that is drawn from
        first = tuner.index_offset
        taken = {*points, *tuner.visited}
        left = (i for i in range(first, first + tuner.range_length) if i not in taken)
        tuner.rand_state = {i: point - first for i, point in enumerate(left)}
        tuner.rand_max = len(tuner.rand_state)

    def next_batch(batch_size: int) -> list[Any]:
        batch: list[Any] = []
        while queue and len(batch) < batch_size:
            point = queue.popleft()
            tuner.visited.append(point)
            if hasattr(tuner, "counter"):
                tuner.counter += 1
            batch.append(tuner.task.config_space.get(point))
        return [*batch, *draw(batch_size - len(batch))]

    tuner.next_batch = next_batch


def _seed_genetic(tuner: Any, points: Sequence[int]) -> None:
    if len(points) > tuner.pop_size:
        raise SpaceError(
            f"a generation of this GATuner has {tuner.pop_size} (pop_size), {len(points)} are given"
        )
    dims = [len(space) for space in tuner.space.space_map.values()]
    given = [_gene(point, dims) for point in points]
    own = [gene for gene in tuner.genes if gene not in given]
    tuner.genes = [*given, *own[: tuner.pop_size - len(given)]]
    tuner.visited = {_point(gene, dims) for gene in tuner.genes}
    tuner.trial_pt = 0


def _gene(point: int, dims: Sequence[int]) -> list[int]:
    gene = []
    for size in dims:
        point, digit = divmod(point, size)
        gene.append(digit)
    return gene


def _point(gene: Sequence[int], dims: Sequence[int]) -> int:
    point = 0
    for digit, size in zip(reversed(gene), reversed(dims), strict=True):
        point = point * size + digit
    return point


_SETTERS: dict[Any, Callable[[Any, Sequence[int]], None]] = {
    ModelBasedTuner: _seed_model_based,
    RandomTuner: _seed_random,
    GATuner: _seed_genetic,
}
