"""The convolutions: copies and kernels of a tile.

Loop nest (``vta_conv2d.py`` and its siblings of TVM's ``vta/python/vta/top``), outer to inner:
batch, h0, co0, w0; per output tile: reset, for ci0 {load data, load weights, GEMM}, epilogue,
store.  ``oc_nthread`` splits co0, ``h_nthread`` splits h0.

Independent of ``nest`` and ``rules`` on purpose: two oracles that are compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from vtacsp.causes import DMA_2D_ACC, DMA_2D_INP, DMA_2D_WGT, UOP_SIGNATURE, VTHREAD_SPLIT
from vtacsp.epilogue.program import (
    Slots,
    check_chain,
    check_store,
    elements_out_of_place,
    epilogue,
    operand_bases,
    wrap_epilogue,
)
from vtacsp.epilogue.steps import CHANNEL, Epilogue
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Module
from vtacsp.operators.conv2d.tiling import Tiling, symbols_of
from vtacsp.operators.workload import Workload
from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy, PaddedAxis, PerTile, StridedAxis, Transfer, padded, plain
from vtacsp.program.kernel import Kernel, KernelLoop, record_gemm
from vtacsp.program.loops import Call, Loop, Scope, Statement
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue
from vtacsp.program.scratchpad import ScratchpadAllocator

__all__ = ["build", "build_tiled"]

Bases = Mapping[str, list[int]]
"""First element of every buffer of every thread."""

MAX_THREADS = 4
"""Both virtual threads at once."""


def build(
    workload: Workload, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a convolution, plain or grouped."""
    tiling = Tiling(symbols_of(workload, hardware), hardware, config)
    return build_tiled(tiling, workload, config, queue)


def build_tiled(
    t: Tiling,
    workload: Workload,
    config: Mapping[str, int],
    queue: Queue,
    *,
    loop_is_function: bool = True,
) -> Program:
    """Build the program of a convolution that is tiled so."""
    hardware = t.hardware
    pads = ScratchpadAllocator(hardware)
    pads.fits_alone(acc=t.acc_tile, inp=t.inp_tile if t.span_is_constant else 0, wgt=t.wgt_tile)
    chain = workload.chain
    slots = Slots(chain, t.acc_tile, t.co1)
    if slots.acc:
        _left_guards(t, chain)
    inp, wgt = _inp_copy(t), _wgt_copy(t)
    s = t.s
    tensor = s["N"] * s["CO"] * s["OH"] * s["OW"]
    starts, acc_elements = operand_bases(
        (s["N"] * s["CO"] if kind == CHANNEL else tensor for kind in chain.operands), hardware
    )
    operands = {
        number: _operand_copy(t, kind, start)
        for number, (kind, start) in enumerate(zip(chain.operands, starts, strict=True))
    }
    if not t.guarded_h:
        check_store(chain)
    out = _out_copy(t)
    bases = _allocate(t, pads, chain, slots)
    check_chain(chain, out_of_place=t.threads == MAX_THREADS)
    if t.threads == MAX_THREADS:
        raise ProgramError(UOP_SIGNATURE, "a kernel with two free variables, one per thread")
    tiles = {"b": t.s["N"], "h": t.h0, "co": t.co0, "w": t.w0, "k": t.ci0}
    a = Assembly(hardware, tiles, {"h": t.h_threads, "co": t.oc_threads})
    _gemm(t, a, bases)
    a.load("inp", Memory.INP, inp, bases["inp"])
    a.load("wgt", Memory.WGT, wgt, bases["wgt"])
    area = t.h1 * t.w1
    tile = [KernelLoop(t.co1, area, area), KernelLoop(t.h1, t.w1, t.w1), KernelLoop(t.w1, 1, 1)]
    add = [KernelLoop(t.co1, area, 1), KernelLoop(t.h1, t.w1, 0), KernelLoop(t.w1, 1, 0)]
    epilogue(a, chain, tile, add, slots, bases["acc"], operands)
    a.store("out", out, bases["acc"])
    dram = {
        "inp": s["N"] * s["CI"] * s["G"] * s["H"] * s["W"],
        "wgt": s["CO"] * s["CI"] * t.taps,
        "acc": acc_elements,
        "out": tensor,
    }
    return a.finish(
        workload, config, _nest(chain), dram, queue=queue, loop_is_function=loop_is_function
    )


@lru_cache(maxsize=256)
def _nest(chain: Epilogue) -> Loop:
    reset, inp, wgt, gemm, out = map(Call, ("reset", "inp", "wgt", "gemm", "out"))
    before, after = wrap_epilogue(chain)
    body: list[Statement] = [
        *before,
        Scope(Module.COMPUTE, [reset]),
        Loop("k", [Scope(Module.LOAD, [inp, wgt]), Scope(Module.COMPUTE, [gemm])]),
        *after,
        Scope(Module.STORE, [out]),
    ]
    return Loop("b", [Loop("h", [Loop("co", [Loop("w", body)])])])


# ---------------------------------------------------------------- copies


def _inp_copy(t: Tiling) -> Copy:
    """The data load; raises when it is no 2-D copy."""
    s = t.s
    if t.inp_is_guarded:
        raise ProgramError(VTHREAD_SPLIT, "the load of the data tile keeps a guard")
    h_step, w_step, area = t.h1 * s["SH"], t.w1 * s["SW"], s["H"] * s["W"]
    strides = {
        "b": s["CI"] * s["G"] * area,
        "h": h_step * s["W"],
        "w": w_step,
        "k": t.ci1 * area,
    }
    tables: dict[str, PerTile] = {}
    if s["G"] > 1:
        first = [tile * t.co1 // t.per_group * s["CI"] * area for tile in range(t.co0)]
        tables["co"] = PerTile.of([Transfer()] * t.co0, first)
    if not t.padded:
        axes = [
            StridedAxis(t.channels, area),
            StridedAxis(t.rows, s["W"]),
            StridedAxis(t.columns, 1),
        ]
        return Copy(plain(axes, DMA_2D_INP), strides, tables)
    rows = PaddedAxis(s["H"], s["PH"], t.rows, h_step, t.h0)
    columns = PaddedAxis(s["W"], s["PW"], t.columns, w_step, t.w0)
    shape, tables["h"], tables["w"] = padded(t.channels, rows, columns, t.hardware.batch)
    return Copy(shape, strides, tables, start=-s["PH"] * s["W"] - s["PW"])


def _wgt_copy(t: Tiling) -> Copy:
    """The weight load."""
    if t.guarded_co:
        raise ProgramError(VTHREAD_SPLIT, "the load of the weight tile keeps a guard")
    inner = t.s["CI"] * t.taps
    shape = plain([StridedAxis(t.co1, inner), StridedAxis(t.ci1 * t.taps, 1)], DMA_2D_WGT)
    return Copy(shape, {"co": t.co1 * inner, "k": t.ci1 * t.taps})


def _left_guards(t: Tiling, chain: Epilogue) -> None:
    """The loads that come before the data's keep no guard and are 2-D copies."""
    kinds = [p.kind for p in chain.passes if p.left]
    if kinds and t.guarded_co:
        raise ProgramError(VTHREAD_SPLIT, "the load of a left operand keeps a guard")
    if any(kind != CHANNEL for kind in kinds):
        _out_copy(t)


def _operand_copy(t: Tiling, kind: str, start: int) -> Copy:
    """The load of an operand of the epilogue that begins at DRAM element ``start``."""
    if kind != CHANNEL:
        return _out_copy(t)._replace(start=start)
    shape = plain([StridedAxis(t.co1, 1)], DMA_2D_ACC)
    return Copy(shape, {"b": t.s["CO"], "co": t.co1}, start=start)


def _out_copy(t: Tiling) -> Copy:
    """The store, and the load of an operand of its shape."""
    if t.guarded_h:
        raise ProgramError(VTHREAD_SPLIT, "the copy of an output tile keeps a guard")
    s = t.s
    area = s["OH"] * s["OW"]
    shape = plain(
        [StridedAxis(t.co1, area), StridedAxis(t.h1, s["OW"]), StridedAxis(t.w1, 1)], DMA_2D_ACC
    )
    strides = {"b": s["CO"] * area, "h": t.h1 * s["OW"], "co": t.co1 * area, "w": t.w1}
    return Copy(shape, strides)


# ---------------------------------------------------------------- scratchpads and kernels


def _allocate(t: Tiling, pads: ScratchpadAllocator, chain: Epilogue, slots: Slots) -> Bases:
    bases: dict[str, list[int]] = {name: [] for name in ("acc", "inp", "wgt")}
    total = slots.total
    if t.threads == MAX_THREADS:
        # with both threads the epilogue does not work in place
        total = elements_out_of_place(chain, t.acc_tile, t.co1)
    for _ in range(t.threads):
        bases["acc"].append(pads.allocate("acc", total) + slots.acc)
        bases["inp"].append(pads.allocate("inp", t.inp_tile))
        bases["wgt"].append(pads.allocate("wgt", t.wgt_tile))
    pads.check()
    return bases


def _gemm(t: Tiling, a: Assembly, bases: Bases) -> None:
    """The reset and the GEMM call; one kernel per thread."""
    # the groups under a tile: a variable of the kernel when they differ
    groups = t.group_steps
    varies = any(steps != groups[i % t.oc_threads] for i, steps in enumerate(groups))
    if varies and t.threads > 1:
        raise ProgramError(UOP_SIGNATURE, "a kernel that depends on thread and tile")

    threads = [*zip(bases["acc"], bases["inp"], bases["wgt"], strict=True)]

    def gemm(tile: int) -> Iterator[Kernel]:
        for thread, base in enumerate(threads):
            loops = t.loops(groups[tile + thread % t.oc_threads])
            yield from record_gemm(loops, [base], t.hardware)

    a.kernel("reset", record_gemm(t.loops(None), threads, t.hardware, reset=True))
    if varies:
        a.kernels("gemm", map(gemm, range(t.co0)), by="co")
    else:
        a.kernel("gemm", gemm(0))
