"""The feasible set inside MetaSchedule: a space generator whose every candidate can run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace

from vtacsp.metaschedule.compute import problem_of
from vtacsp.metaschedule.traces import apply, config_of, with_config
from vtacsp.rules.rule import Rule
from vtacsp.space.feasible import FeasibleSpace, compile

__all__ = ["Feasible", "FeasibleMove", "feasible_space", "space_generator"]


def space_generator(rules: Iterable[Rule] = ()) -> Any:
    """The design space of :func:`apply` with :class:`Feasible` and :class:`FeasibleMove`.

    For ``ms.tune_tir(space=...)``, with any search strategy.  ``rules`` are yours, on top of
    the operator's.

    What MetaSchedule is told beside the search: one check, and one way to move.

    >>> generator = space_generator()
    >>> len(generator.postprocs), len(generator.mutator_probs)
    (1, 1)
    """
    rules = tuple(rules)
    return ms.space_generator.ScheduleFn(
        _sampled,
        sch_rules=[],
        postprocs=[Feasible(rules)],
        mutator_probs={FeasibleMove(rules): 1.0},
    )


def feasible_space(mod: Any, rules: Iterable[Rule] = ()) -> FeasibleSpace:
    """The feasible set of a module made by :func:`~vtacsp.metaschedule.prim_func`.

    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> len(feasible_space(prim_func(layer))) == len(vtacsp.compile(layer))
    True
    """
    return compile(*problem_of(mod), rules)


def _sampled(sch: Schedule) -> None:
    apply(sch)


@derived_object
class Feasible(ms.postproc.PyPostproc):
    """Postprocessor: drops a schedule that cannot run.

    >>> from tvm import IRModule
    >>> from tvm.s_tir import Schedule
    >>> from tvm.s_tir import meta_schedule as ms
    >>> from tvm.target import Target
    >>> layer = vtacsp.suite("resnet18")[9]
    >>> function, check = prim_func(layer), Feasible()
    >>> generator = ms.space_generator.ScheduleFn(apply, [], [check], {})
    >>> mod = IRModule({"main": function})
    >>> context = ms.TuneContext(mod, target=Target(TARGET), space_generator=generator)
    >>> good, bad = Schedule(function), Schedule(function)
    >>> apply(good, vtacsp.compile(layer)[0])
    >>> apply(bad, {**vtacsp.compile(layer)[0], "tile_co": 32, "tile_ci": 32})
    >>> check.apply(good), check.apply(bad)
    (True, False)
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        super().__init__()
        self.rules = tuple(rules)

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        self.space = feasible_space(context.mod, self.rules)

    def apply(self, sch: Schedule) -> bool:
        """Whether the schedule can run."""
        return config_of(sch) in self.space

    def clone(self) -> Any:
        """Another one, for another context."""
        return Feasible(self.rules)


@derived_object
class FeasibleMove(ms.mutator.PyMutator):
    """Mutator: one step to a neighbour in the feasible set.

    >>> from tvm import IRModule
    >>> from tvm.s_tir import Schedule
    >>> from tvm.s_tir import meta_schedule as ms
    >>> from tvm.target import Target
    >>> layer = vtacsp.suite("resnet18")[9]
    >>> function, move = prim_func(layer), FeasibleMove()
    >>> generator = ms.space_generator.ScheduleFn(apply, [], [], {move: 1.0})
    >>> mod = IRModule({"main": function})
    >>> options = {"target": Target(TARGET), "space_generator": generator, "rand_state": 1}
    >>> context = ms.TuneContext(mod, **options)
    >>> schedule, space = Schedule(function), vtacsp.compile(layer)
    >>> apply(schedule, space[0])
    >>> config_of(move.apply(schedule.trace)) in space.neighbours(space[0])
    True
    """

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        super().__init__()
        self.rules = tuple(rules)

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        self.space = feasible_space(context.mod, self.rules)
        self.rng = np.random.default_rng(abs(context.rand_state))

    def apply(self, trace: Trace, _: int = -1) -> Trace | None:
        """The trace of a neighbour; None when there is no other feasible configuration."""
        near = self.space.neighbours(config_of(trace))
        return with_config(trace, near[self.rng.integers(len(near))]) if near else None

    def clone(self) -> Any:
        """Another one, for another context."""
        return FeasibleMove(self.rules)
