"""DMA copies: the 2-D pattern that the compiler reads off the strides of a tile.

A copy moves ``y_size`` rows of ``x_size`` contiguous elements, ``x_stride`` elements apart in
DRAM, with zeros around them.  Source: ``InjectDMAIntrin`` and ``InjectCopyIntrin``.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.causes import DMA_2D_INP, DMA_CLIP, DMA_PAD
from vtacsp.errors import ProgramError
from vtacsp.moved import keep_old_names

__all__ = ["MOVE", "Copy", "PaddedAxis", "PerTile", "StridedAxis", "Transfer", "padded", "plain"]

keep_old_names(__name__)


class StridedAxis(NamedTuple):
    """One axis of a tile: extent and DRAM stride, both in elements of the memory type."""

    extent: int
    stride: int


class Transfer(NamedTuple):
    """Fields of a load or store that say what is moved where in the scratchpad, in elements."""

    sram_base: int = 0
    y_size: int = 0
    x_size: int = 0
    x_stride: int = 0
    y_pad_0: int = 0
    y_pad_1: int = 0
    x_pad_0: int = 0
    x_pad_1: int = 0


MOVE = ("opcode", "memory_type", *Transfer._fields)
"""Columns of a table of loads and stores."""


class PerTile(NamedTuple):
    """What the iterations of a loop add to an instruction.

    Iteration ``i`` adds the fields of :class:`Transfer` in ``shapes[which[i]]`` and ``dram[i]``
    DRAM elements; ``shapes`` (s, 8) has each of them once, both others have shape (iterations,).
    """

    shapes: IntArray
    which: IntArray
    dram: IntArray

    @classmethod
    def of(cls, shapes: Sequence[Transfer], dram: Sequence[int]) -> PerTile:
        """The table of one shape per iteration; those that are alike become one."""
        number = {shape: k for k, shape in enumerate(dict.fromkeys(shapes))}
        which = np.array([number[shape] for shape in shapes])
        return cls(np.array([*number]), which, np.array(dram))


class Copy(NamedTuple):
    """The copies of one call site, over the loop variables around it.

    ``shape`` is that of the first copy, which begins at DRAM element ``start``; an iteration of a
    variable adds ``strides`` DRAM elements and what ``tables`` say.
    """

    shape: Transfer
    strides: Mapping[str, int]
    tables: Mapping[str, PerTile] = MappingProxyType({})
    start: int = 0


class PaddedAxis(NamedTuple):
    """One spatial axis of a padded tile.

    ``size`` is the extent of the tensor, ``pad`` the zeros on each side of it, ``tile`` the
    extent of a tile; ``tiles`` tiles begin ``step`` apart, counted from the first zero.
    """

    size: int
    pad: int
    tile: int
    step: int
    tiles: int

    def around(self, number: int) -> tuple[int, int]:
        """Zeros in front of and behind the data of a tile."""
        start = number * self.step
        return max(self.pad - start, 0), max(start + self.tile - self.pad - self.size, 0)

    def clip_is_lost(self) -> bool:
        """Whether the bounds of the copy cannot be read off its loops any more.

        A loop of extent 1 vanishes and takes its bounds along.  The far bound vanishes too
        when tiles do not overlap and one begins right at it: whether there is data is then
        decided tile by tile and no loop of the copy is left in the condition.
        """
        if not self.pad:
            return False
        if self.tile == 1:
            return True
        bound = self.pad + self.size
        begins_at_bound = bound % self.step == 0 and bound <= self.step * (self.tiles - 1)
        return self.tile <= self.step and begins_at_bound


def plain(axes: Sequence[StridedAxis], cause: str) -> Transfer:
    """Sizes of a copy without padding: unit axes vanish, contiguous neighbours merge."""
    groups: list[StridedAxis] = []
    for axis in reversed([a for a in axes if a.extent != 1]):
        if groups and groups[-1].extent * groups[-1].stride == axis.stride:
            groups[-1] = StridedAxis(groups[-1].extent * axis.extent, groups[-1].stride)
        else:
            groups.append(axis)
    if not groups or groups[0].stride != 1:
        groups.insert(0, StridedAxis(1, 1))  # a row of one element
    if len(groups) > 2:
        extents = " x ".join(f"{g.extent} (stride {g.stride})" for g in reversed(groups))
        raise ProgramError(cause, f"a copy of {extents} elements is not a 2-D pattern")
    columns, rows = groups[0], groups[1] if len(groups) == 2 else StridedAxis(1, groups[0].extent)
    return Transfer(y_size=rows.extent, x_size=columns.extent, x_stride=rows.stride)


@lru_cache(maxsize=1024)
def padded(
    channels: int, y: PaddedAxis, x: PaddedAxis, batch: int, cause: str = DMA_2D_INP
) -> tuple[Transfer, PerTile, PerTile]:
    """Sizes of a padded load, and what the tiles along y and along x add to them.

    ``channels`` blocks of ``y.tile`` by ``x.tile`` elements of ``batch`` rows; nothing merges,
    unit axes vanish all the same.  The pads of the instruction are taken from where an axis
    stands, not from where it belongs.
    """
    for name, axis in (("rows", y), ("columns", x)):
        if axis.clip_is_lost():
            raise ProgramError(DMA_CLIP, f"the clip bounds of the {name} cannot be read off")
    extents = {"c": channels, "y": y.tile, "x": x.tile, "b": batch}
    names = [name for name, extent in extents.items() if extent != 1] + ["i"]
    if len(names) < 3:
        raise ProgramError(DMA_PAD, f"a padded load of {len(names)} axes")
    first = 1 if len(names) == 5 else 0
    for name, axis in (("y", y), ("x", x)):
        if axis.pad and name in names[first + 2 :]:
            raise ProgramError(DMA_PAD, f"axis {name} of {names} would be padded")
    lead = [name for name in names if name not in ("b", "i")]
    strides = {"c": y.size * x.size, "y": x.size, "x": 1}
    if not lead or len(lead) > 2 or strides[lead[-1]] != 1:
        raise ProgramError(cause, f"a padded copy over axes {lead} is not a 2-D pattern")
    axis_of = {"x_size": lead[-1]}  # by the field that holds its extent
    fields = {}
    if len(lead) == 2:
        axis_of["y_size"] = lead[0]
        fields["x_stride"] = strides[lead[0]]
    else:
        axis_of["x_stride"] = lead[-1]
        fields["y_size"] = 1
    fields |= {field: channels for field, name in axis_of.items() if name == "c"}
    pads = dict(zip(names[first : first + 2], "yx", strict=True))

    def table(name: str, axis: PaddedAxis) -> PerTile:
        sizes = tuple(field for field, of in axis_of.items() if of == name)
        return _edges(axis, strides[name], sizes, pads.get(name))

    return Transfer(**fields), table("y", y), table("x", x)


def _edges(axis: PaddedAxis, stride: int, sizes: tuple[str, ...], pad: str | None) -> PerTile:
    """Extents, pads and first element of the data of every tile along an axis."""
    around = [axis.around(number) for number in range(axis.tiles)]
    shapes = {}
    for before, after in set(around):
        fields = dict.fromkeys(sizes, axis.tile - before - after)
        if pad:
            fields |= {f"{pad}_pad_0": before, f"{pad}_pad_1": after}
        shapes[before, after] = Transfer(**fields)
    return PerTile.of([shapes[a] for a in around], [before * stride for before, _ in around])
