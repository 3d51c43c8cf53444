"""The fully connected layer (``vta_dense.py`` of TVM's ``vta/python/vta/top``).

Loop nest: batch tiles, output channel blocks; per tile, for every batch row: reset, for ci0
{load data, load weights, GEMM}; then the epilogue over all rows and one store per row.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.assembly import Assembly, Fields, Queue, Variables
from vtacsp.program.copies import Axis, plain
from vtacsp.program.epilogue import epilogue
from vtacsp.program.isa import Memory, Stage
from vtacsp.program.kernel import Kernel, KernelLoop, record_gemm
from vtacsp.program.nest import Loop, Node, Scope
from vtacsp.program.program import Program
from vtacsp.program.scratchpad import Scratchpads
from vtacsp.workload import Dense

__all__ = ["build_dense"]

IntArray = NDArray[np.int64]

MAX_ROWS = 99  # variables 0 to 98 have a slot at a call site


def build_dense(
    workload: Dense, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a fully connected layer."""
    s = workload.symbols(hardware)
    n, ci, co, bias = s["N"], s["CI"], s["CO"], workload.bias
    b1, ci1, co1 = config["tile_b"], config["tile_ci"], config["tile_co"]
    threads = config["oc_nthread"]
    # splitting the loop that the tile hangs on puts what is inside of it under the thread:
    # the whole batch, and what is left of the channel blocks
    rows = n if threads > 1 else b1
    blocks = co1 * (-(-(co // co1) // threads) if threads > 1 else 1)
    if blocks != 1:
        raise ProgramError(
            "tensorize", f"a loop over {blocks} channel blocks stays inside the GEMM"
        )
    pads = Scratchpads(hardware)
    pads.fits_alone(acc=rows, inp=ci1, wgt=ci1)
    if co // co1 % threads:
        raise ProgramError("vthread_split", f"{threads} threads over {co // co1} blocks")
    inp = plain([Axis(ci1, 1)], "dma_2d:inp")
    wgt = plain([Axis(co1, ci), Axis(ci1, 1)], "dma_2d:wgt")
    acc_at, bias_at, inp_at, wgt_at = np.array(
        [
            (
                pads.allocate("acc", rows),
                pads.allocate("acc", rows if bias else 0),
                pads.allocate("inp", ci1),
                pads.allocate("wgt", ci1),
            )
            for _ in range(threads)
        ],
        dtype=np.int64,
    ).T
    pads.check()
    if threads > 1 and rows > 1 and ci1 > 1:
        # the hardware loop keeps the thread loop around it
        raise ProgramError("uop_signature", "a kernel with two free variables, row and thread")
    if rows > MAX_ROWS:
        raise ProgramError("uop_signature", f"one kernel per row, {rows} rows at one call site")
    a = Assembly(hardware, threads)

    def block(v: Variables) -> IntArray:
        return v["co"] * threads + v["thread"]

    def row(v: Variables) -> IntArray:
        return v["b"] * rows + v["row"]

    def load_inp(v: Variables) -> Fields:
        return {
            "dram_base": row(v) * ci + v["k"] * ci1,
            "sram_base": inp_at[v["thread"]],
            **inp.fields,
        }

    def load_wgt(v: Variables) -> Fields:
        return {
            "dram_base": block(v) * ci + v["k"] * ci1,
            "sram_base": wgt_at[v["thread"]],
            **wgt.fields,
        }

    def store(v: Variables) -> Fields:
        return {
            "dram_base": row(v) * co + block(v),
            "sram_base": acc_at[v["thread"]] + v["row"],
            "y_size": 1,
            "x_size": 1,
            "x_stride": 1,
        }

    def gemm(number: int, reset: bool) -> Kernel:
        at, thread = divmod(number, threads)
        base = int(acc_at[thread]) + at, int(inp_at[thread]), int(wgt_at[thread])
        loops = [] if reset else [KernelLoop(ci1, 0, 1, 1)]
        return record_gemm(loops, base, hardware, reset=reset)

    def variant(v: Variables) -> IntArray:
        return v["row"] * threads + v["thread"]

    tile = [KernelLoop(rows, 1, 1)]
    load_bias = None
    if bias:
        pattern = plain([Axis(rows, co)], "dma_2d:acc")

        def bias_fields(v: Variables) -> Fields:
            return {
                "dram_base": v["b"] * rows * co + block(v),
                "sram_base": bias_at[v["thread"]],
                **pattern.fields,
            }

        load_bias = a.load(Memory.ACC, bias_fields)
    per_row: list[Node] = [
        Scope(Stage.COMPUTE, [a.kernel(lambda i: gemm(i, True), rows * threads, variant)]),
        Loop(
            "k",
            ci // ci1,
            [
                Scope(Stage.LOAD, [a.load(Memory.INP, load_inp), a.load(Memory.WGT, load_wgt)]),
                Scope(
                    Stage.COMPUTE,
                    [a.kernel(lambda i: gemm(i, False), rows * threads, variant)],
                ),
            ],
        ),
    ]
    body: list[Node] = [
        Loop("row", rows, per_row),
        Scope(Stage.COMPUTE, epilogue(a, tile, tile, acc_at, bias_at, load_bias)),
        Scope(Stage.STORE, [Loop("row", rows, [a.store(store)])]),
    ]
    nest = [Loop("b", n // rows, [Loop("co", co // threads, body)])]
    dram = {"inp": n * ci, "wgt": co * ci, "acc": n * co if bias else 0, "out": n * co}
    return a.finish(workload, config, nest, dram, queue=queue, loop_is_function=True)
