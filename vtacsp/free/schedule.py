"""A schedule beyond the template: how a layer is cut into tiles, steps and pieces.

The output is cut into *tiles*, each a rectangle of output channel blocks, rows and columns that
lives in a slot of the accumulator.  A tile is a sum over *steps*, each over some input channel
blocks; a step needs a chunk of the input and a chunk of the weights, which live in rings of slots:
a chunk is loaded into the oldest slot, unless some slot still holds it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from vtacsp.errors import ScheduleError, shortened
from vtacsp.operators.geometry import Geometry

__all__ = ["FORMS", "GATHERS", "LOOPS", "ORDERS", "Schedule", "fixed"]

ORDERS = ("rows", "channels")
"""What the outer loop over the tiles runs over, within an image."""

GATHERS = ("none", "rows", "pixels")
"""Which inputs between those that are needed are left out of a load."""

FORMS = ("column", "row", "tap", "all")
"""What one GEMM instruction covers: a kernel column, a kernel row, one tap, the whole kernel."""

LOOPS = ("input", "output")
"""The channel loop that a GEMM instruction runs in hardware first."""

Sizes = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """A schedule; sizes of channels are in blocks.

    ``channels``, ``rows`` and ``columns`` are partitions of the output, ``reduction`` is one of
    the input channels (of a group) into the steps of a tile; ``load_rows``: output rows of a tile
    whose input is loaded, and multiplied, at a time (0: all of them).  ``snake``: every other tile
    takes its steps backwards.  ``join``: rows and columns of the kernel that meet equally many
    outputs share a GEMM instruction, where ``form`` gives each its own.  ``inp``, ``wgt``, ``acc``
    are numbers of slots.

    Ramps, which are empty where there is none: ``lead`` is the reduction of the very first tile,
    ``first`` and ``last`` are the rows into which the first and the last tile are cut to become
    several.  ``begin`` and ``begin_rows`` cut the first ``begin_steps`` steps of the first tile
    into pieces of so many channels and rows: what a piece needs is loaded before it, not all at
    once.  ``finish`` cuts the last step of the last tile into pieces of so many channels, each
    with its epilogue and store, ``finish_rows`` the last of these once more.  ``clear_ahead``: so
    many tiles after the first one are cleared while that waits for its operands, as far as there
    are slots.

    ``lead_uops`` kernels have their micro-ops loaded before the first tile, the others come
    ``group_uops`` at a time (0: all at once), when the first of them is needed.

    Raises :class:`~vtacsp.errors.ScheduleError` for a value of the wrong kind.

    >>> Schedule(channels=(2,), rows=(1,), columns=(1,), reduction=(1, 1)).to_dict()["reduction"]
    [1, 1]
    """

    channels: Sizes
    rows: Sizes
    columns: Sizes
    reduction: Sizes
    lead: Sizes = ()
    first: Sizes = ()
    last: Sizes = ()
    begin: Sizes = ()
    begin_rows: Sizes = ()
    begin_steps: int = 1
    clear_ahead: int = 0
    finish: Sizes = ()
    finish_rows: Sizes = ()
    load_rows: int = 0
    order: str = "rows"
    snake: bool = False
    gather: str = "rows"
    form: str = "column"
    join: bool = False
    loop: str = "input"
    inp: int = 2
    wgt: int = 2
    acc: int = 2
    lead_uops: int = 1
    group_uops: int = 0

    def __post_init__(self) -> None:
        for name in _SIZES:
            value = getattr(self, name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, name, value)
            if not (isinstance(value, tuple) and (value or name in _OPTIONAL)) or not all(
                type(size) is int and size > 0 for size in value
            ):
                raise ScheduleError(
                    f"{name} is {shortened(value)}, allowed is a list of integers of at least 1"
                )
        for name, low in _NUMBERS.items():
            value = getattr(self, name)
            if type(value) is not int or value < low:
                raise ScheduleError(
                    f"{name} is {shortened(value)}, allowed is an integer of at least {low}"
                )
        for name, words in _WORDS.items():
            if getattr(self, name) not in words:
                allowed = ", ".join(map(str, words)).lower()
                raise ScheduleError(
                    f"{name} is {shortened(getattr(self, name))}, allowed are {allowed}"
                )

    def changed(self, **values: Any) -> Schedule:
        """The schedule with other values, which are not checked: for those known to be right."""
        other = object.__new__(Schedule)
        other.__dict__.update(self.__dict__)
        other.__dict__.update(values)
        return other

    def check(self, g: Geometry) -> None:
        """Raise :class:`~vtacsp.errors.ScheduleError` unless the sizes are those of a layer."""
        wanted = {
            "channels": g.outputs,
            "rows": g.y.out,
            "columns": g.x.out,
            "reduction": g.inputs,
            "lead": g.inputs,
            "first": self.rows[0],
            "last": self.rows[-1],
            "begin": self.channels[0],
            "begin_rows": self.first_rows(g),
            "finish": self.channels[-1],
            "finish_rows": self.last_rows(g),
        }
        for name, total in wanted.items():
            sizes = getattr(self, name)
            if sum(sizes) != total and (sizes or name not in _OPTIONAL):
                raise ScheduleError(
                    f"{name} is {_text(sizes)}, which adds up to {sum(sizes)} and has to be {total}"
                )
        if self.overlaps(g):
            raise ScheduleError(
                f"begin_steps is {self.begin_steps}: begin and finish may not cut the same step"
            )
        if self.begin_rows and not self.begin:
            raise ScheduleError(f"begin is empty, begin_rows is {_text(self.begin_rows)}")
        if self.finish_rows and not self.finish:
            raise ScheduleError(f"finish is empty, finish_rows is {_text(self.finish_rows)}")
        for field, values in fixed(g).items():
            if getattr(self, field) not in values:
                choice = " or ".join(map(_shown, values))
                raise ScheduleError(
                    f"{field} is {_shown(getattr(self, field))}, and has to be {choice}: the ALU "
                    "runs this layer by itself"
                )
        if g.groups == 1:
            return
        begin = 0
        for size in self.channels:
            inside = begin // g.per_group == (begin + size - 1) // g.per_group
            whole = g.per_group == 1 and len(self.reduction) == 1 and len(self.lead) < 2
            if not inside and not whole:
                raise ScheduleError(
                    f"channels is {_text(self.channels)}: a tile of {size} blocks from block "
                    f"{begin} on crosses a group ({g.per_group} blocks)"
                )
            begin += size

    def overlaps(self, g: Geometry) -> bool:
        """Whether the first and the last step that are cut into pieces are the same."""
        one = self._alone(g) and len(self.last or self.first) < 2
        steps = len(self.lead or self.reduction)
        return bool(self.begin and self.finish and one and self.begin_steps >= steps)

    def _alone(self, g: Geometry) -> bool:
        """Whether there is one tile, before it is cut."""
        return g.batch * len(self.channels) * len(self.rows) * len(self.columns) == 1

    def first_rows(self, g: Geometry) -> int:
        """Rows of the first tile whose input is loaded first."""
        rows = ((self.last if self._alone(g) else ()) or self.first or self.rows)[0]
        return min(self.load_rows or rows, rows)

    def last_rows(self, g: Geometry) -> int:
        """Rows of the last tile whose input is loaded last."""
        rows = (self.last or (self.first if self._alone(g) else ()) or self.rows)[-1]
        part = self.load_rows or rows
        return (rows - 1) % part + 1

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    def to_json(self) -> str:
        """The schedule as JSON, one line."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Schedule:
        """From the JSON form; raises :class:`~vtacsp.errors.ScheduleError` naming the field."""
        if not isinstance(data, Mapping):
            raise ScheduleError(f"a schedule is a JSON object, got {shortened(data)}")
        names = [spec.name for spec in fields(cls)]
        for name in data:
            if name not in names:
                raise ScheduleError(f"a schedule has no field {shortened(name)}")
        for name in ("channels", "rows", "columns", "reduction"):
            if name not in data:
                raise ScheduleError(f"{name} is missing from the schedule")
        return cls(**data)

    @classmethod
    def from_json(cls, text: str) -> Schedule:
        """From JSON text; raises :class:`~vtacsp.errors.ScheduleError`."""
        try:
            data = json.loads(text)
        except ValueError as error:
            raise ScheduleError(f"a schedule is JSON: {error}") from error
        return cls.from_dict(data)

    def __str__(self) -> str:
        cuts = (
            ("co", self.channels),
            ("y", self.rows),
            ("x", self.columns),
            ("ci", self.reduction),
        )
        words = [f"{name} {_text(sizes)}" for name, sizes in cuts]
        ramps = _OPTIONAL
        words += [f"{name} {_text(getattr(self, name))}" for name in ramps if getattr(self, name)]
        if self.begin_steps > 1:
            words.append(f"begin_steps {self.begin_steps}")
        if self.clear_ahead:
            words.append(f"clear {self.clear_ahead} ahead")
        words.append(f"slots {self.inp}/{self.wgt}/{self.acc}")
        words.append(f"{self.order} outside{', snake' if self.snake else ''}")
        form = f"{self.form}{' joined' if self.join else ''}"
        words.append(f"by {form}, {self.loop} channels inside, gather {self.gather}")
        if self.load_rows:
            words.append(f"{self.load_rows} rows a load")
        words.append(f"micro-ops {self.lead_uops} then {self.group_uops or 'all'}")
        return "; ".join(words)


_OPTIONAL = ("lead", "first", "last", "begin", "begin_rows", "finish", "finish_rows")
_SIZES = ("channels", "rows", "columns", "reduction", *_OPTIONAL)
_NUMBERS = {
    "load_rows": 0, "begin_steps": 1, "clear_ahead": 0, "inp": 1, "wgt": 1, "acc": 1,
    "lead_uops": 1, "group_uops": 0,
}  # fmt: skip
"""Smallest value of each."""
_WORDS = {
    "order": ORDERS, "gather": GATHERS, "form": FORMS, "loop": LOOPS, "snake": (False, True),
    "join": (False, True),
}  # fmt: skip


_ALONE: Mapping[str, Any] = {
    "reduction": (1,), "lead": (), "begin": (), "begin_rows": (), "begin_steps": 1,
    "clear_ahead": 0, "finish": (), "finish_rows": (), "load_rows": 0, "snake": False,
    "join": False, "loop": "input", "inp": 2, "wgt": 2,
}  # fmt: skip
"""What says nothing of a layer without products, and its only value there."""


def fixed(g: Geometry) -> dict[str, tuple[Any, ...]]:
    """The fields that a layer leaves little choice in, and what they may be; all others are free.

    Of a layer that multiplies none.  What the ALU runs by itself has no steps, inputs and weights;
    ``gather`` is there ``rows`` (that no window needs are not loaded), or ``pixels``: one value of
    each window, which no other has, is loaded where its output is computed.  A window of one value
    always is.

    >>> from vtacsp.free.schedule import fixed
    >>> fixed(geometry(Add(channels=64, height=8, width=8), VTAConfig()))["gather"]
    ('rows',)
    """
    if not g.on_alu:
        return {}
    found: dict[str, tuple[Any, ...]] = {name: (value,) for name, value in _ALONE.items()}
    if g.kernel == 1:
        return {**found, "gather": ("rows",), "form": ("column",)}
    return {**found, "gather": ("rows", "pixels") if g.own_tap is not None else ("rows",)}


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return _text(value) or "empty"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _text(sizes: Sizes) -> str:
    """Sizes in short: ``9x6+2``."""
    words: list[str] = []
    begin = 0
    for i in range(1, len(sizes) + 1):
        if i == len(sizes) or sizes[i] != sizes[begin]:
            words.append(f"{sizes[begin]}x{i - begin}" if i - begin > 1 else f"{sizes[begin]}")
            begin = i
    return "+".join(words)
