"""Rules of free schedules in CP-SAT, also where their variables have too many values to list.

What a formula says is posted as it is, and procedures with few combinations as tables.  A procedure
over everything is left out: what CP-SAT then accepts is asked of the rules once more, which is
exact, and what it refuses is refused rightly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from vtacsp.arrays import IntArray
from vtacsp.expr import Bool, Int, all_of, any_of, truth
from vtacsp.expr.nodes import Apply, Const, Expression, Relation, Symbol, Table
from vtacsp.expr.solver import Encoder
from vtacsp.rules.rule import Rule

__all__ = ["ScheduleModel"]

FEW = 40_000
"""Combinations of values up to which something is tabulated."""


class _Wide(Encoder):
    """Numbers over many combinations are constraints between their operands."""

    def __init__(
        self,
        model: cp_model.CpModel,
        domains: Mapping[str, Sequence[int]],
        constants: Mapping[str, int],
    ) -> None:
        super().__init__(model, domains, constants)
        self.domains = domains
        self._bounds: dict[int, tuple[int, int]] = {}
        self._sized: dict[int, tuple[Expression, int]] = {}

    def combinations(self, node: Expression) -> int:
        """Combinations of the values of a node's variables."""
        known = self._sized.get(id(node))
        if known is None:
            names = node.symbols & self.domains.keys()
            known = (node, prod(len(self.domains[name]) for name in names))
            self._sized[id(node)] = known
        return known[1]

    def listed(self, node: Table) -> int:
        """Combinations of the values of a procedure's operands."""
        return prod(len(values) for values in self._operand_values(node))

    def _operand_values(self, node: Table) -> list[IntArray]:
        """What each operand can be, or all between the least and the greatest of it."""
        found = []
        for child in node.operands:
            assert isinstance(child, Int)
            if self.combinations(child) <= FEW:
                found.append(np.unique(np.asarray(self._reach.evaluate(child))))
            else:
                low, high = self._span(child)
                found.append(np.arange(low, min(high, low + FEW) + 1))
        return found

    def _table_rows(self, node: Table) -> list[list[int]]:
        """Values of the operands, and of the procedure."""
        values = [column.tolist() for column in self._operand_values(node)]
        return [[*row, int(node.function(*row))] for row in product(*values)]

    def _truth_table(self, node: Bool) -> Any:
        return super()._truth_table(node) if self.combinations(node) <= FEW else None

    def _new_number(self, node: Int) -> Any:
        if self.combinations(node) <= FEW:
            return super()._new_number(node)
        if isinstance(node, Table):  # tied to its operands, which have few values
            rows = self._table_rows(node)
            values = sorted({row[-1] for row in rows})
            result = self.model.new_int_var_from_domain(cp_model.Domain.from_values(values), "")
            terms = [self.number(c) for c in node.operands if isinstance(c, Int)]
            self.model.add_allowed_assignments([*terms, result], rows)
            return result
        assert isinstance(node, Apply)
        if node.operator in ("+", "-"):
            return super()._new_number(node)
        operands = [self.number(c) for c in node.operands if isinstance(c, Int)]
        spans = [self._span(c) for c in node.operands if isinstance(c, Int)]
        low, high = self._span(node)
        result = self.model.new_int_var(low, high, "")
        if node.operator == "*":
            if any(isinstance(term, int) for term in operands):
                return operands[0] * operands[1]
            self.model.add_multiplication_equality(
                result, [self._var(*p) for p in zip(operands, spans, strict=True)]
            )
        elif node.operator == "max":
            self.model.add_max_equality(result, operands)
        elif node.operator == "min":
            self.model.add_min_equality(result, operands)
        elif node.operator == "//":
            self.model.add_division_equality(result, operands[0], operands[1])
        elif node.operator == "%":
            self.model.add_modulo_equality(result, operands[0], operands[1])
        else:
            assert node.operator == "if"
            condition = node.operands[0]
            assert isinstance(condition, Bool)
            literal = self.literal(condition)
            self.model.add(result == operands[0]).only_enforce_if(literal)
            self.model.add(result == operands[1]).only_enforce_if(~literal)
        return result

    def _var(self, term: Any, span: tuple[int, int]) -> Any:
        """A product takes variables, not sums."""
        if isinstance(term, cp_model.IntVar):
            return term
        variable = self.model.new_int_var(*span, "")
        self.model.add(variable == term)
        return variable

    def _span(self, node: Int) -> tuple[int, int]:
        """The least and the largest value of a number."""
        known = self._bounds.get(id(node))
        if known is None:
            known = self._new_span(node)
            self._bounds[id(node)] = known
        return known

    def _new_span(self, node: Int) -> tuple[int, int]:
        if isinstance(node, Const):
            return node.value, node.value
        if isinstance(node, Symbol) and node.name in self.domains:
            return min(self.domains[node.name]), max(self.domains[node.name])
        if self.combinations(node) <= FEW:
            values = self._reach.evaluate(node)
            return (int(values), int(values)) if isinstance(values, int) else (
                int(values.min()), int(values.max())
            )  # fmt: skip
        if isinstance(node, Table):
            results = [row[-1] for row in self._table_rows(node)]
            return min(results), max(results)
        assert isinstance(node, Apply)
        of = [self._span(c) for c in node.operands if isinstance(c, Int)]
        (a, b), (c, d) = of
        if node.operator == "+":
            return a + c, b + d
        if node.operator == "-":
            return a - d, b - c
        if node.operator in ("min", "max"):
            pick = min if node.operator == "min" else max
            return pick(a, c), pick(b, d)
        if node.operator == "if":
            return min(a, c), max(b, d)
        if node.operator == "*":
            corners = a * c, a * d, b * c, b * d
            return min(corners), max(corners)
        if node.operator == "//":
            corners = a // c, a // d, b // c, b // d
            return min(corners), max(corners)
        assert node.operator == "%"
        return 0, max(d - 1, 0)


class ScheduleModel:
    """A CP-SAT model of the schedules whose fields have these values, under rules.

    ``exact`` when every rule is posted as a whole; otherwise a solution has to be asked for.
    """

    def __init__(
        self,
        constants: Mapping[str, int],
        domains: Mapping[str, Sequence[int]],
        rules: Iterable[Rule],
        objective: Int | None = None,
    ) -> None:
        self.model = cp_model.CpModel()
        self._encoder = _Wide(self.model, domains, constants)
        self.variables = self._encoder.variables
        self.exact = True
        for rule in rules:
            self._encoder.require(self._posted(rule.holds))
        if objective is not None:
            self.model.minimize(self._encoder.number(objective))

    def _posted(self, node: Bool) -> Bool:
        """A condition without the procedures that have too many combinations."""
        if not self._large(node):
            return node
        if isinstance(node, Relation) and node.operator in ("and", "or"):
            children = [self._posted(c) for c in node.operands if isinstance(c, Bool)]
            return (all_of if node.operator == "and" else any_of)(*children)
        self.exact = False
        return truth(True)

    def _large(self, node: Expression) -> bool:
        """Whether there is a procedure in it with too many combinations."""
        if not node.tabulated:
            return False
        if isinstance(node, Table):
            return min(self._encoder.combinations(node), self._encoder.listed(node)) > FEW
        return any(self._large(child) for child in node.operands)

    def forbid(self, values: Mapping[str, int]) -> None:
        """Leave out one schedule."""
        names = list(self.variables)
        self.model.add_forbidden_assignments(
            [self.variables[name] for name in names], [[values[name] for name in names]]
        )
