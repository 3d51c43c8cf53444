"""The work: what all operators share, as frozen objects."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from math import prod
from typing import Any, ClassVar

from vtacsp.epilogue.footprint import epilogue_symbols
from vtacsp.epilogue.steps import CHANNEL, DEFAULT, WITH_BIAS, Epilogue
from vtacsp.errors import WorkloadError, shortened
from vtacsp.machine import fields as isa
from vtacsp.machine.configuration import VTAConfig
from vtacsp.names import check_name

__all__ = ["ANNOTATIONS", "MAX_SIZE", "PackedShapes", "Shape", "Workload"]

Shape = tuple[int, ...]

MAX_SIZE = 2**31 - 1
"""The largest size of anything: shapes and loop extents are 32-bit integers in TVM."""

ANNOTATIONS = ("comment", "count", "hardware", "space", "valid")
"""Keys of a JSON file that are not part of the operator: kept, and no meaning for its result."""

NO_KEY = dict.fromkeys(
    ("dilation", "dilations"), "; VTA's templates have no dilation: the host computes such a layer"
)
"""What a network may have and no operator has -> why."""


@dataclass(frozen=True)
class PackedShapes:
    """Shapes of the operands in VTA's packed layout, in values.

    ``data`` (N/BATCH, CI/BLOCK, H, W, BATCH, BLOCK), ``weight`` (CO/BLOCK, CI/BLOCK, KH, KW,
    BLOCK, BLOCK), ``output`` like ``data``; dense without the spatial axes; ``bias`` is None
    for a workload without one, ``weight`` for an operator that the ALU runs by itself.
    ``operands`` are what the epilogue loads, in the order of its steps, the bias included.
    """

    data: Shape
    weight: Shape | None
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

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> layer.op, layer.pack(VTAConfig()).weight
    ('conv2d', (32, 32, 3, 3, 16, 16))
    """

    op: ClassVar[str]
    thread_knobs: ClassVar[tuple[str, ...]] = ("oc_nthread",)
    """Knobs that are a count of virtual threads, behind those of :meth:`axes`."""
    inert_batch: ClassVar[tuple[bool, tuple[str, int] | None]] = (False, None)
    """Whether ``tile_b`` changes nothing, and the value of a knob with which it does not."""
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
                why = NO_KEY.get(key, "")
                raise WorkloadError(
                    f"{self.name}: {shortened(key)} is no key of {self.op}; known are "
                    f"{', '.join(self.keys())}, and the annotations {', '.join(ANNOTATIONS)}{why}"
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

    @classmethod
    def keys(cls) -> list[str]:
        """The keys of the operator in JSON."""
        return ["op", *(spec.name for spec in fields(cls) if spec.name != "extra")]

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

    @property
    @abstractmethod
    def sizes(self) -> list[str]:
        """The sizes for people, in parts: ``64 → 128``, ``56×56``, ``3×3 kernel``."""

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
        tensors = {"data": (n, channels, *padded), "output": shapes.output[:-2]}
        if shapes.weight is not None:
            tensors["weight"] = shapes.weight[:-2]
        for name in self._axes_of:
            shape = tensors[name]
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


_NOT_SIZES = ("name", "bias", "epilogue", "extra")
_PAIRS = ("kernel", "stride", "padding", "output_padding")
