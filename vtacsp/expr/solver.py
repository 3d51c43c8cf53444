"""Expressions in CP-SAT: every helper variable is a function of the decision variables.

Sums and comparisons become linear constraints; products, divisions, conditionals and tables
become table constraints over the value combinations that can occur, so that nothing is
approximated and enumeration never meets two solutions that differ in a helper only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from ortools.sat.python import cp_model

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.expr.evaluate import Env
from vtacsp.expr.nodes import Apply, Bool, Const, Expression, Int, Relation, Symbol, Table, Truth

__all__ = ["Encoder"]

LISTABLE = 2_000_000
"""Combinations of variables up to which a condition is posted as a truth table."""

DIRECT = 4096
"""Combinations of variables up to which a number is tied to them and not to its operands."""

Term = Any
"""A Python int, an IntVar or a linear expression of CP-SAT."""


class Encoder:
    """Posts expressions to a model.

    ``domains`` maps each decision symbol to its candidate values, ``constants`` the others to
    their values.  ``variables`` holds the decision variables.
    """

    def __init__(
        self,
        model: cp_model.CpModel,
        domains: Mapping[str, Sequence[int]],
        constants: Mapping[str, int],
    ) -> None:
        self.model = model
        self.variables: dict[str, cp_model.IntVar] = {
            name: model.new_int_var_from_domain(cp_model.Domain.from_values(list(values)), name)
            for name, values in domains.items()
        }
        self._sizes = {name: len(values) for name, values in domains.items()}
        axes = {}
        for i, (name, values) in enumerate(domains.items()):
            shape = [1] * len(domains)
            shape[i] = len(values)
            axes[name] = np.asarray(list(values), dtype=np.int64).reshape(shape)
        # every value an expression can take, over the axes of its own symbols only
        self._reach = Env({**constants, **axes})
        self._numbers: dict[int, tuple[Expression, Term]] = {}
        self._literals: dict[int, tuple[Expression, cp_model.IntVar]] = {}

    def require(self, condition: Bool) -> None:
        """Post a condition that must hold."""
        table = self._truth_table(condition)
        if table is None:
            self.model.add_bool_or([self.literal(condition)])
            return
        variables, points, holds = table
        if not holds.all():
            self.model.add_forbidden_assignments(variables, points[~holds].tolist())

    def literal(self, node: Bool) -> cp_model.IntVar:
        """A Boolean variable that is true exactly where the condition holds."""
        known = self._literals.get(id(node))
        if known is None:
            known = (node, self._new_literal(node))
            self._literals[id(node)] = known
        return known[1]

    def number(self, node: Int) -> Term:
        """A linear term equal to the expression."""
        known = self._numbers.get(id(node))
        if known is None:
            known = (node, self._new_number(node))
            self._numbers[id(node)] = known
        return known[1]

    def _new_literal(self, node: Bool) -> Any:
        if isinstance(node, Truth):
            return self.model.new_constant(int(node.value))
        assert isinstance(node, Relation)
        if not node.symbols & self.variables.keys():
            return self.model.new_constant(int(bool(self._reach.evaluate(node))))
        if node.operator == "not":
            return ~self.literal(_bool(node.operands[0]))
        result = self.model.new_bool_var("")
        table = self._truth_table(node)
        if table is not None:
            variables, points, holds = table
            rows = np.concatenate([points, holds[:, None]], axis=1)
            self.model.add_allowed_assignments([*variables, result], rows.tolist())
            return result
        if node.operator in ("and", "or"):
            children = [self.literal(_bool(child)) for child in node.operands]
            if node.operator == "or":
                self.model.add_bool_or(children).only_enforce_if(result)
                self.model.add_bool_and([~c for c in children]).only_enforce_if(~result)
            else:
                self.model.add_bool_and(children).only_enforce_if(result)
                self.model.add_bool_or([~c for c in children]).only_enforce_if(~result)
            return result
        left, right = (self.number(_int(child)) for child in node.operands)
        holds, fails = {
            "<=": (left <= right, left > right),
            "<": (left < right, left >= right),
            "==": (left == right, left != right),
            "!=": (left != right, left == right),
        }[node.operator]
        if isinstance(holds, (bool, np.bool_)):
            return self.model.new_constant(int(holds))
        self.model.add(holds).only_enforce_if(result)
        self.model.add(fails).only_enforce_if(~result)
        return result

    def _truth_table(self, node: Bool) -> tuple[list[cp_model.IntVar], IntArray, BoolArray] | None:
        """A condition with procedures under it, over the variables themselves.

        Procedures are then computed only where the formulas beside them leave it open.  None
        for a formula, and where the variables have too many combinations to list.
        """
        names = [name for name in self.variables if name in node.symbols]
        if not node.tabulated or not names or prod(self._sizes[name] for name in names) > LISTABLE:
            return None
        holds = np.asarray(self._reach.evaluate(node), dtype=np.bool_)
        columns = [self._reach.values[name] for name in names]
        flat = [column.ravel() for column in np.broadcast_arrays(holds, *columns)]
        points = np.stack(flat[1:], axis=1)
        return [self.variables[name] for name in names], points, flat[0].astype(np.bool_)

    def _new_number(self, node: Int) -> Term:
        if isinstance(node, Const):
            return node.value
        if isinstance(node, Symbol) and node.name in self.variables:
            return self.variables[node.name]
        if not node.symbols & self.variables.keys():
            return int(self._reach.evaluate(node))
        assert isinstance(node, (Apply, Table))
        if isinstance(node, Apply) and node.operator in ("+", "-", "*"):
            left, right = (self.number(_int(child)) for child in node.operands)
            if node.operator == "+":
                return left + right
            if node.operator == "-":
                return left - right
            if isinstance(left, int) or isinstance(right, int):
                return left * right
        return self._tabulate(node)

    def _tabulate(self, node: Int) -> cp_model.IntVar:
        """A variable tied to the operands by the combinations that can occur.

        Where few variables with few combinations are behind the operands, it is tied to these:
        that propagates better, and needs no variables in between.
        """
        children = [c for c in node.operands if c.symbols & self.variables.keys()]
        names = [name for name in self.variables if name in node.symbols]
        few = prod(self._sizes[name] for name in names) <= DIRECT
        if few and len(names) < len(self.variables):
            children = [Symbol(name) for name in names]
        columns = [np.asarray(self._reach.evaluate(child)) for child in (*children, node)]
        rows = np.stack([c.ravel() for c in np.broadcast_arrays(*columns)], axis=1)
        rows = np.unique(rows.astype(np.int64), axis=0)
        values = [int(v) for v in np.unique(rows[:, -1])]
        result = self.model.new_int_var_from_domain(cp_model.Domain.from_values(values), "")
        terms = [
            self.literal(child) if isinstance(child, Bool) else self.number(_int(child))
            for child in children
        ]
        self.model.add_allowed_assignments([*terms, result], rows.tolist())
        return result


def _bool(node: Expression) -> Bool:
    assert isinstance(node, Bool)
    return node


def _int(node: Expression) -> Int:
    assert isinstance(node, Int)
    return node
