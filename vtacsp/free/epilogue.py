"""The epilogue of a free schedule: its ALU passes, and where its operands lie.

A channel operand is loaded once per image, into a place of its own behind the ring of tiles.  A
tensor operand is loaded when its pass comes, into a place that all of them share: the compute
module loads it and the ALU reads it, one after the other, so no token is needed.  When the very
first pass adds a tensor, that is loaded into the accumulators in place of the reset.
Independent of rules on purpose.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.epilogue.footprint import CUT_IMMEDIATE, OTHER_WIDTH, UNCAST
from vtacsp.epilogue.program import ALU_OPS, operand_bases
from vtacsp.epilogue.steps import CHANNEL, Pass
from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import Geometry, geometry
from vtacsp.operators.workload import Workload

__all__ = ["NOTHING", "ON_CHANNEL", "ON_TENSOR", "EpiloguePasses", "chain_of"]

NOTHING, ON_CHANNEL, ON_TENSOR = range(3)
"""What a pass loads."""


class EpiloguePasses(NamedTuple):
    """The passes over a tile, a row each: ALU opcode, whether it has an immediate, which one, what
    it loads, the number of the channel operand, the first DRAM element of the operand.

    ``preload`` is the first DRAM element of a tensor that takes the place of the reset, -1 for
    none; ``channels`` are the channel operands, ``tensors`` the tensors that need the shared place,
    ``elements`` those of all operands in DRAM.
    """

    passes: IntArray
    preload: int
    channels: int
    tensors: int
    elements: int

    def room(self, outputs: int, tile: int) -> int:
        """Accumulators that the operands take beside the slots of the tiles."""
        return self.channels * outputs + (tile if self.tensors else 0)


@lru_cache(maxsize=256)
def chain_of(workload: Workload, hardware: VTAConfig) -> EpiloguePasses:
    """The epilogue of a layer.

    A constant may be subtracted here: it is added with the other sign, for which the compiler has
    no pattern and the ALU an immediate.  Raises :class:`~vtacsp.errors.WorkloadError` with the
    reason for what the ALU cannot do: a cast before the end and with it an 8-bit operand, the
    subtraction of an operand, a constant that its instructions do not hold, another output type.
    """
    chain, g = workload.chain, geometry(workload, hardware)
    symbols = workload.symbols(hardware)
    at = f"{workload.name}: "
    for number, p in enumerate(chain.stages, 1):
        if p.op == "cast":
            raise WorkloadError(
                f"{at}stage {number} of the epilogue is a cast (an 8-bit tensor is widened by "
                "one), and the ALU has none"
            )
        if p.op == "sub" and p.value is None:
            raise WorkloadError(
                f"{at}stage {number} of the epilogue subtracts an operand, and the ALU does not"
            )
    for wrong, why in (
        (not symbols["STORES"], UNCAST),
        (not symbols["STORES_RIGHT"], OTHER_WIDTH),
        (symbols["CUT"], CUT_IMMEDIATE),
    ):
        if wrong:
            raise WorkloadError(f"{at}{why}")
    sizes = [_size(g, kind) for kind in chain.operands]
    # of what the ALU runs by itself the data come first, and take the place of the reset
    (_, *starts), end = operand_bases([g.data, *sizes], hardware)
    passes, preload = list(chain.passes), -1
    first = passes[0] if passes and not g.on_alu else None
    if first is not None and first.op == "add" and first.kind not in ("", CHANNEL):
        assert first.operand is not None
        preload = starts[first.operand]
        del passes[0]
    rows, channels = [], 0
    for p in passes:
        op, value = p.op, p.immediate
        if op == "sub":
            op, value = "add", Pass("add", -(p.value or 0)).immediate
        loads, number, start = NOTHING, -1, -1
        if p.operand is not None:
            loads, start = ON_TENSOR, starts[p.operand]
            if p.kind == CHANNEL:
                loads, number = ON_CHANNEL, channels
                channels += 1
        rows.append((int(ALU_OPS[op]), int(p.value is not None), value, loads, number, start))
    if g.lies_alone and not rows:
        rows.append((int(ALU_OPS["add"]), 1, 0, NOTHING, -1, -1))
    table = np.array(rows, dtype=np.int64).reshape(-1, 6)
    return EpiloguePasses(table, preload, channels, int((table[:, 3] == ON_TENSOR).sum()), end)


def _size(g: Geometry, kind: str) -> int:
    return g.batch * g.outputs if kind == CHANNEL else g.positions
