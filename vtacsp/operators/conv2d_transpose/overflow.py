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

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import Any

import numpy as np

from vtacsp.arrays import BoolArray, IntArray

__all__ = ["COL_SPLIT", "HARMLESS", "RACE", "ROW_SPLIT", "WRONG", "overflow"]

ROW_SPLIT, COL_SPLIT = 4, 2
WRONG, HARMLESS, RACE = range(3)

_AT_ONCE = 1 << 18  # indices that are looked at together


@lru_cache(1 << 16)  # two rules ask
def overflow(  # noqa: PLR0915
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
    operands: int,
    left: int,
    acc_bits: int,
    inp_bits: int,
    repeats: int,
) -> int:
    """What is written past the tile does: WRONG, HARMLESS, or RACE, right in upstream's order only.

    Harmless: the tile's accumulators are right and no index leaves a scratchpad.  Reads behind
    the loaded tiles find what earlier programs left there and count as wrong.  ``repeats`` tells
    whether a thread computes more than one tile.  A thread has ``operands`` elements besides its
    accumulators, ``left`` of them in front: those are loaded before anything is written.
    """
    inner_h, inner_w = min(tile_h, ROW_SPLIT), min(tile_w, COL_SPLIT)
    if tile_h % inner_h == 0 and tile_w % inner_w == 0:
        return HARMLESS
    rows, cols = tile_h + kernel_h - 1, tile_w + kernel_w - 1
    threads = oc_nthread * h_nthread
    acc_tile, inp_tile = tile_h * tile_w * tile_co, rows * cols * tile_ci
    slot = acc_tile + operands
    outer_h, outer_w = -(-tile_h // inner_h), -(-tile_w // inner_w)
    zero_rows = [
        _zero(tile_h, rows, range(t % h_nthread, output_h // tile_h, h_nthread),
              pad_h, dilated_h, stride_h)
        for t in range(threads)
    ]  # fmt: skip
    zero_cols = _zero(tile_w, cols, range(output_w // tile_w), pad_w, dilated_w, stride_w)
    zero = np.array([of_thread[:, None] | zero_cols for of_thread in zero_rows]).ravel()

    def effect(thread: int, y: range, x: range, reset: bool) -> int:
        """The same of one thread, in some iterations of the outer loops over rows and columns."""
        # the hardware runs the first two loops of more than one iteration
        extents = {"ci": 1 if reset else tile_ci, "x": outer_w, "co": tile_co, "y": outer_h}
        hardware = [loop for loop, extent in extents.items() if extent > 1][:2]
        row = np.array(y)[:, None] * inner_h + np.arange(inner_h)
        col = np.array(x)[:, None] * inner_w + np.arange(inner_w)
        outside = (row >= tile_h)[:, :, None, None] | (col >= tile_w)
        acc = _Index(acc_bits, thread * slot + left, hardware)
        acc.add("y", y, inner_h * tile_w, axis=0)
        acc.add("", range(inner_h), tile_w, axis=1)
        acc.add("x", x, inner_w, axis=2)
        acc.add("", range(inner_w), 1, axis=3)
        lives, of_another = np.zeros((2, *outside.shape), dtype=np.bool_)
        for index in acc.over("co", tile_co, tile_h * tile_w):
            if (outside & (index >> acc_bits > 0)).any():
                return WRONG
            owner, element = np.divmod(index, slot)
            if reset and (outside & (owner < threads) & (element < left)).any():
                return WRONG
            alive = (owner < threads) & (element < left + acc_tile)
            lives |= alive.any(axis=0)
            of_another |= (alive & (owner != thread)).any(axis=0)
        if reset:
            # not accumulated yet, but the tile before may not have been stored
            return RACE if repeats and (outside & of_another).any() else HARMLESS
        # a tap and an inner row move the index alike: one axis for both, and so for columns
        inp = _Index(max(acc_bits, inp_bits), thread * inp_tile, hardware)
        inp.add("y", y, inner_h * cols, axis=0)
        inp.add("", range(inner_h + kernel_h - 1), cols, axis=1)
        inp.add("x", x, inner_w, axis=2)
        inp.add("", range(inner_w + kernel_w - 1), 1, axis=3)
        beyond, data, foreign = np.zeros((3, *inp.shape), dtype=np.bool_)
        for index in inp.over("ci", tile_ci, rows * cols):
            beyond |= (index >> inp_bits > 0).any(axis=0)
            owner, element = np.divmod(index, inp_tile)
            place = np.minimum(owner, threads - 1) * (rows * cols) + element % (rows * cols)
            data |= ((owner >= threads) | ~zero[place]).any(axis=0)
            foreign |= (owner != thread).any(axis=0)

        def reads(found: BoolArray) -> BoolArray:
            return outside & _any_tap(found, kernel_h, kernel_w)

        if reads(beyond).any() or (lives & reads(data)).any():
            return WRONG
        return RACE if (lives & reads(foreign)).any() else HARMLESS

    every_y, every_x = range(outer_h), range(outer_w)
    parts = []  # where something is outside
    if tile_h % inner_h:
        parts.append((every_y[-1:], every_x))
    if tile_w % inner_w:
        parts.append((every_y, every_x[-1:]))
    worst = HARMLESS
    for reset, thread, (y, x) in product((False, True), range(threads), parts):
        found = effect(thread, y, x, reset)
        if found == WRONG:
            return WRONG
        worst = max(worst, found)
    return worst


class _Index:
    """An index of all executions, on axes (outer row, inner row, outer column, inner column).

    The index in a micro-op is cut to its field, what the hardware loops add is not.
    """

    def __init__(self, bits: int, base: int, hardware: Sequence[str]) -> None:
        self._mask = (1 << bits) - 1
        self._hardware = hardware
        self._listed: Any = np.int64(base)
        self._added: Any = np.int64(0)

    @property
    def shape(self) -> tuple[int, ...]:
        return np.broadcast_shapes(np.shape(self._listed), np.shape(self._added))

    def add(self, loop: str, iterations: range, step: int, *, axis: int) -> None:
        """A loop of the nest; one without a name is unrolled."""
        steps = np.array(iterations, dtype=np.int64).reshape([-1, *[1] * (3 - axis)]) * step
        if loop in self._hardware:
            self._added = self._added + steps
        else:
            self._listed = self._listed + steps

    def over(self, loop: str, extent: int, step: int) -> Iterator[IntArray]:
        """The indices of all iterations of a loop in front of the axes, some at a time."""
        some = max(_AT_ONCE // prod(self.shape), 1)
        for begin in range(0, extent, some):
            steps = np.arange(begin, min(begin + some, extent), dtype=np.int64) * step
            steps = steps.reshape(-1, 1, 1, 1, 1)
            if loop in self._hardware:
                yield (self._listed & self._mask) + (self._added + steps)
            else:
                yield ((self._listed + steps) & self._mask) + self._added


def _any_tap(found: BoolArray, kernel_h: int, kernel_w: int) -> BoolArray:
    """Whether an execution finds it with any tap of the kernel."""
    for axis, taps in ((1, kernel_h), (3, kernel_w)):
        counts = np.cumsum(found, axis=axis, dtype=np.int32)
        zero = np.zeros_like(counts.take([0], axis=axis))
        counts = np.concatenate([zero, counts], axis=axis)
        last = counts.shape[axis]
        found = counts.take(range(taps, last), axis) > counts.take(range(last - taps), axis)
    return found


def _zero(tile: int, extent: int, tiles: range, pad: int, size: int, stride: int) -> BoolArray:
    """Positions of the input tile that are padding or a hole in every one of ``tiles``."""
    # tiles away from the border repeat after at most ``stride`` of them
    some = pad + extent + stride + 2
    starts = np.array([*tiles[:some], *tiles[some:][-some:]], dtype=np.int64) * tile - pad
    place = np.arange(extent)[None, :] + starts[:, None]
    real = (place >= 0) & (place < size) & (place % stride == 0)
    return np.asarray(~real.any(axis=0))
