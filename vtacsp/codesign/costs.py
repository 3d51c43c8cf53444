"""What a machine costs: expressions over its sizes, and budgets for them.

Block RAMs are estimates by a rule: a scratchpad is one memory as wide as an element and as deep
as it has elements, built from whole block RAMs of one aspect ratio, the one that takes fewest.
What else a design has (queues, the registers of the array, copies for more ports) is not counted.
Aspect ratios: AMD UG473 (7 series) and UG573 (UltraScale), simple dual port.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.codesign.machines import LOG_BUS_WIDTH, MachineSpace
from vtacsp.errors import HardwareError, RuleError, shortened
from vtacsp.expr import Bool, Int, const, evaluate, if_else, minimum, pow2
from vtacsp.expr.bounds import LARGEST, largest
from vtacsp.machine.fields import UOP_BITS
from vtacsp.rules.symbols import (
    LOG_ACC_BUFF_SIZE,
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    LOG_INP_BUFF_SIZE,
    LOG_INP_WIDTH,
    LOG_UOP_BUFF_SIZE,
    LOG_WGT_BUFF_SIZE,
    LOG_WGT_WIDTH,
    depth,
)

__all__ = ["COSTS", "Budget", "Cost", "budgets_of", "known_costs", "preferred", "within"]


@dataclass(frozen=True)
class Cost:
    """Something that a machine takes, as an expression over the hardware symbols.

    ``unit`` and ``meaning`` are for people; ``estimate`` says that a rule of thumb stands behind
    the number.  Costs of your own have any name of letters, digits and ``_``.
    Raises :class:`~vtacsp.errors.RuleError` for another name, or what is no integer expression.

    DSP slices, when each does two products of 8 bits, as a cost of your own:

    >>> from vtacsp.expr import pow2
    >>> from vtacsp.rules.symbols import LOG_BATCH, LOG_BLOCK
    >>> slices = Cost("dsp", pow2(LOG_BATCH + LOG_BLOCK + LOG_BLOCK) // 2, unit="slices")
    >>> slices.of(MachineSpace(free={"LOG_BLOCK": [4, 5]})).tolist()
    [128, 512]
    """

    name: str
    value: Int
    unit: str = ""
    meaning: str = ""
    estimate: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise RuleError(
                f"the name of a cost is {shortened(self.name)}, allowed are letters, digits and _"
            )
        if not isinstance(self.value, Int):
            raise RuleError(
                f"the cost {self.name} must be an integer expression, "
                f"got {type(self.value).__name__}"
            )

    def of(self, space: MachineSpace, machines: IntArray | slice = slice(None)) -> IntArray:
        """Values for machines of a space, int64 of shape (machines,)."""
        symbols = space.symbols(machines)
        unknown = sorted(self.value.symbols - symbols.keys())
        if unknown:
            raise RuleError(
                f"cost {self.name}: {unknown[0]} is no size of a machine; known are "
                f"{', '.join(symbols)}"
            )
        ranges = {k: (int(np.min(v)), int(np.max(v))) for k, v in symbols.items() if np.size(v)}
        if ranges.keys() == symbols.keys() and largest([self.value], ranges) > LARGEST:
            raise RuleError(f"cost {self.name} may be a number that 64 bits do not hold")
        count = len(space.table[machines])
        try:
            value = evaluate(self.value, symbols)
        except ZeroDivisionError:
            raise RuleError(f"cost {self.name} divides by zero") from None
        found: IntArray = np.broadcast_to(np.asarray(value, dtype=np.int64), (count,)).copy()
        return found


_NAME = re.compile(r"[A-Za-z_]\w{0,39}", re.ASCII)


def _up(total: Int, unit: int) -> Int:
    return (total + (unit - 1)) // unit


# bits of an element
_ELEMENT: dict[str, Int] = {
    "uop": const(UOP_BITS),
    "inp": pow2(LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH),
    "wgt": pow2(LOG_BLOCK + LOG_BLOCK + LOG_WGT_WIDTH),
    "acc": pow2(LOG_BATCH + LOG_BLOCK + LOG_ACC_WIDTH),
    "out": pow2(LOG_BATCH + LOG_BLOCK + LOG_INP_WIDTH),
}
_BYTES: dict[str, Int] = {
    "uop": pow2(LOG_UOP_BUFF_SIZE),
    "inp": pow2(LOG_INP_BUFF_SIZE),
    "wgt": pow2(LOG_WGT_BUFF_SIZE),
    "acc": pow2(LOG_ACC_BUFF_SIZE),
    "out": pow2(LOG_ACC_BUFF_SIZE + LOG_INP_WIDTH - LOG_ACC_WIDTH),
}
_bytes = _BYTES["uop"] + _BYTES["inp"] + _BYTES["wgt"] + _BYTES["acc"]

# (depth, width) of a block RAM in each of its aspect ratios
RAMB18 = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
RAMB36 = ((32768, 1), (16384, 2), (8192, 4), (4096, 9), (2048, 18), (1024, 36), (512, 72))
URAM = ((4096, 72),)
_URAM_BITS = 4096 * 72


def _rams(buffer: str, ratios: Sequence[tuple[int, int]]) -> Int:
    deep = depth("acc" if buffer == "out" else buffer)
    return minimum(*(_up(_ELEMENT[buffer], w) * _up(deep, d) for d, w in ratios))


def _all(ratios: Sequence[tuple[int, int]]) -> Int:
    total: Int = const(0)
    for buffer in _BYTES:
        total = total + _rams(buffer, ratios)
    return total


def _fills(buffer: str) -> Bool:
    """At least half of the bits of the URAMs that it would take are used."""
    return 2 * (8 * _BYTES[buffer]) >= _rams(buffer, URAM) * _URAM_BITS


_urams: Int = const(0)
_beside: Int = const(0)
for _buffer in _BYTES:
    _urams = _urams + if_else(_fills(_buffer), _rams(_buffer, URAM), 0)
    _beside = _beside + if_else(_fills(_buffer), 0, _rams(_buffer, RAMB36))

COSTS: dict[str, Cost] = {
    cost.name: cost
    for cost in (
        Cost(
            "kib", _up(_bytes, 1024), "KiB", "the four scratchpads of the description, rounded up"
        ),
        Cost("bytes", _bytes, "bytes", "the same in bytes"),
        *(
            Cost(f"{name}_bytes", value, "bytes", f"the {name.upper()} scratchpad")
            for name, value in _BYTES.items()
        ),
        Cost(
            "multipliers",
            pow2(LOG_BATCH + LOG_BLOCK + LOG_BLOCK),
            "multipliers",
            "of the GEMM array: BATCH x BLOCK x BLOCK",
        ),
        Cost("bus_bytes", pow2(LOG_BUS_WIDTH - 3), "bytes", "a beat of the memory bus"),
        Cost(
            "bram18",
            _all(RAMB18),
            "RAMB18",
            "the five scratchpads in block RAMs of 18 Kbit (7 series, UltraScale)",
            estimate=True,
        ),
        Cost(
            "bram36",
            _all(RAMB36),
            "RAMB36",
            "the five scratchpads in block RAMs of 36 Kbit (7 series, UltraScale)",
            estimate=True,
        ),
        Cost(
            "uram",
            _urams,
            "URAM",
            "UltraScale+: scratchpads that fill at least half of their UltraRAMs (4,096 x 72)",
            estimate=True,
        ),
        Cost(
            "bram36_beside_uram",
            _beside,
            "RAMB36",
            "UltraScale+: the scratchpads that are not in UltraRAM",
            estimate=True,
        ),
    )
}
"""Built-in costs by name.

>>> COSTS["kib"].unit, COSTS["bram36"].estimate
('KiB', True)
>>> int(COSTS["kib"].of(MachineSpace())[0])  # the default machine
448
"""


def known_costs(own: Iterable[Cost] = ()) -> dict[str, Cost]:
    """The built-in costs and yours.

    Raises :class:`~vtacsp.errors.RuleError` for a name that is there twice.
    """
    known = dict(COSTS)
    for cost in own:
        if cost.name in known or cost.name == "cycles":
            raise RuleError(f"there is a cost {cost.name} already")
        known[cost.name] = cost
    return known


@dataclass(frozen=True)
class Budget:
    """At most so much of a cost: ``kib<=600``.

    >>> budget = Budget.parse("kib<=300")
    >>> budget.cost.unit, budget.most, str(budget)
    ('KiB', 300, 'kib<=300')
    """

    cost: Cost
    most: int

    def __str__(self) -> str:
        return f"{self.cost.name}<={self.most}"

    @classmethod
    def parse(cls, text: str, costs: Mapping[str, Cost] = COSTS) -> Budget:
        """From ``NAME<=NUMBER``; raises :class:`~vtacsp.errors.HardwareError`."""
        match = _BUDGET.fullmatch(text.strip())
        if match is None:
            raise HardwareError(
                f"budget {shortened(text)} is not COST<=NUMBER with an integer from 0 up"
            )
        if match["name"] not in costs:
            raise HardwareError(
                f"budget {shortened(text)}: no cost {shortened(match['name'])}; "
                f"costs are {', '.join(costs)}"
            )
        return cls(costs[match["name"]], int(match["most"]))


_BUDGET = re.compile(r"(?P<name>[A-Za-z_]\w*)\s*<=\s*(?P<most>[0-9]{1,18})", re.ASCII)


def budgets_of(texts: Iterable[str], costs: Mapping[str, Cost] = COSTS) -> tuple[Budget, ...]:
    """Budgets from words.

    Raises :class:`~vtacsp.errors.HardwareError` for what is none, and for a cost given twice.
    """
    budgets: dict[str, Budget] = {}
    for text in texts:
        budget = Budget.parse(text, costs)
        if budget.cost.name in budgets:
            raise HardwareError(f"budget {shortened(text)}: {budget.cost.name} is given twice")
        budgets[budget.cost.name] = budget
    return tuple(budgets.values())


def within(space: MachineSpace, budgets: Iterable[Budget]) -> tuple[BoolArray, dict[str, int]]:
    """Which machines are within all budgets, and how many are not, by the first that they break."""
    left = np.ones(len(space), dtype=np.bool_)
    over = {}
    for budget in budgets:
        breaks = left & (budget.cost.of(space) > budget.most)
        over[str(budget)] = int(breaks.sum())
        left &= ~breaks
    return left, over


def preferred(space: MachineSpace) -> IntArray:
    """Rank of every machine among equals: the fewest bytes first, then the smallest sizes."""
    order = np.lexsort((np.arange(len(space)), COSTS["bytes"].of(space)))
    rank = np.empty(len(space), dtype=np.int64)
    rank[order] = np.arange(len(space))
    return rank
