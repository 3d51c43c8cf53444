"""From an ONNX file to a network: every operator gets its place, none is skipped."""

from __future__ import annotations

from dataclasses import dataclass

from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.node_names import check_names
from vtacsp.network.onnx.alu import ALU_OPS
from vtacsp.network.onnx.convolutions import LAYERS
from vtacsp.network.onnx.graph import Graph, Op
from vtacsp.network.onnx.placing import HANDLERS, Context, Placed
from vtacsp.network.onnx.read import read_graph
from vtacsp.network.onnx.scales import ASSUMED_SHIFT, Unplaceable
from vtacsp.network.partition import Options
from vtacsp.network.value import CONSTANT, FUSED, HOST, VTA, Network, Node

__all__ = ["Imported", "import_onnx", "load_onnx"]

QUANTISERS = ("QuantizeLinear", "DequantizeLinear")

ELEMENTWISE = ("Add", "Sum", "Sub", "Mul", "QLinearAdd", "QLinearMul")

POOLING = "MaxPool AveragePool GlobalAveragePool GlobalMaxPool LpPool QLinearAveragePool \
    QLinearGlobalAveragePool"
MOVING = "Concat Reshape Flatten Transpose Split Slice Squeeze Unsqueeze Gather Expand Tile Shape \
    Cast Identity Pad DepthToSpace SpaceToDepth Dropout Resize Upsample QLinearConcat"
OTHER_ARITHMETIC = "Softmax LogSoftmax Sigmoid Tanh Exp Log Gelu Erf HardSigmoid HardSwish Elu \
    Selu LeakyRelu PRelu LRN Div Sqrt Pow LayerNormalization InstanceNormalization ReduceMean \
    QLinearSigmoid QLinearSoftmax QLinearLeakyRelu"

REASONS = {
    **dict.fromkeys(
        POOLING.split(),
        "VTA's ALU loads int32 only, and its data are int8 (--alu pool has the host widen them)",
    ),
    **dict.fromkeys(MOVING.split(), "it moves data and computes nothing that VTA could do"),
    **dict.fromkeys(
        OTHER_ARITHMETIC.split(),
        "VTA's ALU has add, max, min, shift and product with 16-bit constants only",
    ),
    **dict.fromkeys(
        ELEMENTWISE,
        "an elementwise operator of two tensors: they are int8, and VTA's ALU loads int32 only",
    ),
    **dict.fromkeys(
        ("Add", "Sum", "QLinearAdd"),
        "a sum of two tensors: they are int8, and VTA's ALU loads int32 only (--alu add has the "
        "host widen them, --residual fuse adds one to the layer that makes the other)",
    ),
    **dict.fromkeys(
        ("Relu", "Clip", "BatchNormalization"),
        "no layer on VTA right before it whose results only it reads",
    ),
}
"""Operator -> why it is on the host."""


@dataclass(frozen=True)
class Imported:
    """A network, its graph, and the layers behind the nodes on VTA, by name."""

    network: Network
    graph: Graph
    placed: dict[str, Placed]


def load_onnx(path: str, hardware: VTAConfig, options: Options) -> Network:
    """The network of an ONNX model on a machine.

    Raises :class:`~vtacsp.errors.NetworkError` as :func:`read_graph`, and for a node of
    ``options`` that the model does not have.
    """
    return import_onnx(path, hardware, options).network


def import_onnx(
    path: str, hardware: VTAConfig | None = None, options: Options | None = None
) -> Imported:
    """The network with what its layers are made of; see :func:`load_onnx`."""
    options = options or Options()
    graph = read_graph(path, options.shapes)
    check_names(options.host, [op.name for op in graph.ops])
    quantised = any(op.type in QUANTISERS or op.type.startswith("QLinear") for op in graph.ops)
    heavy = frozenset(
        op.name
        for op in graph.ops
        if (op.domain, op.type) in LAYERS and op.name not in graph.constant_ops
    )
    context = Context(graph, hardware or VTAConfig(), options, quantised, heavy)
    placed: dict[str, Placed] = {}
    reasons = context.refusals
    fused: dict[str, str] = {}
    for op in graph.ops:
        handler = HANDLERS.get((op.domain, op.type))
        if op.name in graph.constant_ops or op.name in fused or handler is None:
            continue
        if op.name in options.host:
            continue
        if ALU_OPS.get((op.domain, op.type), "") not in ("", *options.alu):
            continue
        try:
            placed[op.name] = handler(context, op)
        except Unplaceable as refusal:
            reasons[op.name] = str(refusal)
        else:
            fused |= {other.name: op.name for other in placed[op.name].fused}
            context.taken.update(fused)
    fused |= _dequantisers(graph, placed, fused, options.host)
    nodes = tuple(_node(context, op, placed, reasons, fused) for op in graph.ops)
    return Imported(Network(graph.name, nodes, _remarks(context, placed)), graph, placed)


def _dequantisers(
    graph: Graph, placed: dict[str, Placed], fused: dict[str, str], host: frozenset[str]
) -> dict[str, str]:
    """Dequantisers of data that only layers on VTA read, or their epilogues: nothing is left."""
    found = {}
    for op in graph.ops:
        if op.type != "DequantizeLinear" or op.name in graph.constant_ops or op.name in host:
            continue
        readers = graph.consumers.get(op.outputs[0], [])
        if (
            readers
            and all(r.name in placed or r.name in fused for r in readers)
            and (op.outputs[0] not in graph.outputs)
        ):
            found[op.name] = fused.get(readers[0].name, readers[0].name)
    return found


def _node(
    context: Context,
    op: Op,
    placed: dict[str, Placed],
    reasons: dict[str, str],
    fused: dict[str, str],
) -> Node:
    kind = f"{op.domain}.{op.type}" if op.domain else op.type
    if op.name in context.graph.constant_ops:
        return Node(name=op.name, op=kind, place=CONSTANT)
    if op.name in context.options.host:
        return Node(name=op.name, op=kind, place=HOST, why="kept on the host (--host)")
    if op.name in fused:
        return Node(name=op.name, op=kind, place=FUSED, why=fused[op.name])
    found = placed.get(op.name)
    if found is None:
        why = reasons.get(op.name) or _why(context.graph, op)
        return Node(name=op.name, op=kind, place=HOST, why=why)
    macs = found.layer.workload.macs
    return Node(
        name=op.name,
        op=kind,
        place=VTA,
        workload=found.workload,
        macs=macs if macs != found.workload.macs else None,
        remarks=found.remarks,
    )


def _why(graph: Graph, op: Op) -> str:
    both = op.inputs[0:4:3] if op.type.startswith("QLinear") else op.inputs
    if op.type in ELEMENTWISE and any(map(graph.is_constant, both)):
        return REASONS["Relu"]
    if op.type in QUANTISERS:
        return "what it converts is an input or a result of the network, or of a node on the host"
    known = REASONS.get(op.type)
    if known is not None:
        return known
    return f"{op.type} of {op.domain or 'ONNX'} is no operator that VTA computes"


def _remarks(context: Context, placed: dict[str, Placed]) -> tuple[str, ...]:
    if not placed:
        return ()
    notes = []
    count = sum(
        found.embedding is not None and found.embedding.kind == "pixels"
        for found in placed.values()
    )
    if count:
        noun = "1 dense layer is" if count == 1 else f"{count:,} dense layers are"
        why = "as asked for" if context.options.dense == "conv" else "faster than the template"
        notes.append(
            f"{noun} computed as 1x1 convolutions ({why}) and logged as such; --dense dense has "
            "the dense template"
        )
    if not context.quantised:
        return (
            *notes,
            "a float model says no scales: epilogues are those of TVM's quantised networks, with "
            f"an assumed shift by {ASSUMED_SHIFT}, which no cycle depends on",
        )
    inexact = [
        name
        for name, found in placed.items()
        if found.layer.requantisation is not None and not found.layer.requantisation.exact
    ]
    if not inexact:
        return tuple(notes)
    return (
        *notes,
        f"{len(inexact)} of {len(placed)} nodes on VTA are multiplied by no power of two: their "
        "results are approximated (`vtacsp network` says by how much); quantise with power-of-two "
        "scales for equal ones",
    )
