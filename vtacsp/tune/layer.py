"""The knobs behind a task of a log, read from its name and arguments alone."""

from __future__ import annotations

from functools import lru_cache

from vtacsp.errors import VtacspError
from vtacsp.operators.arguments import Arguments
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.registry import part
from vtacsp.tune.task import Task, hardware_of

__all__ = ["knobs_of"]


@lru_cache(maxsize=256)
def knobs_of(task: Task) -> KnobSpace | None:
    """The knob space that VTA's template defines for a task; None for a task that is not VTA's."""
    try:
        hardware = hardware_of(task.target)
        op = task.name.removesuffix("_packed.vta")
        workload = part(op, "task").read(Arguments(task), hardware, bias=False)
        if Task.of(workload, hardware, task.device).key != task.key:
            return None
        return KnobSpace.of(workload, hardware)
    except (VtacspError, LookupError, TypeError, ValueError):
        return None
