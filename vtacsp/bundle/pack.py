"""From a program to a bundle: what lies in DRAM, at addresses of its own."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from vtacsp import __version__
from vtacsp.arrays import Integers
from vtacsp.bundle.bundle import Bundle
from vtacsp.bundle.manifest import BUFFERS, LARGEST, Buffer, Launch, Manifest
from vtacsp.epilogue.program import operand_bases
from vtacsp.errors import BundleError
from vtacsp.functional.reference import random_operands, reference, value_type
from vtacsp.machine.fields import PAGE
from vtacsp.machine.instructions import pack_micro_ops
from vtacsp.operators import registry
from vtacsp.operators.operands import Operands
from vtacsp.program import Program, encode
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import simulate_timing

__all__ = ["pack"]

_FILES = {"out": "expected.bin"}


def pack(
    program: Program,
    source: Mapping[str, Any],
    *,
    seed: int = 0,
    timing: TimingModel = RTL,
    limit: int | None = None,
) -> Bundle:
    """The bundle of a program, with operands drawn from ``seed``.

    ``source`` says what it was made from; its ``kind`` is ``template`` or ``free``.  The cycles
    are those of the timing simulator.  Raises :class:`~vtacsp.errors.BundleError` for a program
    that waits for a token of the one before, and for one whose data need more than 2 GiB.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> bundle = pack(program, {"kind": "template", "index": 0}, seed=1)
    >>> {name: file.bytes for name, file in bundle.manifest.files.items()}
    {'instructions': 1312, 'uop': 20, 'inp': 64, 'wgt': 4096, 'out': 64}
    """
    if program.waits:
        raise BundleError("the program waits for a token of the one before: it cannot run alone")
    hardware = program.hardware
    content = _images(program, random_operands(program.workload, hardware, seed))
    buffers, end = {}, PAGE
    for name in BUFFERS:
        if not content[name]:
            continue
        element = hardware.element_bytes(name)
        page = max(PAGE, element)
        end = -(-end // page) * page
        file = _FILES.get(name, f"{name}.bin")
        size = len(content[name])
        buffers[name] = Buffer(file, size, _digest(content[name]), end, element)
        end += size
    if end > LARGEST:
        raise BundleError(f"{program.workload.name}: its data need {end:,} bytes of 2 GiB")
    content["instructions"] = _link(program, buffers)
    timed = simulate_timing(program, timing)
    stream = content["instructions"]
    manifest = Manifest(
        layer=program.workload,
        hardware=hardware,
        source=source,
        seed=seed,
        cycles=timed.cycles,
        limit=limit,
        timing=timing.note,
        instructions=Buffer("instructions.bin", len(stream), _digest(stream)),
        launches=tuple(Launch(part.start, part.stop - part.start) for part in program.segments),
        buffers=buffers,
        made_by={
            "vtacsp": __version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        cut_short=timed.cut_short,
    )
    return Bundle(manifest, {name: content[name] for name in manifest.files})


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _link(program: Program, buffers: Mapping[str, Buffer]) -> bytes:
    """The binary stream; its DRAM addresses are those of the buffers."""
    bases = {name: buffer.address for name, buffer in buffers.items()}
    instructions = program.linked(bases, one_image=True)
    return encode(instructions, program.hardware).astype("<u8").tobytes()


def _images(program: Program, operands: Operands) -> dict[str, bytes]:
    """What lies in DRAM, by memory type; of the output, what it has to be in the end."""
    hardware, workload = program.hardware, program.workload
    data = registry.part(workload.op, "reference").as_loaded(workload, operands.data)
    uops = np.concatenate([part.micro_ops for part in program.segments])
    loaded, inp, wgt = operands.loaded, b"", b""
    if operands.weight is None:
        loaded = (data, *loaded)  # what the ALU runs by itself is loaded into ACC
    else:
        inp = _bytes(data, hardware.log_inp_width)
        wgt = _bytes(operands.weight, hardware.log_wgt_width)
    return {
        "uop": pack_micro_ops(uops, hardware).astype("<u4").tobytes(),
        "inp": inp,
        "wgt": wgt,
        "acc": _loaded(program, loaded),
        "out": _bytes(reference(workload, hardware, operands), hardware.log_inp_width),
    }


def _bytes(values: np.ndarray[Any, Any], log_width: int) -> bytes:
    kind = value_type(log_width).newbyteorder("<")
    return np.ascontiguousarray(values).astype(kind).tobytes()


def _loaded(program: Program, loaded: Sequence[Integers]) -> bytes:
    """What is loaded into ACC, each tensor where the program expects it."""
    size = prod(program.workload.pack(program.hardware).output[-2:])
    image = np.zeros((program.dram["acc"], size), dtype=np.int64)
    sizes = [prod(operand.shape[:-2]) for operand in loaded]
    starts, _ = operand_bases(sizes, program.hardware)
    for start, count, operand in zip(starts, sizes, loaded, strict=True):
        image[start : start + count] = operand.reshape(count, size)
    return _bytes(image, program.hardware.log_acc_width)
