"""The four operators as TIR, in VTA's packed layout; what they compute, not how.

Shapes are those of :meth:`vtacsp.Workload.pack`.  The function's attributes hold the workload and
the machine, so that whoever sees the module (a builder, a database) knows what it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from tvm import te, tirx
from tvm.ir import IRModule

from vtacsp.epilogue.steps import Pass
from vtacsp.errors import ConfigError, SpaceError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.registry import part
from vtacsp.operators.workload import Workload
from vtacsp.space.problem import Problem, Space

__all__ = ["blocks_of", "prim_func", "problem_of"]

WORKLOAD, HARDWARE = "vta.workload", "vta.hardware"

Tensor = Any
ACCUMULATOR = "int32"


def prim_func(workload: Workload | Space, hardware: VTAConfig | None = None) -> Any:
    """The operator as a ``PrimFunc`` of (data, weight, operands of the epilogue, output).

    ``workload`` is a space, whose machine it is, or a bare workload on ``hardware``, the default
    machine when not given.

    Accumulates in 32 bits, runs the epilogue and cuts to the output type, as
    :func:`vtacsp.reference` does.  Blocks: ``dilate`` and ``pad`` where the operator has them,
    ``gemm``, one per ALU operation (:func:`blocks_of`), ``out``.

    Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed or its epilogue
    is one that never runs (a cast before the last step, no cast at the end),
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one and
    :class:`~vtacsp.errors.SpaceError` for a space that is ``stack_only``.

    >>> function = prim_func(vtacsp.Dense(name="mine", in_features=64, out_features=64))
    >>> len(function.params)  # data, weight and output: there is no bias
    3
    """
    problem = Problem.of(workload, hardware)
    if problem.stack_only:  # the measurements here refuse what is wrong on the hardware
        raise SpaceError("the space is stack_only; tuned is what is right on the hardware")
    workload, hardware = problem.workload, problem.hardware
    tir = part(workload.op, "tir")
    shapes = workload.pack(hardware)
    narrow = f"int{1 << hardware.log_inp_width}"
    data = te.placeholder(shapes.data, narrow, "data")
    weight = te.placeholder(shapes.weight, f"int{1 << hardware.log_wgt_width}", "weight")
    value = tir.multiply(workload, hardware, data, weight)
    operands = [data, weight]

    def stage(name: str, body: Callable[..., Any]) -> Tensor:
        return te.compute(shapes.output, body, name=name)

    placed = []
    for number, shape in enumerate(shapes.operands):
        name = "bias_data" if workload.bias else f"operand{number}"
        placed.append(te.placeholder(shape, ACCUMULATOR, name))
    for name, p in zip(blocks_of(workload), workload.chain.passes, strict=True):
        other = None if p.operand is None else placed[p.operand]
        value = stage(name, _operation(p, value, other))
    last = value
    output = stage("out", lambda *i: last(*i).astype(narrow))
    operands += placed
    function = te.create_prim_func([*operands, output])
    return (
        function.with_attr("global_symbol", "main")
        .with_attr("tirx.noalias", True)
        .with_attr(WORKLOAD, json.dumps(workload.to_dict(), sort_keys=True))
        .with_attr(HARDWARE, json.dumps(hardware.to_dict(), sort_keys=True))
    )


def blocks_of(workload: Workload) -> tuple[str, ...]:
    """Names of the blocks of the ALU operations; those of VTA's tuning scripts have their own.

    Raises :class:`~vtacsp.errors.WorkloadError` for an epilogue that never runs.
    """
    chain = workload.chain
    cast = chain.cast
    if (
        cast is None
        or cast.dtype not in (None, "int8")
        or any(p.op == "cast" for p in chain.passes)
    ):
        raise WorkloadError(
            f"{workload.name}: epilogue must have a cast to int8 as its last step, and no other"
        )
    if workload.epilogue is None:
        return ("shift", *(("bias",) if workload.bias else ()), "clip_high", "clip_low")
    return tuple(f"alu{number}" for number in range(len(chain.passes)))


def _operation(p: Pass, value: Tensor, other: Tensor | None) -> Callable[..., Any]:
    """An ALU operation as a function of the indices."""

    def apply(*i: Any) -> Any:
        left = value(*i)
        if other is None:
            right = left if p.value is None else tirx.const(p.value, ACCUMULATOR)
        else:  # one value per channel is the same at every position of an image
            sizes = (int(size) for size in other.shape)
            right = other(*(0 if size == 1 else k for k, size in zip(i, sizes, strict=True)))
        if p.left:
            left, right = right, left
        if p.op == "shr":
            assert p.value is not None
            return left >> right if p.value > 0 else left << tirx.const(-p.value, ACCUMULATOR)
        return _BINARY[p.op](left, right)

    return apply


_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "min": te.min,
    "max": te.max,
}


def problem_of(mod: Any) -> tuple[Workload, VTAConfig]:
    """Workload and machine of a module or function made by :func:`prim_func`.

    Raises :class:`~vtacsp.errors.ConfigError` for any other.

    >>> function = prim_func(vtacsp.Dense(name="mine", in_features=64, out_features=64))
    >>> workload, hardware = problem_of(function)
    >>> workload.name, hardware == vtacsp.VTAConfig()
    ('mine', True)
    """
    function = mod["main"] if isinstance(mod, IRModule) else mod
    attributes = function.attrs or {}
    if WORKLOAD not in attributes or HARDWARE not in attributes:
        raise ConfigError(
            f"the TIR function has no attributes {WORKLOAD} and {HARDWARE}: "
            "make it with vtacsp.metaschedule.prim_func"
        )
    workload = workload_from_dict(json.loads(str(attributes[WORKLOAD])))
    return workload, VTAConfig.from_dict(json.loads(str(attributes[HARDWARE])))
