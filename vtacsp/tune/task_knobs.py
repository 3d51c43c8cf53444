"""The knobs behind a task of a log, read from its name and arguments alone."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from vtacsp.errors import VtacspError, WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.registry import part, task_names
from vtacsp.operators.workload import Workload
from vtacsp.tune.task import Task, hardware_of

__all__ = ["knobs_of", "layer_of"]


@lru_cache(maxsize=256)
def knobs_of(task: Task) -> KnobSpace | None:
    """The knob space of a task's template; None for a task that is of no operator."""
    try:
        hardware = hardware_of(task.target)
        workload = part(task_names()[task.name], "task").read(Arguments(task), hardware, bias=False)
        if Task.of(workload, hardware, task.device).key != task.key:
            return None
        return KnobSpace.of(workload, hardware)
    except (VtacspError, LookupError, TypeError, ValueError):
        return None


def layer_of(task: Task, hardware: VTAConfig, name: str) -> Workload:
    """The layer of a task on a machine, under a name; without a bias where the task does not say.

    Raises :class:`~vtacsp.errors.WorkloadError` for a task that is not VTA's, or not packed so.
    """
    unknown = f"{name}: {shortened(task.name)} is no layer that {hardware.model} packs"
    try:
        read = part(task_names()[task.name], "task").read
        bias = bool(task.bias) and task.epilogue is None
        found: Workload = read(Arguments(task), hardware, bias=bias)
        layer = replace(found, name=name, epilogue=task.epilogue)
        if Task.of(layer, hardware).key[2:] == task.key[2:]:
            return layer
    except (LookupError, TypeError, ValueError) as failure:
        why = f": {failure}" if isinstance(failure, VtacspError) else ""
        raise WorkloadError(unknown + why) from None
    raise WorkloadError(unknown)
