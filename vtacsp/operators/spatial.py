"""What the convolutions share: an image, a kernel, channels in blocks."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import PackedShapes, Workload

__all__ = ["Spatial"]


@dataclass(frozen=True, kw_only=True)
class Spatial(Workload):
    """What has an image and a kernel: sizes, packed shapes, symbols."""

    thread_knobs: ClassVar[tuple[str, ...]] = ("oc_nthread", "h_nthread")
    inert_batch: ClassVar[tuple[bool, tuple[str, int] | None]] = (True, None)
    """The templates define ``tile_b`` and never apply it."""
    _axes_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("batch", "in_channels", "height", "width"),
        "weight": ("out_channels", "in_channels", "kernel", "kernel"),
        "output": ("batch", "out_channels", "output height", "output width"),
    }
    in_channels: int
    height: int
    width: int
    out_channels: int
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @property
    @abstractmethod
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""

    @property
    def channel_groups(self) -> int:
        """Groups of the convolution, 1 when it is not a grouped one."""
        return 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates: every output value is a sum over kernel taps and channels."""
        oh, ow = self.output_size
        taps = self.kernel[0] * self.kernel[1] * self.in_channels // self.channel_groups
        return self.batch * self.out_channels * oh * ow * taps

    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes; see :meth:`Workload.pack`."""
        batch, block, groups = hardware.batch, hardware.block, self.channel_groups
        n = self._blocks("batch", self.batch, batch, "BATCH of the hardware")
        if self.in_channels % groups or self.out_channels % groups:
            raise WorkloadError(
                f"{self._at('groups')} is {groups}, which does not divide {self.in_channels} "
                f"input and {self.out_channels} output channels"
            )
        per_group = " per group" if groups > 1 else ""
        ci = self._blocks("in_channels" + per_group, self.in_channels // groups, block)
        co = self._blocks("out_channels" + per_group, self.out_channels // groups, block) * groups
        self._refuse_unsupported(hardware)
        oh, ow = self.output_size
        if oh < 1 or ow < 1:
            raise WorkloadError(
                f"{self._at('kernel')} is {self.kernel[0]}x{self.kernel[1]}, larger than the "
                f"padded input: the output would have size {oh}x{ow}"
            )
        kh, kw = self.kernel
        channel, output = (n, co, 1, 1, batch, block), (n, co, oh, ow, batch, block)
        shapes = PackedShapes(
            data=(n, ci * groups, self.height, self.width, batch, block),
            weight=(co, ci, kh, kw, block, block),
            bias=channel if self.bias else None,
            output=output,
            operands=self._operand_shapes(channel, output),
        )
        return self._addressable(shapes, self.padding)

    def _refuse_unsupported(self, hardware: VTAConfig) -> None:  # noqa: ARG002 - for subclasses
        """Raise for what packs, but what upstream computes differently or not at all."""
        if self.padding[0] == 0 and self.padding[1] > 0:
            raise WorkloadError(
                f"{self._at('padding')} is (0, {self.padding[1]}): upstream drops horizontal "
                "padding when the vertical padding is 0 and computes another shape"
            )

    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Workload symbols; see :meth:`Workload.symbols`."""
        shapes = self.pack(hardware)
        taps = self.kernel[0] * self.kernel[1]
        return {
            "N": shapes.data[0],
            "CI": shapes.data[1] // self.channel_groups,
            "CO": shapes.output[1],
            "G": self.channel_groups,
            "H": self.height,
            "W": self.width,
            "OH": shapes.output[2],
            "OW": shapes.output[3],
            "KH": self.kernel[0],
            "KW": self.kernel[1],
            "SH": self.stride[0],
            "SW": self.stride[1],
            "PH": self.padding[0],
            "PW": self.padding[1],
            **self._epilogue_symbols(hardware, taps * self.in_channels // self.channel_groups),
        }

    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extents of the split axes; see :meth:`Workload.axes`."""
        s = self.symbols(hardware)
        extents = {"tile_b": "N", "tile_h": "OH", "tile_w": "OW", "tile_ci": "CI", "tile_co": "CO"}
        return {knob: s[symbol] for knob, symbol in extents.items()}

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        parts = [
            f"{self.in_channels} → {self.out_channels}",
            f"{self.height}×{self.width}",
            f"{self.kernel[0]}×{self.kernel[1]} kernel",
        ]
        parts += [f"stride {_pair(self.stride)}"] if self.stride != (1, 1) else []
        parts += [f"pad {_pair(self.padding)}"] if self.padding != (0, 0) else []
        return parts


def _pair(pair: tuple[int, int]) -> str:
    return str(pair[0]) if pair[0] == pair[1] else f"{pair[0]}×{pair[1]}"
