"""Arguments of an AutoTVM task, checked one by one."""

from __future__ import annotations

from typing import Any

from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Shape

__all__ = ["Arguments", "check_reduction", "spatial", "spatial_arguments"]


class Arguments:
    """Positional arguments of a task; every method raises WorkloadError for what is not VTA's."""

    def __init__(self, task: Any) -> None:
        self._task = task

    def __len__(self) -> int:
        return len(self._task.args)

    def refuse(self, what: str) -> WorkloadError:
        """The error that says what is wrong."""
        return WorkloadError(f"task {self._task.name}: {what}")

    def value(self, position: int) -> Any:
        """An argument as it is."""
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
        """Refuse another type than that of this width."""
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
        """Two integers."""
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
        """Refuse a dilation."""
        if self.pair(position) != (1, 1):
            raise self.refuse(f"dilation is {self.value(position)}, VTA has (1, 1)")


def spatial(args: Arguments, hw: VTAConfig) -> dict[str, Any]:
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


def check_reduction(args: Arguments, hw: VTAConfig, channels: int, axis: str) -> None:
    """Refuse weights of other input channels than the data have."""
    weight = args.tensor(1, axis, hw.log_wgt_width)
    if weight[1] * hw.block != channels:
        raise args.refuse(
            f"{axis} has {weight[1] * hw.block} input channels, the data give {channels}"
        )


def spatial_arguments(workload: Any, data: Any, weight: Any) -> tuple[Any, ...]:
    """What the convolutions' arguments begin with; padding is top, left, bottom, right."""
    return data, weight, workload.stride, (*workload.padding, *workload.padding)
