"""What a measurement says: seconds, or AutoTVM's kind of error with the cause behind it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vtacsp.causes import MeasureErrorNo, error_of

if TYPE_CHECKING:
    from vtacsp.timing.model import TimingModel

__all__ = ["MeasureErrorNo", "Result", "error_of"]


FAILED_COST = 1e9
"""Seconds that AutoTVM logs for a measurement that failed."""


@dataclass(frozen=True)
class Result:
    """One measurement.

    ``costs`` are seconds, one per repetition; empty when it failed.  ``all_cost`` is the time
    that measuring took, in seconds, ``timestamp`` when it ended.  ``cause`` says why it failed:
    a label of the ground truth (``sram:acc``), or the message of an unexpected error.  ``counted``
    are the cycles behind the costs where they were counted; AutoTVM's logs hold seconds only.

    Costs without an error that are no positive finite numbers are no measurement: whoever gives
    them, the result is a failure that names them.  Times that are no numbers are 0.

    >>> Result((2e-3, 4e-3)).seconds
    0.003
    """

    costs: tuple[float, ...] = ()
    error: MeasureErrorNo = MeasureErrorNo.NO_ERROR
    all_cost: float = 0.0
    timestamp: float = field(default_factory=time.time)
    cause: str = ""
    counted: int | None = field(default=None, compare=False)

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

    def cycles(self, timing: TimingModel) -> int:
        """Cycles of a measurement that succeeded: as counted, else those behind the seconds.

        >>> from vtacsp.timing.model import RTL
        >>> Result((RTL.seconds_of(4936),)).cycles(RTL)
        4936
        """
        return timing.cycles_of(self.seconds) if self.counted is None else self.counted

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
