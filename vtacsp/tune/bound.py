"""A lower bound of cycles, as an expression over the knobs.

The loop nests of the templates become one formula: what a module does per output tile, what
waits for what, and how two virtual threads interleave.  It counts what must happen in sequence
and leaves out what can only add to it: requests that meet at the memory port, bursts that end at
page boundaries, edge tiles that load more than the mean.
"""

from __future__ import annotations

from functools import lru_cache

from vtacsp.arrays import IntArray
from vtacsp.errors import SearchError, WorkloadError
from vtacsp.expr import Bool, Int, all_of, const, if_else, maximum, minimum, pow2
from vtacsp.machine.fields import INSTRUCTION_BYTES, UOP_BYTES
from vtacsp.operators.nest import LoopNest, Mean
from vtacsp.operators.registry import has_part, part
from vtacsp.rules.symbols import (
    CHANNELS,
    LOG_ACC_WIDTH,
    LOG_BATCH,
    LOG_BLOCK,
    LOG_INP_WIDTH,
    LOG_WGT_WIDTH,
    PAIRS,
    PASSES,
    TENSORS,
)
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.problem import Problem
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["cycle_bound", "cycle_bounds", "least_cycles"]

_TENSOR = LOG_BATCH + LOG_BLOCK - 3
INP_BYTES = pow2(_TENSOR + LOG_INP_WIDTH)
OUT_BYTES = INP_BYTES  # LOG_OUT_WIDTH is LOG_INP_WIDTH
ACC_BYTES = pow2(_TENSOR + LOG_ACC_WIDTH)
WGT_BYTES = pow2(LOG_BLOCK + LOG_BLOCK - 3 + LOG_WGT_WIDTH)

EARLY = 16  # instructions, among them the first kernel that waits for a load


@lru_cache
def cycle_bound(op: str, timing: TimingModel = RTL) -> Int:
    """Lower bound of the cycles of a feasible configuration of an operator.

    An expression over the symbols of the rules (``Problem.at(indices).evaluate(...)``).
    Raises :class:`~vtacsp.errors.SearchError` for an unknown operator.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> int(Problem(layer, VTAConfig()).at([0]).evaluate(cycle_bound("conv2d"))[0])
    18123322
    """
    try:
        if not has_part(op, "nest"):
            own: Int = part(op, "bound").cycles(timing)
            return own
        nest: LoopNest = part(op, "nest").NEST
    except (KeyError, WorkloadError) as error:
        raise SearchError(f"no cycle bound for {op!r}: {error}") from None
    return _cycles(nest, timing)


def _cycles(nest: LoopNest, t: TimingModel) -> Int:
    bus = t.bus_bytes
    # between the end of an instruction and the start of the next: in its module, or in another one
    # that waits for its token; where a chain may do either, the shorter
    next_one, token = t.restart_delay, t.token_delay
    either = min(next_one, token)

    # padding is written while no data arrive; a memory may answer sooner than it takes to begin
    answered = _answered(INP_BYTES, t)
    staged = minimum(if_else(bus < INP_BYTES, 2, 1), answered) + nest.inp_tile
    wgt = nest.wgt * WGT_BYTES // bus + _answered(WGT_BYTES, t)

    def load(inp: Mean) -> Int:
        waits = maximum(answered, staged - inp.ceiling)
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
    first = minimum(before, maximum(load(Mean(nest.first[0], const(1))), reset))
    ends = store + next_one - if_else(store > before, store - first, 0)

    rounds = nest.tiles // nest.threads
    work = if_else(nest.threads == 1, rounds * alone, rounds * both + ends)
    hidden = all_of(nest.threads == 2, nest.reductions > 1, loads > gemms)
    late = maximum(staged - nest.first[1] - answered, 0)
    again = if_else(epilogue >= store, minimum(nest.rows, PASSES), 0)
    return _launch(nest, t) + _kernels(nest, t, hidden, late, again) + work


def _launch(nest: LoopNest, t: TimingModel) -> Int:
    """Cycles until the first instruction starts: a burst is fetched before anything runs."""
    per_tile = nest.rows * (1 + 3 * nest.reductions) + PASSES + CHANNELS + TENSORS + 1
    fetched = minimum(nest.tiles * per_tile, t.burst_instructions) * INSTRUCTION_BYTES
    delays = t.launch_delay + t.memory_latency - 1 + t.drain_of_fetch + t.queue_delay
    return fetched // t.bus_bytes + delays


def _kernels(nest: LoopNest, t: TimingModel, hidden: Bool, late: Int, again: Int) -> Int:
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


def _written(nest: LoopNest, t: TimingModel) -> Int:
    """Cycles of the stores of a tile, but for their beats."""
    burst = t.write_command + t.write_latency  # and one beat less, one cycle to acknowledge
    reloads = nest.out - nest.store_rows
    total = reloads * t.write_reload
    if t.write_reload > burst:  # a row that is cut in two needs one less, but another burst
        cuts = nest.out * OUT_BYTES // (t.bus_bytes * t.burst_beats) + nest.store_rows
        total = total - minimum(reloads, cuts) * (t.write_reload - burst)
    return if_else(t.bus_bytes < OUT_BYTES, total, 0) + nest.store_rows * burst


def cycle_bounds(problem: Problem, indices: IntArray, timing: TimingModel = RTL) -> IntArray:
    """Cycle bounds of configurations, aligned with ``indices``; means something where feasible.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> bound = cycle_bounds(Problem(layer, VTAConfig()), np.array([0]))
    >>> bool(bound[0] <= Simulator(layer).cycles(0))
    True
    """
    bound: IntArray = problem.at(indices).evaluate(cycle_bound(problem.workload.op, timing))
    return bound


def least_cycles(space: FeasibleSpace, timing: TimingModel = RTL) -> int:
    """Cycles that no configuration of a space gets below: the least of their bounds."""
    return int(cycle_bounds(space.problem, space.indices, timing).min())
