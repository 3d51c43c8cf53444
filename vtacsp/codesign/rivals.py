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
from vtacsp.codesign.workloads import Layer
from vtacsp.errors import MissingDependencyError, SearchError, SpaceError

__all__ = ["SAMPLERS", "Progress", "hypervolume", "run"]

SAMPLERS = ("random", "genetic", "bayesian")

REPEATS = 2
"""Trials for each evaluation, at most: a sampler may ask for what it knows, or cannot be built."""


@dataclass(frozen=True)
class Progress:
    """What was reached after so many evaluations: ``share`` of the hypervolume of the front.

    ``seconds`` are those of the processor.
    """

    evaluations: int
    seconds: float
    share: float


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


def run(
    network: Sequence[Layer],
    space: MachineSpace,
    front: IntArray,
    reference: tuple[int, int],
    sampler: str,
    seed: int,
    evaluations: int,
    goal: float = 0.99,
    cost: Cost = COSTS["kib"],
    evaluator: Evaluator | None = None,
) -> Iterator[Progress]:
    """Run a sampler until it has the ``goal``, or as many evaluations as allowed.

    ``front`` are (cost, cycles) of the exact front, shape (n, 2); ``reference`` the corner that
    hypervolumes are measured to.  Without an ``evaluator`` nothing is known beforehand.

    Raises :class:`~vtacsp.errors.SearchError` for an unknown sampler and
    :class:`~vtacsp.errors.MissingDependencyError` without optuna (the extra ``bench``).
    """
    study = _study(sampler, seed)
    evaluator = evaluator or Evaluator(network, space)
    whole = hypervolume(front, reference)
    costs = cost.of(space)
    worst = [float(np.log2(n)) for n in reference]
    found: list[tuple[int, int]] = []
    done, area, begun = 0, 0.0, time.process_time()
    seen: dict[int, int] = {}
    for _ in range(REPEATS * evaluations):
        if done >= evaluations:
            return
        trial = study.ask()
        sizes = {
            key: trial.suggest_int(key, values[0], values[-1]) if len(values) > 1 else values[0]
            for key, values in ((key, space.values[key]) for key in KEYS)
        }
        try:
            machine = space.find(sizes)
        except SpaceError:
            study.tell(trial, worst)
            continue
        if machine in seen:  # known, and free
            cycles = seen[machine]
        else:
            cycles = seen[machine] = int(evaluator.prove(np.array([machine]))[0])
            done += 1
        if cycles >= FAR:
            study.tell(trial, worst)
        else:
            point = int(costs[machine]), cycles
            study.tell(trial, [float(np.log2(n)) for n in point])
            found.append(point)
            area = hypervolume(np.array(found), reference)
            found = [p for p in found if not _beaten(p, found)]
        yield Progress(done, time.process_time() - begun, area / whole)
        if area >= goal * whole:
            return


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
