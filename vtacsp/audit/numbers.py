"""Whether a program computes its layer: where the layer is known, its numbers are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from vtacsp.audit.findings import Finding
from vtacsp.audit.target import Target
from vtacsp.errors import SimulationError
from vtacsp.functional.interpreter import IN_TURNS
from vtacsp.functional.program_execution import execute
from vtacsp.functional.reference import random_operands, reference
from vtacsp.machine.instructions import Memory, Opcode
from vtacsp.program import Program, Segment, Stream

__all__ = ["check_numbers"]

SEEDS = 2  # a wrong program may be right on one seed, clipped as its output is


def check_numbers(target: Target, program: Program) -> Iterator[Finding]:
    """Compare with the reference, for the bundle's seed and another.

    The order of the modules is VTA's own simulator's: whether the order matters is another
    finding.  DRAM addresses become those of the operands, the form that the simulator takes.
    """
    bundle = target.bundle
    if bundle is None:
        return
    manifest, hardware = bundle.manifest, target.hardware
    own = target.instructions.copy()
    moves = np.isin(own["opcode"], (Opcode.LOAD, Opcode.STORE)) & (own["x_size"] > 0)
    dram = {"inp": 0, "wgt": 0, "acc": 0, "out": 0}
    for name, buffer in manifest.buffers.items():
        mine = moves & (own["memory_type"] == Memory[name.upper()])
        own["dram_base"][mine] -= np.uint32(buffer.address // buffer.element_bytes)
        dram[name] = buffer.elements
    image = program.segments[0].kernels
    segments = tuple(Segment(start, stop, image) for start, stop in target.launches)
    placed = replace(program, stream=Stream.of(own), segments=segments, dram=dram)
    for seed in range(manifest.seed, manifest.seed + SEEDS):
        operands = random_operands(manifest.layer, hardware, seed)
        right = reference(manifest.layer, hardware, operands)
        try:
            found = execute(placed, operands, order=IN_TURNS, seed=seed).output
        except SimulationError as error:
            yield Finding("wrong_result", str(error), error.instruction)
            return
        wrong = np.flatnonzero(found.reshape(-1) != right.reshape(-1))
        if len(wrong):
            yield Finding(
                "wrong_result",
                f"{len(wrong):,} of {right.size:,} outputs are wrong with seed {seed}",
                count=len(wrong),
            )
            return
