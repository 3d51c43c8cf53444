"""What hardware would do: the smallest change of scratchpad sizes, and why nothing helps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import BUFFER_FIELDS, VTAConfig
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.rules import Rule
from vtacsp.space.cpsat import ProblemModel, minimal_core
from vtacsp.space.joint import HardwareSpace, compile_network
from vtacsp.space.problem import Problem

__all__ = ["Advice", "NetworkAdvice", "advise", "advise_network"]

REACH = 4
"""Sizes considered by default: up to 2^4 times smaller or larger than what the machine has."""

Free = Mapping[str, Iterable[int]]


@dataclass(frozen=True)
class Advice:
    """The answer to :func:`advise`.

    ``hardware`` is the machine after the smallest change, None when no size helps; ``changes``
    maps keys to (before, after); ``config`` is a configuration that then runs and ``feasible``
    how many do.  Without an answer ``core`` names rules that cannot hold together, or, when it
    is a number that cannot be reached, ``feasible`` is the largest number that can.

    >>> advice = advise(vtacsp.suite("resnet18")[2], at_least=320)
    >>> advice.feasible, advice.changes
    (323, {'LOG_INP_BUFF_SIZE': (15, 16), 'LOG_WGT_BUFF_SIZE': (18, 17)})
    """

    question: str
    hardware: VTAConfig | None
    changes: dict[str, tuple[int, int]]
    config: Config | None
    feasible: int
    core: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.hardware is None:
            why = f"at most {self.feasible} are feasible"
            if self.core:
                why = f"these rules cannot hold together: {', '.join(self.core)}"
                if len(self.core) == 1:
                    why = f"the rule {self.core[0]} does not hold with any of them"
            return f"{self.question}: no scratchpad sizes that were considered will do; {why}"
        if not self.changes:
            return f"{self.question}: the hardware as it is ({self.feasible} feasible)"
        changes = ", ".join(f"{key} {a} -> {b}" for key, (a, b) in self.changes.items())
        return f"{self.question}: {changes} ({self.feasible} feasible then)"


def advise(
    workload: Workload,
    hardware: VTAConfig | None = None,
    *,
    config: Mapping[str, int] | None = None,
    at_least: int = 1,
    rules: Iterable[Rule] = (),
    free: Free | None = None,
) -> Advice:
    """The smallest change of hardware that makes a configuration, or enough of them, feasible.

    With ``config``: that configuration; otherwise: at least ``at_least`` of them.  The change is
    measured in doublings and halvings of scratchpads, summed; among equal changes the one with
    the fewest bytes wins.  ``free`` maps ``LOG_*_BUFF_SIZE`` to the values to consider, by
    default all four within a factor of 2^4.  CP-SAT finds the optimum; when there is none, the
    answer carries a minimal set of rules that cannot hold together.

    Raises :class:`~vtacsp.errors.SpaceError` when both questions are asked at once and
    :class:`~vtacsp.errors.ConfigError` for a configuration outside the knob grid.

    >>> advise(vtacsp.suite("resnet18")[2], at_least=320).changes
    {'LOG_INP_BUFF_SIZE': (15, 16), 'LOG_WGT_BUFF_SIZE': (18, 17)}
    """
    machine = hardware or VTAConfig()
    if config is not None and at_least != 1:
        raise SpaceError("ask for a configuration or for a number of them, not for both")
    if at_least < 1:
        raise SpaceError(f"at_least is {at_least}, allowed are 1 and more")
    problem = Problem(workload, machine, rules)
    space = HardwareSpace(machine, **_free(machine, free))
    if config is not None:
        problem.knob_space.index(config)
    question = _question(workload, config, at_least)
    model = ProblemModel([problem], space.free, config=config)
    if at_least > 1:
        most = _require_count(model, problem, space, at_least)
        if most < at_least:
            return Advice(question, None, {}, None, most)
    _minimise_change(model, machine)
    solver = model.solve()
    if solver is None:
        core = minimal_core(problem, space.free, config)
        return Advice(question, None, {}, None, 0, tuple(core))
    found = {key: solver.value(variable) for key, variable in model.hardware.items()}
    changed = machine.replace(**found)
    before = machine.symbols
    return Advice(
        question=question,
        hardware=changed,
        changes={key: (before[key], v) for key, v in found.items() if v != before[key]},
        config=model.configs(solver.value)[0],
        feasible=len(problem.on(changed).feasible_indices()),
    )


@dataclass(frozen=True)
class NetworkAdvice:
    """The answer to :func:`advise_network`.

    ``hardware`` is the machine after the smallest change, None when no size helps; ``changes``
    maps keys to (before, after); ``counts`` are the feasible configurations of each layer there,
    without an answer those on the machine that has enough for most layers, and ``short`` names
    the layers that then have too few.
    """

    question: str
    hardware: VTAConfig | None
    changes: dict[str, tuple[int, int]]
    counts: tuple[int, ...]
    short: tuple[str, ...] = ()

    def __str__(self) -> str:
        least = f"at least {min(self.counts)} feasible per layer"
        if self.hardware is None:
            return (
                f"{self.question}: no scratchpad sizes that were considered will do; "
                f"the best leave too few for {', '.join(self.short)}"
            )
        if not self.changes:
            return f"{self.question}: the hardware as it is ({least})"
        changes = ", ".join(f"{key} {a} -> {b}" for key, (a, b) in self.changes.items())
        return f"{self.question}: {changes} ({least} then)"


def advise_network(
    workloads: Sequence[Workload],
    hardware: VTAConfig | None = None,
    *,
    at_least: int = 1,
    rules: Iterable[Rule] = (),
    free: Free | None = None,
) -> NetworkAdvice:
    """The smallest change of hardware that gives every layer enough feasible configurations.

    One machine for all layers; what smallest means, and ``free``, as for :func:`advise`.  Counts
    every layer on every machine that is considered, a layer at a time.  Raises
    :class:`~vtacsp.errors.SpaceError` without a layer or for ``at_least`` below 1, and
    :class:`~vtacsp.errors.WorkloadError` when a layer cannot be packed.
    """
    machine, rules = hardware or VTAConfig(), tuple(rules)
    if at_least < 1:
        raise SpaceError(f"at_least is {at_least}, allowed are 1 and more")
    if not workloads:
        raise SpaceError("a network has at least one layer")
    many = f"{at_least} feasible configurations"
    question = "to run every layer" if at_least == 1 else f"to have {many} of every layer"
    now, space = machine.symbols, HardwareSpace(machine, **_free(machine, free))
    as_it_is = tuple(len(Problem(w, machine, rules).feasible_indices()) for w in workloads)
    if min(as_it_is) >= at_least and all(now[k] in v for k, v in space.free.items()):
        return NetworkAdvice(question, machine, {}, as_it_is)
    counts = np.array([_layer_counts(w, space, rules) for w in workloads])

    def cost(number: int) -> tuple[int, int]:
        sizes = dict(zip(space.free, space.sizes[number], strict=True))
        return sum(abs(v - now[k]) for k, v in sizes.items()), sum(1 << v for v in sizes.values())

    enough = (counts >= at_least).sum(axis=0)
    if not len(space) or enough.max() < len(workloads):
        at = int(enough.argmax()) if len(space) else None
        few = as_it_is if at is None else tuple(counts[:, at].tolist())
        short = tuple(w.name for w, n in zip(workloads, few, strict=True) if n < at_least)
        return NetworkAdvice(question, None, {}, few, short)
    best = min(np.flatnonzero(enough == len(workloads)).tolist(), key=cost)
    found = dict(zip(space.free, space.sizes[best], strict=True))
    changes = {key: (now[key], v) for key, v in found.items() if v != now[key]}
    return NetworkAdvice(question, space[best], changes, tuple(counts[:, best].tolist()))


def _layer_counts(workload: Workload, space: HardwareSpace, rules: tuple[Rule, ...]) -> list[int]:
    """Feasible configurations on every machine of a space."""
    joint = compile_network([workload], space, rules)
    return [joint.layer_counts(machine)[0] for machine in range(len(space))]


def _free(machine: VTAConfig, free: Free | None) -> dict[str, Sequence[int]]:
    if free is not None:
        return {key: sorted(set(values)) for key, values in free.items()}
    sizes = machine.symbols
    return {
        key: range(max(sizes[key] - REACH, 0), sizes[key] + REACH + 1)
        for key in BUFFER_FIELDS.values()
    }


def _question(workload: Workload, config: Mapping[str, int] | None, at_least: int) -> str:
    if config is not None:
        return f"{workload.name}: to run this configuration"
    if at_least == 1:
        return f"{workload.name}: to run at all"
    return f"{workload.name}: to have {at_least} feasible configurations"


def _require_count(model: ProblemModel, problem: Problem, space: HardwareSpace, least: int) -> int:
    """Only machines on which enough configurations run; the most that run on any machine."""
    counts = _layer_counts(problem.workload, space, problem.user_rules)
    enough = [sizes for sizes, n in zip(space.sizes, counts, strict=True) if n >= least]
    variables = [model.hardware[key] for key in space.free]
    if enough:
        model.model.add_allowed_assignments(variables, enough)
    return max(counts, default=0)


def _minimise_change(model: ProblemModel, machine: VTAConfig) -> None:
    """Sum of |change of log2| first, then the total number of bytes."""
    steps, sizes = [], []
    total = 1 + sum(1 << max(values) for values in model.free.values())
    for key, values in model.free.items():
        variable, now = model.hardware[key], machine.symbols[key]
        step = model.model.new_int_var(0, 31, "")
        model.model.add_abs_equality(step, variable - now)
        steps.append(step)
        size = model.model.new_int_var(0, 1 << max(values), "")
        model.model.add_allowed_assignments([variable, size], [(v, 1 << v) for v in values])
        sizes.append(size)
    model.model.minimize(sum(steps) * total + sum(sizes))
