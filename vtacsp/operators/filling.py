"""A layer of any size on a machine: zeros fill what does not fill a block.

The one definition of it: networks, embeddings and the choice of a machine all ask here.  What an
operator has to fill is its part ``filling``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from vtacsp.arrays import Integers
from vtacsp.epilogue.steps import CHANNEL
from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.operands import Operands
from vtacsp.operators.packing import pack_blocks, unpack_blocks
from vtacsp.operators.registry import has_part, part
from vtacsp.operators.workload import PackedShapes, Shape, Workload

__all__ = ["Channels", "Filling", "as_it_is", "fill_blocks", "fill_channels", "up"]


@dataclass(frozen=True)
class Channels:
    """Where the channels of a layer lie among those of the filled layer.

    ``field`` is their name in the workload, ``count`` how many the layer has, in ``groups`` equal
    parts.  ``members`` groups lie behind each other in one group of the filled layer, which zeros
    fill up to whole blocks; groups of zeros fill the last one.
    """

    field: str
    count: int
    block: int
    groups: int = 1
    members: int = 1

    @property
    def share(self) -> int:
        """Channels of a group of the layer."""
        return self.count // self.groups

    @property
    def used(self) -> int:
        """Channels of a group of the filled layer that the layer has, where it is full."""
        return self.share * self.members

    @property
    def width(self) -> int:
        """Channels of a group of the filled layer."""
        return up(self.used, self.block)

    @property
    def total(self) -> int:
        """Channels of the filled layer."""
        return -(-self.groups // self.members) * self.width

    @property
    def places(self) -> Integers:
        """The channel of the filled layer that each channel is, shape (count,)."""
        group, channel = np.divmod(np.arange(self.count), self.share)
        found: Integers = group // self.members * self.width + self.first(group) + channel
        return found

    def first(self, group: Integers) -> Integers:
        """Where the first channel of a group of the layer lies in its group of the filled one."""
        found: Integers = group % self.members * self.share
        return found

    def spread(self, values: Integers, axis: int) -> Integers:
        """Values of the layer's channels at their places, zeros elsewhere."""
        shape = list(values.shape)
        shape[axis] = self.total
        found = np.zeros(shape, dtype=values.dtype)
        found[(slice(None),) * axis + (self.places,)] = values
        return found

    def gather(self, values: Integers, axis: int) -> Integers:
        """The inverse of :meth:`spread`."""
        found: Integers = np.take(values, self.places, axis=axis)
        return found


@dataclass(frozen=True)
class Filling:
    """A layer, and the workload that computes it on a machine.

    ``layer`` has the sizes of the network, ``workload`` those that the machine packs; what the
    workload computes beside is dropped by :meth:`extract`.  ``turned``: VTA multiplies with the
    kernel turned around.

    >>> from vtacsp.operators.filling import fill_blocks
    >>> found = fill_blocks(Dense(in_features=64, out_features=10), VTAConfig())
    >>> found.workload.out_features, found.remarks
    (16, ('out_features 10 filled to 16',))
    """

    layer: Workload
    workload: Workload
    hardware: VTAConfig
    inputs: Channels
    outputs: Channels
    turned: bool = False

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was filled, for people; nothing for a layer that fills its blocks."""
        found = []
        left = -(-self.inputs.groups // self.inputs.members)
        if self.inputs.members > 1:
            found.append(f"{self.inputs.members} groups in one, zeros between them")
        if left * self.inputs.members != self.inputs.groups:
            found.append(f"groups {self.inputs.groups} filled to {left * self.inputs.members}")
        each = {
            channels.field: f" {channels.used} filled to {channels.width}"
            for channels in (self.inputs, self.outputs)
            if channels.used != channels.width
        }
        if left > 1 and len(each) > 1 == len({*each.values()}):
            each = {"channels": next(iter(each.values()))}  # of both alike
        per_group = " per group" if left > 1 else ""
        found += [f"{field}{per_group}{text}" for field, text in each.items()]
        if self.workload.batch != self.layer.batch:
            found.append(f"batch {self.layer.batch} filled to {self.workload.batch}")
        return tuple(found)

    @cached_property
    def _shapes(self) -> PackedShapes:
        return self.workload.pack(self.hardware)

    def embed(
        self, data: Integers, weight: Integers | None, operands: Sequence[Integers] = ()
    ) -> Operands:
        """The workload's packed operands, of those of the layer.

        ``data`` have shape (batch, inputs, ...), ``weight`` (outputs, inputs of a group, ...), None
        for an operator of the ALU.  ``operands`` are what the chain of ALU operations loads, in
        order, the bias included: of shape (outputs,) or that of the layer's output.

        Raises :class:`~vtacsp.errors.WorkloadError` for another shape, and where the machine cannot
        pack the workload.
        """
        hw, shapes = self.hardware, self._shapes
        kinds = self.workload.chain.operands
        if len(operands) != len(kinds):
            raise WorkloadError(
                f"{self.layer.name}: {len(operands)} operands given, the chain loads {len(kinds)}"
            )
        data_type: np.dtype[Any] = np.dtype(np.int32)
        packed_weight = None
        if shapes.weight is not None:
            assert weight is not None
            share = self.inputs.share
            self._check("weight", weight, (self.outputs.count, share, *shapes.weight[2:-2]))
            packed_weight = self._weight(weight).astype(_type(hw.log_wgt_width))
            data_type = _type(hw.log_inp_width)
        self._check("data", data, self._plain(self.inputs, shapes.data))
        loaded = []
        for number, (kind, operand) in enumerate(zip(kinds, operands, strict=True)):
            whole = self._plain(self.outputs, shapes.output)
            self._check(f"operand {number}", operand, whole[1:2] if kind == CHANNEL else whole)
            if kind == CHANNEL:
                packed = self._channel(operand, shapes.operands[number])
            else:
                packed = self._image(operand, self.outputs)
            loaded.append(packed.astype(np.int32))
        first, rest = (loaded[0], loaded[1:]) if self.workload.bias else (None, loaded)
        images = self._image(data, self.inputs).astype(data_type)
        return Operands(images, packed_weight, first, tuple(rest))

    def extract(self, output: Integers) -> Integers:
        """The layer's output (batch, outputs, ...), of the workload's packed output."""
        return self.outputs.gather(unpack_blocks(output)[: self.layer.batch], 1)

    def _plain(self, channels: Channels, packed: Shape) -> Shape:
        return self.layer.batch, channels.count, *packed[2:-2]

    def _check(self, name: str, value: Integers, shape: Shape) -> None:
        if value.shape != shape:
            raise WorkloadError(f"{self.layer.name}: {name} has shape {value.shape}, not {shape}")

    def _image(self, values: Integers, channels: Channels) -> Integers:
        """(batch, channels, ...), packed."""
        rows = [(0, self.workload.batch - len(values)), *[(0, 0)] * (values.ndim - 1)]
        whole = np.pad(channels.spread(values, 1), rows)
        return pack_blocks(whole, self.hardware.batch, self.hardware.block)

    def _channel(self, values: Integers, shape: Shape) -> Integers:
        """One value per output channel, the same for every row and pixel."""
        block = self.hardware.block
        whole = self.outputs.spread(values, 0)
        found: Integers = np.broadcast_to(
            whole.reshape(shape[1], *(1,) * (len(shape) - 3), block), shape
        )
        return found

    def _weight(self, weight: Integers) -> Integers:
        """Packed: an output has weights for the inputs of its own group, zeros for the others."""
        if self.turned:
            weight = np.flip(weight, tuple(range(2, weight.ndim)))
        outputs, inputs = self.outputs, self.inputs
        whole = np.zeros((outputs.total, inputs.width, *weight.shape[2:]), dtype=weight.dtype)
        first = inputs.first(np.arange(outputs.count) // outputs.share)
        columns = first[:, None] + np.arange(inputs.share)
        whole[outputs.places[:, None], columns] = weight
        return pack_blocks(whole, self.hardware.block, self.hardware.block)


def fill_blocks(workload: Workload, hardware: VTAConfig, members: int | None = None) -> Filling:
    """The layer on a machine; ``members`` groups become one, None for the best number.

    A layer that fills its blocks is itself, and so is one that no zeros help: packing says why.
    An operator without the part ``filling`` has to fill blocks by itself.

    >>> from vtacsp.operators.filling import fill_blocks
    >>> layer = GroupConv2D(
    ...     in_channels=20, height=7, width=7, out_channels=20, kernel=(3, 3), groups=20
    ... )
    >>> found = fill_blocks(layer, VTAConfig())
    >>> found.workload.groups, found.workload.in_channels
    (2, 32)
    >>> found.remarks
    ('16 groups in one, zeros between them', 'groups 20 filled to 32')
    """
    if not has_part(workload.op, "filling"):
        return as_it_is(workload, hardware)
    found: Filling = part(workload.op, "filling").fill(workload, hardware, members)
    return found


def as_it_is(layer: Workload, hardware: VTAConfig) -> Filling:
    """A layer to which nothing is done."""
    try:
        shapes = layer.pack(hardware)
    except WorkloadError:  # whoever packs the workload is told why
        none = Channels("", 1, 1)
        return Filling(layer, layer, hardware, none, none)
    block = hardware.block
    first, last = (Channels("", shape[1] * block, block) for shape in (shapes.data, shapes.output))
    return Filling(layer, layer, hardware, first, last)


def fill_channels(layer: Workload, hardware: VTAConfig, inputs: str, outputs: str) -> Filling:
    """A layer whose channels are the fields ``inputs`` and ``outputs``, and its batch, filled."""
    block = hardware.block
    first, last = (Channels(name, getattr(layer, name), block) for name in (inputs, outputs))
    sizes: dict[str, Any] = {channels.field: channels.total for channels in (first, last)}
    workload = replace(layer, batch=up(layer.batch, hardware.batch), **sizes)
    return Filling(layer, workload, hardware, first, last)


def up(size: int, unit: int) -> int:
    """The next multiple of a unit."""
    return -(-size // unit) * unit


def _type(log_width: int) -> np.dtype[Any]:
    return np.dtype(f"i{(1 << log_width) // 8}")
