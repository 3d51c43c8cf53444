"""A convolution of ours by onnxruntime: its integer sums, then the epilogue as a model says it."""

from __future__ import annotations

import numpy as np
import onnxruntime
from onnx import TensorProto, helper

from vtacsp.operators.packing import pack_blocks, unpack_blocks


def convolution(workload, hardware, operands):
    """The packed result: ``ConvInteger`` on the plain tensors, then each step of the epilogue."""
    data, weight = (unpack_blocks(x).astype(np.int8) for x in (operands.data, operands.weights))
    if workload.op == "dense":
        data, weight = data[..., None, None], weight[..., None, None]
    value = sums(workload, data, weight)
    loaded = iter(operands.loaded)
    for step in workload.chain.to_list():
        if step.get("operand") == "channel":
            other = unpack_blocks(next(loaded)).reshape(value.shape[0], value.shape[1], 1, 1)
        else:
            operand = step.get("operand")
            other = (
                unpack_blocks(next(loaded)).reshape(value.shape) if operand else step.get("value")
            )
        value = STEPS[step["op"]](value, other, step)
    packed = pack_blocks(value, hardware.batch, hardware.block)
    return packed.reshape(workload.pack(hardware).output)


STEPS = {
    "add": lambda value, other, _: value + other,
    "max": lambda value, other, _: np.maximum(value, other),
    "shift_right": lambda value, _, step: np.floor_divide(value, 2 ** step["by"]),
    "clip": lambda value, _, step: np.clip(value, step["min"], step["max"]),
    "cast": lambda value, _, step: value.astype(step.get("dtype", "int8")),
}


def sums(workload, data, weight):
    """32-bit sums by onnxruntime."""
    attributes = {}
    if workload.op != "dense":
        (top, left), strides = workload.padding, workload.stride
        attributes = {"pads": [top, left, top, left], "strides": strides}
        attributes["group"] = workload.channel_groups
    node = helper.make_node("ConvInteger", ["x", "w"], ["y"], **attributes)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT8, value.shape)
        for name, value in (("x", data), ("w", weight))
    ]
    output = helper.make_tensor_value_info("y", TensorProto.INT32, None)
    graph = helper.make_graph([node], "sums", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (found,) = session.run(["y"], {"x": data, "w": weight})
    return found.astype(np.int64)
