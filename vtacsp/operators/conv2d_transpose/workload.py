"""The transposed 2-D convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.spatial import Spatial

__all__ = ["Conv2DTranspose"]


@dataclass(frozen=True, kw_only=True)
class Conv2DTranspose(Spatial):
    """Transposed 2-D convolution (the gradient of a convolution with ``stride``).

    >>> layer = Conv2DTranspose(
    ...     in_channels=64, height=4, width=4, out_channels=32, kernel=(4, 4), stride=(2, 2)
    ... )
    >>> layer.output_size
    (10, 10)
    """

    op: ClassVar[str] = "conv2d_transpose"
    output_padding: tuple[int, int] = (0, 0)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        sizes = zip(
            (self.height, self.width),
            self.kernel,
            self.stride,
            self.padding,
            self.output_padding,
            strict=True,
        )
        oh, ow = ((size - 1) * s - 2 * p + k + extra for size, k, s, p, extra in sizes)
        return oh, ow

    def _refuse_unsupported(self, hardware: VTAConfig) -> None:
        self._require_bytes("LOG_INP_WIDTH", hardware.log_inp_width)
        if any(self.output_padding):
            raise WorkloadError(
                f"{self._at('output_padding')} is {self.output_padding}: upstream supports (0, 0)"
            )
        for axis, (p, k) in enumerate(zip(self.padding, self.kernel, strict=True)):
            if p > k - 1:
                raise WorkloadError(
                    f"{self._at('padding')}[{axis}] is {p}; a transposed convolution with "
                    f"kernel {k} allows 0 to {k - 1}"
                )

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        extra = f"output pad {self.output_padding[0]}×{self.output_padding[1]}"
        return [*super().sizes, *([extra] if any(self.output_padding) else [])]
