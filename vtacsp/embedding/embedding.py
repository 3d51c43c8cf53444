"""How a layer becomes one that VTA can take: a workload, and what the host does around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.embedding.axis import AxisFold
from vtacsp.embedding.layer import Layer
from vtacsp.embedding.packing import filled, pack_image, pack_weight, unpack_image
from vtacsp.epilogue.steps import CHANNEL
from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload

__all__ = ["Embedding", "HostWork"]


@dataclass(frozen=True)
class HostWork:
    """What the host does for a layer, in bytes that it writes.

    ``data`` are the embedded data and ``output`` the output in the network's layout, both for every
    inference, 0 where VTA's blocks are used as they are.  ``weight`` are the embedded weights,
    written once.

    >>> rgb = Layer(in_channels=3, height=8, width=8, out_channels=16, kernel=(3, 3), stride=(2, 2))
    >>> [(e.kind, e.host.data) for e in embeddings(rgb)[:2]]
    [('pad', 1024), ('fold', 384)]
    """

    data: int
    output: int
    weight: int


@dataclass(frozen=True)
class Embedding:
    """A layer, and the workload that computes it on a machine.

    ``rows`` and ``columns`` say what is folded; ``merged`` groups become one; ``pixels`` are the
    height and width of the image that the batch rows of a dense layer become, None for the dense
    template; ``host_pad`` says that the host writes the padding.

    Data and weights in the layer's own layout go in, and VTA's packed output comes back in it:

    >>> rgb = Layer(in_channels=3, height=8, width=8, out_channels=16, kernel=(3, 3), stride=(2, 2))
    >>> embedding = fastest(embeddings(rgb)).best.embedding
    >>> data, weight = np.ones(rgb.data_shape, np.int8), np.ones(rgb.weight_shape, np.int8)
    >>> packed = embedding.embed(data, weight)
    >>> output = reference(embedding.workload, embedding.hardware, packed)
    >>> packed.data.shape, embedding.extract(output).shape == rgb.output_shape
    ((1, 2, 3, 3, 1, 16), True)
    """

    layer: Layer
    hardware: VTAConfig
    rows: AxisFold
    columns: AxisFold
    merged: int = 1
    pixels: tuple[int, int] | None = None
    host_pad: bool = False

    # -- what it is

    @property
    def steps(self) -> tuple[str, ...]:
        """What is done to the layer, for people."""
        layer, hw = self.layer, self.hardware
        steps = [f"batch rows as {self.pixels[0]}x{self.pixels[1]} pixels"] if self.pixels else []
        if self.merged > 1:
            steps.append(f"{self.merged} groups in one")
        axes = (("rows", self.rows), ("columns", self.columns))
        for name, axis in axes:
            if axis.split:
                steps.append(f"{axis.phases} {name} in the channels")
            if axis.outputs > 1:
                steps.append(f"{axis.outputs} outputs per position")
            if axis.unfold:
                steps.append(f"kernel {name} in the channels")
        if self.host_pad and any(layer.padding):
            steps.append("padded by the host")
        ci, co = self._filled_channels
        if ci != self._channels[0]:
            steps.append(f"input channels filled from {self._channels[0]} to {ci}")
        if co != self._channels[1]:
            steps.append(f"output channels filled from {self._channels[1]} to {co}")
        if layer.batch % hw.batch:
            steps.append(f"batch filled from {layer.batch} to {self._batch}")
        if self._groups * self.merged != layer.groups:
            steps.append(f"groups filled to {self._groups * self.merged}")
        return tuple(steps)

    @property
    def kind(self) -> str:
        """One word: ``fold``, ``pixels``, ``groups``, ``pad`` or, where nothing is done, ``plain``.

        The first of them that applies.
        """
        if self.rows.folded or self.columns.folded:
            return "fold"
        if self.pixels is not None:
            return "pixels"
        if self.merged > 1:
            return "groups"
        return "pad" if self.steps else "plain"

    @cached_property
    def workload(self) -> Workload:
        """What VTA computes."""
        layer = self.layer
        common: dict[str, Any] = {
            "name": layer.name,
            "batch": self._batch,
            "bias": layer.bias,
            "epilogue": layer.epilogue,
        }
        ci, co = (count * self._groups for count in self._filled_channels)
        if layer.dense and self.pixels is None:
            return Dense(in_features=ci, out_features=co, **common)
        height, width = self.pixels or (self.rows.new_size, self.columns.new_size)
        if not self.host_pad:
            height, width = self.pixels or (layer.height, layer.width)
        if self.pixels:
            common["batch"] = self.hardware.batch
        common |= {
            "in_channels": ci,
            "out_channels": co,
            "height": height,
            "width": width,
            "kernel": (self.rows.new_kernel, self.columns.new_kernel),
            "stride": (self.rows.new_stride, self.columns.new_stride),
            "padding": (0, 0) if self.host_pad else layer.padding[:2],
        }
        if self._groups > 1:
            return GroupConv2D(groups=self._groups, **common)
        return Conv2D(**common)

    @property
    def waste(self) -> float:
        """Share of the workload's multiply-accumulates that are not the layer's."""
        return 1 - self.layer.macs / self.workload.macs

    @property
    def host(self) -> HostWork:
        """What the host does."""
        if self.kind == "plain":
            return HostWork(0, 0, 0)
        shapes, hw = self.workload.pack(self.hardware), self.hardware
        assert shapes.weight is not None
        value, weight = (1 << hw.log_inp_width) // 8, (1 << hw.log_wgt_width) // 8
        layer = self.layer
        moved = self.rows.folded or self.columns.folded or self.host_pad
        data = moved or prod(shapes.data) != prod(layer.data_shape)
        output = self.rows.outputs * self.columns.outputs > 1
        output |= prod(shapes.output) != prod(layer.output_shape)
        return HostWork(
            prod(shapes.data) * value if data else 0,
            prod(layer.output_shape) * value if output else 0,
            prod(shapes.weight) * weight,
        )

    # -- sizes

    @property
    def _groups(self) -> int:
        return -(-self.layer.groups // self.merged)

    @property
    def _batch(self) -> int:
        return _up(self.layer.batch, self.hardware.batch)

    @property
    def _channels(self) -> tuple[int, int]:
        """Input and output channels of a group, before they are filled."""
        layer, rows, columns = self.layer, self.rows, self.columns
        ci = layer.in_channels // layer.groups * self.merged * rows.channels * columns.channels
        return ci, layer.out_channels // layer.groups * self.merged * rows.outputs * columns.outputs

    @property
    def _filled_channels(self) -> tuple[int, int]:
        ci, co = self._channels
        return _up(ci, self.hardware.block), _up(co, self.hardware.block)

    # -- operands

    def embed(
        self, data: Integers, weight: Integers, operands: Sequence[Integers] = ()
    ) -> Operands:
        """The workload's packed operands, of those of the layer (:class:`Layer` has the shapes).

        ``operands`` are what the epilogue loads, in order, the bias included: int32, of shape
        (out_channels,) or that of the layer's output.

        Raises :class:`~vtacsp.errors.WorkloadError` for another shape.
        """
        layer, hw = self.layer, self.hardware
        kinds = self.workload.chain.operands
        wanted = [
            ("data", data, layer.data_shape),
            ("weight", weight, layer.weight_shape),
            *(
                (f"operand {n}", operand, (layer.out_channels,) if kind == CHANNEL else
                 layer.output_shape)
                for n, (kind, operand) in enumerate(zip(kinds, operands, strict=False))
            ),
        ]  # fmt: skip
        for name, value, shape in wanted:
            if value.shape != shape:
                raise WorkloadError(f"{layer.name}: {name} has shape {value.shape}, not {shape}")
        if len(operands) != len(kinds):
            raise WorkloadError(
                f"{layer.name}: {len(operands)} operands given, the epilogue loads {len(kinds)}"
            )
        packed = tuple(
            self._channel_operand(o) if kind == CHANNEL else self._output_operand(o)
            for kind, o in zip(kinds, operands, strict=True)
        )
        inp, wgt = (np.dtype(f"i{(1 << log) // 8}") for log in (hw.log_inp_width, hw.log_wgt_width))
        images = self._image(self._data(data), self._filled_channels[0])
        first, rest = (packed[0], packed[1:]) if layer.bias else (None, packed)
        return Operands(images.astype(inp), self._weight(weight).astype(wgt), first, rest)

    def extract(self, output: Integers) -> Integers:
        """The layer's output, of the workload's packed output."""
        layer, ay, ax = self.layer, self.rows.outputs, self.columns.outputs
        if layer.dense and self.pixels is None:
            output = output[:, :, None, None]
        images = unpack_image(output)
        if self.pixels:
            images = self._rows_of_pixels(images)
        n, _, height, width = images.shape
        images = images.reshape(n, self._groups, -1, height, width)[:, :, : self._channels[1]]
        images = images.reshape(n, -1, height, width)[:, : layer.out_channels * ay * ax]
        parts = images.reshape(n, ay, ax, layer.out_channels, height, width)
        spread = parts.transpose(0, 3, 4, 1, 5, 2)
        whole = spread.reshape(n, layer.out_channels, height * ay, width * ax)
        oh, ow = layer.output_size
        found: Integers = whole[: layer.batch, :, :oh, :ow]
        return found[:, :, 0, 0] if layer.dense else found

    def _data(self, data: Integers) -> Integers:
        """Folded, with the padding that is the host's: (batch, channels, height, width)."""
        if self.layer.dense:
            return data[:, :, None, None]
        if not self.host_pad:
            return data
        data = _gathered(data, 2, self.rows.data_positions(), self.layer.pad_value)
        # (n, c, in rows, row, column)
        data = _gathered(data, 4, self.columns.data_positions(), self.layer.pad_value)
        n, c, in_rows, height, in_columns, width = data.shape
        moved: Integers = data.transpose(0, 1, 2, 4, 3, 5)
        return moved.reshape(n, c * in_rows * in_columns, height, width)

    def _image(self, value: Integers, per_group: int) -> Integers:
        """Packed: groups, channels, batch filled, and the pixels of a dense layer."""
        n, c, height, width = value.shape
        groups = self._groups
        share = c // self.layer.groups * self.merged
        value = filled(value, 1, groups * share).reshape(n, groups, share, height, width)
        value = filled(value, 2, per_group).reshape(n, groups * per_group, height, width)
        if self.pixels:
            value = self._pixels_of_rows(value)
        packed = pack_image(filled(value, 0, _up(len(value), self.hardware.batch)), self.hardware)
        return packed[:, :, 0, 0] if self.layer.dense and self.pixels is None else packed

    def _pixels_of_rows(self, value: Integers) -> Integers:
        """(batch, C, 1, 1) to (BATCH, C, height, width)."""
        assert self.pixels is not None
        value = filled(value, 0, self._batch)[:, :, 0, 0]
        rows = value.reshape(-1, self.hardware.batch, value.shape[1])
        image: Integers = rows.transpose(1, 2, 0)
        return image.reshape(self.hardware.batch, -1, *self.pixels)

    def _rows_of_pixels(self, value: Integers) -> Integers:
        """The inverse."""
        n, c, height, width = value.shape
        rows: Integers = value.reshape(n, c, height * width).transpose(2, 0, 1)
        return rows.reshape(-1, c, 1, 1)

    def _weight(self, weight: Integers) -> Integers:
        """Packed."""
        layer, groups, merged = self.layer, self._groups, self.merged
        if layer.dense:
            weight = weight[:, :, None, None]
        taps_y, taps_x = self.rows.weight_taps(), self.columns.weight_taps()
        weight = _gathered(weight, 2, taps_y, 0)  # (o, i, ay, fy, ky, KW)
        weight = _gathered(weight, 5, taps_x, 0)  # (o, i, ay, fy, ky, ax, fx, kx)
        o, i, ay, fy, ky, ax, fx, kx = weight.shape
        weight = weight.transpose(2, 5, 0, 1, 3, 6, 4, 7).reshape(ay * ax * o, i * fy * fx, ky, kx)
        # groups in one: each output channel has weights for the inputs of its own group only
        per, share = len(weight) // layer.groups, weight.shape[1]
        own = filled(weight.reshape(layer.groups, per, share, ky, kx), 0, groups * merged)
        apart = np.zeros((groups, merged, per, merged, share, ky, kx), dtype=weight.dtype)
        for m in range(merged):
            apart[:, m, :, m] = own[m::merged]
        whole = apart.reshape(groups, merged * per, merged * share, ky, kx)
        ci, co = self._filled_channels
        whole = filled(filled(whole, 1, co), 2, ci).reshape(groups * co, ci, ky, kx)
        packed = pack_weight(whole, self.hardware)
        return packed[:, :, 0, 0] if layer.dense and self.pixels is None else packed

    def _output_operand(self, value: Integers) -> Integers:
        """A tensor of the output's shape, as the output is."""
        ay, ax = self.rows.outputs, self.columns.outputs
        if self.layer.dense:
            value = value[:, :, None, None]
        n, c, _, _ = value.shape
        height, width = self.rows.positions, self.columns.positions
        value = filled(filled(value, 2, height * ay), 3, width * ax)
        parts = value.reshape(n, c, height, ay, width, ax).transpose(0, 3, 5, 1, 2, 4)
        spread = parts.reshape(n, ay * ax * c, height, width)
        return self._image(spread, self._filled_channels[1]).astype(np.int32)

    def _channel_operand(self, value: Integers) -> Integers:
        """One value per output channel, the same for every batch row."""
        shape = self.workload.pack(self.hardware).output
        many = np.tile(value, self.rows.outputs * self.columns.outputs)[None, :, None, None]
        groups, per_group = self._groups, self._filled_channels[1]
        many = filled(many, 1, groups * self._channels[1]).reshape(groups, -1)
        channels = filled(many, 1, per_group).reshape(shape[1], shape[-1])
        rank = len(shape)
        spread = channels.reshape(1, shape[1], *(1,) * (rank - 3), shape[-1])
        whole = (*shape[:2], *(1,) * (rank - 4), *shape[-2:])
        return np.broadcast_to(spread, whole).astype(np.int32)


def _up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


def _gathered(value: Integers, axis: int, positions: Integers, outside: int) -> Integers:
    """An axis replaced by ``positions`` of it, any shape; those that are outside by a constant."""
    size = value.shape[axis]
    inside = (positions >= 0) & (positions < size)
    found = np.take(value, np.where(inside, positions, 0), axis=axis)
    mask = inside.reshape(*inside.shape, *(1,) * (value.ndim - axis - 1))
    return np.where(mask, found, np.array(outside, dtype=value.dtype))
