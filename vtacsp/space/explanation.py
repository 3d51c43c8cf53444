"""Why a configuration is refused, in numbers, and what would have to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vtacsp.causes import OK
from vtacsp.errors import HardwareError
from vtacsp.expr import Env
from vtacsp.machine.configuration import MAX_LOG
from vtacsp.operators.catalogue import catalogue
from vtacsp.operators.knobs import Config
from vtacsp.rules import Rule
from vtacsp.space.problem import Problem

__all__ = ["Explanation", "Violation", "explain"]


@dataclass(frozen=True)
class Violation:
    """One rule that a configuration does not meet.

    ``remedy`` says which scratchpad size would satisfy the rule, empty where size is no help.

    >>> space = vtacsp.compile(vtacsp.suite("resnet18")[9])
    >>> violation = space.explain(space.knob_space.config(500)).violations[0]
    >>> violation.rule, violation.quantities
    ('sram:wgt', {'need': 4608, 'depth': 1024})
    """

    rule: str
    cause: str
    message: str
    remedy: str
    quantities: Mapping[str, int]

    def __str__(self) -> str:
        return f"{self.rule}: {self.message}" + (f"; {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class Explanation:
    """The verdict on one configuration.

    ``cause`` is what the stack reports first (``ok`` when feasible); ``violations`` are all of
    them, that one first; ``nearest`` are the closest feasible configurations in knob steps.
    ``own`` when that rule is none of the stack's but one of the user's (``rules=``), ``unseen``
    when upstream's simulator runs the configuration and the hardware may compute wrong numbers.

    >>> space = vtacsp.compile(vtacsp.suite("resnet18")[9])
    >>> explanation = space.explain(space.knob_space.config(500))
    >>> explanation.cause, explanation.nearest[0]["tile_co"]
    ('sram:wgt', 4)
    """

    index: int
    config: Config
    cause: str
    violations: tuple[Violation, ...]
    nearest: tuple[Config, ...]
    own: bool = False
    unseen: bool = False

    @property
    def feasible(self) -> bool:
        """Whether the configuration meets every rule."""
        return not self.violations

    def __str__(self) -> str:
        knobs = ", ".join(f"{name} {value}" for name, value in self.config.items())
        if self.feasible:
            return f"index {self.index} ({knobs}) is feasible"
        who = f"the stack reports {self.cause}"
        if self.own:
            who = f"your rule {self.violations[0].rule} refuses it"
        elif self.unseen:
            who = f"right in upstream's simulator, not on the hardware: {self.cause}"
        lines = [f"index {self.index} ({knobs}) is not feasible; {who}"]
        lines += [f"  {violation}" for violation in self.violations]
        if self.nearest:
            changes = _changes(self.config, self.nearest[0])
            lines.append(f"  nearest feasible configuration: {changes}")
        return "\n".join(lines)


def _changes(config: Config, other: Config) -> str:
    changed = [f"{name} {config[name]} -> {v}" for name, v in other.items() if config[name] != v]
    return ", ".join(changed)


def explain(
    problem: Problem, config: Mapping[str, int], nearest: Sequence[Config] = ()
) -> Explanation:
    """Explanation of one configuration; see :meth:`FeasibleSpace.explain`.

    Raises :class:`~vtacsp.errors.ConfigError` for a configuration outside the knob grid.
    """
    index = problem.knob_space.index(config)
    values = {name: int(value) for name, value in config.items()}
    env = Env({**problem.constants, **values})
    first = int(problem.first_violations(np.array([index]))[0])
    broken = [rule for rule in problem.rules if not env.evaluate(rule.holds)]
    if first >= 0:
        broken.sort(key=lambda rule: rule is not problem.rules[first])
    known = {rule.name: rule.seen_by_stack for rule in catalogue(problem.workload.op)}
    reported = problem.rules[first].name if first >= 0 else None
    return Explanation(
        index=index,
        config=problem.knob_space.config(index),
        cause=problem.rules[first].cause if first >= 0 else OK,
        violations=tuple(_violation(problem, rule, env, values) for rule in broken),
        nearest=tuple(nearest),
        own=reported is not None and reported not in known,
        unseen=reported is not None and not known.get(reported, True),
    )


def _violation(problem: Problem, rule: Rule, env: Env, config: Config) -> Violation:
    quantities = {name: int(env.evaluate(q)) for name, q in rule.quantities.items()}
    return Violation(
        rule=rule.name,
        cause=rule.cause,
        message=rule.message.format(**quantities),
        remedy=_remedy(problem, rule, config),
        quantities=quantities,
    )


def _remedy(problem: Problem, rule: Rule, config: Config) -> str:
    """The smallest size that satisfies the rule, if the machine works with it."""
    if rule.grows is None:
        return ""
    for size in range(problem.constants[rule.grows] + 1, MAX_LOG + 1):
        env = Env({**problem.constants, **config, rule.grows: size})
        if env.evaluate(rule.holds):
            obstacle = _obstacle(problem, rule.grows, size, env)
            return f"{rule.grows} {size} would do" + (f", but then {obstacle}" if obstacle else "")
    return f"no {rule.grows} would do"


def _obstacle(problem: Problem, key: str, size: int, env: Env) -> str:
    """What the machine would break with this size: its legality, or a rule over it alone."""
    try:
        problem.hardware.replace(**{key: size})
    except HardwareError as error:
        return str(error)
    for rule in problem.rules:
        if rule.holds.symbols <= problem.hardware.symbols.keys() and not env.evaluate(rule.holds):
            return rule.message.format(**{n: env.evaluate(q) for n, q in rule.quantities.items()})
    return ""
