"""The operands of a layer, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

from vtacsp.arrays import Integers
from vtacsp.errors import WorkloadError

__all__ = ["Operands"]


@dataclass(frozen=True)
class Operands:
    """Packed operands of a workload; ``bias`` is None for a workload without one.

    ``weight`` is None for an operator that the ALU runs by itself, whose ``data`` are 32-bit.
    ``epilogue`` are what the steps of an epilogue load, in their order.
    """

    data: Integers
    weight: Integers | None
    bias: Integers | None = None
    epilogue: tuple[Integers, ...] = ()

    @property
    def weights(self) -> Integers:
        """The weights of an operator that multiplies."""
        if self.weight is None:
            raise WorkloadError("the operands have no weights, which the operator multiplies")
        return self.weight

    @property
    def loaded(self) -> tuple[Integers, ...]:
        """What the epilogue loads, the bias included."""
        return self.epilogue if self.bias is None else (self.bias, *self.epilogue)
