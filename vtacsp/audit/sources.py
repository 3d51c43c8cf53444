"""What can be audited: bundles, binary streams, dumps of VTA's runtime."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from vtacsp.audit.dump import is_dump, parse_dump
from vtacsp.audit.target import Region, Target, launches_of
from vtacsp.bundle import Bundle
from vtacsp.bundle.bundle import MANIFEST
from vtacsp.errors import AuditError, shortened
from vtacsp.files import open_input
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import INSTRUCTION_BYTES, PAGE
from vtacsp.machine.instructions import Memory, decode, unpack_micro_ops
from vtacsp.program import Program

__all__ = ["load", "of_bundle", "of_program"]

MOST_INSTRUCTIONS = 1 << 20
MOST_MICRO_OPS = 1 << 22
UNBOUNDED = 1 << 62  # the end of a buffer whose size is not known

_STREAM = re.compile(r"instructions?(?P<suffix>.*)\.bin", re.S)
_DATA = {  # memory type -> file of standalone-vta that holds all of the buffer
    "inp": "input",
    "wgt": "weight",
    "acc": "accumulator",
    "acc_bis": "add_accumulator",
}


def load(
    path: str | Path, hardware: VTAConfig | None = None, micro_ops: str | Path | None = None
) -> Target:
    """What lies at a path.

    A folder is a bundle, or holds ``instructions.bin`` and ``uop.bin`` (with one suffix between
    name and ending, both or none).  A file is such a stream, with micro-ops beside it or in the
    file ``micro_ops``, or the text of a dump.  ``hardware`` is the machine of a stream, the default
    one when not given; a bundle knows its own.

    Raises :class:`~vtacsp.errors.AuditError` for what is none of these, and
    :class:`~vtacsp.errors.BundleError` for a bundle that is damaged.

    The folder of a bundle; the binary files of another compiler are read alike:

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> pack(program, {"kind": "template", "index": 0}).save("bundle")
    >>> target = load("bundle")
    >>> len(target.instructions), audit(target).clean
    (82, True)
    """
    if str(path) == "":
        raise AuditError("FILE is empty, it has to name a bundle, a stream or a dump")
    place = Path(path)
    try:
        folder = place.is_dir()
        bundled = folder and (place / MANIFEST).exists()
    except (OSError, ValueError) as failure:
        raise AuditError(f"cannot read {shortened(str(path))}: {failure}") from failure
    if bundled:
        if micro_ops is not None:
            raise AuditError(f"{path} is a bundle, which has its micro-ops: leave the others out")
        return _load_bundle(place, hardware)
    if folder:
        place = _stream_in(place)
    content = _read(place, MOST_INSTRUCTIONS * INSTRUCTION_BYTES)
    machine = hardware or VTAConfig()
    remarks = () if hardware is not None else (f"machine: the default one, {machine.model}",)
    if is_dump(content):
        if micro_ops is not None:
            raise AuditError(f"{path} is a dump, whose micro-ops are in it")
        return parse_dump(content, str(path), machine, remarks)
    return _of_stream(place, content, machine, micro_ops, remarks)


def of_program(program: Program) -> Target:
    """A program of this package, without its data: its buffers lie one after the other.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> audit(of_program(program)).clean
    True
    """
    hardware = program.hardware
    uops = np.concatenate([segment.micro_ops for segment in program.segments])
    sizes = {"uop": len(uops), **program.dram}
    bases: dict[str, int] = {}
    regions, end = [], PAGE
    for name, elements in sizes.items():
        size = hardware.element_bytes(name)
        address = -(-end // max(PAGE, size)) * max(PAGE, size)
        regions.append(Region(Memory[name.upper()], address, elements * size))
        end = address + elements * size
        bases[name] = address
    return Target(
        name=program.workload.name,
        hardware=hardware,
        instructions=program.linked(bases, one_image=True),
        micro_ops=uops,
        launches=tuple((segment.start, segment.stop) for segment in program.segments),
        image=regions[0].address // hardware.element_bytes("uop"),
        regions=regions,
        complete=True,
        held=(0, 0, int(program.waits), 0),
    )


def of_bundle(bundle: Bundle, name: str) -> Target:
    """A bundle, which also says what is right."""
    machine, manifest = bundle.hardware, bundle.manifest
    regions = [
        Region(Memory[name.upper()], buffer.address, buffer.bytes)
        for name, buffer in manifest.buffers.items()
    ]
    return Target(
        name=name,
        hardware=machine,
        instructions=bundle.instructions,
        micro_ops=bundle.micro_ops,
        launches=tuple((part.first, part.first + part.count) for part in manifest.launches),
        image=manifest.buffers["uop"].address // machine.element_bytes("uop"),
        words=bundle.words,
        regions=regions,
        complete=True,
        bundle=bundle,
    )


def _load_bundle(folder: Path, hardware: VTAConfig | None) -> Target:
    bundle = Bundle.load(folder)
    machine = bundle.hardware
    if hardware is not None and hardware.symbols != machine.symbols:
        raise AuditError(
            f"{folder} is for {machine.model}, --hardware describes {hardware.model}: "
            "a bundle is audited on its own machine"
        )
    return of_bundle(bundle, str(folder))


def _stream_in(folder: Path) -> Path:
    """The only stream of a folder."""
    try:
        found = sorted(path for path in folder.iterdir() if _STREAM.fullmatch(path.name))
    except OSError as failure:
        raise AuditError(f"cannot read {folder}: {failure.strerror or failure}") from failure
    if len(found) != 1:
        what = "no instructions.bin and no manifest.json" if not found else (
            f"{len(found)} streams: name one of them, such as {found[0].name}"
        )  # fmt: skip
        raise AuditError(f"{folder} has {what}")
    return found[0]


def _read(path: Path, most: int) -> bytes:
    with open_input(path, AuditError) as file:
        try:
            content = file.read(most + 1)
        except OSError as failure:
            raise AuditError(f"cannot read {path}: {failure.strerror or failure}") from failure
    if len(content) > most:
        raise AuditError(f"{path} has more than {most:,} bytes")
    return content


def _of_stream(
    path: Path,
    content: bytes,
    machine: VTAConfig,
    micro_ops: str | Path | None,
    remarks: tuple[str, ...],
) -> Target:
    if not content or len(content) % INSTRUCTION_BYTES:
        raise AuditError(
            f"{path} has {len(content):,} bytes, which are no whole number of "
            f"{INSTRUCTION_BYTES}-byte instructions"
        )
    words = np.frombuffer(content, dtype="<u8").reshape(-1, 2)
    instructions = decode(words, machine)
    match = _STREAM.fullmatch(path.name)
    suffix = match["suffix"] if match else None
    if micro_ops is None and suffix is not None and (path.parent / f"uop{suffix}.bin").exists():
        micro_ops = path.parent / f"uop{suffix}.bin"
    if micro_ops is None:
        raise AuditError(f"{path} has no uop.bin beside it: name its micro-ops with --micro-ops")
    image = _read(Path(micro_ops), 4 * MOST_MICRO_OPS)
    if len(image) % 4:
        raise AuditError(f"{micro_ops} has {len(image):,} bytes, no whole number of micro-ops")
    base, regions = -1, []
    table = path.parent / f"memory_addresses{suffix}.csv"
    if suffix is not None and table.exists():
        addresses = dict(_addresses(table))
        base = addresses["uop"] // 4 if "uop" in addresses else -1
        regions = list(_regions(addresses, path.parent, suffix, len(image)))
    else:
        remarks = (*remarks, "the sizes of the buffers in DRAM are not known, so not checked")
    target = Target(
        name=str(path),
        hardware=machine,
        instructions=instructions,
        micro_ops=unpack_micro_ops(np.frombuffer(image, dtype="<u4"), machine),
        launches=launches_of(instructions),
        image=base,
        words=words,
        regions=regions,
        remarks=remarks,
    )
    return target if base >= 0 else _guess_image(target)


def _guess_image(target: Target) -> Target:
    """The micro-ops where the first load of some takes its lowest one from."""
    loads = target.moves(Memory.UOP)
    base = int(target.instructions["dram_base"][loads].min()) if loads.any() else 0
    remark = f"micro-ops: assumed from DRAM element {base:#x} on, the lowest that is loaded"
    return replace(target, image=base, remarks=(*target.remarks, remark))


def _addresses(path: Path) -> Iterator[tuple[str, int]]:
    """Byte addresses by name; 0 stands for one that is not said."""
    text = _read(path, 1 << 20).decode("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.split(",")]
        if cells == [""]:
            continue
        try:
            name, address = cells[0].lower(), int(cells[1], 16)
        except (IndexError, ValueError):
            raise AuditError(f"{path}:{number} is {shortened(line)}, no name and address") from None
        if not 0 <= address < 1 << 40:
            raise AuditError(f"{path}:{number}: address {shortened(cells[1])} is out of range")
        if address:
            yield name, address


def _regions(
    addresses: Mapping[str, int], folder: Path, suffix: str, image: int
) -> Iterator[Region]:
    """The buffers of a table of addresses; each ends with its file, else where the next begins."""
    for name, address in addresses.items():
        memory = name.partition("_")[0].upper()
        if memory not in Memory.__members__:
            continue
        later = [other for other in addresses.values() if other > address]
        size = min(later) - address if later else UNBOUNDED
        if name == "uop":
            size = image
        elif name in _DATA and (folder / f"{_DATA[name]}{suffix}.bin").is_file():
            size = (folder / f"{_DATA[name]}{suffix}.bin").stat().st_size or size
        yield Region(Memory[memory], address, size)
