"""The joint space of a network for the engines of other people: all layers, one machine, free.

They can only list, so what is measured is how far they get in a given time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

import constraint
from ortools.sat.python import cp_model
from pyatf.range import Set
from pyatf.search_space import SearchSpace
from pyatf.tp import TP

from vtacsp import HardwareSpace, Problem, Workload
from vtacsp.machine.legality import LEGALITY
from vtacsp.space.cpsat import ProblemModel

from .contenders import PyAtf, best_order
from .translate import Constraint, conjunction, translate

__all__ = ["PEERS", "JointCase", "Progress"]

ENOUGH = 10_000_000  # points; pyATF keeps them all


class JointCase:
    """A network and its machines, with the rules translated."""

    def __init__(self, workloads: Sequence[Workload], hardware: HardwareSpace) -> None:
        self.workloads = workloads
        self.hardware = hardware
        self.problems = [Problem(w, hardware.base) for w in workloads]

    @cached_property
    def domains(self) -> dict[str, list[int]]:
        """Free sizes, large first (much fits there), then every layer's knobs (``L3_tile_h``)."""
        domains = {key: list(sizes)[::-1] for key, sizes in self.hardware.free.items()}
        for i, problem in enumerate(self.problems):
            domains.update({f"L{i}_{k.name}": list(k.values) for k in problem.knob_space.knobs})
        return domains

    @cached_property
    def constraints(self) -> list[Constraint]:
        """The rules of every layer, and those of the machine."""
        free = self.hardware.free
        names = list(self.domains)
        fixed = {k: v for k, v in self.hardware.base.symbols.items() if k not in free}
        found = translate([rule.holds for rule in LEGALITY], fixed, names)
        for i, problem in enumerate(self.problems):
            constants = {k: v for k, v in problem.constants.items() if k not in free}
            conditions = [rule.holds for rule in problem.rules]
            found += translate(conditions, constants, names, prefix=f"L{i}_")
        return found

    @cached_property
    def order(self) -> list[str]:
        """The machine first, then layer by layer what decides most constraints."""
        order = list(self.hardware.free)
        for i in range(len(self.problems)):
            own = {n: v for n, v in self.domains.items() if n.startswith(f"L{i}_")}
            scoped = [c for c in self.constraints if own.keys() & set(c.scope)]
            order += [n for n in best_order({**{k: [0] for k in order[:4]}, **own}, scoped)
                      if n in own]  # fmt: skip
        return order


@dataclass
class Progress:
    """How far an engine got."""

    points: int = 0
    seconds: float = 0.0
    finished: bool = False


class _TimeUp(Exception):
    pass


@contextmanager
def _alarm(seconds: float) -> Iterator[None]:
    def ring(*_: Any) -> None:
        raise _TimeUp

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _bounded(list_points: Callable[[JointCase, Progress, float], None]) -> Any:
    def run(case: JointCase, seconds: float) -> Progress:
        _ = case.constraints, case.order  # translated beforehand, not timed
        progress = Progress()
        start = time.perf_counter()
        try:
            with _alarm(seconds):
                list_points(case, progress, seconds)
            progress.finished = True
        except _TimeUp:
            pass
        progress.seconds = time.perf_counter() - start
        return progress

    return run


def _cp_sat(case: JointCase, progress: Progress, seconds: float) -> None:
    class Counter(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self) -> None:
            progress.points += 1

    start = time.perf_counter()
    model = ProblemModel(case.problems, case.hardware.free)
    left = seconds - (time.perf_counter() - start) - 1  # stop before the alarm
    solver = model.solver()
    solver.parameters.enumerate_all_solutions = True
    solver.parameters.max_time_in_seconds = max(left, 0.1)
    if solver.solve(model.model, Counter()) != cp_model.OPTIMAL:
        raise _TimeUp


def _brute_force(case: JointCase, progress: Progress, seconds: float) -> None:
    holds = conjunction(case.constraints, case.order)
    for point in product(*(case.domains[name] for name in case.order)):
        if holds(*point):
            progress.points += 1


def _python_constraint(case: JointCase, progress: Progress, seconds: float) -> None:
    problem = constraint.Problem(constraint.OptimizedBacktrackingSolver())
    for name, values in case.domains.items():
        problem.addVariable(name, values)
    for one in case.constraints:
        problem.addConstraint(one.holds, one.scope)
    for _ in problem.getSolutionIter():
        progress.points += 1


def _pyatf(case: JointCase, progress: Progress, seconds: float) -> None:
    parameters = PyAtf.parameters(case.domains, case.constraints, case.order)
    *_, (last, _, test) = parameters

    def counted(**values: int) -> bool:
        holds = test is None or test(**{k: values[k] for k in scope})
        progress.points += holds
        if progress.points >= ENOUGH:
            raise _TimeUp
        return holds

    scope = list(test.__code__.co_varnames[: test.__code__.co_argcount]) if test else []
    arguments = ", ".join(dict.fromkeys([*scope, last]))
    passed = ", ".join(f"{name}={name}" for name in dict.fromkeys([*scope, last]))
    wrapper = eval(f"lambda {arguments}: counted({passed})", {"counted": counted})
    tps = [
        TP(name, Set(*values), wrapper if name == last else holds)
        for name, values, holds in parameters
    ]
    SearchSpace(*tps, verbosity=0)


PEERS: dict[str, Callable[[JointCase, float], Progress]] = {
    "CP-SAT enumeration": _bounded(_cp_sat),
    "brute force": _bounded(_brute_force),
    "python-constraint2": _bounded(_python_constraint),
    "pyATF": _bounded(_pyatf),
}
"""Each lists points of a joint case for so many seconds."""
