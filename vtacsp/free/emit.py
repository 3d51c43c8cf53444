"""From a schedule to its program.

Independent of the rules of free schedules (:mod:`.rules`, :mod:`.demand`) on purpose, as all that
makes programs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import SRAM_ACC, SRAM_INP, SRAM_UOP, SRAM_WGT, UOP_HAZARD, too_large
from vtacsp.errors import ProgramError
from vtacsp.free.dependences import MOST_TOKENS, derive
from vtacsp.free.epilogue import EpiloguePasses, chain_of
from vtacsp.free.micro_ops import micro_op_columns
from vtacsp.free.multiply import HAZARD, UOPS
from vtacsp.free.schedule import FORMS, LOOPS, Schedule
from vtacsp.free.table import COLUMNS, FIELDS, KERNEL, field_limits, move, records, too_wide
from vtacsp.free.tiles import TILE, measure, tile_table
from vtacsp.free.walk import walk
from vtacsp.free.window_tiles import NO_TAP, window_layout
from vtacsp.free.window_walk import walk_windows
from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Opcode, fits
from vtacsp.operators.geometry import Geometry, geometry
from vtacsp.operators.workload import Workload
from vtacsp.program.program import Program, Segment
from vtacsp.program.stream import Stream

__all__ = ["emit", "lower", "slots_that_fit"]

_ROOM = 4096  # instructions of the first attempt
_UOP, _FINISH = int(Memory.UOP), int(Opcode.FINISH)


def emit(schedule: Schedule, workload: Workload, hardware: VTAConfig) -> Program:
    """The program of a schedule.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that the machine cannot pack or whose
    epilogue its ALU cannot run, :class:`~vtacsp.errors.ScheduleError` for sizes that are not those
    of the layer, and :class:`~vtacsp.errors.ProgramError` with the cause where the machine cannot
    run it: ``sram:inp``, ``sram:wgt``, ``sram:acc``, ``sram:uop``, ``uop_hazard``, ``tokens``, or
    ``isa:`` and the field that is too narrow.

    >>> schedule = Schedule(channels=(2,), rows=(1,), columns=(1,), reduction=(1, 1))
    >>> len(emit(schedule, Dense(in_features=32, out_features=32), VTAConfig()))
    14
    """
    g = geometry(workload, hardware)
    schedule.check(g)
    stream, pool = lower(schedule, workload, hardware)
    segment = Segment(0, len(stream.which), [micro_op_columns(pool)])
    dram = {**g.dram, "acc": chain_of(workload, hardware).elements}
    return Program(workload, hardware, {}, stream, (segment,), dram)


def lower(schedule: Schedule, workload: Workload, hardware: VTAConfig) -> tuple[Stream, IntArray]:
    """Instructions and packed micro-ops of a schedule whose sizes are those of the layer.

    That is all that timing needs; raises as :func:`emit`.
    """
    g = geometry(workload, hardware)
    if not fits(hardware):
        raise ProgramError("isa:instruction", "GEMM or ALU instructions do not fit 128 bits")
    depth = _depths(hardware)
    noted = _noted(schedule, g, chain_of(workload, hardware), depth)
    table = _place(noted.table, noted.begins, schedule.lead_uops, schedule.group_uops)
    column = too_wide(table, field_limits(hardware))
    if column >= 0:
        name = FIELDS[column]
        raise ProgramError(f"isa:{name}", f"{name} is {int(table[:, column].max())}")
    for cause, memory in (
        (SRAM_INP, Memory.INP), (SRAM_WGT, Memory.WGT), *([(SRAM_ACC, Memory.ACC)] * g.on_alu)
    ):  # fmt: skip
        loads = table[:, 1] == int(memory)  # of no other instruction
        if (table[loads, 4] * table[loads, 5] >= depth[memory.name.lower()]).any():
            # rtl:whole:inp, rtl:whole:wgt, rtl:whole:acc; the first two were measured
            raise ProgramError(cause, "a single load of the whole scratchpad loses its end")
    flags, most = derive(table, *noted.pieces)
    if most > MOST_TOKENS:
        raise ProgramError("tokens", f"{most} tokens in a queue, whose counter ends at 255")
    n = len(table)
    which = np.arange(n, dtype=np.uint32)
    return Stream(records(table), which, np.zeros(n, dtype=np.uint32), flags), noted.pool


class _Noted(NamedTuple):
    """The instructions of a schedule, its micro-ops and where their kernels begin.

    ``pieces``: those of all slots of inputs, weights and accumulators.
    """

    table: IntArray
    begins: IntArray
    pool: IntArray
    pieces: tuple[int, int, int]


def _noted(schedule: Schedule, g: Geometry, chain: EpiloguePasses, depth: dict[str, int]) -> _Noted:
    """The walk over a schedule; raises :class:`~vtacsp.errors.ProgramError` as :func:`emit`."""
    p = _prepare(schedule, g, chain)
    for name, more in (("inp", 0), ("wgt", 0), ("acc", p.beside(chain, g))):
        need = p.sizes[name] * getattr(schedule, name) + more
        if need > depth[name]:
            raise ProgramError(
                too_large(name), f"the slots take {need} elements, the scratchpad has {depth[name]}"
            )
    rows = int(p.tiles[-1, TILE.index("rows")])
    loads = -(-rows // (schedule.load_rows or rows))
    pieces = (
        max(len(schedule.begin), 1) * max(len(schedule.begin_rows), 1),
        max(len(schedule.begin), 1),
        loads + len(schedule.finish) + len(schedule.finish_rows),
    )
    slots = (schedule.inp, schedule.wgt, schedule.acc)
    form = FORMS.index(schedule.form), int(schedule.join), LOOPS.index(schedule.loop)
    order = schedule.load_rows, schedule.begin_steps, schedule.clear_ahead, int(schedule.snake)
    cuts = (*order, *p.gaps, *form, *slots, *p.sizes.values(), *pieces)  # Cuts
    pool = np.empty(depth["uop"], dtype=np.int64)
    names = ("reduction", "lead", "begin", "begin_rows", "finish", "finish_rows")
    parts = tuple(_ints(getattr(schedule, name)) for name in names)
    tail = chain.passes, chain.preload
    n, room = 0, _ROOM
    while n == 0:
        table = np.empty((room, len(COLUMNS)), dtype=np.int64)
        if p.windows is None:
            code, n, begins = walk(p.layer, tail, p.tiles, parts, cuts, table, pool)
        else:
            code, n, begins = walk_windows(
                (*p.layer, g.join), chain.passes, p.tiles, p.windows.kept,
                (*p.windows.tap, *p.gaps, form[0], schedule.acc, p.sizes["acc"], *p.windows.places,
                 p.sizes["acc"] if chain.tensors else 0), table, pool,
            )  # fmt: skip
        if code == UOPS:
            raise ProgramError(SRAM_UOP, f"more than the {depth['uop']} micro-ops that fit")
        if code == HAZARD:
            raise ProgramError(
                UOP_HAZARD, "in every form, a micro-op writes the accumulator of one of the two "
                "before it",
            )  # fmt: skip
        room *= 4
    used = tuple(n * some for n, some in zip(slots, pieces, strict=True))
    return _Noted(table[:n], begins, pool[: begins[-1]], (used[0], used[1], used[2]))


def slots_that_fit(schedule: Schedule, workload: Workload, hardware: VTAConfig) -> Schedule | None:
    """The schedule with no more slots than fit the scratchpads; None when one is too large."""
    g, chain = geometry(workload, hardware), chain_of(workload, hardware)
    depth = _depths(hardware)
    p = _prepare(schedule, g, chain)
    sizes = p.sizes
    room = {**depth, "acc": depth["acc"] - p.beside(chain, g)}
    slots = {
        name: min(getattr(schedule, name), room[name] // max(sizes[name], 1))
        for name in ("inp", "wgt", "acc")
    }
    if min(slots.values()) < 1:
        return None
    same = all(getattr(schedule, name) == number for name, number in slots.items())
    return schedule if same else schedule.changed(**slots)


class _Windows(NamedTuple):
    """The windows of what the ALU runs by itself.

    ``tap`` is the one that is loaded in place, ``kept`` are rows that stay, ``places`` the sizes
    of where they lie (:func:`.window_tiles.window_layout`).
    """

    tap: tuple[int, int]
    kept: IntArray
    places: tuple[int, int, int]

    @property
    def size(self) -> int:
        """Accumulators of all windows."""
        kept, main, beside = self.places
        return 2 * kept + main + beside


class _Prepared(NamedTuple):
    """A layer in numbers, the tiles of a schedule, and what its slots have to hold."""

    layer: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    tiles: IntArray
    gaps: tuple[int, int]
    sizes: dict[str, int]
    windows: _Windows | None = None

    def beside(self, chain: EpiloguePasses, g: Geometry) -> int:
        """Accumulators beside the slots of the tiles: operands of the epilogue, windows."""
        windows = 0 if self.windows is None else self.windows.size
        return chain.room(g.outputs, self.sizes["acc"]) + windows


def _prepare(schedule: Schedule, g: Geometry, chain: EpiloguePasses) -> _Prepared:
    """What does not depend on slots; the search asks for it twice in a row."""
    sizes = tuple(getattr(schedule, name) for name in _PREPARED)
    return _prepared(sizes, schedule.order == "rows", g, chain.channels)


_PREPARED = (
    *("channels", "rows", "columns", "first", "last"),
    *("reduction", "lead", "load_rows", "gather"),
)  # fmt: skip


@lru_cache(maxsize=4)
def _prepared(fields: tuple[Any, ...], by_rows: bool, g: Geometry, channels: int) -> _Prepared:
    *parts, reduction, lead, load_rows, gather = fields
    layer = (g.batch, g.groups, g.inputs, g.outputs, channels), (*g.y,), (*g.x,)
    if g.on_alu:
        return _prepared_windows(parts, by_rows, g, layer, gather)
    gap_y = g.y.gap if gather != "none" else 1
    gap_x = g.x.gap if gather == "pixels" else 1
    cut = tile_table(g.batch, tuple(map(_ints, parts)), by_rows)
    step = max(reduction + lead)
    found = measure(layer, cut, step, (load_rows, gap_y, gap_x)).tolist()
    return _Prepared(
        layer, cut, (gap_y, gap_x), dict(zip(("inp", "wgt", "acc"), found, strict=True))
    )


def _prepared_windows(
    parts: list[tuple[int, ...]], by_rows: bool, g: Geometry, layer: Any, gather: str
) -> _Prepared:
    tap = g.own_tap if gather == "pixels" or g.kernel == 1 else None
    gaps = (g.y.gap, 1) if tap is None else (1, g.x.gap)
    cut = tile_table(g.batch, tuple(map(_ints, parts)), by_rows)
    _, y, x = layer
    where = (NO_TAP, NO_TAP) if tap is None else tap
    kept, places = window_layout(y, x, cut, *where, *gaps)
    kept_size, main, beside = places.tolist()
    tile = int((cut[:, 2] * cut[:, 4] * cut[:, 6]).max())
    return _Prepared(
        layer, cut, gaps, {"inp": 0, "wgt": 0, "acc": tile},
        _Windows(where, kept, (kept_size, main, beside)),
    )  # fmt: skip


def _ints(sizes: tuple[int, ...]) -> IntArray:
    return np.array(sizes, dtype=np.int64)


@lru_cache(maxsize=64)
def _depths(hardware: VTAConfig) -> dict[str, int]:
    return {name: hardware.depth(name) for name in ("uop", "inp", "wgt", "acc")}


@jit
def _place(table, begins, lead, group):  # type: ignore[no-untyped-def]
    """The table with loads of micro-ops in front of their first use, and FINISH at its end."""
    kernels = len(begins) - 1
    result = np.empty((len(table) + kernels + 1, table.shape[1]), np.int64)
    n = loaded = 0
    for i in range(len(table)):
        while table[i, KERNEL] >= loaded:
            some = lead if loaded == 0 else group if group else kernels
            end = min(loaded + some, kernels)
            begin, size = begins[loaded], begins[end] - begins[loaded]
            n = move(result, n, _UOP, begin, begin, 1, size, size)
            loaded = end
        result[n] = table[i]
        n += 1
    result[n, :] = 0
    result[n, KERNEL:] = -1
    result[n, 0] = _FINISH
    return result[: n + 1]
