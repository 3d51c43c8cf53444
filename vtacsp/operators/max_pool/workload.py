"""Max pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.alu.workload import Pool
from vtacsp.epilogue.steps import INT_MIN, Cast, Epilogue
from vtacsp.machine.instructions import AluOp

__all__ = ["MaxPool"]

_STORED = Epilogue((Cast(),))


@dataclass(frozen=True, kw_only=True)
class MaxPool(Pool):
    """Largest value of each window; padding is smaller than any value.

    The default epilogue is the cast alone: the data are values of the output's type, widened.

    >>> MaxPool(channels=64, height=56, width=56, kernel=(2, 2), stride=(2, 2)).output_size
    (28, 28)
    """

    op: ClassVar[str] = "max_pool"
    join: ClassVar[AluOp | None] = AluOp.MAX
    pad_value: ClassVar[int] = INT_MIN

    @property
    def own_steps(self) -> Epilogue:
        """The default epilogue."""
        return _STORED
