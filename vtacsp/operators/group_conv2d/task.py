"""The grouped convolution as AutoTVM's task.

Its arguments are (data, kernel, strides, padding, dilation, groups, out_dtype).
"""

from __future__ import annotations

from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments, check_reduction, spatial, spatial_arguments
from vtacsp.operators.group_conv2d.workload import GroupConv2D

__all__ = ["NAME", "arguments", "read"]

NAME = "group_conv2d_packed.vta"


def arguments(workload: GroupConv2D, hardware: VTAConfig, data: Any, weight: Any, acc: str) -> Any:
    """The arguments of the task that Relay extracts, tensors as given."""
    del hardware
    return *spatial_arguments(workload, data, weight), (1, 1), workload.groups, acc


def read(args: Arguments, hw: VTAConfig, bias: bool) -> GroupConv2D:
    """The layer of a task; raises WorkloadError where the template has something else."""
    values = spatial(args, hw)
    groups = int(args.value(5))
    check_reduction(args, hw, values["in_channels"] // groups, "kernel")
    args.no_dilation(4)
    args.dtype(args.value(6), "out_dtype", hw.log_acc_width)
    return GroupConv2D(name=NAME, bias=bias, groups=groups, **values)
