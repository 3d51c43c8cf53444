"""CP-SAT finds the feasible programs with the lowest cycle bound."""

from __future__ import annotations

from collections.abc import Container

import numpy as np
from ortools.sat.python import cp_model

from vtacsp.space.cpsat import Collector, ProblemModel, run_solver
from vtacsp.space.problem import Problem
from vtacsp.timing.model import TimingModel
from vtacsp.tune.bound import cycle_bound

__all__ = ["lowest"]

_MARGIN = 64  # of the lowest bound: how far above it to look first


def lowest(problem: Problem, n: int, timing: TimingModel, within: Container[int]) -> list[int]:
    """The ``n`` feasible programs with the lowest cycle bound, best first, one index each.

    Only indices ``within`` count.  The bound is minimised over the constraints of the layer, then
    what lies little above is enumerated, and more until there are enough: nothing else is listed.
    """
    if n < 1:
        return []
    first = _Ranking(problem, timing).minimum()
    if first is None:
        return []
    margin = max(first // _MARGIN, 1)
    while True:
        ranking = _Ranking(problem, timing)
        programs = ranking.up_to(first + margin, within)
        if len(programs) >= n or first + margin >= ranking.largest:
            return programs[:n]
        margin *= 4


class _Ranking:
    """CP-SAT over the feasible configurations of one layer, with their cycle bound."""

    def __init__(self, problem: Problem, timing: TimingModel) -> None:
        self.problem = problem
        self.model = ProblemModel([problem])
        self._expression = cycle_bound(problem.workload.op, timing)
        self.bound = self.model.number(self._expression)
        self.model.model.add_decision_strategy(
            list(self.model.knobs[0].values()), cp_model.CHOOSE_FIRST, cp_model.SELECT_MAX_VALUE
        )

    @property
    def largest(self) -> int:
        """No bound is larger."""
        flat = cp_model.FlatIntExpr(self.bound)
        domains = [list(variable.proto.domain) for variable in flat.vars]
        terms = zip(flat.coeffs, domains, strict=True)
        return int(flat.offset + sum(max(c * d[0], c * d[-1]) for c, d in terms))

    def minimum(self) -> int | None:
        """The lowest bound; None when nothing is feasible."""
        self.model.model.minimize(self.bound)
        solver = self._solver()
        status = run_solver(solver, self.model.model)
        return int(solver.objective_value) if status == cp_model.OPTIMAL else None

    def up_to(self, limit: int, within: Container[int]) -> list[int]:
        """Programs with a bound of at most ``limit``, lowest first."""
        self.model.model.add(self.bound <= limit)
        solver = self._solver()
        solver.parameters.enumerate_all_solutions = True
        found = Collector(self.model)
        run_solver(solver, self.model.model, found)
        indices = np.array(sorted(i for i in found.found if i in within), dtype=np.int64)
        _, first = np.unique(self.problem.knob_space.program(indices), return_index=True)
        indices = np.sort(indices[first])
        bounds = self.problem.at(indices).evaluate(self._expression)
        return [int(i) for i in indices[np.argsort(bounds, kind="stable")]]

    def _solver(self) -> cp_model.CpSolver:
        # the search is over a handful of knobs, in order, and everything else follows from them:
        # presolve and relaxations cost more than they save
        solver = self.model.solver()
        solver.parameters.search_branching = cp_model.FIXED_SEARCH
        solver.parameters.cp_model_presolve = False
        solver.parameters.linearization_level = 0
        return solver
