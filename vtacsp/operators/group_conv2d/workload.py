"""The grouped 2-D convolution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D

__all__ = ["GroupConv2D"]


@dataclass(frozen=True, kw_only=True)
class GroupConv2D(Conv2D):
    """Grouped 2-D convolution; ``groups`` divides both channel counts.

    >>> layer = GroupConv2D(
    ...     in_channels=64, height=14, width=14, out_channels=64, kernel=(3, 3), groups=4
    ... )
    >>> layer.macs
    1327104
    """

    op: ClassVar[str] = "group_conv2d"
    groups: int

    @property
    def channel_groups(self) -> int:
        """Groups of the convolution."""
        return self.groups

    def _refuse_unsupported(self, hardware: VTAConfig) -> None:
        self._require_bytes("LOG_INP_WIDTH", hardware.log_inp_width)
        self._require_bytes("LOG_WGT_WIDTH", hardware.log_wgt_width)
        super()._refuse_unsupported(hardware)

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        return [*super().sizes, *([f"{self.groups} groups"] if self.groups > 1 else [])]
