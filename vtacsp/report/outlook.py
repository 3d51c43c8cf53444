"""Nearby machines: which small change of scratchpad sizes would free most configurations."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from vtacsp.errors import HardwareError
from vtacsp.hardware import BUFFER_FIELDS, BUFFERS, MAX_LOG, VTAConfig
from vtacsp.rules import Rule
from vtacsp.space.network import HardwareSpace, compile_network
from vtacsp.workload import Workload

__all__ = ["Change", "Outlook", "best_change"]


@dataclass(frozen=True)
class Change:
    """A machine some steps away: ``changes`` maps a key to its value now and then.

    ``counts`` are the feasible configurations of each layer on that machine.
    """

    hardware: VTAConfig
    changes: dict[str, tuple[int, int]]
    counts: tuple[int, ...]

    @property
    def feasible(self) -> int:
        """Feasible configurations in total over the layers."""
        return sum(self.counts)

    @property
    def steps(self) -> int:
        """Doublings and halvings of scratchpads."""
        return sum(abs(then - now) for now, then in self.changes.values())

    @property
    def bytes(self) -> int:
        """Scratchpad bytes of the machine in total."""
        return sum(self.hardware.bytes(buffer) for buffer in BUFFERS)

    def __str__(self) -> str:
        return ", ".join(f"{key} {now} → {then}" for key, (now, then) in self.changes.items())


@dataclass(frozen=True)
class Outlook:
    """The machine as it is and every legal machine near it, best first.

    ``blocked`` maps keys of which one step more is no legal machine to the reason.
    """

    now: Change
    changes: tuple[Change, ...]
    blocked: dict[str, str]

    @property
    def better(self) -> tuple[Change, ...]:
        """The changes that free configurations, best first."""
        return tuple(c for c in self.changes if c.feasible > self.now.feasible)

    @property
    def best(self) -> Change | None:
        """The change with most feasible configurations, None when none has more than now."""
        return next(iter(self.better), None)


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
) -> Outlook:
    """Count the layers exactly on every legal machine up to ``steps`` doublings or halvings away.

    Most feasible configurations first; among equals fewer steps, then fewer bytes.  Raises
    :class:`~vtacsp.errors.WorkloadError` when a layer cannot be packed.
    """
    near, rules = _Near(hardware or VTAConfig(), steps), tuple(rules)
    counts: list[list[int]] = [[] for _ in near.sizes]
    for workload in workloads:  # one at a time: memory for one layer
        joint = compile_network([workload], near, rules)
        for machine, row in enumerate(counts):
            row.append(joint.layer_counts(machine)[0])
    found = [_change(near, machine, tuple(row)) for machine, row in enumerate(counts)]
    now = next(change for change in found if not change.changes)
    changed = [change for change in found if change.changes]
    changed.sort(key=lambda change: (-change.feasible, change.steps, change.bytes))
    return Outlook(now, tuple(changed), _blocked(near))


def _blocked(near: _Near) -> dict[str, str]:
    reasons = {}
    for key, now in zip(near.free, near.now, strict=True):
        try:
            near.base.replace(**{key: now + 1})
        except HardwareError as error:
            reasons[key] = str(error)
    return reasons


def _change(near: _Near, machine: int, counts: tuple[int, ...]) -> Change:
    pairs = zip(near.free, near.now, near.sizes[machine], strict=True)
    changes = {key: (now, then) for key, now, then in pairs if now != then}
    return Change(near[machine], changes, counts)
