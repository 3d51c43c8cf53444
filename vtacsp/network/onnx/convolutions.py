"""Convolutions and products of matrices: float, between quantisers, and as quantised operators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from operator import add
from typing import Any

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import NetworkError, WorkloadError
from vtacsp.network.onnx.chain import FusedOperators, fused_operators, need_out
from vtacsp.network.onnx.embedded import dense_as_convolution, folded, host_work
from vtacsp.network.onnx.graph import Graph, Op, Shape
from vtacsp.network.onnx.placing import Context, ModelLayer, Pads, Placed, handles, padding_of
from vtacsp.network.onnx.residual import added
from vtacsp.network.onnx.scales import (
    Quantisation,
    Requantisation,
    Unplaceable,
    float_epilogue,
    quantisation,
)
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.operators.workload import Workload

__all__ = ["LAYERS"]

MICROSOFT = "com.microsoft"

NO_PADS: Pads = (0, 0, 0, 0)

LAYERS = {
    *(("", name) for name in ("Conv", "ConvTranspose", "Gemm", "MatMul", "ConvInteger",
                              "MatMulInteger", "QLinearConv", "QLinearMatMul")),
    (MICROSOFT, "QGemm"),
}  # fmt: skip
"""(domain, operator) of what is a layer, wherever it runs."""


@dataclass(frozen=True, eq=False)
class _Operands:
    """Names of the tensors of a layer, and what quantises them, None in a float model.

    ``data``, ``weight`` and ``bias`` are what the graph computes with, ``stored`` and
    ``quantised_weight`` the 8-bit tensors behind them.
    """

    data: str
    weight: str
    bias: str
    stored: str
    quantised_weight: str
    data_scale: Quantisation | None = None
    weight_scale: Quantisation | None = None
    out: Quantisation | None = None


@handles("Conv", "ConvTranspose")
def _conv(context: Context, op: Op) -> Placed:
    return _convolution(context, op, _operands(context, op, 2))


@handles("QLinearConv")
def _qlinear_conv(context: Context, op: Op) -> Placed:
    return _convolution(context, op, _quantised_operands(context.graph, op, 8))


@handles("Gemm", "MatMul")
def _gemm(context: Context, op: Op) -> Placed:
    return _product(context, op, _operands(context, op, 2))


@handles("QLinearMatMul")
def _qlinear_matmul(context: Context, op: Op) -> Placed:
    return _product(context, op, _quantised_operands(context.graph, op, None))


@handles("QGemm", domain=MICROSOFT)
def _qgemm(context: Context, op: Op) -> Placed:
    if not op.input(7):
        raise Unplaceable("its results are not quantised: VTA stores 8 bits")
    return _product(context, op, _quantised_operands(context.graph, op, 6, out=7))


@handles("ConvInteger", "MatMulInteger")
def _dynamic(context: Context, op: Op) -> Placed:  # noqa: ARG001 - the signature of a handler
    raise Unplaceable("its scales are computed at run time (dynamic quantisation)")


# -- operands


def _operands(context: Context, op: Op, bias: int) -> _Operands:
    """Of a plain operator: float ones, or behind ``DequantizeLinear``."""
    graph = context.graph
    data, weight = op.input(0), op.input(1)
    plain = _Operands(data, weight, op.input(bias), data, weight)
    behind = _dequantiser(graph, data)
    if behind is None or graph.is_constant(data):
        if context.quantised:
            raise Unplaceable("its data are not quantised: VTA computes with 8 bits")
        return plain
    stored = _dequantiser(graph, weight)
    if stored is None:
        raise Unplaceable("its weights are not quantised: VTA computes with 8 bits")
    if not graph.is_constant(weight):
        raise Unplaceable("its weights are computed at run time")
    return replace(
        plain,
        stored=behind.input(0),
        quantised_weight=stored.input(0),
        data_scale=_scale(graph, behind, "data"),
        weight_scale=_scale(graph, stored, "weights"),
    )


def _dequantiser(graph: Graph, tensor: str) -> Op | None:
    op = graph.producer.get(tensor)
    return op if op is not None and op.type == "DequantizeLinear" else None


def _scale(graph: Graph, op: Op, what: str) -> Quantisation:
    dtype = graph.dtypes.get(op.input(0))
    if op.attributes.get("block_size"):
        raise Unplaceable(f"its {what} have a scale per block")
    return quantisation(graph, op.input(1), op.input(2), what, dtype)


def _quantised_operands(graph: Graph, op: Op, bias: int | None, out: int = 6) -> _Operands:
    """Of an operator with its scales: data, scale, zero, weights, scale, zero, ..., scale, zero."""
    data, weight = op.input(0), op.input(3)
    third = "" if bias is None else op.input(bias)
    return _Operands(
        *(data, weight, third, data, weight),
        data_scale=quantisation(graph, op.input(1), op.input(2), "data"),
        weight_scale=quantisation(graph, op.input(4), op.input(5), "weights"),
        out=quantisation(graph, op.input(out), op.input(out + 1), "results"),
    )


def _shape(graph: Graph, tensor: str, what: str) -> Shape:
    shape = graph.shape(tensor)
    if shape is None:
        raise Unplaceable(f"the shape of its {what} is not known")
    if 0 in shape:
        raise Unplaceable(f"its {what} are empty")
    return shape


# -- convolutions


def _convolution(context: Context, op: Op, operands: _Operands) -> Placed:
    graph = context.graph
    transposed = op.type == "ConvTranspose"
    data, weight, groups, inputs, outputs = _sizes(graph, op, operands, transposed)
    pads, before = padding_of(op, data, weight[2:]), []
    outer = None if transposed or operands.data_scale is not None else _pad_before(context, op)
    if outer is not None:
        before.append(outer[0])
        data = _shape(graph, outer[0].input(0), "data")
        top, left, bottom, right = map(add, pads, outer[1])
        pads = (top, left, bottom, right)
        operands = replace(operands, data=outer[0].input(0), stored=outer[0].input(0))
    chain = _chain(context, op, operands, outputs, axis=1)
    requantisation = _requantised(op, operands, chain, outputs)
    residual = None
    if requantisation is not None and _may_add(context, op, inputs):
        kept = context.options.host | context.taken
        residual = added(graph, chain, outputs, kept, context.refusals)
        if residual is not None:
            requantisation = requantisation.with_residual(residual.residual)
            chain = replace(chain, ops=(*chain.ops, *residual.ops), residual=residual.tensor)
    make = {
        "name": op.name,
        "batch": data[0],
        "in_channels": inputs,
        "height": data[2],
        "width": data[3],
        "out_channels": outputs,
        "kernel": weight[2:],
        "stride": op.ints("strides", (1, 1)),
        "epilogue": _epilogue(operands, chain, requantisation),
    }
    zero = 0 if requantisation is None else requantisation.data_zero
    if transposed:
        workload, on_host = _transposed(op, make, pads, groups, zero), NO_PADS
    else:
        workload, on_host = _plain(op, make, pads, groups, zero)
    embedding, more = None, tuple[str, ...]()
    if _needs_fold(context, op, workload, inputs):
        embedding = folded(context, workload, (data[2], data[3]), pads, zero)
        filled, more, on_host = embedding.workload, tuple(host_work(embedding)), NO_PADS
    else:
        filled, more = context.fill(workload)
    layer = ModelLayer(
        workload=workload,
        data=operands.stored,
        weight=operands.quantised_weight,
        bias=operands.bias,
        pads=on_host,
        fill=zero,
        requantisation=requantisation,
        inputs_first=transposed,
        residual="" if residual is None else residual.tensor,
    )
    remarks = [*_remarks(chain, requantisation), *more]
    if any(on_host):
        top, left, bottom, right = on_host
        remarks.append(
            f"the host pads the data: {top} above, {left} left, {bottom} below, {right} right, "
            f"with {zero}"
        )
    return Placed(layer, filled, (*before, *chain.ops), tuple(remarks), embedding)


def _sizes(
    graph: Graph, op: Op, operands: _Operands, transposed: bool
) -> tuple[Shape, Shape, int, int, int]:
    """Shapes of data and weights, groups, input and output channels of a convolution."""
    if not graph.is_constant(operands.weight):
        raise Unplaceable("its weights are computed at run time")
    data = _shape(graph, operands.data, "data")
    weight = _shape(graph, operands.weight, "weights")
    if len(data) != len(weight):
        raise NetworkError(f"{op.name}: data of {len(data)} axes, weights of {len(weight)}")
    if len(data) != 4:
        raise Unplaceable(f"a convolution over {len(data) - 2} axes, VTA's have two")
    if op.ints("kernel_shape", weight[2:]) != weight[2:]:
        raise NetworkError(
            f"{op.name}: kernel_shape is {op.ints('kernel_shape', weight[2:])}, its weights have "
            f"{weight[2:]}"
        )
    groups = op.attributes.get("group", 1)
    if not isinstance(groups, int) or groups < 1:
        raise NetworkError(f"{op.name}: group must be an integer of at least 1")
    if op.ints("dilations", (1, 1)) != (1, 1):
        raise Unplaceable(f"dilation {op.ints('dilations', (1, 1))}: VTA's convolutions have none")
    outputs, inputs = weight[0], weight[1] * groups
    if transposed:
        inputs, outputs = weight[0], weight[1] * groups
    if inputs != data[1]:
        raise NetworkError(
            f"{op.name}: its weights are for {inputs} input channels, the data have {data[1]}"
        )
    if operands.bias:
        if not graph.is_constant(operands.bias):
            raise Unplaceable("its bias is computed at run time")
        if _shape(graph, operands.bias, "bias") != (outputs,):
            raise NetworkError(
                f"{op.name}: its bias is {graph.shape(operands.bias)}, it has {outputs} outputs"
            )
    return data, weight, groups, inputs, outputs


def _epilogue(
    operands: _Operands, chain: FusedOperators, requantisation: Requantisation | None
) -> Epilogue:
    if requantisation is not None:
        return requantisation.epilogue
    bias = bool(operands.bias) or chain.affine
    return float_epilogue(bias, chain.relu, bool(chain.residual))


def _remarks(chain: FusedOperators, requantisation: Requantisation | None) -> list[str]:
    """What VTA does differently than the model."""
    remarks = [] if requantisation is None else list(requantisation.remarks)
    if chain.residual:
        remarks.append("the host widens the residual to int32, in the scale of the sums")
    if requantisation is None and chain.high < float("inf"):
        remarks.append(f"clips at {chain.high:g}: taken as the end of int8")
    return remarks


def _may_add(context: Context, op: Op, channels: int) -> bool:
    """Whether a quantised residual goes into the epilogue: not into that of a folded layer."""
    options = context.options
    first = channels < context.hardware.block and context.is_first(op)
    return options.residual == "fuse" and not (first and options.first_layer == "fold")


def _needs_fold(context: Context, op: Op, workload: Workload, channels: int) -> bool:
    """Whether it is a first convolution that does not fill a block and is to be folded.

    Raises :class:`Unplaceable` when such a layer stays on the host.
    """
    if channels >= context.hardware.block or not context.is_first(op):
        return False
    choice = context.options.first_layer
    if choice == "fold" and op.type == "ConvTranspose":
        raise Unplaceable(
            "first layer: a transposed convolution is not folded (--first-layer pad fills its "
            "block with zeros)"
        )
    if choice == "fold":
        return True
    if choice == "host" and context.fill(workload)[1]:
        noun = "channel does" if channels == 1 else "channels do"
        raise Unplaceable(
            f"first layer: {channels} input {noun} not fill a block of {context.hardware.block} "
            "(--first-layer pad fills it with zeros, fold with pixels)"
        )
    return False


def _chain(
    context: Context, op: Op, operands: _Operands, channels: int, axis: int
) -> FusedOperators:
    """What follows; an operator that has its own scales ends with itself."""
    if operands.out is not None:
        return FusedOperators(op.outputs[0], out=operands.out)
    quantised = operands.data_scale is not None
    kept = context.options.host | context.taken
    fuse = context.options.residual == "fuse"
    return fused_operators(context.graph, op.outputs[0], channels, axis, kept, quantised, fuse)


def _requantised(
    op: Op, operands: _Operands, chain: FusedOperators, outputs: int
) -> Requantisation | None:
    """The requantisation, None in a float model."""
    if operands.data_scale is None or operands.weight_scale is None:
        return None
    count = operands.weight_scale.scale.size
    if count not in (1, outputs):
        raise NetworkError(f"{op.name}: {count} scales of weights for {outputs} outputs")
    scales = operands.data_scale, operands.weight_scale, need_out(chain)
    return Requantisation.of(*scales, bool(operands.bias), chain.low, chain.high)


def _pad_before(context: Context, op: Op) -> tuple[Op, Pads] | None:
    """A ``Pad`` with zeros around the image, which only this convolution reads."""
    graph = context.graph
    pad = graph.producer.get(op.input(0))
    if pad is None or pad.type != "Pad" or pad.domain or pad.name in context.options.host:
        return None
    if graph.only_consumer(pad.outputs[0]) is not op or graph.is_constant(pad.outputs[0]):
        return None
    if pad.text("mode", "constant") != "constant" or op.text("auto_pad", "NOTSET") != "NOTSET":
        return None
    sizes, value = pad.attributes.get("pads"), pad.attributes.get("value", 0)
    if pad.input(1):
        found = graph.value(pad.input(1))
        sizes = None if found is None else found.reshape(-1).tolist()
    if pad.input(2):
        constant = graph.value(pad.input(2))
        value = None if constant is None else constant.reshape(-1).tolist()[0]
    if pad.input(3) or sizes is None or len(sizes) != 8 or value != 0 or min(sizes) < 0:
        return None
    if any(sizes[place] for place in (0, 1, 4, 5)):
        return None  # of the batch or the channels
    return pad, (sizes[2], sizes[3], sizes[6], sizes[7])


def _plain(
    op: Op, make: dict[str, Any], pads: Pads, groups: int, zero: int
) -> tuple[Workload, Pads]:
    """A convolution; the host pads what VTA's does not: other sides, or with another value."""
    top, left, bottom, right = pads
    ours = top == bottom and left == right and not (top == 0 and left > 0) and zero == 0
    on_host = (0, 0, 0, 0) if ours else pads
    if ours:
        make["padding"] = (top, left)
    else:
        make["height"] += top + bottom
        make["width"] += left + right
    kind: Callable[..., Workload] = Conv2D
    if groups > 1:
        kind, make["groups"] = GroupConv2D, groups
    return _made(op, kind, make), on_host


def _transposed(op: Op, make: dict[str, Any], pads: Pads, groups: int, zero: int) -> Workload:
    if groups > 1:
        raise Unplaceable(f"a transposed convolution of {groups} groups")
    if zero:
        raise Unplaceable(
            f"its data have the zero point {zero}: the zeros between its rows would count"
        )
    top, left, bottom, right = pads
    if op.attributes.get("output_shape"):
        raise Unplaceable("a transposed convolution with output_shape")
    if (top, left) != (bottom, right):
        raise Unplaceable(f"a transposed convolution with padding {pads} that differs by side")
    make["padding"] = (top, left)
    make["output_padding"] = op.ints("output_padding", (0, 0))
    return _made(op, Conv2DTranspose, make)


def _made(op: Op, kind: Callable[..., Workload], make: dict[str, Any]) -> Workload:
    try:
        return kind(**make)
    except WorkloadError as refusal:
        raise Unplaceable(str(refusal).removeprefix(f"{op.name}: ")) from None


# -- products of matrices


def _product(context: Context, op: Op, operands: _Operands) -> Placed:
    graph = context.graph
    if graph.is_constant(operands.data):
        raise Unplaceable("its first operand is constant: VTA has the second as weights")
    if not graph.is_constant(operands.weight):
        raise Unplaceable("a product of two tensors that the network computes: VTA keeps weights")
    data = _shape(graph, operands.data, "data")
    weight = _shape(graph, operands.weight, "weights")
    if len(weight) != 2:
        raise Unplaceable(f"weights of {len(weight)} axes, a dense layer has two")
    gemm = op.type in ("Gemm", "QGemm")
    if gemm and op.number("transA", 0):
        raise Unplaceable("its data are transposed")
    turned = bool(gemm and op.number("transB", 0))
    outputs, inputs = weight if turned else (weight[1], weight[0])
    if not data or inputs != data[-1]:
        raise NetworkError(f"{op.name}: its weights are for {inputs} features, its data {data}")
    if (
        gemm
        and (op.number("alpha", 1.0) != 1 or op.number("beta", 1.0) != 1)
        and (operands.data_scale is not None)
    ):
        raise Unplaceable("alpha and beta other than 1 beside scales")
    if operands.bias:
        shape = _shape(graph, operands.bias, "bias")
        if not graph.is_constant(operands.bias) or shape not in _bias_shapes(outputs):
            raise Unplaceable("it adds more than a bias per output")
    chain = _chain(context, op, operands, outputs, axis=len(data) - 1)
    requantisation = _requantised(op, operands, chain, outputs)
    epilogue = _epilogue(operands, chain, requantisation)
    make = {"name": op.name, "batch": prod(data[:-1]), "in_features": inputs,
            "out_features": outputs, "epilogue": epilogue}  # fmt: skip
    workload = _made(op, Dense, make)
    embedding = dense_as_convolution(context, workload)
    if embedding is None:
        filled, more = context.fill(workload)
    else:
        filled, more = embedding.workload, ("a 1x1 convolution", *host_work(embedding))
    layer = ModelLayer(
        workload=workload,
        data=operands.stored,
        weight=operands.quantised_weight,
        bias=operands.bias,
        requantisation=requantisation,
        inputs_first=not turned,
    )
    remarks = (*_remarks(chain, requantisation), *more)
    return Placed(layer, filled, chain.ops, remarks, embedding)


def _bias_shapes(outputs: int) -> tuple[Shape, ...]:
    return (), (1,), (1, 1), (outputs,), (1, outputs)
