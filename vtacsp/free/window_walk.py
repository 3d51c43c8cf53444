"""The walk over the tiles of an operator of the ALU that notes its instructions.

Of a tile the windows are loaded, by the compute module itself, their values joined, the epilogue
run and the result stored.  Values that are padding are neither loaded nor joined.
Independent of rules on purpose.
"""

from __future__ import annotations

import numpy as np

from vtacsp.free import micro_ops as k
from vtacsp.free.multiply import HAZARD, OK, UOPS
from vtacsp.free.table import ACC, alu, gemm
from vtacsp.free.tiles import chunk
from vtacsp.free.transfers import copy_tile, load_channel_operands, load_inputs
from vtacsp.free.walk import flat, run_passes, touch
from vtacsp.free.window_tiles import NO_TAP, apart, plain_rows
from vtacsp.jit import jit
from vtacsp.machine.instructions import AluOp, Memory
from vtacsp.operators.geometry import needed, taps

__all__ = ["walk_windows"]

_ACC, _OUT, _MEMORY = int(Memory.ACC), int(Memory.OUT), 1
_ADD = int(AluOp.ADD)
_COLUMN, _ROW, _TAP, _ALL = range(4)  # FORMS


@jit
def walk_windows(layer, passes, cut, kept, numbers, table, pool):  # type: ignore[no-untyped-def]  # noqa: PLR0915
    """Note the instructions of a schedule in ``table``, its micro-ops in ``pool``.

    ``layer``: sizes as :func:`.walk.walk` takes them, both axes, the operation that joins;
    ``kept``: rows that stay, of :func:`.window_tiles.window_layout`; ``numbers``: the tap that is
    loaded in place, the gaps of the rows that are loaded, what an instruction covers, slots and
    size of the accumulator tiles, the sizes of a layout.
    Returns how the walk ended, the number of instructions (0: ``table`` is too short) and where
    the kernels begin in the pool.
    """
    # 1. where everything lies
    sizes, y, x, join = layer
    _, _, _, outputs, channel_operands = sizes
    place_y, place_x, gap_y, gap_x, form, slots, tile_size = numbers[:7]
    kept_size, main_size, _, room = numbers[7:]
    in_place = place_y != NO_TAP
    uops = k.empty(pool)
    scratch, _, starts, _, _, counts = uops
    loops = np.zeros((2, 4), np.int64)
    image_of = np.full(outputs, -1, np.int64)
    channel_base = slots * tile_size
    tensor_base = channel_base + channel_operands * outputs
    window_base = tensor_base + room
    main_base = window_base + 2 * kept_size
    apart_base = main_base + main_size
    high, wide = y[0] + 2 * y[4], x[0] + 2 * x[4]  # of the data as they lie in DRAM
    area = high * wide
    lying_y, lying_x = (high, 0, 0, 0, 0, 0), (wide, 0, 0, 0, 0, 0)
    deepest, tallest = cut[:, 2].max(), cut[:, 4].max()
    # what a tile has at most: loads by row and block, kernels by tap
    spare = 32 + deepest * (2 * (tallest * y[3] + y[2]) + (x[3] + 1) * tallest)
    spare += 16 * y[2] * x[2] + (2 + len(passes)) * (2 + deepest)
    places = np.zeros((3, 2), np.int64)
    n = 0
    for t in range(len(cut)):
        tile = cut[t]
        batch, channel, depth, row0, rows, column0, columns = tile
        bottom_row = row0 + rows
        slot = t % slots
        base = slot * tile_size
        if n + spare > len(table):
            return OK, 0, starts[:1]
        # 2. loads: channel operands, rows of windows, what lies beside the values in place
        if image_of[channel] != batch:
            image_of[channel] = batch
            place = batch * outputs + channel
            n = load_channel_operands(
                table, n, passes, channel_base, channel, place, depth, outputs
            )
        _, bottom = needed(y, row0, bottom_row)
        top, left, _, width = chunk(y, x, tile, row0, bottom_row, gap_y, gap_x)
        lines = plain_rows(tile, top, bottom, gap_y, place_y)
        old, new = kept[t]
        dram = (batch * outputs + channel) * area + y[4] * wide + x[4]
        at = n
        main = lines - old - new
        places[0] = window_base + t % 2 * kept_size, old
        places[1] = main_base, main
        places[2] = window_base + (t + 1) % 2 * kept_size, new
        for which in range(1, 3):
            first, many = places[which]
            begin = old if which == 1 else old + main
            n = _load_rows(
                table, n, first, dram + left, (depth, begin, many, width),
                (top, row0, place_y, gap_y, gap_x), y, lying_y, lying_x,
            )  # fmt: skip
        row, column = row0 * y[3] + place_y - y[4], column0 * x[3] + place_x - x[4]
        beside = np.zeros((x[3], 3), np.int64)  # place, first column and number of each turn
        if in_place:
            first = apart_base
            for turn in range(1, x[3]):
                begin, many = apart(x, tile, place_x, turn)
                beside[turn] = first, begin, many
                if many:
                    n = load_inputs(
                        table, n, first, dram + row * wide + begin, depth, rows, many,
                        lying_y, lying_x, y[3], x[3],
                    )  # fmt: skip
                first += depth * rows * many
        # 3. what every output begins with: a value of its window, or a reset
        own = n
        if in_place:
            n = load_inputs(
                table, n, base, dram + row * wide + column, depth, rows, columns,
                lying_y, lying_x, y[3], x[3],
            )  # fmt: skip
        table[at:n, _MEMORY] = _ACC
        if not in_place:
            scratch[0] = k.pack_micro_op(base, base, 0)
            kernel = k.find_kernel(uops, 1)
            if kernel == k.FULL:
                return UOPS, 0, starts[:1]
            flat(loops, depth, rows * columns, rows * columns, rows * columns)
            n = gemm(table, n, 1, loops, kernel, starts[kernel], starts[kernel + 1])
        # 4. all other values join it
        n = _join_all(
            table, n, join, form, y, x, tile, base, (top, left, width, gap_y, gap_x),
            places, (place_y, place_x), beside, uops,
        )  # fmt: skip
        if n < 0:
            return UOPS, 0, starts[:1]
        # 5. the epilogue and the store
        out = ((batch * outputs + channel) * y[1] + row0) * x[1] + column0
        n = run_passes(
            table, n, passes, base, channel_base + channel, tensor_base, out,
            (depth, rows, columns, rows), y, x, sizes, loops, uops,
        )  # fmt: skip
        if n < 0:
            return UOPS, 0, starts[:1]
        n = copy_tile(table, n, _OUT, base, out, depth, rows, columns, rows, y, x)
        touch(table, own, n, ACC, slot, 1)
    return OK, n, starts[: counts[k.KERNELS] + 1]


@jit
def _load_rows(table, n, base, dram, some, rows, y, lying_y, lying_x):  # type: ignore[no-untyped-def]
    """Loads of some of the rows of a tile's windows: from ``begin`` on, ``many``."""
    depth, begin, many, width = some
    top, row0, place, gap_y, gap_x = rows
    if place == NO_TAP:
        if many:
            dram += (top + begin * gap_y) * lying_x[0]
            n = load_inputs(
                table, n, base, dram, depth, many, width, lying_y, lying_x, gap_y, gap_x
            )
        return n
    # between the rows of the values in place: some before the first, the same number after each
    first = row0 * y[3] + place - y[4]
    before, between = first - top, y[3] - 1
    at = 0
    while at < many:
        line = begin + at
        if line < before:
            row, together = top + line, before - line
        else:
            after = (line - before) % between
            row = first + (line - before) // between * y[3] + 1 + after
            together = between - after
        gap = 1
        if between == 1:  # every other row
            gap, together = 2, many
        together = min(together, many - at)
        dram_row = dram + row * lying_x[0]
        if together == many:
            return load_inputs(
                table, n, base, dram_row, depth, many, width, lying_y, lying_x, gap, gap_x
            )
        for block in range(depth):
            n = load_inputs(
                table, n, base + (block * many + at) * width,
                dram_row + block * lying_y[0] * lying_x[0], 1, together, width,
                lying_y, lying_x, gap, gap_x,
            )  # fmt: skip
        at += together
    return n


@jit
def _join_all(  # type: ignore[no-untyped-def]
    table, n, join, form, y, x, tile, base, window, places, in_place, beside, uops
):
    """The values of all windows of a tile join those that their outputs began with.

    ``places``: where the rows lie that were kept, are the tile's own and stay, and how many;
    ``beside``: where what is left of the rows of the values in place lies, by columns that are
    alike.  Returns the end, or how it failed.
    """
    _, _, _, row0, rows, column0, columns = tile
    place_y, place_x = in_place
    # a reset is a zero: the first value of an output is added to it
    first_y, first_x = np.zeros((2, y[2]), np.int64), np.zeros((2, x[2]), np.int64)
    begins = place_y == NO_TAP and join != _ADD
    if begins:
        _first_taps(y, row0, row0 + rows, first_y)
        _first_taps(x, column0, column0 + columns, first_x)
        for ky in range(y[2]):
            for kx in range(x[2]):
                rect = (
                    first_y[0, ky], first_y[1, ky] - first_y[0, ky],
                    first_x[0, kx], first_x[1, kx] - first_x[0, kx],
                )  # fmt: skip
                n = _join(
                    table, n, _ADD, rect, (ky, 1, kx, 1), y, x, tile, base, window, places,
                    in_place, beside, uops,
                )  # fmt: skip
                if n < 0:
                    return n
    # what an instruction covers, where all outputs have all of these taps
    straight = place_y == NO_TAP and places[0, 1] == 0 and places[2, 1] == 0 and window[3] == 1
    even_y, even_x = _even(y, row0, rows), _even(x, column0, columns)
    follow = window[2] == x[2] and window[4] == 1  # the rows of a window
    if (
        (form == _ROW and not (even_x and window[4] == 1))
        or (form == _COLUMN and not (even_y and straight))
        or (form == _ALL and not (even_y and even_x and straight and follow))
    ):
        form = _TAP
    done_y, done_x = place_y, place_x
    if begins:
        done_y = _whole(first_y, row0, row0 + rows)
        done_x = _whole(first_x, column0, column0 + columns)
        if min(done_y, done_x) == NO_TAP:
            form, done_y, done_x = _TAP, NO_TAP, NO_TAP
    boxes, many = _boxes(form, y[2], x[2], done_y, done_x, place_y != NO_TAP)
    for i in range(many):
        box = boxes[i, 0], boxes[i, 1], boxes[i, 2], boxes[i, 3]
        top, tall, _ = taps(y, box[0], row0, row0 + rows)
        left, across, _ = taps(x, box[2], column0, column0 + columns)
        h0, h1, w0, w1 = top, top, left, left  # outputs that began with this tap
        if begins and done_y == NO_TAP:
            h0, h1 = first_y[:, box[0]]
            w0, w1 = first_x[:, box[2]]
        if h0 == h1 or w0 == w1:
            h0, h1, w0, w1 = top, top, left, left
        for rect in (
            (top, h0 - top, left, across), (h1, top + tall - h1, left, across),
            (h0, h1 - h0, left, w0 - left), (h0, h1 - h0, w1, left + across - w1),
        ):  # fmt: skip
            n = _join(
                table, n, join, rect, box, y, x, tile, base, window, places, in_place, beside, uops
            )
            if n < 0:
                return n
    return n


@jit
def _even(axis, low, many):  # type: ignore[no-untyped-def]
    """Whether no window of some outputs meets padding."""
    met = 0
    for tap in range(axis[2]):
        met += taps(axis, tap, low, low + many)[1]
    return met == many * axis[2]


@jit
def _first_taps(axis, low, high, found):  # type: ignore[no-untyped-def]
    """Outputs that begin with each tap, from and to: one tap for all, or the last that they have.

    ``found`` has shape (2, taps).
    """
    for tap in range(axis[2] - 1, -1, -1):
        if taps(axis, tap, low, high)[1] == high - low:
            found[0, tap], found[1, tap] = low, high
            return
    done = low
    for tap in range(axis[2] - 1, -1, -1):
        first, many, _ = taps(axis, tap, low, high)
        found[0, tap] = found[1, tap] = done
        if many and first + many > done:
            found[1, tap] = done = first + many


@jit
def _whole(found, low, high):  # type: ignore[no-untyped-def]
    """The tap that all outputs begin with."""
    for tap in range(found.shape[1]):
        if found[0, tap] == low and found[1, tap] == high:
            return tap
    return NO_TAP


@jit
def _boxes(form, high, wide, done_y, done_x, apart_row):  # type: ignore[no-untyped-def]
    """Taps by instruction but for the one that is done: first and number of rows and columns.

    ``apart_row``: the row of that one has an instruction per tap.
    """
    boxes = np.empty((high * wide + 4, 4), np.int64)
    many = 0
    by_rows = form != _COLUMN
    outer, inner = (high, wide) if by_rows else (wide, high)
    skip_outer, skip_inner = (done_y, done_x) if by_rows else (done_x, done_y)
    a = 0
    while a < outer:
        some = 1
        if form == _ALL and a != skip_outer:
            some = (skip_outer if skip_outer > a else outer) - a
        b = 0
        while b < inner:
            if a == skip_outer and b == skip_inner:
                b += 1
                continue
            run = inner - b
            if a == skip_outer and skip_inner > b:
                run = skip_inner - b
            if form == _TAP or (apart_row and a == done_y):
                run = 1
            if by_rows:
                boxes[many] = a, some, b, run
            else:
                boxes[many] = b, run, a, some
            many += 1
            b += run
        a += some
    return boxes, many


@jit
def _join(  # type: ignore[no-untyped-def]
    table, n, operation, rect, box, y, x, tile, base, window, places, in_place, beside, uops
):
    """A box of taps over a rectangle of outputs; rows that lie apart have their own instructions.

    Returns the end, or how it failed.
    """
    h0, high, w0, wide = rect
    ky, many_y, kx, many_x = box
    if high <= 0 or wide <= 0:
        return n
    _, _, depth, row0, rows, column0, columns = tile
    top, left, width, gap_y, gap_x = window
    place_y, place_x = in_place
    # loops over outputs: how many, accumulators and values from one to the next
    pixels = np.zeros((3, 3), np.int64)
    pixels[0, :2], pixels[1, :2], pixels[2, :2] = (
        (depth, rows * columns),
        (high, columns),
        (wide, 1),
    )
    dst = base + (h0 - row0) * columns + w0 - column0
    if ky == place_y:
        first, begin, many = beside[(kx - place_x) % x[3]]
        src = first + (h0 - row0) * many + (w0 * x[3] + kx - x[4] - begin) // x[3]
        pixels[0, 2], pixels[1, 2], pixels[2, 2] = rows * many, many, 1
        return _instruction(table, n, operation, dst, src, pixels, 1, 0, uops)
    # from row to row of outputs; rows of values in place are left out between
    step = y[3] // gap_y
    index = (h0 * y[3] + ky - y[4] - top) // gap_y
    if place_y != NO_TAP:
        step -= 1
        index -= h0 - row0 + (ky > place_y)
    column = (w0 * x[3] + kx - x[4] - left) // gap_x
    far = 1 if many_x > 1 else width
    begin = 0
    for which in range(3):
        first, many = places[which]
        here = 0
        while here < high and index + here * step < begin + many:
            here += 1
        if here:
            src = first + (index - begin) * width + column
            pixels[0, 2], pixels[1, 0], pixels[1, 2] = many * width, here, step * width
            pixels[2, 2] = x[3] // gap_x
            end = _instruction(
                table, n, operation, dst, src, pixels, many_y * many_x, far, uops
            )  # fmt: skip
            if end == -HAZARD:
                for tap in range(many_y * many_x):
                    n = _instruction(table, n, operation, dst, src + tap * far, pixels, 1, 0, uops)
                    if n < 0:
                        return n
            elif end < 0:
                return end
            else:
                n = end
        high -= here
        index += here * step
        dst += here * columns
        begin += many
    return n


@jit
def _instruction(  # type: ignore[no-untyped-def]  # noqa: PLR0912
    table, n, operation, dst, src, pixels, many, far, uops
):
    """An instruction over so ``many`` taps; returns the end, or how it failed.

    ``pixels``: loops over outputs, outer first; ``far``: from tap to tap.
    """
    # 1. loops over outputs, those that continue each other as one
    loops = np.zeros((2, 4), np.int64)
    found = np.ones((4, 3), np.int64)
    last = 0
    for i in range(3):
        if pixels[i, 0] == 1:
            continue
        outer = found[last]
        if last and outer[1] == pixels[i, 0] * pixels[i, 1] and (
            outer[2] == pixels[i, 0] * pixels[i, 2]
        ):  # fmt: skip
            outer[0] *= pixels[i, 0]
            outer[1:] = pixels[i, 1:]
        else:
            last += 1
            found[last] = pixels[i]
    # 2. two of all loops run in hardware, that over taps outside; the shortest are unrolled
    loops[:, 0] = 1
    place = 0
    if many > 1:
        loops[0, 0], loops[0, 2] = many, far
        place = 1
    left = found[:, 0].copy()
    chosen = np.zeros(4, np.bool_)
    for _ in range(2 - place):
        longest = 0
        for i in range(1, 4):
            if left[i] > left[longest]:
                longest = i
        if longest:
            chosen[longest], left[longest] = True, 1
    for i in range(1, 4):
        if chosen[i]:
            loops[place, :3] = found[i]
            place += 1
    # 3. its micro-ops
    scratch, _, starts, _, _, _ = uops
    size = 0
    if left[1] * left[2] * left[3] > len(scratch):
        return -UOPS
    for a in range(left[1]):
        for b in range(left[2]):
            for c in range(left[3]):
                to = dst + a * found[1, 1] + b * found[2, 1] + c * found[3, 1]
                at = src + a * found[1, 2] + b * found[2, 2] + c * found[3, 2]
                scratch[size] = k.pack_micro_op(to, at, 0)
                size += 1
    if k.rewrites(scratch, size, loops):
        return -HAZARD
    kernel = k.find_kernel(uops, size)
    if kernel == k.FULL:
        return -UOPS
    return alu(table, n, operation, 0, 0, loops, kernel, starts[kernel], starts[kernel + 1])
