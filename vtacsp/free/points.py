"""The points of a free space, feasible or not: how many there are, and any of them at random.

A point is a schedule.  Fields that stand alone have a list of values; a ramp cuts what another
field leaves, so its values depend on the others.  Nothing is listed: numbers of points are summed
over what the ramps depend on.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, cached_property
from itertools import accumulate, pairwise, product
from math import prod
from random import Random
from typing import Any, NamedTuple

from vtacsp.errors import ScheduleError, shortened
from vtacsp.free.moves import balanced, equal
from vtacsp.free.schedule import FORMS, GATHERS, LOOPS, ORDERS, Schedule, Sizes, fixed
from vtacsp.operators.geometry import Geometry

__all__ = ["Points", "parts_of", "ramps"]

MOST_SLOTS = 12
LOADS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 28)
_SPLITS = ("channels", "rows", "columns", "reduction")
_RAMPS = ("lead", "first", "last", "begin", "begin_rows", "finish", "finish_rows")
_ENDING = ("last", "finish", "finish_rows")
ALONE: Mapping[str, tuple[Any, ...]] = {
    "order": ORDERS, "snake": (False, True), "gather": GATHERS, "form": FORMS, "loop": LOOPS,
    "inp": (*range(1, MOST_SLOTS + 1),), "wgt": (*range(1, MOST_SLOTS + 1),),
    "acc": (*range(1, MOST_SLOTS + 1),), "lead_uops": (1, 2, 3, 4, 6, 8, 12),
    "join": (False, True), "group_uops": (0, 1, 2, 3, 4, 6, 8, 12, 16), "begin_steps": (1, 2, 3, 4),
    "clear_ahead": (0, 1, 2, 3),
}  # fmt: skip


@cache
def parts_of(total: int) -> tuple[Sizes, ...]:
    """Partitions into parts of one size but for the last, or that differ by one at most.

    >>> from vtacsp.free.points import parts_of
    >>> parts_of(4)
    ((1, 1, 1, 1), (2, 1, 1), (2, 2), (3, 1), (4,))
    """
    found = {equal(total, size) for size in range(1, total + 1)}
    found |= {balanced(total, number) for number in range(1, total + 1)}
    return tuple(sorted(found))


@cache
def ramps(total: int, falling: bool = False) -> tuple[Sizes, ...]:
    """Two or three parts that do not shrink, or do not grow: what a program begins or ends with.

    >>> from vtacsp.free.points import ramps
    >>> ramps(4)
    ((1, 3), (2, 2), (1, 1, 2))
    """
    found: list[Sizes] = [(a, total - a) for a in range(1, total // 2 + 1)]
    for a in range(1, total // 3 + 1):
        found += [(a, b, total - a - b) for b in range(a, (total - a) // 2 + 1)]
    return tuple(sizes[::-1] for sizes in found) if falling else tuple(found)


class _Group(NamedTuple):
    """Points with the same rows, rows per load and ends of the channels, and how many."""

    weight: int
    only_column: bool
    rows: Sizes
    load_rows: int
    ends: Sizes
    """First and last part of the channels."""
    one_part: bool
    """Whether the channels have one part."""


class Points:
    """The points of a layer.

    ``given`` are values of fields instead of those that are usual; a ramp that is given keeps the
    partitions that fit.  Raises :class:`~vtacsp.errors.ScheduleError` naming a field.
    """

    def __init__(self, g: Geometry, given: Mapping[str, Sequence[Any]]) -> None:
        self.geometry = g
        self.given = {name: _values(name, values) for name, values in given.items()}
        totals = {"channels": g.outputs, "rows": g.y.out, "columns": g.x.out, "reduction": g.inputs}
        self.values: dict[str, tuple[Any, ...]] = {**ALONE}
        self.values["load_rows"] = tuple(n for n in LOADS if n < g.y.out or n == 0)
        for name, total in totals.items():
            self.values[name] = parts_of(total)
        for name, alone in fixed(g).items():
            if name in _RAMPS:
                self.given.setdefault(name, alone)
            else:
                self.values[name] = alone
        self.values |= {k: v for k, v in self.given.items() if k not in _RAMPS}
        for name, total in totals.items():
            for sizes in self.values[name]:
                if sum(sizes) != total:
                    raise ScheduleError(
                        f"{name} has {shortened(sizes)}, which does not add up to {total}"
                    )
        self.values["channels"] = tuple(
            sizes for sizes in self.values["channels"] if self._in_groups(sizes)
        )
        self.values["lead"] = self.ramp("lead", g.inputs)
        self._known: dict[tuple[int, int, int, bool], int] = {}
        self._parts: dict[tuple[int, bool], list[tuple[int, int]]] = {}

    def _in_groups(self, channels: Sizes) -> bool:
        """Whether a tile stays in its group, or may take several."""
        per_group = self.geometry.per_group
        if self.geometry.groups == 1 or per_group == 1:
            return True
        ends = [0, *accumulate(channels)]
        return all(a // per_group == (b - 1) // per_group for a, b in pairwise(ends))

    def ramp(self, name: str, total: int) -> tuple[Sizes, ...]:
        """The values of a ramp that cuts so much, the empty one first."""
        if name in self.given:
            return tuple(s for s in self.given[name] if not s or sum(s) == total)
        found = ramps(total, name in _ENDING)
        return ((), (total,), *found) if name in ("begin", "finish") else ((), *found)

    # -- counting

    @cached_property
    def _free(self) -> tuple[str, ...]:
        """Fields on which no other depends."""
        return (
            "reduction", "lead", "order", "snake", "gather", "form", "join", "loop", "inp", "wgt",
            "acc", "lead_uops", "group_uops",
        )  # fmt: skip

    def count(self) -> int:
        """How many points there are, exactly."""
        return self._cumulative[-1] * prod(len(self.values[name]) for name in self._free)

    @cached_property
    def _groups(self) -> list[_Group]:
        found = []
        ends = {key: len(channels) for key, channels in self._channels.items()}
        single, many = (len(self._columns[only]) for only in (True, False))
        for rows in self.values["rows"]:
            for load in self.values["load_rows"]:
                for (pair, one_part), number in ends.items():
                    for only, columns in ((True, single), (False, many)):
                        if columns:
                            alone = (
                                only and one_part and len(rows) == 1 and self.geometry.batch == 1
                            )
                            ways = self._ways(rows[0], rows[-1], load, pair, alone)
                            found.append(
                                _Group(number * columns * ways, only, rows, load, pair, one_part)
                            )
        return found

    @cached_property
    def _columns(self) -> dict[bool, list[Sizes]]:
        """Partitions of the columns that have one part, and the others."""
        found: dict[bool, list[Sizes]] = {True: [], False: []}
        for columns in self.values["columns"]:
            found[len(columns) == 1].append(columns)
        return found

    @cached_property
    def _channels(self) -> dict[tuple[Sizes, bool], list[Sizes]]:
        """Partitions of the channels by their ends, and whether they have one part."""
        found: dict[tuple[Sizes, bool], list[Sizes]] = {}
        for channels in self.values["channels"]:
            found.setdefault(((channels[0], channels[-1]), len(channels) == 1), []).append(channels)
        return found

    @cached_property
    def _cumulative(self) -> list[int]:
        return [*accumulate((g.weight for g in self._groups), initial=0)]

    def _ways(self, first: int, last: int, load: int, ends: Sizes, alone: bool) -> int:
        """In how many ways the ramps can be chosen."""
        if alone:  # one cut is enough for one tile
            return sum(weight for weight, _ in self._only(last, load, ends))
        return self._ends_of(first, load, ends[0], True) * self._ends_of(last, load, ends[1], False)

    def _ends_of(self, tile: int, load: int, depth: int, at_begin: bool) -> int:
        """In how many ways the first or the last tile is cut, with its pieces."""
        key = tile, load, depth, at_begin
        found = self._known.get(key)
        if found is None:
            found = sum(
                number * self._pieces_of(load, part, depth, at_begin)
                for part, number in self._tiles(tile, at_begin)
            )
            self._known[key] = found
        return found

    def _tiles(self, tile: int, at_begin: bool) -> list[tuple[int, int]]:
        """Rows of the outermost part of a tile that is cut, and in how many cuts it has them."""
        key = tile, at_begin
        found = self._parts.get(key)
        if found is None:
            cuts = self.ramp("first" if at_begin else "last", tile)
            found = list(Counter((cut or (tile,))[0 if at_begin else -1] for cut in cuts).items())
            self._parts[key] = found
        return found

    def _pieces_of(self, load: int, tile: int, depth: int, at_begin: bool) -> int:
        """In how many ways the pieces of a tile can be."""
        channels, lines = self._choices(load, tile, depth, at_begin)
        steps = len(self.values["begin_steps"]) if at_begin else 1
        return 1 + steps * len([c for c in channels if c]) * len(lines)

    def _choices(
        self, load: int, tile: int, depth: int, at_begin: bool
    ) -> tuple[tuple[Sizes, ...], tuple[Sizes, ...]]:
        part = load or tile
        tall = min(part, tile) if at_begin else (tile - 1) % part + 1
        names = ("begin", "begin_rows") if at_begin else ("finish", "finish_rows")
        return self.ramp(names[0], depth), self.ramp(names[1], tall)

    def _only(self, last: int, load: int, ends: Sizes) -> list[tuple[int, Sizes]]:
        """How the only tile is cut, and in how many ways the pieces then can be."""
        return [
            (
                self._pieces_of(load, (cut or (last,))[0], ends[0], True)
                * self._pieces_of(load, (cut or (last,))[-1], ends[1], False),
                cut,
            )
            for cut in self.ramp("last", last)
        ]

    def _cuts(self, group: _Group) -> tuple[list[tuple[int, Sizes]], list[tuple[int, Sizes]]]:
        """How the first tile and how the last is cut, each with the number of ways."""
        load, (top, bottom) = group.load_rows, group.ends
        if self._alone(group):
            return [(1, ())], self._only(group.rows[-1], load, group.ends)
        firsts, lasts = self.ramp("first", group.rows[0]), self.ramp("last", group.rows[-1])
        return (
            [(self._pieces_of(load, (c or group.rows)[0], top, True), c) for c in firsts],
            [(self._pieces_of(load, (c or group.rows)[-1], bottom, False), c) for c in lasts],
        )

    def _alone(self, group: _Group) -> bool:
        """Whether there is one tile."""
        one = group.only_column and group.one_part and len(group.rows) == 1
        return one and self.geometry.batch == 1

    def _pieces(
        self, load: int, tile: int, depth: int, at_begin: bool
    ) -> list[tuple[int, Sizes, Sizes]]:
        """Pieces of channels and of rows, and how often they come (``begin_steps``)."""
        channels, lines = self._choices(load, tile, depth, at_begin)
        steps = len(self.values["begin_steps"]) if at_begin else 1
        return [(1, (), ()), *((steps, c, n) for c in channels if c for n in lines)]

    # -- points

    def draw(self, rng: Random) -> Schedule:
        """A point, each as likely as any other."""
        at = rng.randrange(self._cumulative[-1])
        group = self._groups[bisect_right(self._cumulative, at) - 1]
        columns = self._columns[group.only_column]
        channels = self._channels[group.ends, group.one_part]
        firsts, lasts = self._cuts(group)
        _, first = _weighted(rng, [cut[0] for cut in firsts], firsts)
        _, last = _weighted(rng, [cut[0] for cut in lasts], lasts)
        top = ((last if self._alone(group) else first) or group.rows)[0]
        bottom = (last or group.rows)[-1]
        begins = self._pieces(group.load_rows, top, group.ends[0], True)
        finishes = self._pieces(group.load_rows, bottom, group.ends[1], False)
        _, begin, begin_rows = _weighted(rng, [b[0] for b in begins], begins)
        _, finish, finish_rows = _weighted(rng, [f[0] for f in finishes], finishes)
        steps = rng.choice(self.values["begin_steps"]) if begin else 1
        chosen = {name: rng.choice(self.values[name]) for name in self._free}
        return Schedule(
            channels=rng.choice(channels), rows=group.rows, columns=rng.choice(columns),
            load_rows=group.load_rows, first=first, last=last, begin=begin, begin_rows=begin_rows,
            begin_steps=steps, finish=finish, finish_rows=finish_rows, **chosen,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Schedule]:
        """All points: for spaces that are small."""
        for group in self._groups:
            firsts, lasts = self._cuts(group)
            for (_, first), (_, last) in product(firsts, lasts):
                top = ((last if self._alone(group) else first) or group.rows)[0]
                bottom = (last or group.rows)[-1]
                yield from self._all_of(group, first, last, top, bottom)

    def _all_of(
        self, group: _Group, first: Sizes, last: Sizes, top: int, bottom: int
    ) -> Iterator[Schedule]:
        free = self._free
        columns = self._columns[group.only_column]
        channels = self._channels[group.ends, group.one_part]
        for _, begin, begin_rows in self._pieces(group.load_rows, top, group.ends[0], True):
            for _, finish, finish_rows in self._pieces(
                group.load_rows, bottom, group.ends[1], False
            ):
                for steps, co, x, *others in product(
                    self.values["begin_steps"] if begin else (1,), channels, columns,
                    *(self.values[name] for name in free),
                ):  # fmt: skip
                    yield Schedule(
                        channels=co, rows=group.rows, columns=x, load_rows=group.load_rows,
                        first=first, last=last, begin=begin, begin_rows=begin_rows,
                        begin_steps=steps, finish=finish, finish_rows=finish_rows,
                        **dict(zip(free, others, strict=True)),
                    )  # fmt: skip


def _weighted(rng: Random, weights: Sequence[int], values: Sequence[Any]) -> Any:
    """One of some values, as likely as its weight says; whole numbers of any size."""
    at = rng.randrange(sum(weights))
    for weight, value in zip(weights, values, strict=True):
        at -= weight
        if at < 0:
            return value
    raise AssertionError


def _values(name: str, values: Sequence[Any]) -> tuple[Any, ...]:
    """Values of a field that are given, each as a schedule has it."""
    plain = {"channels": (1,), "rows": (1,), "columns": (1,), "reduction": (1,)}
    if name not in (*ALONE, *_SPLITS, *_RAMPS, "load_rows"):
        raise ScheduleError(f"a schedule has no field {shortened(name)}")
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence) or not values:
        raise ScheduleError(
            f"the values of {name} are a list that is not empty, got {shortened(values)}"
        )
    return tuple(getattr(Schedule(**{**plain, name: value}), name) for value in values)
