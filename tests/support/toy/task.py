"""The matrix product as AutoTVM's task (data, weight, type of the sums)."""

from __future__ import annotations

from typing import Any

from tests.support.toy.workload import MatMul
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments, check_reduction

__all__ = ["NAME", "arguments", "read"]

NAME = "matmul_tiles.toy"


def arguments(workload: MatMul, hardware: VTAConfig, data: Any, weight: Any, acc: str) -> Any:
    """The arguments of the task, tensors as given."""
    del workload, hardware
    return data, weight, acc


def read(args: Arguments, hw: VTAConfig, bias: bool) -> MatMul:
    """The layer of a task; raises WorkloadError where it is something else."""
    data = args.tensor(0, "data", hw.log_inp_width)
    weight = args.tensor(1, "weight", hw.log_wgt_width)
    n, ci = args.blocks(data, "data", (hw.batch, hw.block), 4)
    co, _ = args.blocks(weight, "weight", (hw.block, hw.block), 4)
    check_reduction(args, hw, ci * hw.block, "weight")
    return MatMul(
        name=NAME, bias=bias, batch=n * hw.batch, inner=ci * hw.block, columns=co * hw.block
    )
