"""Rules about the epilogue: what the ALU has, what its instructions hold, where operands lie.

Every operator has these rules; what differs is the tile, and whether both virtual threads at once
take the epilogue out of place.
"""

from __future__ import annotations

from vtacsp.causes import ALU_PATTERN, OTHER, WRONG_RESULT
from vtacsp.epilogue.footprint import CUT_IMMEDIATE, NEVER, OTHER_WIDTH, UNCAST
from vtacsp.expr import Bool, Int, if_else, minimum, named, truth
from vtacsp.rules.rule import Check, Rule, Stage
from vtacsp.rules.symbols import (
    CAST_AT,
    CUT,
    FAR_CHANNELS,
    FAR_TILES,
    NARROWS,
    NEAR_CHANNELS,
    NEAR_TILES,
    PAIR_AT,
    STORES,
    STORES_RIGHT,
    SUB_AT,
)

__all__ = ["IMMEDIATE", "NO_CAST", "REUSE_RANGE", "SUBTRACTION", "WIDTH", "in_place", "slots"]

REUSE_RANGE = 16
"""A free buffer is reused for one up to so many times larger or smaller (``FindAlloc``)."""

NARROW_VALUES = 4
"""8-bit values that take the place of one accumulator."""


def slots(tile: Int, channel: Int, ratio: Int) -> Int:
    """Accumulator elements that a tile's operands take; ``ratio`` is ``tile`` over ``channel``."""
    near = NEAR_TILES * tile + NEAR_CHANNELS * channel
    far = FAR_TILES * tile + FAR_CHANNELS * channel
    narrow = NARROWS * ((tile + NARROW_VALUES - 1) // NARROW_VALUES)
    return if_else(ratio <= REUSE_RANGE, near, far) + narrow


def in_place(out_of_place: Bool | None = None) -> Rule:
    """The compiler recognises every stage; ``out_of_place`` tells where buffers differ."""
    out_of_place = truth(False) if out_of_place is None else out_of_place
    at = named("unrecognised_at", minimum(CAST_AT, if_else(out_of_place, PAIR_AT, NEVER)))
    return Rule(
        name=ALU_PATTERN,
        checks=(
            Check(Stage.ALU, (at == NEVER) | (at >= SUB_AT)),
            Check(Stage.ALU_AFTER, at == NEVER),
        ),
        title="the epilogue is in place",
        message=(
            "stage {at} of the epilogue is not recognised: it takes two operands with both virtual "
            "threads, or is a cast (an 8-bit tensor is widened by one)"
        ),
        mechanism=(
            "With both threads the epilogue's stages get buffers of their own, and an operation "
            "of two operands must write one of them. `InjectALUIntrin` knows no cast."
        ),
        quantities={"at": at},
    )


SUBTRACTION = Rule(
    name="alu_subtraction",
    cause=OTHER,
    checks=(Check(Stage.ALU_SUBTRACTION, SUB_AT == NEVER),),
    title="the epilogue does not subtract",
    message="stage {at} of the epilogue subtracts (or adds a negative constant)",
    mechanism=(
        "`InjectALUIntrin` asks for an ALU operation that the device does not define, and the "
        "compiler stops. Adding a negative constant is simplified to a subtraction; subtracting "
        "one, to an addition, which works."
    ),
    quantities={"at": SUB_AT},
)

NO_CAST = Rule(
    name="no_cast",
    cause=OTHER,
    checks=(Check(Stage.STORE_CAST, STORES == 1),),
    title="the last step of the epilogue is a cast",
    message=UNCAST,
    mechanism="The store is a copy that narrows; the last stage must do nothing else.",
)

IMMEDIATE = Rule(
    name="alu_immediate",
    cause=WRONG_RESULT,
    checks=(Check(Stage.RESULT, CUT == 0),),
    title="constants fit the immediate of an ALU instruction",
    message=CUT_IMMEDIATE,
    mechanism=(
        "The runtime keeps the constant as a signed number of 16 bits and does not check. It does "
        "no harm where only sums, products and left shifts follow: the store keeps the low bits."
    ),
)

WIDTH = Rule(
    name="store_width",
    cause=WRONG_RESULT,
    checks=(Check(Stage.RESULT, STORES_RIGHT == 1),),
    title="the last cast is to the width of the output",
    message=OTHER_WIDTH,
    mechanism="The store writes values of the output's width, whatever the tensor's type is.",
)
