"""What a measurement says: seconds, or AutoTVM's kind of error with the cause behind it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from enum import IntEnum

from vtacsp.space.problem import OK

__all__ = ["MeasureErrorNo", "Result", "error_of"]


class MeasureErrorNo(IntEnum):
    """AutoTVM's kinds of error, with its numbers (``autotvm/measure/measure.py``)."""

    NO_ERROR = 0
    INSTANTIATION_ERROR = 1
    COMPILE_HOST = 2
    COMPILE_DEVICE = 3
    RUNTIME_DEVICE = 4
    WRONG_ANSWER = 5
    BUILD_TIMEOUT = 6
    RUN_TIMEOUT = 7
    UNKNOWN_ERROR = 8


FAILED_COST = 1e9
"""Seconds that AutoTVM logs for a measurement that failed."""


@dataclass(frozen=True)
class Result:
    """One measurement.

    ``costs`` are seconds, one per repetition; empty when it failed.  ``all_cost`` is the time
    that measuring took, in seconds, ``timestamp`` when it ended.  ``cause`` says why it failed:
    a label of the ground truth (``sram:acc``), or the message of an unexpected error.

    Costs without an error that are no positive finite numbers are no measurement: whoever gives
    them, the result is a failure that names them.  Times that are no numbers are 0.
    """

    costs: tuple[float, ...] = ()
    error: MeasureErrorNo = MeasureErrorNo.NO_ERROR
    all_cost: float = 0.0
    timestamp: float = field(default_factory=time.time)
    cause: str = ""

    def __post_init__(self) -> None:
        if self.ok and (cause := _fault(self.costs)):
            object.__setattr__(self, "costs", ())
            object.__setattr__(self, "error", MeasureErrorNo.UNKNOWN_ERROR)
            object.__setattr__(self, "cause", cause)
        object.__setattr__(self, "costs", tuple(map(float, self.costs)) if self.ok else ())
        for name in ("all_cost", "timestamp"):
            if not _is_number(getattr(self, name)):
                object.__setattr__(self, name, 0.0)

    @property
    def ok(self) -> bool:
        """Whether it ran and was right."""
        return self.error == MeasureErrorNo.NO_ERROR

    @property
    def seconds(self) -> float:
        """Mean of the costs, infinite when it failed."""
        return sum(self.costs) / len(self.costs) if self.ok else float("inf")

    @property
    def speed(self) -> float:
        """Runs per second, 0 when it failed.

        What searchers maximise: AutoTVM's flops, up to the factor that a layer has constant.
        """
        return 1.0 / self.seconds if self.ok else 0.0


def _fault(costs: object) -> str:
    """Why costs are no measurement; empty when they are one."""
    if not isinstance(costs, (tuple, list)):
        return f"the costs are {costs!r:.60}, not a tuple of seconds"
    if not costs:
        return "no costs"
    for cost in costs:
        if not (_is_number(cost) and cost > 0):
            return f"the cost {cost!r:.60} is no positive finite number of seconds"
    mean = sum(map(float, costs)) / len(costs)
    if not (math.isfinite(mean) and math.isfinite(1.0 / mean)):
        return f"the cost {mean!r} is beyond what a speed can be made of"
    return ""


def _is_number(value: object) -> bool:
    try:
        return not isinstance(value, (bool, str)) and math.isfinite(float(value))  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return False


# Where the stack stops, and what AutoTVM makes of it (``measure_methods.py``).  The templates
# never call ``raise_error``, so nothing is an INSTANTIATION_ERROR.  An exception of the schedule,
# of lowering (DMA, ALU and tensorize patterns, guards that a thread leaves, scratchpad
# allocation) leaves the builder as COMPILE_HOST.  The micro-op checks are made by the C++ runtime
# while it records a kernel: the exception comes back from the device.  AutoTVM does not compare
# outputs for VTA by default; a measurement that is trusted does.
_ERRORS = {
    OK: MeasureErrorNo.NO_ERROR,
    "lowering": MeasureErrorNo.COMPILE_HOST,
    "tensorize": MeasureErrorNo.COMPILE_HOST,
    "vthread_split": MeasureErrorNo.COMPILE_HOST,
    "dma_clip": MeasureErrorNo.COMPILE_HOST,
    "dma_pad": MeasureErrorNo.COMPILE_HOST,
    "dma_2d:inp": MeasureErrorNo.COMPILE_HOST,
    "dma_2d:wgt": MeasureErrorNo.COMPILE_HOST,
    "dma_2d:acc": MeasureErrorNo.COMPILE_HOST,
    "sram:inp": MeasureErrorNo.COMPILE_HOST,
    "sram:wgt": MeasureErrorNo.COMPILE_HOST,
    "sram:acc": MeasureErrorNo.COMPILE_HOST,
    "alu_pattern": MeasureErrorNo.COMPILE_HOST,
    "other": MeasureErrorNo.COMPILE_HOST,
    "uop_signature": MeasureErrorNo.RUNTIME_DEVICE,
    "uop_hazard": MeasureErrorNo.RUNTIME_DEVICE,
    "sram:uop": MeasureErrorNo.RUNTIME_DEVICE,
    "shape": MeasureErrorNo.WRONG_ANSWER,
    "wrong_result": MeasureErrorNo.WRONG_ANSWER,
    "race": MeasureErrorNo.WRONG_ANSWER,
    "deadlock": MeasureErrorNo.RUN_TIMEOUT,
    "too_long": MeasureErrorNo.UNKNOWN_ERROR,  # ours, not the stack's
}


def error_of(cause: str) -> MeasureErrorNo:
    """AutoTVM's error for a cause of the ground truth; a rule of your own is an instantiation
    error, since that is how a template refuses a configuration on purpose.
    """
    return _ERRORS.get(cause, MeasureErrorNo.INSTANTIATION_ERROR)
