"""The machine: a VTA hardware description (``vta_config.json``) and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from vtacsp.errors import HardwareError, shortened
from vtacsp.files import read_json
from vtacsp.machine import fields as isa
from vtacsp.machine.legality import refuse_illegal
from vtacsp.names import check_name

__all__ = ["BUFFERS", "BUFFER_FIELDS", "VTAConfig"]

BUFFERS = ("uop", "inp", "wgt", "acc")
"""The scratchpads whose size the description gives; OUT shares the depth of ACC."""

BUFFER_FIELDS = {name: f"LOG_{name.upper()}_BUFF_SIZE" for name in BUFFERS}
"""Scratchpad -> key of its size in ``vta_config.json`` (log2 of bytes)."""

MAX_LOG = 31  # sizes are 32-bit integers in the stack's headers

_MODEL = re.compile(
    r"(?P<target>.+)_(?P<log_batch>\d{1,10})x(?P<log_block>\d{1,10})"
    r"_i(?P<log_inp_width>\d{1,10})w(?P<log_wgt_width>\d{1,10})a(?P<log_acc_width>\d{1,10})"
    + "".join(rf"_(?P<log_{name}_buff_size>\d{{1,10}})" for name in BUFFERS),
    re.ASCII,
)


@dataclass(frozen=True)
class VTAConfig:
    """A VTA hardware description; the default is upstream's ``vta_config.json`` for ``sim``.

    Sizes are log2: ``log_*_width`` of bits, ``log_*_buff_size`` of bytes, ``log_batch`` and
    ``log_block`` of the tensor intrinsic (BATCH x BLOCK_IN times BLOCK_OUT x BLOCK_IN).
    One scratchpad element is a tensor: INP is BATCH x BLOCK, WGT is BLOCK x BLOCK, ACC and OUT
    are BATCH x BLOCK values, UOP is 32 bits.  Source: ``hw_spec_const.h`` and ``pkg_config.py``
    of tvm-vta.  ``extra`` keeps the keys of a file that are no sizes, as annotations.

    Raises :class:`~vtacsp.errors.HardwareError` when the stack cannot build the description, and
    for a key in ``extra`` that is a size by its name (``LOG_WGT_BUF_SIZE``).

    >>> machine = VTAConfig(log_acc_buff_size=16)
    >>> machine.block, machine.depth("acc"), machine.model
    (16, 1024, 'sim_1x16_i8w8a32_15_15_18_16')
    """

    target: str = "sim"
    hw_ver: str = "0.0.2"
    log_inp_width: int = 3
    log_wgt_width: int = 3
    log_acc_width: int = 5
    log_batch: int = 0
    log_block: int = 4
    log_uop_buff_size: int = 15
    log_inp_buff_size: int = 15
    log_wgt_buff_size: int = 18
    log_acc_buff_size: int = 17
    extra: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        for key, attribute in _KEYS.items():
            value = getattr(self, attribute)
            if attribute in ("target", "hw_ver"):
                check_name(value, key, HardwareError)
            elif not isinstance(value, int) or isinstance(value, bool):
                raise HardwareError(f"{key} must be an integer (a log2), got {shortened(value)}")
            elif not 0 <= value <= MAX_LOG:
                raise HardwareError(f"{key} is {shortened(value)}, allowed are 0 to {MAX_LOG}")
        for key in self.extra:
            _refuse_misspelt(key)
        refuse_illegal(self.symbols)

    # -- the tensor intrinsic and the scratchpads

    @property
    def batch(self) -> int:
        """Rows of the tensor intrinsic (BATCH)."""
        return 1 << self.log_batch

    @property
    def block(self) -> int:
        """Channels of the tensor intrinsic (BLOCK_IN = BLOCK_OUT)."""
        return 1 << self.log_block

    @property
    def symbols(self) -> dict[str, int]:
        """Values of the hardware symbols that rules are written in (see ``vtacsp.rules``)."""
        return {key: getattr(self, attribute) for key, attribute in _INTEGER_KEYS.items()}

    def element_bytes(self, buffer: str) -> int:
        """Bytes of one element of a scratchpad (``uop``, ``inp``, ``wgt``, ``acc`` or ``out``)."""
        bits: dict[str, int] = {
            "uop": isa.UOP_BITS,
            "inp": self.batch * self.block << self.log_inp_width,
            "wgt": self.block * self.block << self.log_wgt_width,
            "acc": self.batch * self.block << self.log_acc_width,
            "out": self.batch * self.block << self.log_inp_width,
        }
        return bits[_known_buffer(buffer, bits)] // 8

    def bytes(self, buffer: str) -> int:
        """Size of a scratchpad in bytes."""
        sizes: dict[str, int] = {
            name: 1 << getattr(self, f"log_{name}_buff_size") for name in BUFFERS
        }
        sizes["out"] = (sizes["acc"] << self.log_inp_width) >> self.log_acc_width
        return sizes[_known_buffer(buffer, sizes)]

    def depth(self, buffer: str) -> int:
        """Number of elements that a scratchpad holds."""
        return self.bytes(buffer) // self.element_bytes(buffer)

    @property
    def isa_fields(self) -> dict[str, int]:
        """Widths in bits of the instruction and micro-op fields that bound a program."""
        logs = (self.depth(name).bit_length() - 1 for name in BUFFERS)
        return isa.field_widths(*logs)

    # -- the name of the machine

    @property
    def model(self) -> str:
        """What VTA calls the machine: ``sim_1x16_i8w8a32_15_15_18_17``.

        Two descriptions with one name are one machine.  Source: ``Environment.MODEL`` of
        ``vta/environment.py``, ``bitstream`` of ``pkg_config.py``.
        """
        widths = (self.log_inp_width, self.log_wgt_width, self.log_acc_width)
        sizes = "_".join(str(getattr(self, f"log_{name}_buff_size")) for name in BUFFERS)
        i, w, a = (1 << width for width in widths)
        return f"{self.target}_{self.batch}x{self.block}_i{i}w{w}a{a}_{sizes}"

    @staticmethod
    def is_model(name: str) -> bool:
        """Whether a name has the form of :attr:`model`."""
        return _MODEL.fullmatch(name) is not None

    @classmethod
    def from_model(cls, model: str) -> VTAConfig:
        """The machine of a name (:attr:`model`).

        Raises :class:`~vtacsp.errors.HardwareError` for a name of another form, or of sizes that
        make no machine.
        """
        match = _MODEL.fullmatch(model)
        if match is None:
            raise HardwareError(
                f"{model[:80]!r} does not name a VTA machine, as {cls().model} would"
            )
        sizes = match.groupdict()
        target = sizes.pop("target")
        logs: dict[str, Any] = {name: int(size) for name, size in sizes.items()}
        for name, size in logs.items():
            if name.endswith("_buff_size"):
                continue  # is a log2 already
            if size < 1 or size & (size - 1):
                key = name.upper()
                raise HardwareError(f"machine {model[:80]}: 2^{key} is {size}, no power of 2")
            logs[name] = size.bit_length() - 1
        try:
            return cls(target=target, **logs)
        except HardwareError as error:
            raise HardwareError(f"machine {model[:80]}: {error}") from None

    # -- files

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> VTAConfig:
        """From the parsed content of a ``vta_config.json``.

        Sizes that upstream derives (:attr:`derived`) may be there and have to be what it derives.
        Other keys are annotations and are kept in ``extra``.
        """
        if not isinstance(data, Mapping):
            raise HardwareError(f"a hardware description is a JSON object, got {shortened(data)}")
        for key in _KEYS:
            if key not in data:
                raise HardwareError(f"{key} is missing from the hardware description")
        known = {attribute: data[key] for key, attribute in _KEYS.items()}
        others = {k: v for k, v in data.items() if k not in _KEYS and k not in _DERIVED}
        machine = cls(**known, extra=others)
        for key, value in machine.derived.items():
            given = data.get(key, value)
            if given != value or isinstance(given, bool):
                raise HardwareError(
                    f"{key} is {shortened(given)}: the stack derives {value} from {_DERIVED[key]}; "
                    "leave it out"
                )
        return machine

    @classmethod
    def load(cls, path: str | Path) -> VTAConfig:
        """Read a ``vta_config.json``."""
        data = read_json(path, HardwareError)
        try:
            return cls.from_dict(data)
        except HardwareError as error:
            raise HardwareError(f"{path}: {error}") from None

    @property
    def derived(self) -> dict[str, int]:
        """Sizes that follow from the others (``pkg_config.py``), by key of old descriptions."""
        out = self.log_acc_buff_size + self.log_inp_width - self.log_acc_width
        values = (self.log_block, self.log_block, self.log_inp_width, out)
        return dict(zip(_DERIVED, values, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The content of a ``vta_config.json``, annotations included."""
        return {**{k: getattr(self, a) for k, a in _KEYS.items()}, **self.extra}

    def replace(self, **sizes: int) -> VTAConfig:
        """A copy with other values, by ``vta_config.json`` key (``LOG_ACC_BUFF_SIZE=18``)."""
        for key in sizes:
            if key not in _KEYS:
                raise HardwareError(f"unknown key {key:.60}; known are {', '.join(_KEYS)}")
        return self.from_dict({**self.to_dict(), **sizes})

    def __str__(self) -> str:
        sizes = "/".join(str(getattr(self, f"log_{name}_buff_size")) for name in BUFFERS)
        return f"{self.batch}x{self.block}, LOG_*_BUFF_SIZE {sizes} (uop/inp/wgt/acc)"


def _known_buffer(name: str, known: Mapping[str, int]) -> str:
    if name not in known:
        raise HardwareError(f"unknown scratchpad {shortened(name)}; known are {', '.join(known)}")
    return name


def _refuse_misspelt(key: object) -> None:
    """An annotation that reads like a size or a required key would be a size that is ignored."""
    plain = str(key).strip().upper().replace("-", "_")
    if plain.startswith("LOG_") or plain in _KEYS:
        raise HardwareError(f"unknown key {shortened(key)}; known are {', '.join(_KEYS)}")


_KEYS = {f.name.upper(): f.name for f in fields(VTAConfig) if f.name != "extra"}
_INTEGER_KEYS = {k: a for k, a in _KEYS.items() if a.startswith("log_")}
_DERIVED = {
    "LOG_BLOCK_IN": "LOG_BLOCK",
    "LOG_BLOCK_OUT": "LOG_BLOCK",
    "LOG_OUT_WIDTH": "LOG_INP_WIDTH",
    "LOG_OUT_BUFF_SIZE": "LOG_ACC_BUFF_SIZE, LOG_INP_WIDTH and LOG_ACC_WIDTH",
}
