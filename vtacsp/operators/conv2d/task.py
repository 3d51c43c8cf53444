"""The 2-D convolution as AutoTVM's task.

Its arguments are (data, kernel, strides, padding, dilation, layout, out_dtype).
"""

from __future__ import annotations

from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments, check_reduction, spatial, spatial_arguments
from vtacsp.operators.conv2d.workload import Conv2D

__all__ = ["NAME", "arguments", "read"]

NAME = "conv2d_packed.vta"


def arguments(workload: Conv2D, hardware: VTAConfig, data: Any, weight: Any, acc: str) -> Any:
    """The arguments of the task that Relay extracts, tensors as given."""
    layout = f"NCHW{hardware.batch}n{hardware.block}c"
    return *spatial_arguments(workload, data, weight), (1, 1), layout, acc


def read(args: Arguments, hw: VTAConfig, bias: bool) -> Conv2D:
    """The layer of a task; raises WorkloadError where the template has something else."""
    values = spatial(args, hw)
    check_reduction(args, hw, values["in_channels"], "kernel")
    args.no_dilation(4)
    args.dtype(args.value(6), "out_dtype", hw.log_acc_width)
    return Conv2D(name=NAME, bias=bias, **values)
