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

from vtacsp.errors import ConfigError, SpaceError
from vtacsp.hardware import VTAConfig
from vtacsp.program.epilogue import CLIP_HIGH, CLIP_LOW, SHIFT
from vtacsp.space.problem import Problem, Space
from vtacsp.workload import Conv2DTranspose, Dense, Workload, workload_from_dict

__all__ = ["prim_func", "problem_of"]

WORKLOAD, HARDWARE = "vta.workload", "vta.hardware"

Tensor = Any
ACCUMULATOR = "int32"


def prim_func(workload: Workload | Space, hardware: VTAConfig | None = None) -> Any:
    """The operator as a ``PrimFunc`` of (data, weight[, bias], output).

    ``workload`` is a space, whose machine it is, or a bare workload on ``hardware``, the default
    machine when not given.

    Accumulates in 32 bits, shifts right by 8, adds the bias, clips to 0..127 and cuts to the
    input type, as :func:`vtacsp.reference` does.  Blocks: ``dilate`` and ``pad`` where the
    operator has them, ``gemm``, ``shift``, ``bias``, ``clip_high``, ``clip_low``, ``out``.

    Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed,
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one and
    :class:`~vtacsp.errors.SpaceError` for a space that is ``stack_only``.
    """
    problem = Problem.of(workload, hardware)
    if problem.stack_only:  # the measurements here refuse what is wrong on the hardware
        raise SpaceError("the space is stack_only; tuned is what is right on the hardware")
    workload, hardware = problem.workload, problem.hardware
    shapes = workload.pack(hardware)
    narrow = f"int{1 << hardware.log_inp_width}"
    data = te.placeholder(shapes.data, narrow, "data")
    weight = te.placeholder(shapes.weight, f"int{1 << hardware.log_wgt_width}", "weight")
    multiply = _dense if isinstance(workload, Dense) else _convolution
    value = multiply(workload, hardware, data, weight)
    operands = [data, weight]

    def stage(name: str, body: Callable[..., Any]) -> Tensor:
        return te.compute(shapes.output, body, name=name)

    total = value
    value = stage("shift", lambda *i: total(*i) >> tirx.const(SHIFT, ACCUMULATOR))
    if shapes.bias is not None:
        bias = te.placeholder(shapes.bias, ACCUMULATOR, "bias_data")
        operands.append(bias)
        shifted, sizes = value, shapes.bias

        def add(*i: Any) -> Any:  # the bias is the same at every position of an image
            at = (0 if size == 1 else index for index, size in zip(i, sizes, strict=True))
            return shifted(*i) + bias(*at)

        value = stage("bias", add)
    unclipped = value
    high = stage("clip_high", lambda *i: te.min(unclipped(*i), tirx.const(CLIP_HIGH, ACCUMULATOR)))
    low = stage("clip_low", lambda *i: te.max(high(*i), tirx.const(CLIP_LOW, ACCUMULATOR)))
    output = stage("out", lambda *i: low(*i).astype(narrow))
    function = te.create_prim_func([*operands, output])
    return (
        function.with_attr("global_symbol", "main")
        .with_attr("tirx.noalias", True)
        .with_attr(WORKLOAD, json.dumps(workload.to_dict(), sort_keys=True))
        .with_attr(HARDWARE, json.dumps(hardware.to_dict(), sort_keys=True))
    )


def problem_of(mod: Any) -> tuple[Workload, VTAConfig]:
    """Workload and machine of a module or function made by :func:`prim_func`.

    Raises :class:`~vtacsp.errors.ConfigError` for any other.
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


def _dense(workload: Workload, hardware: VTAConfig, data: Tensor, weight: Tensor) -> Tensor:
    shapes = workload.pack(hardware)
    blocks = te.reduce_axis((0, shapes.weight[1]), "k_o")
    lanes = te.reduce_axis((0, hardware.block), "k_i")

    def product(n: Any, c: Any, i: Any, o: Any) -> Any:
        left = data[n, blocks, i, lanes].astype(ACCUMULATOR)
        return te.sum(left * weight[c, blocks, o, lanes].astype(ACCUMULATOR), [blocks, lanes])

    return te.compute(shapes.output, product, name="gemm")


def _convolution(workload: Workload, hardware: VTAConfig, data: Tensor, weight: Tensor) -> Tensor:
    shapes, s = workload.pack(hardware), workload.symbols(hardware)
    sh, sw, ph, pw = s["SH"], s["SW"], s["PH"], s["PW"]
    if isinstance(workload, Conv2DTranspose):
        # the convolution, with stride 1, of the dilated input
        data = _dilate(data, sh, sw)
        sh, sw, ph, pw = 1, 1, s["KH"] - 1 - ph, s["KW"] - 1 - pw
    if ph or pw:
        data = _pad(data, ph, pw)
    per_group, ci = s["CO"] // s["G"], s["CI"]
    blocks = te.reduce_axis((0, ci), "k_o")
    row, column = te.reduce_axis((0, s["KH"]), "d_i"), te.reduce_axis((0, s["KW"]), "d_j")
    lanes = te.reduce_axis((0, hardware.block), "k_i")

    def product(n: Any, c: Any, y: Any, x: Any, i: Any, o: Any) -> Any:
        block = blocks if s["G"] == 1 else tirx.floordiv(c, per_group) * ci + blocks
        left = data[n, block, y * sh + row, x * sw + column, i, lanes].astype(ACCUMULATOR)
        right = weight[c, blocks, row, column, o, lanes].astype(ACCUMULATOR)
        return te.sum(left * right, [blocks, row, column, lanes])

    return te.compute(shapes.output, product, name="gemm")


def _dilate(data: Tensor, sh: int, sw: int) -> Tensor:
    n, c, height, width, *element = (int(size) for size in data.shape)
    shape = (n, c, (height - 1) * sh + 1, (width - 1) * sw + 1, *element)

    def value(n: Any, c: Any, y: Any, x: Any, *rest: Any) -> Any:
        on_grid = tirx.all(tirx.floormod(y, sh) == 0, tirx.floormod(x, sw) == 0)
        source = data(n, c, tirx.floordiv(y, sh), tirx.floordiv(x, sw), *rest)
        return tirx.if_then_else(on_grid, source, tirx.const(0, data.dtype))

    return te.compute(shape, value, name="dilate")


def _pad(data: Tensor, ph: int, pw: int) -> Tensor:
    n, c, height, width, *element = (int(size) for size in data.shape)
    shape = (n, c, height + 2 * ph, width + 2 * pw, *element)

    def value(n: Any, c: Any, y: Any, x: Any, *rest: Any) -> Any:
        inside = tirx.all(y >= ph, y < height + ph, x >= pw, x < width + pw)
        source = data(n, c, y - ph, x - pw, *rest)
        return tirx.if_then_else(inside, source, tirx.const(0, data.dtype))

    return te.compute(shape, value, name="pad")
