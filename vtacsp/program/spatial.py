"""The convolutions: tiling, copies and kernels of conv2d, grouped and transposed conv2d.

Loop nest (``vta_conv2d.py`` and its siblings of TVM's ``vta/python/vta/top``), outer to inner:
batch, h0, co0, w0; per output tile: reset, for ci0 {load data, load weights, GEMM}, epilogue,
store.  ``oc_nthread`` splits co0, ``h_nthread`` splits h0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError
from vtacsp.hardware import VTAConfig
from vtacsp.program.assembly import Assembly, Fields, Queue, Variables
from vtacsp.program.copies import Axis, Pads, padded, plain
from vtacsp.program.epilogue import epilogue
from vtacsp.program.isa import Memory, Stage
from vtacsp.program.kernel import Kernel, KernelLoop, record_gemm
from vtacsp.program.nest import Call, Loop, Node, Scope
from vtacsp.program.program import Program
from vtacsp.program.scratchpad import Scratchpads
from vtacsp.program.tiling import Tiling
from vtacsp.workload import Workload

__all__ = ["build_spatial"]

IntArray = NDArray[np.int64]
_Copy = Callable[[Variables], Fields]

MAX_THREADS = 4
"""Both virtual threads at once."""

UNROLL_H, UNROLL_W = 4, 2  # how the transposed convolution splits its tile


def build_spatial(
    workload: Workload, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a convolution."""
    t = Tiling(workload, hardware, config)
    if t.transposed and hardware.log_batch:
        raise ProgramError("lowering", "the pass for transposed convolutions needs BATCH 1")
    pads = Scratchpads(hardware)
    pads.fits_alone(acc=t.acc_tile, inp=t.inp_tile if t.span_is_constant else 0, wgt=t.wgt_tile)
    inp, wgt, out = _inp_fields(t), _wgt_fields(t), _out_fields(t)
    bases = _allocate(t, pads)
    if t.threads == MAX_THREADS:
        if t.bias:
            raise ProgramError("alu_pattern", "the epilogue of both virtual threads with bias")
        raise ProgramError("uop_signature", "a kernel with two free variables, one per thread")
    a = Assembly(hardware, t.threads)

    def load_inp(v: Variables) -> Fields:
        return {**inp(v), "sram_base": bases["inp"][v["thread"]]}

    def load_wgt(v: Variables) -> Fields:
        return {**wgt(v), "sram_base": bases["wgt"][v["thread"]]}

    def store(v: Variables) -> Fields:
        return {**out(v), "sram_base": bases["acc"][v["thread"]]}

    reset, gemm = _gemm_calls(t, a, bases)
    body: list[Node] = [
        Scope(Stage.COMPUTE, [reset]),
        Loop(
            "k",
            t.ci0,
            [
                Scope(Stage.LOAD, [a.load(Memory.INP, load_inp), a.load(Memory.WGT, load_wgt)]),
                Scope(Stage.COMPUTE, [gemm]),
            ],
        ),
        Scope(Stage.COMPUTE, _epilogue(t, a, bases)),
        Scope(Stage.STORE, [a.store(store)]),
    ]
    nest = [
        Loop(
            "b",
            t.s["N"],
            [
                Loop(
                    "h",
                    t.h0 // t.h_threads,
                    [Loop("co", t.co0 // t.oc_threads, [Loop("w", t.w0, body)])],
                )
            ],
        )
    ]
    s = t.s
    dram = {
        "inp": s["N"] * s["CI"] * s["G"] * s["H"] * s["W"],
        "wgt": s["CO"] * s["CI"] * t.taps,
        "acc": s["N"] * s["CO"] if t.bias else 0,
        "out": s["N"] * s["CO"] * s["OH"] * s["OW"],
    }
    return a.finish(workload, config, nest, dram, queue=queue, loop_is_function=not t.transposed)


# ---------------------------------------------------------------- copies


def _inp_fields(t: Tiling) -> _Copy:
    """Fields of the data load; raises when it is no 2-D copy."""
    s = t.s
    if t.inp_is_guarded:
        raise ProgramError("vthread_split", "the load of the data tile keeps a guard")
    rows = Pads(s["H"], s["PH"], t.rows, np.arange(t.h0) * t.h1 * s["SH"])
    columns = Pads(s["W"], s["PW"], t.columns, np.arange(t.w0) * t.w1 * s["SW"])

    def start(v: Variables) -> tuple[IntArray, IntArray, IntArray]:
        first = t.co(v) * t.co1 // t.per_group * s["CI"] + v["k"] * t.ci1
        channel = v["b"] * s["CI"] * s["G"] + first
        return channel, t.h(v) * t.h1 * s["SH"], v["w"] * t.w1 * s["SW"]

    has_pads = s["PH"] or s["PW"] if t.transposed else s["PH"]
    if not has_pads:
        axes = [
            Axis(t.channels, s["H"] * s["W"]),
            Axis(t.rows, s["W"]),
            Axis(t.columns, 1),
        ]
        flat = plain(axes, "dma_2d:inp")

        def unpadded_fields(v: Variables) -> Fields:
            channel, top, left = start(v)
            return {
                "dram_base": (channel * s["H"] + top) * s["W"] + left,
                **flat.fields,
            }

        return unpadded_fields
    pattern = padded(t.channels, rows, columns, t.hardware.batch)

    def padded_fields(v: Variables) -> Fields:
        channel, top, left = start(v)
        before = {"y": rows.before(top), "x": columns.before(left)}
        after = {"y": rows.after(top), "x": columns.after(left)}
        zero = np.zeros_like(top)
        extent = {
            "c": zero + t.channels,
            "y": t.rows - before["y"] - after["y"],
            "x": t.columns - before["x"] - after["x"],
        }
        stride = {"c": s["H"] * s["W"], "y": s["W"]}
        x_size = extent[pattern.columns]
        y_axis, x_axis = pattern.pads
        return {
            "dram_base": (channel * s["H"] + top - s["PH"] + before["y"]) * s["W"]
            + left
            - s["PW"]
            + before["x"],
            "y_size": extent[pattern.rows] if pattern.rows else 1,
            "x_size": x_size,
            "x_stride": stride[pattern.rows] if pattern.rows else x_size,
            "y_pad_0": before.get(y_axis, zero),
            "y_pad_1": after.get(y_axis, zero),
            "x_pad_0": before.get(x_axis, zero),
            "x_pad_1": after.get(x_axis, zero),
        }

    return padded_fields


def _wgt_fields(t: Tiling) -> _Copy:
    """Fields of the weight load."""
    if t.guarded_co:
        raise ProgramError("vthread_split", "the load of the weight tile keeps a guard")
    inner = t.s["CI"] * t.taps
    pattern = plain([Axis(t.co1, inner), Axis(t.ci1 * t.taps, 1)], "dma_2d:wgt")

    def fields(v: Variables) -> Fields:
        return {
            "dram_base": t.co(v) * t.co1 * inner + v["k"] * t.ci1 * t.taps,
            **pattern.fields,
        }

    return fields


def _out_fields(t: Tiling) -> _Copy:
    """Fields of the store."""
    if t.guarded_h:
        raise ProgramError("vthread_split", "the store of the output tile keeps a guard")
    s = t.s
    axes = [Axis(t.co1, s["OH"] * s["OW"]), Axis(t.h1, s["OW"]), Axis(t.w1, 1)]
    pattern = plain(axes, "dma_2d:acc")

    def fields(v: Variables) -> Fields:
        row = (v["b"] * s["CO"] + t.co(v) * t.co1) * s["OH"] + t.h(v) * t.h1
        return {
            "dram_base": row * s["OW"] + v["w"] * t.w1,
            **pattern.fields,
        }

    return fields


# ---------------------------------------------------------------- scratchpads and kernels


def _allocate(t: Tiling, pads: Scratchpads) -> dict[str, IntArray]:
    """First element of every buffer of every thread."""
    bases: dict[str, list[int]] = {name: [] for name in ("acc", "bias", "inp", "wgt")}
    # with both threads the epilogue does not work in place: one buffer per stage
    both = t.threads == MAX_THREADS
    stages = (5 if t.bias else 4) if both else 1
    for _ in range(t.threads):
        bases["acc"].append(pads.allocate("acc", stages * t.acc_tile))
        bases["bias"].append(pads.allocate("acc", t.bias_tile))
        bases["inp"].append(pads.allocate("inp", t.inp_tile))
        bases["wgt"].append(pads.allocate("wgt", t.wgt_tile))
    pads.check()
    return {name: np.array(values, dtype=np.int64) for name, values in bases.items()}


def _gemm_calls(t: Tiling, a: Assembly, bases: Mapping[str, IntArray]) -> tuple[Call, Call]:
    """The reset and the GEMM call; one kernel per thread."""
    # the first block of a tile within its group: a variable of the kernel when it matters
    steps = t.group_steps.reshape(-1, t.oc_threads, t.co1)
    varies = bool((steps != steps[:1]).any())
    if varies and t.threads > 1:
        raise ProgramError("uop_signature", "a kernel that depends on thread and tile")
    tiles = len(steps) if varies else 1

    def base(thread: int) -> tuple[int, int, int]:
        return int(bases["acc"][thread]), int(bases["inp"][thread]), int(bases["wgt"][thread])

    def reset(thread: int) -> Kernel:
        return record_gemm(_nest(t, None), base(thread), t.hardware, reset=True)

    def gemm(number: int) -> Kernel:
        thread, tile = divmod(number, tiles)
        return record_gemm(_nest(t, steps[tile, thread % t.oc_threads]), base(thread), t.hardware)

    def variant(v: Variables) -> IntArray:
        return v["thread"] * tiles + (v["co"] if varies else 0)

    return (
        a.kernel(reset, t.threads, lambda v: v["thread"]),
        a.kernel(gemm, t.threads * tiles, variant),
    )


def _nest(t: Tiling, groups: IntArray | None) -> list[KernelLoop]:
    """Loops of the GEMM over one tile, outer first; without ``groups`` those of the reset."""
    s = t.s
    area = t.rows * t.columns
    co_src = s["CI"] * area
    steps, src = None, 0
    if t.per_group == 1:
        src = co_src  # a group per block: linear
    elif groups is not None and groups.any():
        steps = tuple(int(g) * co_src for g in groups)
    ci = KernelLoop(t.ci1, 0, area, t.taps)
    kh = KernelLoop(s["KH"], 0, t.columns, s["KW"], unrolled=t.transposed)
    kw = KernelLoop(s["KW"], 0, 1, 1, unrolled=t.transposed)
    co = KernelLoop(t.co1, t.h1 * t.w1, src, t.ci1 * t.taps, steps=steps)
    if not t.transposed:
        w = KernelLoop(t.w1, 1, s["SW"])
        h = KernelLoop(t.h1, t.w1, s["SH"] * t.columns)
        return [w, co, h] if groups is None else [ci, w, kw, kh, co, h]
    # splits by 2 and 4 lose their guards: the tile is rounded up
    jj, ii = min(t.w1, UNROLL_W), min(t.h1, UNROLL_H)
    xj = KernelLoop(-(-t.w1 // jj), jj, jj)
    xi = KernelLoop(-(-t.h1 // ii), ii * t.w1, ii * t.columns)
    inner_w = KernelLoop(jj, 1, 1, unrolled=True)
    inner_h = KernelLoop(ii, t.w1, t.columns, unrolled=True)
    if groups is None:
        return [xj, co, xi, inner_w, inner_h]
    return [ci, xj, co, xi, inner_w, kw, kh, inner_h]


def _epilogue(t: Tiling, a: Assembly, bases: Mapping[str, IntArray]) -> list[Node]:
    area = t.h1 * t.w1
    tile = [
        KernelLoop(t.co1, area, area),
        KernelLoop(t.h1, t.w1, t.w1),
        KernelLoop(t.w1, 1, 1),
    ]
    add = [KernelLoop(t.co1, area, 1), KernelLoop(t.h1, t.w1, 0), KernelLoop(t.w1, 1, 0)]
    load = None
    if t.bias:
        pattern = plain([Axis(t.co1, 1)], "dma_2d:acc")

        def fields(v: Variables) -> Fields:
            return {
                "dram_base": v["b"] * t.s["CO"] + t.co(v) * t.co1,
                "sram_base": bases["bias"][v["thread"]],
                **pattern.fields,
            }

        load = a.load(Memory.ACC, fields)
    return epilogue(a, tile, add, bases["acc"], bases["bias"], load)
