"""Why a configuration is refused: every cause once, with what the stack and AutoTVM make of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final

__all__ = [
    "ALU_PATTERN",
    "CAUSES",
    "CRASH",
    "DEADLOCK",
    "DMA_2D_ACC",
    "DMA_2D_INP",
    "DMA_2D_WGT",
    "DMA_CLIP",
    "DMA_PAD",
    "LOWERING",
    "OK",
    "OTHER",
    "RACE",
    "SHAPE",
    "SRAM_ACC",
    "SRAM_INP",
    "SRAM_UOP",
    "SRAM_WGT",
    "TENSORIZE",
    "TOO_LONG",
    "UOP_HAZARD",
    "UOP_SIGNATURE",
    "VTHREAD_SPLIT",
    "WRONG_RESULT",
    "Cause",
    "MeasureErrorNo",
    "Met",
    "error_of",
    "no_2d",
    "too_large",
]


class MeasureErrorNo(IntEnum):
    """AutoTVM's kinds of error, with its numbers (``autotvm/measure/measure.py``).

    >>> MeasureErrorNo.RUNTIME_DEVICE.value
    4
    """

    NO_ERROR = 0
    INSTANTIATION_ERROR = 1
    COMPILE_HOST = 2
    COMPILE_DEVICE = 3
    RUNTIME_DEVICE = 4
    WRONG_ANSWER = 5
    BUILD_TIMEOUT = 6
    RUN_TIMEOUT = 7
    UNKNOWN_ERROR = 8


class Met(Enum):
    """Where the stack meets a cause."""

    NOWHERE = "nowhere"
    COMPILER = "the compiler stops"
    RUNTIME = "the runtime stops while it records a kernel"
    RESULT = "it runs, and is wrong"


@dataclass(frozen=True)
class Cause:
    """A cause: its label in the ground truth, where the stack meets it, AutoTVM's error for it."""

    label: str
    met: Met
    error: MeasureErrorNo
    meaning: str


OK: Final = "ok"
SRAM_ACC: Final = "sram:acc"
SRAM_INP: Final = "sram:inp"
SRAM_WGT: Final = "sram:wgt"
SRAM_UOP: Final = "sram:uop"
DMA_PAD: Final = "dma_pad"
DMA_CLIP: Final = "dma_clip"
DMA_2D_INP: Final = "dma_2d:inp"
DMA_2D_WGT: Final = "dma_2d:wgt"
DMA_2D_ACC: Final = "dma_2d:acc"
UOP_SIGNATURE: Final = "uop_signature"
UOP_HAZARD: Final = "uop_hazard"
VTHREAD_SPLIT: Final = "vthread_split"
TENSORIZE: Final = "tensorize"
ALU_PATTERN: Final = "alu_pattern"
OTHER: Final = "other"
LOWERING: Final = "lowering"
RACE: Final = "race"
WRONG_RESULT: Final = "wrong_result"
SHAPE: Final = "shape"
DEADLOCK: Final = "deadlock"
TOO_LONG: Final = "too_long"
CRASH: Final = "crash"
"""Of no rule: what measured the configuration ended."""


# The templates never call ``raise_error``, so nothing is an INSTANTIATION_ERROR.  An exception of
# the schedule, of lowering (DMA, ALU and tensorize patterns, guards that a thread leaves,
# scratchpad allocation) leaves the builder as COMPILE_HOST.  The micro-op checks are made by the
# C++ runtime while it records a kernel: the exception comes back from the device.  AutoTVM does
# not compare outputs for VTA by default; a measurement that is trusted does.
# Source: ``measure_methods.py``.
_ALL = (
    Cause(
        OK,
        Met.NOWHERE,
        MeasureErrorNo.NO_ERROR,
        "It builds, runs and computes the right numbers.",
    ),
    Cause(
        SRAM_ACC,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The tiles of all virtual threads do not fit the accumulator scratchpad (ACC).",
    ),
    Cause(
        SRAM_INP,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The input tiles of all virtual threads do not fit the input scratchpad (INP).",
    ),
    Cause(
        SRAM_WGT,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The weight tiles of all virtual threads do not fit the weight scratchpad (WGT).",
    ),
    Cause(
        SRAM_UOP,
        Met.RUNTIME,
        MeasureErrorNo.RUNTIME_DEVICE,
        "One GEMM instruction needs more micro-ops than the micro-op scratchpad (UOP) holds.",
    ),
    Cause(
        DMA_PAD,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "A load with zero padding may have rows and columns only; this input tile"
        " has channel blocks in front of them, or lost an axis because it is one "
        "row or column wide.",
    ),
    Cause(
        DMA_CLIP,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The compiler cannot tell how much of this padded input tile is padding, "
        "because the tile is a single row or column.",
    ),
    Cause(
        DMA_2D_INP,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The input tile is no 2-D pattern, rows of equal length at one stride, "
        "which is all that one DMA instruction can load.",
    ),
    Cause(
        DMA_2D_WGT,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The weight tile is no 2-D pattern, which is all that one DMA instruction can load.",
    ),
    Cause(
        DMA_2D_ACC,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The output tile is no 2-D pattern, which is all that one DMA instruction can store.",
    ),
    Cause(
        UOP_SIGNATURE,
        Met.RUNTIME,
        MeasureErrorNo.RUNTIME_DEVICE,
        "The runtime would need a different micro-op kernel per iteration of two "
        "loops (or of one that is too long); it can tell kernels apart by one "
        "number below 100.",
    ),
    Cause(
        UOP_HAZARD,
        Met.RUNTIME,
        MeasureErrorNo.RUNTIME_DEVICE,
        "A micro-op adds to an accumulator that one of the two micro-ops before "
        "it wrote; the pipeline would read the old value.",
    ),
    Cause(
        VTHREAD_SPLIT,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The virtual threads do not divide the loop that they share, so one of "
        "them would have a tile less.",
    ),
    Cause(
        TENSORIZE,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The loops inside of a tile do not match what the GEMM core does in one step.",
    ),
    Cause(
        ALU_PATTERN,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The compiler does not recognise the epilogue as an ALU operation on ACC.",
    ),
    Cause(
        OTHER,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The compiler stops: the epilogue subtracts, which the ALU cannot, or "
        "does not end with a cast.",
    ),
    Cause(
        LOWERING,
        Met.COMPILER,
        MeasureErrorNo.COMPILE_HOST,
        "The compiler cannot lower this operator for this machine at all.",
    ),
    Cause(
        RACE,
        Met.RESULT,
        MeasureErrorNo.WRONG_ANSWER,
        "The result depends on an order of load, compute and store that no token "
        "fixes, or on what the scratchpads held before.",
    ),
    Cause(
        WRONG_RESULT,
        Met.RESULT,
        MeasureErrorNo.WRONG_ANSWER,
        "It compiles and runs, and the numbers are wrong.",
    ),
    Cause(
        SHAPE,
        Met.RESULT,
        MeasureErrorNo.WRONG_ANSWER,
        "The compiled function computes another shape than the operator.",
    ),
    Cause(
        DEADLOCK,
        Met.RESULT,
        MeasureErrorNo.RUN_TIMEOUT,
        "Every module waits for a token that no other gives.",
    ),
    Cause(
        TOO_LONG,
        Met.NOWHERE,  # ours, not the stack's
        MeasureErrorNo.UNKNOWN_ERROR,
        "The program has more steps than are built here.",
    ),
)
CAUSES: Mapping[str, Cause] = {cause.label: cause for cause in _ALL}
"""Label -> cause."""


def error_of(cause: str) -> MeasureErrorNo:
    """AutoTVM's error for a cause of the ground truth.

    A rule of your own is an instantiation error, since that is how a template refuses a
    configuration on purpose.

    >>> error_of("sram:acc").name
    'COMPILE_HOST'
    """
    known = CAUSES.get(cause)
    return MeasureErrorNo.INSTANTIATION_ERROR if known is None else known.error


def too_large(buffer: str) -> str:
    """The cause of what a scratchpad (``inp``, ``wgt``, ``acc``, ``uop``) does not hold."""
    return f"sram:{buffer}"


def no_2d(buffer: str) -> str:
    """The cause of a copy of ``inp``, ``wgt`` or ``acc`` that is no 2-D pattern."""
    return f"dma_2d:{buffer}"
