"""GEMM instructions of a free schedule, without products with padding.

An instruction has two loops and a list of micro-ops.  What a form leaves to the loops (a row of
outputs, channel blocks) runs in hardware, everything else is unrolled into the list.
Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np

from vtacsp.free import micro_ops as k
from vtacsp.free.table import gemm
from vtacsp.jit import jit
from vtacsp.operators.geometry import taps

__all__ = ["HAZARD", "OK", "UOPS", "gemm_instructions"]

OK, UOPS, HAZARD = range(3)
"""How it ends: well, with too many micro-ops, at an accumulator rewritten too soon."""

_COLUMN, _ROW, _TAP, _ALL = range(4)  # FORMS
_OUTPUT = 1  # LOOPS


@jit
def _alike(axis, k, low, count):  # type: ignore[no-untyped-def]
    """The first row or column of the kernel that meets as many of some outputs as row ``k``."""
    _, wanted, _ = taps(axis, k, low, low + count)
    for other in range(k):
        _, some, _ = taps(axis, other, low, low + count)
        if some == wanted:
            return other
    return k


@jit
def gemm_instructions(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    table, n, form, join, loop, y, x, acc, inp, wgt, part, uops
):
    """GEMM instructions over a part of a tile and one step; returns their end, or how it failed.

    ``acc`` is where the tile begins, its first row, first column, rows and columns; ``inp`` where
    the chunk begins, its first row and column, rows, columns, the gaps between them and the input
    blocks from one output block to the next; ``wgt`` where the chunk begins and its input blocks.
    ``part`` is first block, blocks, first row and rows of the tile.  With ``join``, rows or columns
    of the kernel that meet equally many outputs have an instruction together.
    """
    scratch, _, begins, _, _, _ = uops
    block, blocks, row, rows = part
    acc_base, row0, column0, tile_rows, tile_columns = acc
    inp_base, top, left, height, width, gap_y, gap_x, spans = inp
    wgt_base, steps = wgt
    _, _, taps_y, stride_y, pad_y, _ = y
    _, _, taps_x, stride_x, pad_x, _ = x
    loops = np.empty((2, 4), np.int64)
    found = np.empty((2, 4), np.int64)
    outer_y = taps_y if form in (_ROW, _TAP) else 1
    outer_x = taps_x if form in (_COLUMN, _TAP) else 1
    for part_y in range(outer_y):
        for part_x in range(outer_x):
            # 1. which taps and outputs an instruction has
            y_from, y_to = (part_y, part_y + 1) if outer_y > 1 else (0, taps_y)
            x_from, x_to = (part_x, part_x + 1) if outer_x > 1 else (0, taps_x)
            y_loops = y_to - y_from == 1 and form in (_ROW, _TAP)
            x_loops = x_to - x_from == 1 and form in (_COLUMN, _TAP)
            h0, nh, dh = taps(y, y_from, row, row + rows)
            w0, nw, dw = taps(x, x_from, column0, column0 + tile_columns)
            if (y_loops and nh == 0) or (x_loops and nw == 0):
                continue
            joined_y, joined_x = join and y_loops, join and x_loops
            if (joined_y and _alike(y, part_y, row, rows) < part_y) or (
                joined_x and _alike(x, part_x, column0, tile_columns) < part_x
            ):
                continue
            if joined_y:
                y_to = taps_y
            if joined_x:
                x_to = taps_x
            # 2. the loops that may run in hardware, those over pixels first
            many = 0
            src_y, src_x = dh * stride_y // gap_y * width, dw * stride_x // gap_x
            if y_loops and nh > 1:
                found[many] = nh, dh * tile_columns, src_y, 0
                many += 1
            if x_loops and nw > 1:
                found[many] = nw, dw, src_x, 0
                many += 1
            if many == 2 and dw * nw == found[0, 1] and src_x * nw == src_y:
                found[0] = nh * nw, dw, src_x, 0
                many = 1
            pixels = many
            area = tile_rows * tile_columns
            in_steps = in_blocks = False
            for turn in range(2):
                over_blocks = (loop == _OUTPUT) == (turn == 0)
                if many == 2 or (blocks if over_blocks else steps) == 1:
                    continue
                if over_blocks:
                    wide = spans * height * width
                    found[many] = blocks, area, wide, steps * taps_y * taps_x
                    in_blocks = True
                else:
                    found[many] = steps, 0, height * width, taps_y * taps_x
                    in_steps = True
                many += 1
            # pixels run inside of channels
            loops[:, 0], loops[:, 1:] = 1, 0
            if many == 2 and pixels < 2:
                loops[0], loops[1] = found[1], found[0]
            elif many == 2:
                loops[0], loops[1] = found[0], found[1]
            elif many == 1:
                loops[1] = found[0]
            # 3. everything else is unrolled
            size = 0
            for step in range(1 if in_steps else steps):
                for ky in range(y_from, y_to):
                    if joined_y and _alike(y, ky, row, rows) != part_y:
                        continue
                    h0, nh, dh = taps(y, ky, row, row + rows)
                    for kx in range(x_from, x_to):
                        if joined_x and _alike(x, kx, column0, tile_columns) != part_x:
                            continue
                        w0, nw, dw = taps(x, kx, column0, column0 + tile_columns)
                        for b in range(block, block + (1 if in_blocks else blocks)):
                            weight = wgt_base + ((b * steps + step) * taps_y + ky) * taps_x + kx
                            plane = inp_base + (b * spans + step) * height * width
                            for h in range(h0, h0 + (1 if y_loops else nh) * dh, dh):
                                line = plane + (h * stride_y + ky - pad_y - top) // gap_y * width
                                dst = acc_base + b * area + (h - row0) * tile_columns - column0
                                for w in range(w0, w0 + (1 if x_loops else nw) * dw, dw):
                                    if size == len(scratch):
                                        return -UOPS
                                    src = line + (w * stride_x + kx - pad_x - left) // gap_x
                                    scratch[size] = k.pack_micro_op(dst + w, src, weight)
                                    size += 1
            # 4. the kernel, and the instruction
            if size == 0:
                continue
            if k.rewrites(scratch, size, loops):
                return -HAZARD
            kernel = k.find_kernel(uops, size)
            if kernel == k.FULL:
                return -UOPS
            n = gemm(table, n, 0, loops, kernel, begins[kernel], begins[kernel + 1])
    return n
