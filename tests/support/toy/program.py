"""The program of a matrix product.

Independent of ``nest`` and ``rules`` on purpose: two oracles that are compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.support.toy.workload import MatMul
from vtacsp.causes import DMA_2D_ACC, DMA_2D_INP, DMA_2D_WGT
from vtacsp.epilogue.program import (
    Slots,
    check_chain,
    check_store,
    epilogue,
    operand_bases,
    wrap_epilogue,
)
from vtacsp.epilogue.steps import Epilogue
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Module
from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy, StridedAxis, plain
from vtacsp.program.kernel import KernelLoop, record_gemm
from vtacsp.program.loops import Call, Loop, Scope
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue
from vtacsp.program.scratchpad import ScratchpadAllocator

__all__ = ["build"]


def build(
    workload: MatMul, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a matrix product."""
    s, chain = workload.symbols(hardware), workload.chain
    n, ci, co = s["N"], s["CI"], s["CO"]
    rows, k, columns = config["tile_b"], config["tile_ci"], config["tile_co"]
    tile = rows * columns
    pads = ScratchpadAllocator(hardware)
    pads.fits_alone(acc=tile, inp=rows * k, wgt=columns * k)
    check_store(chain)
    slots = Slots(chain, tile, tile)
    acc = [pads.allocate("acc", slots.total) + slots.acc]
    inp, wgt = [pads.allocate("inp", rows * k)], [pads.allocate("wgt", columns * k)]
    pads.check()
    check_chain(chain)
    a = Assembly(hardware, {"b": n // rows, "co": co // columns, "k": ci // k}, {})
    bases = [(acc[0], inp[0], wgt[0])]
    out = [KernelLoop(rows, columns), KernelLoop(columns, 1)]
    gemm = [
        KernelLoop(k, 0, 1, 1), KernelLoop(rows, columns, k), KernelLoop(columns, 1, 0, k)
    ]  # fmt: skip
    a.kernel("reset", record_gemm(out, bases, hardware, reset=True))
    a.kernel("gemm", record_gemm(gemm, bases, hardware))
    data = plain([StridedAxis(rows, ci), StridedAxis(k, 1)], DMA_2D_INP)
    weights = plain([StridedAxis(columns, ci), StridedAxis(k, 1)], DMA_2D_WGT)
    sums = plain([StridedAxis(rows, co), StridedAxis(columns, 1)], DMA_2D_ACC)
    moved = {"b": rows * co, "co": columns}
    a.load("inp", Memory.INP, Copy(data, {"b": rows * ci, "k": k}), inp)
    a.load("wgt", Memory.WGT, Copy(weights, {"co": columns * ci, "k": k}), wgt)
    starts, acc_elements = operand_bases([n * co] * len(chain.operands), hardware)
    copies = {number: Copy(sums, moved, start=start) for number, start in enumerate(starts)}
    whole = [KernelLoop(tile, 1, 1)]
    epilogue(a, chain, whole, whole, slots, acc, copies)
    a.store("out", Copy(sums, moved), acc)
    dram = {"inp": n * ci, "wgt": co * ci, "acc": acc_elements, "out": n * co}
    return a.finish(workload, config, _nest(chain), dram, queue=queue, loop_is_function=True)


def _nest(chain: Epilogue) -> Loop:
    reset, inp, wgt, gemm, out = map(Call, ("reset", "inp", "wgt", "gemm", "out"))
    steps = Loop("k", [Scope(Module.LOAD, [inp, wgt]), Scope(Module.COMPUTE, [gemm])])
    before, after = wrap_epilogue(chain)
    body = [*before, Scope(Module.COMPUTE, [reset]), steps, *after, Scope(Module.STORE, [out])]
    return Loop("b", [Loop("co", body)])
