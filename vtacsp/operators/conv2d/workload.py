"""The 2-D convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.operators.spatial import Spatial

__all__ = ["Conv2D"]


@dataclass(frozen=True, kw_only=True)
class Conv2D(Spatial):
    """2-D convolution, NCHW: data (batch, in_channels, height, width).

    >>> layer = Conv2D(in_channels=64, height=56, width=56, out_channels=64, kernel=(3, 3))
    >>> layer.output_size
    (54, 54)
    """

    op: ClassVar[str] = "conv2d"

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.padding, strict=True)
        oh, ow = ((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)
        return oh, ow
