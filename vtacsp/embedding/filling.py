"""Operators of the ALU whose channels, batch or padding are not VTA's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import prod

import numpy as np

from vtacsp.alu.workload import OnALU, Pool
from vtacsp.arrays import Integers
from vtacsp.embedding.packing import filled, pack_image, unpack_image
from vtacsp.epilogue.steps import CHANNEL, INT_MIN
from vtacsp.errors import WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.operands import Operands

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
        pads = self.padding
        if pads is None:
            return
        name = self.layer.name
        if not isinstance(self.layer, Pool):
            raise WorkloadError(f"{name}: padding is of pools, op is {self.layer.op}")
        limits = self.layer.kernel * 2
        whole = len(pads) == len(limits) and all(type(p) is int for p in pads)
        if not whole or not all(0 <= p < k for p, k in zip(pads, limits, strict=True)):
            raise WorkloadError(
                f"{name}: padding is {shortened(pads)}, allowed are four integers from 0 to below "
                f"the window of {self.layer.kernel[0]}x{self.layer.kernel[1]}"
            )

    @cached_property
    def workload(self) -> OnALU:
        """What VTA computes."""
        batch = _up(self.layer.batch, self.hardware.batch)
        found = replace(self.layer, batch=batch, channels=_up(self.layer.channels, self._block))
        if self.padding is not None and isinstance(found, Pool):
            top, left, bottom, right = self.padding
            height, width = found.height + top + bottom, found.width + left + right
            found = replace(found, height=height, width=width, padding=(0, 0))
        return found

    @property
    def waste(self) -> float:
        """Share of the workload's operations that are not the layer's."""
        mine = self.layer.batch * self.layer.channels
        return 1 - mine / (self.workload.batch * self.workload.channels)

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
        kinds, layer = self.workload.chain.operands, self.layer
        if len(operands) != len(kinds):
            raise WorkloadError(
                f"{layer.name}: {len(operands)} operands given, the chain loads {len(kinds)}"
            )
        size = (layer.batch, layer.channels)
        self._check("data", data, (*size, layer.height, layer.width))
        if self.padding is not None:
            top, left, bottom, right = self.padding
            nothing = INT_MIN if layer.op == "max_pool" else 0
            pads = ((0, 0), (0, 0), (top, bottom), (left, right))
            data = np.pad(data.astype(np.int32), pads, constant_values=nothing)
        loaded = []
        for number, (kind, operand) in enumerate(zip(kinds, operands, strict=True)):
            if kind == CHANNEL:
                self._check(f"operand {number}", operand, size[1:])
                image = np.broadcast_to(operand, size)[:, :, None, None]
            else:
                self._check(f"operand {number}", operand, (*size, *self.workload.output_size))
                image = operand
            loaded.append(self._packed(image))
        return Operands(self._packed(data), None, epilogue=tuple(loaded))

    def _check(self, name: str, value: Integers, shape: tuple[int, ...]) -> None:
        if value.shape != shape:
            raise WorkloadError(f"{self.layer.name}: {name} has shape {value.shape}, not {shape}")

    def extract(self, output: Integers) -> Integers:
        """The layer's output (batch, channels, *output_size), of the packed one."""
        return unpack_image(output)[: self.layer.batch, : self.layer.channels]

    def _packed(self, value: Integers) -> Integers:
        value = filled(filled(value, 0, self.workload.batch), 1, self.workload.channels)
        return pack_image(value, self.hardware).astype(np.int32)

    @property
    def _block(self) -> int:
        return self.hardware.block


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit
