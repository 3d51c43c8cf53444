"""CP-SAT, the reference engine: enumeration, optimisation, cores, user rules, free hardware."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread
from typing import Any

from ortools.sat.python import cp_model

from vtacsp.errors import SpaceError
from vtacsp.expr import Int
from vtacsp.expr.solver import Encoder
from vtacsp.machine.legality import LEGALITY
from vtacsp.moved import keep_old_names
from vtacsp.operators.knobs import Config
from vtacsp.rules import Rule
from vtacsp.space.problem import Problem

__all__ = ["Collector", "ProblemModel", "enumerate_feasible", "minimal_core", "run_solver"]

keep_old_names(__name__)


class ProblemModel:
    """A CP-SAT model of one or several problems on one machine.

    ``free`` maps ``LOG_*_BUFF_SIZE`` keys to candidate values: decision variables shared by all
    problems, kept legal by the rules over the hardware alone.  ``config`` pins the knobs of the
    (then only) problem.  With ``guarded`` each rule is switched by an assumption literal instead
    of being posted.
    """

    def __init__(
        self,
        problems: Sequence[Problem],
        free: Mapping[str, Sequence[int]] | None = None,
        *,
        config: Mapping[str, int] | None = None,
        guarded: bool = False,
    ) -> None:
        self._config = config or {}
        self.model = cp_model.CpModel()
        self.problems = problems
        self.free = dict(free or {})
        self.hardware: dict[str, Any] = {}
        self.knobs: list[dict[str, cp_model.IntVar]] = []
        self.guards: dict[str, cp_model.IntVar] = {}
        self._encoders: list[Encoder] = []
        for position, problem in enumerate(problems):
            self._add(problem, position, guarded)

    def _add(self, problem: Problem, position: int, guarded: bool) -> None:
        domains: dict[str, Sequence[int]] = dict(self.free)
        for knob in problem.knob_space.knobs:
            pinned = self._config.get(knob.name)
            domains[knob.name] = knob.values if pinned is None else (pinned,)
        constants = {k: v for k, v in problem.constants.items() if k not in self.free}
        encoder = Encoder(self.model, domains, constants)
        self._encoders.append(encoder)
        self.knobs.append({name: encoder.variables[name] for name in problem.knob_space.names})
        for key in self.free:
            if position == 0:
                self.hardware[key] = encoder.variables[key]
            else:  # one machine for all
                self.model.add(encoder.variables[key] == self.hardware[key])
        machine = LEGALITY if self.free and position == 0 else ()
        for rule in (*machine, *problem.rules):
            self._post(encoder, rule, guarded)

    def _post(self, encoder: Encoder, rule: Rule, guarded: bool) -> None:
        if not guarded:
            encoder.require(rule.holds)
            return
        guard = self.guards.setdefault(rule.name, self.model.new_bool_var(rule.name))
        self.model.add_implication(guard, encoder.literal(rule.holds))

    def number(self, expression: Int, position: int = 0) -> Any:
        """A linear term equal to an expression over the symbols of one of the problems."""
        return self._encoders[position].number(expression)

    def solver(self, seed: int = 0) -> cp_model.CpSolver:
        """A deterministic solver: one worker, fixed seed."""
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.random_seed = seed
        return solver

    def solve(self) -> cp_model.CpSolver | None:
        """A solved solver, or None when there is no solution."""
        solver = self.solver()
        status = run_solver(solver, self.model)
        if status in (cp_model.OPTIMAL, cp_model.FEASIBLE):
            return solver
        if status != cp_model.INFEASIBLE:
            raise SpaceError(f"CP-SAT ended with {solver.status_name(status)}")
        return None

    def configs(self, value: Callable[[Any], int]) -> list[Config]:
        """The configuration of every problem in a solution."""
        return [{name: value(var) for name, var in knobs.items()} for knobs in self.knobs]


def run_solver(
    solver: cp_model.CpSolver,
    model: cp_model.CpModel,
    callback: cp_model.CpSolverSolutionCallback | None = None,
) -> Any:
    """Solve, and return the status; Ctrl-C ends it and raises, which CP-SAT alone does not.

    Left to itself CP-SAT takes the signal, stops, and the search looks like one without a result.
    """
    solver.parameters.catch_sigint_signal = False
    answer: Future[Any] = Future()

    def work() -> None:
        try:
            answer.set_result(solver.solve(model, callback))
        except Exception as failure:
            answer.set_exception(failure)

    thread = Thread(target=work, daemon=True)
    try:
        thread.start()
        return answer.result()
    except KeyboardInterrupt:
        while thread.is_alive():  # before its search has begun there is nothing to stop
            solver.stop_search()
            thread.join(0.01)
        raise


class Collector(cp_model.CpSolverSolutionCallback):
    """Gathers the AutoTVM indices of the solutions of a model of one problem in ``found``."""

    def __init__(self, model: ProblemModel) -> None:
        super().__init__()
        self._model = model
        self.found: set[int] = set()

    def on_solution_callback(self) -> None:
        """Called by the solver for every solution."""
        config = self._model.configs(self.value)[0]
        self.found.add(self._model.problems[0].knob_space.index(config))


def enumerate_feasible(problem: Problem) -> list[int]:
    """AutoTVM indices of all solutions, ascending: projected on the knobs, de-duplicated."""
    model = ProblemModel([problem])
    solver = model.solver()
    solver.parameters.enumerate_all_solutions = True
    collector = Collector(model)
    status = run_solver(solver, model.model, collector)
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE):
        raise SpaceError(f"CP-SAT ended with {solver.status_name(status)}")
    return sorted(collector.found)


def minimal_core(
    problem: Problem,
    free: Mapping[str, Sequence[int]] | None = None,
    config: Mapping[str, int] | None = None,
) -> list[str]:
    """Names of rules that cannot hold together, none of them superfluous.

    Empty when something is feasible.  Assumption literals give a core, which is then shrunk by
    deletion.
    """
    model = ProblemModel([problem], free, config=config, guarded=True)

    def core(names: Iterable[str]) -> list[str] | None:
        model.model.clear_assumptions()
        model.model.add_assumptions([model.guards[name] for name in names])
        solver = model.solver()
        if run_solver(solver, model.model) != cp_model.INFEASIBLE:
            return None
        chosen = set(solver.sufficient_assumptions_for_infeasibility())
        return [name for name, guard in model.guards.items() if guard.index in chosen]

    names = core(model.guards)
    if names is None:
        return []
    for name in tuple(names):
        if name in names:
            names = core([n for n in names if n != name]) or names
    return names
