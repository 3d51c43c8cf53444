"""A lower bound of the cycles of a free schedule, as an expression over its fields.

What the limit says of any program, this says of the programs of one schedule: it knows what the
rings of slots make them load again, how many instructions there are, what is loaded before the
first product and stored after the last, and what waits where a ring has a single slot.
"""

from __future__ import annotations

from functools import lru_cache

from vtacsp.epilogue.steps import CHANNEL
from vtacsp.expr import Int, all_of, const, if_else, maximum, minimum, named, table
from vtacsp.free import demand as walk
from vtacsp.free.epilogue import chain_of
from vtacsp.free.limit import limit
from vtacsp.free.rules import first_load, last_load, last_tile, plain, plain_inp, wgt_chunk
from vtacsp.free.schedule_fields import (
    acc,
    begin,
    begin_rows,
    channels,
    closing,
    columns,
    finish,
    finish_rows,
    first,
    gather,
    inp,
    last,
    lead,
    load_rows,
    opening,
    order,
    parts,
    reduction,
    rows,
    sizes_of,
    wgt,
)
from vtacsp.free.window_bound import window_bound
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import AxisGeometry, geometry, taps
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["schedule_cycle_bound"]


@lru_cache(maxsize=64)
def schedule_cycle_bound(
    workload: Workload, hardware: VTAConfig, timing: TimingModel = RTL, *, counted: bool = False
) -> Int:
    """Cycles that no program of a schedule gets below, where the rules hold.

    ``counted``: of what the ALU runs by itself, with what a walk over the schedule counts: closer,
    and nothing for a solver.

    An expression over the fields of a schedule; ``docs/beyond_the_template.md`` has the reasons.
    Raises :class:`~vtacsp.errors.WorkloadError` as :func:`~vtacsp.free.limit.limit` does.
    """
    least = limit(workload, hardware, timing)
    g = geometry(workload, hardware)
    if g.on_alu:
        terms = least._asdict()
        return window_bound(
            g, chain_of(workload, hardware), terms, hardware, timing, counted=counted
        )
    bound = _Bound(workload, hardware, timing)
    if bound.g.products == 0:  # nothing waits for what is loaded
        return const(least.cycles)
    work, (pixels, weights) = bound.work(), bound.reads()
    ends = bound.after() + least.around_compute
    compute = work + bound.before() + ends
    size = hardware.element_bytes("acc")
    read = pixels + weights + bound.loaded * size // timing.bus_bytes + least.around_read
    # rings of one slot: what fills it waits for what used it
    one_inp = if_else((inp == 1) & (parts(begin) == 0), pixels + least.gemm, 0)
    one_wgt = if_else((wgt == 1) & (parts(begin) == 0), weights + least.gemm, 0)
    stores = maximum(bound.g.positions - _last_tile(), 0) * bound.written
    one_acc = if_else(acc == 1, work + stores, 0)
    alone = maximum(maximum(one_inp, one_wgt), one_acc) + ends
    stored = const(least.write + least.around_write)
    return named("cycles", maximum(maximum(compute, read), maximum(alone, stored)))


class _Bound:
    """The terms, each with what it is made of."""

    def __init__(self, workload: Workload, hardware: VTAConfig, timing: TimingModel) -> None:
        self.hardware, self.t, self.g = hardware, timing, geometry(workload, hardware)
        self.least = limit(workload, hardware, timing)
        self.chain = chain_of(workload, hardware)
        self.written = self.least.write // self.g.positions
        self.kinds = workload.chain.operands
        values = {True: self.g.batch * self.g.outputs, False: self.g.positions}
        self.loaded = sum(values[kind == CHANNEL] for kind in self.kinds)
        self.y, self.x = (*self.g.y,), (*self.g.x,)
        self.is_cut = (if_else(parts(first) > 0, 1, 0), if_else(parts(last) > 0, 1, 0))
        self.row_pieces = table("row_pieces", _pieces, rows, load_rows, *self.is_cut, *self.y)
        self.column_pieces = table("column_pieces", _pieces, columns, 0, 0, 0, *self.x)

    def reads(self) -> tuple[Int, Int]:
        """Beats of the inputs and of the weights.

        Each chunk once.  A chunk that is needed again is loaded again but for what a ring has kept
        from one pass to the next: no more than its slots.  Tiles that meet no input do not count.
        """
        g, t, by_rows = self.g, self.t, order == 0
        lines = named(
            "lines", table("lines", _lines, rows, load_rows, gather, *self.is_cut, *self.y)
        )
        across = named("across", table("across", _lines, columns, 0, gather // 2, 0, 0, *self.x))
        image = named("image", lines * across * (g.groups * g.inputs))  # a pass over an image
        if g.groups == 1:
            room = self.hardware.depth("inp")
            kept = if_else(plain, minimum(inp * plain_inp, room), room)
            kept = kept * if_else(by_rows, parts(rows), 1)
            image = image + (parts(channels) - 1) * maximum(image - kept, 0)
        weights = g.outputs * g.inputs * g.kernel
        ring = wgt * wgt_chunk
        rings = ring * parts(channels)
        tiles = table("row_tiles", _pieces, rows, 0, *self.is_cut, *self.y) * g.batch
        again = (tiles - 1) * maximum(weights - if_else(by_rows, ring, rings), 0)
        again = again + (self.column_pieces - 1) * tiles * maximum(weights - rings, 0)
        size = self.hardware.element_bytes
        return (
            named("pixel_beats", image * (g.batch * size("inp")) // t.bus_bytes),
            named("weight_beats", (again + weights) * size("wgt") // t.bus_bytes),
        )

    def work(self) -> Int:
        """Cycles of the compute module: micro-ops, and what instructions take beside them."""
        steps = parts(reduction)
        lacking = maximum(steps - if_else(parts(lead) > 0, parts(lead), steps), 0)
        columns_of_all = parts(channels) * self.g.batch
        products = (columns_of_all * steps) * (self.row_pieces * self.column_pieces)
        products = maximum(products - lacking * _most_pieces(), 0)
        tiles = columns_of_all * parts(rows) * parts(columns)
        passes = len(self.chain.passes) + (0 if self.chain.preload >= 0 else 1)
        each = self.t.pipeline_depth + self.t.restart_delay
        issue = maximum(self.least.issue, (tiles * passes + products - 1) * each)
        return named("work", issue + (self.least.gemm + self.least.alu + self.least.operands))

    def before(self) -> Int:
        """Cycles that the first product waits for its chunks, but for the reset before it."""
        if self.kinds:
            return const(0)
        g, t = self.g, self.t
        step = if_else(parts(lead) > 0, opening(lead), opening(reduction))
        depth = if_else(parts(begin) > 0, opening(begin), opening(channels))
        tall = if_else(parts(begin_rows) > 0, opening(begin_rows), first_load)
        blocks = step
        if g.groups > 1 and g.outputs == g.groups:
            blocks = if_else(opening(channels) > 1, g.inputs * depth, step)
        top = table("first_lines", _first_lines, tall, gather, *self.y)
        left = table("first_across", _first_lines, opening(columns), gather // 2, *self.x)
        size = self.hardware.element_bytes
        ahead = blocks * (top * left) * size("inp") + depth * step * (g.kernel * size("wgt"))
        # a cut makes the first tile smaller
        tile = opening(channels) * opening(rows) * opening(columns)
        reset = tile * max(t.gemm_interval, 1) + (t.pipeline_depth + t.restart_delay)
        waits = maximum(ahead // t.bus_bytes - 1 - reset, 0)
        return if_else(all_of(top > 0, left > 0), waits, 0)

    def after(self) -> Int:
        """Cycles of the last store, but for those of one tensor."""
        end_rows = if_else(parts(finish_rows) > 0, closing(finish_rows), last_load)
        piece = closing(finish) * end_rows * closing(columns)
        return (if_else(parts(finish) > 0, piece, _last_tile()) - 1) * self.written


def _last_tile() -> Int:
    return closing(channels) * last_tile * closing(columns)


def _most_pieces() -> Int:
    """Loads of a tile of the most rows, at most."""
    return if_else(load_rows > 0, opening(rows), 1)


@lru_cache(maxsize=1 << 16)
def _lines(sizes: int, at_a_time: int, gathers: int, first: int, last: int, *axis: int) -> int:
    """Rows or columns that all chunks have together, those that are alike once.

    Of a first or last part that is cut, only those that it needs and no other has.
    """
    gap = AxisGeometry(*axis).gap if gathers else 1
    parts_ = sizes_of(sizes)
    chunks: dict[tuple[int, int], None] = {}
    needed: set[int] = set()
    low = 0
    for i, size in enumerate(parts_):
        end = low + size
        if (first and i == 0) or (last and i == len(parts_) - 1):
            needed |= _needed(axis, low, end)
            low = end
            continue
        while low < end:
            high = min(low + (at_a_time or size), end)
            many = walk.lines(axis, low, high, gap)
            if many:
                chunks[min(_needed(axis, low, high)), many] = None
            low = high
    have = {begin + i * gap for begin, many in chunks for i in range(many)}
    return sum(many for _, many in chunks) + len(needed - have)


def _needed(axis: tuple[int, ...], low: int, high: int) -> set[int]:
    """The inputs that outputs ``[low, high)`` need."""
    found: set[int] = set()
    for k in range(axis[2]):
        begin, many, far = taps(axis, k, low, high)
        found |= {(begin + i * far) * axis[3] + k - axis[4] for i in range(many)}
    return found


@lru_cache(maxsize=1 << 16)
def _pieces(sizes: int, at_a_time: int, first: int, last: int, *axis: int) -> int:
    """Loads of a partition that meet some input; one at most for a part that is cut."""
    parts_ = sizes_of(sizes)
    found = low = 0
    for i, size in enumerate(parts_):
        end = low + size
        is_cut = (first and i == 0) or (last and i == len(parts_) - 1)
        step = size if is_cut else at_a_time or size
        while low < end:
            high = min(low + step, end)
            found += walk.lines(axis, low, high, 1) > 0
            low = high
    return found


@lru_cache(maxsize=1 << 12)
def _first_lines(many: int, gathers: int, *axis: int) -> int:
    gap = AxisGeometry(*axis).gap if gathers else 1
    return int(walk.lines(axis, 0, many, gap)) if many else 0
