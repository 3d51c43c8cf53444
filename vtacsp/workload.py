"""The work: the four operators that VTA's AutoTVM templates schedule, as frozen objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import prod
from pathlib import Path
from typing import Any, ClassVar

from vtacsp import isa
from vtacsp.epilogue import CHANNEL, DEFAULT, WITH_BIAS, Epilogue
from vtacsp.errors import WorkloadError, shortened
from vtacsp.files import read_json
from vtacsp.footprint import epilogue_symbols
from vtacsp.hardware import VTAConfig
from vtacsp.names import check_name

__all__ = [
    "ANNOTATIONS",
    "MAX_SIZE",
    "Conv2D",
    "Conv2DTranspose",
    "Dense",
    "GroupConv2D",
    "Workload",
    "load_workloads",
    "workload_from_dict",
    "workloads_from",
]

Shape = tuple[int, ...]

MAX_SIZE = 2**31 - 1
"""The largest size of anything: shapes and loop extents are 32-bit integers in TVM."""

ANNOTATIONS = ("comment", "count", "hardware", "space", "valid")
"""Keys of a JSON file that are not part of the operator: kept, and no meaning for its result."""


@dataclass(frozen=True)
class PackedShapes:
    """Shapes of the operands in VTA's packed layout, in values.

    ``data`` (N/BATCH, CI/BLOCK, H, W, BATCH, BLOCK), ``weight`` (CO/BLOCK, CI/BLOCK, KH, KW,
    BLOCK, BLOCK), ``output`` like ``data``; dense without the spatial axes; ``bias`` is None
    for a workload without one.  ``operands`` are what the epilogue loads, in the order of its
    steps, the bias included.
    """

    data: Shape
    weight: Shape
    bias: Shape | None
    output: Shape
    operands: tuple[Shape, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Workload(ABC):
    """What all operators share; see the subclasses.

    Sizes are 1 to :data:`MAX_SIZE`, paddings may be 0.  ``epilogue`` is what happens to the 32-bit
    sums; None is the one of VTA's tuning scripts, with or without a ``bias``.  ``extra`` keeps the
    annotations of a JSON file, whose keys are :data:`ANNOTATIONS`.
    Raises :class:`~vtacsp.errors.WorkloadError` for a value out of range and for another key.
    """

    op: ClassVar[str]
    _axes_of: ClassVar[dict[str, tuple[str, ...]]]
    name: str = "workload"
    batch: int = 1
    bias: bool = False
    epilogue: Epilogue | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        check_name(self.name, "name", WorkloadError)
        for spec in fields(self):
            if spec.name in _NOT_SIZES:
                continue
            value = getattr(self, spec.name)
            if isinstance(value, list):
                value = tuple(value)
                object.__setattr__(self, spec.name, value)
            pair = spec.name in _PAIRS
            if pair and not (isinstance(value, tuple) and len(value) == 2):
                raise WorkloadError(
                    f"{self._at(spec.name)} must be a pair of integers, got {shortened(value)}"
                )
            least = 0 if "padding" in spec.name else 1
            for number in value if pair else (value,):
                if not isinstance(number, int) or isinstance(number, bool) or number < least:
                    raise WorkloadError(
                        f"{self._at(spec.name)} must be an integer of at least {least}, "
                        f"got {shortened(number)}"
                    )
                if number > MAX_SIZE:
                    raise WorkloadError(
                        f"{self._at(spec.name)} is {shortened(number)}, "
                        f"allowed are {least} to {MAX_SIZE}"
                    )
        if not isinstance(self.bias, bool):
            raise WorkloadError(
                f"{self._at('bias')} must be true or false, got {shortened(self.bias)}"
            )
        for key in self.extra:
            if key not in ANNOTATIONS:
                raise WorkloadError(
                    f"{self.name}: {shortened(key)} is no key of {self.op}; known are "
                    f"{', '.join(_keys(type(self)))}, and the annotations {', '.join(ANNOTATIONS)}"
                )
        if self.epilogue is not None:
            self._check_epilogue()

    def _check_epilogue(self) -> None:
        if not isinstance(self.epilogue, Epilogue):
            raise WorkloadError(
                f"{self._at('epilogue')} must be an Epilogue, got {shortened(self.epilogue)}"
            )
        if self.bias:
            raise WorkloadError(
                f"{self._at('bias')} is true: with an epilogue it is a step of that, "
                'an "add" with operand "channel"'
            )

    def _at(self, field_name: str) -> str:
        return f"{self.name}: {field_name}"

    @property
    def chain(self) -> Epilogue:
        """The epilogue, spelled out."""
        return self.epilogue or (WITH_BIAS if self.bias else DEFAULT)

    @property
    @abstractmethod
    def macs(self) -> int:
        """Multiply-accumulates of the operator (of the mathematical one, padding included)."""

    @property
    def operations(self) -> int:
        """Arithmetic operations, two per multiply-accumulate, as AutoTVM counts them."""
        return 2 * self.macs

    @abstractmethod
    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes on this hardware.

        Raises :class:`~vtacsp.errors.WorkloadError` with the one reason when the operator
        cannot be packed or upstream would compute something else.
        """

    @abstractmethod
    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Values of the workload symbols that rules are written in (channels in blocks)."""

    @abstractmethod
    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extent of the axis that each split knob splits, in knob order."""

    def to_dict(self) -> dict[str, Any]:
        """JSON form, the schema of the suites."""
        data: dict[str, Any] = {"name": self.name, "op": self.op}
        for spec in fields(self):
            if spec.name in _NOT_SIZES:
                continue
            value = getattr(self, spec.name)
            data[spec.name] = list(value) if isinstance(value, tuple) else value
        data["bias"] = self.bias
        if self.epilogue is not None:
            data["epilogue"] = self.epilogue.to_list()
        return {**data, **self.extra}

    def _epilogue_symbols(self, hardware: VTAConfig, products: int) -> dict[str, int]:
        """Symbols of the epilogue behind sums of so many products."""
        signs = 2  # a product of two values needs a bit less than both together
        bits = (1 << hardware.log_inp_width) + (1 << hardware.log_wgt_width) - signs
        return epilogue_symbols(self.chain, hardware.log_inp_width, products << bits)

    def _operand_shapes(self, channel: Shape, output: Shape) -> tuple[Shape, ...]:
        return tuple(channel if kind == CHANNEL else output for kind in self.chain.operands)

    def _blocks(self, field_name: str, value: int, block: int, unit: str = "block") -> int:
        if value % block:
            raise WorkloadError(
                f"{self._at(field_name)} is {value}, not a multiple of the {unit} ({block})"
            )
        return value // block

    def _addressable(self, shapes: PackedShapes, padding: Shape = ()) -> PackedShapes:
        """The shapes; an element, which a DRAM address counts, is the two innermost axes."""
        n, channels, *image = shapes.data[:-2]
        padded = [size + 2 * p for size, p in zip(image, padding, strict=True)]
        tensors = {"weight": shapes.weight[:-2], "output": shapes.output[:-2]}
        for name, shape in {"data": (n, channels, *padded), **tensors}.items():
            if prod(shape) > 1 << isa.DRAM_ADDRESS:
                largest = self._axes_of[name][shape.index(max(shape))]
                padded_by = " with its padding" if name == "data" and any(padding) else ""
                raise WorkloadError(
                    f"{self._at(largest)} is too large: the {name}{padded_by} would have "
                    f"{' x '.join(map(str, shape))} scratchpad elements, a DRAM address "
                    f"({isa.DRAM_ADDRESS} bits) reaches {1 << isa.DRAM_ADDRESS}"
                )
        return shapes

    def _require_bytes(self, key: str, log_width: int) -> None:
        if log_width != 3:
            raise WorkloadError(
                f"{self._at('op')} is {self.op}: upstream asserts 8-bit values there, "
                f"{key} is {log_width} and must be 3"
            )


@dataclass(frozen=True, kw_only=True)
class _Spatial(Workload):
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
            "CI": shapes.weight[1],
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


@dataclass(frozen=True, kw_only=True)
class Conv2D(_Spatial):
    """2-D convolution, NCHW: data (batch, in_channels, height, width)."""

    op: ClassVar[str] = "conv2d"

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        sizes = zip((self.height, self.width), self.kernel, self.stride, self.padding, strict=True)
        oh, ow = ((size + 2 * p - k) // s + 1 for size, k, s, p in sizes)
        return oh, ow


@dataclass(frozen=True, kw_only=True)
class GroupConv2D(Conv2D):
    """Grouped 2-D convolution; ``groups`` divides both channel counts."""

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


@dataclass(frozen=True, kw_only=True)
class Conv2DTranspose(_Spatial):
    """Transposed 2-D convolution (the gradient of a convolution with ``stride``)."""

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


@dataclass(frozen=True, kw_only=True)
class Dense(Workload):
    """Fully connected layer: (batch, in_features) times (out_features, in_features)^T."""

    op: ClassVar[str] = "dense"
    _axes_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("batch", "in_features"),
        "weight": ("out_features", "in_features"),
        "output": ("batch", "out_features"),
    }
    in_features: int
    out_features: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates: every output value is a dot product over in_features."""
        return self.batch * self.in_features * self.out_features

    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes; see :meth:`Workload.pack`."""
        batch, block = hardware.batch, hardware.block
        n = self._blocks("batch", self.batch, batch, "BATCH of the hardware")
        ci = self._blocks("in_features", self.in_features, block)
        co = self._blocks("out_features", self.out_features, block)
        output = (n, co, batch, block)
        shapes = PackedShapes(
            data=(n, ci, batch, block),
            weight=(co, ci, block, block),
            bias=output if self.bias else None,
            output=output,
            operands=self._operand_shapes(output, output),
        )
        return self._addressable(shapes)

    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Workload symbols; see :meth:`Workload.symbols`."""
        shapes = self.pack(hardware)
        n, ci, co = shapes.data[0], shapes.data[1], shapes.output[1]
        epilogue = self._epilogue_symbols(hardware, self.in_features)
        return {"N": n, "CI": ci, "CO": co, **epilogue}

    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extents of the split axes; see :meth:`Workload.axes`."""
        s = self.symbols(hardware)
        return {"tile_b": s["N"], "tile_ci": s["CI"], "tile_co": s["CO"]}


_NOT_SIZES = ("name", "bias", "epilogue", "extra")
_OPTIONAL = ("name", "bias", "epilogue", "stride", "padding", "output_padding")
_PAIRS = ("kernel", "stride", "padding", "output_padding")
_OPERATORS: dict[str, type[Workload]] = {
    cls.op: cls for cls in (Conv2D, GroupConv2D, Conv2DTranspose, Dense)
}


def workload_from_dict(data: Mapping[str, Any]) -> Workload:
    """A workload from its JSON form; annotations are kept in ``extra``.

    Raises :class:`~vtacsp.errors.WorkloadError` naming the operator, the missing or unknown key,
    or the value that is out of range.
    """
    if not isinstance(data, Mapping):
        raise WorkloadError(f"a workload is a JSON object, got {shortened(data)}")
    name = data.get("name", "workload")
    check_name(name, "name", WorkloadError)
    if "op" not in data:
        raise WorkloadError(f"{name}: op is missing, known are {', '.join(_OPERATORS)}")
    op = data["op"]
    if not isinstance(op, str) or op not in _OPERATORS:
        raise WorkloadError(f"{name}: op is {shortened(op)}, known are {', '.join(_OPERATORS)}")
    cls = _OPERATORS[op]
    known = _keys(cls)
    for key in known:
        if key not in data and key not in _OPTIONAL:
            raise WorkloadError(f"{name}: {key} is missing")
    values = {key: data[key] for key in known if key in data and key != "op"}
    if values.get("epilogue") is not None:
        try:
            values["epilogue"] = Epilogue.from_list(values["epilogue"])
        except WorkloadError as error:
            raise WorkloadError(f"{name}: {error}") from None
    return cls(**values, extra={key: value for key, value in data.items() if key not in known})


def load_workloads(path: str | Path) -> list[Workload]:
    """Workloads of a JSON file that holds one workload or a list of them.

    A workload of a list that has no name gets its number, ``workload2``.  Names say which layer
    a row, a record or a picture is about: a name that is there twice is refused.  Raises
    :class:`~vtacsp.errors.WorkloadError` naming the file.
    """
    return workloads_from(read_json(path, WorkloadError), path)


def workloads_from(data: Any, path: str | Path) -> list[Workload]:
    """The same from the JSON value of a file; ``path`` is what messages call it."""
    if not isinstance(data, list):
        return [_from_file(data, str(path))]
    if not data:
        raise WorkloadError(f"{path} holds no workload")
    workloads: dict[str, Workload] = {}
    for number, item in enumerate(data, 1):
        where = f"{path}, workload {number}"
        unnamed = isinstance(item, Mapping) and "name" not in item
        named = {**item, "name": f"workload{number}"} if unnamed else item
        workload = _from_file(named, where)
        if workload.name in workloads:
            raise WorkloadError(f"{where}: the name {workload.name} is there twice")
        workloads[workload.name] = workload
    return list(workloads.values())


def _from_file(item: Any, where: str) -> Workload:
    try:
        return workload_from_dict(item)
    except WorkloadError as error:
        raise WorkloadError(f"{where}: {error}") from None


def _keys(cls: type[Workload]) -> list[str]:
    """The keys of an operator in JSON."""
    return ["op", *(spec.name for spec in fields(cls) if spec.name != "extra")]
