"""What a free schedule asks of a machine, for the rules: procedures that are no formulas.

A walk of its own over tiles, steps and pieces: it knows no instruction and emits nothing, it counts
what they would need.  What emits programs (:mod:`.walk`, :mod:`.dependences`) knows nothing of it,
tests hold both to the same answers.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.free import kernel_demand as k
from vtacsp.jit import jit
from vtacsp.operators.geometry import needed

__all__ = ["CHANNEL", "NUMBERS", "TENSOR", "Axes", "Partitions", "chunks", "demand", "lines"]

NUMBERS = (
    *("inp_chunk", "wgt_chunk", "acc_tile", "micro_ops", "fits", "rewritten", "tokens"),
    *("size", "stride", "whole", "whole_wgt", "loop", "wide_acc", "wide_src", "wide_wgt"),
)
"""What :func:`demand` returns.

Elements of the largest chunk of each kind, micro-ops of all kernels, whether they fit, whether
every form of a product rewrites an accumulator too soon, the most tokens in a queue, the largest
size and stride of a copy, the largest load of inputs and of weights, the longest loop, the largest
factors.
"""

CHANNEL, TENSOR = 1, 2
"""What a pass of the epilogue takes, 0 for neither."""

(
    _INP, _WGT, _ACC, _UOPS, _FITS, _REWRITTEN, _TOKENS, _SIZE, _STRIDE, _WHOLE, _WHOLE_WGT, _LOOP,
    _WIDE_ACC, _WIDE_SRC, _WIDE_WGT,
) = range(len(NUMBERS))  # fmt: skip
_LOAD, _COMPUTE, _STORE = range(3)

# what is compiled is compiled for types, and a number that is written down has one of its own
_ZERO, _ONE, _ANY = np.int64(0), np.int64(1), np.int64(1 << 30)
_LOADS, _COMPUTES, _STORES = np.int64(_LOAD), np.int64(_COMPUTE), np.int64(_STORE)
_NONE = (_ZERO, _ZERO)


class Partitions(NamedTuple):
    """The partitions of a schedule, as the rules order them (``schedule_fields.PARTITIONS``).

    ``first`` and ``last`` cut the rows of the first tile and of the last one, where those are cut
    otherwise; :class:`vtacsp.free.Schedule` says what each is.
    """

    channels: IntArray
    rows: IntArray
    columns: IntArray
    reduction: IntArray
    lead: IntArray
    first: IntArray
    last: IntArray
    begin: IntArray
    begin_rows: IntArray
    finish: IntArray
    finish_rows: IntArray


class Axes(NamedTuple):
    """The numbers of a schedule that are no partitions."""

    load_rows: int
    begin_steps: int
    clear_ahead: int
    by_rows: int
    snake: int
    gap_y: int
    gap_x: int
    form: int
    join: int
    channel: int
    inp: int
    wgt: int
    acc: int


@jit
def demand(layer, passes, preload, parts, numbers, most):  # type: ignore[no-untyped-def]  # noqa: PLR0912, PLR0915
    """What a schedule asks for, one of :data:`NUMBERS` after the other; zeros when it is none.

    ``layer``: (batch, groups, input blocks, output blocks) and both axes; ``passes``: what each
    pass takes; ``preload``: whether a tensor takes the place of the reset; ``most``: micro-ops that
    fit.
    """
    # 1. tiles and sizes; nothing more of what is no schedule
    (batch, groups, inputs, outputs), y, x = layer
    p = Partitions(*parts)
    c = Axes(*numbers)
    found = np.zeros(len(NUMBERS), np.int64)
    found[_FITS] = 1
    taps_all = y[2] * x[2]
    tiles = _tiles(batch, p.channels, p.rows, p.columns, p.first, p.last, c.by_rows)
    found[:_UOPS] = _sizes(layer, tiles, parts, c.load_rows, c.gap_y, c.gap_x)
    end_rows = tiles[-1, 4]
    if not _cuts(parts, inputs, outputs, y, x, tiles[0, 4], end_rows, c.load_rows):
        found[:] = 0
        return found
    inp_size, wgt_size, acc_size = found[_INP], found[_WGT], found[_ACC]
    channel_operands = 0
    for kind in passes:
        channel_operands += kind == CHANNEL
    operands = c.acc * acc_size
    shared = operands + channel_operands * outputs
    many_inp = max(len(p.begin), 1) * max(len(p.begin_rows), 1)
    many_wgt = max(len(p.begin), 1)
    many_acc = -(-end_rows // (c.load_rows or end_rows)) + len(p.finish) + len(p.finish_rows)

    # 2. the state: kernels that are known, what modules did, the chunks that slots hold
    widths = np.zeros(k.END, np.int64)
    kept_widths = np.zeros(k.END, np.int64)
    known, done = k.empty_set(), k.empty_set()
    events = np.zeros((256, 7), np.int64)
    count = np.int64(0)
    held_inp, held_wgt = np.full((c.inp, 7), -1), np.full((c.wgt, 4), -1)
    next_inp = next_wgt = np.int64(0)
    wanted_inp, wanted_wgt = np.zeros(7, np.int64), np.zeros(4, np.int64)
    one, one_row = np.zeros(1, np.int64), np.zeros(1, np.int64)
    ahead = min(c.clear_ahead, c.acc - 1, len(tiles) - 1)
    # 3. the walk, tile by tile
    for t in range(len(tiles)):
        image, channel, depth, row0, high0, column0, across0 = tiles[t]
        bottom = row0 + high0
        area = high0 * across0
        acc = t % c.acc * acc_size
        acc_piece = t % c.acc * many_acc
        wide = _wide(groups, inputs, outputs, depth)
        # 3a. what the tile starts with: operands, or a reset, of some tiles ahead
        if channel_operands:
            found[_SIZE] = max(found[_SIZE], depth)
        if preload:
            _copy(found, depth, high0, across0, high0, y, x)
            events, count = _note(
                events, count, _COMPUTES, _NONE, _NONE, (acc_piece, acc_piece + many_acc)
            )
        elif t == 0 or t > ahead:
            for cleared in range(t, (ahead if t == 0 else t) + 1):
                slot = cleared % c.acc
                if not k.single(known, slot * acc_size, slot * acc_size, most):
                    found[_FITS] = 0
                    return found
                size = tiles[cleared, 4] * tiles[cleared, 6]
                k.loops_over(widths, tiles[cleared, 2], size, size, True)
                own = slot * many_acc, (slot + 1) * many_acc
                events, count = _note(events, count, _COMPUTES, _NONE, _NONE, own)
        # 3b. step by step: the weights, unless they are in a slot or come in pieces
        sums = p.lead if t == 0 and len(p.lead) else p.reduction
        backwards = c.snake and t % 2
        finishes = t == len(tiles) - 1 and len(p.finish) > 0
        piece = 0
        at = inputs if backwards else 0
        for q in range(len(sums)):
            steps = sums[len(sums) - 1 - q] if backwards else sums[q]
            if backwards:
                at -= steps
            ends = q == len(sums) - 1
            begins = t == 0 and q < c.begin_steps and len(p.begin) > 0
            wanted_wgt[:] = channel, depth, at, steps
            slot_wgt, fresh_wgt, next_wgt = _held(held_wgt, wanted_wgt, next_wgt)
            wgt, wgt_piece = slot_wgt * wgt_size, slot_wgt * many_wgt
            found[_STRIDE] = max(found[_STRIDE], inputs * taps_all)
            found[_SIZE] = max(found[_SIZE], depth, steps * taps_all)
            if fresh_wgt and not begins:
                found[_WHOLE_WGT] = max(found[_WHOLE_WGT], depth * steps * taps_all)
                events, count = _note(
                    events, count, _LOADS, _NONE, (wgt_piece, wgt_piece + many_wgt), _NONE
                )
            # 3c. load by load: inputs, alike
            low = row0
            while low < bottom:
                high = min(low + (c.load_rows or high0), bottom)
                top, tall0 = _span(y, low, high, c.gap_y)
                left, across = _span(x, column0, column0 + across0, c.gap_x)
                first_block = channel // (outputs // groups) * inputs + at
                blocks = wide * depth if wide else steps
                slot, fresh = np.int64(0), False
                if tall0 * across:
                    wanted_inp[:] = image, first_block, blocks, top, tall0, left, across
                    slot, fresh, next_inp = _held(held_inp, wanted_inp, next_inp)
                inp, inp_piece = slot * inp_size, slot * many_inp
                all_inp = inp_piece, inp_piece + many_inp
                all_wgt = wgt_piece, wgt_piece + many_wgt
                if fresh and not begins:
                    _load(found, blocks, tall0, across, y, x, c.gap_y, c.gap_x)
                    events, count = _note(events, count, _LOADS, all_inp, _NONE, _NONE)
                # 3d. piece by piece: loads of the beginning, the product
                at_end = ends and finishes and high == bottom
                if begins and finishes and ends:
                    found[:] = 0
                    return found
                one[0], one_row[0] = depth, high - low
                cut = p.begin if begins else p.finish if at_end else one
                at_channel, taken = np.int64(0), False
                for i in range(len(cut)):
                    some = cut[i]
                    if begins and fresh_wgt and low == row0:
                        found[_WHOLE_WGT] = max(found[_WHOLE_WGT], some * steps * taps_all)
                        span = (
                            (wgt_piece, wgt_piece + many_wgt)
                            if i == 0
                            else (wgt_piece + i, wgt_piece + i + 1)
                        )
                        events, count = _note(events, count, _LOADS, _NONE, span, _NONE)
                    cut_rows = one_row
                    if begins and low == row0 and len(p.begin_rows):
                        cut_rows = p.begin_rows
                    elif at_end and i == len(p.finish) - 1 and len(p.finish_rows):
                        cut_rows = p.finish_rows
                    at_row, have = low, 0
                    place = (i if wide else 0) * len(cut_rows)
                    for j in range(len(cut_rows)):
                        tall = cut_rows[j]
                        if begins and fresh and (i == 0 or wide):
                            _, until = needed(y, low, at_row + tall)
                            more = (until - top) // c.gap_y + 1 - have if until >= top else 0
                            if more > 0 and (some * wide if wide else steps) > 0:
                                _load(found, _ONE, more, across, y, x, c.gap_y, c.gap_x)
                                span = (inp_piece + place + j, inp_piece + place + j + 1)
                                if not taken:
                                    taken, span = True, all_inp
                                events, count = _note(events, count, _LOADS, span, _NONE, _NONE)
                                have += more
                        if (
                            tall0 * across
                            and _meets(y, at_row, at_row + tall)
                            and _meets(x, column0, column0 + across0)
                        ):
                            how = _product(
                                known, done, widths, kept_widths, most, c, y, x,
                                (acc, row0, column0, high0, across0),
                                (inp, top, left, tall0, across, c.gap_y, c.gap_x, wide),
                                (wgt, steps), (at_channel, some, at_row, tall),
                            )  # fmt: skip
                            if how != k.DONE:
                                found[_FITS] = how != k.MANY
                                found[_REWRITTEN] = how == k.REWRITTEN
                                found[_UOPS] = known[2][1]
                                return found
                            own_inp, own_wgt = all_inp, all_wgt
                            if begins and fresh:
                                own_inp = inp_piece + place, inp_piece + place + j + 1
                            if begins:
                                own_wgt = wgt_piece + i, wgt_piece + i + 1
                            own_acc = acc_piece + piece, acc_piece + piece + 1
                            events, count = _note(
                                events, count, _COMPUTES, own_inp, own_wgt, own_acc
                            )
                        # 3e. the epilogue and the store, of this piece or of the whole tile
                        whole = at_channel + some == depth and at_row + tall == bottom
                        if ends and (finishes or whole):
                            row, of, many, plane = at_row, some, tall, at_channel
                            if not finishes:
                                row, of, many, plane = row0, depth, high0, 0
                            base = acc + plane * area + (row - row0) * across0
                            operand = 0
                            for kind in passes:
                                source = base
                                if kind == CHANNEL:
                                    source = operands + operand * outputs + channel + plane
                                    operand += 1
                                    widths[k.LOOP] = max(widths[k.LOOP], of, many * across0)
                                    widths[k.WIDE_ACC] = max(widths[k.WIDE_ACC], area)
                                else:
                                    if kind == TENSOR:
                                        source = shared
                                        _copy(found, of, many, across0, high0, y, x)
                                    k.loops_over(widths, of, many * across0, area, False)
                                if not k.single(known, base, source, most):
                                    found[_FITS], found[_UOPS] = 0, known[2][1]
                                    return found
                            _copy(found, of, many, across0, high0, y, x)
                            own_acc = acc_piece + piece, acc_piece + piece + 1
                            if len(passes):
                                events, count = _note(
                                    events, count, _COMPUTES, _NONE, _NONE, own_acc
                                )
                            events, count = _note(events, count, _STORES, _NONE, _NONE, own_acc)
                            piece += 1
                        at_row += tall
                    at_channel += some
                low = high
            if not backwards:
                at += steps
    # 4. what all of it asks for
    found[_UOPS] = known[2][1]
    found[_LOOP : _LOOP + k.END] = widths
    pieces = c.inp * many_inp, c.wgt * many_wgt, c.acc * many_acc
    found[_TOKENS] = _tokens(events[:count], pieces)
    return found


@jit
def chunks(layer, parts, by_rows, load_rows, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Elements of the largest chunk of inputs and of weights, and of the largest tile."""
    p = Partitions(*parts)
    tiles = _tiles(layer[0][0], p.channels, p.rows, p.columns, p.first, p.last, by_rows)
    return _sizes(layer, tiles, parts, load_rows, gap_y, gap_x)


@jit
def _sizes(layer, tiles, parts, load_rows, gap_y, gap_x):  # type: ignore[no-untyped-def]
    (_, groups, inputs, outputs), y, x = layer
    found = np.zeros(_UOPS, np.int64)
    p = Partitions(*parts)
    largest = p.reduction.max()
    if len(p.lead):
        largest = max(largest, p.lead.max())
    for tile in tiles:
        wide = _wide(groups, inputs, outputs, tile[2])
        low = tile[3]
        while low < tile[3] + tile[4]:
            high = min(low + (load_rows or tile[4]), tile[3] + tile[4])
            tall = lines(y, low, high, gap_y)
            across = lines(x, tile[5], tile[5] + tile[6], gap_x)
            found[_INP] = max(found[_INP], max(largest, wide * tile[2]) * tall * across)
            low = high
        found[_WGT] = max(found[_WGT], tile[2] * largest * y[2] * x[2])
        found[_ACC] = max(found[_ACC], tile[2] * tile[4] * tile[6])
    return found


@jit
def _cuts(parts, inputs, outputs, y, x, first_rows, last_rows, load_rows):  # type: ignore[no-untyped-def]
    """Whether the partitions add up to what they cut."""
    p = Partitions(*parts)
    first_load = min(load_rows or first_rows, first_rows)
    last_load = (last_rows - 1) % (load_rows or last_rows) + 1
    right = p.channels.sum() == outputs and p.rows.sum() == y[1] and p.columns.sum() == x[1]
    right = right and p.reduction.sum() == inputs
    for some, whole in (
        (p.lead, inputs), (p.first, p.rows[0]), (p.last, p.rows[-1]), (p.begin, p.channels[0]),
        (p.begin_rows, first_load), (p.finish, p.channels[-1]), (p.finish_rows, last_load),
    ):  # fmt: skip
        right = right and (len(some) == 0 or some.sum() == whole)
    return right


@jit
def _tiles(batch, channels, rows, columns, first, last, by_rows):  # type: ignore[no-untyped-def]
    """Image, first block, blocks, first row, rows, first column, columns of the tiles in order."""
    number = batch * len(channels) * len(rows) * len(columns)
    result = np.empty((number + len(first) + len(last), 7), np.int64)
    n = 0
    for t in range(number):
        column, rest = t % len(columns), t // len(columns)
        inner = len(channels) if by_rows else len(rows)
        i, rest = rest % inner, rest // inner
        outer = len(rows) if by_rows else len(channels)
        j, image = rest % outer, rest // outer
        row, channel = (j, i) if by_rows else (i, j)
        cut = rows[row : row + 1]
        if t == number - 1 and len(last):
            cut = last
        elif t == 0 and len(first):
            cut = first
        at = rows[:row].sum()
        for high in cut:
            result[n] = (
                image, channels[:channel].sum(), channels[channel], at, high,
                columns[:column].sum(), columns[column],
            )  # fmt: skip
            at += high
            n += 1
    return result[:n]


@jit
def _wide(groups, inputs, outputs, depth):  # type: ignore[no-untyped-def]
    """Input blocks from one output block of a tile to the next, 0 where they share them."""
    return inputs if groups > 1 and outputs == groups and depth > 1 else 0


@jit
def _span(axis, low, high, gap):  # type: ignore[no-untyped-def]
    """The first input that outputs ``[low, high)`` need, and how many are loaded."""
    begin, end = needed(axis, low, high)
    return begin, max((end - begin) // gap + 1, 0) if end >= begin else 0


@jit
def lines(axis, low, high, gap):  # type: ignore[no-untyped-def]
    """How many rows or columns are loaded for outputs ``[low, high)``."""
    return _span(axis, low, high, gap)[1]


@jit
def _meets(axis, low, high):  # type: ignore[no-untyped-def]
    """Whether some output in ``[low, high)`` needs an input."""
    begin, end = needed(axis, low, high)
    return end >= begin


@jit
def _held(slots, wanted, oldest):  # type: ignore[no-untyped-def]
    """The slot of a chunk, whether it is loaded now, and the slot that is then the oldest."""
    for slot in range(len(slots)):
        if (slots[slot] == wanted).all():
            return slot, False, oldest
    slots[oldest] = wanted
    return oldest, True, (oldest + 1) % len(slots)


@jit
def _note(events, count, module, inp, wgt, acc):  # type: ignore[no-untyped-def]
    """Note what a module does next: the pieces of slots that it touches, from and to before."""
    if count == len(events):
        longer = np.zeros((2 * count, 7), np.int64)
        longer[:count] = events
        events = longer
    events[count, 0] = module
    events[count, 1], events[count, 2] = inp
    events[count, 3], events[count, 4] = wgt
    events[count, 5], events[count, 6] = acc
    return events, count + 1


@jit
def _product(  # type: ignore[no-untyped-def]
    known, done, widths, kept, most, c, y, x, tile, chunk, weights, part
):
    """The kernels of a product in the first form that can be; noted once for all that are alike."""
    value = np.uint64(7)
    for number in (tile[0], tile[3], tile[4], part[0], part[1], part[2] - tile[1], part[3]):
        value = k.mixed(value, number)
    for number in (chunk[0], chunk[3], chunk[4], chunk[7], weights[0], weights[1]):
        value = k.mixed(value, number)
    value = _alike(value, y, part[2], part[3], chunk[1])
    value = _alike(value, x, tile[2], tile[4], chunk[2])
    before = done[2][0]
    if before < len(done[1]) // 2:
        k.seen(done, value, _ONE, _ANY)
        if done[2][0] == before:
            return k.DONE
    how = k.DONE
    for turn in range(4):
        form = c.form if turn == 0 else turn - (turn <= c.form)
        for apart in range(not c.join, 2):
            kernels, micro_ops = known[2]
            kept[:] = widths
            how = k.product(
                known, widths, most, form, not apart, c.channel, y, x, tile, chunk, weights, part
            )
            if how == k.DONE:
                return how
            widths[:] = kept
            while known[2][0] > kernels:  # the last ones first, so that no chain breaks
                known[2][0] -= 1
                known[0][known[1][known[2][0]]] = 0
            known[2][1] = micro_ops
    return how


@jit
def _alike(value, axis, low, many, begin):  # type: ignore[no-untyped-def]
    """A hash of how a range of outputs lies to its input, as far as its products depend on it."""
    at = low * axis[3] - axis[4]
    value = k.mixed(value, min(at, 0))
    value = k.mixed(value, min(axis[0] - at - (many - 1) * axis[3] - axis[2], 0))
    value = k.mixed(value, begin - at)
    return k.mixed(value, at % axis[5])


@jit
def _load(found, blocks, lines, across, y, x, gap_y, gap_x):  # type: ignore[no-untyped-def]
    """Sizes and strides of the instructions that load some inputs."""
    image = y[0] * x[0]
    if gap_x > 1 and across > 1:
        size, stride, whole = across, gap_x, across
    elif lines == 1:
        size, stride, whole = max(blocks, across), image, blocks * across
    elif gap_y == 1 and across == x[0] and lines == y[0]:
        size, stride, whole = blocks * image, blocks * image, blocks * image
    elif gap_y == 1 and across == x[0]:
        size, stride, whole = max(blocks, lines * across), image, blocks * lines * across
    else:
        size, stride, whole = max(lines, across), gap_y * x[0], lines * across
    found[_SIZE] = max(found[_SIZE], size)
    found[_STRIDE] = max(found[_STRIDE], stride)
    found[_WHOLE] = max(found[_WHOLE], whole)


@jit
def _copy(found, blocks, high, across, rows, y, x):  # type: ignore[no-untyped-def]
    """Sizes and strides of the instructions that move some outputs, or values of their shape."""
    image = y[1] * x[1]
    if across < x[1]:
        size, stride = max(high, across), x[1]
    elif high < rows:
        size = stride = high * across
    elif high == y[1]:
        size = stride = blocks * image
    else:
        size, stride = max(blocks, high * across), image
    found[_SIZE] = max(found[_SIZE], size)
    found[_STRIDE] = max(found[_STRIDE], stride)


@jit
def _tokens(events, pieces):  # type: ignore[no-untyped-def]  # noqa: PLR0912
    """The most tokens that a queue can hold when a module waits for each of its own in turn.

    A module waits for the last event of its neighbour that touched what it touches, unless it has
    waited for that or a later one; each wait is a token.
    """
    n = len(events) + 1  # and FINISH, which waits for the last store
    inp, wgt = np.full((3, pieces[0]), -1), np.full((3, pieces[1]), -1)
    acc = np.full((3, pieces[2]), -1)
    known = np.full((3, 3), -1)
    given, taken = np.empty((4, n), np.int64), np.empty((4, n), np.int64)
    count = np.zeros(4, np.int64)
    for i in range(n):
        me = _COMPUTE if i == n - 1 else events[i, 0]
        waits = np.full(3, -1)
        if i == n - 1:
            waits[_STORE] = acc[_STORE].max()
        else:
            for other in (me - 1, me + 1):
                if not 0 <= other < 3:
                    continue
                pair = min(me, other)  # 0: through INP and WGT, 1: through ACC
                if pair == 0:
                    for piece in range(events[i, 1], events[i, 2]):
                        waits[other] = max(waits[other], inp[other, piece])
                    for piece in range(events[i, 3], events[i, 4]):
                        waits[other] = max(waits[other], wgt[other, piece])
                else:
                    for piece in range(events[i, 5], events[i, 6]):
                        waits[other] = max(waits[other], acc[other, piece])
            inp[me, events[i, 1] : events[i, 2]] = i
            wgt[me, events[i, 3] : events[i, 4]] = i
            acc[me, events[i, 5] : events[i, 6]] = i
        for other in range(3):
            if waits[other] > known[me, other]:
                known[me, other] = waits[other]
                queue = min(me, other) + (2 if other > me else 0)
                given[queue, count[queue]], taken[queue, count[queue]] = waits[other], i
                count[queue] += 1
    most = 0
    for queue in range(4):
        back = queue ^ 2
        ahead = stop = 0
        for mine in range(count[queue]):
            # the other module runs on until it wants a token that is given later than this
            while stop < count[back] and given[back, stop] < taken[queue, mine]:
                stop += 1
            until = taken[back, stop] if stop < count[back] else n
            while ahead < count[queue] and given[queue, ahead] < until:
                ahead += 1
            most = max(most, ahead - mine)
    return most
