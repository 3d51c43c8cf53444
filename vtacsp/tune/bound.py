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
from vtacsp.operators.conv2d import rules as convolution
from vtacsp.operators.conv2d_transpose import rules as transposed
from vtacsp.operators.dense import rules as dense
from vtacsp.operators.knobs import IntArray
from vtacsp.rules.symbols import (
    CHANNELS,
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
    PAIRS,
    PASSES,
    PH,
    PW,
    SH,
    SW,
    TENSORS,
    H,
    N,
    W,
    h_nthread,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)
from vtacsp.space.problem import Problem
from vtacsp.timing.model import INSTRUCTION_BYTES, RTL, TimingModel

__all__ = ["cycle_bound", "cycle_bounds"]

_TENSOR = LOG_BATCH + LOG_BLOCK - 3
INP_BYTES = pow2(_TENSOR + LOG_INP_WIDTH)
OUT_BYTES = INP_BYTES  # LOG_OUT_WIDTH is LOG_INP_WIDTH
ACC_BYTES = pow2(_TENSOR + LOG_ACC_WIDTH)
WGT_BYTES = pow2(LOG_BLOCK + LOG_BLOCK - 3 + LOG_WGT_WIDTH)

UOP_BYTES = 4
EARLY = 16  # instructions, among them the first kernel that waits for a load


@dataclass(frozen=True)
class _Mean:
    """A mean: what there is in all, and how many share it."""

    total: Int
    count: Int

    def times(self, factor: Int, divisor: int = 1) -> Int:
        """The mean times a factor, rounded down."""
        return self.total * factor // (self.count * divisor)

    @property
    def ceiling(self) -> Int:
        """The mean, rounded up."""
        return (self.total + self.count - 1) // self.count


@dataclass(frozen=True)
class _Nest:
    """The loop nest of an operator, in elements of the scratchpads.

    Per output tile of a thread: ``rows`` times { reset ``reset`` accumulators; ``reductions``
    times { load an input tile and ``wgt`` elements, execute ``gemm`` micro-ops } }; the epilogue
    over ``out`` accumulators; a store of ``out`` in ``store_rows``.  ``inp_tile`` are the inputs
    of a tile with padding.  Without it, ``first`` are those of the first tile and ``inp`` the mean
    over the tiles, of the first and of the last thread.  ``micro_ops`` are those of all kernels.
    ``channel`` elements are one value per channel.
    """

    tiles: Int
    threads: Int
    rows: Int
    reductions: Int
    reset: Int
    gemm: Int
    first: tuple[Int, Int]
    inp: tuple[_Mean, _Mean]
    inp_tile: Int
    wgt: Int
    out: Int
    store_rows: Int
    channel: Int
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
    height, width = reads
    turns = maximum(height[0] // h_nthread, 1)  # threads take turns at the rows of tiles

    def loaded(thread: Int) -> tuple[Int, _Mean]:
        _, step, extent, size, pad = height
        mine = step * h_nthread, extent, size, pad - thread * step
        first = table("loaded", _loaded, 1, *mine) * table("loaded", _loaded, 1, *width[1:])
        total = table("loaded", _loaded, turns, *mine) * table("loaded", _loaded, *width)
        return first * channels, _Mean(total * channels, turns * c.w0)

    (first, inp), (other, others) = loaded(const(0)), loaded(h_nthread - 1)
    whole_rows = if_else(tile_h == OH, 1, tile_co)
    return _Nest(
        tiles=N * c.h0 * c.w0 * c.co0,
        threads=c.threads,
        rows=const(1),
        reductions=c.ci0,
        reset=c.out_tile,
        gemm=c.out_tile * (tile_ci * (KH * KW)),
        first=(first, other),
        inp=(inp, others),
        inp_tile=channels * rows * cols,
        wgt=c.wgt_tile,
        out=c.out_tile,
        store_rows=if_else(tile_w == OW, whole_rows, tile_co * tile_h),
        channel=tile_co,
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
        first=(tile_ci, tile_ci),
        inp=(_Mean(tile_ci, const(1)),) * 2,
        inp_tile=tile_ci,
        wgt=tile_ci,
        out=d.rows,
        store_rows=d.rows,
        channel=d.rows,
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
    # between the end of an instruction and the start of the next: in its module, or in another one
    # that waits for its token; where a chain may do either, the shorter
    next_one, token = t.restart_delay, t.token_delay
    either = min(next_one, token)

    # padding is written while no data arrive
    staged = if_else(bus < INP_BYTES, 2, 1) + nest.inp_tile
    wgt = nest.wgt * WGT_BYTES // bus + _answered(WGT_BYTES, t)

    def load(inp: _Mean) -> Int:
        waits = maximum(_answered(INP_BYTES, t), staged - inp.ceiling)
        return inp.times(INP_BYTES, bus) + waits + next_one + wgt

    load_0, load_1 = map(load, nest.inp)
    gemm = nest.gemm * t.gemm_interval + t.pipeline_depth
    reset = nest.reset * t.gemm_interval + t.pipeline_depth
    stage = nest.out * t.alu_interval + t.pipeline_depth + next_one
    pair = nest.out * t.alu_pair_interval + t.pipeline_depth + next_one
    loaded = (CHANNELS * nest.channel + TENSORS * nest.out) * ACC_BYTES // bus
    loaded = loaded + (CHANNELS + TENSORS) * (_answered(ACC_BYTES, t) + next_one)
    epilogue = (PASSES - PAIRS) * stage + PAIRS * pair + loaded - next_one
    store = nest.out * OUT_BYTES // bus + _written(nest, t)

    # one thread: everything waits for everything
    row = reset + nest.reductions * (load_0 + gemm + 2 * token) + next_one
    alone = nest.rows * row + epilogue + store + 2 * token

    # two threads share the modules: one loads while the other computes
    before = maximum(load_0, reset)  # until the first GEMM, past the reset of the first thread
    ready = maximum(before, store)  # the second reset waits for both stores of before
    loads = nest.reductions * (load_1 + load_0 + 2 * next_one) - load_0 - next_one
    gemms = (2 * nest.reductions - 1) * (gemm + next_one)
    row = reset + before + 2 * either + maximum(loads, gemms) + gemm + next_one
    last = maximum(epilogue, store) + 2 * either
    interleaved = nest.rows * row + (ready - before) + epilogue + last
    # without a loop around the GEMM, each thread runs on into its epilogue
    tail = gemm + next_one + epilogue
    straight = reset + ready + tail + maximum(tail, load_1, store) + 4 * either
    single = all_of(nest.rows == 1, nest.reductions == 1)
    both = if_else(single, straight, interleaved)
    # no stall at first, where a tile may load less than the mean, and a store more at last
    first = minimum(before, maximum(load(_Mean(nest.first[0], const(1))), reset))
    ends = store + next_one - if_else(store > before, store - first, 0)

    rounds = nest.tiles // nest.threads
    work = if_else(nest.threads == 1, rounds * alone, rounds * both + ends)
    hidden = all_of(nest.threads == 2, nest.reductions > 1, loads > gemms)
    late = maximum(staged - nest.first[1] - _answered(INP_BYTES, t), 0)
    again = if_else(epilogue >= store, minimum(nest.rows, PASSES), 0)
    return _launch(nest, t) + _kernels(nest, t, hidden, late, again) + work


def _launch(nest: _Nest, t: TimingModel) -> Int:
    """Cycles until the first instruction starts: a burst is fetched before anything runs."""
    per_tile = nest.rows * (1 + 3 * nest.reductions) + PASSES + CHANNELS + TENSORS + 1
    fetched = minimum(nest.tiles * per_tile, t.burst_instructions) * INSTRUCTION_BYTES
    delays = t.launch_delay + t.memory_latency - 1 + t.fetch_drain + t.queue_delay
    return fetched // t.bus_bytes + delays


def _kernels(nest: _Nest, t: TimingModel, hidden: Bool, late: Int, again: Int) -> Int:
    """Cycles of loading the kernels, each when it is first called.

    Where the loads of two threads take longer than their GEMMs, those of the first GEMMs are
    ``hidden``: the second thread loads meanwhile.  It waits for their micro-ops only, which are
    asked for first, if its own data are not ``late`` because of padding.  The epilogue of the
    second thread has kernels too: ``again`` of them count if more waits for it than for a store.
    """
    micro_ops = nest.micro_ops * UOP_BYTES // (t.bus_bytes * nest.threads)
    waited: Int = const(0)
    if t.restart_delay == t.token_delay and min(t.burst_instructions, t.queue_entries) >= EARLY:
        whole = nest.micro_ops * UOP_BYTES <= t.bus_bytes * t.burst_beats
        waited = if_else(whole, maximum(micro_ops - late, 0), 0)
    calls = 2 * nest.rows + PASSES - if_else(hidden, nest.rows - again, 0)
    call = _answered(const(UOP_BYTES), t) + t.restart_delay
    return calls * call + if_else(hidden, waited, micro_ops)


def _answered(element: Int, t: TimingModel) -> Int:
    """Cycles of a read, but for its beats."""
    drain = if_else(element > t.bus_bytes, t.narrow_drain, t.wide_drain)
    return drain + (t.request_delay + t.memory_latency - 1)


def _written(nest: _Nest, t: TimingModel) -> Int:
    """Cycles of the stores of a tile, but for their beats."""
    burst = t.write_command + t.write_latency  # and one beat less, one cycle to acknowledge
    reloads = nest.out - nest.store_rows
    total = reloads * t.write_reload
    if t.write_reload > burst:  # a row that is cut in two needs one less, but another burst
        cuts = nest.out * OUT_BYTES // (t.bus_bytes * t.burst_beats) + nest.store_rows
        total = total - minimum(reloads, cuts) * (t.write_reload - burst)
    return if_else(t.bus_bytes < OUT_BYTES, total, 0) + nest.store_rows * burst


def cycle_bounds(problem: Problem, indices: IntArray, timing: TimingModel = RTL) -> IntArray:
    """Cycle bounds of configurations, aligned with ``indices``; means something where feasible."""
    bound: IntArray = problem.at(indices).evaluate(cycle_bound(problem.workload.op, timing))
    return bound
