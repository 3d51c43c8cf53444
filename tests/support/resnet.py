"""ResNets of version 1 as ONNX models: random weights, normalisation folded into the biases."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def resnet(path, channels=(64, 128, 256, 512), blocks=2):
    """ResNet-18, or one with fewer stages, or with fewer blocks in each."""
    rng = np.random.default_rng(0)
    weights, nodes = [], []

    def constant(name, *shape):
        value = (rng.standard_normal(shape) * 0.1).astype(np.float32)
        weights.append(numpy_helper.from_array(value, name))
        return name

    def node(op, name, *inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def conv(name, data, ci, co, k, stride=1):
        operands = data, constant(f"{name}.w", co, ci, k, k), constant(f"{name}.b", co)
        return node("Conv", name, *operands, kernel_shape=[k, k], strides=[stride] * 2,
                    pads=[k // 2] * 4)  # fmt: skip

    def relu(data):
        return node("Relu", f"{data}.relu", data)

    x = relu(conv("stem", "data", 3, channels[0], 7, 2))
    x = node("MaxPool", "pool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    ci = channels[0]
    for stage, co in enumerate(channels):
        for block in range(blocks):
            name, stride = f"stage{stage}.{block}", 2 if stage and not block else 1
            y = relu(conv(f"{name}.first", x, ci, co, 3, stride))
            y = conv(f"{name}.second", y, co, co, 3)
            short = x if ci == co else conv(f"{name}.short", x, ci, co, 1, stride)
            x, ci = relu(node("Add", f"{name}.sum", y, short)), co
    x = node("Flatten", "flat", node("GlobalAveragePool", "mean", x))
    y = node("Gemm", "fc", x, constant("fc.w", 1000, ci), constant("fc.b", 1000), transB=1)
    data = helper.make_tensor_value_info("data", TensorProto.FLOAT, [1, 3, 224, 224])
    result = helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 1000])
    graph = helper.make_graph(nodes, "resnet", [data], [result], weights)
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=9), path)
