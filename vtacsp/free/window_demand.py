"""What a free schedule of an operator of the ALU asks of a machine, for the rules.

Written apart from what emits programs (:mod:`.window_walk`, :mod:`.window_tiles`): rows are sets
here, a kernel is known by its micro-ops, an instruction by what its loops add.  Tests compare both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, product
from typing import NamedTuple

from vtacsp.free.schedule import Sizes
from vtacsp.operators.geometry import AxisGeometry, taps

__all__ = ["NUMBERS", "WindowLayer", "WindowSchedule", "window_needs"]

NUMBERS = (
    *("acc_tile", "windows", "micro_ops", "fits", "tokens"),
    *("size", "stride", "loop", "wide_acc", "wide_src"),
    *("loaded", "loads", "kernels", "whole_acc"),
)
"""What :func:`window_needs` returns.

Accumulators of the largest tile and of all windows, micro-ops of all kernels, whether they fit, the
most tokens in a queue, the largest size and stride of a copy, the longest loop, the largest
factors; accumulators that are loaded with data, instructions that load them or a tensor of the
epilogue, and those that compute; the largest single load of data.
"""

_CHANNEL, _TENSOR = 1, 2
_MOST_KERNELS = 1 << 12
_COLUMN, _ROW, _TAP, _ALL = range(4)
_LONGEST = 1 << 14

_HardwareLoop = tuple[int, int, int]
"""How often it runs, what it adds to the accumulator and to the source."""


class WindowLayer(NamedTuple):
    """A layer: batch, channel blocks, axes, what the passes of the epilogue take.

    ``zero_first``: what joins the values of a window does not add, so that the first of them is
    added to the reset.
    """

    batch: int
    channels: int
    y: AxisGeometry
    x: AxisGeometry
    passes: Sizes
    zero_first: bool


class WindowSchedule(NamedTuple):
    """The fields of a schedule that say something: partitions, and what else."""

    channels: Sizes
    rows: Sizes
    columns: Sizes
    first: Sizes
    last: Sizes
    by_rows: bool
    pixels: bool
    form: int
    acc: int


@dataclass
class _Tile:
    """A tile, the rows of its windows that are loaded, and which of them stay."""

    image: int
    channel: int
    depth: int
    row: int
    high: int
    column: int
    across: int
    lines: list[int] = field(default_factory=list)
    old: int = 0
    new: int = 0

    def above(self, other: _Tile) -> bool:
        """Whether another tile is the next below."""
        mine = self.image, self.channel, self.depth, self.row + self.high, self.column, self.across
        return mine == (
            other.image, other.channel, other.depth, other.row, other.column, other.across
        )  # fmt: skip


def window_needs(layer: WindowLayer, s: WindowSchedule, most: int) -> list[int]:
    """What a schedule asks for, one of :data:`NUMBERS` after the other; zeros when it is none."""
    wanted = (layer.channels, layer.y.out, layer.x.out)
    if tuple(map(sum, (s.channels, s.rows, s.columns))) != wanted:
        return [0] * len(NUMBERS)
    if (s.first and sum(s.first) != s.rows[0]) or (s.last and sum(s.last) != s.rows[-1]):
        return [0] * len(NUMBERS)
    one = layer.y.kernel * layer.x.kernel == 1
    own = (layer.y.own_tap, layer.x.own_tap) if s.pixels or one else (None, None)
    if None in own and (s.pixels or one):
        return [0] * len(NUMBERS)
    return _Count(layer, s, own, most).numbers()


def _tiles(layer: WindowLayer, s: WindowSchedule) -> list[_Tile]:
    spans = [[(sum(p[:i]), n) for i, n in enumerate(p)] for p in (s.channels, s.rows, s.columns)]
    channels, rows, columns = spans
    outer, inner = (rows, channels) if s.by_rows else (channels, rows)
    whole = [
        _Tile(image, *(b if s.by_rows else a), *(a if s.by_rows else b), *c)
        for image, a, b, c in product(range(layer.batch), outer, inner, columns)
    ]
    found: list[_Tile] = []
    for number, tile in enumerate(whole):
        cut: Sizes = (tile.high,)
        if number == len(whole) - 1 and s.last:
            cut = s.last
        elif number == 0 and s.first:
            cut = s.first
        at = tile.row
        for high in cut:
            found.append(
                _Tile(tile.image, tile.channel, tile.depth, at, high, tile.column, tile.across)
            )
            at += high
    return found


def _reached(axis: AxisGeometry, low: int, many: int) -> range:
    """All inputs from the first to the last that some outputs need."""
    met: list[int] = []
    for tap in range(axis.kernel):
        first, count, _ = taps((*axis,), tap, low, low + many)
        if count:
            at = first * axis.stride + tap - axis.pad
            met += [at, at + (count - 1) * axis.stride]
    return range(min(met), max(met) + 1)


def _has(axis: AxisGeometry, tap: int, output: int) -> bool:
    return 0 <= output * axis.stride + tap - axis.pad < axis.size


class _Count:
    """The numbers of a schedule while they are counted."""

    def __init__(
        self, layer: WindowLayer, s: WindowSchedule, own: tuple[int | None, int | None], most: int
    ) -> None:
        self.layer, self.s, self.own, self.most = layer, s, own, most
        self.y, self.x = layer.y, layer.x
        self.in_place = own[0] is not None
        self.kernels: dict[tuple[tuple[int, int], ...], None] = {}
        self.used = 0
        self.size = self.stride = self.loop = self.wide_acc = self.wide_src = 0
        self.loaded = self.loads = self.computes = self.whole = 0
        self.gap_y = self.y.stride if not self.in_place and self.y.kernel == 1 else 1
        self.gap_x = self.x.stride if self.in_place and self.x.kernel == 1 else 1
        self.tiles = _tiles(layer, s)
        self._stay()
        self.acc_tile = max(t.depth * t.high * t.across for t in self.tiles)
        self.kept = max(t.new * t.depth * len(self.columns(t)) for t in self.tiles)
        self.main = max(
            (len(t.lines) - t.old - t.new) * t.depth * len(self.columns(t)) for t in self.tiles
        )
        self.beside = max(t.depth * t.high * sum(map(len, self.classes(t))) for t in self.tiles)

    def numbers(self) -> list[int]:
        """All of them."""
        fits = all(self.tile(number, tile) for number, tile in enumerate(self.tiles))
        windows = 2 * self.kept + self.main + self.beside
        return [
            self.acc_tile, windows, self.used, int(fits), min(self.s.acc, len(self.tiles)),
            self.size, self.stride, self.loop, self.wide_acc, self.wide_src,
            self.loaded, self.loads, self.computes, self.whole,
        ]  # fmt: skip

    # -- what lies where

    def _stay(self) -> None:
        for tile in self.tiles:
            lines = _reached(self.y, tile.row, tile.high)
            apart = set(self.placed_rows(tile))
            tile.lines = [r for r in lines[:: self.gap_y] if r not in apart]
        for tile, below in zip(self.tiles, self.tiles[1:], strict=False):
            if tile.above(below):
                shared = len({*tile.lines} & {*below.lines})
                if tile.old + shared <= len(tile.lines):
                    tile.new = below.old = shared

    def placed_rows(self, tile: _Tile) -> list[int]:
        """Rows of the values that are loaded in place."""
        if self.own[0] is None:
            return []
        first = tile.row * self.y.stride + self.own[0] - self.y.pad
        return [first + i * self.y.stride for i in range(tile.high)]

    def columns(self, tile: _Tile) -> range:
        """Columns of the rows that are loaded as they lie."""
        return _reached(self.x, tile.column, tile.across)[:: self.gap_x]

    def classes(self, tile: _Tile) -> list[range]:
        """Columns beside the values in place, those with the same distance to one together."""
        found: list[range] = []
        if self.own[1] is None:
            return found
        for turn in range(1, self.x.stride):
            met = [
                out * self.x.stride + tap - self.x.pad
                for tap in range(self.x.kernel)
                if (tap - self.own[1]) % self.x.stride == turn
                for out in (tile.column, tile.column + tile.across - 1, *self._edges(tile))
                if _has(self.x, tap, out)
            ]
            found.append(range(min(met), max(met) + 1, self.x.stride) if met else range(0))
        return found

    def _edges(self, tile: _Tile) -> Iterator[int]:
        """Outputs near the ends of a tile: some taps are padding there."""
        reach = self.x.kernel // self.x.stride + 2
        for i in range(min(reach, tile.across)):
            yield tile.column + i
            yield tile.column + tile.across - 1 - i

    # -- copies

    def load(self, blocks: int, lines: int, across: int, gap_y: int, gap_x: int) -> None:
        """Loads of so many rows of some blocks."""
        tall, wide = (a.size + 2 * a.pad for a in (self.y, self.x))
        self.loaded += blocks * lines * across
        if gap_x > 1 and across > 1:
            self.loads += blocks * lines - 1
            blocks = lines = 1
            self.copy(across, gap_x)
        elif lines == 1:
            self.copy(max(blocks, across), tall * wide)
        elif gap_y > 1 or across < wide:
            self.loads += blocks - 1
            blocks = 1
            self.copy(max(lines, across), gap_y * wide)
        elif lines < tall:
            self.copy(max(blocks, lines * across), tall * wide)
        else:
            self.copy(blocks * tall * wide, blocks * tall * wide)
        self.loads += 1
        self.whole = max(self.whole, blocks * lines * across)

    def copy(self, size: int, stride: int) -> None:
        """Note a copy."""
        self.size, self.stride = max(self.size, size), max(self.stride, stride)

    def outputs(self, tile: _Tile) -> None:
        """Copies of the shape of a tile."""
        tall, wide = self.y.out, self.x.out
        if tile.across < wide:
            self.copy(max(tile.high, tile.across), wide)
        elif tile.high < tall:
            self.copy(max(tile.depth, tile.high * wide), tall * wide)
        else:
            self.copy(tile.depth * tall * wide, tile.depth * tall * wide)

    def rows(self, tile: _Tile, lines: list[int]) -> None:
        """Loads of rows as they lie."""
        width = len(self.columns(tile))
        if not lines:
            return
        if not self.in_place or self.y.stride == 2:
            gap = 2 if self.in_place else self.gap_y
            self.load(tile.depth, len(lines), width, gap, self.gap_x)
            return
        runs = [
            len(list(run))
            for _, run in groupby(enumerate(lines), lambda place: place[1] - place[0])
        ]
        for run in runs:
            self.load(tile.depth if len(runs) == 1 else 1, run, width, 1, self.gap_x)

    # -- a tile

    def tile(self, number: int, tile: _Tile) -> bool:
        """Note what a tile needs; False when its kernels do not fit."""
        s, area = self.s, tile.high * tile.across
        base = number % s.acc * self.acc_tile
        channel_base = s.acc * self.acc_tile
        tensor_base = channel_base + self.layer.passes.count(_CHANNEL) * self.layer.channels
        windows = tensor_base + (self.acc_tile if _TENSOR in self.layer.passes else 0)
        if _CHANNEL in self.layer.passes:
            self.copy(tile.depth, 1)
        end = len(tile.lines) - tile.new
        self.rows(tile, tile.lines[tile.old : end])
        self.rows(tile, tile.lines[end:])
        for columns in self.classes(tile):
            if columns:
                self.load(tile.depth, tile.high, len(columns), self.y.stride, self.x.stride)
        if self.in_place:
            self.load(tile.depth, tile.high, tile.across, self.y.stride, self.x.stride)
        else:
            self.flat(tile.depth, area, area)
            if not self.kernel(((base, base),)):
                return False
        if not all(self.join(*one) for one in self.joins(number, tile, base, windows)):
            return False
        operand = 0
        for kind in self.layer.passes:
            source = {_TENSOR: tensor_base}.get(kind, base)
            if kind == _CHANNEL:
                source = channel_base + operand * self.layer.channels + tile.channel
                operand += 1
                self.widths([(tile.depth, area, 1), (area, 1, 0)], always=True)
            else:
                self.flat(tile.depth, area, area)
            if kind == _TENSOR:
                self.outputs(tile)
                self.loads += tile.depth if tile.across < self.x.out else 1
            if not self.kernel(((base, source),)):
                return False
        self.outputs(tile)
        return True

    def flat(self, blocks: int, pixels: int, area: int) -> None:
        """An instruction over a tile, in one loop where it can be."""
        if blocks == 1 or blocks * pixels < _LONGEST:
            self.widths([(blocks * pixels, 1, 1)], always=True)
        else:
            self.widths([(blocks, area, area), (pixels, 1, 1)], always=True)

    def widths(self, loops: Sequence[_HardwareLoop], *, always: bool = False) -> None:
        """Note how wide the loops of an instruction are."""
        for times, dst, src in loops:
            self.loop = max(self.loop, times)
            if times > 1 or always:
                self.wide_acc, self.wide_src = max(self.wide_acc, dst), max(self.wide_src, src)

    def kernel(self, micro_ops: tuple[tuple[int, int], ...]) -> bool:
        """Note an instruction and its kernel; False when that has no room."""
        self.computes += 1
        if micro_ops in self.kernels:
            return True
        if self.used + len(micro_ops) > self.most or len(self.kernels) >= _MOST_KERNELS:
            return False
        self.kernels[micro_ops] = None
        self.used += len(micro_ops)
        return True

    # -- values that join

    def joins(
        self, number: int, tile: _Tile, base: int, windows: int
    ) -> Iterator[tuple[int, int, list[_HardwareLoop], _HardwareLoop]]:
        """Instructions: accumulator and source of the first value, loops over outputs and taps."""
        ys, xs = (
            range(tile.row, tile.row + tile.high),
            range(tile.column, tile.column + tile.across),
        )
        begin_y, begin_x = self._begins(self.y, ys), self._begins(self.x, xs)
        zero = self.layer.zero_first and not self.in_place
        if zero:
            for ky, kx in product(range(self.y.kernel), range(self.x.kernel)):
                some_y = [h for h in ys if begin_y[h] == ky]
                some_x = [w for w in xs if begin_x[w] == kx]
                yield from self._box(number, tile, base, windows, (ky, 1, kx, 1), some_y, some_x)
        done: tuple[int, int] | None = None
        if self.own[0] is not None and self.own[1] is not None:
            done = self.own[0], self.own[1]
        alike = len({*begin_y.values()}) == len({*begin_x.values()}) == 1
        if zero and alike:
            done = begin_y[ys[0]], begin_x[xs[0]]
        for box in self._boxes(self._form(tile, ys, xs, not zero or alike), done):
            ky, _, kx, _ = box
            some_y = [h for h in ys if _has(self.y, ky, h)]
            some_x = [w for w in xs if _has(self.x, kx, w)]
            if not zero or alike:
                yield from self._box(number, tile, base, windows, box, some_y, some_x)
                continue
            mine_y = [h for h in some_y if begin_y[h] == ky]
            mine_x = [w for w in some_x if begin_x[w] == kx]
            if not mine_y or not mine_x:
                yield from self._box(number, tile, base, windows, box, some_y, some_x)
                continue
            for part_y, part_x in (
                ([h for h in some_y if h < mine_y[0]], some_x),
                ([h for h in some_y if h > mine_y[-1]], some_x),
                (mine_y, [w for w in some_x if w < mine_x[0]]),
                (mine_y, [w for w in some_x if w > mine_x[-1]]),
            ):
                yield from self._box(number, tile, base, windows, box, part_y, part_x)

    @staticmethod
    def _begins(axis: AxisGeometry, outputs: range) -> dict[int, int]:
        """The tap that each output begins with: the last that all have, or its own last."""
        for tap in range(axis.kernel - 1, -1, -1):
            if all(_has(axis, tap, o) for o in outputs):
                return dict.fromkeys(outputs, tap)
        return {o: max(k for k in range(axis.kernel) if _has(axis, k, o)) for o in outputs}

    def _form(self, tile: _Tile, ys: range, xs: range, alike: bool) -> int:
        """What an instruction covers of this tile."""
        even_y, even_x = (
            all(_has(axis, k, o) for k in (0, axis.kernel - 1) for o in outputs)
            for axis, outputs in ((self.y, ys), (self.x, xs))
        )
        straight = not (self.in_place or tile.old or tile.new) and self.gap_y == 1
        follow = self.gap_x == 1 and len(self.columns(tile)) == self.x.kernel
        can = {
            _ROW: even_x and self.gap_x == 1,
            _COLUMN: even_y and straight,
            _ALL: even_y and even_x and straight and follow,
        }
        return self.s.form if alike and can.get(self.s.form, False) else _TAP

    def _boxes(
        self, form: int, done: tuple[int, int] | None
    ) -> Iterator[tuple[int, int, int, int]]:
        """First row, rows, first column and columns of the taps of an instruction."""
        high, wide = self.y.kernel, self.x.kernel
        left = {*product(range(high), range(wide))} - {done}
        single = done[0] if self.in_place and done is not None else None
        while left:
            ky, kx = min(left) if form != _COLUMN else min(left, key=lambda tap: tap[::-1])
            tall = across = 1
            if form in (_ROW, _ALL) and ky != single:
                while (ky, kx + across) in left:
                    across += 1
            if form == _COLUMN and ky != single:
                while (ky + tall, kx) in left:
                    tall += 1
            if form == _ALL and (kx, across) == (0, wide):
                while {(ky + tall, k) for k in range(wide)} <= left:
                    tall += 1
            left -= {*product(range(ky, ky + tall), range(kx, kx + across))}
            yield ky, tall, kx, across

    def _box(
        self, number: int, tile: _Tile, base: int, windows: int,
        box: tuple[int, int, int, int], ys: list[int], xs: list[int],
    ) -> Iterator[tuple[int, int, list[_HardwareLoop], _HardwareLoop]]:  # fmt: skip
        """The instructions of some taps over some outputs: one for each place of their rows."""
        if not ys or not xs:
            return
        ky, tall, kx, across = box
        area = tile.high * tile.across
        dst = base + xs[0] - tile.column
        if self.in_place and ky == self.own[0]:
            classes = self.classes(tile)
            turn = (kx - (self.own[1] or 0)) % self.x.stride - 1
            first = windows + 2 * self.kept + self.main
            first += sum(tile.depth * tile.high * len(c) for c in classes[:turn])
            column = classes[turn].index(xs[0] * self.x.stride + kx - self.x.pad)
            many = len(classes[turn])
            src = first + (ys[0] - tile.row) * many + column
            outputs = [
                (tile.depth, area, tile.high * many), (len(ys), tile.across, many), (len(xs), 1, 1)
            ]  # fmt: skip
            yield dst + (ys[0] - tile.row) * tile.across, src, outputs, (1, 0, 0)
            return
        width = len(self.columns(tile))
        end = len(tile.lines) - tile.new
        places = (  # the first line, how many, where
            (0, tile.old, windows + number % 2 * self.kept),
            (tile.old, end - tile.old, windows + 2 * self.kept),
            (end, tile.new, windows + (number + 1) % 2 * self.kept),
        )
        line = {
            h: tile.lines.index(h * self.y.stride + ky - self.y.pad) for h in ys
        }  # of each output row
        column = self.columns(tile).index(xs[0] * self.x.stride + kx - self.x.pad)
        for begin, many, where in places:
            here = [h for h in ys if begin <= line[h] < begin + many]
            if not here:
                continue
            far = line[here[1]] - line[here[0]] if len(here) > 1 else 0
            src = where + (line[here[0]] - begin) * width + column
            outputs = [
                (tile.depth, area, many * width), (len(here), tile.across, far * width),
                (len(xs), 1, self.x.stride // self.gap_x),
            ]  # fmt: skip
            over = tall * across, 0, 1 if across > 1 else width
            yield dst + (here[0] - tile.row) * tile.across, src, outputs, over

    def join(self, dst: int, src: int, outputs: list[_HardwareLoop], over: _HardwareLoop) -> bool:
        """Note an instruction, or one per tap where it would write an accumulator too soon."""
        loops: list[_HardwareLoop] = []
        for loop in outputs:
            if loop[0] == 1:
                continue
            times, far_dst, far_src = loops[-1] if loops else (0, 0, 0)
            if loops and (far_dst, far_src) == (loop[0] * loop[1], loop[0] * loop[2]):
                loops[-1] = times * loop[0], loop[1], loop[2]
            else:
                loops.append(loop)
        alone = over[0] == 1
        order = sorted(range(len(loops)), key=lambda i: -loops[i][0])
        hardware = sorted(order[: 2 if alone else 1])
        listed = [loop for i, loop in enumerate(loops) if i not in hardware]
        runs = [loops[i] for i in hardware]
        places = [*product(*(range(times) for times, _, _ in listed))]
        if len(places) > self.most:
            return False
        micro_ops = tuple(
            (
                dst + sum(i * loop[1] for i, loop in zip(place, listed, strict=True)),
                src + sum(i * loop[2] for i, loop in zip(place, listed, strict=True)),
            )
            for place in places
        )
        if not alone and len(micro_ops) * (runs[0][0] if runs else 1) < 3:
            taps_alone = ((dst, src + i * over[2]) for i in range(over[0]))
            return all(self.join(a, b, outputs, (1, 0, 0)) for a, b in taps_alone)
        self.widths([*runs, over])
        return self.kernel(micro_ops)
