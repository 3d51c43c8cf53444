"""The words in which rules about free schedules are written: a schedule is a list of integers.

A field of a schedule is a symbol of its name: a number, the place of a word among those that are
allowed, or the number of a partition.  Partitions are numbered as they are met, so such a number
means something within one process only, and is never saved.  What is known of a partition is said
by functions: ``largest(rows) <= 7``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from functools import lru_cache

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.epilogue.steps import CHANNEL, TENSOR
from vtacsp.expr import Int, Symbol, named, table
from vtacsp.free import demand as walk
from vtacsp.free import window_demand as window_walk
from vtacsp.free.schedule import FORMS, GATHERS, LOOPS, ORDERS, Schedule, Sizes
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp
from vtacsp.operators.geometry import AxisGeometry, geometry
from vtacsp.operators.workload import Workload
from vtacsp.rules.symbols import CI, CO, KH, KW, OH, OW, G, N, depth

__all__ = [
    "FIELDS",
    "FREE_SYMBOLS",
    "PARTITIONS",
    "PROCEDURES",
    "WINDOWED",
    "WINDOW_OP",
    "WORDS",
    "chunk_size",
    "closing",
    "coded",
    "columns_of",
    "crosses",
    "decoded",
    "demanded",
    "input_columns",
    "input_rows",
    "largest",
    "number",
    "numbers",
    "opening",
    "own_tap",
    "parts",
    "pass_count",
    "schedule_of",
    "schedule_symbols",
    "sizes_of",
    "smallest",
    "total",
    "window_demanded",
]  # fmt: skip

FREE_SYMBOLS: dict[str, Symbol] = {}
"""The symbols that rules about other things do not have."""


def _symbol(name: str, meaning: str) -> Symbol:
    FREE_SYMBOLS[name] = Symbol(name, meaning)
    return FREE_SYMBOLS[name]


channels = _symbol("channels", "partition of the output channel blocks")
rows = _symbol("rows", "partition of the output rows")
columns = _symbol("columns", "partition of the output columns")
reduction = _symbol("reduction", "partition of the input channel blocks: the steps of a tile")
lead = _symbol("lead", "the steps of the very first tile, empty: as every other")
first = _symbol("first", "rows into which the first tile is cut, empty: it is not")
last = _symbol("last", "rows into which the last tile is cut, empty: it is not")
begin = _symbol("begin", "channel blocks of the pieces of the first steps, empty: none")
begin_rows = _symbol("begin_rows", "rows of these pieces, empty: all of a load")
begin_steps = _symbol("begin_steps", "how many of the first steps are cut into pieces")
clear_ahead = _symbol("clear_ahead", "how many tiles are cleared with the first one")
finish = _symbol("finish", "channel blocks of the pieces of the last step, empty: none")
finish_rows = _symbol("finish_rows", "rows of the last of these pieces, empty: all")
load_rows = _symbol("load_rows", "output rows whose input is loaded at a time, 0: all of a tile")
order = _symbol("order", "what the outer loop runs over: 0 rows, 1 channels")
snake = _symbol("snake", "1 when every other tile takes its steps backwards")
gather = _symbol("gather", "what is left out between needed inputs: 0 nothing, 1 rows, 2 pixels")
form = _symbol("form", "what a GEMM instruction covers: 0 a column, 1 a row, 2 a tap, 3 all")
join = _symbol("join", "1 when parts of the kernel that run alike share an instruction")
loop = _symbol("loop", "the channel loop that runs in hardware first: 0 input, 1 output")
inp = _symbol("inp", "slots of the input scratchpad")
wgt = _symbol("wgt", "slots of the weight scratchpad")
acc = _symbol("acc", "slots of the accumulator")
lead_uops = _symbol("lead_uops", "kernels whose micro-ops are loaded before the first tile")
group_uops = _symbol("group_uops", "kernels whose micro-ops are loaded at a time, 0: the rest")

FIELDS = tuple(spec.name for spec in fields(Schedule))
"""The fields of a schedule: every rule is over these, the layer and the machine."""

WORDS: Mapping[str, tuple[object, ...]] = {
    "order": ORDERS, "gather": GATHERS, "form": FORMS, "loop": LOOPS, "snake": (False, True),
    "join": (False, True),
}  # fmt: skip
"""The fields that are words, and what they may say."""

PARTITIONS = walk.Partitions._fields
"""The fields that are partitions."""

IN_H = _symbol("IN_H", "rows of the input as it lies in DRAM")
IN_W = _symbol("IN_W", "columns of the input as it lies in DRAM")
STEP_H = _symbol("STEP_H", "input rows from one output row to the next")
STEP_W = _symbol("STEP_W", "input columns from one output column to the next")
EDGE_H = _symbol("EDGE_H", "rows by which the first output reaches over the input's edge")
EDGE_W = _symbol("EDGE_W", "columns by which the first output reaches over the input's edge")
DATA_H = _symbol("DATA_H", "every so many-th input row holds data: 1, or a dilated input's stride")
DATA_W = _symbol("DATA_W", "every so many-th input column holds data")
ALU_CODE = _symbol(
    "ALU_CODE",
    "digits to base 3 behind a 1, the last pass last: 1 takes a value per channel, 2 a tensor, 0 "
    "neither",
)
PRELOAD = _symbol("PRELOAD", "1 when a tensor is loaded in place of the reset")
WINDOW_OP = _symbol(
    "WINDOW_OP",
    "0 of a layer that multiplies, else the ALU operation that joins the values of a window, "
    "counted from 1",
)

_sizes: list[Sizes] = [()]
_numbers: dict[Sizes, int] = {(): 0}


def number(sizes: Sizes) -> int:
    """The number of a partition; 0 is the empty one.

    >>> from vtacsp.free.schedule_fields import number
    >>> number((4, 4, 2)) == number((4, 4, 2)) > 0
    True
    """
    known = _numbers.get(sizes)
    if known is None:
        known = _numbers[sizes] = len(_sizes)
        _sizes.append(sizes)
    return known


def sizes_of(value: int) -> Sizes:
    """The partition with a number; the inverse of :func:`number`."""
    return _sizes[value]


def numbers(schedule: Schedule) -> dict[str, int]:
    """A schedule as the values of its symbols."""
    return {name: coded(name, getattr(schedule, name)) for name in FIELDS}


def coded(name: str, value: object) -> int:
    """The value of a field as an integer."""
    if name in PARTITIONS:
        assert isinstance(value, tuple)
        return number(value)
    if name in WORDS:
        return WORDS[name].index(value)
    assert isinstance(value, int)
    return value


def decoded(name: str, value: int) -> object:
    """What an integer says as the value of a field; the inverse of :func:`coded`."""
    if name in PARTITIONS:
        return _sizes[value]
    return WORDS[name][value] if name in WORDS else value


def schedule_of(values: Mapping[str, int]) -> Schedule:
    """The schedule with these values; the inverse of :func:`numbers`."""
    return Schedule(**{name: decoded(name, int(values[name])) for name in FIELDS})  # type: ignore[arg-type]


def columns_of(schedules: Iterable[Schedule]) -> dict[str, IntArray]:
    """Schedules as an array per field."""
    coded_rows = [numbers(schedule) for schedule in schedules]
    return {name: np.array([row[name] for row in coded_rows], dtype=np.int64) for name in FIELDS}


def schedule_symbols(workload: Workload, hardware: VTAConfig) -> dict[str, int]:
    """The symbols of a layer and a machine.

    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer.
    """
    g = geometry(workload, hardware)
    passes = [*workload.chain.passes]
    preload = bool(passes) and passes[0].op == "add" and passes[0].kind == TENSOR and not g.on_alu
    code = 1
    for p in passes[1:] if preload else passes:
        code = 3 * code + {CHANNEL: 1, TENSOR: 2}.get(p.kind, 0)
    if g.lies_alone and code == 1:
        code = 3
    layer = {"N": g.batch, "G": g.groups, "CI": g.inputs, "CO": g.outputs}
    for name, axis in (("H", g.y), ("W", g.x)):
        layer |= {
            f"O{name}": axis.out, f"K{name}": axis.kernel, f"IN_{name}": axis.size,
            f"STEP_{name}": axis.stride, f"EDGE_{name}": axis.pad, f"DATA_{name}": axis.dilation,
        }  # fmt: skip
    return {
        **layer,
        "ALU_CODE": code,
        "PRELOAD": int(preload),
        "WINDOW_OP": g.join + 1,
        **hardware.symbols,
    }


def _of_sizes(name: str, function: Callable[[Sizes], int]) -> Callable[[Int], Int]:
    def of_number(value: int) -> int:
        return function(_sizes[value])

    def build(partition: Int) -> Int:
        return table(name, of_number, partition)

    return build


total = _of_sizes("total", sum)
"""What a partition adds up to."""

parts = _of_sizes("parts", len)
"""How many parts a partition has.

>>> from vtacsp.free.schedule_fields import parts, rows
>>> vtacsp.expr.to_text(parts(rows) <= 4)
'parts(rows) <= 4'
"""

largest = _of_sizes("largest", lambda sizes: max(sizes, default=0))
"""The largest part of a partition, 0 of the empty one."""

smallest = _of_sizes("smallest", lambda sizes: min(sizes, default=0))
"""The smallest part of a partition, 0 of the empty one."""

opening = _of_sizes("opening", lambda sizes: sizes[0] if sizes else 0)
"""The first part of a partition, 0 of the empty one."""

closing = _of_sizes("closing", lambda sizes: sizes[-1] if sizes else 0)
"""The last part of a partition, 0 of the empty one."""


def crosses(partition: Int, per_group: Int) -> Int:
    """1 when a part of a partition of blocks crosses a group of so many."""
    return table("crosses", _crosses, partition, per_group)


def _crosses(sizes: int, per_group: int) -> int:
    low = 0
    for size in _sizes[sizes]:
        if low // per_group != (low + size - 1) // per_group:
            return 1
        low += size
    return 0


def pass_count(kind: int) -> Int:
    """How many passes of the epilogue take a value per channel (1) or a tensor (2)."""
    return table(("", "channel_passes", "tensor_passes")[kind], _PASSES[kind], ALU_CODE)


def _passes(code: int) -> list[int]:
    """The digits of :data:`ALU_CODE`."""
    digits: list[int] = []
    while code > 1:
        code, kind = divmod(code, 3)
        digits.insert(0, kind)
    return digits


_PASSES: Mapping[int, Callable[[int], int]] = {
    1: lambda code: _passes(code).count(1),
    2: lambda code: _passes(code).count(2),
}

Y = (IN_H, OH, KH, STEP_H, EDGE_H, DATA_H)
X = (IN_W, OW, KW, STEP_W, EDGE_W, DATA_W)


def own_tap(*axis: Int) -> Int:
    """A tap of an axis that all outputs have, with an input of its own; -1: there is none."""
    return table("own_tap", _own_tap, *axis)


def _own_tap(*axis: int) -> int:
    found = AxisGeometry(*axis).own_tap
    return -1 if found is None else found


def input_rows() -> Int:
    """Input rows of the largest load, where neither first nor last tile is cut."""
    return named("input_rows", table("input_rows", _lines, rows, load_rows, _gathered(1), *Y))


def input_columns() -> Int:
    """Input columns of the widest load."""
    lines = table("input_columns", _lines, columns, 0, _gathered(2), *X)
    return named("input_columns", lines)


def _gathered(least: int) -> Int:
    return table(f"gathers_{GATHERS[least]}", lambda value: int(value >= least), gather)


@lru_cache(maxsize=1 << 16)
def _lines(sizes: int, at_a_time: int, gathers: int, *axis: int) -> int:
    """Rows or columns of the largest load of a partition."""
    most = low = 0
    gap = AxisGeometry(*axis).gap if gathers else 1
    for size in _sizes[sizes]:
        end = low + size
        while low < end:
            high = min(low + (at_a_time or size), end)
            most = max(most, walk.lines(axis, low, high, gap))
            low = high
    return most


PROCEDURES: Mapping[str, str] = {
    "own_tap": "a tap that all outputs have, with an input of its own; -1: there is none",
    "input_rows": "input rows of the largest load, where neither first nor last tile is cut",
    "input_columns": "input columns of the widest load",
    "inp_chunk": "elements of the largest input chunk of all tiles and steps",
    "wgt_chunk": "elements of the largest weight chunk",
    "acc_tile": "elements of the largest tile",
    "windows": "elements of the windows of what the ALU runs by itself, behind its tiles",
    "loaded": "accumulators of data that the ALU's own layers load, each as often as it is loaded",
    "loads": "instructions that load them, or a tensor of the epilogue",
    "kernels": "instructions that reset or compute in such a layer",
    "whole_acc": "elements of the largest single load of such data",
    "micro_ops": "micro-ops of all kernels, those that are alike counted once",
    "fits": "1 when each product has a form whose kernels fit beside those before them",
    "rewritten": "1 when a product has no form that leaves an accumulator alone for two micro-ops",
    "tokens": "the most tokens that a queue can hold at a time",
    "size": "the largest size of a copy",
    "stride": "the largest stride of a copy",
    "whole": "elements of the largest single load of inputs",
    "whole_wgt": "elements of the largest single load of weights",
    "loop": "iterations of the longest hardware loop",
    "wide_acc": "the largest factor of an accumulator index",
    "wide_src": "the largest factor of a source index in a GEMM or a reset",
    "wide_wgt": "the largest factor of a weight index",
}
"""What is a procedure, or a formula with a name, in rules."""

DEMANDING = tuple(name for name in FIELDS if name not in ("lead_uops", "group_uops"))
_LAYER = (N, G, CI, CO, *Y, *X, ALU_CODE, PRELOAD)


def demanded(name: str) -> Int:
    """One of the numbers of :func:`vtacsp.free.demand.demand`: of the whole schedule."""
    place = walk.NUMBERS.index(name)

    def of_numbers(*values: int) -> int:
        return _demand(values)[place]

    symbols = (FREE_SYMBOLS[f] for f in DEMANDING)
    return named(name, table(name, of_numbers, *symbols, *_LAYER, depth("uop")))


WINDOWED = ("channels", "rows", "columns", "first", "last", "order", "gather", "form", "acc")
"""What says something of a layer that the ALU runs by itself, but for when micro-ops are loaded."""


def window_demanded(name: str) -> Int:
    """One of the numbers of :func:`vtacsp.free.window_demand.window_needs`."""
    place = window_walk.NUMBERS.index(name)

    def of_numbers(*values: int) -> int:
        return _window_demand(values)[place]

    symbols = (FREE_SYMBOLS[f] for f in WINDOWED)
    return named(
        name, table(name, of_numbers, *symbols, N, CO, *Y, *X, ALU_CODE, WINDOW_OP, depth("uop"))
    )


@lru_cache(maxsize=1 << 14)
def _window_demand(values: tuple[int, ...]) -> list[int]:
    *partitions, by_rows, gathers, shape, slots = values[: len(WINDOWED)]
    batch, blocks, *axes, code, join, most = values[len(WINDOWED) :]
    layer = window_walk.WindowLayer(
        batch, blocks, AxisGeometry(*axes[:6]), AxisGeometry(*axes[6:]), tuple(_passes(code)),
        join != 1 + int(AluOp.ADD),
    )  # fmt: skip
    cuts = {name: _sizes[sizes] for name, sizes in zip(WINDOWED, partitions, strict=False)}
    windows = window_walk.WindowSchedule(
        **cuts, by_rows=by_rows == 0, pixels=gathers == 2, form=shape, acc=slots
    )
    return window_walk.window_needs(layer, windows, most)


SIZED = (
    *("channels", "rows", "columns", "reduction", "lead", "first", "last"),
    *("order", "load_rows", "gather"),
)  # fmt: skip
"""What chunks and tiles depend on."""


def chunk_size(name: str) -> Int:
    """Elements of the largest ``inp_chunk`` or ``wgt_chunk``, or of the largest ``acc_tile``."""
    place = walk.NUMBERS.index(name)

    def of_numbers(*values: int) -> int:
        return _chunks(values)[place]

    symbols = (FREE_SYMBOLS[f] for f in SIZED)
    return named(name, table(name, of_numbers, *symbols, G, CI, CO, N, *Y, *X))


@lru_cache(maxsize=1 << 14)
def _chunks(values: tuple[int, ...]) -> list[int]:
    at = dict(zip(SIZED, values, strict=False))
    groups, inputs, outputs, batch, *axes = values[len(SIZED) :]
    y, x = AxisGeometry(*axes[:6]), AxisGeometry(*axes[6:])
    gap_y, gap_x = (y.gap if at["gather"] >= 1 else 1), (x.gap if at["gather"] >= 2 else 1)
    sizes = tuple(np.array(_sizes[at.get(name, 0)], dtype=np.int64) for name in PARTITIONS)
    found: list[int] = walk.chunks(
        ((batch, groups, inputs, outputs), (*y,), (*x,)), sizes, int(at["order"] == 0),
        at["load_rows"], gap_y, gap_x,
    ).tolist()  # fmt: skip
    return found


@lru_cache(maxsize=1 << 14)
def _demand(values: tuple[int, ...]) -> list[int]:
    at = dict(zip(DEMANDING, values, strict=False))
    batch, groups, inputs, outputs, *axes, code, preload, most = values[len(DEMANDING) :]
    y, x = AxisGeometry(*axes[:6]), AxisGeometry(*axes[6:])
    gap_y, gap_x = (y.gap if at["gather"] >= 1 else 1), (x.gap if at["gather"] >= 2 else 1)
    own = walk.Axes(
        at["load_rows"], at["begin_steps"], at["clear_ahead"], at["order"] == 0, at["snake"],
        gap_y, gap_x, at["form"], at["join"], at["loop"], at["inp"], at["wgt"], at["acc"],
    )  # fmt: skip
    sizes = tuple(np.array(_sizes[at[name]], dtype=np.int64) for name in PARTITIONS)
    found: list[int] = walk.demand(
        ((batch, groups, inputs, outputs), (*y,), (*x,)), np.array(_passes(code), dtype=np.int64),
        preload, sizes, (*map(int, own),), most,
    ).tolist()  # fmt: skip
    return found
