"""The fully connected layer as AutoTVM's task (data, weight[, bias, out_dtype])."""

from __future__ import annotations

from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments, check_reduction
from vtacsp.operators.dense.workload import Dense

__all__ = ["NAME", "arguments", "read"]

NAME = "dense_packed.vta"


def arguments(workload: Dense, hardware: VTAConfig, data: Any, weight: Any, acc: str) -> Any:
    """The arguments of the task that Relay extracts, tensors as given."""
    del workload, hardware
    return data, weight, None, acc


def read(args: Arguments, hw: VTAConfig, bias: bool) -> Dense:
    """The layer of a task; raises WorkloadError where the template has something else."""
    data = args.tensor(0, "data", hw.log_inp_width)
    weight = args.tensor(1, "weight", hw.log_wgt_width)
    n, ci = args.blocks(data, "data", (hw.batch, hw.block), 4)
    co, _ = args.blocks(weight, "weight", (hw.block, hw.block), 4)
    check_reduction(args, hw, ci * hw.block, "weight")
    if len(args) > 2 and args.value(2) is not None:
        raise args.refuse("upstream's template ignores its bias argument; add it afterwards")
    if len(args) > 3:
        args.dtype(args.value(3), "out_dtype", hw.log_acc_width)
    return Dense(
        name=NAME,
        bias=bias,
        batch=n * hw.batch,
        in_features=ci * hw.block,
        out_features=co * hw.block,
    )
