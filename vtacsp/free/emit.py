"""From a schedule to its program."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.free import walk as w
from vtacsp.free.geometry import Geometry, geometry
from vtacsp.free.kernels import unpack
from vtacsp.free.schedule import FORMS, LOOPS, Schedule
from vtacsp.free.table import ACC, COLUMNS, FIELDS, KERNEL, largest, move, records
from vtacsp.free.tokens import MOST_TOKENS, derive
from vtacsp.hardware import VTAConfig
from vtacsp.program.isa import Memory, Opcode
from vtacsp.program.program import Program, Segment
from vtacsp.program.stream import Stream
from vtacsp.workload import Workload

__all__ = ["emit"]

IntArray = NDArray[np.int64]

_ROOM = 4096  # instructions of the first attempt
_UOP, _FINISH = int(Memory.UOP), int(Opcode.FINISH)


def emit(schedule: Schedule, workload: Workload, hardware: VTAConfig) -> Program:
    """The program of a schedule.

    Raises :class:`~vtacsp.errors.ScheduleError` for sizes that are not those of the layer, and
    :class:`~vtacsp.errors.ProgramError` with the cause where the machine cannot run it:
    ``sram:inp``, ``sram:wgt``, ``sram:acc``, ``sram:uop``, ``uop_hazard``, ``tokens``, or
    ``isa:`` and the field that is too narrow.
    """
    g = geometry(workload, hardware)
    schedule.check(g)
    depth = _depths(hardware)
    sizes = (g.batch, g.groups, g.inputs, g.outputs, int(g.bias))
    y, x = (*g.y,), (*g.x,)
    gap_y = g.y.gap if schedule.gather != "none" else 1
    gap_x = g.x.gap if schedule.gather == "pixels" else 1
    ints = {
        name: np.array(getattr(schedule, name), dtype=np.int64)
        for name in ("channels", "rows", "columns", "reduction", "lead", "first", "last")
    }
    cut = w.tiles(
        g.batch, *(ints[name] for name in ("channels", "rows", "columns", "first", "last")),
        schedule.order == "rows",
    )  # fmt: skip
    step = max(schedule.reduction + schedule.lead)
    inp, wgt, acc = w.measure(sizes, y, x, cut, step, (schedule.load_rows, gap_y, gap_x)).tolist()
    bias = g.outputs if g.bias else 0
    for name, need in (
        ("inp", inp * schedule.inp), ("wgt", wgt * schedule.wgt), ("acc", acc * schedule.acc + bias)
    ):  # fmt: skip
        if need > depth[name]:
            raise ProgramError(
                f"sram:{name}", f"the slots take {need} elements, the scratchpad has {depth[name]}"
            )
    rows = schedule.last[-1] if schedule.last else schedule.rows[-1]
    loads = -(-rows // (schedule.load_rows or rows))
    pieces = loads + len(schedule.finish) + len(schedule.finish_rows)
    cuts = w.Cuts(
        schedule.load_rows, int(schedule.snake), gap_y, gap_x, FORMS.index(schedule.form),
        LOOPS.index(schedule.loop), schedule.inp, schedule.wgt, schedule.acc, inp, wgt, acc, pieces,
    )  # fmt: skip
    pool = np.empty(depth["uop"], dtype=np.int64)
    finish = np.array(schedule.finish, dtype=np.int64)
    finish_rows = np.array(schedule.finish_rows, dtype=np.int64)
    n, room = 0, _ROOM
    while n == 0:
        table = np.empty((room, len(COLUMNS)), dtype=np.int64)
        code, n, begins = w.walk(
            sizes, y, x, cut, ints["reduction"], ints["lead"], finish, finish_rows, (*cuts,),
            table, pool,
        )  # fmt: skip
        if code == w.UOPS:
            raise ProgramError("sram:uop", f"more than the {depth['uop']} micro-ops that fit")
        if code == w.HAZARD:
            raise ProgramError(
                "uop_hazard", "in every form, a micro-op writes the accumulator of one of the two "
                "before it",
            )  # fmt: skip
        room *= 4
    table = _place(table[:n], begins, schedule.lead_uops, schedule.group_uops)
    too_wide = (table[:, : len(FIELDS)] > largest(hardware)).any(axis=0)
    if too_wide.any():
        name = FIELDS[int(too_wide.argmax())]
        raise ProgramError(f"isa:{name}", f"{name} is {int(table[:, too_wide.argmax()].max())}")
    loads_inp = table[:, 1] == int(Memory.INP)
    if (table[loads_inp, 4] * table[loads_inp, 5] >= depth["inp"]).any():
        raise ProgramError("sram:inp", "a single load of the whole scratchpad loses its end")
    flags, most = derive(table, schedule.inp, schedule.wgt, schedule.acc * pieces)
    if most > MOST_TOKENS:
        raise ProgramError("tokens", f"{most} tokens in a queue, whose counter ends at 255")
    return _program(table, flags, pool[: begins[-1]], workload, hardware, g)


@lru_cache(maxsize=64)
def _depths(hardware: VTAConfig) -> dict[str, int]:
    return {name: hardware.depth(name) for name in ("uop", "inp", "wgt", "acc")}


def _program(
    table: IntArray,
    flags: NDArray[np.uint8],
    pool: IntArray,
    workload: Workload,
    hardware: VTAConfig,
    g: Geometry,
) -> Program:
    n = len(table)
    which = np.arange(n, dtype=np.uint32)
    stream = Stream(records(table), which, np.zeros(n, dtype=np.uint32), flags)
    segment = Segment(0, n, [unpack(pool)])
    return Program(workload, hardware, {}, stream, (segment,), g.dram)


@njit(cache=True)  # type: ignore[misc, unused-ignore]
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
    result[n, ACC:] = 0  # an empty range
    return result[: n + 1]
