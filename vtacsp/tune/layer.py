"""The knobs behind a task of a log, read from its name and arguments alone."""

from __future__ import annotations

from functools import lru_cache

from vtacsp.errors import VtacspError
from vtacsp.operators.arguments import Arguments
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.registry import part, task_names
from vtacsp.tune.task import Task, hardware_of

__all__ = ["knobs_of"]


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
