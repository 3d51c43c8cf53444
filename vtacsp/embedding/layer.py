"""A layer as a network has it: nothing in blocks, four paddings, any groups."""

from __future__ import annotations

from dataclasses import dataclass, fields

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import WorkloadError, shortened
from vtacsp.names import check_name
from vtacsp.operators.registry import OPERATORS, has_part, part
from vtacsp.operators.workload import MAX_SIZE, Workload

__all__ = ["UnpackedLayer"]

_LENGTHS = {"kernel": 2, "stride": 2, "padding": 4, "dilation": 2}


@dataclass(frozen=True, kw_only=True)
class UnpackedLayer:
    """A convolution, or a fully connected layer when ``dense``.

    Data are int8 (batch, in_channels, height, width), weights (out_channels, in_channels / groups,
    *kernel), the output (batch, out_channels, *output_size); of a dense layer (batch, in_channels),
    (out_channels, in_channels) and (batch, out_channels).  ``padding`` is (top, left, bottom,
    right), as in ONNX and Relay, and filled with ``pad_value`` (the zero point of the data).
    ``bias`` and ``epilogue`` as in a workload.

    Raises :class:`~vtacsp.errors.WorkloadError` naming the field for a value out of range, and for
    a dilation, which VTA does not have.

    >>> size = {"height": 8, "width": 8, "kernel": (3, 3), "stride": (2, 2)}
    >>> rgb = UnpackedLayer(in_channels=3, out_channels=16, **size)
    >>> rgb.output_shape, rgb.macs
    ((1, 16, 3, 3), 3888)
    """

    name: str = "layer"
    batch: int = 1
    in_channels: int
    height: int = 1
    width: int = 1
    out_channels: int
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    pad_value: int = 0
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    dense: bool = False
    bias: bool = False
    epilogue: Epilogue | None = None

    def __post_init__(self) -> None:
        check_name(self.name, "name", WorkloadError)
        for spec in fields(self):
            value = getattr(self, spec.name)
            if spec.name in ("name", "dense", "bias", "epilogue"):
                continue
            wanted = _LENGTHS.get(spec.name)
            if wanted and (not isinstance(value, tuple) or len(value) != wanted):
                self._refuse(spec.name, value, f"{wanted} integers")
            low = -128 if spec.name == "pad_value" else int(spec.name != "padding")
            high = 127 if spec.name == "pad_value" else MAX_SIZE
            for number in value if wanted else (value,):
                whole = isinstance(number, int) and not isinstance(number, bool)
                if not whole or not low <= number <= high:
                    self._refuse(spec.name, number, f"{low} to {high}")
        if self.dilation != (1, 1):
            raise WorkloadError(
                f"{self.name}: dilation is {self.dilation[0]}x{self.dilation[1]}, must be 1x1: "
                "VTA's templates have no dilated convolution (upstream asserts it), and a kernel "
                "with zeros between its taps would multiply them too"
            )
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise WorkloadError(
                f"{self.name}: groups is {self.groups}, which does not divide {self.in_channels} "
                f"input and {self.out_channels} output channels"
            )
        if self.dense and (self.height, self.width, self.kernel, self.groups) != (1, 1, (1, 1), 1):
            raise WorkloadError(f"{self.name}: a dense layer has no image, kernel or groups")
        if min(self.output_size) < 1:
            raise WorkloadError(
                f"{self.name}: kernel is {self.kernel[0]}x{self.kernel[1]}, larger than the "
                f"padded input: the output would have size "
                f"{self.output_size[0]}x{self.output_size[1]}"
            )

    def _refuse(self, field: str, value: object, allowed: str) -> None:
        raise WorkloadError(f"{self.name}: {field} is {shortened(value)}, allowed are {allowed}")

    @classmethod
    def of(cls, workload: Workload) -> UnpackedLayer:
        """The layer of a workload that may not fill blocks.

        Raises :class:`~vtacsp.errors.WorkloadError` for an operator that is not embedded:
        transposed convolutions, and what runs on the ALU.
        """
        if not has_part(workload.op, "embedding"):
            *most, last = (op for op in OPERATORS if has_part(op, "embedding"))
            raise WorkloadError(
                f"{workload.name}: op is {workload.op}, embedded are {', '.join(most)} and {last}"
            )
        return cls(
            name=workload.name,
            batch=workload.batch,
            bias=workload.bias,
            epilogue=workload.epilogue,
            **part(workload.op, "embedding").sizes(workload),
        )

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        top, left, bottom, right = self.padding
        sizes = (self.height + top + bottom, self.width + left + right)
        oh, ow = (
            (size - k) // s + 1 for size, k, s in zip(sizes, self.kernel, self.stride, strict=True)
        )
        return oh, ow

    @property
    def macs(self) -> int:
        """Multiply-accumulates of the layer, its own padding included."""
        oh, ow = self.output_size
        taps = self.kernel[0] * self.kernel[1] * self.in_channels // self.groups
        return self.batch * self.out_channels * oh * ow * taps

    @property
    def data_shape(self) -> tuple[int, ...]:
        """Shape of the data."""
        shape = (self.batch, self.in_channels, self.height, self.width)
        return shape[:2] if self.dense else shape

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights."""
        shape = (self.out_channels, self.in_channels // self.groups, *self.kernel)
        return shape[:2] if self.dense else shape

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        shape = (self.batch, self.out_channels, *self.output_size)
        return shape[:2] if self.dense else shape
