"""Transposed convolution: accumulators written past the tile, and what that does.

The GEMM nest splits rows by 4 and columns by 2, and the guards of a split that does not divide
are lost, so rows and columns past the tile are computed too.  A write is harmless when nothing
lives there (behind the last tile, or in the slot of a bias that is loaded later) or when the
input it multiplies is zero in every tile (padding, or a hole of the dilation).

The zeros may be those of another virtual thread's tile, and no token makes a thread wait for the
loads of another: before the first of them has landed they are anything.  Nor does it wait for the
stores of another when it resets its accumulators, and those past its tile.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vtacsp.knobs import IntArray

__all__ = ["COL_SPLIT", "HARMLESS", "RACE", "ROW_SPLIT", "WRONG", "overflow"]

ROW_SPLIT, COL_SPLIT = 4, 2
WRONG, HARMLESS, RACE = range(3)


class _Loop(NamedTuple):
    """Extent of a loop, and what one iteration adds to an index or a position."""

    extent: int
    acc: int = 0
    inp: int = 0
    row: int = 0
    col: int = 0


@lru_cache(1 << 16)  # two rules ask
def overflow(
    tile_h: int,
    tile_w: int,
    tile_ci: int,
    tile_co: int,
    oc_nthread: int,
    h_nthread: int,
    kernel_h: int,
    kernel_w: int,
    output_h: int,
    output_w: int,
    dilated_h: int,
    dilated_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    bias: int,
    acc_bits: int,
    inp_bits: int,
    repeats: int,
) -> int:
    """What is written past the tile does: WRONG, HARMLESS, or RACE, right in upstream's order only.

    Harmless: the tile's accumulators are right and no index leaves a scratchpad.  Reads behind
    the loaded tiles find what earlier programs left there and count as wrong.  ``repeats`` tells
    whether a thread computes more than one tile.
    """
    inner_h, inner_w = min(tile_h, ROW_SPLIT), min(tile_w, COL_SPLIT)
    if tile_h % inner_h == 0 and tile_w % inner_w == 0:
        return HARMLESS
    rows, cols = tile_h + kernel_h - 1, tile_w + kernel_w - 1
    threads = oc_nthread * h_nthread
    acc_tile, inp_tile = tile_h * tile_w * tile_co, rows * cols * tile_ci
    slot = acc_tile + bias * tile_co
    outer = [
        _Loop(tile_ci, inp=rows * cols),
        _Loop(-(-tile_w // inner_w), acc=inner_w, inp=inner_w, col=inner_w),
        _Loop(tile_co, acc=tile_h * tile_w),
        _Loop(-(-tile_h // inner_h), acc=inner_h * tile_w, inp=inner_h * cols, row=inner_h),
    ]
    inner = [
        _Loop(inner_w, acc=1, inp=1, col=1),
        _Loop(kernel_w, inp=1),
        _Loop(kernel_h, inp=cols),
        _Loop(inner_h, acc=tile_w, inp=cols, row=1),
    ]
    zero_rows = np.stack(
        [
            _zero(tile_h, rows, range(t % h_nthread, output_h // tile_h, h_nthread),
                  pad_h, dilated_h, stride_h)
            for t in range(threads)
        ]
    )  # fmt: skip
    zero_cols = _zero(tile_w, cols, range(output_w // tile_w), pad_w, dilated_w, stride_w)

    def reads_zero(source: IntArray) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        thread, element = np.divmod(source, inp_tile)
        row, col = np.divmod(element % (rows * cols), cols)
        loaded = thread < threads
        thread = np.minimum(thread, threads - 1)
        zero: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = loaded & (
            zero_rows[thread, row] | zero_cols[col]
        )
        return zero

    effect = HARMLESS
    for reset in (True, False):
        nest = outer[1:] if reset else outer
        kernel = [inner[0], inner[3]] if reset else inner
        for thread in range(threads):
            target, source = _past_the_tile(
                nest,
                kernel,
                (tile_h, tile_w),
                (thread * slot, thread * inp_tile),
                (acc_bits, max(acc_bits, inp_bits)),
            )
            if (target >> acc_bits).any():
                return WRONG
            owner, element = np.divmod(target, slot)
            lives = (owner < threads) & (element < acc_tile)
            if reset:
                # not accumulated yet, but the tile before may not have been stored
                if repeats and (lives & (owner != thread)).any():
                    effect = RACE
                continue
            if (source >> inp_bits).any() or (lives & ~reads_zero(source)).any():
                return WRONG
            if (lives & (source // inp_tile != thread)).any():
                effect = RACE
    return effect


def _past_the_tile(
    nest: Sequence[_Loop],
    kernel: Sequence[_Loop],
    tile: tuple[int, int],
    base: tuple[int, int],
    bits: tuple[int, int],
) -> tuple[IntArray, IntArray]:
    """ACC and INP indices of the executions outside the tile.

    The index in a micro-op is cut to its field, what the hardware loops add is not.
    """
    existing = [loop for loop in nest if loop.extent > 1]
    hardware, listed = _walk(existing[:2]), _walk([*existing[2:], *kernel])
    row, col = (listed[:, None, i] + hardware[None, :, i] for i in (2, 3))
    outside = (row >= tile[0]) | (col >= tile[1])
    acc, inp = (
        ((listed[:, i] + base[i]) & ((1 << bits[i]) - 1))[:, None] + hardware[None, :, i]
        for i in (0, 1)
    )
    return acc[outside], inp[outside]


def _walk(loops: Sequence[_Loop]) -> IntArray:
    """(acc, inp, row, col) of every iteration, shape (iterations, 4)."""
    points = np.zeros((1, 4), dtype=np.int64)
    for loop in loops:
        steps = np.arange(loop.extent, dtype=np.int64)[:, None] * np.array(loop[1:])
        points = (points[:, None, :] + steps[None, :, :]).reshape(-1, 4)
    return points


def _zero(
    tile: int, extent: int, tiles: range, pad: int, size: int, stride: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """Positions of the input tile that are padding or a hole in every one of ``tiles``."""
    place = np.arange(extent)[None, :] + np.array(tiles)[:, None] * tile - pad
    real = (place >= 0) & (place < size) & (place % stride == 0)
    zero: np.ndarray[tuple[int, ...], np.dtype[np.bool_]] = ~real.any(axis=0)
    return zero
