"""Functional simulation: a program executed bit by bit on packed operands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import DeadlockError, ProgramError, RaceError, SimulationError
from vtacsp.hardware import VTAConfig
from vtacsp.program import Program, build
from vtacsp.program.epilogue import CLIP_HIGH, CLIP_LOW
from vtacsp.program.isa import Stage, stages
from vtacsp.program.listing import line
from vtacsp.simulate import machine
from vtacsp.simulate.reference import (
    Operands,
    dilate,
    random_operands,
    reference,
    value_type,
)
from vtacsp.workload import Conv2DTranspose, Workload

__all__ = ["SimulationResult", "simulate", "verdict"]

IntArray = NDArray[Any]

_COUNTERS = ("inp", "wgt", "acc", "uop", "out")
_ATTEMPTS, _EVIDENCE = 8, 256  # a small output may be right by luck, all of it clipped
_POISON = 0x5A  # scratchpads hold no zeros before they are written


@dataclass(frozen=True)
class SimulationResult:
    """Output (packed, see :mod:`vtacsp.simulate.reference`) and the simulator's counters.

    ``tokens`` is what the dependency queues hold at the end, by the modules they connect.
    """

    output: IntArray = field(repr=False)
    counters: Mapping[str, int]
    tokens: Mapping[str, int]


def simulate(program: Program, operands: Operands, *, races: bool = True) -> SimulationResult:
    """Execute a program; ``races`` False runs on past accesses that no token orders.

    Raises :class:`~vtacsp.errors.SimulationError` for an access outside of a scratchpad or an
    operand, :class:`~vtacsp.errors.DeadlockError` when every module waits for a token, and
    :class:`~vtacsp.errors.RaceError` for an access that no token orders; each names the
    instruction.
    """
    hw, workload = program.hardware, program.workload
    data = operands.data
    if isinstance(workload, Conv2DTranspose):
        data = dilate(workload, data)
    block, batch = hw.block, hw.batch
    inp_dram = _rows(data, (batch, block))
    # weights are kept as (input channel, output channel): the inner loop runs over outputs
    wgt_dram = np.ascontiguousarray(_rows(operands.weight, (block, block)).transpose(0, 2, 1))
    acc_dram = np.zeros((0, batch, block), dtype=np.int32)
    if operands.bias is not None:
        acc_dram = _rows(operands.bias, (batch, block))
    shape = workload.pack(hw).output
    out = np.zeros(shape, dtype=np.int32)  # stores cut to the output width: see below
    out_dram = out.reshape(-1, batch, block)

    def scratchpad(name: str, *element: int) -> IntArray:
        return np.full((hw.depth(name), *element), _POISON, dtype=np.int32)

    inp, wgt = scratchpad("inp", batch, block), scratchpad("wgt", block, block)
    acc = scratchpad("acc", batch, block)
    uop = np.zeros((hw.depth("uop"), 3), dtype=np.int64)
    held = np.zeros(4, dtype=np.int64)
    held[2] = program.waits  # the token that the program before left
    counters = np.zeros(7, dtype=np.int64)
    ins = program.instructions
    words = ins.view(np.uint32).reshape(len(ins), -1)
    modules = stages(ins).astype(np.int64) - 1
    for segment in program.segments:
        part = slice(segment.start, segment.stop)
        images = [segment.micro_ops[n] for n in ("dst_idx", "src_idx", "wgt_idx")]
        code, at, detail, where = machine.run_segment(
            words[part],
            modules[part],
            np.stack(images, axis=1).astype(np.int64),
            *(inp_dram, wgt_dram, acc_dram, out_dram),
            *(uop, inp, wgt, acc, held, counters, races),
        )
        if code != machine.OK:
            _report(program, code, segment.start + int(at), int(detail), segment.start, where)
    names = ("load->compute", "compute->load", "store->compute", "compute->store")
    return SimulationResult(
        output=out.astype(value_type(hw.log_inp_width)),
        counters=_counters(counters, hw),
        tokens={name: int(count) for name, count in zip(names, held, strict=True)},
    )


def verdict(
    workload: Workload, hardware: VTAConfig, config: Mapping[str, int] | int, seed: int = 0
) -> str:
    """``ok`` or the first cause: build the program, run it, compare with the reference.

    Operands are random, from ``seed`` on; they are drawn again until enough outputs that the
    epilogue does not clip have been compared.
    """
    try:
        program = build(workload, hardware, config)
        evidence = 0
        for attempt in range(_ATTEMPTS):
            operands = random_operands(workload, hardware, seed + attempt)
            # upstream's simulator does not look for races, what it computes is what counts
            output = simulate(program, operands, races=False).output
            right = reference(workload, hardware, operands)
            if not np.array_equal(output, right):
                return "wrong_result"
            evidence += int(((right > CLIP_LOW) & (right < CLIP_HIGH)).sum())
            if evidence >= _EVIDENCE:
                break
    except (ProgramError, SimulationError) as error:
        return error.cause
    return "ok"


def _rows(operand: IntArray, element: tuple[int, int]) -> IntArray:
    return np.ascontiguousarray(operand, dtype=np.int32).reshape(-1, *element)


def _counters(counters: NDArray[np.int64], hardware: VTAConfig) -> dict[str, int]:
    elements = dict(zip(_COUNTERS, counters[:5].tolist(), strict=True))
    result = {
        f"{name}_load_nbytes": elements[name] * hardware.element_bytes(name)
        for name in _COUNTERS[:4]
    }
    result["out_store_nbytes"] = elements["out"] * hardware.element_bytes("out")
    result["gemm_counter"], result["alu_counter"] = counters[5:].tolist()
    return result


def _report(
    program: Program,
    code: int,
    at: int,
    detail: int,
    start: int,
    where: NDArray[np.int64],
) -> None:
    text = f"instruction {at}: {line(program, at)}"
    if code == machine.SRAM_RANGE:
        raise SimulationError(f"{text}: element {detail} is outside of the scratchpad", at)
    if code == machine.DRAM_RANGE:
        raise SimulationError(f"{text}: element {detail} is outside of the operand", at)
    if code == machine.RACE:
        raise RaceError(f"{text}: no token orders its access to element {detail}", at)
    if code == machine.DEADLOCK:
        waiting = [
            f"{Stage(module + 1).name} waits at instruction {start + int(i)}: "
            f"{line(program, start + int(i))}"
            for module, i in enumerate(where)
            if i >= 0
        ]
        raise DeadlockError("deadlock: " + "; ".join(waiting), at)
    raise SimulationError(f"{text}: no such operation", at)
