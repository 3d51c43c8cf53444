"""The manifest of a bundle: what its files hold, for which machine, and where they belong."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from vtacsp.errors import BundleError, HardwareError, WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import INSTRUCTION_BYTES, PAGE
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload

__all__ = ["BUFFERS", "FORMAT", "VERSION", "Buffer", "Launch", "Manifest"]

FORMAT = "vtacsp-bundle"
VERSION = 1
BUFFERS = ("uop", "inp", "wgt", "acc", "out")
"""What a program moves, by the memory type of its loads and stores."""
LARGEST = 1 << 31  # bytes of a buffer, and of all of them: addresses have 32 bits

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}\.bin")
_SHA = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Buffer:
    """A file and the DRAM that it stands for; ``address`` is where the program was linked to.

    Bytes.  Of ``out`` the file is what the program has to compute.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> weights = pack(program, {"kind": "template", "index": 0}).manifest.buffers["wgt"]
    >>> weights.file, weights.bytes, weights.elements
    ('wgt.bin', 4096, 16)
    """

    file: str
    bytes: int
    sha256: str
    address: int = 0
    element_bytes: int = 1

    @property
    def elements(self) -> int:
        """Elements of the memory type."""
        return self.bytes // self.element_bytes


@dataclass(frozen=True)
class Launch:
    """Instructions ``first`` to ``first + count``, which one call of the driver runs.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> (launch,) = pack(program, {"kind": "template", "index": 0}).manifest.launches
    >>> launch.first, launch.count == len(program.instructions)
    (0, True)
    """

    first: int
    count: int


@dataclass(frozen=True)
class Manifest:
    """Everything that ``manifest.json`` says.

    ``source`` is the configuration or the schedule, ``limit`` None where none is known.
    ``cut_short`` are instructions whose load the Chisel design ends early with the memory of
    ``timing``, see :attr:`vtacsp.timing.TimingResult.cut_short`.

    >>> layer = Dense(name="mine", in_features=64, out_features=64)
    >>> manifest = pack(build(layer, VTAConfig(), 0), {"kind": "template", "index": 0}).manifest
    >>> manifest.cycles == Simulator(layer).cycles(0)
    True
    >>> Manifest.from_dict(manifest.to_dict()) == manifest
    True
    """

    layer: Workload
    hardware: VTAConfig
    source: Mapping[str, Any]
    seed: int
    cycles: int
    limit: int | None
    timing: str
    instructions: Buffer
    launches: tuple[Launch, ...]
    buffers: Mapping[str, Buffer]
    made_by: Mapping[str, str] = field(default_factory=dict)
    cut_short: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        """Number of instructions."""
        return self.instructions.bytes // INSTRUCTION_BYTES

    @property
    def files(self) -> dict[str, Buffer]:
        """Every file of the bundle beside the manifest, by what it is."""
        return {"instructions": self.instructions, **self.buffers}

    def to_dict(self) -> dict[str, Any]:
        """JSON form."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "layer": self.layer.to_dict(),
            "hardware": self.hardware.to_dict(),
            "model": self.hardware.model,
            "source": dict(self.source),
            "seed": self.seed,
            "cycles": self.cycles,
            "limit": self.limit,
            "timing": self.timing,
            "cut_short": list(self.cut_short),
            "instructions": _file(self.instructions),
            "launches": [{"first": part.first, "count": part.count} for part in self.launches],
            "buffers": {
                name: {
                    **_file(buffer),
                    "address": buffer.address,
                    "element_bytes": buffer.element_bytes,
                }
                for name, buffer in self.buffers.items()
            },
            "made_by": dict(self.made_by),
        }

    @classmethod
    def from_dict(cls, data: object) -> Manifest:
        """From the JSON form.

        Raises :class:`~vtacsp.errors.BundleError`, which names the field, for anything that
        :meth:`to_dict` would not have written, but for ``cut_short``, which was not always there.
        """
        if isinstance(data, Mapping) and "cut_short" not in data:
            data = {**data, "cut_short": []}
        top = _object(data, "the manifest", _TOP)
        if top["format"] != FORMAT:
            raise _wrong("format", top["format"], repr(FORMAT))
        if top["version"] != VERSION or isinstance(top["version"], bool):
            raise _wrong("version", top["version"], f"{VERSION}, which this vtacsp reads")
        try:
            layer, hardware = workload_from_dict(top["layer"]), _machine(top["hardware"])
            multiplies = layer.pack(hardware).weight is not None
        except (WorkloadError, HardwareError) as error:
            raise BundleError(f"layer and hardware: {error}") from None
        if top["model"] != hardware.model:
            raise _wrong("model", top["model"], f"{hardware.model!r}, the name of hardware")
        limit = top["limit"]
        source = top["source"]
        if not isinstance(source, Mapping) or source.get("kind") not in ("template", "free"):
            raise _wrong("source", source, "an object with kind template or free")
        result = cls(
            layer=layer,
            hardware=hardware,
            source=source,
            seed=_integer(top["seed"], "seed", 0, (1 << 63) - 1),
            cycles=_integer(top["cycles"], "cycles", 1, (1 << 63) - 1),
            limit=None if limit is None else _integer(limit, "limit", 1, (1 << 63) - 1),
            timing=_text(top["timing"], "timing"),
            instructions=_buffer(top["instructions"], "instructions", _FILE, INSTRUCTION_BYTES),
            launches=_launches(top["launches"]),
            buffers=_buffers(top["buffers"], hardware, multiplies=multiplies),
            made_by=_made_by(top["made_by"]),
            cut_short=_numbers(top["cut_short"], "cut_short"),
        )
        result._check(top["launches"])
        return result

    def _check(self, launches: object) -> None:
        end = 0
        for place, launch in enumerate(self.launches):
            if launch.first != end:
                raise _wrong(f"launches[{place}].first", launch.first, f"{end}")
            end += launch.count
        for place, number in enumerate(self.cut_short):
            if number >= self.count:
                raise _wrong(f"cut_short[{place}]", number, f"an instruction below {self.count}")
        if end != self.count:
            raise BundleError(
                f"launches is {shortened(launches)}: they have {end} instructions, "
                f"instructions.bytes is {self.instructions.bytes}, which are {self.count}"
            )
        names = [buffer.file for buffer in self.files.values()]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise BundleError(f"file {name!r} is named twice")
        spans = sorted((b.address, b.bytes, name) for name, b in self.buffers.items())
        for (start, size, name), (after, _, other) in pairwise(spans):
            if start + size > after:
                raise BundleError(f"buffers.{name} and buffers.{other} overlap in DRAM")


Reader = Callable[[object, str], Any]

_TOP = ("format", "version", "layer", "hardware", "model", "source", "seed", "cycles", "limit",
        "timing", "cut_short", "instructions", "launches", "buffers", "made_by")  # fmt: skip
_FILE = ("file", "bytes", "sha256")
_BUFFER = (*_FILE, "address", "element_bytes")


def _file(buffer: Buffer) -> dict[str, Any]:
    return {name: getattr(buffer, name) for name in _FILE}


def _wrong(field: str, value: object, allowed: str) -> BundleError:
    return BundleError(f"{field} is {shortened(value)}, allowed is {allowed}")


def _object(data: object, where: str, names: tuple[str, ...]) -> Mapping[str, Any]:
    """An object with exactly these keys."""
    if not isinstance(data, Mapping):
        raise BundleError(f"{where} is {shortened(data)}, allowed is a JSON object")
    for name in data:
        if name not in names:
            raise BundleError(f"{where} has an unknown key {shortened(name)}")
    for name in names:
        if name not in data:
            raise BundleError(f"{name} is missing from {where}")
    return data


def _integer(value: object, where: str, low: int, high: int) -> int:
    if type(value) is not int or not low <= value <= high:
        raise _wrong(where, value, f"an integer from {low} to {high}")
    return value


def _numbers(value: object, where: str) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise _wrong(where, value, "a list of integers")
    return tuple(_integer(x, f"{where}[{place}]", 0, LARGEST) for place, x in enumerate(value))


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or len(value) > 400 or not value.isprintable():
        raise _wrong(where, value, "text of one line")
    return value


def _machine(data: object) -> VTAConfig:
    if not isinstance(data, Mapping):
        raise _wrong("hardware", data, "a JSON object")
    return VTAConfig.from_dict(data)


def _buffer(data: object, where: str, names: tuple[str, ...], element: int) -> Buffer:
    d = _object(data, where, names)
    name, digest = d["file"], d["sha256"]
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(f"{where}.file", name, "a name such as uop.bin, without a folder")
    if not isinstance(digest, str) or not _SHA.fullmatch(digest):
        raise _wrong(f"{where}.sha256", digest, "64 hexadecimal digits")
    size = _integer(d["bytes"], f"{where}.bytes", element, LARGEST)
    if size % element:
        raise _wrong(f"{where}.bytes", size, f"a multiple of {element}, the bytes of an element")
    if "address" not in d:
        return Buffer(name, size, digest)
    if d["element_bytes"] != element or isinstance(d["element_bytes"], bool):
        raise _wrong(f"{where}.element_bytes", d["element_bytes"], f"{element}, as of hardware")
    address = _integer(d["address"], f"{where}.address", PAGE, (1 << 32) - 1)
    if address % PAGE or address % element:
        raise _wrong(f"{where}.address", address, f"a multiple of {max(PAGE, element)}")
    return Buffer(name, size, digest, address, element)


def _buffers(data: object, hardware: VTAConfig, *, multiplies: bool) -> dict[str, Buffer]:
    """``multiplies`` False: what the ALU runs by itself, all of it loaded into the accumulators."""
    needed = ("uop", "inp", "wgt", "out") if multiplies else ("uop", "acc", "out")
    if not isinstance(data, Mapping):
        raise _wrong("buffers", data, "a JSON object")
    for name in data:
        if name not in BUFFERS:
            raise BundleError(f"buffers has an unknown key {shortened(name)}")
        if name not in needed and name != "acc":  # nothing need be loaded into the accumulators
            raise BundleError(f"buffers has {name}, which a layer without weights does not load")
    for name in needed:
        if name not in data:
            raise BundleError(f"{name} is missing from buffers")
    return {
        name: _buffer(data[name], f"buffers.{name}", _BUFFER, hardware.element_bytes(name))
        for name in BUFFERS
        if name in data
    }


def _launches(data: object) -> tuple[Launch, ...]:
    if not isinstance(data, list) or not data:
        raise _wrong("launches", data, "a list with a launch or more")
    parts = []
    for place, item in enumerate(data):
        where = f"launches[{place}]"
        d = _object(item, where, ("first", "count"))
        first = _integer(d["first"], f"{where}.first", 0, LARGEST)
        parts.append(Launch(first, _integer(d["count"], f"{where}.count", 1, LARGEST)))
    return tuple(parts)


def _made_by(data: object) -> dict[str, str]:
    if not isinstance(data, Mapping) or len(data) > 20:
        raise _wrong("made_by", data, "an object of names and versions")
    return {_text(name, "made_by"): _text(value, f"made_by.{name}") for name, value in data.items()}
