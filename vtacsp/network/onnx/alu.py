"""Pools and sums of two tensors on VTA's ALU, when asked for: the host hands over int32.

A load into the accumulators moves 32-bit values, and what a layer stores are bytes: the host widens
them.  It takes the zero points off, and brings both operands of a sum to one scale, on the way.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2, prod
from typing import Any

import numpy as np

from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue, Shift, Step
from vtacsp.errors import WorkloadError
from vtacsp.network.onnx.chain import FusedOperators, fused_operators, need_out
from vtacsp.network.onnx.graph import Op, Shape
from vtacsp.network.onnx.placing import (
    Context,
    ModelLayer,
    Pads,
    Placed,
    Widened,
    handles,
    padding_of,
)
from vtacsp.network.onnx.scales import (
    OFFSET,
    Quantisation,
    Requantisation,
    Unplaceable,
    quantisation,
)
from vtacsp.operators.add.workload import Add
from vtacsp.operators.avg_pool.workload import AvgPool
from vtacsp.operators.max_pool.workload import MaxPool
from vtacsp.operators.workload import Workload

__all__ = ["ALU_OPS"]

MICROSOFT = "com.microsoft"

ALU_OPS = {
    **{("", name): "pool" for name in ("MaxPool", "AveragePool", "GlobalMaxPool",
                                       "GlobalAveragePool")},
    **{(MICROSOFT, name): "pool" for name in ("QLinearAveragePool", "QLinearGlobalAveragePool")},
    **{("", name): "add" for name in ("Add", "Sum")},
    (MICROSOFT, "QLinearAdd"): "add",
}  # fmt: skip
"""(domain, operator) -> the word of the option ``alu`` that puts it on VTA."""


@dataclass(frozen=True, eq=False)
class _Input:
    """A tensor as it is stored, and its quantisation, None in a float model."""

    stored: str
    shape: Shape
    scale: Quantisation | None


@handles("Add", "Sum")
def _add(context: Context, op: Op) -> Placed:
    if len(op.inputs) != 2:
        raise Unplaceable(f"a sum of {len(op.inputs)} tensors, the ALU's has two")
    return _sum(context, op, [_input(context, name) for name in op.inputs], None)


@handles("QLinearAdd", domain=MICROSOFT)
def _qlinear_add(context: Context, op: Op) -> Placed:
    inputs = [_scaled(context, op, place) for place in (0, 3)]
    return _sum(context, op, inputs, _quantised(context, op, 6, "results"))


@handles("MaxPool", "GlobalMaxPool", "AveragePool", "GlobalAveragePool")
def _plain_pool(context: Context, op: Op) -> Placed:
    return _pool(context, op, _input(context, op.input(0)), None)


@handles("QLinearAveragePool", "QLinearGlobalAveragePool", domain=MICROSOFT)
def _qlinear_pool(context: Context, op: Op) -> Placed:
    if op.number("channels_last", 0):
        raise Unplaceable("its channels are last")
    return _pool(context, op, _scaled(context, op, 0), _quantised(context, op, 3, "results"))


# -- operands


def _quantised(context: Context, op: Op, place: int, what: str) -> Quantisation:
    return quantisation(context.graph, op.input(place), op.input(place + 1), what)


def _scaled(context: Context, op: Op, place: int) -> _Input:
    """The operand of a quantised operator, which its scale and zero point follow."""
    scale = _quantised(context, op, place + 1, "data")
    return _Input(op.input(place), _image(context, op.input(place)), scale)


def _input(context: Context, tensor: str) -> _Input:
    """The operand of a plain operator: float, 8 bits, or behind ``DequantizeLinear``."""
    graph = context.graph
    shape = _image(context, tensor)
    behind = graph.producer.get(tensor)
    if behind is not None and behind.type == "DequantizeLinear":
        dtype = graph.dtypes.get(behind.input(0))
        scale = quantisation(graph, behind.input(1), behind.input(2), "data", dtype)
        return _Input(behind.input(0), shape, scale)
    if context.quantised and graph.dtypes.get(tensor) not in OFFSET:
        raise Unplaceable("its data are not quantised: VTA computes with 8 bits")
    return _Input(tensor, shape, None)


def _image(context: Context, tensor: str) -> Shape:
    if context.graph.is_constant(tensor):
        raise Unplaceable("one of its operands is a constant")
    shape = context.graph.shape(tensor)
    if shape is None or 0 in shape:
        raise Unplaceable("the shape of its data is not known" if shape is None else "no data")
    if len(shape) != 4:
        raise Unplaceable(f"its data have {len(shape)} axes, the ALU's operators are of images")
    return shape


def _chain(context: Context, op: Op, channels: int) -> FusedOperators:
    """What follows: activations and the quantiser; no weights take up a scale or a sum."""
    kept = context.options.host | context.taken
    return fused_operators(context.graph, op.outputs[0], channels, 1, kept, quantised=True)


# -- layers


def _sum(context: Context, op: Op, inputs: Sequence[_Input], out: Quantisation | None) -> Placed:
    one, other = inputs
    if one.shape != other.shape:
        raise Unplaceable(f"a sum of {one.shape} and {other.shape}: the ALU does not broadcast")
    if out is None and (one.scale is None) != (other.scale is None):
        raise Unplaceable("only one of its operands is quantised")
    if context.quantised and one.scale is None:
        raise Unplaceable("the scales of its operands are not known")
    chain = (
        _chain(context, op, one.shape[1]) if out is None else FusedOperators(op.outputs[0], out=out)
    )
    requantisation, widened = None, (Widened(one.stored), Widened(other.stored))
    if one.scale is not None and other.scale is not None:
        common, factors = _common(one.scale, other.scale)
        widened = (
            Widened(one.stored, one.scale.zero, factors[0]),
            Widened(other.stored, other.scale.zero, factors[1]),
        )
        requantisation = _requantised(common, 1.0, chain)
        epilogue = requantisation.epilogue
    else:
        epilogue = _float([], chain, Clip(min=-127, max=127))
    work = _made(Add, op, one.shape, epilogue=epilogue)
    notes = [] if requantisation else ["both operands are taken to have one scale"]
    return _placed(context, work, widened, chain, requantisation, notes)


def _common(one: Quantisation, other: Quantisation) -> tuple[float, tuple[int, int]]:
    """The smaller scale, and what the values of each are multiplied by to be in it."""
    if one.scale.size > 1 or other.scale.size > 1:
        raise Unplaceable("its data have a scale per channel")
    scales = float(one.scale[0]), float(other.scale[0])
    least = min(scales)
    factors = [round(scale / least) for scale in scales]
    if any(f * least != s or f > MOST for f, s in zip(factors, scales, strict=True)):
        raise Unplaceable(
            f"its operands have the scales {scales[0]:.4g} and {scales[1]:.4g}: one must be a "
            f"multiple of the other, up to {MOST}"
        )
    return least, (factors[0], factors[1])


MOST = 1 << 15  # an 8-bit value that is multiplied by it has 24 bits


def _pool(context: Context, op: Op, data: _Input, out: Quantisation | None) -> Placed:
    if any(name and name in context.graph.consumers for name in op.outputs[1:]):
        raise Unplaceable("the places of the largest values are read too")
    largest, everything = "Max" in op.type, "Global" in op.type
    kernel = data.shape[2:] if everything else op.ints("kernel_shape", (0, 0))
    stride = (1, 1) if everything else op.ints("strides", (1, 1))
    if op.ints("dilations", (1, 1)) != (1, 1):
        raise Unplaceable("a window with gaps (dilations)")
    pads: Pads = (0, 0, 0, 0) if everything else padding_of(op, data.shape, kernel)
    if any(pads) and not largest and not op.number("count_include_pad", 0):
        raise Unplaceable("a mean that leaves out the padding (count_include_pad is 0)")
    chain = (
        _chain(context, op, data.shape[1])
        if out is None
        else FusedOperators(op.outputs[0], out=out)
    )
    widened, requantisation, notes = Widened(data.stored), None, list[str]()
    if largest:
        epilogue = _float([], chain) if data.scale is None else _same_scale(data.scale, chain)
    elif data.scale is not None:
        widened = Widened(data.stored, data.scale.zero)
        requantisation = _requantised(float(data.scale.scale[0]), 1 / prod(kernel), chain)
        epilogue = requantisation.epilogue
    elif context.quantised:
        raise Unplaceable("the scale of its data is not known")
    else:
        epilogue = _mean(prod(kernel), chain)
        notes.append("rounds down")
    top, left, bottom, right = pads
    ours = (top, left) == (bottom, right)
    height, width = data.shape[2:]
    size = (height, width) if ours else (height + top + bottom, width + left + right)
    work = _made(
        MaxPool if largest else AvgPool,
        *(op, (*data.shape[:2], *size)),
        kernel=kernel,
        stride=stride,
        padding=(top, left) if ours else (0, 0),
        epilogue=epilogue,
    )
    found = context.graph.shape(op.outputs[0])
    if found is not None and found[2:] != work.output_size:
        raise Unplaceable(f"an output of {found[2:]}, beyond its padded data (ceil_mode)")
    around = (0, 0, 0, 0) if ours else pads
    return _placed(context, work, (widened,), chain, requantisation, notes, around,
                   work.pad_value)  # fmt: skip


def _requantised(scale: float, factor: float, chain: FusedOperators) -> Requantisation:
    data = Quantisation(np.array([scale]), 0, "int8")
    weight = Quantisation(np.array([factor]), 0, "int8")
    return Requantisation.of(data, weight, need_out(chain), False, chain.low, chain.high)


def _float(steps: list[Step], chain: FusedOperators, *end: Step) -> Epilogue:
    relu = [Arithmetic(op="max", value=0)] if chain.relu else []
    return Epilogue((*steps, *relu, *end, Cast()))


def _same_scale(scale: Quantisation, chain: FusedOperators) -> Epilogue:
    """Of values that stay what they are: their order is that of the real numbers."""
    out = need_out(chain)
    if scale.scale.size > 1 or out.scale.tolist() != scale.scale.tolist() or (
        out.zero != scale.zero or out.dtype != scale.dtype
    ):  # fmt: skip
        raise Unplaceable("its results have another scale or zero point than its data")
    if chain.activated:
        requantisation = _requantised(float(scale.scale[0]), 1.0, chain)
        return Epilogue((Clip(min=requantisation.low, max=requantisation.high), Cast()))
    return Epilogue((Cast(),))


def _mean(taps: int, chain: FusedOperators) -> Epilogue:
    if taps & (taps - 1):
        raise Unplaceable(f"a mean of {taps} values: VTA divides by powers of two only")
    by = int(log2(taps))
    return _float([Shift(op="shift_right", by=by)] if by else [], chain)


def _made(kind: type[Any], op: Op, shape: Shape, **more: Any) -> Any:
    n, c, height, width = shape
    try:
        return kind(name=op.name, batch=n, channels=c, height=height, width=width, **more)
    except WorkloadError as refusal:
        raise Unplaceable(str(refusal).removeprefix(f"{op.name}: ")) from None


def _placed(
    context: Context,
    work: Workload,
    widened: tuple[Widened, ...],
    chain: FusedOperators,
    requantisation: Requantisation | None,
    notes: list[str],
    pads: Pads = (0, 0, 0, 0),
    fill: int = 0,
) -> Placed:
    filled, more = context.fill(work)
    shapes = filled.pack(context.hardware)
    size = 4 * len(widened) * prod(shapes.data)
    remarks = [
        *([] if requantisation is None else requantisation.remarks),
        *notes,
        *more,
        f"the host hands over int32: it writes {size:,} bytes for every inference",
    ]
    if any(pads):
        remarks.append("the host pads the data")
    layer = ModelLayer(
        workload=work, data=widened[0].tensor, weight="", bias="", pads=pads, fill=fill,
        requantisation=requantisation, widened=widened,
    )  # fmt: skip
    return Placed(layer, filled, chain.ops, tuple(remarks))
