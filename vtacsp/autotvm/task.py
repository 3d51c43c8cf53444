"""What an AutoTVM task is about: its machine, its workload, and whether its knobs are VTA's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import ConfigError, HardwareError, WorkloadError
from vtacsp.knobs import KnobSpace
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Conv2D, Conv2DTranspose, Dense, GroupConv2D, Workload
from vtacsp.space.problem import Problem, Space
from vtacsp.tune.task import Task, hardware_of

__all__ = ["check_knobs", "config_of", "machine_of", "problem_of", "workload_of"]

Shape = tuple[int, ...]


def machine_of(task: Any, hardware: VTAConfig | None = None) -> VTAConfig:
    """The machine that a task's target names (``-model=sim_1x16_i8w8a32_15_15_18_17``).

    ``hardware`` is needed for a target that names none, and else may say the same.  Raises
    :class:`~vtacsp.errors.HardwareError` when it says something else, when nothing says what the
    machine is, and for a name that no machine can have.
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
    """
    reader = _READERS.get(task.name)
    if reader is None:
        raise WorkloadError(
            f"task {task.name!r} is none of VTA's ({', '.join(_READERS)}): pass the workload"
        )
    hw = machine_of(task, hardware)
    try:
        workload = replace(reader(_Arguments(task), hw, bias), epilogue=epilogue)
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


class _Arguments:
    """Positional arguments of a task, checked one by one."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __len__(self) -> int:
        return len(self._task.args)

    def refuse(self, what: str) -> WorkloadError:
        return WorkloadError(f"task {self._task.name}: {what}")

    def value(self, position: int) -> Any:
        return self._task.args[position]

    def tensor(self, position: int, name: str, log_width: int) -> Shape:
        """Shape of a tensor argument, whose type has to have this width."""
        argument = self.value(position)
        if isinstance(argument, tuple | list):  # as serialised by AutoTVM
            _, shape, dtype = argument
        else:
            shape, dtype = argument.shape, argument.dtype
        self.dtype(dtype, name, log_width)
        return tuple(int(extent) for extent in shape)

    def dtype(self, dtype: Any, name: str, log_width: int) -> None:
        if str(dtype) != f"int{1 << log_width}":
            raise self.refuse(f"{name} is {dtype}, the hardware has int{1 << log_width}")

    def blocks(self, shape: Shape, name: str, last: tuple[int, int], rank: int) -> Shape:
        """The outer extents of a packed shape, whose inner block has to be ``last``."""
        if len(shape) != rank:
            raise self.refuse(f"{name} has {len(shape)} axes, packed ones have {rank}")
        if shape[-2:] != last:
            raise self.refuse(
                f"{name} ends with blocks of {shape[-2]}x{shape[-1]}, "
                f"the hardware has {last[0]}x{last[1]}"
            )
        return shape[:-2]

    def pair(self, position: int) -> tuple[int, int]:
        first, second = self.value(position)
        return int(first), int(second)

    def padding(self, position: int) -> tuple[int, int]:
        """(vertical, horizontal); a padding of four is top, left, bottom, right."""
        values = [int(v) for v in self.value(position)]
        if values[2:] not in ([], values[:2]):
            raise self.refuse(
                f"padding is {tuple(values)}; VTA pads both sides of an axis by the same"
            )
        return values[0], values[1]

    def no_dilation(self, position: int) -> None:
        if self.pair(position) != (1, 1):
            raise self.refuse(f"dilation is {self.value(position)}, VTA has (1, 1)")


def _spatial(args: _Arguments, hw: VTAConfig) -> dict[str, Any]:
    """What the three convolutions share: data, kernel, strides, padding."""
    data = args.tensor(0, "data", hw.log_inp_width)
    kernel = args.tensor(1, "kernel", hw.log_wgt_width)
    n, ci, height, width = args.blocks(data, "data", (hw.batch, hw.block), 6)
    co, _, kh, kw = args.blocks(kernel, "kernel", (hw.block, hw.block), 6)
    return {
        "batch": n * hw.batch,
        "in_channels": ci * hw.block,
        "height": height,
        "width": width,
        "out_channels": co * hw.block,
        "kernel": (kh, kw),
        "stride": args.pair(2),
        "padding": args.padding(3),
    }


def _check_reduction(args: _Arguments, hw: VTAConfig, channels: int, axis: str) -> None:
    weight = args.tensor(1, axis, hw.log_wgt_width)
    if weight[1] * hw.block != channels:
        raise args.refuse(
            f"{axis} has {weight[1] * hw.block} input channels, the data give {channels}"
        )


def _conv2d(args: _Arguments, hw: VTAConfig, bias: bool) -> Workload:
    values = _spatial(args, hw)
    _check_reduction(args, hw, values["in_channels"], "kernel")
    args.no_dilation(4)
    args.dtype(args.value(6), "out_dtype", hw.log_acc_width)
    return Conv2D(name="conv2d_packed.vta", bias=bias, **values)


def _group_conv2d(args: _Arguments, hw: VTAConfig, bias: bool) -> Workload:
    values = _spatial(args, hw)
    groups = int(args.value(5))
    _check_reduction(args, hw, values["in_channels"] // groups, "kernel")
    args.no_dilation(4)
    args.dtype(args.value(6), "out_dtype", hw.log_acc_width)
    return GroupConv2D(name="group_conv2d_packed.vta", bias=bias, groups=groups, **values)


def _conv2d_transpose(args: _Arguments, hw: VTAConfig, bias: bool) -> Workload:
    values = _spatial(args, hw)
    _check_reduction(args, hw, values["in_channels"], "kernel")
    args.dtype(args.value(4), "out_dtype", hw.log_acc_width)
    extra = args.pair(5) if len(args) > 5 else (0, 0)
    return Conv2DTranspose(
        name="conv2d_transpose_packed.vta", bias=bias, output_padding=extra, **values
    )


def _dense(args: _Arguments, hw: VTAConfig, bias: bool) -> Workload:
    data = args.tensor(0, "data", hw.log_inp_width)
    weight = args.tensor(1, "weight", hw.log_wgt_width)
    n, ci = args.blocks(data, "data", (hw.batch, hw.block), 4)
    co, _ = args.blocks(weight, "weight", (hw.block, hw.block), 4)
    _check_reduction(args, hw, ci * hw.block, "weight")
    if len(args) > 2 and args.value(2) is not None:
        raise args.refuse("upstream's template ignores its bias argument; add it afterwards")
    if len(args) > 3:
        args.dtype(args.value(3), "out_dtype", hw.log_acc_width)
    return Dense(
        name="dense_packed.vta",
        bias=bias,
        batch=n * hw.batch,
        in_features=ci * hw.block,
        out_features=co * hw.block,
    )


_READERS: dict[str, Callable[[_Arguments, VTAConfig, bool], Workload]] = {
    "conv2d_packed.vta": _conv2d,
    "group_conv2d_packed.vta": _group_conv2d,
    "conv2d_transpose_packed.vta": _conv2d_transpose,
    "dense_packed.vta": _dense,
}
