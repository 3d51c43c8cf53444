"""AutoTVM templates with the names, arguments and knobs of VTA's, which the test's TVM lacks.

Only what the tuning loop looks at is there: the arguments, the space and the operations.
"""

from __future__ import annotations

from math import prod

from tvm import autotvm, te
from tvm.target import Target

from vtacsp import Conv2DTranspose, Dense, GroupConv2D, VTAConfig, Workload

TARGET = "ext_dev -keys=vta,cpu -device=vta -model=sim_1x16_i8w8a32_15_15_18_17"


def _grid(cfg, splits, threads, operations, *tensors):
    """Define the knobs over axes of these extents; any schedule will do."""
    for name, extent in splits.items():
        cfg.define_split(name, cfg.axis(extent), num_outputs=2)
    for name in threads:
        cfg.define_knob(name, [1, 2])
    cfg.add_flop(operations)
    out = te.compute((1,), lambda i: tensors[0][(i,) + (0,) * (len(tensors[0].shape) - 1)])
    return te.create_schedule(out.op), [*tensors, out]


def _shape(tensor):
    return [int(extent) for extent in tensor.shape]


def _convolution(data, kernel, size):
    n, _, _, _, batch, _ = _shape(data)
    co, ci, kh, kw, block_out, block_in = _shape(kernel)
    splits = {"tile_b": n, "tile_h": size[0], "tile_w": size[1], "tile_ci": ci, "tile_co": co}
    operations = 2 * prod((n * batch, co * block_out, *size, ci * block_in, kh, kw))
    return _grid(
        autotvm.get_config(), splits, ["oc_nthread", "h_nthread"], operations, data, kernel
    )


@autotvm.template("conv2d_packed.vta")
def conv2d(data, kernel, strides, padding, dilation, layout, out_dtype):
    size = [
        (extent + 2 * p - k) // s + 1
        for extent, k, s, p in zip(_shape(data)[2:4], _shape(kernel)[2:4], strides, padding)
    ]
    return _convolution(data, kernel, size)


@autotvm.template("group_conv2d_packed.vta")
def group_conv2d(data, kernel, strides, padding, dilation, group, out_dtype):
    return conv2d(data, kernel, strides, padding, dilation, "", out_dtype)


@autotvm.template("conv2d_transpose_packed.vta")
def conv2d_transpose(data, kernel, strides, padding, out_dtype, output_padding=(0, 0)):
    size = [
        (extent - 1) * s - 2 * p + k
        for extent, k, s, p in zip(_shape(data)[2:4], _shape(kernel)[2:4], strides, padding)
    ]
    return _convolution(data, kernel, size)


@autotvm.template("dense_packed.vta")
def dense(data, weight, bias=None, out_dtype=None):
    n, ci, batch, block = _shape(data)
    co = _shape(weight)[0]
    return _grid(
        autotvm.get_config(),
        {"tile_b": n, "tile_ci": ci, "tile_co": co},
        ["oc_nthread"],
        2 * n * batch * ci * block * co * block,
        data,
        weight,
    )


def task_of(workload: Workload, hardware: VTAConfig | None = None):
    """The task that VTA's template makes for a workload."""
    packed = workload.pack(hardware or VTAConfig())
    data, kernel = ("TENSOR", packed.data, "int8"), ("TENSOR", packed.weight, "int8")
    if isinstance(workload, Dense):
        return _create("dense_packed.vta", (data, kernel, None, "int32"))
    window = (workload.stride, workload.padding)
    if isinstance(workload, Conv2DTranspose):
        return _create("conv2d_transpose_packed.vta", (data, kernel, *window, "int32", (0, 0)))
    if isinstance(workload, GroupConv2D):
        args = (data, kernel, *window, (1, 1), workload.groups, "int32")
        return _create("group_conv2d_packed.vta", args)
    layout = "NCHW{}n{}c".format(*packed.data[-2:])
    return _create("conv2d_packed.vta", (data, kernel, *window, (1, 1), layout, "int32"))


def _create(name, args):
    return autotvm.task.create(name, args=args, target=Target(TARGET))
