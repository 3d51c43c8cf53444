"""One machine for several layers, its scratchpad sizes free: counted and sampled, never listed.

A point of the joint space is a machine and one feasible configuration per layer.  Given the
machine the layers are independent, so the number of points is the sum over machines of the
product over layers: each layer is compiled once, its configurations kept with the set of
machines that run them, and everything else is arithmetic on exact integers.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, product
from math import prod

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.errors import HardwareError, SpaceError
from vtacsp.expr import Env
from vtacsp.machine.configuration import BUFFER_FIELDS, MAX_LOG, VTAConfig
from vtacsp.machine.legality import LEGALITY
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.rules import Rule
from vtacsp.space.problem import Problem

__all__ = ["HardwareSpace", "JointPoint", "JointSpace", "compile_network"]


AT_ONCE = 1 << 20  # pairs of a configuration and a machine that are looked at together


class HardwareSpace:
    """Machines that differ in scratchpad sizes: every legal combination of the given ranges.

    ``free`` maps ``LOG_*_BUFF_SIZE`` to the values to consider; what is not given is fixed by
    ``base``.  Raises :class:`~vtacsp.errors.HardwareError` for another key or a bad range.

    >>> machines = HardwareSpace(LOG_ACC_BUFF_SIZE=range(14, 18))
    >>> len(machines)
    4
    """

    def __init__(self, base: VTAConfig | None = None, **free: Iterable[int]) -> None:
        self.base = base or VTAConfig()
        self.free: dict[str, tuple[int, ...]] = {}
        for key, values in free.items():
            if key not in BUFFER_FIELDS.values():
                known = ", ".join(BUFFER_FIELDS.values())
                raise HardwareError(f"{key:.60} cannot be free; sizes that can are {known}")
            choices = tuple(sorted(set(values)))
            if not choices or not all(isinstance(v, int) and 0 <= v <= MAX_LOG for v in choices):
                raise HardwareError(f"{key}: candidates are integers from 0 to {MAX_LOG}")
            self.free[key] = choices

    @cached_property
    def sizes(self) -> list[tuple[int, ...]]:
        """The legal combinations, in the order of ``free``."""
        combinations = list(product(*self.free.values()))
        columns = np.array(combinations, dtype=np.int64).reshape(len(combinations), -1)
        env = Env({**self.base.symbols, **{k: columns[:, i] for i, k in enumerate(self.free)}})
        legal = np.ones(len(combinations), dtype=np.bool_)
        for rule in LEGALITY:
            legal &= np.asarray(env.evaluate(rule.holds), dtype=np.bool_)
        return [sizes for sizes, keep in zip(combinations, legal, strict=True) if keep]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, position: int) -> VTAConfig:
        return self.base.replace(**dict(zip(self.free, self.sizes[position], strict=True)))

    def columns(self) -> dict[str, IntArray]:
        """Candidate sizes, one array over the legal combinations per key."""
        table = np.array(self.sizes, dtype=np.int64).reshape(len(self.sizes), len(self.free))
        return {key: table[:, i] for i, key in enumerate(self.free)}


@dataclass(frozen=True)
class JointPoint:
    """A machine and a configuration per layer.

    >>> machines = HardwareSpace(LOG_ACC_BUFF_SIZE=[16])
    >>> (point,) = compile_network(vtacsp.suite("resnet18")[9:], machines).sample(1)
    >>> point.hardware.log_acc_buff_size, len(point.configs)
    (16, 1)
    """

    hardware: VTAConfig
    configs: tuple[Config, ...]


@dataclass(frozen=True)
class _Layer:
    problem: Problem
    indices: IntArray  # configurations feasible on some machine, ascending
    runs: BoolArray  # (configurations, machines)

    @cached_property
    def counts(self) -> list[int]:
        return [int(n) for n in self.runs.sum(axis=0)]

    def feasible(self, machine: int) -> IntArray:
        found: IntArray = self.indices[self.runs[:, machine]]
        return found

    def config(self, machine: int, rank: int) -> Config:
        position = int(np.flatnonzero(self.runs[:, machine])[rank])
        return self.problem.knob_space.config(int(self.indices[position]))

    def rank(self, machine: int, config: Mapping[str, int]) -> int:
        index = self.problem.knob_space.index(config)
        position = int(np.searchsorted(self.indices, index))
        known = position < len(self.indices) and int(self.indices[position]) == index
        if not known or not self.runs[position, machine]:
            raise SpaceError(f"{self.problem.workload.name}: index {index} is not feasible there")
        return int(self.runs[:position, machine].sum())


class JointSpace:
    """The product over layers, for every machine; see :func:`compile_network`.

    Points are ordered by machine, then by the ranks of their configurations, the last layer
    fastest; ``count`` and ranks are exact integers of any size.

    >>> machines = HardwareSpace(LOG_ACC_BUFF_SIZE=range(14, 18))
    >>> joint = compile_network(vtacsp.suite("resnet18")[8:], machines)
    >>> joint.count()
    19112
    """

    def __init__(self, hardware: HardwareSpace, layers: Sequence[_Layer]) -> None:
        self.hardware = hardware
        self._layers = layers
        self._machine_counts = [
            prod(counts) for counts in zip(*(layer.counts for layer in layers), strict=True)
        ]
        self._ends = list(accumulate(self._machine_counts))

    @property
    def workloads(self) -> list[Workload]:
        """The layers, in order."""
        return [layer.problem.workload for layer in self._layers]

    def count(self) -> int:
        """Number of points, exact."""
        return self._ends[-1] if self._ends else 0

    def machines(self) -> Iterator[tuple[VTAConfig, int]]:
        """Machines on which every layer has a configuration, with their number of points."""
        return ((self.hardware[i], n) for i, n in enumerate(self._machine_counts) if n)

    def layer_counts(self, machine: int) -> list[int]:
        """Feasible configurations of each layer on machine number ``machine``."""
        return [layer.counts[machine] for layer in self._layers]

    def feasible(self, machine: int, layer: int = 0) -> IntArray:
        """AutoTVM indices of a layer's feasible configurations on machine number ``machine``."""
        return self._layers[layer].feasible(machine)

    def __getitem__(self, rank: int) -> JointPoint:
        if not 0 <= rank < self.count():
            raise SpaceError(f"rank {rank} is out of range, there are {self.count()} points")
        machine = bisect_right(self._ends, rank)
        rest = rank - (self._ends[machine - 1] if machine else 0)
        configs = []
        for layer in reversed(self._layers):
            rest, digit = divmod(rest, layer.counts[machine])
            configs.append(layer.config(machine, digit))
        return JointPoint(self.hardware[machine], tuple(reversed(configs)))

    def rank(self, point: JointPoint) -> int:
        """Rank of a point; the inverse of indexing."""
        sizes = point.hardware.symbols
        try:
            machine = self.hardware.sizes.index(tuple(sizes[key] for key in self.hardware.free))
        except ValueError:
            raise SpaceError(f"{point.hardware} is not one of the machines") from None
        rank = 0
        for layer, config in zip(self._layers, point.configs, strict=True):
            rank = rank * layer.counts[machine] + layer.rank(machine, config)
        return rank + (self._ends[machine - 1] if machine else 0)

    def sample(self, n: int, seed: int = 0) -> list[JointPoint]:
        """``n`` different points, every subset equally likely, the same for the same seed.

        Raises :class:`~vtacsp.errors.SpaceError` when there are fewer.
        """
        total = self.count()
        if not 0 <= n <= total:
            raise SpaceError(f"cannot sample {n} points, there are {total}")
        return [self[rank] for rank in _distinct(total, n, random.Random(seed))]


def _distinct(total: int, n: int, rng: random.Random) -> list[int]:
    """``n`` different integers below ``total`` of any size, uniform (Floyd's algorithm)."""
    chosen: dict[int, None] = {}
    for top in range(total - n, total):
        draw = rng.randrange(top + 1)
        chosen[top if draw in chosen else draw] = None
    ranks = list(chosen)
    rng.shuffle(ranks)
    return ranks


def compile_network(
    workloads: Sequence[Workload],
    hardware: HardwareSpace,
    rules: Iterable[Rule] = (),
    *,
    stack_only: bool = False,
) -> JointSpace:
    """The joint space of layers that share one machine.

    ``rules`` and ``stack_only`` are those of :func:`~vtacsp.compile`.
    Raises :class:`~vtacsp.errors.WorkloadError` when a layer cannot be packed.

    >>> machines = HardwareSpace(LOG_WGT_BUFF_SIZE=[17, 18])
    >>> compile_network(vtacsp.suite("resnet18")[9:], machines).count()
    80
    """
    if not workloads:
        raise SpaceError("a network has at least one layer")
    rules = tuple(rules)
    problems = [Problem(w, hardware.base, rules, stack_only=stack_only) for w in workloads]
    return JointSpace(hardware, [_compile_layer(problem, hardware) for problem in problems])


def _compile_layer(problem: Problem, hardware: HardwareSpace) -> _Layer:
    free = frozenset(hardware.free)
    fixed = [rule for rule in problem.rules if not rule.holds.symbols & free]
    varying = [rule for rule in problem.rules if rule.holds.symbols & free]
    # formulas first: procedures are tabulated only for what the formulas leave
    varying.sort(key=lambda rule: rule.holds.tabulated)
    indices = problem.with_rules(fixed).feasible_indices()
    some = max(AT_ONCE // max(len(hardware), 1), 1)
    parts = [indices[at : at + some] for at in range(0, max(len(indices), 1), some)]
    kept, runs = zip(*(_decide(problem, varying, part, hardware) for part in parts), strict=True)
    return _Layer(problem, np.concatenate(kept), np.concatenate(runs))


def _decide(
    problem: Problem, rules: Sequence[Rule], indices: IntArray, hardware: HardwareSpace
) -> tuple[IntArray, BoolArray]:
    """The configurations that meet the rules on some machine, and on which."""
    sizes = hardware.columns()
    columns = {k: v[:, None] for k, v in problem.knob_space.columns(indices).items()}
    machines = {key: values[None, :] for key, values in sizes.items()}
    env = Env({**problem.constants, **columns, **machines})
    runs = np.ones((len(indices), len(hardware)), dtype=np.bool_)
    for rule in rules:
        if not rule.holds.tabulated or not rule.holds.symbols & columns.keys():
            runs &= np.asarray(env.evaluate(rule.holds), dtype=np.bool_)
            continue
        rows, cols = np.nonzero(runs)
        flat = {k: v[rows, 0] for k, v in columns.items()}
        flat.update({key: values[cols] for key, values in sizes.items()})
        holds = Env({**problem.constants, **flat}).evaluate(rule.holds)
        runs[rows, cols] = holds
    keep = runs.any(axis=1)
    return indices[keep], runs[keep]
