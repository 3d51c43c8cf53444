"""Rules about DMA copies, for any tile: what the matcher and the pattern detector refuse."""

from __future__ import annotations

from vtacsp.causes import DMA_2D_ACC, DMA_2D_INP, DMA_CLIP, DMA_PAD, WRONG_RESULT
from vtacsp.expr import Bool, all_of, choose
from vtacsp.rules.patterns import Copy2D, PaddedCopy
from vtacsp.rules.rule import Check, Rule, Stage

__all__ = ["clip_bounds", "input_pattern", "instruction_fields", "padded_axes", "store_pattern"]

_FOLDING = (
    "A DMA moves rows of contiguous elements with one stride. Unit axes vanish, neighbours merge "
    "when contiguous (full width, full height), an innermost axis that is not contiguous spends "
    "x on a single element."
)


def clip_bounds(padded: Bool, copy: PaddedCopy) -> Rule:
    """The clip bounds of a padded load can be read off."""
    return Rule(
        name=DMA_CLIP,
        checks=(Check(Stage.INP_CLIP, padded.implies(copy.clips)),),
        title="the clip bounds of a padded load can be read off",
        message=(
            "the input tile is {rows} x {cols} with padding {ph} x {pw}: a padded axis of extent "
            "1 (or one whose bound no tile straddles) leaves no loop to read the bound from"
        ),
        mechanism=(
            "`DetectClipBound` needs a loop variable of the copy in every condition; loops of "
            "extent 1 vanish, and a bound that falls between two tiles is decided per tile."
        ),
        quantities={
            "rows": copy.y.extent,
            "cols": copy.x.extent,
            "ph": copy.y.pad,
            "pw": copy.x.pad,
        },
    )


def padded_axes(padded: Bool, copy: PaddedCopy) -> Rule:
    """A padded load has the two spatial axes, and no pads anywhere else."""
    return Rule(
        name=DMA_PAD,
        checks=(Check(Stage.INP_PAD, padded.implies(copy.pads_match)),),
        title="a padded load has the two spatial axes (plus batch)",
        message=(
            "the padded input tile is {channels} channel blocks x {rows} x {cols}: it may have "
            "the two spatial axes only, so tile_ci 1 (within one group) and more than one row "
            "and column"
        ),
        mechanism=(
            "With padding nothing is folded. The matcher takes the pads of two loops for y and x "
            "and refuses pads anywhere else; a third axis in front, or a spatial axis that "
            "vanished, shifts them."
        ),
        quantities={"channels": copy.channels, "rows": copy.y.extent, "cols": copy.x.extent},
    )


def input_pattern(padded: Bool, copy: PaddedCopy, plain: Copy2D) -> Rule:
    """The input load is a 2-D pattern."""
    return _pattern(
        DMA_2D_INP,
        (Check(Stage.INP_2D, choose(padded, copy.is_2d, plain.is_2d)),),
        "the input load is a 2-D pattern",
        "input",
        plain,
    )


def store_pattern(tile: Copy2D, left: Bool, right: Bool) -> Rule:
    """The store is a 2-D pattern, and so is the load of an operand of the same shape.

    ``left`` and ``right`` tell whether the epilogue has such an operand, on the left of its
    operation (met before the data) or anywhere.
    """
    checks = (
        Check(Stage.LEFT_2D, left.implies(tile.is_2d)),
        Check(Stage.OPERAND_2D, right.implies(tile.is_2d)),
        Check(Stage.STORE_2D, tile.is_2d),
    )
    return _pattern(DMA_2D_ACC, checks, "the store is a 2-D pattern", "output", tile)


def _pattern(name: str, checks: tuple[Check, ...], title: str, what: str, tile: Copy2D) -> Rule:
    return Rule(
        name=name,
        checks=checks,
        title=title,
        message=(
            f"the {what} tile is {{channels}} channel blocks x {{rows}} x {{cols}} of an image of "
            "{height} x {width}: what is left after merging contiguous axes has more than two "
            "dimensions"
        ),
        mechanism=_FOLDING,
        quantities={
            "channels": tile.channels,
            "rows": tile.rows,
            "cols": tile.cols,
            "height": tile.height,
            "width": tile.width,
        },
    )


def instruction_fields(*fits: Bool) -> Rule:
    """Sizes, strides, pads and loop extents fit their instruction fields."""
    return Rule(
        name="isa:fields",
        cause=WRONG_RESULT,
        checks=(Check(Stage.RESULT, all_of(*fits)),),
        title="DMA sizes, strides, pads and loop extents fit their fields",
        message=(
            "a DMA size or stride of 65,536 or more, a pad of 16 or more, or a hardware loop of "
            "16,384 or more wraps around in its instruction field"
        ),
        mechanism=(
            "x/y size and x stride have 16 bits, pads 4, loop extents 14; the runtime does not "
            "check, the value is cut and the program computes wrong numbers."
        ),
    )
