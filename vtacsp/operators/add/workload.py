"""The sum of two tensors: a residual."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

from vtacsp.alu.workload import OnALU
from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue

__all__ = ["Add"]

_SUM = Arithmetic(op="add", operand="tensor")
_CLIPPED = Epilogue((Clip(min=-127, max=127), Cast()))


@dataclass(frozen=True, kw_only=True)
class Add(OnALU):
    """Element-wise sum of two int32 tensors (batch, channels, height, width).

    The second one is the first operand of the chain.  The default epilogue is that of Relay's
    quantised residual: clip to -127..127, cast.

    >>> Add(channels=64, height=56, width=56).pack(VTAConfig()).output
    (1, 4, 56, 56, 1, 16)
    """

    op: ClassVar[str] = "add"

    @property
    def own_steps(self) -> Epilogue:
        """The default epilogue."""
        return _CLIPPED

    @property
    def chain(self) -> Epilogue:
        """The sum and the epilogue."""
        return _behind_sum(super().chain)


@lru_cache(maxsize=256)
def _behind_sum(steps: Epilogue) -> Epilogue:
    return Epilogue((_SUM, *steps.steps))
