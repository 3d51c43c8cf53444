"""How AutoTVM names a layer on a machine: target, task name and arguments of its log records.

The target also says what measured.  Records of the simulated RTL, and those that do not say, are
of VTA's own target.  Those of another device (an estimate, a board) are of a target of their own,
which shares neither model nor keys with it: AutoTVM looks histories up by both, so it never
compares the one's seconds with the other's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any
from urllib.parse import quote_plus, unquote_plus

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import HardwareError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.registry import part
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["RTL_DEVICE", "Task", "device_of", "hardware_of", "target_of"]

_OF_DEVICE = "@"  # between machine and device in the model of a target
_ANY = "surrogatepass"
OWN = "vtacsp."
_PADDING = 3  # position of the padding in the arguments of the convolutions


@dataclass(frozen=True)
class Task:
    """An AutoTVM task of TVM 0.17's ``vta``.

    ``args`` are nested tuples, tensors as ``("TENSOR", shape, dtype)``.  AutoTVM does not see
    what follows the operator; ``bias`` is None where a record does not say, ``epilogue`` is that of
    a layer which has another one than VTA's tuning scripts.
    """

    target: str
    name: str
    args: tuple[Any, ...]
    bias: bool | None = None
    epilogue: Epilogue | None = None

    @classmethod
    def of(cls, workload: Workload, hardware: VTAConfig, device: str = "") -> Task:
        """The task that Relay extracts for a packed layer (``relay/op/strategy/generic.py``).

        An operator that AutoTVM has no template for gets a name of ours, ``vtacsp.`` and the
        operator: AutoTVM reads such a record and has no task that it belongs to.

        ``device`` is what measures it, see :func:`target_of`.  Raises
        :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed.
        """
        shapes = workload.pack(hardware)
        acc = _dtype(hardware.log_acc_width)
        if shapes.weight is None:
            window = (getattr(workload, name, None) for name in ("kernel", "stride", "padding"))
            own = (("TENSOR", shapes.data, acc), *(pair for pair in window if pair is not None))
            name = f"{OWN}{workload.op}"
            return cls(target_of(hardware, device), name, own, workload.bias, workload.epilogue)
        data = ("TENSOR", shapes.data, _dtype(hardware.log_inp_width))
        weight = ("TENSOR", shapes.weight, _dtype(hardware.log_wgt_width))
        task = part(workload.op, "task")
        args: tuple[Any, ...] = task.arguments(workload, hardware, data, weight, acc)
        return cls(target_of(hardware, device), task.NAME, args, workload.bias, workload.epilogue)

    @property
    def model(self) -> str:
        """The machine, as VTA's targets name it (``sim_1x16_i8w8a32_15_15_18_17``)."""
        return _parts(self.target)[0] or self.target

    @property
    def device(self) -> str:
        """What measures, where the target says so; empty for VTA's own target."""
        return _parts(self.target)[1]

    def on(self, device: str) -> Task:
        """The same layer and machine, measured by this device."""
        machine, said = _parts(self.target)
        if not machine or said == ("" if device == RTL_DEVICE else device):
            return self
        return replace(self, target=_target(machine, device))

    @property
    def key(self) -> tuple[Any, ...]:
        """Equal for records of one task: VTA's scripts pad by pairs, Relay by four sides."""
        args = list(self.args)
        if len(args) > _PADDING and isinstance(args[_PADDING], tuple) and len(args[_PADDING]) == 4:
            top, left, bottom, right = args[_PADDING]
            if (top, left) == (bottom, right):
                args[_PADDING] = (top, left)
        return (self.model, self.device, self.name, tuple(args))

    def matches(self, other: Task) -> bool:
        """Whether a record of one is a record of the other."""
        known = None not in (self.bias, other.bias)
        same = not known or (self.bias, self.epilogue) == (other.bias, other.epilogue)
        return self.key == other.key and same


def target_of(hardware: VTAConfig, device: str = "") -> str:
    """VTA's target string: ``tvm.target.vta`` with ``Environment.MODEL``.

    A ``device`` other than :data:`RTL_DEVICE` has a target of its own.  Raises
    :class:`~vtacsp.errors.HardwareError` for a TARGET that a target string cannot hold.
    """
    if not re.fullmatch(r"[\w.+-]+", hardware.target, re.ASCII):
        raise HardwareError(
            f"TARGET is {hardware.target[:40]!r}; TVM's targets can name letters, digits and ._+-"
        )
    return _target(hardware.model, device)


def hardware_of(target: str) -> VTAConfig:
    """The machine that a target string names (the inverse of :func:`target_of`).

    Raises :class:`~vtacsp.errors.HardwareError` when it names none, or one that cannot exist.
    """
    machine, _ = _parts(target)
    if not machine:
        raise HardwareError(f"the target {target[:120]!r} has no -model= that names a VTA machine")
    return VTAConfig.from_model(machine)


def device_of(timing: TimingModel) -> str:
    """The device that a simulation with this timing model is."""
    return f"simulator {timing.name}"


RTL_DEVICE = device_of(RTL)
"""The simulated RTL: its records are of VTA's own target, as are those that name no device."""


def _target(model: str, device: str) -> str:
    if device in ("", RTL_DEVICE):
        return f"ext_dev -keys=vta,cpu -device=vta -model={model}"
    # no -device=vta: TVM would make a key of it
    own = f"{model}{_OF_DEVICE}{quote_plus(device, errors=_ANY)}"
    return f"ext_dev -keys={own} -model={own}"


@lru_cache(maxsize=1024)
def _parts(target: str) -> tuple[str, str]:
    """Machine and device in the model of a target, empty where there is none."""
    words = [word for word in target.split() if word.startswith("-model=")]
    model = words[0].partition("=")[2] if words else ""
    machine, _, device = model.rpartition(_OF_DEVICE)
    return (machine, unquote_plus(device, errors=_ANY)) if machine else (model, "")


def _dtype(log_width: int) -> str:
    return f"int{1 << log_width}"
