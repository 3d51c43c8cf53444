"""The space of machines: sizes left free, and the rules that say which of them can be built."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.errors import HardwareError, SpaceError, shortened
from vtacsp.expr import Env, Symbol
from vtacsp.machine.configuration import BUFFER_FIELDS, MAX_LOG, VTAConfig
from vtacsp.machine.design import BUILDABLE, LOG_BUS_BYTES
from vtacsp.machine.legality import ISA_WIDTH, LEGALITY
from vtacsp.rules import Rule
from vtacsp.timing.model import RTL, TimingModel

__all__ = [
    "BUS",
    "BUS_RANGE",
    "KEYS",
    "LOG_BUS_WIDTH",
    "MAX_MACHINES",
    "SCRATCHPADS",
    "MachineSpace",
    "legal",
]

BUS = "LOG_BUS_WIDTH"
"""Key of the width of the memory bus, log2 of bits; ``bus_bytes`` of the timing model is bytes."""

LOG_BUS_WIDTH = Symbol(BUS, "log2 of bits of a beat of the memory bus")

BUS_RANGE = range(6, 10)
"""8, 16, 32 and 64 bytes: memParams.dataBits of the Chisel design."""

SCRATCHPADS = tuple(BUFFER_FIELDS.values())
"""Keys that decide what is feasible; cycles depend on the others."""

KEYS = ("LOG_BATCH", "LOG_BLOCK", BUS, *SCRATCHPADS)
"""Keys that can be free, in the order in which machines are numbered, the last one fastest.

>>> KEYS[:3]
('LOG_BATCH', 'LOG_BLOCK', 'LOG_BUS_WIDTH')
"""

MAX_MACHINES = 1 << 22
"""Machines of the largest space."""

_RULES = (*LEGALITY, ISA_WIDTH)  # with the second broken no configuration of any layer is right
_AT_ONCE = 1 << 18  # machines that are looked at together

ByteArray = NDArray[np.int8]


class MachineSpace:
    """Every machine of the given ranges that can be built.

    ``free`` maps a key of :data:`KEYS` to the values to consider; what is not given is as in
    ``base`` and, for the bus, as in ``timing``.  ``total`` counts all combinations, ``illegal``
    those that a rule refuses, by the first rule that does.  With ``buildable`` the rules of the
    Chisel design are among them: machines and buses that it does not elaborate for are left out.

    Raises :class:`~vtacsp.errors.HardwareError` for another key or a bad range and
    :class:`~vtacsp.errors.SpaceError` for more than :data:`MAX_MACHINES` combinations.

    >>> space = MachineSpace(free={"LOG_BLOCK": [3, 4], "LOG_WGT_BUFF_SIZE": [17, 18]})
    >>> space.total, len(space), space.illegal
    (4, 2, {'hw:uop_width': 2})
    >>> [space.sizes(machine)["LOG_WGT_BUFF_SIZE"] for machine in range(len(space))]
    [17, 18]
    >>> wide = {"LOG_BATCH": [2], "LOG_BLOCK": [3], "LOG_BUS_WIDTH": [6, 7]}
    >>> MachineSpace(free=wide, buildable=True).illegal
    {'rtl:store_row': 1}
    """

    def __init__(
        self,
        base: VTAConfig | None = None,
        free: Mapping[str, Iterable[int]] | None = None,
        timing: TimingModel = RTL,
        *,
        buildable: bool = False,
    ) -> None:
        self.buildable = buildable
        self.base = base or VTAConfig()
        self.timing = timing
        self.free = {key: _choices(key, values) for key, values in (free or {}).items()}
        now = {**self.base.symbols, BUS: (timing.bus_bytes * 8).bit_length() - 1}
        self.values = {key: self.free.get(key, (now[key],)) for key in KEYS}
        self.total = prod(map(len, self.values.values()))
        if self.total > MAX_MACHINES:
            raise SpaceError(
                f"the ranges make {self.total:,} machines, at most {MAX_MACHINES:,} can be compared"
            )
        self.illegal: dict[str, int] = {}
        parts = [self._legal(part) for part in self._parts()]
        self.table: ByteArray = np.concatenate(parts)
        """Values of :data:`KEYS` of every legal machine, int8 of shape (machines, 7)."""
        self.table.flags.writeable = False

    def _parts(self) -> Iterable[ByteArray]:
        """All combinations, those of one value of the first three keys at a time, or fewer."""
        inner = np.array(list(product(*(self.values[key] for key in SCRATCHPADS))), dtype=np.int8)
        for head in product(*(self.values[key] for key in KEYS[:3])):
            for begin in range(0, len(inner), _AT_ONCE):
                rows = inner[begin : begin + _AT_ONCE]
                part = np.empty((len(rows), len(KEYS)), dtype=np.int8)
                part[:, :3] = head
                part[:, 3:] = rows
                yield part

    def _legal(self, part: ByteArray) -> ByteArray:
        columns = _columns(part)
        symbols = {**self.base.symbols, **columns, LOG_BUS_BYTES.name: columns[BUS] - 3}
        left = legal(symbols, len(part), self.illegal, self.rules)
        return part[left]

    def __len__(self) -> int:
        return len(self.table)

    def columns(self, machines: IntArray | slice = slice(None)) -> dict[str, IntArray]:
        """Values of :data:`KEYS`, int64 of shape (machines,) each."""
        return _columns(self.table[machines])

    def symbols(self, machines: IntArray | slice = slice(None)) -> dict[str, Any]:
        """Values of all symbols of machines; those that are not free are numbers."""
        columns = self.columns(machines)
        varying = {key: columns[key] for key in KEYS if len(self.values[key]) > 1}
        fixed = {key: self.values[key][0] for key in KEYS if key not in varying}
        return {**self.base.symbols, **fixed, **varying}

    def sizes(self, machine: int) -> dict[str, int]:
        """The keys of a machine."""
        return dict(zip(KEYS, self.table[machine].tolist(), strict=True))

    def hardware(self, machine: int) -> VTAConfig:
        """The description of a machine; the bus is not part of it, see :meth:`timing_of`."""
        sizes = self.sizes(machine)
        del sizes[BUS]
        return self.base.replace(**sizes)

    def timing_of(self, machine: int) -> TimingModel:
        """The timing model of a machine: that of the space, with the bus of the machine."""
        return self.timing_on(self.sizes(machine)[BUS])

    def timing_on(self, log_bus_width: int) -> TimingModel:
        """The timing model with another bus."""
        return replace(self.timing, bus_bytes=(1 << log_bus_width) // 8)

    @cached_property
    def groups(self) -> dict[tuple[int, int, int], range]:
        """Machines that differ in scratchpads only, by their values of the first three keys."""
        if not len(self):
            return {}
        heads = self.table[:, :3]
        changes = np.flatnonzero((heads[1:] != heads[:-1]).any(axis=1)) + 1
        bounds = [0, *changes.tolist(), len(self)]
        return {tuple(heads[begin].tolist()): range(begin, end) for begin, end in pairwise(bounds)}

    def find(self, sizes: Mapping[str, int]) -> int:
        """Number of the machine with these values of :data:`KEYS`.

        Raises :class:`~vtacsp.errors.SpaceError` when it is not one of the machines.
        """
        row = np.array([sizes[key] for key in KEYS])
        group = self.groups.get(tuple(row[:3].tolist()), range(0))
        found = np.flatnonzero((self.table[group.start : group.stop] == row).all(axis=1))
        if not len(found):
            named = ", ".join(f"{key} {sizes[key]}" for key in KEYS)
            raise SpaceError(f"{named} is not one of the machines")
        return group.start + int(found[0])

    @property
    def rules(self) -> tuple[Rule, ...]:
        """What a machine has to meet."""
        return (*_RULES, *BUILDABLE) if self.buildable else _RULES


def legal(
    symbols: Mapping[str, Any],
    count: int,
    refused: dict[str, int] | None = None,
    rules: Sequence[Rule] = _RULES,
) -> BoolArray:
    """Which of ``count`` machines can be built; ``refused`` counts the others by the first rule."""
    env = Env(symbols)
    left = np.ones(count, dtype=np.bool_)
    for rule in rules:
        holds = np.broadcast_to(np.asarray(env.evaluate(rule.holds), dtype=np.bool_), left.shape)
        broken = int((left & ~holds).sum())
        if broken and refused is not None:
            refused[rule.name] = refused.get(rule.name, 0) + broken
        left &= holds
    return left


def _columns(table: ByteArray) -> dict[str, IntArray]:
    return {key: table[:, i].astype(np.int64) for i, key in enumerate(KEYS)}


def _choices(key: str, values: Iterable[int]) -> tuple[int, ...]:
    if key not in KEYS:
        raise HardwareError(f"{shortened(key)} cannot be free; keys that can are {', '.join(KEYS)}")
    allowed = BUS_RANGE if key == BUS else range(MAX_LOG + 1)
    choices = tuple(sorted(set(values)))
    if not choices:
        raise HardwareError(f"{key}: there is no value to choose from")
    for value in choices:
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            raise HardwareError(
                f"{key} is {shortened(value)}, allowed are {allowed.start} to {allowed.stop - 1}"
            )
    return choices
