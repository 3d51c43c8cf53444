"""A lower bound of cycles, as an expression over the knobs.

The loop nests of the templates become one formula: what a module does per output tile, what
waits for what, and how two virtual threads interleave.  It counts what must happen in sequence
and leaves out what can only add to it: requests that meet at the memory port, bursts that end at
page boundaries, edge tiles that load more than the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from vtacsp.errors import SearchError
from vtacsp.expr import Bool, Int, all_of, const, if_else, maximum, minimum, pow2, table
from vtacsp.knobs import IntArray
from vtacsp.rules import convolution, dense, transposed
from vtacsp.rules.symbols import (
    BIAS,
    CI,
    CO,
    KH,
    KW,
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    LOG_INP_WIDTH,
    LOG_WGT_WIDTH,
    OH,
    OW,
    PH,
    PW,
    SH,
    SW,
    H,
    N,
    W,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)
from vtacsp.simulate.timing import RTL, TimingModel
from vtacsp.space.problem import Problem

__all__ = ["cycle_bound", "cycle_bounds"]

_TENSOR = LOG_BATCH + LOG_BLOCK - 3
INP_BYTES = pow2(_TENSOR + LOG_INP_WIDTH)
OUT_BYTES = INP_BYTES  # LOG_OUT_WIDTH is LOG_INP_WIDTH
ACC_BYTES = pow2(_TENSOR + LOG_ACC_WIDTH)
WGT_BYTES = pow2(LOG_BLOCK + LOG_BLOCK - 3 + LOG_WGT_WIDTH)

ALU_STAGES = 3  # shift, minimum, maximum; a bias adds one with two operands
FETCH = 128  # instructions in one burst of the fetch module
INSTRUCTION_BYTES, UOP_BYTES = 16, 4


@dataclass(frozen=True)
class _Nest:
    """The loop nest of an operator, in elements of the scratchpads.

    Per output tile of a thread: ``rows`` times { reset ``reset`` accumulators; ``reductions``
    times { load ``inp`` of ``inp_tile`` and ``wgt`` elements, execute ``gemm`` micro-ops } };
    the epilogue over ``out`` accumulators; a store of ``out`` in ``store_rows``.
    ``inp`` is the mean over the tiles without padding; ``micro_ops`` are those of all kernels.
    """

    tiles: Int
    threads: Int
    rows: Int
    reductions: Int
    reset: Int
    gemm: Int
    inp_bytes: Int
    inp_tile: Int
    wgt: Int
    out: Int
    store_rows: Int
    bias: Int
    micro_ops: Int


def _loaded(count: int, step: int, extent: int, size: int, pad: int) -> int:
    """Inputs of one axis that all its tiles load together: tiles overlap, padding is not read."""
    starts = (i * step - pad for i in range(count))
    return sum(max(0, min(size, start + extent) - max(0, start)) for start in starts)


def _spatial(op: str) -> _Nest:
    c = convolution
    channels: Int
    reads: tuple[tuple[Int, ...], tuple[Int, ...]]
    if op == "conv2d_transpose":
        t = transposed
        channels, rows, cols = tile_ci, t.rows, t.cols
        reads = (
            (c.h0, tile_h, rows, t.dilated_h, t.pad_h),
            (c.w0, tile_w, cols, t.dilated_w, t.pad_w),
        )
        micro_ops = _need(t.EVICTION)
    else:
        channels, rows, cols = c.channels, c.rows, c.cols
        reads = (
            (c.h0, tile_h * SH, rows, H, PH),
            (c.w0, tile_w * SW, cols, W, PW),
        )
        micro_ops = _need(c.EVICTION)
    area = table("loaded", _loaded, *reads[0]) * table("loaded", _loaded, *reads[1])
    whole_rows = if_else(tile_h == OH, 1, tile_co)
    return _Nest(
        tiles=N * c.h0 * c.w0 * c.co0,
        threads=c.threads,
        rows=const(1),
        reductions=c.ci0,
        reset=c.out_tile,
        gemm=c.out_tile * (tile_ci * (KH * KW)),
        inp_bytes=area * channels * INP_BYTES // (c.h0 * c.w0),
        inp_tile=channels * rows * cols,
        wgt=c.wgt_tile,
        out=c.out_tile,
        store_rows=if_else(tile_w == OW, whole_rows, tile_co * tile_h),
        bias=tile_co,
        micro_ops=micro_ops,
    )


def _dense() -> _Nest:
    d = dense
    return _Nest(
        tiles=N * CO // d.rows,
        threads=oc_nthread,
        rows=d.rows,
        reductions=CI // tile_ci,
        reset=const(1),
        gemm=tile_ci,
        inp_bytes=tile_ci * INP_BYTES,
        inp_tile=tile_ci,
        wgt=tile_ci,
        out=d.rows,
        store_rows=const(1),
        bias=d.rows,
        micro_ops=_need(d.EVICTION),
    )


def _need(rule: object) -> Int:
    need: Int = getattr(rule, "quantities")["need"]  # noqa: B009
    return need


@lru_cache
def cycle_bound(op: str, timing: TimingModel = RTL) -> Int:
    """Lower bound of the cycles of a feasible configuration of an operator.

    An expression over the symbols of the rules (``Problem.at(indices).evaluate(...)``).
    Raises :class:`~vtacsp.errors.SearchError` for an unknown operator.
    """
    if op not in ("conv2d", "group_conv2d", "conv2d_transpose", "dense"):
        raise SearchError(f"no cycle bound for {op!r}")
    return _cycles(_dense() if op == "dense" else _spatial(op), timing)


def _cycles(nest: _Nest, t: TimingModel) -> Int:
    bus = t.bus_bytes
    # what each instruction takes until the next of its module, or one that waits for it, starts
    drained = t.pipeline_depth + t.restart_delay
    first_beat = t.request_delay + t.memory_latency

    def wider(element: Int) -> Bool:
        return element > bus

    def answered(element: Int) -> Int:
        drain = if_else(wider(element), t.narrow_drain, t.wide_drain)
        return drain + (first_beat - 1 + t.restart_delay)

    inp_beats = nest.inp_bytes // bus
    # padding is written while no data arrive
    padding = maximum(nest.inp_tile - nest.inp_bytes // INP_BYTES - first_beat, 0)
    load = inp_beats + padding + answered(INP_BYTES)
    load = load + nest.wgt * WGT_BYTES // bus + answered(WGT_BYTES)
    gemm = nest.gemm * t.gemm_interval + drained
    reset = nest.reset * t.gemm_interval + drained
    stage = nest.out * t.alu_interval + drained
    add = nest.out * t.alu_pair_interval + drained
    add = add + nest.bias * ACC_BYTES // bus + answered(ACC_BYTES)
    epilogue = ALU_STAGES * stage + BIAS * add
    out_beats = nest.out * OUT_BYTES // bus
    reloads = if_else(wider(OUT_BYTES), nest.out - nest.store_rows, 0) * t.write_reload
    per_row = t.write_command + t.write_latency  # and one beat less, one cycle to acknowledge
    store = out_beats + reloads + nest.store_rows * per_row + t.restart_delay

    # one thread: everything waits for everything
    alone = nest.rows * (reset + nest.reductions * (load + gemm)) + epilogue + store

    # two threads share the modules: one loads while the other computes
    ready = maximum(load, reset)  # until the first GEMM, past the reset of the first thread
    stall = maximum(store - ready, 0)  # the second reset waits for both stores of before
    step = maximum(load, gemm)
    interleaved = (
        nest.rows * (reset + ready + step * (2 * nest.reductions - 1) + gemm)
        + stall
        + epilogue
        + maximum(epilogue, store)
    )
    # without a loop around the GEMM, each thread runs on into its epilogue
    tail = gemm + epilogue
    straight = reset + ready + stall + tail + maximum(tail, load, store)
    single = all_of(nest.rows == 1, nest.reductions == 1)
    pair = if_else(single, straight, interleaved)
    rounds = nest.tiles // nest.threads
    work = rounds * if_else(nest.threads == 1, alone, pair)
    ends = if_else(nest.threads == 1, 0, store - stall)  # the last store; no stall at first

    # instructions are fetched before anything runs, kernels are loaded when first called
    per_tile = nest.rows * (1 + 3 * nest.reductions) + ALU_STAGES + 2 * BIAS + 1
    fetched = minimum(nest.tiles * per_tile, FETCH) * INSTRUCTION_BYTES // bus
    launch = t.launch_delay + t.memory_latency + fetched + t.fetch_drain
    kernels = (2 * nest.rows + ALU_STAGES + BIAS) * answered(const(UOP_BYTES))
    kernels = kernels + nest.micro_ops * UOP_BYTES // (bus * nest.threads)
    return launch + kernels + work + ends


def cycle_bounds(problem: Problem, indices: IntArray, timing: TimingModel = RTL) -> IntArray:
    """Cycle bounds of configurations, aligned with ``indices``; means something where feasible."""
    bound: IntArray = problem.at(indices).evaluate(cycle_bound(problem.workload.op, timing))
    return bound
