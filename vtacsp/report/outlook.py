"""Nearby machines: which small change of scratchpad sizes would make the layers fastest."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from vtacsp.errors import HardwareError, TooLongError
from vtacsp.machine.configuration import BUFFER_FIELDS, BUFFERS, MAX_LOG, VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.report.fastest import Fastest
from vtacsp.rules import Rule
from vtacsp.space.joint import HardwareSpace, compile_network
from vtacsp.space.problem import Problem
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["SCRATCHPADS", "Change", "Outlook", "best_change"]

SCRATCHPADS = (*BUFFERS, "out")
"""What a machine is built with; OUT follows from ACC."""


@dataclass(frozen=True)
class Change:
    """A machine some steps away: ``changes`` maps a key to its value now and then.

    ``counts`` are the feasible configurations of each layer on that machine, ``best`` the cycles
    of the fastest one, None where nothing runs or the layer is left out.
    """

    hardware: VTAConfig
    changes: dict[str, tuple[int, int]]
    counts: tuple[int, ...]
    best: tuple[int | None, ...]

    @property
    def feasible(self) -> int:
        """Feasible configurations in total over the layers."""
        return sum(self.counts)

    @property
    def cycles(self) -> int:
        """Cycles of the fastest configurations, summed over the layers that run and are known."""
        return sum(cycles for cycles in self.best if cycles is not None)

    @property
    def idle(self) -> int:
        """Layers of which nothing runs."""
        return self.counts.count(0)

    @property
    def steps(self) -> int:
        """Doublings and halvings of scratchpads."""
        return sum(abs(then - now) for now, then in self.changes.values())

    @property
    def bytes(self) -> int:
        """Scratchpad bytes of the machine in total: UOP, INP, WGT, ACC and OUT."""
        return sum(self.hardware.bytes(buffer) for buffer in SCRATCHPADS)

    @property
    def order(self) -> tuple[int, ...]:
        """What is better comes first: more layers that run, fewer cycles, fewer bytes."""
        return self.idle, self.cycles, self.bytes, self.steps

    def __str__(self) -> str:
        return ", ".join(f"{key} {now} → {then}" for key, (now, then) in self.changes.items())


@dataclass(frozen=True)
class Outlook:
    """The machine as it is and every legal machine near it, best first.

    ``blocked`` maps keys of which one step more is no legal machine to the reason.  ``unknown``
    maps layers (positions) of which cycles are left out, on every machine, to the reason: what is
    left of the others is compared.  ``timing`` is what the cycles are of.
    """

    now: Change
    changes: tuple[Change, ...]
    blocked: dict[str, str]
    unknown: dict[int, TooLongError] = field(default_factory=dict)
    timing: TimingModel = RTL

    @property
    def better(self) -> tuple[Change, ...]:
        """The changes with which more layers run, or as many in fewer cycles, best first."""
        return tuple(c for c in self.changes if c.order[:2] < self.now.order[:2])

    @property
    def best(self) -> Change | None:
        """The best of them, None when there is none."""
        return next(iter(self.better), None)

    @property
    def compares(self) -> bool:
        """Whether the cycles of some layer are known."""
        return len(self.unknown) < len(self.now.counts)

    @property
    def smaller(self) -> Change | None:
        """The machine with the fewest bytes that is as fast as now, if it has fewer than now."""
        if not self.compares:
            return None
        rivals = [c for c in self.changes if c.order[:2] == self.now.order[:2]]
        return next((c for c in rivals if c.bytes < self.now.bytes), None)


class _Near(HardwareSpace):
    """Legal machines within some steps of the base."""

    def __init__(self, base: VTAConfig, steps: int) -> None:
        self.now = tuple(base.symbols[key] for key in BUFFER_FIELDS.values())
        reach = {
            key: range(max(size - steps, 0), min(size + steps, MAX_LOG) + 1)
            for key, size in zip(BUFFER_FIELDS.values(), self.now, strict=True)
        }
        super().__init__(base, **reach)
        self.steps = steps

    @cached_property
    def sizes(self) -> list[tuple[int, ...]]:
        return [sizes for sizes in super().sizes if self.distance(sizes) <= self.steps]

    def distance(self, sizes: tuple[int, ...]) -> int:
        return sum(abs(a - b) for a, b in zip(sizes, self.now, strict=True))


def best_change(
    workloads: Sequence[Workload],
    hardware: VTAConfig | None = None,
    rules: Iterable[Rule] = (),
    *,
    steps: int = 2,
    stack_only: bool = False,
    timing: TimingModel = RTL,
) -> Outlook:
    """What runs, and how fast, on every legal machine up to ``steps`` doublings or halvings away.

    Counts are exact and so are the cycles, those of ``timing``: of the fastest configuration of
    each layer.  Machines on which most layers run come first, then those with the fewest cycles,
    among equals fewer bytes.  A layer of which a program that may be the fastest is too long to be
    built counts without its cycles.  ``rules`` and ``stack_only`` are those of
    :func:`~vtacsp.compile`.

    Raises :class:`~vtacsp.errors.WorkloadError` when a layer cannot be packed.
    """
    near, rules = _Near(hardware or VTAConfig(), steps), tuple(rules)
    counts: list[list[int]] = [[] for _ in near.sizes]
    best: list[list[int | None]] = [[] for _ in near.sizes]
    unknown: dict[int, TooLongError] = {}
    for layer, workload in enumerate(workloads):  # one at a time: memory for one layer
        joint = compile_network([workload], near, rules, stack_only=stack_only)
        problem = Problem(workload, near.base, rules, stack_only=stack_only)
        fastest = Fastest(problem, timing)
        for machine in range(len(near)):
            indices = joint.feasible(machine)
            counts[machine].append(len(indices))
            try:
                least = None if layer in unknown else fastest.cycles(near[machine], indices)
            except TooLongError as error:
                least, unknown[layer] = None, error
            best[machine].append(least)
        if layer in unknown:
            for row in best:
                row[layer] = None
    found = [
        _change(near, machine, tuple(row), tuple(cycles))
        for machine, (row, cycles) in enumerate(zip(counts, best, strict=True))
    ]
    now = next(change for change in found if not change.changes)
    changed = sorted((c for c in found if c.changes), key=lambda change: change.order)
    return Outlook(now, tuple(changed), _blocked(near), unknown, timing)


def _blocked(near: _Near) -> dict[str, str]:
    reasons = {}
    for key, now in zip(near.free, near.now, strict=True):
        try:
            near.base.replace(**{key: now + 1})
        except HardwareError as error:
            reasons[key] = str(error)
    return reasons


def _change(
    near: _Near, machine: int, counts: tuple[int, ...], best: tuple[int | None, ...]
) -> Change:
    pairs = zip(near.free, near.now, near.sizes[machine], strict=True)
    changes = {key: (now, then) for key, now, then in pairs if now != then}
    return Change(near[machine], changes, counts, best)
