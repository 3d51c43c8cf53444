"""Functional simulation: a program executed bit by bit on packed operands.

Independent of rules and nests on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import numpy as np

from vtacsp.arrays import IntArray, Integers
from vtacsp.causes import OK, WRONG_RESULT
from vtacsp.epilogue.program import operand_bases
from vtacsp.errors import (
    DeadlockError,
    ProgramError,
    RaceError,
    SimulationError,
    UnwrittenError,
)
from vtacsp.functional import interpreter as machine
from vtacsp.functional.reference import random_operands, reference, value_type
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Memory, Module, TokenQueue, modules_of
from vtacsp.moved import keep_old_names
from vtacsp.operators import registry
from vtacsp.operators.builder import build
from vtacsp.operators.operands import Operands
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.program.listing import line

__all__ = ["ExecutionResult", "execute", "verdict"]

keep_old_names(__name__)

_COUNTERS = ("inp", "wgt", "acc", "uop", "out")
_ATTEMPTS, _EVIDENCE = 8, 256  # a small output may be right by luck, all of it clipped


@dataclass(frozen=True)
class ExecutionResult:
    """Output (packed, see :mod:`vtacsp.functional.reference`) and the simulator's counters.

    ``tokens`` is what the dependency queues hold at the end, by the modules they connect.

    >>> layer, machine = Dense(in_features=32, out_features=16), VTAConfig()
    >>> execute(build(layer, machine, 0), random_operands(layer, machine)).counters["gemm_counter"]
    2
    """

    output: Integers = field(repr=False)
    counters: Mapping[str, int]
    tokens: Mapping[str, int]


def execute(
    program: Program,
    operands: Operands,
    *,
    races: bool = True,
    seed: int = 0,
    order: int | None = None,
) -> ExecutionResult:
    """Execute a program.

    The modules run in the order that is hardest on a program that lacks a token, see
    :mod:`vtacsp.functional.interpreter`; ``races`` False runs them in turns as upstream's simulator
    does, past everything that no token orders, and so does ``order`` in another of its orders.
    Scratchpads hold random values (from ``seed``) before they are written.

    Raises :class:`~vtacsp.errors.SimulationError` for an access outside of a scratchpad or an
    operand, :class:`~vtacsp.errors.DeadlockError` when every module waits for a token,
    :class:`~vtacsp.errors.RaceError` when the output depends on an order that no token fixes and
    :class:`~vtacsp.errors.UnwrittenError` when it depends on what was never written; each names
    the instruction and the element.  An unordered access that cannot change the output is
    harmless and no error.

    >>> layer, machine = Dense(in_features=32, out_features=16), VTAConfig()
    >>> operands = random_operands(layer, machine)
    >>> result = execute(build(layer, machine, 0), operands)
    >>> bool((result.output == reference(layer, machine, operands)).all())
    True
    """
    hw, workload = program.hardware, program.workload
    data = registry.part(workload.op, "reference").as_loaded(workload, operands.data)
    block, batch = hw.block, hw.batch
    loaded = operands.loaded
    inp_dram = np.zeros((0, batch, block), dtype=np.int32)
    wgt_dram = np.zeros((0, block, block), dtype=np.int32)
    if operands.weight is None:
        loaded = (data, *loaded)  # what the ALU runs by itself is loaded into ACC
    else:
        inp_dram = _rows(data, (batch, block))
        # weights are kept as (input channel, output channel): the inner loop runs over outputs
        wgt_dram = np.ascontiguousarray(_rows(operands.weight, (block, block)).transpose(0, 2, 1))
    acc_dram = _acc_image(program, loaded)
    shape = workload.pack(hw).output
    out = np.zeros(shape, dtype=np.int32)  # stores cut to the output width: see below
    out_dram = out.reshape(-1, batch, block)
    depths = (hw.depth("uop"), hw.depth("inp"), hw.depth("wgt"), hw.depth("acc"))
    scratchpads = machine.ScratchpadContents.of(depths, batch, block, seed)
    strict = races and order is None
    if order is None:
        order = machine.EAGER if races else machine.IN_TURNS
    held = np.zeros(4, dtype=np.int64)
    held[TokenQueue.S2C] = program.waits  # the token that the program before left
    counters = np.zeros(7, dtype=np.int64)
    ins = program.instructions
    words = ins.view(np.uint32).reshape(len(ins), -1)
    modules = modules_of(ins).astype(np.int64) - 1
    for segment in program.segments:
        part = slice(segment.start, segment.stop)
        images = [segment.micro_ops[n] for n in ("dst_idx", "src_idx", "wgt_idx")]
        uop_dram = np.stack(images, axis=1).astype(np.int64)
        code, at, detail, where = machine.run_segment(
            words[part],
            modules[part],
            machine.DramContents(uop_dram, inp_dram, wgt_dram, acc_dram, out_dram),
            scratchpads,
            held,
            counters,
            order,
            strict,
        )
        if code != machine.OK:
            _report(program, code, int(at), detail.tolist(), segment.start, where)
        scratchpads.settle()
    names = ("load->compute", "compute->load", "store->compute", "compute->store")
    return ExecutionResult(
        output=out.astype(value_type(hw.log_inp_width)),
        counters=_counters(counters, hw),
        tokens={name: int(count) for name, count in zip(names, held, strict=True)},
    )


def verdict(
    workload: Workload,
    hardware: VTAConfig,
    config: Mapping[str, int] | int,
    seed: int = 0,
    *,
    stack_only: bool = False,
) -> str:
    """``ok`` or the first cause: build the program, run it, compare with the reference.

    Operands are random, from ``seed`` on; they are drawn again until enough outputs that the
    epilogue does not clip have been compared.  What upstream's simulator computes comes first;
    ``race`` is the cause of a program that is right there and depends on an order that no token
    fixes, or on what a scratchpad held before.  ``stack_only`` leaves it at upstream's.

    >>> layer = Dense(in_features=32, out_features=32)
    >>> verdict(layer, VTAConfig(), 0), verdict(layer, VTAConfig(), 2)
    ('ok', 'tensorize')
    """
    try:
        program = build(workload, hardware, config)
        evidence = 0
        for attempt in range(seed, seed + _ATTEMPTS):
            operands = random_operands(workload, hardware, attempt)
            right = reference(workload, hardware, operands)
            for races in (False,) if stack_only else (False, True):
                output = execute(program, operands, races=races, seed=attempt).output
                if not _same_bits(output, right):
                    return WRONG_RESULT
            evidence += int(((right > right.min()) & (right < right.max())).sum())
            if evidence >= _EVIDENCE:
                break
    except (ProgramError, SimulationError) as error:
        return error.cause
    return OK


def _same_bits(output: Integers, right: Integers) -> bool:
    """Whether a tensor of the reference's type holds what the program stores."""
    width = output.itemsize == right.itemsize
    return width and np.array_equal(output.view(right.dtype), right)


def _acc_image(program: Program, loaded: Sequence[Integers]) -> Integers:
    """What is loaded into ACC as it lies in DRAM: every operand where the program expects it."""
    element = program.workload.pack(program.hardware).output[-2:]
    image = np.zeros((program.dram["acc"], *element), dtype=np.int32)
    sizes = [prod(operand.shape[:-2]) for operand in loaded]
    starts, _ = operand_bases(sizes, program.hardware)
    for start, size, operand in zip(starts, sizes, loaded, strict=True):
        image[start : start + size] = _rows(operand, (element[0], element[1]))
    return image


def _rows(operand: Integers, element: tuple[int, int]) -> Integers:
    return np.ascontiguousarray(operand, dtype=np.int32).reshape(-1, *element)


def _counters(counters: IntArray, hardware: VTAConfig) -> dict[str, int]:
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
    detail: Sequence[int],
    start: int,
    where: IntArray,
) -> None:
    """Raise the error of a segment that begins at instruction ``start``."""

    def text(instruction: int) -> str:
        return f"instruction {start + instruction}: {line(program, start + instruction)}"

    here, element = start + at, detail[0]
    if code == machine.SRAM_RANGE:
        raise SimulationError(f"{text(at)}: element {element} is outside of the scratchpad", here)
    if code == machine.DRAM_RANGE:
        raise SimulationError(f"{text(at)}: element {element} is outside of the operand", here)
    if code == machine.RACE:
        raise RaceError(
            f"{text(at)}: it changes ACC element {element}, and no token orders it and the store "
            "that reads it",
            here,
        )
    if code in (machine.STALE, machine.UNWRITTEN):
        source, _, memory, element = detail
        source = at if source < 0 else source
        what = f"{text(source)}: it reads {Memory(memory).name} element {element}"
        stored = "" if source == at else f"; the result is stored by {text(at)}"
        if code == machine.UNWRITTEN:
            raise UnwrittenError(f"{what}, which nothing has written{stored}", start + source)
        raise RaceError(
            f"{what}, and no token orders it and the load that writes it{stored}", start + source
        )
    if code == machine.DEADLOCK:
        waiting = [
            f"{Module(module + 1).name} waits at {text(int(i))}"
            for module, i in enumerate(where)
            if i >= 0
        ]
        raise DeadlockError("deadlock: " + "; ".join(waiting), here)
    raise SimulationError(f"{text(at)}: no such operation", here)
