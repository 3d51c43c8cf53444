"""The free space of a layer: counted, sampled, explained; never listed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import sqrt
from random import Random
from typing import Any

import numpy as np

from vtacsp.arrays import BoolArray, DoubleArray, IntArray
from vtacsp.causes import OK, SRAM_ACC, SRAM_INP
from vtacsp.errors import RuleError, SpaceError
from vtacsp.expr import Env
from vtacsp.expr.bounds import LARGEST, largest
from vtacsp.free.epilogue import chain_of
from vtacsp.free.moves import fitted
from vtacsp.free.points import Points
from vtacsp.free.rules import ACC, RULES
from vtacsp.free.schedule import Schedule
from vtacsp.free.schedule_fields import (
    FIELDS,
    FREE_SYMBOLS,
    PARTITIONS,
    WORDS,
    chunk_size,
    coded,
    columns_of,
    numbers,
    schedule_of,
    schedule_symbols,
    window_demanded,
)
from vtacsp.free.window_rules import WINDOW_ACC, WINDOW_RULES
from vtacsp.machine.configuration import MAX_LOG, VTAConfig
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload
from vtacsp.rules.rule import Rule, refuse_unknown
from vtacsp.space.explanation import Violation

__all__ = ["Count", "FreeSpace", "ScheduleExplanation"]

LISTABLE = 20_000
"""Points up to which a space is counted one by one."""

SAMPLES = 2000
_CHEAP = 8  # symbols of a rule of one's own that is no procedure over a whole schedule
_PART = 1 << 20  # more than a part of a partition is, or a number that a procedure gives
_DRAWS = 200_000  # points that are drawn at most for a sample


@dataclass(frozen=True)
class Count:
    """How many schedules a space has.

    ``points`` are all, an exact number; ``feasible`` those that a machine can run.  That is exact
    when each was looked at; otherwise it is estimated from ``samples`` points drawn at random, each
    as likely as any other, of which ``hits`` can run with some of the slots that fit: the mean, and
    its ``standard_error``.

    >>> print(Count(points=1000, feasible=200, exact=True))
    200 of 1,000 can run (exact: each was looked at)
    """

    points: int
    feasible: int
    exact: bool
    samples: int = 0
    hits: int = 0
    standard_error: float = 0.0

    def __str__(self) -> str:
        if self.exact:
            return f"{self.feasible:,} of {self.points:,} can run (exact: each was looked at)"
        if not self.hits:
            return (
                f"of {_large(self.points)} points {self.samples:,} were drawn at random, and none "
                f"can run: likely (95%) fewer than {_large(3 * self.points / self.samples)} do"
            )
        return (
            f"about {_large(self.feasible)} of {_large(self.points)} can run (estimated from "
            f"{self.samples:,} drawn at random, {self.hits:,} of which can run with slots that "
            f"fit; standard error {_large(self.standard_error)})"
        )


def _large(number: float) -> str:
    return f"{number:,.0f}" if number < 1e7 else f"{number:.2e}"


@dataclass(frozen=True)
class ScheduleExplanation:
    """The verdict on one schedule: the rules that it breaks, with numbers, and a way out.

    ``cause`` is that of the first broken rule, ``ok`` when there is none; ``nearest`` is a
    neighbour that can run, or the schedule with as many slots as fit, if one can.

    >>> space = FreeSpace(vtacsp.suite("resnet18")[9])
    >>> schedule = Schedule(channels=(32,), rows=(7,), columns=(7,), reduction=(1,) * 32)
    >>> print(space.explain(schedule).violations[0].message)
    the slots take 3,136 elements, the scratchpad has 2,048
    """

    schedule: Schedule
    cause: str
    violations: tuple[Violation, ...]
    nearest: Schedule | None = None

    @property
    def feasible(self) -> bool:
        """Whether every rule holds."""
        return not self.violations

    def __str__(self) -> str:
        if self.feasible:
            return f"feasible: {self.schedule}"
        lines = [f"not feasible, {self.cause}: {self.schedule}"]
        lines += [f"  {violation}" for violation in self.violations]
        if self.nearest is not None:
            changed = [n for n in FIELDS if getattr(self.nearest, n) != getattr(self.schedule, n)]
            steps = ", ".join(
                f"{n} {_shown(getattr(self.schedule, n))} -> {_shown(getattr(self.nearest, n))}"
                for n in changed
            )
            lines.append(f"  one that can run: {steps}")
        return "\n".join(lines)


def _shown(value: object) -> str:
    return "+".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value)


class FreeSpace:
    """The free schedules of a layer on a machine (the default one when not given).

    ``rules`` are yours, beside those of :data:`vtacsp.free.rules.RULES`, over the fields of a
    schedule (:mod:`vtacsp.free.schedule_fields`).  ``values`` are lists of values for some fields;
    the others have those that :class:`~vtacsp.free.points.Points` says.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that the machine cannot pack or whose
    epilogue its ALU cannot run, :class:`~vtacsp.errors.RuleError` for a rule that is malformed and
    :class:`~vtacsp.errors.ScheduleError` for values that are.

    >>> from vtacsp.free.schedule_fields import inp, wgt
    >>> few = [Rule.of("few_slots", (inp <= 2) & (wgt <= 2), "at most two slots of each")]
    >>> space = FreeSpace(vtacsp.suite("resnet18")[9], rules=few)
    >>> all(s.inp <= 2 and s in space for s in space.sample(3, seed=1))
    True
    """

    def __init__(
        self,
        workload: Workload,
        hardware: VTAConfig | None = None,
        rules: Iterable[Rule] = (),
        **values: Sequence[Any],
    ) -> None:
        self.workload = workload
        self.hardware = hardware or VTAConfig()
        chain_of(workload, self.hardware)  # raises
        self.geometry = geometry(workload, self.hardware)
        self.points = Points(self.geometry, values)
        self.user_rules = tuple(rules)
        self.rules = (*(WINDOW_RULES if self.geometry.on_alu else RULES), *self.user_rules)
        self.constants = schedule_symbols(workload, self.hardware)
        refuse_unknown(self.rules, {*self.constants, *FREE_SYMBOLS}, "a free schedule")
        self._check_numbers()

    def _check_numbers(self) -> None:
        """Refuse rules of one's own that may meet what 64 bits do not hold."""
        ranges = dict.fromkeys(FREE_SYMBOLS, (0, _PART))
        ranges |= {name: (value, value) for name, value in self.constants.items()}
        for rule in self.user_rules:
            if largest([rule.holds], ranges, (-_PART, _PART)) > LARGEST:
                raise RuleError(
                    f"{self.workload.name}: the rule {rule.name} may meet numbers that 64 bits do "
                    "not hold"
                )

    # -- what is feasible

    def feasible(self, schedules: Sequence[Schedule]) -> BoolArray:
        """Which schedules meet every rule, by the vectorised check."""
        return self._holding(columns_of(schedules), len(schedules))

    def _holding(self, columns: dict[str, IntArray], size: int) -> BoolArray:
        holds = np.ones(size, dtype=np.bool_)
        own = [rule for rule in self.user_rules if len(rule.holds.symbols) <= _CHEAP]
        rest = [rule for rule in self.rules if not any(rule is mine for mine in own)]
        for rule in (*own, *rest):  # what is cheap comes first; the others see what is left
            left = np.flatnonzero(holds)
            if not len(left):
                break
            env = Env({**self.constants, **{name: c[left] for name, c in columns.items()}})
            holds[left] = env.evaluate(rule.holds)
        return holds

    def __contains__(self, schedule: object) -> bool:
        return isinstance(schedule, Schedule) and bool(self.feasible([schedule])[0])

    def enumerate(self) -> list[Schedule]:
        """All schedules that can run, of a small space.

        Raises :class:`~vtacsp.errors.SpaceError` for one of more than 20,000 points.
        """
        points = self.points.count()
        if points > LISTABLE:
            raise SpaceError(
                f"the space of {self.workload.name} has {_large(points)} points, at most "
                f"{LISTABLE:,} are listed: sample it, or give some fields fewer values"
            )
        every = list(self.points)
        return [s for s, holds in zip(every, self.feasible(every), strict=True) if holds]

    def count(self, samples: int = SAMPLES, seed: int = 0) -> Count:
        """How many points there are and can run: looked at one by one, or estimated.

        >>> layer = vtacsp.suite("resnet18")[9]
        >>> space = FreeSpace(layer, channels=[(4,) * 8], rows=[(7,)], columns=[(7,)], lead=[()])
        >>> estimate = space.count(samples=50)
        >>> estimate.exact, estimate.points > 10**9
        (False, True)
        """
        points = self.points.count()
        if points <= LISTABLE:
            return Count(points, len(self.enumerate()), exact=True)
        if samples < 1:
            raise SpaceError(f"samples is {samples}, allowed are 1 and more")
        rng = Random(seed)
        drawn = [self.points.draw(rng) for _ in range(samples)]
        shares, fitting = self._fitting(drawn, rng)
        mine = np.flatnonzero(shares)
        holds = np.zeros(samples, dtype=np.bool_)
        holds[mine] = self.feasible([fitting[i] for i in mine.tolist()])
        found = np.where(holds, shares, 0.0)
        error = points * float(found.std()) / sqrt(samples)
        hits = int(holds.sum())
        return Count(points, int(points * found.mean()), False, samples, hits, error)

    def _fitting(
        self, schedules: Sequence[Schedule], rng: Random
    ) -> tuple[DoubleArray, list[Schedule]]:
        """Which share of all slots fits, and each schedule with some that do, at random."""
        env = Env({**self.constants, **columns_of([replace(s, acc=1) for s in schedules])})
        if self.geometry.on_alu:  # it has no inputs and weights
            need = env.evaluate(WINDOW_ACC.quantities["need"])
            sizes = {"acc": env.evaluate(window_demanded("acc_tile"))}
        else:
            need = env.evaluate(ACC.quantities["need"])
            sizes = {name: env.evaluate(chunk_size(f"{name}_chunk")) for name in ("inp", "wgt")}
            sizes["acc"] = env.evaluate(chunk_size("acc_tile"))
        shares = np.ones(len(schedules))
        fitting = []
        for i, schedule in enumerate(schedules):
            slots = {}
            for name, size in sizes.items():
                room = self.hardware.depth(name)
                if name == "acc":
                    room -= int(need[i] - size[i])
                values = self.points.values[name]
                fits = [n for n in values if n * int(size[i]) <= room]
                shares[i] *= len(fits) / len(values)
                slots[name] = rng.choice(fits) if fits else getattr(schedule, name)
            fitting.append(replace(schedule, **slots))
        return shares, fitting

    def sample(self, n: int, seed: int = 0) -> list[Schedule]:
        """``n`` different schedules that can run, the same for the same seed, each as likely.

        Raises :class:`~vtacsp.errors.SpaceError` when they are not found among many drawn.

        >>> [s.acc for s in FreeSpace(vtacsp.suite("resnet18")[9], acc=[1]).sample(2)]
        [1, 1]
        """
        if n < 0:
            raise SpaceError(f"cannot sample {n} schedules")
        if self.points.count() <= LISTABLE:
            every = self.enumerate()
            if n > len(every):
                raise SpaceError(f"cannot sample {n} schedules, there are {len(every)}")
            return Random(seed).sample(every, n)
        rng = Random(seed)
        found: dict[Schedule, None] = {}
        drawn = 0
        while len(found) < n:
            if drawn >= _DRAWS:
                raise SpaceError(
                    f"{self.workload.name}: of {drawn:,} points drawn at random {len(found)} can "
                    f"run, {n} are wanted"
                )
            batch = [self.points.draw(rng) for _ in range(256)]
            drawn += len(batch)
            for schedule, holds in zip(batch, self.feasible(batch), strict=True):
                if holds and len(found) < n:
                    found[schedule] = None
        return list(found)

    # -- neighbours

    def neighbours(self, schedule: Schedule) -> list[Schedule]:
        """Schedules that can run and differ in one field, by a step of its values.

        A word may become any other; a partition or number the next smaller or larger one.  Ramps
        that do not fit a tile of another size are left out of it.
        """
        others = self._around(schedule)
        return [s for s, holds in zip(others, self.feasible(others), strict=True) if holds]

    def _around(self, schedule: Schedule) -> list[Schedule]:
        found: dict[Schedule, None] = {}
        for name in sorted(FIELDS, key=lambda name: name not in ("inp", "wgt", "acc")):
            now = getattr(schedule, name)
            for value in self._next(schedule, name, now):
                changed = replace(schedule, **{name: value})
                if name in PARTITIONS or name == "load_rows":
                    changed = fitted(changed, self.geometry)
                found[changed] = None
        found.pop(schedule, None)
        return list(found)

    def _next(self, schedule: Schedule, name: str, now: Any) -> list[Any]:
        values = self.points.values.get(name)
        if values is None:
            values = self.points.ramp(name, self._cut(schedule, name))
        if name in WORDS:
            return [value for value in values if value != now]
        order = sorted({*values, now}, key=_order)
        at = order.index(now)
        return [order[i] for i in (at - 1, at + 1) if 0 <= i < len(order)]

    def _cut(self, schedule: Schedule, name: str) -> int:
        """What a ramp cuts."""
        return {
            "first": schedule.rows[0],
            "last": schedule.rows[-1],
            "begin": schedule.channels[0],
            "begin_rows": schedule.first_rows(self.geometry),
            "finish": schedule.channels[-1],
            "finish_rows": schedule.last_rows(self.geometry),
        }[name]

    # -- diagnosis

    def explain(self, schedule: Schedule) -> ScheduleExplanation:
        """Every rule that a schedule breaks, with its numbers, and what would help.

        A schedule that is none of the layer breaks the rules about partitions, and no other is
        asked.
        """
        values = numbers(schedule)
        env = Env({**self.constants, **values})
        broken: list[Rule] = []
        for rule in self.rules:
            if broken and rule.cause in (SRAM_INP, SRAM_ACC) and _is_none(broken):
                break
            if not env.evaluate(rule.holds):
                broken.append(rule)
        nearest = None
        if broken and not _is_none(broken):
            near = self.neighbours(schedule) or self._with_fewer_slots(schedule)
            nearest = near[0] if near else None
        return ScheduleExplanation(
            schedule,
            broken[0].cause if broken else OK,
            tuple(self._violation(rule, env, values) for rule in broken),
            nearest,
        )

    def _with_fewer_slots(self, schedule: Schedule) -> list[Schedule]:
        """The schedule with no more slots than fit, when it then can run."""
        env = Env({**self.constants, **columns_of([replace(schedule, acc=1)])})
        alone = self.geometry.on_alu  # it has no inputs and weights
        need = int(env.evaluate((WINDOW_ACC if alone else ACC).quantities["need"])[0])
        slots = {}
        every = (("inp", "inp_chunk"), ("wgt", "wgt_chunk"), ("acc", "acc_tile"))
        for name, chunk in every[2:] if alone else every:
            size = int(env.evaluate(chunk_size(chunk))[0])
            room = self.hardware.depth(name) - (need - size if name == "acc" else 0)
            slots[name] = max(1, min(getattr(schedule, name), room // max(size, 1)))
        fewer = fitted(replace(schedule, **slots), self.geometry)
        return [fewer] if fewer != schedule and fewer in self else []

    def _violation(self, rule: Rule, env: Env, values: dict[str, int]) -> Violation:
        quantities = {name: int(env.evaluate(q)) for name, q in rule.quantities.items()}
        remedy = ""
        if rule.grows is not None:
            remedy = f"no {rule.grows} would do"
            for size in range(self.constants[rule.grows] + 1, MAX_LOG + 1):
                if Env({**self.constants, **values, rule.grows: size}).evaluate(rule.holds):
                    remedy = f"{rule.grows} {size} would do"
                    break
        return Violation(
            rule.name, rule.cause, rule.message.format(**quantities), remedy, quantities
        )

    # -- CP-SAT

    @cached_property
    def domains(self) -> dict[str, list[int]]:
        """The values of every field as integers, for CP-SAT: of ramps, those of all tiles."""
        p = self.points
        totals = {
            "first": {r[0] for r in p.values["rows"]},
            "last": {r[-1] for r in p.values["rows"]},
            "begin": {c[0] for c in p.values["channels"]},
            "finish": {c[-1] for c in p.values["channels"]},
        }
        tall = range(1, max(max(r) for r in p.values["rows"]) + 1)
        totals |= {"begin_rows": {*tall}, "finish_rows": {*tall}}
        found = {}
        for name in FIELDS:
            values = p.values.get(name)
            if values is None:
                values = tuple(
                    dict.fromkeys(s for n in sorted(totals[name]) for s in p.ramp(name, n))
                )
            found[name] = [coded(name, value) for value in values]
        return found

    def solutions(self) -> list[Schedule]:
        """All schedules that can run, by CP-SAT, of a space of few values.

        The reference for the vectorised check.  Fields may be any of :attr:`domains` that rules
        allow, also where :class:`~vtacsp.free.points.Points` has one way to say the same.
        """
        from ortools.sat.python import cp_model

        from vtacsp.free.constraint_model import ScheduleModel
        from vtacsp.space.cpsat import run_solver

        model = ScheduleModel(self.constants, self.domains, self.rules)
        solver = cp_model.CpSolver()
        solver.parameters.num_workers = 1
        solver.parameters.enumerate_all_solutions = True
        found: dict[Schedule, None] = {}  # projected on the fields: helpers do not make another

        class Each(cp_model.CpSolverSolutionCallback):
            def on_solution_callback(self) -> None:
                values = {n: self.value(v) for n, v in model.variables.items()}
                found[schedule_of(values)] = None

        status = run_solver(solver, model.model, Each())
        if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE, cp_model.INFEASIBLE):
            raise SpaceError(f"CP-SAT ended with {solver.status_name(status)}")
        solved = list(found)
        if not model.exact:  # what is no formula is asked for now
            return [s for s, holds in zip(solved, self.feasible(solved), strict=True) if holds]
        return solved

    def __repr__(self) -> str:
        return (
            f"<FreeSpace of {self.workload.name} on {self.hardware}: "
            f"{_large(self.points.count())} points>"
        )


def _is_none(broken: Iterable[Rule]) -> bool:
    """Whether a schedule is none of the layer."""
    return any(rule.name.startswith(("cut:", "pieces", "groups", "fixed")) for rule in broken)


def _order(value: Any) -> Any:
    """Numbers by size, partitions by their largest part and their number."""
    return (max(value, default=0), -len(value), value) if isinstance(value, tuple) else value
