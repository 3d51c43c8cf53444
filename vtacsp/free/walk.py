"""The walk over tiles, steps and pieces of a free schedule that notes its instructions.

Nothing here waits for anything: an instruction says what it touches, and the tokens follow from
that (:mod:`.tokens`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from vtacsp.free import kernels as k
from vtacsp.free.geometry import needed, taps
from vtacsp.free.table import ACC, INP, WGT, alu, gemm, move
from vtacsp.program.epilogue import CLIP_HIGH, CLIP_LOW, SHIFT
from vtacsp.program.isa import AluOp, Memory

__all__ = ["HAZARD", "OK", "UOPS", "Cuts", "measure", "tiles", "walk"]

OK, UOPS, HAZARD = range(3)
"""How a walk ends: well, with too many micro-ops, at an accumulator rewritten too soon."""

_UOP, _WGT, _INP, _ACC, _OUT = (int(memory) for memory in Memory)
_MIN, _MAX, _ADD, _SHR = (int(o) for o in (AluOp.MIN, AluOp.MAX, AluOp.ADD, AluOp.SHR))
_COLUMN, _ROW, _TAP, _ALL = range(4)  # FORMS
_OUTPUT = 1  # LOOPS
_LARGEST_LOOP = (1 << 14) - 1

TILE = ("batch", "channel", "channels", "row", "rows", "column", "columns")
"""Columns of a table of tiles."""


class Cuts(NamedTuple):
    """The numbers of a schedule, for compiled functions."""

    load_rows: int
    begin_steps: int
    snake: int
    gap_y: int
    gap_x: int
    form: int
    loop: int
    inp_slots: int
    wgt_slots: int
    acc_slots: int
    inp_size: int
    wgt_size: int
    acc_size: int
    inp_pieces: int
    wgt_pieces: int
    acc_pieces: int


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def tiles(batch, channels, rows, columns, first, last, by_rows):  # type: ignore[no-untyped-def]
    """The tiles in their order, a row of :data:`TILE` each."""
    outer, inner = (rows, channels) if by_rows else (channels, rows)
    number = batch * len(channels) * len(rows) * len(columns)
    result = np.empty((number + len(first) + len(last), len(TILE)), np.int64)
    n = tile = 0
    for image in range(batch):
        at_outer = 0
        for i in outer:
            at_inner = 0
            for j in inner:
                row, height = (at_outer, i) if by_rows else (at_inner, j)
                channel, depth = (at_inner, j) if by_rows else (at_outer, i)
                column = 0
                for width in columns:
                    cuts = np.array([height])
                    if tile == number - 1 and len(last):
                        cuts = last
                    elif tile == 0 and len(first):
                        cuts = first
                    begin = row
                    for part in cuts:
                        result[n] = image, channel, depth, begin, part, column, width
                        begin += part
                        n += 1
                    column += width
                    tile += 1
                at_inner += j
            at_outer += i
    return result[:n]


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _chunk(y, x, tile, begin, end, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Input of rows ``[begin, end)`` of a tile: first row and column, how many of each."""
    top, bottom = needed(y, begin, end)
    left, right = needed(x, tile[5], tile[5] + tile[6])
    height = (bottom - top) // gap_y + 1 if bottom >= top else 0
    width = (right - left) // gap_x + 1 if right >= left else 0
    return top, left, height, width


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _spans(sizes, depth):  # type: ignore[no-untyped-def]
    """Input channel blocks per output block of a tile: 0 when all its outputs share them."""
    _, groups, inputs, outputs, _ = sizes
    return inputs if outputs == groups and depth > 1 and groups > 1 else 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def measure(sizes, y, x, cut, step, cuts):  # type: ignore[no-untyped-def]
    """Elements of the largest input chunk, weight chunk and accumulator tile, shape (3,).

    ``step``: the input blocks of the largest step.
    """
    result = np.zeros(3, np.int64)
    load_rows, gap_y, gap_x = cuts
    for tile in cut:
        begin = tile[3]
        while begin < tile[3] + tile[4]:
            end = min(begin + (load_rows if load_rows else tile[4]), tile[3] + tile[4])
            _, _, height, width = _chunk(y, x, tile, begin, end, gap_y, gap_x)
            blocks = max(step, _spans(sizes, tile[2]) * tile[2])
            result[0] = max(result[0], blocks * height * width)
            begin = end
        result[1] = max(result[1], tile[2] * step * y[2] * x[2])
        result[2] = max(result[2], tile[2] * tile[4] * tile[6])
    return result


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _load_inputs(table, n, sram, dram, blocks, height, width, y, x, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Loads of ``blocks`` times ``height`` rows of ``width`` inputs, as few as there can be."""
    area = y[0] * x[0]
    if gap_x > 1 and width > 1:
        for block in range(blocks):
            for row in range(height):
                at = dram + block * area + row * gap_y * x[0]
                n = move(table, n, _INP, sram, at, width, 1, gap_x)
                sram += width
    elif height == 1:
        n = move(table, n, _INP, sram, dram, blocks, width, area)
    elif gap_y == 1 and width == x[0]:
        if height == y[0]:
            n = move(table, n, _INP, sram, dram, 1, blocks * area, blocks * area)
        else:
            n = move(table, n, _INP, sram, dram, blocks, height * width, area)
    else:
        for block in range(blocks):
            n = move(table, n, _INP, sram, dram + block * area, height, width, gap_y * x[0])
            sram += height * width
    return n


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _slot(keys, key, state):  # type: ignore[no-untyped-def]
    """The slot that holds a chunk, or the oldest one; and whether it has to be loaded."""
    for slot in range(len(keys)):
        same = True
        for i in range(len(key)):
            if keys[slot, i] != key[i]:
                same = False
                break
        if same:
            return slot, False
    slot = state[0]
    state[0] = slot + 1 if slot + 1 < len(keys) else 0
    keys[slot] = key
    return slot, True


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _multiply(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    table, n, form, loop, y, x, acc, inp, wgt, part, pool, begins, places, slots, counts, scratch
):
    """GEMM instructions over a part of a tile and one step; returns their end, or how it failed.

    ``acc`` is where the tile begins, its first row, first column, rows and columns; ``inp`` where
    the chunk begins, its first row and column, rows, columns, the gaps between them and the input
    blocks from one output block to the next; ``wgt`` where the chunk begins and its input blocks.
    ``part`` is first block, blocks, first row and rows of the tile.
    """
    block, blocks, row, rows = part
    acc_base, row0, column0, tile_rows, tile_columns = acc
    inp_base, top, left, height, width, gap_y, gap_x, spans = inp
    wgt_base, steps = wgt
    _, _, taps_y, stride_y, pad_y, _ = y
    _, _, taps_x, stride_x, pad_x, _ = x
    loops = np.empty((2, 4), np.int64)
    found = np.empty((5, 4), np.int64)
    outer_y = taps_y if form in (_ROW, _TAP) else 1
    outer_x = taps_x if form in (_COLUMN, _TAP) else 1
    for part_y in range(outer_y):
        for part_x in range(outer_x):
            y_from, y_to = (part_y, part_y + 1) if outer_y > 1 else (0, taps_y)
            x_from, x_to = (part_x, part_x + 1) if outer_x > 1 else (0, taps_x)
            y_loops = y_to - y_from == 1 and form in (_ROW, _TAP)
            x_loops = x_to - x_from == 1 and form in (_COLUMN, _TAP)
            h0, nh, dh = taps(y, y_from, row, row + rows)
            w0, nw, dw = taps(x, x_from, column0, column0 + tile_columns)
            if (y_loops and nh == 0) or (x_loops and nw == 0):
                continue
            # the loops that may run in hardware, those over pixels first
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
            # everything else is unrolled
            size = 0
            for step in range(1 if in_steps else steps):
                for ky in range(y_from, y_to):
                    h0, nh, dh = taps(y, ky, row, row + rows)
                    for kx in range(x_from, x_to):
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
                                    scratch[size] = k.pack(dst + w, src, weight)
                                    size += 1
            if size == 0:
                continue
            if k.rewrites(scratch, size, loops):
                return -HAZARD
            kernel = k.find(scratch, size, pool, begins, places, slots, counts)
            if kernel == k.FULL:
                return -UOPS
            n = gemm(table, n, 0, loops, kernel, begins[kernel], begins[kernel + 1])
    return n


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def walk(  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    sizes, y, x, cut, reduction, lead, begin, begin_rows, finish, finish_rows, cuts, table, pool
):
    """Note the instructions of a schedule in ``table``, its micro-ops in ``pool``.

    Returns how the walk ended, the number of instructions (0: ``table`` is too short) and where
    the kernels begin in the pool.
    """
    _, groups, in_blocks, out_blocks, bias = sizes
    c = Cuts(*cuts)
    height_in, height_out, taps_y, _, _, _ = y
    width_in, width_out, taps_x, _, _, _ = x
    taps_all = taps_y * taps_x
    slots, counts = np.zeros(k.SLOTS, np.int32), np.zeros(2, np.int64)
    starts, places = np.zeros(k.SLOTS // 2 + 1, np.int64), np.zeros(k.SLOTS // 2 + 1, np.int64)
    scratch = np.empty(len(pool), np.int64)
    inputs, weights = np.full((c.inp_slots, 7), -1), np.full((c.wgt_slots, 4), -1)
    next_inp, next_wgt = np.zeros(1, np.int64), np.zeros(1, np.int64)
    key_inp, key_wgt = np.zeros(7, np.int64), np.zeros(4, np.int64)
    bias_of = np.full(out_blocks, -1, np.int64)
    bias_base = c.acc_slots * c.acc_size
    loops = np.zeros((2, 4), np.int64)
    one, one_row = np.zeros(1, np.int64), np.zeros(1, np.int64)
    # what a part of a tile has at most: kernels by tap, input loads by row, stores by channel
    deepest = cut[:, 2].max()
    blocks = deepest * in_blocks if groups > 1 else in_blocks
    spare = 16 + taps_all + blocks * height_in + deepest
    per_group = out_blocks // groups
    n = 0
    for t in range(len(cut)):
        tile = cut[t]
        batch, channel, depth, row0, rows, column0, columns = tile
        bottom_row = row0 + rows
        area = rows * columns
        acc_slot = t % c.acc_slots
        acc_base = acc_slot * c.acc_size
        spans = _spans(sizes, depth)
        if n + spare > len(table):
            return OK, 0, starts[:1]
        if bias and bias_of[channel] != batch:
            bias_of[channel] = batch
            n = move(table, n, _ACC, bias_base + channel, batch * out_blocks + channel, 1, depth, 1)
        scratch[0] = k.pack(acc_base, acc_base, 0)
        kernel = k.find(scratch, 1, pool, starts, places, slots, counts)
        if kernel == k.FULL:
            return UOPS, n, starts[:1]
        _flat(loops, depth, area, area, area)
        n = gemm(table, n, 1, loops, kernel, starts[kernel], starts[kernel + 1])
        _touch(table, n - 1, n, ACC, acc_slot * c.acc_pieces, c.acc_pieces)
        parts = lead if t == 0 and len(lead) else reduction
        backwards = c.snake and t % 2 == 1
        finishes = t == len(cut) - 1 and len(finish) > 0
        piece = 0
        first = in_blocks if backwards else 0
        for q in range(len(parts)):
            steps = parts[len(parts) - 1 - q] if backwards else parts[q]
            if backwards:
                first -= steps
            last = q == len(parts) - 1
            begins = t == 0 and q < c.begin_steps and len(begin) > 0
            key_wgt[:] = channel, depth, first, steps
            wgt_slot, fresh_wgt = _slot(weights, key_wgt, next_wgt)
            wgt_base, wgt_piece = wgt_slot * c.wgt_size, wgt_slot * c.wgt_pieces
            wgt_dram = (channel * in_blocks + first) * taps_all
            if n + spare > len(table):
                return OK, 0, starts[:1]
            if fresh_wgt and not begins:
                n = move(
                    table, n, _WGT, wgt_base, wgt_dram, depth, steps * taps_all,
                    in_blocks * taps_all,
                )  # fmt: skip
                _touch(table, n - 1, n, WGT, wgt_piece, c.wgt_pieces)
            low = row0
            while low < bottom_row:
                end = min(low + (c.load_rows if c.load_rows else rows), bottom_row)
                top, left, height, width = _chunk(y, x, tile, low, end, c.gap_y, c.gap_x)
                block = channel // per_group * in_blocks + first
                blocks = spans * depth if spans else steps
                inp_slot, fresh = 0, False
                if height * width:
                    key_inp[:] = batch, block, blocks, top, height, left, width
                    inp_slot, fresh = _slot(inputs, key_inp, next_inp)
                inp_base, inp_piece = inp_slot * c.inp_size, inp_slot * c.inp_pieces
                image = batch * groups * in_blocks + block
                inp_dram = (image * height_in + top) * width_in + left
                if fresh and not begins:
                    at = n
                    n = _load_inputs(
                        table, n, inp_base, inp_dram, blocks, height, width, y, x, c.gap_y, c.gap_x
                    )
                    _touch(table, at, n, INP, inp_piece, c.inp_pieces)
                # pieces: all of it, or those with which the program begins or ends
                ends = last and finishes and end == bottom_row
                one[0] = depth
                cut_channels = begin if begins else finish if ends else one
                at_channel = 0
                for i in range(len(cut_channels)):
                    some = cut_channels[i]
                    if begins and fresh_wgt and low == row0:
                        n = move(
                            table, n, _WGT, wgt_base + at_channel * steps * taps_all,
                            wgt_dram + at_channel * in_blocks * taps_all, some, steps * taps_all,
                            in_blocks * taps_all,
                        )  # fmt: skip
                        _touch(table, n - 1, n, WGT, wgt_piece + i, 1)
                    one_row[0] = end - low
                    cut_rows = one_row
                    if begins and low == row0 and len(begin_rows):
                        cut_rows = begin_rows
                    elif ends and i == len(finish) - 1 and len(finish_rows):
                        cut_rows = finish_rows
                    at_row, have = low, 0
                    for j in range(len(cut_rows)):
                        high = cut_rows[j]
                        if begins and fresh and (i == 0 or spans):
                            _, bottom = needed(y, low, at_row + high)
                            lines = (bottom - top) // c.gap_y + 1 - have if bottom >= top else 0
                            at = n
                            for part in range(some * spans if spans else steps):
                                if lines <= 0:
                                    break
                                plane = part + at_channel * spans
                                n = _load_inputs(
                                    table, n, inp_base + (plane * height + have) * width,
                                    inp_dram + (plane * height_in + have * c.gap_y) * width_in,
                                    1, lines, width, y, x, c.gap_y, c.gap_x,
                                )  # fmt: skip
                            first_piece = (i if spans else 0) * len(cut_rows)
                            _touch(table, at, n, INP, inp_piece + first_piece + j, 1)
                            have += max(lines, 0)
                        if n + spare > len(table):
                            return OK, 0, starts[:1]
                        at = n
                        if height * width:
                            for turn in range(4):
                                form = c.form if turn == 0 else turn - 1 + (turn > c.form)
                                kernels = counts[k.KERNELS]
                                n = _multiply(
                                    table, at, form, c.loop, y, x,
                                    (acc_base, row0, column0, rows, columns),
                                    (inp_base, top, left, height, width, c.gap_y,
                                     c.gap_x, spans),
                                    (wgt_base, steps), (at_channel, some, at_row, high),
                                    pool, starts, places, slots, counts, scratch,
                                )  # fmt: skip
                                if n >= 0:
                                    break
                                k.forget(kernels, starts, places, slots, counts)
                            if n < 0:
                                return -n, 0, starts[:1]
                        if begins and fresh:
                            first_piece = (i if spans else 0) * len(cut_rows)
                            _touch(table, at, n, INP, inp_piece + first_piece, j + 1)
                        else:
                            _touch(table, at, n, INP, inp_piece, c.inp_pieces)
                        if begins:
                            _touch(table, at, n, WGT, wgt_piece + i, 1)
                        else:
                            _touch(table, at, n, WGT, wgt_piece, c.wgt_pieces)
                        acc_piece = acc_slot * c.acc_pieces + piece
                        _touch(table, at, n, ACC, acc_piece, 1)
                        # its own epilogue, or at the very end that of the whole tile
                        done, row, channels, lines = finishes, at_row, some, high
                        plane = at_channel
                        if not finishes and at_channel + some == depth and at_row + high == bottom_row:
                            done, row, channels, lines, plane = True, row0, depth, rows, 0
                        if last and done:
                            at = n
                            base = acc_base + plane * area + (row - row0) * columns
                            scratch[0] = k.pack(base, base, 0)
                            kernel = k.find(scratch, 1, pool, starts, places, slots, counts)
                            if kernel == k.FULL:
                                return UOPS, n, starts[:1]
                            _flat(loops, channels, lines * columns, area, area)
                            uop = starts[kernel]
                            n = alu(table, n, _SHR, SHIFT, loops, kernel, uop)
                            if bias:
                                added = bias_base + channel + plane
                                scratch[0] = k.pack(base, added, 0)
                                other = k.find(scratch, 1, pool, starts, places, slots, counts)
                                if other == k.FULL:
                                    return UOPS, n, starts[:1]
                                loops[:, 0] = channels, lines * columns
                                loops[0, 1:], loops[1, 1:] = 0, 0
                                loops[0, 1], loops[0, 2], loops[1, 1] = area, 1, 1
                                n = alu(table, n, _ADD, 0, loops, other, starts[other])
                                _flat(loops, channels, lines * columns, area, area)
                            n = alu(table, n, _MIN, CLIP_HIGH, loops, kernel, uop)
                            n = alu(table, n, _MAX, CLIP_LOW, loops, kernel, uop)
                            out = (batch * out_blocks + channel + plane) * height_out + row
                            out = out * width_out + column0
                            n = _store(table, n, base, out, channels, lines, columns, rows, y, x)
                            _touch(table, at, n, ACC, acc_piece, 1)
                            piece += 1
                        at_row += high
                    at_channel += some
                low = end
            if not backwards:
                first += steps
    return OK, n, starts[: counts[k.KERNELS] + 1]


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _touch(table, begin, end, column, first, count):  # type: ignore[no-untyped-def]
    """Note that some instructions touch ``count`` pieces of a scratchpad from one on."""
    table[begin:end, column], table[begin:end, column + 1] = first, first + count


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _flat(loops, blocks, pixels, dst, src):  # type: ignore[no-untyped-def]
    """Loops over accumulators: one, when those of all blocks follow each other."""
    if blocks == 1 or (pixels == dst and blocks * pixels <= _LARGEST_LOOP):
        blocks, pixels = 1, blocks * pixels
    loops[:, 0], loops[:, 1:] = 1, 0
    loops[0, 0], loops[0, 1], loops[0, 2] = blocks, dst, src
    loops[1, 0], loops[1, 1], loops[1, 2] = pixels, 1, 1
    if blocks == 1:
        loops[0, 1:] = 0


@njit(cache=True)  # type: ignore[misc, unused-ignore]
def _store(table, n, sram, dram, blocks, high, columns, rows, y, x):  # type: ignore[no-untyped-def]
    """Stores of ``high`` of the ``rows`` of some blocks of a tile."""
    _, height, _, _, _, _ = y
    _, width, _, _, _, _ = x
    area = height * width
    if high == rows and columns == width:
        if high == height:
            return move(table, n, _OUT, sram, dram, 1, blocks * area, blocks * area)
        return move(table, n, _OUT, sram, dram, blocks, high * columns, area)
    for block in range(blocks):
        base = sram + block * rows * columns
        if columns == width:
            n = move(table, n, _OUT, base, dram + block * area, 1, high * columns, high * columns)
        else:
            n = move(table, n, _OUT, base, dram + block * area, high, columns, width)
    return n
