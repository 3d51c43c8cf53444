"""What an AutoTVM task is about: its machine, its workload, and whether its knobs are VTA's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import ConfigError, HardwareError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.arguments import Arguments
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.registry import part, task_names
from vtacsp.operators.workload import Workload
from vtacsp.space.problem import Problem, Space
from vtacsp.tune.task import Task, hardware_of

__all__ = ["check_knobs", "config_of", "machine_of", "problem_of", "workload_of"]


def machine_of(task: Any, hardware: VTAConfig | None = None) -> VTAConfig:
    """The machine that a task's target names (``-model=sim_1x16_i8w8a32_15_15_18_17``).

    ``hardware`` is needed for a target that names none, and else may say the same.  Raises
    :class:`~vtacsp.errors.HardwareError` when it says something else, when nothing says what the
    machine is, and for a name that no machine can have.

    >>> task = create_task(vtacsp.suite("resnet18")[9])
    >>> machine_of(task).model
    'sim_1x16_i8w8a32_15_15_18_17'
    """
    target = str(task.target)
    named = VTAConfig.is_model(Task(target, task.name, ()).model)
    if hardware is not None and not named:
        return hardware
    try:
        machine = hardware_of(target)
    except HardwareError as error:
        way_out = "" if named else ": give hardware=VTAConfig(...)"
        raise HardwareError(f"task {task.name}: {error}{way_out}") from None
    if hardware is not None and hardware.model != machine.model:
        raise HardwareError(
            f"task {task.name} is for the machine {machine.model}, as its target says, "
            f"and the hardware given is {hardware.model}"
        )
    return hardware or machine


def workload_of(
    task: Any,
    hardware: VTAConfig | None = None,
    *,
    bias: bool = False,
    epilogue: Epilogue | None = None,
) -> Workload:
    """The workload of an AutoTVM task made from one of VTA's four templates.

    The machine is that of :func:`machine_of`; the layer is read from the task's name and
    arguments, as TVM's ``vta.top`` defines them:
    ``conv2d_packed.vta`` (data, kernel, strides, padding, dilation, layout, out_dtype),
    ``group_conv2d_packed.vta`` (data, kernel, strides, padding, dilation, groups, out_dtype),
    ``conv2d_transpose_packed.vta`` (data, kernel, strides, padding, out_dtype[, output_padding])
    and ``dense_packed.vta`` (data, weight[, bias, out_dtype]).  The epilogue is not among them:
    say ``bias`` when your template adds one, or give the ``epilogue`` of another.

    Raises :class:`~vtacsp.errors.WorkloadError` when the task is none of these, when its shapes
    or types are not those of the hardware, or when upstream would compute something else, and
    as :func:`machine_of`.

    >>> task = create_task(vtacsp.suite("resnet18")[9])
    >>> workload_of(task).macs
    115605504
    """
    names = task_names()
    if task.name not in names:
        raise WorkloadError(
            f"task {task.name!r} is none of VTA's ({', '.join(names)}): pass the workload"
        )
    read = part(names[task.name], "task").read
    hw = machine_of(task, hardware)
    try:
        workload: Workload = replace(read(Arguments(task), hw, bias), epilogue=epilogue)
    except (LookupError, TypeError, ValueError, ZeroDivisionError) as error:
        if isinstance(error, WorkloadError):
            raise
        raise WorkloadError(
            f"task {task.name}: its arguments {task.args!r} are not the template's: {error}"
        ) from error
    workload.pack(hw)
    return workload


def problem_of(
    task: Any, hardware: VTAConfig | None = None, workload: Workload | Space | None = None
) -> Problem:
    """The problem behind a task, on its machine: as given, as pruned, or as the task says."""
    pruned = getattr(task.config_space, "feasible", None)
    if workload is None and pruned is not None:
        return Problem.of(pruned, hardware)
    machine = machine_of(task, hardware)
    return Problem.of(workload or workload_of(task, machine), machine)


def check_knobs(task: Any, knob_space: KnobSpace) -> None:
    """Raise :class:`~vtacsp.errors.ConfigError` when a task's grid is not ``knob_space``.

    Names, order and candidates have to agree: the index of a configuration depends on all three.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> check_knobs(create_task(layer), vtacsp.KnobSpace.of(layer, vtacsp.VTAConfig()))
    """
    grid = getattr(task.config_space, "grid", task.config_space)  # the one behind a RankedSpace
    theirs = {name: _candidates(space) for name, space in grid.space_map.items()}
    if tuple(theirs) != knob_space.names:
        raise ConfigError(
            f"task {task.name} has the knobs {', '.join(theirs) or '(none)'}; "
            f"VTA's are {', '.join(knob_space.names)}"
        )
    for knob in knob_space.knobs:
        if theirs[knob.name] != knob.values:
            raise ConfigError(
                f"task {task.name}: {knob.name} has the candidates {list(theirs[knob.name])}; "
                f"the workload's are {list(knob.values)}"
            )


def config_of(entity: Any) -> dict[str, int]:
    """The knob values of an AutoTVM ``ConfigEntity``, or of its map of entities."""
    entities = getattr(entity, "_entity_map", entity)
    return {name: _value(choice) for name, choice in entities.items()}


def _candidates(space: Any) -> tuple[Any, ...]:
    return tuple(_value(entity) for entity in space.entities)


def _value(entity: Any) -> Any:
    """The value of a knob as vtacsp writes it, or as it is when VTA has no such knob."""
    size = getattr(entity, "size", None)
    if size is not None:  # a split: the outer factor is what remains
        return int(size[1]) if len(size) == 2 else tuple(size)
    return getattr(entity, "val", str(entity))
