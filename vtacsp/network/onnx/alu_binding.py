"""The numbers of a pool or a sum on the ALU: what the host hands over, and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vtacsp.errors import NetworkError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.onnx.binding import to_int8
from vtacsp.network.onnx.graph import Array
from vtacsp.network.onnx.importer import Imported
from vtacsp.network.onnx.placing import Placed, Widened
from vtacsp.network.onnx.scales import OFFSET
from vtacsp.operators.filling import Filling, fill_blocks
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload

__all__ = ["BoundALU", "bind_alu"]


@dataclass(frozen=True, eq=False)
class BoundALU:
    """A pool or a sum of a model with 8-bit tensors; ``dtype`` is the type of its results."""

    placed: Placed
    hardware: VTAConfig
    dtype: str

    @cached_property
    def _filling(self) -> Filling:
        return fill_blocks(self.placed.layer.workload, self.hardware)

    @property
    def workload(self) -> Workload:
        """What VTA computes."""
        return self.placed.workload

    def operands(self, *data: Array) -> Operands:
        """Packed operands for tensors (N, C, H, W) as the model has them, in its order."""
        pairs = zip(self.placed.layer.widened, data, strict=True)
        first, *rest = (self._widened(how, value) for how, value in pairs)
        requantisation = self.placed.layer.requantisation
        if requantisation is not None and requantisation.channel:
            none = np.zeros(1, dtype=np.int64)
            (value,) = requantisation.channel_values(none, None).tolist()
            rest.append(np.full(first.shape[1], value, dtype=np.int32))
        return self._filling.embed(first, None, rest)

    def result(self, packed: Array) -> Array:
        """Packed results in the model's shape and type, without what fills blocks."""
        found = self._filling.extract(packed).astype(np.int16)
        model: Array = (found + OFFSET[self.dtype]).astype(self.dtype)
        return model

    def _widened(self, how: Widened, value: Array) -> Array:
        layer = self.placed.layer
        top, left, bottom, right = layer.pads
        wide: Array = (to_int8(value).astype(np.int32) - how.zero) * how.factor
        around = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(wide, around, constant_values=layer.fill)


def bind_alu(imported: Imported, node: str, hardware: VTAConfig | None = None) -> BoundALU:
    """A node on the ALU with what the host does to its tensors.

    Raises :class:`~vtacsp.errors.NetworkError` for a node that is none, or of a float model.
    """
    placed = imported.placed.get(node)
    if placed is None or not placed.layer.widened:
        raise NetworkError(f"{node}: no node on the ALU by itself")
    graph, layer = imported.graph, placed.layer
    dtype = graph.dtypes.get(layer.data, "")
    if layer.requantisation is not None:
        dtype = layer.requantisation.dtype
    if dtype not in OFFSET:
        raise NetworkError(f"{node}: a float model has no 8-bit tensors")
    return BoundALU(placed, hardware or VTAConfig(), dtype)
