"""What the operators of the ALU share, as workloads."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from vtacsp.epilogue.footprint import epilogue_symbols
from vtacsp.epilogue.steps import INT_MAX, Epilogue
from vtacsp.errors import WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp
from vtacsp.operators.workload import PackedShapes, Workload

__all__ = ["OnALU", "Pool"]


@dataclass(frozen=True, kw_only=True)
class OnALU(Workload):
    """An operator without weights: int32 data (batch, channels, height, width).

    ``epilogue`` are the steps behind the operator, None its own default.
    """

    thread_knobs: ClassVar[tuple[str, ...]] = ("oc_nthread", "h_nthread")
    _axes_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("batch", "channels", "height", "width"),
        "output": ("batch", "channels", "output height", "output width"),
    }
    join: ClassVar[AluOp | None] = None
    """What makes one of the values of a window, None without windows."""
    pad_value: ClassVar[int] = 0
    """What the host writes around the data: it changes no window."""
    channels: int
    height: int
    width: int

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bias:
            raise WorkloadError(
                f"{self._at('bias')} is true: {self.op} has none, it is a step of the epilogue, "
                'an "add" with operand "channel"'
            )

    @property
    @abstractmethod
    def own_steps(self) -> Epilogue:
        """The default epilogue."""

    @property
    def chain(self) -> Epilogue:
        """What the ALU does with a tile, spelled out."""
        return self.epilogue or self.own_steps

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        return self.height, self.width

    @property
    def taps(self) -> int:
        """Values of the data that meet in one of the output."""
        return 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates: the GEMM core has nothing to do."""
        return 0

    @property
    def operations(self) -> int:
        """Additions or comparisons, the epilogue's not counted."""
        oh, ow = self.output_size
        return self.batch * self.channels * oh * ow * self.taps

    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes; see :meth:`Workload.pack`."""
        batch, block = hardware.batch, hardware.block
        n = self._blocks("batch", self.batch, batch, "BATCH of the hardware")
        c = self._blocks("channels", self.channels, block)
        self._refuse_window()
        oh, ow = self.output_size
        output = (n, c, oh, ow, batch, block)
        shapes = PackedShapes(
            data=(n, c, self.height, self.width, batch, block),
            weight=None,
            bias=None,
            output=output,
            operands=self._operand_shapes((n, c, 1, 1, batch, block), output),
        )
        return self._addressable(shapes, self._pads)

    @property
    def _pads(self) -> tuple[int, int]:
        return 0, 0

    def _refuse_window(self) -> None:
        """Raise for a window that does not fit."""

    def padded_by_host(self, pads: tuple[int, int, int, int]) -> OnALU:
        """The operator over data with ``pads`` (top, left, bottom, right) around them.

        They take the place of its own padding.  Raises :class:`~vtacsp.errors.WorkloadError` for an
        operator without windows, and for pads that are not four numbers below the window.
        """
        del pads
        raise WorkloadError(f"{self._at('padding')} is of pools, op is {self.op}")

    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Workload symbols; see :meth:`Workload.symbols`."""
        shapes = self.pack(hardware)
        anything = INT_MAX + 1  # the host's 32-bit values, whatever they are
        return {
            "N": shapes.data[0],
            "CO": shapes.output[1],
            "H": self.height,
            "W": self.width,
            "OH": shapes.output[2],
            "OW": shapes.output[3],
            **epilogue_symbols(self.chain, hardware.log_inp_width, anything),
        }

    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extents of the split axes; see :meth:`Workload.axes`."""
        s = self.symbols(hardware)
        return {"tile_h": s["OH"], "tile_w": s["OW"], "tile_co": s["CO"]}

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        return [f"{self.channels} channels", f"{self.height}×{self.width}"]


@dataclass(frozen=True, kw_only=True)
class Pool(OnALU):
    """A window that moves over every channel by itself; the host writes the padding."""

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output, rounded down."""
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.padding, strict=True)
        oh, ow = ((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)
        return oh, ow

    @property
    def taps(self) -> int:
        """Values in a window."""
        return self.kernel[0] * self.kernel[1]

    @property
    def _pads(self) -> tuple[int, int]:
        return self.padding

    def padded_by_host(self, pads: tuple[int, int, int, int]) -> Pool:
        """See :meth:`OnALU.padded_by_host`."""
        limits = self.kernel * 2
        whole = len(pads) == len(limits) and all(type(p) is int for p in pads)
        if not whole or not all(0 <= p < k for p, k in zip(pads, limits, strict=True)):
            raise WorkloadError(
                f"{self._at('padding')} is {shortened(pads)}, allowed are four integers from 0 to "
                f"below the window of {self.kernel[0]}x{self.kernel[1]}"
            )
        top, left, bottom, right = pads
        height, width = self.height + top + bottom, self.width + left + right
        return replace(self, height=height, width=width, padding=(0, 0))

    def _refuse_window(self) -> None:
        for axis, (p, k) in enumerate(zip(self.padding, self.kernel, strict=True)):
            if p >= k:
                raise WorkloadError(
                    f"{self._at('padding')}[{axis}] is {p}; a window of {k} allows 0 to {k - 1}"
                )
        if min(self.output_size) < 1:
            raise WorkloadError(
                f"{self._at('kernel')} is {self.kernel[0]}x{self.kernel[1]}, larger than the "
                f"padded input: the output would have size "
                f"{self.output_size[0]}x{self.output_size[1]}"
            )
        if self.taps > MAX_TAPS:
            raise WorkloadError(
                f"{self._at('kernel')} is {self.kernel[0]}x{self.kernel[1]}: a program has an ALU "
                f"instruction per value of a window, at most {MAX_TAPS} are allowed"
            )

    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Workload symbols; see :meth:`Workload.symbols`."""
        window = {
            "KH": self.kernel[0],
            "KW": self.kernel[1],
            "SH": self.stride[0],
            "SW": self.stride[1],
            "PH": self.padding[0],
            "PW": self.padding[1],
        }
        return {**super().symbols(hardware), **window}

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        parts = [*super().sizes, f"{self.kernel[0]}×{self.kernel[1]} window"]
        for word, pair, usual in (("stride", self.stride, 1), ("pad", self.padding, 0)):
            if pair != (usual, usual):
                parts.append(f"{word} {'×'.join(map(str, dict.fromkeys(pair)))}")
        return parts


MAX_TAPS = 1024
