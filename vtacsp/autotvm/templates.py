"""VTA's four AutoTVM templates for a TVM that comes without VTA.

Same names, arguments, knobs and operators as in TVM's ``vta.top``; the schedules tile and reorder
the loops as the knobs say, and have none of VTA's memory scopes and intrinsics.  That is all that
a tuner looks at, loop features included; building the result for VTA needs the real ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from tvm import autotvm, te, topi
from tvm.autotvm.task.task import TASK_TABLE
from tvm.target import Target

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.space.problem import Space, layer_and_machine
from vtacsp.tune.task import Task

__all__ = ["create_task"]


def create_task(
    workload: Workload | Space, hardware: VTAConfig | None = None, *, device: str = ""
) -> Any:
    """The AutoTVM task of a packed layer, with the name, arguments and target that VTA gives it.

    ``workload`` is a space, whose machine it is, or a bare workload on ``hardware``, the default
    machine when not given.  ``device`` is what will measure it, when that is not the simulated
    RTL (:func:`vtacsp.tune.target_of`): AutoTVM then keeps its records apart.

    Uses VTA's templates when they are registered (``import vta`` before), else those of this
    module.  Its log records are those of a task extracted from Relay.

    Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed and
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one.

    >>> create_task(vtacsp.suite("resnet18")[9]).name
    'conv2d_packed.vta'
    """
    task = Task.of(*layer_and_machine(workload, hardware), device)
    if task.name not in TASK_TABLE:
        autotvm.template(task.name, _TEMPLATES[task.name])
    return autotvm.task.create(task.name, task.args, Target(task.target))


# -- operators


def _shape(tensor: Any) -> list[int]:
    return [int(extent) for extent in tensor.shape]


def _convolution(data: Any, kernel: Any, stride: Sequence[int], groups: int, dtype: Any) -> Any:
    """Packed convolution of padded data, and its schedule."""
    n, _, height, width, batch, _ = _shape(data)
    co, ci, kh, kw, block_out, block_in = _shape(kernel)
    sh, sw = (int(s) for s in stride)
    rows, columns = (height - kh) // sh + 1, (width - kw) // sw + 1
    k = [te.reduce_axis((0, size)) for size in (ci, kh, kw, block_in)]

    def value(b: Any, c: Any, y: Any, x: Any, bi: Any, cb: Any) -> Any:
        channel = c // (co // groups) * ci + k[0]
        pixel = data[b, channel, y * sh + k[1], x * sw + k[2], bi, k[3]]
        return te.sum(pixel.astype(dtype) * kernel[c, k[0], k[1], k[2], cb, k[3]].astype(dtype), k)

    out = te.compute((n, co, rows, columns, batch, block_out), value, name="res")
    return _schedule(out, "b co h w", ["oc_nthread", "h_nthread"]), out


def _conv2d(
    data: Any, kernel: Any, strides: Any, padding: Any, dilation: Any, layout: Any, out_dtype: Any
) -> Any:
    del dilation, layout
    return _group_conv2d(data, kernel, strides, padding, (1, 1), 1, out_dtype)


def _group_conv2d(
    data: Any, kernel: Any, strides: Any, padding: Any, dilation: Any, group: Any, out_dtype: Any
) -> Any:
    del dilation
    around = [0, 0, int(padding[0]), int(padding[1]), 0, 0]
    schedule, out = _convolution(topi.nn.pad(data, around), kernel, strides, int(group), out_dtype)
    return schedule, [data, kernel, out]


def _conv2d_transpose(
    data: Any, kernel: Any, strides: Any, padding: Any, out_dtype: Any, output_padding: Any = (0, 0)
) -> Any:
    del output_padding
    dilated = topi.nn.dilate(data, [1, 1, *(int(s) for s in strides), 1, 1])
    window = zip(_shape(kernel)[2:4], padding, strict=False)  # of four sides the first two
    around = [0, 0, *(size - 1 - int(p) for size, p in window), 0, 0]
    schedule, out = _convolution(topi.nn.pad(dilated, around), kernel, (1, 1), 1, out_dtype)
    return schedule, [data, kernel, out]


def _dense(data: Any, weight: Any, bias: Any = None, out_dtype: Any = None) -> Any:
    del bias  # as upstream
    n, ci, batch, block = _shape(data)
    co, _, block_out, _ = _shape(weight)
    k = [te.reduce_axis((0, size)) for size in (ci, block)]

    def value(b: Any, c: Any, bi: Any, cb: Any) -> Any:
        left, right = data[b, k[0], bi, k[1]], weight[c, k[0], cb, k[1]]
        return te.sum(left.astype(out_dtype) * right.astype(out_dtype), k)

    out = te.compute((n, co, batch, block_out), value, name="res")
    return _schedule(out, "b co", ["oc_nthread"]), [data, weight, out]


# -- the schedule: knobs in VTA's order, applied where VTA's schedules apply them


def _schedule(out: Any, axes: str, threads: list[str]) -> Any:
    cfg = autotvm.get_config()
    schedule = te.create_schedule(out.op)
    stage = schedule[out]
    outer_axes, reduced = stage.op.axis, stage.op.reduce_axis
    axis = dict(zip(axes.split(), outer_axes, strict=False))
    axis["ci"] = reduced[0]
    for name in ("b", "h", "w", "ci", "co"):
        if name in axis:
            cfg.define_split(f"tile_{name}", axis[name], num_outputs=2)
    for name in threads:
        cfg.define_knob(name, [1, 2])
    extents = [int(a.dom.extent) for a in (*outer_axes, *reduced)]
    cfg.add_flop(2 * prod(extents))
    tiled = [name for name in ("h", "co", "w", "ci") if name in axis]
    halves = {name: cfg[f"tile_{name}"].apply(schedule, out, axis[name]) for name in tiled}
    front: list[Any] = []
    for name, knob in (("co", "oc_nthread"), ("h", "h_nthread")):
        if name in halves and cfg[knob].val > 1:
            outside, thread = stage.split(halves[name][0], factor=cfg[knob].val)
            halves[name] = (outside, halves[name][1])
            front.insert(0, thread)
    outside, inside = zip(*(halves[name] for name in tiled), strict=True)
    stage.reorder(*front, axis["b"], *outside, *reduced[1:-1], *inside)
    return schedule


_TEMPLATES = {
    "conv2d_packed.vta": _conv2d,
    "group_conv2d_packed.vta": _group_conv2d,
    "conv2d_transpose_packed.vta": _conv2d_transpose,
    "dense_packed.vta": _dense,
}
