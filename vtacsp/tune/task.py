"""How AutoTVM names a layer on a machine: target, task name and arguments of its log records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vtacsp.hardware import VTAConfig
from vtacsp.workload import Conv2DTranspose, Dense, GroupConv2D, Workload

__all__ = ["Task"]

_NAMES = {
    "conv2d": "conv2d_packed.vta",
    "group_conv2d": "group_conv2d_packed.vta",
    "conv2d_transpose": "conv2d_transpose_packed.vta",
    "dense": "dense_packed.vta",
}
_PADDING = 3  # position of the padding in the arguments of the convolutions


@dataclass(frozen=True)
class Task:
    """An AutoTVM task of TVM 0.17's ``vta``.

    ``args`` are nested tuples, tensors as ``("TENSOR", shape, dtype)``.  AutoTVM does not see
    whether a convolution has a bias; ``bias`` is None where a record does not say.
    """

    target: str
    name: str
    args: tuple[Any, ...]
    bias: bool | None = None

    @classmethod
    def of(cls, workload: Workload, hardware: VTAConfig) -> Task:
        """The task that Relay extracts for a packed layer (``relay/op/strategy/generic.py``).

        Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed.
        """
        shapes = workload.pack(hardware)
        data = ("TENSOR", shapes.data, _dtype(hardware.log_inp_width))
        weight = ("TENSOR", shapes.weight, _dtype(hardware.log_wgt_width))
        acc = _dtype(hardware.log_acc_width)
        args: tuple[Any, ...]
        if isinstance(workload, Dense):
            args = (data, weight, None, acc)
        else:
            spatial: Any = workload
            padding = (*spatial.padding, *spatial.padding)  # top, left, bottom, right
            common = (data, weight, spatial.stride, padding)
            if isinstance(workload, Conv2DTranspose):
                args = (*common, acc, workload.output_padding)
            elif isinstance(workload, GroupConv2D):
                args = (*common, (1, 1), workload.groups, acc)
            else:
                layout = f"NCHW{hardware.batch}n{hardware.block}c"
                args = (*common, (1, 1), layout, acc)
        return cls(target_of(hardware), _NAMES[workload.op], args, workload.bias)

    @property
    def model(self) -> str:
        """The machine, as VTA's targets name it (``sim_1x16_i8w8a32_15_15_18_17``)."""
        words = [word for word in self.target.split() if word.startswith("-model=")]
        return words[0].partition("=")[2] if words else self.target

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for records of one task: VTA's scripts pad by pairs, Relay by four sides."""
        args = list(self.args)
        if len(args) > _PADDING and isinstance(args[_PADDING], tuple) and len(args[_PADDING]) == 4:
            top, left, bottom, right = args[_PADDING]
            if (top, left) == (bottom, right):
                args[_PADDING] = (top, left)
        return (self.model, self.name, tuple(args))

    def matches(self, other: Task) -> bool:
        """Whether a record of one is a record of the other."""
        known = None not in (self.bias, other.bias)
        return self.key == other.key and not (known and self.bias != other.bias)


def target_of(hardware: VTAConfig) -> str:
    """VTA's target string: ``tvm.target.vta`` with ``Environment.MODEL``."""
    h = hardware
    widths = f"i{1 << h.log_inp_width}w{1 << h.log_wgt_width}a{1 << h.log_acc_width}"
    sizes = (h.log_uop_buff_size, h.log_inp_buff_size, h.log_wgt_buff_size, h.log_acc_buff_size)
    bitstream = "_".join([f"{h.batch}x{h.block}", widths, *map(str, sizes)])
    return f"ext_dev -keys=vta,cpu -device=vta -model={h.target}_{bitstream}"


def _dtype(log_width: int) -> str:
    return f"int{1 << log_width}"
