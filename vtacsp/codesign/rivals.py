"""Other ways to search machines, on the same space and evaluator: what a sampler needs.

Random search, a genetic search (NSGA-II) and Bayesian optimisation (the multi-objective
tree-structured Parzen estimator) are those of optuna, as they come.  A trial is a machine of the
ranges; one that cannot be built costs nothing and is told to the sampler as bad, one that is known
already costs nothing either.  Any other is an evaluation: the exact cycles of the network there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.codesign.costs import COSTS, Cost
from vtacsp.codesign.cycle_table import FAR
from vtacsp.codesign.evaluator import Evaluator
from vtacsp.codesign.machines import KEYS, MachineSpace
from vtacsp.codesign.workloads import CountedLayer
from vtacsp.errors import MissingDependencyError, SearchError, SpaceError

__all__ = ["SAMPLERS", "Progress", "hypervolume", "run_rival"]

SAMPLERS = ("random", "genetic", "bayesian")

REPEATS = 2
"""Trials for each evaluation, at most: a sampler may ask for what it knows, or cannot be built."""


@dataclass(frozen=True)
class Progress:
    """What was reached after so many evaluations: ``share`` of the hypervolume of the front.

    ``trials`` counts also what the sampler asked for again or cannot be built.  The time is that of
    the sampler and of the evaluations, on the processor and on the wall; what the share takes is
    in neither.
    """

    evaluations: int
    trials: int
    cpu_seconds: float
    wall_seconds: float
    share: float


class _Clock:
    """Time that passes between ``go`` and ``stop``."""

    def __init__(self) -> None:
        self.cpu_seconds = self.wall_seconds = 0.0
        self.go()

    def go(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def stop(self) -> None:
        self.cpu_seconds += time.process_time() - self._cpu
        self.wall_seconds += time.perf_counter() - self._wall


def hypervolume(points: IntArray, reference: Sequence[float]) -> float:
    """Area that points of (cost, cycles) dominate, both on a log scale, up to ``reference``."""
    logs = np.log2(np.asarray(points, dtype=np.float64).reshape(-1, 2))
    right, top = np.log2(np.asarray(reference, dtype=np.float64))
    area, height = 0.0, top
    for cost, cycles in logs[np.lexsort((logs[:, 1], logs[:, 0]))].tolist():
        if cost < right and cycles < height:
            area += (right - cost) * (height - cycles)
            height = cycles
    return float(area)


def run_rival(
    network: Sequence[CountedLayer],
    space: MachineSpace,
    front: IntArray,
    reference: tuple[int, int],
    sampler: str,
    seed: int,
    evaluations: int,
    goal: float = 0.99,
    cost: Cost = COSTS["kib"],
) -> Iterator[Progress]:
    """Run a sampler until it has the ``goal``, or as many evaluations as allowed.

    ``front`` are (cost, cycles) of the exact front, shape (n, 2); ``reference`` the corner that
    hypervolumes are measured to.  Nothing is known beforehand: every evaluation is really made.

    Raises :class:`~vtacsp.errors.SearchError` for an unknown sampler and
    :class:`~vtacsp.errors.MissingDependencyError` without optuna (the extra ``bench``).
    """
    whole = hypervolume(front, reference)
    worst = [float(np.log2(n)) for n in reference]
    costs = cost.of(space)
    study = _study(sampler, seed)
    clock = _Clock()
    evaluator = Evaluator(network, space)
    found: list[tuple[int, int]] = []
    known: dict[int, int] = {}
    area = 0.0
    for number in range(1, REPEATS * evaluations + 1):
        trial = study.ask()
        machine = _suggested(trial, space)
        fresh = machine is not None and machine not in known
        if machine is not None and fresh:
            known[machine] = int(evaluator.prove(np.array([machine]))[0])
        if machine is None or known[machine] >= FAR:
            study.tell(trial, worst)
        else:
            point = int(costs[machine]), known[machine]
            study.tell(trial, [float(np.log2(n)) for n in point])
            if fresh:
                clock.stop()
                found = [p for p in (*found, point) if not _beaten(p, (*found, point))]
                area = hypervolume(np.array(found), reference)
                clock.go()
        clock.stop()
        yield Progress(len(known), number, clock.cpu_seconds, clock.wall_seconds, area / whole)
        if area >= goal * whole or len(known) >= evaluations:
            return
        clock.go()


def _suggested(trial: Any, space: MachineSpace) -> int | None:
    """Number of the machine that a trial asks for, None when it cannot be built."""
    sizes = {
        key: trial.suggest_int(key, values[0], values[-1]) if len(values) > 1 else values[0]
        for key, values in ((key, space.values[key]) for key in KEYS)
    }
    try:
        return space.find(sizes)
    except SpaceError:
        return None


def _beaten(point: tuple[int, int], points: Sequence[tuple[int, int]]) -> bool:
    return any(q != point and q[0] <= point[0] and q[1] <= point[1] for q in points)


def _study(sampler: str, seed: int) -> Any:
    if sampler not in SAMPLERS:
        raise SearchError(f"no sampler {sampler!r:.40}; there are {', '.join(SAMPLERS)}")
    try:
        import optuna
    except ImportError:
        raise MissingDependencyError(
            "this comparison needs optuna: pip install 'vtacsp[bench]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    kinds = {
        "random": optuna.samplers.RandomSampler,
        "genetic": optuna.samplers.NSGAIISampler,
        "bayesian": optuna.samplers.TPESampler,
    }
    return optuna.create_study(
        directions=["minimize", "minimize"], sampler=kinds[sampler](seed=seed)
    )
