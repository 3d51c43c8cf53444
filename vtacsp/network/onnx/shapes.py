"""Shapes of all tensors: ONNX's inference, and rules for operators that it does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from vtacsp.errors import NetworkError, shortened
from vtacsp.network.onnx.graph import Op, Shape
from vtacsp.network.onnx.package import onnx_module
from vtacsp.operators.workload import MAX_SIZE

__all__ = ["shapes_of"]

Known = dict[str, Shape | None]


def shapes_of(model: Any, ops: Iterable[Op], where: str) -> tuple[Known, dict[str, str]]:
    """Shape and type of every tensor; the inputs of ``model`` have all their sizes.

    Shapes that the file itself gives of inner tensors are a last resort: exporters leave wrong
    ones behind.  Raises :class:`~vtacsp.errors.NetworkError` when shapes contradict each other.
    """
    declared: Known = {}
    for value in (*model.graph.value_info, *model.graph.output):
        declared[value.name] = _shape(value)
    given = type(model)()
    given.CopyFrom(model)
    del given.graph.value_info[:]
    for output in given.graph.output:
        if output.type.HasField("tensor_type"):
            output.type.tensor_type.ClearField("shape")
    for tensor in given.graph.initializer:
        _drop_data(tensor)
    try:
        inferred = onnx_module("shape_inference").infer_shapes(
            given, strict_mode=False, data_prop=True
        )
    except MemoryError:
        raise
    except Exception as failure:
        raise NetworkError(f"{where}: shapes: {shortened(str(failure))}") from None
    known: Known = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    dtypes = {t.name: _dtype(t.data_type) for t in model.graph.initializer}
    for value in (*inferred.graph.input, *inferred.graph.value_info, *inferred.graph.output):
        if known.get(value.name) is None:
            known[value.name] = _shape(value)
        dtypes.setdefault(value.name, _dtype(value.type.tensor_type.elem_type))
    _complete(known, dtypes, declared, ops, model)
    for name, shape in known.items():
        for size in shape or ():
            if not 0 <= size <= MAX_SIZE:
                raise NetworkError(
                    f"{where}: the tensor {shortened(name)} has a size of {size}, "
                    f"allowed are 0 to {MAX_SIZE}"
                )
    return known, dtypes


WORTH_KEEPING = 1 << 12  # bytes: shapes, axes and pads are that small, weights are not


def _drop_data(tensor: Any) -> None:
    """Weights are not needed for shapes, and the inference would copy them."""
    if len(tensor.raw_data) > WORTH_KEEPING:
        tensor.ClearField("raw_data")
    for name in ("float_data", "int32_data", "int64_data", "double_data"):
        if len(getattr(tensor, name)) > WORTH_KEEPING:
            tensor.ClearField(name)


def _shape(value: Any) -> Shape | None:
    tensor = value.type.tensor_type
    if not tensor.HasField("shape") or not all(d.HasField("dim_value") for d in tensor.shape.dim):
        return None
    return tuple(int(d.dim_value) for d in tensor.shape.dim)


def _dtype(code: int) -> str:
    try:
        return str(np.dtype(onnx_module("helper").tensor_dtype_to_np_dtype(code)))
    except (KeyError, TypeError, ValueError):
        return ""


# -- what ONNX does not infer


def _complete(
    known: Known, dtypes: dict[str, str], declared: Known, ops: Iterable[Op], model: Any
) -> None:
    """Shapes behind operators of other domains, one operator after the other."""
    for op in ops:
        missing = [name for name in op.outputs if name and known.get(name) is None]
        if not missing:
            continue
        if op.domain:
            rule = _RULES.get(op.type)
            shape = None if rule is None else rule(op, known)
            if shape is not None:
                known[op.outputs[0]] = shape
                dtypes.setdefault(op.outputs[0], dtypes.get(op.input(0), ""))
        else:
            _infer(op, known, dtypes, model)
        for name in missing:
            if known.get(name) is None:
                known[name] = declared.get(name)


def _infer(op: Op, known: Known, dtypes: dict[str, str], model: Any) -> None:
    """ONNX's own inference of one operator, whose inputs became known."""
    onnx = onnx_module()
    version = next(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
    types = {}
    for name in filter(None, op.inputs):
        shape, dtype = known.get(name), dtypes.get(name)
        if shape is None or not dtype:
            return
        code = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        types[name] = onnx.helper.make_tensor_type_proto(code, shape)
    data = {t.name: t for t in model.graph.initializer if t.name in op.inputs}
    try:
        schema = onnx.defs.get_schema(op.type, version, "")
        found = onnx.shape_inference.infer_node_outputs(
            schema, op.proto, types, data, opset_imports=list(model.opset_import)
        )
    except Exception:  # it stays unknown, and what needs it stays on the host with that reason
        return
    for name, kind in found.items():
        tensor = kind.tensor_type
        if tensor.HasField("shape") and all(d.HasField("dim_value") for d in tensor.shape.dim):
            known[name] = tuple(int(d.dim_value) for d in tensor.shape.dim)
            dtypes.setdefault(name, _dtype(tensor.elem_type))


def _same(op: Op, known: Known) -> Shape | None:
    return known.get(op.input(0))


def _broadcast(op: Op, known: Known) -> Shape | None:
    one, other = known.get(op.input(0)), known.get(op.input(3))
    if one is None or other is None:
        return None
    try:
        return tuple(np.broadcast_shapes(one, other))
    except ValueError:
        return None


def _pooled(op: Op, known: Known) -> Shape | None:
    shape = known.get(op.input(0))
    if shape is None or op.attributes.get("channels_last"):
        return None
    return (*shape[:2], *(1 for _ in shape[2:]))


def _gemm(op: Op, known: Known) -> Shape | None:
    a, b = known.get(op.input(0)), known.get(op.input(3))
    if a is None or b is None or len(a) != 2 or len(b) != 2:
        return None
    rows = a[1] if op.attributes.get("transA") else a[0]
    return rows, (b[0] if op.attributes.get("transB") else b[1])


def _concat(op: Op, known: Known) -> Shape | None:
    parts = [known.get(name) for name in op.inputs[2::3]]
    first, axis = (parts[0] if parts else None), op.attributes.get("axis")
    if first is None or not isinstance(axis, int) or not -len(first) <= axis < len(first):
        return None
    axis %= len(first)
    if any(part is None or len(part) != len(first) for part in parts):
        return None
    size = sum(part[axis] for part in parts if part is not None)
    return (*first[:axis], size, *first[axis + 1 :])


_UNCHANGED = ("QLinearLeakyRelu", "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear",
              "DequantizeLinear", "Gelu", "FastGelu")  # fmt: skip
_RULES: dict[str, Callable[[Op, Known], Shape | None]] = {
    **dict.fromkeys(_UNCHANGED, _same),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _broadcast),
    "QLinearGlobalAveragePool": _pooled,
    "QGemm": _gemm,
    "QLinearConcat": _concat,
}
