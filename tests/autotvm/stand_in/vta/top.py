"""Packed convolutions as AutoTVM's tasks for targets with the key ``vta``, in plain TE."""

from tvm import autotvm, te, topi
from tvm.relay.op import strategy
from tvm.relay.op.op import OpStrategy

from vta.packing import graph_pack

__all__ = ["CONFIGURED", "graph_pack"]

CONFIGURED = []
"""Task of each packed convolution that is scheduled, and the index of its configuration.

The index is None where the history has none, and while a task is made.
"""


def _convolve(data, kernel, strides, groups, dtype):
    n, _, height, width, batch, _ = topi.utils.get_const_tuple(data.shape)
    co, ci, kh, kw, block_out, block_in = topi.utils.get_const_tuple(kernel.shape)
    sh, sw = strides
    k = [te.reduce_axis((0, size), name=f"k{place}") for place, size in
         enumerate((ci, kh, kw, block_in))]  # fmt: skip

    def value(b, c, y, x, bi, cb):
        pixel = data[b, c // (co // groups) * ci + k[0], y * sh + k[1], x * sw + k[2], bi, k[3]]
        return te.sum(pixel.astype(dtype) * kernel[c, k[0], k[1], k[2], cb, k[3]].astype(dtype), k)

    shape = (n, co, (height - kh) // sh + 1, (width - kw) // sw + 1, batch, block_out)
    return te.compute(shape, value, name="res", tag="packed_convolution")


def _padded(data, padding):
    top, left, bottom, right = padding
    if not any(padding):
        return data
    return topi.nn.pad(data, [0, 0, top, left, 0, 0], [0, 0, bottom, right, 0, 0])


@autotvm.register_topi_compute("conv2d_packed.vta")
def conv2d_packed(cfg, data, kernel, strides, padding, dilation, layout, out_dtype):
    del dilation, layout
    cfg.add_flop(1)
    return _convolve(_padded(data, padding), kernel, strides, 1, out_dtype)


@autotvm.register_topi_compute("group_conv2d_packed.vta")
def group_conv2d_packed(cfg, data, kernel, strides, padding, dilation, groups, out_dtype):
    del dilation
    cfg.add_flop(1)
    return _convolve(_padded(data, padding), kernel, strides, groups, out_dtype)


@autotvm.register_topi_compute("conv2d_transpose_packed.vta")
def conv2d_transpose_packed(cfg, data, kernel, strides, padding, out_dtype, output_padding):
    cfg.add_flop(1)
    top, left, bottom, right = padding
    kh, kw = topi.utils.get_const_tuple(kernel.shape)[2:4]
    more_h, more_w = output_padding
    spread = topi.nn.dilate(data, [1, 1, *strides, 1, 1])
    sides = (kh - 1 - top, kw - 1 - left, kh - 1 - bottom + more_h, kw - 1 - right + more_w)
    return _convolve(_padded(spread, sides), kernel, (1, 1), 1, out_dtype)


def _schedule(cfg, outs):
    schedule = te.create_schedule([out.op for out in outs])
    te.schedule.AutoInlineInjective(schedule)

    def visit(op):
        if op.tag != "packed_convolution":
            return
        b, co, h, w, *_ = op.axis
        axes = {"b": b, "h": h, "w": w, "ci": op.reduce_axis[0], "co": co}
        for name, axis in axes.items():
            cfg.define_split(f"tile_{name}", axis, num_outputs=2)
        for name in ("oc_nthread", "h_nthread"):
            cfg.define_knob(name, [1, 2])
        workload = autotvm.task.args_to_workload(op.attrs["workload"])
        CONFIGURED.append((workload, getattr(cfg, "index", None)))

    topi.utils.traverse_inline(schedule, outs[0].op, visit)
    return schedule


_SCHEDULES = {
    name: autotvm.register_topi_schedule(name, _schedule)
    for name in ("conv2d_packed.vta", "group_conv2d_packed.vta", "conv2d_transpose_packed.vta")
}


def _implemented(compute, name):
    found = OpStrategy()
    schedule = _SCHEDULES.get(name, _unscheduled)
    found.add_implementation(compute, strategy.wrap_topi_schedule(schedule), name=name)
    return found


def _unscheduled(outs):
    return te.create_schedule([out.op for out in outs])


@strategy.conv2d_strategy.register("vta")
def _conv2d(attrs, inputs, out_type, target):
    del inputs, out_type, target
    if attrs.data_layout == "NCHW":  # not packed: on the CPU
        compute = strategy.wrap_compute_conv2d(topi.nn.conv2d_nchw)
        return _implemented(compute, "conv2d_nchw.plain")
    if attrs.groups == 1:
        compute = strategy.wrap_compute_conv2d(conv2d_packed, need_data_layout=True)
        return _implemented(compute, "conv2d_packed.vta")
    compute = strategy.wrap_compute_conv2d(group_conv2d_packed, has_groups=True)
    return _implemented(compute, "group_conv2d_packed.vta")


@strategy.conv2d_transpose_strategy.register("vta")
def _conv2d_transpose(attrs, inputs, out_type, target):
    del attrs, inputs, out_type, target
    compute = strategy.wrap_compute_conv2d_transpose(conv2d_transpose_packed)
    return _implemented(compute, "conv2d_transpose_packed.vta")
