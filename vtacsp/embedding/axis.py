"""One spatial axis of a convolution, folded: positions and kernel taps moved into the channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vtacsp.arrays import Integers

__all__ = ["AxisFold"]


@dataclass(frozen=True)
class AxisFold:
    """An axis of a convolution and what of it is moved into the channels.

    ``size``, ``kernel``, ``stride`` and the padding ``before`` and ``after`` are the layer's.
    ``split`` moves the position within the stride (space to depth): the stride becomes 1.
    ``unfold`` moves the kernel taps (im2col of this axis): kernel and stride become 1.
    ``outputs`` neighbouring outputs become output channels; more than one needs ``split``.

    A kernel of 7 with stride 2: two rows in the channels leave a kernel of 4 with stride 1:

    >>> axis = AxisFold(size=224, kernel=7, stride=2, before=3, after=3, split=True)
    >>> axis.channels, axis.new_kernel, axis.new_stride, axis.out
    (2, 4, 1, 112)
    """

    size: int
    kernel: int
    stride: int
    before: int
    after: int
    split: bool = False
    unfold: bool = False
    outputs: int = 1

    @property
    def folded(self) -> bool:
        """Whether anything is moved."""
        return self.split or self.unfold

    @property
    def out(self) -> int:
        """Outputs of the layer along the axis."""
        return (self.size + self.before + self.after - self.kernel) // self.stride + 1

    @property
    def phases(self) -> int:
        """Positions that lie behind each other in the channels."""
        return self.stride * self.outputs if self.split else 1

    @property
    def taps(self) -> int:
        """Kernel taps that are left once positions are split."""
        return (self.kernel - 1 + self.stride * (self.outputs - 1)) // self.phases + 1

    @property
    def positions(self) -> int:
        """Outputs of the folded convolution."""
        return -(-self.out // self.outputs)

    @property
    def channels(self) -> int:
        """Channels that one channel becomes."""
        return self.phases * (self.taps if self.unfold else 1)

    @property
    def new_kernel(self) -> int:
        """Kernel of the folded convolution."""
        return 1 if self.unfold else self.taps

    @property
    def new_stride(self) -> int:
        """Stride of the folded convolution."""
        return 1 if self.folded else self.stride

    @property
    def new_size(self) -> int:
        """Inputs of the folded convolution, the padding among them."""
        if not self.folded:
            return self.size + self.before + self.after
        return (self.positions - 1) * self.new_stride + self.new_kernel

    def data_positions(self) -> Integers:
        """Where the folded data come from, shape (channels, new_size); outside: padding."""
        at = np.arange(self.new_size)
        if not self.folded:
            return (at - self.before)[None]
        step = 1 if self.split else self.stride
        phase = np.arange(self.phases)[:, None, None]
        tap = np.arange(self.taps if self.unfold else 1)[None, :, None]
        along = at * step if self.unfold else at
        found = (along[None, None, :] + tap) * self.phases + phase - self.before
        return found.reshape(self.channels, self.new_size)

    def weight_taps(self) -> Integers:
        """Which tap each folded weight is, shape (outputs, channels, new_kernel); outside: 0."""
        output = np.arange(self.outputs)[:, None, None]
        phase = np.arange(self.phases)[None, :, None]
        tap = np.arange(self.taps)[None, None, :]
        found = tap * self.phases + phase - output * self.stride
        return found.reshape(self.outputs, self.channels, self.new_kernel)
