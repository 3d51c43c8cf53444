"""The numbers of a quantised layer as VTA has them: packed data, weights and channel operands."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtacsp.errors import NetworkError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.onnx.graph import Array, Graph
from vtacsp.network.onnx.importer import Imported
from vtacsp.network.onnx.placing import Placed
from vtacsp.network.onnx.scales import OFFSET, Requantisation
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload

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

    def operands(self, data: Array, residual: Array | None = None) -> Operands:
        """Packed operands for data as the model has them: (N, C, H, W), or (..., features).

        ``residual`` is the 8-bit tensor that the epilogue adds, of the shape of the result.
        """
        embedding = self.placed.embedding
        if embedding is not None:
            own = () if self.channel is None else (self.channel.astype(np.int32),)
            plain = to_int8(data).reshape(embedding.layer.data_shape)
            return embedding.embed(plain, self._plain_weight(), own)
        work, batch, block = self.workload, self.hardware.batch, self.hardware.block
        values = self._padded(to_int8(data))
        shapes = work.pack(self.hardware)
        n, c = shapes.data[:2]
        filled = np.zeros((n * batch, c * block, *values.shape[2:]), dtype=np.int8)
        filled[: values.shape[0], : values.shape[1]] = values
        packed = _blocks(filled, batch, block)
        loaded: tuple[Array, ...] = ()
        if self.channel is not None:
            channels = np.zeros(shapes.output[1] * block, dtype=np.int64)
            channels[: len(self.channel)] = self.channel
            wide = channels.reshape(shapes.output[1], *(1,) * (len(shapes.output) - 3), block)
            loaded = (np.broadcast_to(wide, shapes.operands[0]).astype(np.int32),)
        if residual is not None:
            loaded = (*loaded, self._residual(residual, shapes.output))
        return Operands(packed, self._weight(), epilogue=loaded)

    def result(self, packed: Array) -> Array:
        """Packed results in the model's shape and type, without what fills blocks."""
        if self.placed.embedding is not None:
            return self._in_type(self.placed.embedding.extract(packed))
        axes = len(packed.shape) - 4
        n, c, *image, batch, block = packed.shape
        order = (0, axes + 2, 1, axes + 3, *range(2, axes + 2))
        values = packed.transpose(order).reshape(n * batch, c * block, *image)
        work = self.placed.layer.workload
        channels = work.out_features if isinstance(work, Dense) else _channels(work)
        return self._in_type(values[: work.batch, :channels])

    def _residual(self, values: Array, shape: tuple[int, ...]) -> Array:
        """The int32 tensor that VTA adds, packed as its results are."""
        requantisation = self.placed.layer.requantisation
        if requantisation is None or requantisation.residual is None:
            raise NetworkError(f"{self.workload.name}: its epilogue adds no residual")
        batch, block = self.hardware.batch, self.hardware.block
        filled = np.zeros((shape[0] * batch, shape[1] * block, *values.shape[2:]), dtype=np.int32)
        wide = requantisation.residual.widened(to_int8(values))
        filled[: values.shape[0], : values.shape[1]] = wide
        return _blocks(filled, batch, block)

    def _in_type(self, values: Array) -> Array:
        """VTA's int8 in the type of the model."""
        model: Array = (values.astype(np.int16) + OFFSET[self.dtype]).astype(self.dtype)
        return model

    def _plain_weight(self) -> Array:
        """Weights (outputs, inputs, ...) of a layer that is embedded."""
        turned = isinstance(self.placed.layer.workload, Dense)
        return self.weight.T if turned and not self.placed.layer.transposed_weight else self.weight

    def _padded(self, values: Array) -> Array:
        layer = self.placed.layer
        if isinstance(layer.workload, Dense):
            return values.reshape(-1, values.shape[-1])
        top, left, bottom, right = layer.pads
        around = ((0, 0), (0, 0), (top, bottom), (left, right))
        return np.pad(values, around, constant_values=layer.fill)

    def _weight(self) -> Array:
        """Weights with zeros between joined groups and in channels that fill blocks."""
        work, model, block = self.workload, self.placed.layer.workload, self.hardware.block
        if isinstance(work, Dense):
            plain = self.weight if self.placed.layer.transposed_weight else self.weight.T
        elif isinstance(work, Conv2DTranspose):
            # VTA correlates the spread data with the kernel turned around
            plain = self.weight.transpose(1, 0, 2, 3)[:, :, ::-1, ::-1]
        else:
            members = _groups(model) // _groups(work)
            plain = _diagonal(self.weight, _groups(model), members)
        shape = work.pack(self.hardware).weight or ()
        filled = np.zeros((shape[0] * block, shape[1] * block, *shape[2:-2]), dtype=np.int8)
        filled[: plain.shape[0], : plain.shape[1]] = plain
        return _blocks(filled, block, block)


def _channels(work: Workload) -> int:
    channels: int = getattr(work, "out_channels")  # noqa: B009 - of the spatial ones
    return channels


def _groups(work: Workload) -> int:
    return work.groups if isinstance(work, GroupConv2D) else 1


def _diagonal(weight: Array, groups: int, members: int) -> Array:
    """Weights (outputs, inputs per group, ...) of groups of which ``members`` become one."""
    outputs, inputs = weight.shape[0] // groups, weight.shape[1]
    wide = np.zeros((weight.shape[0], inputs * members, *weight.shape[2:]), dtype=weight.dtype)
    for group in range(groups):
        rows = slice(group * outputs, (group + 1) * outputs)
        place = group % members * inputs
        wide[rows, place : place + inputs] = weight[rows]
    return wide


def _blocks(values: Array, rows: int, columns: int) -> Array:
    """(A, B, ...) to (A/rows, B/columns, ..., rows, columns)."""
    a, b, *image = values.shape
    parts = values.reshape(a // rows, rows, b // columns, columns, *image)
    return np.ascontiguousarray(parts.transpose(0, 2, *range(4, 4 + len(image)), 1, 3))


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
    work = placed.layer.workload
    turned = isinstance(work, Conv2DTranspose) or (
        isinstance(work, Dense) and not placed.layer.transposed_weight
    )
    outputs = 1 if turned else 0
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
