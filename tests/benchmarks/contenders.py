"""The engines that are compared: each lists the feasible configurations of one layer.

A contender is prepared once (the rules in its own terms, not timed) and then run: building its
model and listing everything, timed; ``indices`` turns what it found into AutoTVM indices, not
timed.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from itertools import chain, product
from typing import Any, ClassVar

import constraint
from pyatf.range import Set
from pyatf.search_space import SearchSpace
from pyatf.tp import TP

import vtacsp
from vtacsp import Problem, VTAConfig, Workload
from vtacsp.space.cpsat import enumerate_feasible

from .translate import Constraint, conjunction, translate

__all__ = [
    "CONTENDERS",
    "BruteForce",
    "Case",
    "Contender",
    "CpSat",
    "Ours",
    "PyAtf",
    "PythonConstraint",
    "best_order",
]


class Case:
    """One layer on one machine, with its rules translated for the peers.

    With ``tuned`` the peers are spared the constraints that hold everywhere, as if an expert
    had looked at this layer on this machine beforehand.
    """

    def __init__(
        self, workload: Workload, hardware: VTAConfig | None = None, *, tuned: bool = False
    ) -> None:
        self.name = workload.name
        self.tuned = tuned
        self.workload = workload
        self.hardware = hardware or VTAConfig()
        self.problem = Problem(workload, self.hardware)
        self.domains = {k.name: list(k.values) for k in self.problem.knob_space.knobs}

    @property
    def size(self) -> int:
        """Configurations of the whole grid."""
        return len(self.problem.knob_space)

    @cached_property
    def constraints(self) -> list[Constraint]:
        """The rules for the peers."""
        conditions = [rule.holds for rule in self.problem.rules]
        found = translate(conditions, self.problem.constants, list(self.domains))
        return [c for c in found if not (self.tuned and _always(c, self.domains))]


def _always(one: Constraint, domains: dict[str, list[int]]) -> bool:
    return not one.calls and all(
        one.holds(*values) for values in product(*(domains[name] for name in one.scope))
    )


class Contender(ABC):
    """An engine on a case."""

    name: ClassVar[str]
    module: ClassVar[str]

    def __init__(self, case: Case) -> None:
        self.case = case
        self.prepare()

    def prepare(self) -> None:  # noqa: B027 - nothing to prepare for some
        """What a user of the engine would have written down before; not timed."""

    @abstractmethod
    def run(self) -> Any:
        """Build the model and list the feasible configurations; timed."""

    @abstractmethod
    def indices(self, found: Any) -> list[int]:
        """AutoTVM indices of what ``run`` returned, ascending; not timed."""

    def _index(self, configs: Sequence[dict[str, int]]) -> list[int]:
        return sorted(map(self.case.problem.knob_space.index, configs))


class Ours(Contender):
    name = "vtacsp"
    module = "vtacsp"

    def run(self) -> Any:
        return vtacsp.compile(self.case.workload, self.case.hardware)

    def indices(self, found: Any) -> list[int]:
        return [int(index) for index in found.indices]


class CpSat(Contender):
    name = "CP-SAT enumeration"
    module = "ortools"

    def run(self) -> Any:
        return enumerate_feasible(Problem(self.case.workload, self.case.hardware))

    def indices(self, found: Any) -> list[int]:
        return list(found)


class BruteForce(Contender):
    name = "brute force"
    module = "itertools"

    def prepare(self) -> None:
        self._names = list(self.case.domains)[::-1]  # the first knob is the fastest digit
        self._holds = conjunction(self.case.constraints, self._names)

    def run(self) -> Any:
        holds = self._holds
        grid = product(*(self.case.domains[name] for name in self._names))
        return [index for index, config in enumerate(grid) if holds(*config)]

    def indices(self, found: Any) -> list[int]:
        return list(found)


class PythonConstraint(Contender):
    name = "python-constraint2"
    module = "python-constraint2"

    def prepare(self) -> None:
        self._rules = [(c.holds, c.scope) for c in self.case.constraints]

    def run(self) -> Any:
        problem = constraint.Problem(constraint.OptimizedBacktrackingSolver())
        for name, values in self.case.domains.items():
            problem.addVariable(name, values)
        for holds, scope in self._rules:
            problem.addConstraint(holds, scope)
        return problem.getSolutions()

    def indices(self, found: Any) -> list[int]:
        return self._index(found)


class PyAtf(Contender):
    name = "pyATF"
    module = "pyatf"

    def prepare(self) -> None:
        self._parameters = self.parameters(self.case.domains, self.case.constraints)

    @staticmethod
    def parameters(
        domains: dict[str, list[int]],
        constraints: Sequence[Constraint],
        order: Sequence[str] | None = None,
    ) -> list[tuple[str, list[int], Any]]:
        """Name, values and constraint of each tuning parameter, those that prune most first."""
        order = order or best_order(domains, constraints)
        result = []
        for i, name in enumerate(order):
            known = set(order[: i + 1])
            due = [c for c in constraints if name in c.scope and known.issuperset(c.scope)]
            scope = [n for n in order if any(n in c.scope for c in due)]
            result.append((name, domains[name], conjunction(due, scope) if due else None))
        return result

    def run(self) -> Any:
        tps = [TP(name, Set(*values), holds) for name, values, holds in self._parameters]
        return SearchSpace(*tps, verbosity=0)

    def indices(self, found: Any) -> list[int]:
        trees = [list(_leaves(tree.root, [])) for tree in found.cot]
        names = found._cot_layer_to_tp_name
        points = (chain(*parts) for parts in product(*trees))
        return self._index([dict(zip(names, point, strict=True)) for point in points])


def best_order(domains: dict[str, list[int]], constraints: Sequence[Constraint]) -> list[str]:
    """A static order of the parameters: next is what completes most constraints per value."""
    order: list[str] = []
    while len(order) < len(domains):

        def gain(name: str) -> float:
            known = {*order, name}
            done = sum(1 for c in constraints if name in c.scope and known.issuperset(c.scope))
            return done / len(domains[name])

        order.append(max((n for n in domains if n not in order), key=gain))
    return order


def _leaves(node: Any, path: list[int]) -> Any:
    for child in node:
        values = child.data if isinstance(child.data, Set) else [child.data]
        for value in values:
            if child.num_children:
                yield from _leaves(child, [*path, value])
            else:
                yield [*path, value]


CONTENDERS: tuple[type[Contender], ...] = (Ours, CpSat, BruteForce, PythonConstraint, PyAtf)
