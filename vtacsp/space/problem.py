"""One workload on one machine under a set of rules: what every engine works on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cache, cached_property, lru_cache, partial
from typing import Any, Protocol

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.causes import OK
from vtacsp.errors import HardwareError, RuleError, SpaceError, WorkloadError
from vtacsp.expr import Bool, Env
from vtacsp.expr.bounds import LARGEST, largest
from vtacsp.expr.compiled import conjunction
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.catalogue import catalogue
from vtacsp.operators.knobs import BLOCK, Knob, KnobSpace
from vtacsp.operators.workload import Workload
from vtacsp.rules.rule import Rule, refuse_unknown

__all__ = ["MAX_GRID", "OK", "OfProblem", "Problem", "Space", "layer_and_machine"]

MAX_GRID = 1 << 28
"""Configurations of the largest grid that can be compiled."""


class Space(Protocol):
    """What carries a layer, its machine and the rules: a compiled space, a search space."""

    @property
    def problem(self) -> Problem:
        """Layer, machine and rules."""


def layer_and_machine(
    layer: Workload | Space, hardware: VTAConfig | None = None
) -> tuple[Workload, VTAConfig]:
    """The layer and the machine of a space, or a bare workload on ``hardware``.

    A workload without a machine is on the default one.  Raises
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space that is of another one.
    """
    if isinstance(layer, Workload):
        return layer, hardware or VTAConfig()
    problem = getattr(layer, "problem", None)
    if not isinstance(problem, Problem):
        raise WorkloadError(f"a workload or a space of one is needed, got {layer!r:.80}")
    if hardware is not None and hardware.model != problem.hardware.model:
        raise HardwareError(
            f"the space of {problem.workload.name} is for the machine {problem.hardware.model}, "
            f"and the machine given is {hardware.model}: compile another space"
        )
    return problem.workload, problem.hardware


class OfProblem:
    """What carries a problem has its layer, its machine and its grid."""

    problem: Problem

    @property
    def workload(self) -> Workload:
        """The layer."""
        return self.problem.workload

    @property
    def hardware(self) -> VTAConfig:
        """The machine."""
        return self.problem.hardware

    @property
    def knob_space(self) -> KnobSpace:
        """The whole grid, feasible or not."""
        return self.problem.knob_space


class Problem:
    """A workload, a machine and the rules that a configuration has to meet.

    ``rules`` are added to the operator's catalogue.  ``stack_only`` leaves out the rule ``race``:
    what is left is what upstream's own functional simulator calls right, on hardware some of it
    computes wrong numbers.

    Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed or its sizes
    make numbers that 64 bits do not hold, and :class:`~vtacsp.errors.RuleError` when two rules
    share a name or a rule has a symbol that the operator does not know.

    >>> Problem(vtacsp.suite("resnet18")[9], VTAConfig()).causes([0, 700])
    ['ok', 'dma_pad']
    """

    def __init__(
        self,
        workload: Workload,
        hardware: VTAConfig,
        rules: Iterable[Rule] = (),
        *,
        stack_only: bool = False,
    ) -> None:
        self.workload = workload
        self.hardware = hardware
        self.stack_only = stack_only
        self.knob_space = KnobSpace.of(workload, hardware)
        self.user_rules = tuple(rules)
        self.rules: tuple[Rule, ...] = (*self._catalogue(), *self.user_rules)
        self.constants = {**workload.symbols(hardware), **hardware.symbols}
        known = {*self.constants, *self.knob_space.names}
        refuse_unknown(self.rules, known, self.workload.op)
        self._check_numbers()

    @property
    def problem(self) -> Problem:
        """Itself: what takes a space takes a problem."""
        return self

    @classmethod
    def of(cls, layer: Workload | Space, hardware: VTAConfig | None = None) -> Problem:
        """That of a space, or a bare workload's; raises as :func:`layer_and_machine`."""
        workload, machine = layer_and_machine(layer, hardware)
        return cls(workload, machine) if isinstance(layer, Workload) else layer.problem

    def _catalogue(self) -> tuple[Rule, ...]:
        return catalogue(self.workload.op, stack_only=self.stack_only)

    def _check_numbers(self) -> None:
        """Refuse what 64 bits do not hold."""
        ranges = {name: (value, value) for name, value in self.constants.items()}
        ranges |= {knob.name: (knob.values[0], knob.values[-1]) for knob in self.knob_space.knobs}
        usual = all(low >= 0 and high <= _usual(name) for name, (low, high) in ranges.items())
        if usual and _fits_usually(tuple(rule.holds for rule in self.rules)):
            return
        for rule in self.rules:
            if largest([rule.holds], ranges) > LARGEST:
                text = f"the rule {rule.name} may meet numbers that 64 bits do not hold"
                if any(rule is own for own in self.user_rules):
                    raise RuleError(f"{self.workload.name}: {text}")
                raise WorkloadError(f"{self.workload.name}: its sizes are too large, {text}")

    def __reduce__(self) -> tuple[Any, ...]:
        # the catalogue holds closures: pickle what it is looked up by
        if self.rules != (*self._catalogue(), *self.user_rules):
            raise TypeError("a problem under other rules than its own cannot be pickled")
        make = partial(Problem, stack_only=self.stack_only)
        return make, (self.workload, self.hardware, self.user_rules)

    def on(self, hardware: VTAConfig) -> Problem:
        """The same workload and rules on another machine."""
        return Problem(self.workload, hardware, self.user_rules, stack_only=self.stack_only)

    def adding(self, rules: Iterable[Rule]) -> Problem:
        """The same workload and machine under these rules too."""
        both = (*self.user_rules, *rules)
        return Problem(self.workload, self.hardware, both, stack_only=self.stack_only)

    def with_rules(self, rules: Iterable[Rule]) -> Problem:
        """The same workload and machine under these rules instead."""
        other = copy(self)
        other.__dict__.pop("_feasible", None)
        other.rules = tuple(rules)
        return other

    def seen_knobs(self) -> tuple[Knob, ...]:
        """The knobs that some rule looks at; a verdict holds for every value of the others."""
        seen = frozenset().union(*(rule.holds.symbols for rule in self.rules))
        return tuple(knob for knob in self.knob_space.knobs if knob.name in seen)

    def at(self, indices: IntArray) -> Env:
        """The configurations with these AutoTVM indices, as one-dimensional columns."""
        return Env({**self.constants, **self.knob_space.columns(indices)})

    def feasible_indices(self) -> IntArray:
        """AutoTVM indices of the configurations that meet every rule, ascending; found once.

        Raises :class:`~vtacsp.errors.SpaceError` for a grid of more than :data:`MAX_GRID`.
        """
        return self._feasible

    @cached_property
    def _feasible(self) -> IntArray:
        if len(self.knob_space) > MAX_GRID:
            raise SpaceError(
                f"{self.workload.name}: the grid has {len(self.knob_space):,} configurations, "
                f"at most {MAX_GRID:,} can be compiled"
            )
        knobs = frozenset(self.knob_space.names)
        decided = Env(self.constants)
        varying = []
        for rule in self.rules:
            if not rule.holds.symbols.isdisjoint(knobs):
                varying.append(rule.holds)
            elif not decided.evaluate(rule.holds):
                return np.empty(0, dtype=np.int64)
        program = conjunction(tuple(varying), knobs)
        axes = {
            knob.name: np.asarray(knob.values, dtype=np.int64) for knob in self.knob_space.knobs
        }
        try:
            indices, settled = program.select(self.constants, axes)
        except ZeroDivisionError:
            raise RuleError("a rule divides by zero: guard it, as in a // maximum(b, 1)") from None
        # procedures are tabulated where the formulas leave something to decide
        keep = np.ones(len(indices), dtype=np.bool_)
        for procedure, known in zip(program.procedures, settled, strict=True):
            doubtful = keep & ~known
            if doubtful.any():
                keep[doubtful] = self._holding(procedure, indices[doubtful])
        found: IntArray = indices[keep]
        found.flags.writeable = False
        return found

    def _holding(self, holds: Bool, indices: IntArray) -> BoolArray:
        """Where a condition holds, aligned with ``indices``."""
        value = np.empty(len(indices), dtype=np.bool_)
        for part in _blocks(len(indices)):
            value[part] = self.at(indices[part]).evaluate(holds)
        return value

    def first_violations(self, indices: IntArray) -> IntArray:
        """Position in ``rules`` of the rule the stack reports first, -1 where none is violated."""
        indices = np.asarray(indices, dtype=np.int64)
        first = np.full(len(indices), -1, dtype=np.int64)
        for part in _blocks(len(indices)):
            env, found = self.at(indices[part]), first[part]
            for position, holds in self._checks():
                open_ = np.flatnonzero(found < 0)
                if holds.tabulated:  # only where nothing was reported before
                    open_ = open_[~self._holding(holds, indices[part][open_])]
                else:
                    open_ = open_[~_row(env, holds, len(found))[open_]]
                found[open_] = position
        return first

    def _checks(self) -> list[tuple[int, Bool]]:
        """Conditions in the order of the stack, with the positions of their rules."""
        checks = [
            (check.stage, position, check.holds)
            for position, rule in enumerate(self.rules)
            for check in rule.checks
        ]
        return [check[1:] for check in sorted(checks, key=lambda check: check[:2])]

    def verdicts(self, indices: IntArray) -> tuple[IntArray, IntArray]:
        """What :meth:`first_violations` says, and how many configurations break each rule."""
        first = np.full(len(indices), -1, dtype=np.int64)
        broken = np.zeros(len(self.rules), dtype=np.int64)
        for part in _blocks(len(indices)):
            env, found = self.at(indices[part]), first[part]
            for position, holds in self._checks():
                found[(found < 0) & ~_row(env, holds, len(found))] = position
            for position, rule in enumerate(self.rules):
                broken[position] += (~_row(env, rule.holds, len(found))).sum()
        return first, broken

    def causes(self, indices: Sequence[int] | IntArray) -> list[str]:
        """Cause label of each configuration (``ok`` when feasible), as the stack reports it."""
        labels = [*(rule.cause for rule in self.rules), OK]
        found = self.first_violations(np.asarray(indices, dtype=np.int64))
        return [labels[position] for position in found.tolist()]

    def violations(self, indices: IntArray) -> BoolArray:
        """Which rules are violated, shape (number of rules, len(indices))."""
        indices = np.asarray(indices, dtype=np.int64)
        found = np.empty((len(self.rules), len(indices)), dtype=np.bool_)
        for part in _blocks(len(indices)):
            env = self.at(indices[part])
            for position, rule in enumerate(self.rules):
                found[position, part] = ~_row(env, rule.holds, len(indices[part]))
        return found


@lru_cache(maxsize=64)
def _fits_usually(conditions: tuple[Bool, ...]) -> bool:
    """Whether numbers stay small for all layers of usual sizes: then no layer is looked at."""
    names = frozenset().union(*(condition.symbols for condition in conditions))
    return largest(conditions, {name: (0, _usual(name)) for name in names}) <= LARGEST


@cache
def _usual(symbol: str) -> int:
    """A size that most layers stay below."""
    if symbol.startswith("LOG_") or symbol in ("KH", "KW", "SH", "SW", "PH", "PW"):
        return 32
    if symbol in ("G", "N", "CI", "CO", "tile_b", "tile_ci", "tile_co"):
        return 128
    return 2 if symbol.endswith("_nthread") else 1024


def _row(env: Env, holds: Bool, size: int) -> BoolArray:
    return np.broadcast_to(np.asarray(env.evaluate(holds), dtype=np.bool_), (size,))


def _blocks(size: int) -> Iterator[slice]:
    return (slice(begin, begin + BLOCK) for begin in range(0, size, BLOCK))
