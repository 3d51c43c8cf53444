"""The fully connected layer (``vta_dense.py`` of TVM's ``vta/python/vta/top``).

Loop nest: batch tiles, output channel blocks; per tile, for every batch row: reset, for ci0
{load data, load weights, GEMM}; then the epilogue over all rows and one store per row.

Independent of ``nest`` and ``rules`` on purpose: two oracles that are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from vtacsp.causes import (
    DMA_2D_ACC,
    DMA_2D_INP,
    DMA_2D_WGT,
    TENSORIZE,
    UOP_SIGNATURE,
    VTHREAD_SPLIT,
)
from vtacsp.epilogue.program import (
    Slots,
    check_chain,
    check_store,
    epilogue,
    operand_bases,
    wrap_epilogue,
)
from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Module
from vtacsp.operators.dense.workload import Dense
from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy, PerTile, StridedAxis, Transfer, plain
from vtacsp.program.kernel import Kernel, KernelLoop, record_gemm
from vtacsp.program.loops import Call, Loop, Scope, Statement
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue
from vtacsp.program.scratchpad import ScratchpadAllocator

__all__ = ["build"]

MAX_ROWS = 99  # variables 0 to 98 have a slot at a call site


def build(workload: Dense, hardware: VTAConfig, config: Mapping[str, int], queue: Queue) -> Program:
    """Build the program of a fully connected layer."""
    s = workload.symbols(hardware)
    n, ci, co, chain = s["N"], s["CI"], s["CO"], workload.chain
    b1, ci1, co1 = config["tile_b"], config["tile_ci"], config["tile_co"]
    threads = config["oc_nthread"]
    # splitting the loop that the tile hangs on puts what is inside of it under the thread:
    # the whole batch, and what is left of the channel blocks
    rows = n if threads > 1 else b1
    blocks = co1 * (-(-(co // co1) // threads) if threads > 1 else 1)
    if blocks != 1:
        raise ProgramError(TENSORIZE, f"a loop over {blocks} channel blocks stays inside the GEMM")
    pads = ScratchpadAllocator(hardware)
    pads.fits_alone(acc=rows, inp=ci1, wgt=ci1)
    if co // co1 % threads:
        raise ProgramError(VTHREAD_SPLIT, f"{threads} threads over {co // co1} blocks")
    inp = plain([StridedAxis(ci1, 1)], DMA_2D_INP)
    wgt = plain([StridedAxis(co1, ci), StridedAxis(ci1, 1)], DMA_2D_WGT)
    check_store(chain)
    slots = Slots(chain, rows, rows)
    acc_at, inp_at, wgt_at = zip(
        *(
            (
                pads.allocate("acc", slots.total) + slots.acc,
                pads.allocate("inp", ci1),
                pads.allocate("wgt", ci1),
            )
            for _ in range(threads)
        ),
        strict=True,
    )
    pads.check()
    check_chain(chain)
    if threads > 1 and rows > 1 and ci1 > 1:
        # the hardware loop keeps the thread loop around it
        raise ProgramError(UOP_SIGNATURE, "a kernel with two free variables, row and thread")
    if rows > MAX_ROWS:
        raise ProgramError(UOP_SIGNATURE, f"one kernel per row, {rows} rows at one call site")
    tiles = {"b": n // rows, "co": co, "row": rows, "k": ci // ci1}
    a = Assembly(hardware, tiles, {"co": threads})

    def record(row: int, reset: bool) -> list[Kernel]:
        bases = zip((at + row for at in acc_at), inp_at, wgt_at, strict=True)
        loops = [] if reset else [KernelLoop(ci1, 0, 1, 1)]
        return record_gemm(loops, bases, hardware, reset=reset)

    tile = [KernelLoop(rows, 1, 1)]
    starts, acc_elements = operand_bases([n * co] * len(chain.operands), hardware)
    shape = plain([StridedAxis(rows, co)], DMA_2D_ACC)
    operands = {
        number: Copy(shape, {"b": rows * co, "co": 1}, start=start)
        for number, start in enumerate(starts)
    }
    a.kernels("reset", (record(row, reset=True) for row in range(rows)), by="row")
    a.load("inp", Memory.INP, Copy(inp, {"b": rows * ci, "row": ci, "k": ci1}), inp_at)
    a.load("wgt", Memory.WGT, Copy(wgt, {"co": ci, "k": ci1}), wgt_at)
    a.kernels("gemm", (record(row, reset=False) for row in range(rows)), by="row")
    epilogue(a, chain, tile, tile, slots, acc_at, operands)
    next_row = PerTile.of([Transfer(sram_base=row) for row in range(rows)], [0] * rows)
    out = Copy(
        Transfer(y_size=1, x_size=1, x_stride=1),
        {"b": rows * co, "row": co, "co": 1},
        {"row": next_row},
    )
    a.store("out", out, acc_at)
    dram = {"inp": n * ci, "wgt": co * ci, "acc": acc_elements, "out": n * co}
    return a.finish(workload, config, _nest(chain), dram, queue=queue, loop_is_function=True)


@lru_cache(maxsize=256)
def _nest(chain: Epilogue) -> Loop:
    reset, inp, wgt, gemm, out = map(Call, ("reset", "inp", "wgt", "gemm", "out"))
    steps = Loop("k", [Scope(Module.LOAD, [inp, wgt]), Scope(Module.COMPUTE, [gemm])])
    before, after = wrap_epilogue(chain)
    body: list[Statement] = [
        *before,
        Loop("row", [Scope(Module.COMPUTE, [reset]), steps]),
        *after,
        Scope(Module.STORE, [Loop("row", [out])]),
    ]
    return Loop("b", [Loop("co", body)])
