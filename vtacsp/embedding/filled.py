"""Operators of the ALU whose channels, batch or padding are not VTA's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod

import numpy as np

from vtacsp.alu.workload import OnALU
from vtacsp.arrays import Integers
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.filling import Filling, fill_blocks
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload

__all__ = ["Filled"]


@dataclass(frozen=True)
class Filled:
    """``add``, ``max_pool`` or ``avg_pool`` of any channels and batch, on a machine.

    ``padding`` is a pool's (top, left, bottom, right) when the two sides differ: it takes the place
    of the workload's.  Data are int32 (batch, channels, height, width).

    Raises :class:`~vtacsp.errors.WorkloadError` for a padding that is not four numbers, or not a
    pool's, or as large as the window.

    >>> pool = MaxPool(name="pool", channels=24, height=8, width=8, kernel=(2, 2), stride=(2, 2))
    >>> filled = Filled(pool, VTAConfig())
    >>> filled.workload.channels, filled.waste
    (32, 0.25)
    >>> packed = filled.embed(np.ones((1, 24, 8, 8), np.int32))
    >>> filled.extract(reference(filled.workload, VTAConfig(), packed)).shape
    (1, 24, 4, 4)
    """

    layer: OnALU
    hardware: VTAConfig
    padding: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        _ = self._filling  # raises

    @cached_property
    def _filling(self) -> Filling:
        layer, pads = self.layer, self.padding
        return fill_blocks(layer if pads is None else layer.padded_by_host(pads), self.hardware)

    @property
    def workload(self) -> Workload:
        """What VTA computes."""
        return self._filling.workload

    @property
    def waste(self) -> float:
        """Share of the workload's operations that are not the layer's."""
        return 1 - self._filling.layer.operations / self.workload.operations

    @property
    def host_bytes(self) -> int:
        """Bytes that the host writes each time: the data, widened, and tensors of the epilogue."""
        shapes = self.workload.pack(self.hardware)
        value = (1 << self.hardware.log_acc_width) // 8
        return value * (prod(shapes.data) + sum(prod(shape) for shape in shapes.operands))

    def embed(self, data: Integers, operands: Sequence[Integers] = ()) -> Operands:
        """Packed operands, of the data and what the chain loads.

        ``operands`` have shape (channels,) or that of the output; of ``add`` the second tensor is
        the first of them.
        """
        if self.padding is not None:
            top, left, bottom, right = self.padding
            pads = ((0, 0), (0, 0), (top, bottom), (left, right))
            data = np.pad(data.astype(np.int32), pads, constant_values=self.layer.pad_value)
        return self._filling.embed(data, None, operands)

    def extract(self, output: Integers) -> Integers:
        """The layer's output (batch, channels, *output_size), of the packed one."""
        return self._filling.extract(output)
