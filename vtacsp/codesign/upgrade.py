"""What a change of hardware does to cycles: the smallest that makes a network faster, and how
small a scratchpad may be before the network gets slower.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import floor

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.codesign.costs import COSTS
from vtacsp.codesign.cycle_table import FAR
from vtacsp.codesign.evaluator import Evaluator
from vtacsp.codesign.machines import BUS, BUS_RANGE, KEYS, SCRATCHPADS, MachineSpace
from vtacsp.codesign.workloads import CountedLayer, counted
from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import MAX_LOG, VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["Faster", "Smaller", "faster", "key_of", "smaller"]

REACH = dict.fromkeys(SCRATCHPADS, 4) | {"LOG_BATCH": 2, "LOG_BLOCK": 2}
"""Sizes considered by default: up to 2^4 times smaller or larger than what the machine has."""

LayersLike = Iterable[CountedLayer | Workload | tuple[Workload, int]]


@dataclass(frozen=True)
class Faster:
    """The answer to :func:`faster`.

    ``now`` are the cycles on the machine as it is, at most ``target`` were asked for.  ``sizes``
    are the keys of the machine after the smallest change, None when no machine considered will
    do; ``changes`` maps keys to (before, after), ``steps`` counts doublings and halvings.
    ``cycles`` are its cycles, without an answer the fewest of any machine considered.
    """

    now: int
    target: int
    sizes: dict[str, int] | None
    changes: dict[str, tuple[int, int]]
    steps: int
    cycles: int

    def __str__(self) -> str:
        asked = f"at most {self.target:,} cycles instead of {self.now:,}"
        if self.sizes is None:
            return f"{asked}: no machine that was considered will do; the best has {self.cycles:,}"
        words = ", ".join(f"{key} {a} -> {b}" for key, (a, b) in self.changes.items())
        gain = f"{self.cycles:,} cycles then, {self.now / self.cycles - 1:.1%} faster"
        return f"{asked}: {words or 'the hardware as it is'} ({gain})"


@dataclass(frozen=True)
class Smaller:
    """The answer to :func:`smaller`: cycles by size of a key, None where the network does not run.

    ``least`` is the smallest size down to which no size costs more than ``percent``.
    """

    key: str
    percent: float
    now: int
    size: int
    least: int
    cycles: dict[int, int | None]

    def __str__(self) -> str:
        return (
            f"{self.key} may be {self.least} instead of {self.size} before the network gets more "
            f"than {self.percent:g}% slower"
        )


def key_of(word: str) -> str:
    """A key from ``LOG_INP_BUFF_SIZE`` or the name of a scratchpad (``INP``, ``inp``).

    Raises :class:`~vtacsp.errors.SpaceError`.
    """
    known = {key.removeprefix("LOG_").removesuffix("_BUFF_SIZE"): key for key in SCRATCHPADS}
    known |= {key: key for key in KEYS}
    if word.upper() not in known:
        raise SpaceError(f"no size {word:.40}; sizes are {', '.join(known)}")
    return known[word.upper()]


def faster(
    network: LayersLike,
    hardware: VTAConfig | None = None,
    timing: TimingModel = RTL,
    *,
    percent: float,
    free: Mapping[str, Iterable[int]] | None = None,
) -> Faster:
    """The smallest change of hardware that makes a network ``percent`` faster.

    Faster by 10% is at most the cycles of now divided by 1.1.  A change is measured in doublings
    and halvings, summed; of equal ones the machine with the fewest bytes of scratchpads wins.
    ``free`` are keys of :data:`~vtacsp.codesign.KEYS`; by default all of them, the scratchpads
    within 2^4, batch and block within 2^2, every bus.

    Raises :class:`~vtacsp.errors.SpaceError` when the network does not run on the machine as it is.
    """
    machine = hardware or VTAConfig()
    layers = counted(network)
    if not percent > 0:
        raise SpaceError(f"faster by {percent:g}% is no change, it must be more than 0")
    now = _cycles_now(layers, machine, timing)
    target = floor(now / (1 + percent / 100))
    space = MachineSpace(machine, free or _near(machine), timing)
    here = _sizes_now(machine, timing)
    evaluator = Evaluator(layers, space)
    ids = np.arange(len(space))
    columns = space.columns()
    steps = np.zeros(len(space), dtype=np.int64)
    for key, column in columns.items():
        steps += np.abs(column - here[key])
    order = np.lexsort((ids, COSTS["bytes"].of(space), steps))
    for distance in np.unique(steps).tolist():
        mine = order[steps[order] == distance]
        mine = mine[evaluator.lower[mine] <= target]  # by the work alone, where that is known
        mine = mine[evaluator.bound(mine) <= target]
        for machine_id in mine.tolist():
            cycles = int(evaluator.prove(np.array([machine_id]))[0])
            if cycles <= target:
                sizes = space.sizes(machine_id)
                changes = {k: (here[k], v) for k, v in sizes.items() if v != here[k]}
                return Faster(now, target, sizes, changes, distance, cycles)
    return Faster(now, target, None, {}, 0, _fewest(evaluator, ids))


def _fewest(evaluator: Evaluator, ids: IntArray) -> int:
    """The fewest cycles of any machine."""
    best = FAR
    for machine in ids[np.argsort(evaluator.bound(ids), kind="stable")].tolist():
        if evaluator.lower[machine] >= best:
            break
        best = min(best, int(evaluator.prove(np.array([machine]))[0]))
    return best


def smaller(
    network: LayersLike,
    hardware: VTAConfig | None = None,
    timing: TimingModel = RTL,
    *,
    key: str,
    percent: float = 1.0,
) -> Smaller:
    """How small a size may be before the network gets more than ``percent`` slower.

    All else stays as it is.  Raises :class:`~vtacsp.errors.SpaceError` when the network does not
    run on the machine as it is.
    """
    machine = hardware or VTAConfig()
    layers = counted(network)
    if not percent >= 0:
        raise SpaceError(f"slower by {percent:g}% is none, it must be 0 or more")
    now = _cycles_now(layers, machine, timing)
    size = _sizes_now(machine, timing)[key]
    low = 6 if key == BUS else 0
    space = MachineSpace(machine, {key: range(low, size + 1)}, timing)
    cycles = Evaluator(layers, space).prove(np.arange(len(space))).tolist()
    by_size: dict[int, int | None] = {}
    for number, n in enumerate(cycles):
        by_size[space.sizes(number)[key]] = None if n >= FAR else n
    least = size
    for value in sorted(by_size, reverse=True):
        n = by_size[value]
        if n is None or n > now * (1 + percent / 100):
            break
        least = value
    return Smaller(key, percent, now, size, least, by_size)


def _cycles_now(layers: list[CountedLayer], machine: VTAConfig, timing: TimingModel) -> int:
    space = MachineSpace(machine, timing=timing)
    evaluator = Evaluator(layers, space)
    cycles = int(evaluator.prove(np.arange(1))[0]) if len(space) else FAR
    if cycles >= FAR:
        raise SpaceError(
            f"the network does not run on {machine}, so nothing is faster; "
            "`vtacsp advise` without a question about cycles says what it needs"
        )
    return cycles


def _sizes_now(machine: VTAConfig, timing: TimingModel) -> dict[str, int]:
    return {**machine.symbols, BUS: (timing.bus_bytes * 8).bit_length() - 1}


def _near(machine: VTAConfig) -> dict[str, range]:
    sizes = machine.symbols
    near = {
        key: range(max(sizes[key] - reach, 0), min(sizes[key] + reach, MAX_LOG) + 1)
        for key, reach in REACH.items()
    }
    return {**near, BUS: BUS_RANGE}
