"""DMA copies: what TVM's copy matcher and VTA's 2-D pattern detector make of a tile.

A copy moves rows of contiguous elements with one stride.  Source of the formulas:
``inject_copy_intrin.cc`` (matcher, clip bounds) and ``vta/transform.py`` (pads, folding) of
TVM 0.17.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from vtacsp.expr import (
    Bool,
    Int,
    all_of,
    any_of,
    choose,
    count,
    if_else,
    maximum,
    minimum,
    named,
)
from vtacsp.machine import fields as isa

__all__ = ["Copy2D", "PaddedCopy", "SpatialAxis"]

SIZE_LIMIT, STRIDE_LIMIT, PAD_LIMIT = 1 << isa.SIZE, 1 << isa.STRIDE, 1 << isa.PAD


@dataclass(frozen=True)
class Copy2D:
    """An unpadded copy of a (channels, rows, columns) tile of an image in DRAM.

    Axes of extent 1 vanish; neighbours merge when they are contiguous; an innermost axis that
    is not contiguous spends the x dimension on single elements.
    """

    name: str
    channels: Int
    rows: Int
    cols: Int
    height: Int
    width: Int

    def _named(self, what: str, node: Bool) -> Bool:
        return named(f"{self.name}_{what}", node)

    @cached_property
    def _present(self) -> tuple[Bool, Bool, Bool]:
        return self.channels > 1, self.rows > 1, self.cols > 1

    @cached_property
    def _merges_xy(self) -> Bool:
        _, y, x = self._present
        return self._named("merges_xy", x & y & (self.cols == self.width))

    @cached_property
    def _merges_cy(self) -> Bool:
        c, y, _ = self._present
        return self._named("merges_cy", c & y & (self.rows == self.height))

    @cached_property
    def _merges_cx(self) -> Bool:
        c, y, x = self._present
        image = self.height * self.width
        return self._named("merges_cx", c & x & ~y & (self.cols == image))

    @cached_property
    def _strided_y(self) -> Bool:
        _, y, x = self._present
        return self._named("strided_y", ~x & y & (self.width > 1))

    @cached_property
    def _strided_c(self) -> Bool:
        c, y, x = self._present
        image = self.height * self.width
        return self._named("strided_c", ~x & ~y & c & (image > 1))

    @cached_property
    def dimensions(self) -> Int:
        """Axes that are left after folding."""
        merged = count(self._merges_xy, self._merges_cy, self._merges_cx)
        axes = count(*self._present, self._strided_y, self._strided_c)
        return named(f"{self.name}_dimensions", axes - merged)

    @cached_property
    def is_2d(self) -> Bool:
        """At most y by x is left."""
        return self.dimensions <= 2

    @cached_property
    def fits_fields(self) -> Bool:
        """Sizes and stride of the pattern fit the 16-bit fields of the instruction.

        Means something where :attr:`is_2d` holds.
        """
        _, y, x = self._present
        image = self.height * self.width
        with_c = if_else(self._merges_cy, self.channels, 1)
        x_size = if_else(
            x,
            self.cols
            * if_else(self._merges_xy, self.rows * with_c, 1)
            * if_else(self._merges_cx, self.channels, 1),
            if_else(
                self._strided_y | self._strided_c,
                1,
                if_else(y, self.rows * with_c, self.channels),
            ),
        )
        x_size = named(f"{self.name}_x_size", x_size)
        y_size = named(
            f"{self.name}_y_size", self.channels * self.rows * self.cols // maximum(x_size, 1)
        )
        stride = if_else(y & ~self._merges_xy & (x | self._strided_y), self.width, image)
        return all_of(
            x_size < SIZE_LIMIT, y_size < SIZE_LIMIT, (y_size <= 1) | (stride < STRIDE_LIMIT)
        )


@dataclass(frozen=True)
class SpatialAxis:
    """One padded axis of an input tile: ``count`` tiles of ``extent`` inputs, ``step`` apart."""

    name: str
    extent: Int
    step: Int
    count: Int
    size: Int
    pad: Int

    @cached_property
    def last(self) -> Int:
        """First input of the last tile, pads counted."""
        return named(f"last_{self.name}", (self.count - 1) * self.step)

    @cached_property
    def decided(self) -> Bool:
        """Tiles do not overlap, one begins at the far bound of the image, and some lie beyond.

        The simplifier then settles the bound per tile, no loop of the copy is left in it and
        no clip bound can be read off.  Only a padding at least as large as the kernel gets here.
        """
        bound = self.pad + self.size
        aligned = (bound % maximum(self.step, 1) == 0) & (self.extent <= self.step)
        beyond = bound < self.last + self.extent
        return named(f"{self.name}_decided", all_of(self.pad > 0, self.count > 1, aligned, beyond))

    @cached_property
    def _loaded(self) -> tuple[Int, Int]:
        """Inputs that the first and the last tile load."""
        bound = self.pad + self.size
        first = minimum(self.extent, bound) - self.pad
        last = minimum(self.last + self.extent, bound) - maximum(self.last, self.pad)
        return named(f"first_{self.name}_loaded", first), named(f"last_{self.name}_loaded", last)

    @cached_property
    def least(self) -> Int:
        """Inputs that the tile with fewest of them loads (the first or the last tile)."""
        return minimum(*self._loaded)

    @cached_property
    def single_where_padded(self) -> Bool:
        """Every tile with pads loads one input: its pads may then be of either axis."""
        first, last = self._loaded
        after_last = self.last + self.extent - self.pad - self.size
        inner_unpadded = (self.pad <= self.step) & (after_last <= self.step)
        return all_of(
            first == 1,
            (after_last <= 0) | (last == 1),
            any_of(self.size == 1, self.count <= 2, inner_unpadded),
        )

    @cached_property
    def most_pad(self) -> Int:
        """Largest pad of a tile."""
        return maximum(self.pad, self.last + self.extent - self.pad - self.size)


@dataclass(frozen=True)
class PaddedCopy:
    """A padded load of an input tile: nothing is merged, unit axes vanish.

    Loops: [channels] [rows] [columns] [BATCH] BLOCK.  The matcher takes the pads of loops 0
    and 1 (1 and 2 when there are five) for y and x and wants no pads anywhere else.
    """

    channels: Int
    y: SpatialAxis
    x: SpatialAxis
    batch: Int

    @cached_property
    def _has_c(self) -> Bool:
        return self.channels > 1

    @cached_property
    def _has_y(self) -> Bool:
        return self.y.extent > 1

    @cached_property
    def _has_x(self) -> Bool:
        return self.x.extent > 1

    @cached_property
    def _has_b(self) -> Bool:
        return self.batch > 1

    @cached_property
    def clips(self) -> Bool:
        """The clip bounds of the copy can be read off."""
        lost_y = ~self._has_y & (self.y.pad > 0)
        lost_x = ~self._has_x & (self.x.pad > 0)
        return ~any_of(lost_y, lost_x, self.y.decided, self.x.decided)

    @cached_property
    def pads_match(self) -> Bool:
        """The pads belong to the two loops that the pattern takes for y and x."""
        loops = count(self._has_c, self._has_y, self._has_x, self._has_b)
        third = self._has_c & self._has_y & self._has_x & ~self._has_b & (self.x.pad > 0)
        return (loops > 1) & ~third

    @cached_property
    def is_2d(self) -> Bool:
        """What is left is at most y by x with contiguous x."""
        three = self._has_c & self._has_y & self._has_x
        loose_y = ~self._has_x & self._has_y & (self.x.size > 1)
        loose_c = ~self._has_x & ~self._has_y & self._has_c & (self.y.size * self.x.size > 1)
        return ~any_of(three, loose_y, loose_c)

    @cached_property
    def right(self) -> Bool:
        """What the instruction loads is the tile: pads on their own axis, x not empty."""
        swapped = ~self._has_c & self._has_y & ~self._has_x & self._has_b
        misplaced = swapped & ~self.y.single_where_padded
        x_loaded = if_else(self._has_x, self.x.least, self.y.least)
        return all_of(~misplaced, self.y.least >= 0, x_loaded >= 1)

    @cached_property
    def fits_fields(self) -> Bool:
        """Sizes, stride and pads fit their instruction fields."""
        y_size = if_else(self._has_x, self.y.extent, self.channels)
        x_size = if_else(self._has_x, self.x.extent, self.y.extent)
        stride = if_else(self._has_x & ~self._has_c, self.x.size, self.y.size * self.x.size)
        return all_of(
            self.y.most_pad < PAD_LIMIT,
            self.x.most_pad < PAD_LIMIT,
            y_size < SIZE_LIMIT,
            x_size < SIZE_LIMIT,
            choose(y_size > 1, stride < STRIDE_LIMIT, True),
        )
