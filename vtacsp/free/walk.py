"""The walk over tiles, steps and pieces of a free schedule that notes its instructions.

Nothing here waits for anything: an instruction says what it touches, and the tokens follow from
that (:mod:`.dependences`).  Independent of rules on purpose.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vtacsp.free import micro_ops as k
from vtacsp.free.epilogue import ON_CHANNEL, ON_TENSOR
from vtacsp.free.multiply import OK, UOPS, gemm_instructions
from vtacsp.free.table import ACC, INP, WGT, alu, gemm, move
from vtacsp.free.tiles import chunk, input_spans
from vtacsp.free.transfers import copy_tile, load_channel_operands, load_inputs
from vtacsp.jit import jit
from vtacsp.machine.instructions import Memory
from vtacsp.operators.geometry import needed

__all__ = ["Cuts", "flat", "run_passes", "touch", "walk"]

_WGT, _ACC, _OUT = int(Memory.WGT), int(Memory.ACC), int(Memory.OUT)
_ON_CHANNEL, _ON_TENSOR = ON_CHANNEL, ON_TENSOR
_LARGEST_LOOP = (1 << 14) - 1


class Cuts(NamedTuple):
    """The numbers of a schedule, for compiled functions."""

    load_rows: int
    begin_steps: int
    clear_ahead: int
    snake: int
    gap_y: int
    gap_x: int
    form: int
    join: int
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


CALLS, PROBES = 256, 8  # calls that are remembered, places that are looked at
CALL = 21
"""Numbers of a call of :func:`gemm_instructions`; two more say where its instructions are."""


@jit
def _place(call, axis, first, count, begin):  # type: ignore[no-untyped-def]
    """Note where a range of outputs lies on its axis, as far as its products depend on it.

    How far it reaches over either end, where its input begins, where the gaps of a dilated input
    lie.
    """
    size, _, kernel, stride, pad, dilation = axis
    low = first * stride - pad
    call[0] = min(0, low)
    call[1] = min(0, size - low - (count - 1) * stride - kernel)
    call[2] = begin - low
    call[3] = low % dilation


@jit
def _recall(calls, call):  # type: ignore[no-untyped-def]
    """Whether a call was made before, and its place in ``calls``; -1 when there is none left."""
    value = np.uint64(0)
    for number in call:
        value = (value ^ np.uint64(number)) * np.uint64(0x9E3779B97F4A7C15)
        value ^= value >> np.uint64(29)
    place = np.int64(value & np.uint64(len(calls) - 1))
    for _ in range(PROBES):
        if calls[place, CALL + 1] < 0:
            return False, place
        same = True
        for i in range(CALL):
            if calls[place, i] != call[i]:
                same = False
                break
        if same:
            return True, place
        place = (place + 1) & (len(calls) - 1)
    return False, -1


@jit
def _products(table, n, c, y, x, acc, inp, wgt, part, uops, calls):  # type: ignore[no-untyped-def]
    """What :func:`gemm_instructions` notes, in the first form that can be; copied if it is known.

    Returns the end of the instructions, or how it failed.
    """
    acc_base, row0, column0, rows, columns = acc
    inp_base, top, left, height, width, _, _, wide = inp
    at_channel, some, at_row, high = part
    call = np.empty(CALL, np.int64)
    call[:4], call[4:8] = (acc_base, inp_base, *wgt), (at_channel, some, high, rows)
    call[8:13] = columns, height, width, wide, at_row - row0
    _place(call[13:17], y, at_row, high, top)
    _place(call[17:21], x, column0, columns, left)
    seen, where = _recall(calls, call)
    if seen:
        count = calls[where, CALL + 1]
        table[n : n + count] = table[calls[where, CALL] :][:count]
        return n + count
    kernels = uops[-1][k.KERNELS]
    end = n
    for turn in range(4):
        form = c.form if turn == 0 else turn - 1 + (turn > c.form)
        for join in range(c.join, -1, -1):
            end = gemm_instructions(table, n, form, join, c.loop, y, x, acc, inp, wgt, part, uops)
            if end >= 0:
                break
            k.forget(uops, kernels)
        if end >= 0:
            break
    if end >= 0 and where >= 0:
        calls[where, :CALL] = call
        calls[where, CALL:] = n, end - n
    return end


@jit
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


@jit
def walk(layer, chain, cut, parts, cuts, table, pool):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """Note the instructions of a schedule in ``table``, its micro-ops in ``pool``.

    ``layer``: (batch, groups, input blocks, output blocks, channel operands) and both axes;
    ``chain``: the passes of the epilogue and the tensor in place of the reset
    (:class:`.epilogue.EpiloguePasses`); ``cut``: the tiles; ``parts``: how sums, the first loads
    and the last stores are cut; ``cuts``: :class:`Cuts`.

    Returns how the walk ended, the number of instructions (0: ``table`` is too short) and where
    the kernels begin in the pool.
    """
    # 1. the state: kernels, the chunks that slots hold, where operands lie, calls that are known
    sizes, y, x = layer
    reduction, lead, begin, begin_rows, finish, finish_rows = parts
    _, groups, in_blocks, out_blocks, channel_operands = sizes
    passes, preload = chain
    c = Cuts(*cuts)
    height_in, height_out, taps_y, _, _, _ = y
    width_in, width_out, taps_x, _, _, _ = x
    taps_all = taps_y * taps_x
    uops = k.empty(pool)
    _, _, starts, _, _, counts = uops
    inputs, weights = np.full((c.inp_slots, 7), -1), np.full((c.wgt_slots, 4), -1)
    next_inp, next_wgt = np.zeros(1, np.int64), np.zeros(1, np.int64)
    key_inp, key_wgt = np.zeros(7, np.int64), np.zeros(4, np.int64)
    # behind the ring: a channel operand after the other, then a tensor's part
    image_of = np.full(out_blocks, -1, np.int64)
    channel_base = c.acc_slots * c.acc_size
    tensor_base = channel_base + channel_operands * out_blocks
    loops = np.zeros((2, 4), np.int64)
    calls = np.full((CALLS, CALL + 2), -1)
    one, one_row = np.zeros(1, np.int64), np.zeros(1, np.int64)
    # what a part of a tile has at most: kernels by tap, input loads by row, stores by channel
    deepest = cut[:, 2].max()
    blocks = deepest * in_blocks if groups > 1 else in_blocks
    spare = 2 * (16 + taps_all + blocks * height_in + (1 + len(passes)) * (1 + deepest))
    per_group = out_blocks // groups
    # the first tiles wait for their operands anyway
    ahead = min(c.clear_ahead, c.acc_slots - 1, len(cut) - 1)
    spare += ahead
    # 2. the walk, tile by tile
    n = 0
    for t in range(len(cut)):
        tile = cut[t]
        batch, channel, depth, row0, rows, column0, columns = tile
        bottom_row = row0 + rows
        area = rows * columns
        acc_slot = t % c.acc_slots
        acc_base = acc_slot * c.acc_size
        wide = input_spans(sizes, depth)
        if n + spare > len(table):
            return OK, 0, starts[:1]
        # 2a. what the tile starts with: channel operands, then a tensor or a reset, of some tiles
        # ahead
        if image_of[channel] != batch:
            image_of[channel] = batch
            place = batch * out_blocks + channel
            n = load_channel_operands(
                table, n, passes, channel_base, channel, place, depth, out_blocks
            )
        at = n
        if preload >= 0:
            dram = preload + (batch * out_blocks + channel) * height_out * width_out
            dram += row0 * width_out + column0
            n = copy_tile(table, n, _ACC, acc_base, dram, depth, rows, columns, rows, y, x)
            touch(table, at, n, ACC, acc_slot * c.acc_pieces, c.acc_pieces)
        elif t == 0 or t > ahead:
            for i in range(t, (ahead if t == 0 else t) + 1):
                n = _clear(table, n, c, cut[i], i, loops, uops)
                if n < 0:
                    return UOPS, 0, starts[:1]
        # 2b. step by step: the weights, unless they are in a slot or come in pieces
        sums = lead if t == 0 and len(lead) else reduction
        backwards = c.snake and t % 2 == 1
        finishes = t == len(cut) - 1 and len(finish) > 0
        piece = 0
        first = in_blocks if backwards else 0
        for q in range(len(sums)):
            steps = sums[len(sums) - 1 - q] if backwards else sums[q]
            if backwards:
                first -= steps
            last = q == len(sums) - 1
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
                touch(table, n - 1, n, WGT, wgt_piece, c.wgt_pieces)
            # 2c. load by load: inputs, alike
            low = row0
            while low < bottom_row:
                end = min(low + (c.load_rows if c.load_rows else rows), bottom_row)
                top, left, height, width = chunk(y, x, tile, low, end, c.gap_y, c.gap_x)
                block = channel // per_group * in_blocks + first
                blocks = wide * depth if wide else steps
                inp_slot, fresh = 0, False
                if height * width:
                    key_inp[:] = batch, block, blocks, top, height, left, width
                    inp_slot, fresh = _slot(inputs, key_inp, next_inp)
                inp_base, inp_piece = inp_slot * c.inp_size, inp_slot * c.inp_pieces
                image = batch * groups * in_blocks + block
                inp_dram = (image * height_in + top) * width_in + left
                if fresh and not begins:
                    at = n
                    n = load_inputs(
                        table, n, inp_base, inp_dram, blocks, height, width, y, x, c.gap_y, c.gap_x
                    )
                    touch(table, at, n, INP, inp_piece, c.inp_pieces)
                # pieces: all of it, or those with which the program begins or ends
                ends = last and finishes and end == bottom_row
                one[0] = depth
                cut_channels = begin if begins else finish if ends else one
                at_channel, taken = 0, False
                for i in range(len(cut_channels)):
                    some = cut_channels[i]
                    if begins and fresh_wgt and low == row0:
                        n = move(
                            table, n, _WGT, wgt_base + at_channel * steps * taps_all,
                            wgt_dram + at_channel * in_blocks * taps_all, some, steps * taps_all,
                            in_blocks * taps_all,
                        )  # fmt: skip
                        # the first piece also takes the slot from the chunk before, all of it
                        many = c.wgt_pieces if i == 0 else 1
                        touch(table, n - 1, n, WGT, wgt_piece + i, many)
                    # 2d. piece by piece: loads of the beginning, the product
                    one_row[0] = end - low
                    cut_rows = one_row
                    if begins and low == row0 and len(begin_rows):
                        cut_rows = begin_rows
                    elif ends and i == len(finish) - 1 and len(finish_rows):
                        cut_rows = finish_rows
                    at_row, have = low, 0
                    for j in range(len(cut_rows)):
                        high = cut_rows[j]
                        if begins and fresh and (i == 0 or wide):
                            _, bottom = needed(y, low, at_row + high)
                            lines = (bottom - top) // c.gap_y + 1 - have if bottom >= top else 0
                            at = n
                            for part in range(some * wide if wide else steps):
                                if lines <= 0:
                                    break
                                plane = part + at_channel * wide
                                n = load_inputs(
                                    table, n, inp_base + (plane * height + have) * width,
                                    inp_dram + (plane * height_in + have * c.gap_y) * width_in,
                                    1, lines, width, y, x, c.gap_y, c.gap_x,
                                )  # fmt: skip
                            first_piece = (i if wide else 0) * len(cut_rows) + j
                            if n > at and not taken:
                                taken = True
                                touch(table, at, n, INP, inp_piece, c.inp_pieces)
                            else:
                                touch(table, at, n, INP, inp_piece + first_piece, 1)
                            have += max(lines, 0)
                        if n + spare > len(table):
                            return OK, 0, starts[:1]
                        at = n
                        if height * width:
                            n = _products(
                                table, n, c, y, x, (acc_base, row0, column0, rows, columns),
                                (inp_base, top, left, height, width, c.gap_y, c.gap_x, wide),
                                (wgt_base, steps), (at_channel, some, at_row, high), uops, calls,
                            )  # fmt: skip
                            if n < 0:
                                return -n, 0, starts[:1]
                        if begins and fresh:
                            first_piece = (i if wide else 0) * len(cut_rows)
                            touch(table, at, n, INP, inp_piece + first_piece, j + 1)
                        else:
                            touch(table, at, n, INP, inp_piece, c.inp_pieces)
                        if begins:
                            touch(table, at, n, WGT, wgt_piece + i, 1)
                        else:
                            touch(table, at, n, WGT, wgt_piece, c.wgt_pieces)
                        acc_piece = acc_slot * c.acc_pieces + piece
                        touch(table, at, n, ACC, acc_piece, 1)
                        # 2e. the epilogue and the store
                        # its own epilogue, or at the very end that of the whole tile
                        done, row, channels, lines = finishes, at_row, some, high
                        plane = at_channel
                        if (
                            not finishes
                            and at_channel + some == depth
                            and at_row + high == bottom_row
                        ):
                            done, row, channels, lines, plane = True, row0, depth, rows, 0
                        if last and done:
                            at = n
                            base = acc_base + plane * area + (row - row0) * columns
                            out = (batch * out_blocks + channel + plane) * height_out + row
                            out = out * width_out + column0
                            n = run_passes(
                                table, n, passes, base, channel_base + channel + plane,
                                tensor_base, out, (channels, lines, columns, rows), y, x, sizes,
                                loops, uops,
                            )  # fmt: skip
                            if n < 0:
                                return UOPS, 0, starts[:1]
                            n = copy_tile(
                                table, n, _OUT, base, out, channels, lines, columns, rows, y, x
                            )
                            touch(table, at, n, ACC, acc_piece, 1)
                            piece += 1
                        at_row += high
                    at_channel += some
                low = end
            if not backwards:
                first += steps
    return OK, n, starts[: counts[k.KERNELS] + 1]


@jit
def touch(table, begin, end, column, first, count):  # type: ignore[no-untyped-def]
    """Note that some instructions touch ``count`` pieces of a scratchpad from one on."""
    table[begin:end, column], table[begin:end, column + 1] = first, first + count


@jit
def _clear(table, n, c, tile, number, loops, uops):  # type: ignore[no-untyped-def]
    """The reset of a tile; returns the end, or how it failed."""
    scratch, _, starts, _, _, _ = uops
    slot, area = number % c.acc_slots, tile[4] * tile[6]
    base = slot * c.acc_size
    scratch[0] = k.pack_micro_op(base, base, 0)
    kernel = k.find_kernel(uops, 1)
    if kernel == k.FULL:
        return -UOPS
    flat(loops, tile[2], area, area, area)
    n = gemm(table, n, 1, loops, kernel, starts[kernel], starts[kernel + 1])
    touch(table, n - 1, n, ACC, slot * c.acc_pieces, c.acc_pieces)
    return n


@jit
def run_passes(  # type: ignore[no-untyped-def]
    table, n, passes, base, channel_base, tensor_base, out, part, y, x, sizes, loops, uops
):
    """The passes over a part of a tile, each after the load of its tensor.

    Returns the end, or how it failed.
    """
    scratch, _, starts, _, _, _ = uops
    blocks, lines, columns, rows = part
    pixels, area = lines * columns, rows * columns
    for p in range(len(passes)):
        operation, use_imm, immediate, loads, number, start = passes[p]
        source = base
        if loads == _ON_CHANNEL:
            source = channel_base + number * sizes[3]
        elif loads == _ON_TENSOR:
            source = tensor_base
            n = copy_tile(
                table, n, _ACC, source, start + out, blocks, lines, columns, rows, y, x
            )  # fmt: skip
        scratch[0] = k.pack_micro_op(base, source, 0)
        kernel = k.find_kernel(uops, 1)
        if kernel == k.FULL:
            return -UOPS
        if loads == _ON_CHANNEL:
            # one value for all pixels of a block
            loops[:, 0], loops[:, 1:] = 1, 0
            loops[0, 0], loops[0, 1], loops[0, 2] = blocks, area, 1
            loops[1, 0], loops[1, 1] = pixels, 1
        else:
            flat(loops, blocks, pixels, area, area)
        n = alu(
            table, n, operation, use_imm, immediate, loops, kernel, starts[kernel],
            starts[kernel] + 1,
        )  # fmt: skip
    return n


@jit
def flat(loops, blocks, pixels, dst, src):  # type: ignore[no-untyped-def]
    """Loops over accumulators: one, when those of all blocks follow each other."""
    if blocks == 1 or (pixels == dst and blocks * pixels <= _LARGEST_LOOP):
        blocks, pixels = 1, blocks * pixels
    loops[:, 0], loops[:, 1:] = 1, 0
    loops[0, 0], loops[0, 1], loops[0, 2] = blocks, dst, src
    loops[1, 0], loops[1, 1], loops[1, 2] = pixels, 1, 1
    if blocks == 1:
        loops[0, 1:] = 0
