"""The transposed convolution as AutoTVM's task.

Its arguments are (data, kernel, strides, padding, out_dtype[, output_padding]).
"""

from __future__ import annotations

from typing import Any

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments, check_reduction, spatial, spatial_arguments
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose

__all__ = ["NAME", "arguments", "read"]

NAME = "conv2d_transpose_packed.vta"


def arguments(
    workload: Conv2DTranspose, hardware: VTAConfig, data: Any, weight: Any, acc: str
) -> Any:
    """The arguments of the task that Relay extracts, tensors as given."""
    del hardware
    return *spatial_arguments(workload, data, weight), acc, workload.output_padding


def read(args: Arguments, hw: VTAConfig, bias: bool) -> Conv2DTranspose:
    """The layer of a task; raises WorkloadError where the template has something else."""
    values = spatial(args, hw)
    check_reduction(args, hw, values["in_channels"], "kernel")
    args.dtype(args.value(4), "out_dtype", hw.log_acc_width)
    extra = args.pair(5) if len(args) > 5 else (0, 0)
    return Conv2DTranspose(name=NAME, bias=bias, output_padding=extra, **values)
