"""Average pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.alu.workload import Pool
from vtacsp.epilogue.steps import Cast, Epilogue, Shift
from vtacsp.errors import WorkloadError
from vtacsp.machine.instructions import AluOp

__all__ = ["AvgPool"]


@dataclass(frozen=True, kw_only=True)
class AvgPool(Pool):
    """Mean of each window, padding counted as zeros.

    The default epilogue shifts right by log2 of the values of a window (rounding down) and casts.
    A window of another size needs an ``epilogue`` that says what becomes of the sums.  Raises
    :class:`~vtacsp.errors.WorkloadError` when it is left out.

    >>> AvgPool(channels=512, height=8, width=8, kernel=(8, 8)).output_size
    (1, 1)
    """

    op: ClassVar[str] = "avg_pool"
    join: ClassVar[AluOp | None] = AluOp.ADD

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epilogue is None and self.taps & (self.taps - 1):
            raise WorkloadError(
                f"{self._at('epilogue')} is missing: a window of {self.kernel[0]}x"
                f"{self.kernel[1]} has {self.taps} values, VTA divides by powers of two only; say "
                "what becomes of the sums"
            )

    @property
    def own_steps(self) -> Epilogue:
        """The default epilogue."""
        return Epilogue((Shift(op="shift_right", by=self.taps.bit_length() - 1), Cast()))
