"""The numbers of a quantised layer as VTA has them: packed data, weights and channel operands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vtacsp.errors import NetworkError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.onnx.graph import Array, Graph
from vtacsp.network.onnx.importer import Imported
from vtacsp.network.onnx.placing import Placed
from vtacsp.network.onnx.scales import OFFSET, Requantisation
from vtacsp.operators.filling import Filling, fill_blocks
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.embedding.embedding import Embedding

__all__ = ["BoundLayer", "bind", "to_int8"]


def to_int8(values: Array) -> Array:
    """8-bit values as VTA's int8: unsigned ones minus 128.

    Raises :class:`~vtacsp.errors.NetworkError` for another type.
    """
    if values.dtype.name not in OFFSET:
        raise NetworkError(f"values are {values.dtype.name}, VTA's are 8 bits wide")
    return (values.astype(np.int16) - OFFSET[values.dtype.name]).astype(np.int8)


@dataclass(frozen=True, eq=False)
class BoundLayer:
    """A layer of a quantised model with its weights.

    ``weight`` is as the model has it (int8), ``channel`` the operand of the epilogue per output
    channel, None without one; ``dtype`` is the type of the model's results.
    """

    placed: Placed
    hardware: VTAConfig
    weight: Array
    channel: Array | None
    dtype: str

    @property
    def workload(self) -> Workload:
        """What VTA computes."""
        return self.placed.workload

    @cached_property
    def _around(self) -> Filling | Embedding:
        """What brings data and weights to the workload, and its results back."""
        placed = self.placed
        return placed.embedding or fill_blocks(placed.layer.workload, self.hardware)

    def operands(self, data: Array, residual: Array | None = None) -> Operands:
        """Packed operands for data as the model has them: (N, C, H, W), or (..., features).

        ``residual`` is the 8-bit tensor that the epilogue adds, of the shape of the result.
        """
        weight = self.weight.swapaxes(0, 1) if self.placed.layer.inputs_first else self.weight
        loaded = () if self.channel is None else (self.channel.astype(np.int32),)
        if residual is not None:
            loaded = (*loaded, self._widened(residual))
        return self._around.embed(self._plain(to_int8(data)), weight, loaded)

    def result(self, packed: Array) -> Array:
        """Packed results in the model's shape and type, without what fills blocks."""
        values = self._around.extract(packed).astype(np.int16)
        model: Array = (values + OFFSET[self.dtype]).astype(self.dtype)
        return model

    def _widened(self, values: Array) -> Array:
        """The int32 tensor that VTA adds."""
        requantisation = self.placed.layer.requantisation
        if requantisation is None or requantisation.residual is None:
            raise NetworkError(f"{self.workload.name}: its epilogue adds no residual")
        wide: Array = requantisation.residual.widened(to_int8(values)).astype(np.int32)
        return wide

    def _plain(self, values: Array) -> Array:
        """Rows of features, or images with the padding that is the host's."""
        layer = self.placed.layer
        if self.weight.ndim == 2:
            return values.reshape(-1, values.shape[-1])
        top, left, bottom, right = layer.pads
        around = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(values, around, constant_values=layer.fill)


def bind(imported: Imported, node: str, hardware: VTAConfig | None = None) -> BoundLayer:
    """A node on VTA with its numbers.

    Raises :class:`~vtacsp.errors.NetworkError` for a node that is none, for one of a float model,
    and for weights that are not in the file.
    """
    placed = imported.placed.get(node)
    if placed is None:
        raise NetworkError(f"{node}: no node on VTA")
    requantisation = placed.layer.requantisation
    if requantisation is None:
        raise NetworkError(f"{node}: a float model has no 8-bit weights")
    graph = imported.graph
    weight = to_int8(graph.small(placed.layer.weight, f"{node}: the tensor of weights"))
    channel = None
    if requantisation.channel:
        sums = _sums(placed, weight)
        bias = _bias(graph, placed, requantisation)
        channel = requantisation.channel_values(sums, bias)
    return BoundLayer(placed, hardware or VTAConfig(), weight, channel, requantisation.dtype)


def _sums(placed: Placed, weight: Array) -> Array:
    """The sum of the weights of each output channel."""
    outputs = 1 if placed.layer.inputs_first else 0
    others = tuple(axis for axis in range(weight.ndim) if axis != outputs)
    sums: Array = weight.astype(np.int64).sum(axis=others)
    return sums


def _bias(graph: Graph, placed: Placed, requantisation: Requantisation) -> Array | None:
    """The bias in units of the sums."""
    if not placed.layer.bias:
        return None
    value = graph.small(placed.layer.bias, "the bias").reshape(-1)
    if np.issubdtype(value.dtype, np.integer):
        return value
    return np.rint(value.astype(np.float64) / requantisation.sum_scale).astype(np.int64)
