"""The knobs behind a task of a log, read from its name and arguments alone."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

from vtacsp.errors import VtacspError, WorkloadError, shortened
from vtacsp.hardware import VTAConfig
from vtacsp.knobs import KnobSpace
from vtacsp.tune.task import Task, hardware_of
from vtacsp.workload import Workload, workload_from_dict

__all__ = ["knobs_of", "layer_of"]


@lru_cache(maxsize=256)
def knobs_of(task: Task) -> KnobSpace | None:
    """The knob space that VTA's template defines for a task; None for a task that is not VTA's."""
    try:
        hardware = hardware_of(task.target)
        workload = workload_from_dict(_layer(task, hardware))
        if Task.of(workload, hardware, task.device).key != task.key:
            return None
        return KnobSpace.of(workload, hardware)
    except (VtacspError, LookupError, TypeError, ValueError):
        return None


def layer_of(task: Task, hardware: VTAConfig, name: str) -> Workload:
    """The layer of a task on a machine, under a name; without a bias where the task does not say.

    Raises :class:`~vtacsp.errors.WorkloadError` for a task that is not VTA's, or not packed so.
    """
    try:
        shape = {**_layer(task, hardware), "name": name, "bias": bool(task.bias)}
        layer = workload_from_dict(shape)
        if task.epilogue is not None:
            layer = replace(layer, epilogue=task.epilogue, bias=False)
        if Task.of(layer, hardware).key[2:] == task.key[2:]:
            return layer
    except (LookupError, TypeError, ValueError) as failure:
        why = f": {failure}" if isinstance(failure, VtacspError) else ""
        raise WorkloadError(
            f"{name}: {shortened(task.name)} is no layer that {hardware.model} packs{why}"
        ) from None
    raise WorkloadError(f"{name}: {shortened(task.name)} is no layer that {hardware.model} packs")


def _layer(task: Task, hardware: VTAConfig) -> dict[str, Any]:
    """A workload that may be the task's; whether it is shows when it is packed again."""
    args: tuple[Any, ...] = task.args
    (_, data, _), (_, weight, _) = args[:2]
    op = task.name.removesuffix("_packed.vta")
    layer = {"name": "task", "op": op, "batch": data[0] * hardware.batch}
    channels = data[1] * hardware.block, weight[0] * hardware.block
    if op == "dense":
        return {**layer, "in_features": channels[0], "out_features": channels[1]}
    layer |= {"height": data[2], "width": data[3], "kernel": list(weight[2:4])}
    layer |= {"stride": list(args[2]), "padding": list(args[3][:2])}
    layer |= {"in_channels": channels[0], "out_channels": channels[1]}
    if op == "group_conv2d":
        layer["groups"] = args[5]
    elif op == "conv2d_transpose" and len(args) > 5:
        layer["output_padding"] = list(args[5])
    return layer
