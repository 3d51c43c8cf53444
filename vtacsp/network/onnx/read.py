"""Reading an ONNX file: what is malformed is one line, shapes are inferred."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from vtacsp.errors import NetworkError, shortened
from vtacsp.files import open_input
from vtacsp.network.node_names import unique_names
from vtacsp.network.onnx.graph import Graph, Op, Shape
from vtacsp.network.onnx.package import onnx_module
from vtacsp.network.onnx.shapes import shapes_of
from vtacsp.operators.workload import MAX_SIZE

__all__ = ["read_graph"]

LARGEST = (2 << 30) - 1
"""Bytes of the largest file: what protobuf reads; larger weights are external data."""

MOST_NODES = 200_000
OLDEST = 7  # opset, of 2018; the graphs of the onnx package's tests have 9
STANDARD = ("", "ai.onnx")
CONTROL = ("If", "Loop", "Scan", "SequenceMap")


def read_graph(path: str, shapes: Mapping[str, Shape]) -> Graph:
    """The graph of an ONNX file, with ``shapes`` of inputs fixed by name.

    Raises :class:`~vtacsp.errors.NetworkError` with one line for a file that is no ONNX model, a
    graph that is none, control flow, an operator that ONNX does not have, a shape that is missing
    or contradicts the model, and external data that are not there.
    """
    model = _parsed(path)
    where = _name(path)
    if not model.HasField("graph") or not model.graph.node:
        raise NetworkError(f"{where}: the model has no nodes")
    opset = _opset(model, where)
    if model.functions:
        model = _inlined(model, where)
    _check_texts(model.graph, where)
    if len(model.graph.node) > MOST_NODES:
        raise NetworkError(
            f"{where}: {len(model.graph.node):,} nodes, at most {MOST_NODES:,} are read"
        )
    folder = os.path.dirname(os.path.abspath(path))
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    for sparse in model.graph.sparse_initializer:
        raise NetworkError(f"{where}: {shortened(sparse.values.name)} is sparse: not supported")
    for tensor in initializers.values():
        _check_tensor(tensor, folder, where)
    names = unique_names(node.name or _named(node) for node in model.graph.node)
    ops = tuple(map(_op, names, model.graph.node))
    inputs = tuple(i.name for i in model.graph.input if i.name not in initializers)
    _check_order(ops, {*inputs, *initializers}, where)
    for op in ops:
        _check_op(op, opset, where)
        if op.type == "Constant" and "value" in op.attributes:
            _check_tensor(op.attributes["value"], folder, where)
    _fix_inputs(model, inputs, shapes, where)
    known, dtypes = shapes_of(model, ops, where)
    return Graph(
        name=unique_names([Path(path).stem or "network"])[0],
        ops=ops,
        inputs=inputs,
        outputs=frozenset(o.name for o in model.graph.output),
        shapes=known,
        dtypes=dtypes,
        initializers=initializers,
        folder=folder,
    )


def _parsed(path: str) -> Any:
    onnx = onnx_module()
    where = _name(path)
    with open_input(path, NetworkError) as file:
        try:
            if os.fstat(file.fileno()).st_size > LARGEST:
                raise NetworkError(f"{where}: more than {LARGEST:,} bytes, no protobuf is so large")
            data = file.read(LARGEST + 1)
        except OSError as failure:
            raise NetworkError(f"cannot read {where}: {failure.strerror or failure}") from failure
    if not data:
        raise NetworkError(f"{where} is no ONNX model: the file is empty")
    if len(data) > LARGEST:
        raise NetworkError(f"{where}: more than {LARGEST:,} bytes, no protobuf is so large")
    try:
        model = onnx.ModelProto.FromString(data)
    except MemoryError:
        raise
    except Exception as failure:  # protobuf has an error of its own per implementation
        raise NetworkError(
            f"{where} is no ONNX model, or is cut off: {shortened(str(failure))}"
        ) from None
    if not model.ir_version or not model.HasField("graph"):
        raise NetworkError(f"{where} is no ONNX model: it has no graph")
    return model


def _name(path: str) -> str:
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in path)
    return text if len(text) <= 120 else f"{text[:60]}...{text[-50:]}"


def _opset(model: Any, where: str) -> int:
    newest = onnx_module("defs").onnx_opset_version()
    version = next((o.version for o in model.opset_import if o.domain in STANDARD), None)
    if version is None:
        raise NetworkError(f"{where}: the model does not say which opset of ONNX it uses")
    if not OLDEST <= version <= newest:
        raise NetworkError(
            f"{where}: opset {version}, the installed onnx reads {OLDEST} to {newest}"
        )
    return int(version)


def _check_texts(graph: Any, where: str) -> None:
    """Names are texts: protobuf gives what is no UTF-8 as bytes."""
    texts = [t.name for t in graph.initializer]
    texts += [v.name for v in (*graph.input, *graph.output, *graph.value_info)]
    for node in graph.node:
        texts += [node.name, node.op_type, node.domain, *node.input, *node.output]
        texts += [attribute.name for attribute in node.attribute]
    for text in texts:
        if not isinstance(text, str):
            raise NetworkError(f"{where}: the name {shortened(text)} is not UTF-8 text")


def _inlined(model: Any, where: str) -> Any:
    """A model without functions of its own, as today's exporters write them."""
    try:
        return onnx_module("inliner").inline_local_functions(model)
    except Exception as failure:
        raise NetworkError(f"{where}: its functions: {shortened(str(failure))}") from None


def _named(node: Any) -> str:
    return next((f"{node.op_type}:{name}" for name in node.output if name), str(node.op_type))


def _op(name: str, node: Any) -> Op:
    value = onnx_module("helper").get_attribute_value
    try:
        attributes = {attribute.name: value(attribute) for attribute in node.attribute}
    except ValueError as failure:
        raise NetworkError(f"{name}: {shortened(str(failure))}") from None
    domain = "" if node.domain in STANDARD else node.domain
    inputs, outputs = tuple(node.input), tuple(node.output)
    return Op(name, node.op_type, domain, inputs, outputs, attributes, node)


def _check_order(ops: Iterable[Op], known: set[str], where: str) -> None:
    """Every input is there before it is read, every tensor is computed once."""
    ops = list(ops)
    computed = {name: op for op in ops for name in op.outputs if name}
    for op in ops:
        for name in op.inputs:
            if name and name not in known:
                why = "nothing computes it"
                if name in computed:
                    why = f"{computed[name].name} computes it later: a cycle, or not in order"
                raise NetworkError(f"{where}: {op.name} reads {shortened(name)}, and {why}")
        for name in op.outputs:
            if name and name in known:
                raise NetworkError(f"{where}: the tensor {shortened(name)} is computed twice")
            known.add(name)


def _check_op(op: Op, opset: int, where: str) -> None:
    if not op.type:
        raise NetworkError(f"{where}: {op.name} does not say what operator it is")
    if op.domain:
        return
    if op.type in CONTROL:
        raise NetworkError(
            f"{where}: {op.name} is {op.type}: control flow is not supported, export the model "
            "without it"
        )
    defs = onnx_module("defs")
    try:
        schema = defs.get_schema(op.type, opset, "")
    except Exception:  # SchemaError is not there in every version
        raise NetworkError(
            f"{where}: {op.name} is {shortened(op.type)}, no operator of ONNX's opset {opset}"
        ) from None
    if not schema.min_input <= len(op.inputs) <= schema.max_input:
        raise NetworkError(
            f"{where}: {op.name} is {op.type} with {len(op.inputs)} inputs, it takes "
            f"{schema.min_input} to {schema.max_input}"
        )
    if not op.outputs or not any(op.outputs):
        raise NetworkError(f"{where}: {op.name} computes nothing")


def _check_tensor(tensor: Any, folder: str, where: str) -> None:
    """Sizes are sizes, and external data are there, all of it."""
    for size in tensor.dims:
        if not 0 <= size <= MAX_SIZE:
            raise NetworkError(
                f"{where}: the tensor {shortened(tensor.name)} has a size of {size}, "
                f"allowed are 0 to {MAX_SIZE}"
            )
    if tensor.data_location != onnx_module().TensorProto.EXTERNAL:
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location = entries.get("location", "")
    named = f"{where}: the external data of {shortened(tensor.name)}, {shortened(location)},"
    path = os.path.realpath(os.path.join(folder, location))
    if not location or os.path.commonpath([path, os.path.realpath(folder)]) != os.path.realpath(
        folder
    ):
        raise NetworkError(f"{named} are not in the folder of the model")
    if not os.path.isfile(path):
        raise NetworkError(f"{named} are not there")
    try:
        end = int(entries.get("offset", 0)) + int(entries.get("length", 0))
    except ValueError:
        raise NetworkError(f"{named} have no offset or length that is a number") from None
    if end > os.path.getsize(path):
        raise NetworkError(f"{named} are cut off: {end:,} bytes are needed")


def _fix_inputs(
    model: Any, inputs: tuple[str, ...], shapes: Mapping[str, Shape], where: str
) -> None:
    """Write the wanted shapes into the model; every size of every input has to be known."""
    for name in shapes:
        if name not in inputs:
            known = ", ".join(map(shortened, inputs[:8])) or "none"
            raise NetworkError(f"--shape {shortened(name)}: no input of the model, it has {known}")
    for value in model.graph.input:
        if value.name not in inputs or not value.type.HasField("tensor_type"):
            continue
        tensor = value.type.tensor_type
        wanted = shapes.get(value.name)
        if wanted is not None:
            _fix(value.name, tensor.shape.dim, wanted, tensor.HasField("shape"))
        words = [str(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?"
                 for d in tensor.shape.dim]  # fmt: skip
        for size in tensor.shape.dim:
            if size.HasField("dim_value") and not 1 <= size.dim_value <= MAX_SIZE:
                raise NetworkError(
                    f"{where}: the input {shortened(value.name)} has a size of {size.dim_value} "
                    f"({' x '.join(words)}), allowed are 1 to {MAX_SIZE}"
                )
        sizes = tensor.shape.dim
        if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in sizes):
            shown = " x ".join(words) if words else "of no known rank"
            raise NetworkError(
                f"{where}: the input {shortened(value.name)} is {shown}: fix it with "
                f"--shape {value.name}={','.join(w if w.isdigit() else '1' for w in words) or '1'}"
                " (for a command without it: vtacsp network, with --write network.json)"
            )


def _fix(name: str, dims: Any, wanted: Shape, ranked: bool) -> None:
    if ranked and len(dims) != len(wanted):
        raise NetworkError(
            f"--shape {shortened(name)}: {len(wanted)} sizes, the input has {len(dims)}"
        )
    while len(dims) < len(wanted):
        dims.add()
    for place, (size, number) in enumerate(zip(dims, wanted, strict=True)):
        if size.HasField("dim_value") and size.dim_value != number:
            raise NetworkError(
                f"--shape {shortened(name)}: size {place} is {number}, the model has it fixed "
                f"to {size.dim_value}"
            )
        if number > MAX_SIZE:
            raise NetworkError(f"--shape {shortened(name)}: {number} is larger than {MAX_SIZE}")
        size.dim_value = number
