"""What a layer computes, in tensors: which input meets which weight for which output.

Every operator is a convolution here: a dense layer has one pixel, a transposed convolution has
stride 1 and an input of which only every ``dilation``-th row and column holds data (the CPU dilates
it in DRAM).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from vtacsp.jit import jit
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.registry import part
from vtacsp.operators.workload import Workload

__all__ = ["MULTIPLIES", "AxisGeometry", "Geometry", "geometry", "needed", "taps"]

MULTIPLIES = -1
"""Instead of the ALU operation that joins the values of a window."""


class AxisGeometry(NamedTuple):
    """One spatial axis: extents of input, output and kernel, and how they meet.

    Output ``o`` multiplies tap ``k`` with input ``o * stride + k - pad``, if that is one: inside,
    and a multiple of ``dilation``.  Only one of stride and dilation is above 1.

    >>> AxisGeometry(size=7, out=7, kernel=3, stride=1, pad=1, dilation=1).pairs
    19
    """

    size: int
    out: int
    kernel: int
    stride: int
    pad: int
    dilation: int

    @property
    def pairs(self) -> int:
        """Pairs of an output and a tap that meet an input."""
        return sum(taps((*self,), k, 0, self.out)[1] for k in range(self.kernel))

    @property
    def inputs(self) -> int:
        """Inputs that some output needs."""
        used = set()
        for k in range(self.kernel):
            first, count, step = taps((*self,), k, 0, self.out)
            used |= {(first + i * step) * self.stride + k - self.pad for i in range(count)}
        return len(used)

    @property
    def covered(self) -> int:
        """Outputs that need some input."""
        used = set()
        for k in range(self.kernel):
            first, count, step = taps((*self,), k, 0, self.out)
            used |= {first + i * step for i in range(count)}
        return len(used)

    @property
    def gap(self) -> int:
        """Distance of the inputs that are needed, when it is the same everywhere."""
        return self.stride if self.kernel == 1 else self.dilation

    @property
    def fewest(self) -> int:
        """The fewest taps with which an output meets an input."""
        met = [0] * self.out
        for k in range(self.kernel):
            first, count, step = taps((*self,), k, 0, self.out)
            for output in range(first, first + count * step, step):
                met[output] += 1
        return min(met)

    @property
    def own_tap(self) -> int | None:
        """A tap that every output has, with an input that no other output needs."""
        for k in range(self.kernel):
            alone = k < self.stride and k + self.stride >= self.kernel
            if alone and taps((*self,), k, 0, self.out)[1] == self.out:
                return k
        return None


class Geometry(NamedTuple):
    """A layer on a machine: batch and channels in blocks, both spatial axes.

    ``inputs`` are the input blocks of one of the ``groups``, ``outputs`` those of all.
    ``join`` is the ALU's operation that makes one of the values of a window, which every channel
    block has for itself; :data:`MULTIPLIES` for what has weights.
    What the epilogue loads is no part of it.

    >>> geometry(vtacsp.suite("resnet18")[9], VTAConfig()).products
    369664
    """

    batch: int
    groups: int
    inputs: int
    outputs: int
    y: AxisGeometry
    x: AxisGeometry
    join: int = MULTIPLIES

    @property
    def on_alu(self) -> bool:
        """Whether the ALU runs the layer by itself."""
        return self.join != MULTIPLIES

    @property
    def lies_alone(self) -> bool:
        """Whether a value of the data joins no other: the rest of its window is padding.

        The store takes what GEMM or ALU wrote last, so that such a value needs a pass.
        """
        return self.on_alu and self.y.fewest * self.x.fewest == 1

    @property
    def data(self) -> int:
        """Tensors of 32-bit data in DRAM, with the padding that the host writes."""
        if not self.on_alu:
            return 0
        tall, wide = (axis.size + 2 * axis.pad for axis in (self.y, self.x))
        return self.batch * self.outputs * tall * wide

    @property
    def joins(self) -> int:
        """Values that join another one, those of padding left out: ALU micro-ops."""
        pairs = self.y.pairs * self.x.pairs - self.y.out * self.x.out
        return self.batch * self.outputs * pairs if self.on_alu else 0

    @property
    def own_tap(self) -> tuple[int, int] | None:
        """The row and column of a tap whose value no other window has and every output meets.

        >>> pool = MaxPool(channels=64, height=112, width=112, kernel=(3, 3), stride=(2, 2))
        >>> geometry(pool, VTAConfig()).own_tap
        (1, 1)
        """
        row, column = self.y.own_tap, self.x.own_tap
        return None if row is None or column is None else (row, column)

    @property
    def per_group(self) -> int:
        """Output blocks of a group."""
        return self.outputs // self.groups

    @property
    def kernel(self) -> int:
        """Weight tensors of a pair of blocks."""
        return self.y.kernel * self.x.kernel

    @property
    def positions(self) -> int:
        """Output tensors."""
        return self.batch * self.outputs * self.y.out * self.x.out

    @property
    def products(self) -> int:
        """Products of an input and a weight tensor that are not with padding: GEMM micro-ops."""
        pairs = self.batch * self.outputs * self.inputs * self.y.pairs * self.x.pairs
        return 0 if self.on_alu else pairs

    @property
    def dram(self) -> dict[str, int]:
        """Tensors of each operand in DRAM, but for those of the epilogue."""
        pixels = self.batch * self.groups * self.inputs * self.y.size * self.x.size
        weights = self.outputs * self.inputs * self.kernel
        return {
            "inp": 0 if self.on_alu else pixels,
            "wgt": 0 if self.on_alu else weights,
            "out": self.positions,
        }


@lru_cache(maxsize=256)
def geometry(workload: Workload, hardware: VTAConfig) -> Geometry:
    """The geometry of a layer.

    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack it.

    >>> geometry(vtacsp.suite("resnet18")[9], VTAConfig()).y
    AxisGeometry(size=7, out=7, kernel=3, stride=1, pad=1, dilation=1)
    """
    found: Geometry = part(workload.op, "geometry").geometry(workload, hardware)
    return found


@jit
def taps(axis, k, low, high):  # type: ignore[no-untyped-def]
    """Outputs in ``[low, high)`` for which tap ``k`` meets an input: first, number, distance."""
    size, _, _, stride, pad, dilation = axis
    first = max(low, -((k - pad) // stride))  # rounded up
    last = min(high - 1, (size - 1 + pad - k) // stride)
    first += (pad - k - first) % dilation
    return first, max((last - first) // dilation + 1, 0), dilation


@jit
def needed(axis, low, high):  # type: ignore[no-untyped-def]
    """Inputs that the outputs in ``[low, high)`` need: first and last; none: last is smaller."""
    _, _, kernel, stride, pad, _ = axis
    begin, end = axis[0], -1
    for k in range(kernel):
        first, count, step = taps(axis, k, low, high)
        if count:
            begin = min(begin, first * stride + k - pad)
            end = max(end, (first + (count - 1) * step) * stride + k - pad)
    return begin, end
