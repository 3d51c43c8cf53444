"""The micro-op kernels of a free schedule as the rules see them: how many, how long, how wide.

Written apart from what emits programs (:mod:`.multiply`, :mod:`.micro_ops`): a kernel is known by a
hash of its micro-ops and is never kept, an instruction by what its loops add.  Tests compare both.
"""

from __future__ import annotations

import numpy as np

from vtacsp.jit import jit
from vtacsp.operators.geometry import taps

__all__ = [
    "DONE", "END", "LOOP", "MANY", "REWRITTEN", "WIDE_ACC", "WIDE_SRC", "WIDE_WGT", "empty_set",
    "loops_over", "product", "seen", "single",
]  # fmt: skip

DONE, MANY, REWRITTEN = range(3)
"""How a product ends: well, with more micro-ops than fit, at an accumulator rewritten too soon."""

MOST_KERNELS = 1 << 12
"""A limit of the package: an emitted program has no more kernels."""

LOOP, WIDE_ACC, WIDE_SRC, WIDE_WGT, END = range(5)
"""Of all instructions so far: the longest loop, the largest factors; how many numbers these are."""

_PLACES = 1 << 13
_SPREAD = np.uint64(0x9E3779B97F4A7C15)
_ZERO, _ONE = np.int64(0), np.int64(1)  # of the type of every other number
_COLUMN, _ROW, _TAP = range(3)
_OUTPUT = 1


@jit
def mixed(value, number):  # type: ignore[no-untyped-def]
    """A hash that has taken in one more number."""
    value = (value ^ np.uint64(number)) * _SPREAD
    return value ^ (value >> np.uint64(31))


@jit
def empty_set():  # type: ignore[no-untyped-def]
    """No hashes: their places, those that are taken in order, how many and their micro-ops."""
    return np.zeros(_PLACES, np.uint64), np.zeros(_PLACES, np.int64), np.zeros(2, np.int64)


@jit
def seen(known, value, size, most):  # type: ignore[no-untyped-def]
    """Note a kernel of ``size`` micro-ops; False when neither it nor its like has room."""
    places, order, counts = known
    value |= np.uint64(1)  # 0 is an empty place
    place = np.int64((value >> np.uint64(20)) & np.uint64(_PLACES - 1))
    while places[place]:
        if places[place] == value:
            return True
        place = (place + 1) & (_PLACES - 1)
    if counts[1] + size > most or counts[0] >= MOST_KERNELS:
        return False
    places[place] = value
    order[counts[0]] = place
    counts[0] += 1
    counts[1] += size
    return True


@jit
def single(known, dst, src, most):  # type: ignore[no-untyped-def]
    """Note the kernel of a reset or an ALU pass: one micro-op."""
    value = mixed(mixed(mixed(np.uint64(1), dst), src), _ZERO)
    return seen(known, value, _ONE, most)


@jit
def loops_over(widths, blocks, pixels, area, reset):  # type: ignore[no-untyped-def]
    """Note a reset, or a pass, over ``pixels`` of each of some blocks that are ``area`` apart.

    The source of a pass is an accumulator like its result; a reset is a GEMM.
    """
    far = area
    if blocks == 1 or (pixels == area and blocks * pixels < 1 << 14):
        blocks, pixels, far = 1, blocks * pixels, 1
    widths[LOOP] = max(widths[LOOP], blocks, pixels)
    widths[WIDE_ACC] = max(widths[WIDE_ACC], far)
    if reset:
        widths[WIDE_SRC] = max(widths[WIDE_SRC], far)


@jit
def _nest(taken, channel, pixel_y, pixel_x, blocks, steps):  # type: ignore[no-untyped-def]
    """The two hardware loops, outer first, and which of the four loops they are.

    A loop is how often it runs and what it adds to the ACC, source and WGT index.  Pixels go first,
    then the channel loop that is asked for; what runs over channels lies outside of pixels.
    """
    loops = np.zeros((2, 4), np.int64)
    loops[:, 0] = 1
    taken[:] = False
    rows, columns = pixel_y[0] > 1, pixel_x[0] > 1
    inner = np.zeros(4, np.int64)
    inner[0] = 1
    if rows and columns and pixel_x[1] * pixel_x[0] == pixel_y[1] and (
        pixel_x[2] * pixel_x[0] == pixel_y[2]
    ):  # fmt: skip
        inner[:] = pixel_x
        inner[0] = pixel_y[0] * pixel_x[0]
        taken[0] = taken[1] = True
    elif rows and columns:
        loops[0], loops[1] = pixel_y, pixel_x
        taken[0] = taken[1] = True
        return loops
    elif rows:
        inner[:] = pixel_y
        taken[0] = True
    elif columns:
        inner[:] = pixel_x
        taken[1] = True
    for turn in range(2):
        over_blocks = (channel == _OUTPUT) == (turn == 0)
        one = blocks if over_blocks else steps
        if one[0] == 1:
            continue
        if inner[0] > 1:
            loops[0] = one
            taken[2 if over_blocks else 3] = True
            break
        inner[:] = one
        taken[2 if over_blocks else 3] = True
    loops[1] = inner
    return loops


@jit
def _turns(turns, axis, low, many, together):  # type: ignore[no-untyped-def]
    """Give each row (column) of the kernel a turn; those that run as often have the same."""
    for k in range(len(turns)):
        turns[k] = turns[:k].max() + 1 if k else 0
        if not together:
            continue
        count = taps(axis, k, low, low + many)[1]
        for before in range(k):
            if taps(axis, before, low, low + many)[1] == count:
                turns[k] = turns[before]


@jit
def _first(turns, turn):  # type: ignore[no-untyped-def]
    """The first row (column) of the kernel that has a turn."""
    for k in range(len(turns)):
        if turns[k] == turn:
            return k
    return len(turns)


@jit
def product(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    known, widths, most, form, together, channel, y, x, tile, chunk, weights, part
):
    """Note the kernels of a part of a tile and one step; returns how that ends.

    ``tile``: ACC index, first row and column, rows and columns; ``chunk``: INP index, first row
    and column, rows, columns, gaps, blocks from one output block to the next; ``weights``: WGT
    index and blocks; ``part``: first block, blocks, first row and rows.  ``together``: rows and
    columns of the kernel with as many outputs are a kernel of micro-ops together.
    """
    acc, row0, column0, rows, columns = tile
    inp, top, left, height, width, gap_y, gap_x, wide = chunk
    wgt, steps = weights
    block, blocks, row, high = part
    each_y, each_x = form in (_ROW, _TAP), form in (_COLUMN, _TAP)
    area, plane, kernel = rows * columns, height * width, y[2] * x[2]
    pixel_y, pixel_x = np.zeros(4, np.int64), np.zeros(4, np.int64)
    over_blocks, over_steps = np.zeros(4, np.int64), np.zeros(4, np.int64)
    over_blocks[:] = blocks, area, wide * plane, steps * kernel
    over_steps[:] = steps, 0, plane, kernel
    taken = np.zeros(4, np.bool_)
    # the turn in which a row or a column of the kernel comes
    turns_y, turns_x = np.zeros(y[2], np.int64), np.zeros(x[2], np.int64)
    if each_y:
        _turns(turns_y, y, row, high, together)
    if each_x:
        _turns(turns_x, x, column0, columns, together)
    for turn_y in range(turns_y.max() + 1):
        for turn_x in range(turns_x.max() + 1):
            # 1. the loops that may run in hardware
            pixel_y[:], pixel_x[:] = 0, 0
            pixel_y[0] = pixel_x[0] = 1
            if each_y:
                _, many, far = taps(y, _first(turns_y, turn_y), row, row + high)
                if many == 0:
                    continue
                pixel_y[:3] = many, far * columns, far * y[3] // gap_y * width
            if each_x:
                _, many, far = taps(x, _first(turns_x, turn_x), column0, column0 + columns)
                if many == 0:
                    continue
                pixel_x[:3] = many, far, far * x[3] // gap_x
            loops = _nest(taken, channel, pixel_y, pixel_x, over_blocks, over_steps)
            # 2. everything else is unrolled: a hash of the micro-ops, whether one rewrites too soon
            value, size = np.uint64(1), np.int64(0)
            head0 = head1 = one = two = np.int64(-1)  # its first two, its last two accumulators
            rewritten = False
            for step in range(1 if taken[3] else steps):
                for ky in range(y[2]):
                    if turns_y[ky] != turn_y:
                        continue
                    first_y, many_y, far_y = taps(y, ky, row, row + high)
                    for kx in range(x[2]):
                        if turns_x[kx] != turn_x:
                            continue
                        first_x, many_x, far_x = taps(x, kx, column0, column0 + columns)
                        for b in range(block, block + (1 if taken[2] else blocks)):
                            w = wgt + ((b * steps + step) * y[2] + ky) * x[2] + kx
                            for i in range(min(many_y, 1) if each_y else many_y):
                                h = first_y + i * far_y
                                line = (h * y[3] + ky - y[4] - top) // gap_y
                                line = inp + ((b * wide + step) * height + line) * width
                                for j in range(min(many_x, 1) if each_x else many_x):
                                    v = first_x + j * far_x
                                    dst = acc + b * area + (h - row0) * columns + v - column0
                                    src = line + (v * x[3] + kx - x[4] - left) // gap_x
                                    value = mixed(mixed(mixed(value, dst), src), w)
                                    size += 1
                                    if size > most:
                                        return MANY
                                    rewritten |= dst in (one, two)
                                    one, two = two, dst
                                    if size == 1:
                                        head0 = dst
                                    elif size == 2:
                                        head1 = dst
            # 3. the kernel, and how wide the instruction is
            if size == 0:
                continue
            if rewritten or _again(loops, size, head0, head1, one, two):
                return REWRITTEN
            if not seen(known, value, size, most):
                return MANY
            for loop in loops:
                widths[LOOP] = max(widths[LOOP], loop[0])
                if loop[0] > 1:
                    widths[WIDE_ACC] = max(widths[WIDE_ACC], loop[1])
                    widths[WIDE_SRC] = max(widths[WIDE_SRC], loop[2])
                    widths[WIDE_WGT] = max(widths[WIDE_WGT], loop[3])
    return DONE


@jit
def _again(loops, size, head0, head1, one, two):  # type: ignore[no-untyped-def]
    """Whether an iteration writes an accumulator of the last two micro-ops of the one before."""
    inner = loops[1, 1]
    outer = loops[0, 1] - (loops[1, 0] - 1) * inner
    found = False
    for step, times in ((inner, loops[1, 0]), (outer, loops[0, 0])):
        if times > 1:
            found |= head0 + step == two
            if size > 1:
                found |= head0 + step == one or head1 + step == two
    if size == 1 and loops[0, 0] > 1 and loops[1, 0] > 1:
        found |= inner + outer == 0
    return found
