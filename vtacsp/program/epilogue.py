"""The measured epilogue: shift right by 8, add bias, min 127, max 0, all in place in ACC."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vtacsp.program.assembly import Assembly
from vtacsp.program.isa import AluOp
from vtacsp.program.kernel import Kernel, KernelLoop, record_alu
from vtacsp.program.nest import Call, Node

__all__ = ["CLIP_HIGH", "CLIP_LOW", "SHIFT", "epilogue"]

SHIFT, CLIP_HIGH, CLIP_LOW = 8, 127, 0
"""Of VTA's own tuning scripts (``vta/scripts/tune_conv2d.py``)."""


def epilogue(
    a: Assembly,
    tile: Sequence[KernelLoop],
    add: Sequence[KernelLoop],
    acc: NDArray[np.int64],
    bias: NDArray[np.int64],
    load: Call | None,
) -> list[Node]:
    """Calls of the epilogue over one tile.

    ``tile`` and ``add`` are the loops over the accumulators without and with the bias,
    ``acc`` and ``bias`` the first element of either per thread, ``load`` the load of the
    bias tile, None for a workload without one.
    """

    def site(alu: AluOp, immediate: int | None) -> Call:
        def record(thread: int) -> Kernel:
            dst = int(acc[thread])
            if immediate is None:
                return record_alu(alu, add, (dst, int(bias[thread])), a.hardware)
            return record_alu(alu, tile, (dst, dst), a.hardware, immediate)

        return a.kernel(record, len(acc), lambda v: v["thread"])

    calls: list[Node] = [site(AluOp.SHR, SHIFT)]
    if load is not None:
        calls += [load, site(AluOp.ADD, None)]
    return [*calls, site(AluOp.MIN, CLIP_HIGH), site(AluOp.MAX, CLIP_LOW)]
