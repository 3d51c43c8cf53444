"""Schedules at random, and small changes of a schedule: what the search proposes."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from vtacsp.free.schedule import FORMS, GATHERS, LOOPS, ORDERS, Schedule, Sizes, fixed
from vtacsp.operators.geometry import Geometry

__all__ = ["cross", "equal", "fitted", "grown", "mutate", "sample"]

MOST_SLOTS = 12
_ENDING = ("last", "finish", "finish_rows")
_RAMPS = ("lead", "first", "last", "begin", "begin_rows", "finish", "finish_rows")


def equal(total: int, size: int) -> Sizes:
    """A partition into parts of one size, the last of which may be smaller."""
    rest = total % size
    return (size,) * (total // size) + ((rest,) if rest else ())


def balanced(total: int, parts: int) -> Sizes:
    """A partition into so many parts that differ by at most one, the larger ones first."""
    size, more = divmod(total, parts)
    return (size + 1,) * more + (size,) * (parts - more)


def tapered(total: int, size: int, first: int) -> Sizes:
    """Parts of one size between smaller ones: ``first`` that double, and some that halve."""
    head = [max(size >> n, 1) for n in range(first, 0, -1)]
    tail = [size >> n for n in range(1, size.bit_length())]
    rest = total - sum(head) - sum(tail)
    return (*head, *equal(rest, size), *tail) if rest > 0 else equal(total, size)


def grown(total: int, first: int, growth: float) -> Sizes:
    """Parts that grow by a factor; what is left over is shared by the largest."""
    parts = [min(first, total)]
    size = float(first)
    while sum(parts) < total:
        size *= growth
        parts.append(max(1, round(size)))
    over = sum(parts) - total
    parts[-1] -= over
    if parts[-1] < 1 or (len(parts) > 1 and 2 * parts[-1] < parts[-2]):
        parts[-2:] = [parts[-2] + parts[-1]]
    return tuple(parts)


def sample(g: Geometry, rng: Random) -> Schedule:
    """A schedule of a layer at random; it need not fit the machine."""
    columns = 1 if rng.random() < 0.8 else rng.randint(1, g.x.out)
    schedule = Schedule(
        channels=_partition(g.outputs, rng),
        rows=_partition(g.y.out, rng),
        columns=balanced(g.x.out, columns),
        reduction=_partition(g.inputs, rng),
        order=rng.choice(ORDERS),
        snake=rng.random() < 0.3,
        gather=rng.choice(GATHERS),
        form=rng.choice(FORMS),
        join=rng.random() < 0.8,
        loop=rng.choice(LOOPS),
        inp=rng.randint(1, 6),
        wgt=rng.randint(1, 6),
        acc=rng.randint(1, 4),
        clear_ahead=rng.choice((0, 0, 1, 2, 3)),
        lead_uops=rng.randint(1, 4),
        group_uops=rng.randint(0, 4),
    )
    for _ in range(rng.randint(0, 3)):
        schedule = _ramp(schedule, g, rng)
    return fitted(schedule, g)


def mutate(schedule: Schedule, g: Geometry, rng: Random) -> Schedule:
    """A neighbour of a schedule, or one a few steps away."""
    moves, weights = (_ON_ALU, _ON_ALU_WEIGHTS) if g.on_alu else (_MOVES, _WEIGHTS)
    for _ in range(1 if rng.random() < 0.6 else rng.randint(2, 4)):
        schedule = fitted(rng.choices(moves, weights)[0](schedule, g, rng), g)
    return schedule


def cross(one: Schedule, other: Schedule, g: Geometry, rng: Random) -> Schedule:
    """A schedule that has some of its parts from one and some from another."""
    changes: dict[str, Any] = {}
    for part in _PARTS:
        if rng.random() < 0.5:
            changes |= {name: getattr(other, name) for name in part}
    return fitted(one.changed(**changes), g)


def fitted(schedule: Schedule, g: Geometry) -> Schedule:
    """The schedule with ramps that cut its tiles, groups respected."""
    changes: dict[str, Any] = {
        name: values[0]
        for name, values in fixed(g).items()
        if getattr(schedule, name) not in values
    }
    if changes:
        schedule = schedule.changed(**changes)
        changes = {}
    if g.groups > 1:
        if g.per_group > 1:
            changes["channels"] = _inside(schedule.channels, g.per_group)
        elif max(schedule.channels) > 1:
            changes |= {"reduction": (g.inputs,), "lead": ()}
    channels = changes.get("channels", schedule.channels)
    totals = {
        "lead": g.inputs,
        "first": schedule.rows[0],
        "last": schedule.rows[-1],
        "begin": channels[0],
        "finish": channels[-1],
    }
    for name, total in totals.items():
        sizes = _refitted(getattr(schedule, name), total, name)
        if sizes != getattr(schedule, name):
            changes[name] = sizes
    if changes:
        schedule = schedule.changed(**changes)
    begin = _refitted(schedule.begin_rows, schedule.first_rows(g), "begin_rows")
    finish = _refitted(schedule.finish_rows, schedule.last_rows(g), "finish_rows")
    begin, finish = begin if schedule.begin else (), finish if schedule.finish else ()
    if begin != schedule.begin_rows or finish != schedule.finish_rows:
        schedule = schedule.changed(begin_rows=begin, finish_rows=finish)
    if schedule.overlaps(g):
        schedule = schedule.changed(begin=(), begin_rows=())
    if schedule.clear_ahead >= schedule.acc:
        schedule = schedule.changed(clear_ahead=schedule.acc - 1)
    if not schedule.begin and schedule.begin_steps > 1:
        schedule = schedule.changed(begin_steps=1)
    return schedule


def _refitted(sizes: Sizes, total: int, name: str) -> Sizes:
    """A ramp for another total: the parts at the end of the program, or at its begin, stay."""
    if not sizes or sum(sizes) == total:
        # in one part it says nothing, but for the pieces
        return sizes if len(sizes) != 1 or name in ("begin", "finish") else ()
    parts = list(sizes[::-1] if name in _ENDING else sizes)
    large = max(range(len(parts)), key=parts.__getitem__)
    parts[large] += total - sum(parts)
    if parts[large] < 1:
        del parts[large]
        while sum(parts) > total:
            parts.pop()
        if rest := total - sum(parts):
            parts.append(rest)
    if len(parts) == 1 and name not in ("begin", "finish"):
        return ()
    return tuple(parts[::-1] if name in _ENDING else parts)


def _with(schedule: Schedule, name: str, value: Sizes | int) -> Schedule:
    return schedule.changed(**{name: value})


def _inside(channels: Sizes, per_group: int) -> Sizes:
    """A partition cut where a part would cross a group."""
    parts: list[int] = []
    at = 0
    for size in channels:
        end = at + size
        while at < end:
            parts.append(min(end, (at // per_group + 1) * per_group) - at)
            at += parts[-1]
    return tuple(parts)


def _partition(total: int, rng: Random) -> Sizes:
    if rng.random() < 0.5:
        return equal(total, rng.randint(1, total))
    # few parts are as likely as many
    return balanced(total, min(total, int(total ** rng.random() + 0.5)))


def _resize(sizes: Sizes, rng: Random) -> Sizes:
    """A partition a little different."""
    total, parts = sum(sizes), list(sizes)
    kind = rng.randrange(8)
    if kind == 0:
        return equal(total, min(total, max(1, parts[0] + rng.choice((-2, -1, 1, 2)))))
    if kind == 1:
        return balanced(total, min(total, max(1, len(parts) + rng.choice((-2, -1, 1, 2)))))
    if kind == 2:
        return _partition(total, rng)
    if kind == 7:
        return tapered(total, rng.choice((max(parts), rng.randint(1, total))), rng.randint(0, 2))
    i = rng.choice((0, len(parts) - 1, rng.randrange(len(parts))))
    if kind == 3 and parts[i] > 1:
        cut = rng.randint(1, parts[i] - 1)
        parts[i : i + 1] = [cut, parts[i] - cut]
    elif kind == 4 and len(parts) > 1:
        i = min(i, len(parts) - 2)
        parts[i : i + 2] = [parts[i] + parts[i + 1]]
    elif kind == 5 and len(parts) > 1:
        j = rng.randrange(len(parts))
        step = rng.randint(1, max(1, parts[i] // 2))
        if i != j and parts[i] > step:
            parts[i], parts[j] = parts[i] - step, parts[j] + step
    else:
        j = rng.randrange(len(parts))
        parts[i], parts[j] = parts[j], parts[i]
    return tuple(parts)


def _output(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    name = rng.choice(("channels", "rows"))
    return _with(schedule, name, _resize(getattr(schedule, name), rng))


def _columns(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    return schedule.changed(columns=_resize(schedule.columns, rng))


def _shape(schedule: Schedule, g: Geometry, rng: Random) -> Schedule:
    """Tiles of another shape that hold about as many outputs."""
    names = ["channels", "rows", "columns"]
    totals = {"channels": g.outputs, "rows": g.y.out, "columns": g.x.out}
    sizes = {name: max(getattr(schedule, name)) for name in names}
    left = sizes["channels"] * sizes["rows"] * sizes["columns"] * rng.choice((1, 1, 1, 1.07, 1.15))
    rng.shuffle(names)
    changes: dict[str, Sizes] = {}
    for name in names:
        total = totals[name]
        if name == names[-1]:
            size = min(total, max(1, int(left)))
        elif name == names[0] and rng.random() < 0.6:
            size = sizes[name]
        else:
            size = -(-total // max(1, int(total ** rng.random())))
        left = max(1.0, left / size)
        if size != sizes[name]:
            even = rng.random() < 0.7
            changes[name] = balanced(total, -(-total // size)) if even else equal(total, size)
    return schedule.changed(**changes)


def _reduction(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    return schedule.changed(reduction=_resize(schedule.reduction, rng))


def _ramp(schedule: Schedule, g: Geometry, rng: Random) -> Schedule:
    name = rng.choice(_RAMPS)
    if schedule.begin and rng.random() < 0.2:
        return schedule.changed(begin_steps=rng.choice((1, 2, 2, 3, 4, 6)))
    total = {
        "lead": g.inputs,
        "first": schedule.rows[0],
        "last": schedule.rows[-1],
        "begin": schedule.channels[0],
        "begin_rows": schedule.first_rows(g),
        "finish": schedule.channels[-1],
        "finish_rows": schedule.last_rows(g),
    }[name]
    if name == "begin_rows" and not schedule.begin:
        schedule = schedule.changed(begin=(schedule.channels[0],))
    if name == "finish_rows" and not schedule.finish:
        schedule = schedule.changed(finish=(schedule.channels[-1],))
    now: Sizes = getattr(schedule, name)
    if now and rng.random() < 0.25:
        sizes: Sizes = ()
    elif now and rng.random() < 0.5:
        sizes = _resize(now, rng)
    elif name == "lead" and rng.random() < 0.7:
        # small steps until the loads are far enough ahead
        small, step = rng.randint(1, max(schedule.reduction)), max(schedule.reduction)
        head = (small,) * rng.randint(1, max(1, total // small // 2))
        sizes = (*head, *equal(total - sum(head), step)) if sum(head) < total else ()
    elif rng.random() < 0.6:
        first = rng.randint(1, max(1, total // (2 if rng.random() < 0.7 else 4)))
        sizes = grown(total, first, rng.choice((1, 1.1, 1.25, 1.5, 2, 3)))
        if name in _ENDING:
            sizes = sizes[::-1]
    else:
        # small parts at the end of the program, or at its begin
        parts: list[int] = []
        left = total
        while left > 1 and len(parts) < 4 and rng.random() < 0.7:
            parts.append(rng.randint(1, max(1, left // 2)))
            left -= parts[-1]
        parts = [*sorted(parts), left]
        if name in _ENDING:
            parts.reverse()
        sizes = tuple(parts)
    return _with(schedule, name, sizes)


def _cut_rows(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    """The first or the last tile in other parts."""
    name, tile = rng.choice((("first", schedule.rows[0]), ("last", schedule.rows[-1])))
    now: Sizes = getattr(schedule, name) or (tile,)
    return _with(schedule, name, () if rng.random() < 0.25 else _resize(now, rng))


def _tiles(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    now = schedule.acc
    return _with(schedule, "acc", max(1, rng.choice((1, 2, 3, now - 1, now + 1))))


def _slots(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    name = rng.choice(("inp", "wgt", "acc"))
    now = getattr(schedule, name)
    new = rng.randint(1, MOST_SLOTS) if rng.random() < 0.3 else now + rng.choice((-2, -1, 1, 2))
    return _with(schedule, name, max(1, new))


def _kernel(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    kind = rng.random()
    if kind < 0.5:
        return schedule.changed(form=rng.choice(FORMS))
    if kind < 0.65:
        return schedule.changed(join=not schedule.join)
    return schedule.changed(loop=rng.choice(LOOPS))


def _nest(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    kind = rng.randrange(3)
    if kind == 0:
        return schedule.changed(order=rng.choice(ORDERS))
    if kind == 1:
        return schedule.changed(snake=not schedule.snake)
    return schedule.changed(gather=rng.choice(GATHERS))


def _loads(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    rows = 0 if rng.random() < 0.4 else rng.randint(1, max(schedule.rows))
    return schedule.changed(load_rows=rows)


def _clear(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    return schedule.changed(clear_ahead=rng.randint(0, max(1, schedule.acc - 1)))


def _uops(schedule: Schedule, _: Geometry, rng: Random) -> Schedule:
    if rng.random() < 0.5:
        return schedule.changed(lead_uops=rng.choice((1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 64)))
    return schedule.changed(group_uops=rng.choice((0, 1, 2, 3, 4, 6, 8, 12, 16)))


_Move = Callable[[Schedule, Geometry, Random], Schedule]
_MOVES: tuple[_Move, ...] = (
    _output, _columns, _shape, _reduction, _ramp, _slots, _kernel, _nest, _loads, _clear, _uops,
)  # fmt: skip
_WEIGHTS = (4, 0.5, 1, 2, 6, 2.5, 1, 1, 0.7, 0.7, 2)
_ON_ALU: tuple[_Move, ...] = (_output, _columns, _cut_rows, _tiles, _kernel, _nest, _uops)
_ON_ALU_WEIGHTS = (5, 1.5, 3, 2, 1, 1, 1)
"""What there is to move in a layer without products."""
_PARTS = (
    (
        *("channels", "rows", "columns", "load_rows"),
        *("first", "last", "begin", "begin_rows", "begin_steps", "finish", "finish_rows"),
    ),
    ("reduction", "lead"),
    ("inp", "wgt", "acc", "clear_ahead"),
    ("form", "join", "loop"),
    ("order", "snake", "gather"),
    ("lead_uops", "group_uops"),
)
