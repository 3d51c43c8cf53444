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
from vtacsp.embedding.layer import UnpackedLayer
from vtacsp.epilogue.steps import CHANNEL
from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.filling import Filling, fill_blocks, up
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

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
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

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> embedding = fastest(embeddings(rgb)).best.embedding
    >>> data, weight = np.ones(rgb.data_shape, np.int8), np.ones(rgb.weight_shape, np.int8)
    >>> packed = embedding.embed(data, weight)
    >>> output = reference(embedding.workload, embedding.hardware, packed)
    >>> packed.data.shape, embedding.extract(output).shape == rgb.output_shape
    ((1, 2, 3, 3, 1, 16), True)
    """

    layer: UnpackedLayer
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
        layer = self.layer
        steps = []
        if self.pixels is not None:
            steps.append(f"batch rows as {self.pixels[0]}x{self.pixels[1]} pixels")
            if self._rows != layer.batch:
                steps.append(f"batch {layer.batch} filled to {self._rows}")
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
        return (*steps, *self._filling.remarks)

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

    @property
    def workload(self) -> Workload:
        """What VTA computes."""
        return self._filling.workload

    @cached_property
    def _filling(self) -> Filling:
        members = self.merged if self.layer.groups > 1 else None
        return fill_blocks(self._folded, self.hardware, members)

    @property
    def _folded(self) -> Workload:
        """The layer with pixels and taps in its channels, before blocks are filled."""
        layer, rows, columns = self.layer, self.rows, self.columns
        common: dict[str, Any] = {
            "name": layer.name,
            "batch": layer.batch,
            "bias": layer.bias,
            "epilogue": layer.epilogue,
        }
        if layer.dense and self.pixels is None:
            return Dense(in_features=layer.in_channels, out_features=layer.out_channels, **common)
        height, width = layer.height, layer.width
        if self.host_pad:
            height, width = rows.new_size, columns.new_size
        if self.pixels is not None:
            (height, width), common["batch"] = self.pixels, self.hardware.batch
        common |= {
            "in_channels": layer.in_channels * rows.channels * columns.channels,
            "out_channels": layer.out_channels * rows.outputs * columns.outputs,
            "height": height,
            "width": width,
            "kernel": (rows.new_kernel, columns.new_kernel),
            "stride": (rows.new_stride, columns.new_stride),
            "padding": (0, 0) if self.host_pad else layer.padding[:2],
        }
        if layer.groups > 1:
            return GroupConv2D(groups=layer.groups, **common)
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

    @property
    def _rows(self) -> int:
        """Rows of the batch that become pixels."""
        return up(self.layer.batch, self.hardware.batch)

    # -- operands

    def embed(
        self, data: Integers, weight: Integers, operands: Sequence[Integers] = ()
    ) -> Operands:
        """The workload's packed operands, of those of the layer (shapes: :class:`UnpackedLayer`).

        ``operands`` are what the epilogue loads, in order, the bias included: int32, of shape
        (out_channels,) or that of the layer's output.

        Raises :class:`~vtacsp.errors.WorkloadError` for another shape.
        """
        layer = self.layer
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
        outputs = self.rows.outputs * self.columns.outputs
        spread = [
            np.tile(operand, outputs) if kind == CHANNEL else self._output(operand)
            for kind, operand in zip(kinds, operands, strict=False)
        ]
        unknown = operands[len(kinds) :]  # too many, which is refused
        return self._filling.embed(self._data(data), self._weight(weight), (*spread, *unknown))

    def extract(self, output: Integers) -> Integers:
        """The layer's output, of the workload's packed output."""
        layer, ay, ax = self.layer, self.rows.outputs, self.columns.outputs
        images = self._filling.extract(output)
        if layer.dense:
            return images if self.pixels is None else self._rows_of_pixels(images)
        n, _, height, width = images.shape
        parts = images.reshape(n, ay, ax, layer.out_channels, height, width)
        spread = parts.transpose(0, 3, 4, 1, 5, 2)
        whole = spread.reshape(n, layer.out_channels, height * ay, width * ax)
        oh, ow = layer.output_size
        found: Integers = whole[:, :, :oh, :ow]
        return found

    def _data(self, data: Integers) -> Integers:
        """Folded, with the padding that is the host's: (batch, channels, height, width)."""
        if self.layer.dense:
            return data if self.pixels is None else self._pixels_of_rows(data)
        if not self.host_pad:
            return data
        data = _gathered(data, 2, self.rows.data_positions(), self.layer.pad_value)
        # (n, c, in rows, row, column)
        data = _gathered(data, 4, self.columns.data_positions(), self.layer.pad_value)
        n, c, in_rows, height, in_columns, width = data.shape
        moved: Integers = data.transpose(0, 1, 2, 4, 3, 5)
        return moved.reshape(n, c * in_rows * in_columns, height, width)

    def _pixels_of_rows(self, value: Integers) -> Integers:
        """(batch, C) to (BATCH, C, height, width)."""
        assert self.pixels is not None
        value = np.pad(value, ((0, self._rows - len(value)), (0, 0)))
        rows = value.reshape(-1, self.hardware.batch, value.shape[1])
        image: Integers = rows.transpose(1, 2, 0)
        return image.reshape(self.hardware.batch, -1, *self.pixels)

    def _rows_of_pixels(self, value: Integers) -> Integers:
        """The inverse."""
        n, c, height, width = value.shape
        rows: Integers = value.reshape(n, c, height * width).transpose(2, 0, 1)
        return rows.reshape(-1, c)[: self.layer.batch]

    def _weight(self, weight: Integers) -> Integers:
        """Folded: (outputs, inputs of a group, kernel rows, kernel columns)."""
        if self.layer.dense:
            return weight if self.pixels is None else weight[:, :, None, None]
        taps_y, taps_x = self.rows.weight_taps(), self.columns.weight_taps()
        weight = _gathered(weight, 2, taps_y, 0)  # (o, i, ay, fy, ky, KW)
        weight = _gathered(weight, 5, taps_x, 0)  # (o, i, ay, fy, ky, ax, fx, kx)
        o, i, ay, fy, ky, ax, fx, kx = weight.shape
        moved: Integers = weight.transpose(2, 5, 0, 1, 3, 6, 4, 7)
        return moved.reshape(ay * ax * o, i * fy * fx, ky, kx)

    def _output(self, value: Integers) -> Integers:
        """A tensor of the output's shape, as the folded layer has it."""
        ay, ax = self.rows.outputs, self.columns.outputs
        if self.layer.dense:
            return value if self.pixels is None else self._pixels_of_rows(value)
        n, c, oh, ow = value.shape
        height, width = self.rows.positions, self.columns.positions
        beside = ((0, 0), (0, 0), (0, height * ay - oh), (0, width * ax - ow))
        parts = np.pad(value, beside).reshape(n, c, height, ay, width, ax)
        spread: Integers = parts.transpose(0, 3, 5, 1, 2, 4)
        return spread.reshape(n, ay * ax * c, height, width)


def _gathered(value: Integers, axis: int, positions: Integers, outside: int) -> Integers:
    """An axis replaced by ``positions`` of it, any shape; those that are outside by a constant."""
    size = value.shape[axis]
    inside = (positions >= 0) & (positions < size)
    found = np.take(value, np.where(inside, positions, 0), axis=axis)
    mask = inside.reshape(*inside.shape, *(1,) * (value.ndim - axis - 1))
    return np.where(mask, found, np.array(outside, dtype=value.dtype))
