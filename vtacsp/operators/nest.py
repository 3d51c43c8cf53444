"""The loop nest of an operator, as expressions that the rules and the cycle bound read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vtacsp.expr import Int, const, if_else, maximum, table
from vtacsp.rules.symbols import (
    KH,
    KW,
    OH,
    OW,
    N,
    h_nthread,
    oc_nthread,
    tile_ci,
    tile_co,
    tile_h,
    tile_w,
)

__all__ = ["LoopNest", "Mean", "Reads", "spatial_nest"]


@dataclass(frozen=True)
class Mean:
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
class LoopNest:
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
    inp: tuple[Mean, Mean]
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


class Reads(NamedTuple):
    """What the tiles load along one spatial axis: ``extent`` inputs each, ``step`` apart."""

    step: Int
    extent: Int
    size: Int
    pad: Int


def spatial_nest(
    *, rows: Reads, cols: Reads, channels: Int, outer: tuple[Int, Int, Int, Int], micro_ops: Int
) -> LoopNest:
    """The nest of a convolution; ``outer`` are the tiles: rows, columns, outputs, reduction."""
    h0, w0, co0, ci0 = outer
    threads = oc_nthread * h_nthread
    turns = maximum(h0 // h_nthread, 1)  # threads take turns at the rows of tiles

    def loaded(thread: Int) -> tuple[Int, Mean]:
        mine = (rows.step * h_nthread, rows.extent, rows.size, rows.pad - thread * rows.step)
        first = table("loaded", _loaded, 1, *mine) * table("loaded", _loaded, 1, *cols)
        total = table("loaded", _loaded, turns, *mine) * table("loaded", _loaded, w0, *cols)
        return first * channels, Mean(total * channels, turns * w0)

    (first, inp), (other, others) = loaded(const(0)), loaded(h_nthread - 1)
    out_tile = tile_co * tile_h * tile_w
    whole_rows = if_else(tile_h == OH, 1, tile_co)
    return LoopNest(
        tiles=N * h0 * w0 * co0,
        threads=threads,
        rows=const(1),
        reductions=ci0,
        reset=out_tile,
        gemm=out_tile * (tile_ci * (KH * KW)),
        first=(first, other),
        inp=(inp, others),
        inp_tile=channels * rows.extent * cols.extent,
        wgt=tile_co * tile_ci * (KH * KW),
        out=out_tile,
        store_rows=if_else(tile_w == OW, whole_rows, tile_co * tile_h),
        channel=tile_co,
        micro_ops=micro_ops,
    )
