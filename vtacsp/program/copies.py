"""DMA copies: the 2-D pattern that the compiler reads off the strides of a tile.

A copy moves ``y_size`` rows of ``x_size`` contiguous elements, ``x_stride`` elements apart in
DRAM, with zeros around them.  Source: ``InjectDMAIntrin`` and ``InjectCopyIntrin``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import ProgramError

__all__ = ["Axis", "Pads", "Pattern", "padded", "plain"]

IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """One axis of a tile: extent and DRAM stride, both in elements of the memory type."""

    extent: int
    stride: int


@dataclass(frozen=True)
class Pattern:
    """Sizes of a copy without padding, in elements."""

    y_size: int
    x_size: int
    x_stride: int

    @property
    def fields(self) -> dict[str, int]:
        """The instruction fields that hold the pattern."""
        return asdict(self)


@dataclass(frozen=True)
class Pads:
    """One spatial axis of a padded tile.

    ``size`` is the extent of the tensor, ``pad`` the zeros on each side of it, ``tile`` the
    extent of a tile, ``starts`` where tiles begin, counted from the first zero.
    """

    size: int
    pad: int
    tile: int
    starts: IntArray

    def before(self, starts: IntArray) -> IntArray:
        """Zeros in front of the data of tiles that begin at ``starts``."""
        return np.maximum(self.pad - starts, 0)

    def after(self, starts: IntArray) -> IntArray:
        """Zeros behind the data of tiles that begin at ``starts``."""
        return np.maximum(starts + self.tile - self.pad - self.size, 0)

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
        starts = np.unique(self.starts)
        if len(starts) < 2:
            return False
        step, bound = int(starts[1] - starts[0]), self.pad + self.size
        begins_at_bound = bound % step == 0 and bound <= int(starts[-1])
        return self.tile <= step and begins_at_bound


def plain(axes: Sequence[Axis], cause: str) -> Pattern:
    """Pattern of a copy without padding: unit axes vanish, contiguous neighbours merge."""
    groups: list[Axis] = []
    for axis in reversed([a for a in axes if a.extent != 1]):
        if groups and groups[-1].extent * groups[-1].stride == axis.stride:
            groups[-1] = Axis(groups[-1].extent * axis.extent, groups[-1].stride)
        else:
            groups.append(axis)
    if not groups or groups[0].stride != 1:
        groups.insert(0, Axis(1, 1))  # a row of one element
    if len(groups) > 2:
        shape = " x ".join(f"{g.extent} (stride {g.stride})" for g in reversed(groups))
        raise ProgramError(cause, f"a copy of {shape} elements is not a 2-D pattern")
    if len(groups) == 2:
        return Pattern(groups[1].extent, groups[0].extent, groups[1].stride)
    return Pattern(1, groups[0].extent, groups[0].extent)


@dataclass(frozen=True)
class PaddedPattern:
    """How the axes of a padded tile map to the fields of the instruction, outer first.

    Names are ``c``, ``y``, ``x`` or None; ``pads`` says which axis the y and x pads of the
    instruction are taken from: where the axis stands, not where it belongs.
    """

    rows: str | None
    columns: str
    pads: tuple[str, str]


def padded(channels: int, y: Pads, x: Pads, batch: int, cause: str = "dma_2d:inp") -> PaddedPattern:
    """Pattern of a padded load; nothing merges, unit axes vanish all the same.

    ``channels`` blocks of ``y.tile`` by ``x.tile`` elements of ``batch`` rows.
    """
    for name, axis in (("rows", y), ("columns", x)):
        if axis.clip_is_lost():
            raise ProgramError("dma_clip", f"the clip bounds of the {name} cannot be read off")
    extents = {"c": channels, "y": y.tile, "x": x.tile, "b": batch}
    names = [name for name, extent in extents.items() if extent != 1] + ["i"]
    if len(names) < 3:
        raise ProgramError("dma_pad", f"a padded load of {len(names)} axes")
    first = 1 if len(names) == 5 else 0
    pads = (names[first], names[first + 1])
    for name, axis in (("y", y), ("x", x)):
        if axis.pad and name in names[first + 2 :]:
            raise ProgramError("dma_pad", f"axis {name} of {names} would be padded")
    lead = [name for name in names if name not in ("b", "i")]
    strides = {"c": y.size * x.size, "y": x.size, "x": 1}
    if not lead or len(lead) > 2 or strides[lead[-1]] != 1:
        raise ProgramError(cause, f"a padded copy over axes {lead} is not a 2-D pattern")
    return PaddedPattern(lead[0] if len(lead) == 2 else None, lead[-1], pads)
