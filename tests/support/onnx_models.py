"""Small ONNX models for tests: a float CNN, its quantised forms, power-of-two scales."""

from __future__ import annotations

import math

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 8
OPSET = 17


def float_cnn(path, seed=0, batch="N"):
    """A convolution with 3 channels, depthwise and pointwise ones, a residual, a dense layer."""
    rng = np.random.default_rng(seed)
    weights = {}

    def weight(name, *shape, scale=0.4):
        weights[name] = (rng.standard_normal(shape) * scale).astype(np.float32)
        return name

    def conv(name, data, out, ci, co, k, groups=1, stride=1, pads=None):
        p = k // 2
        return helper.make_node(
            "Conv",
            [data, weight(f"{name}.w", co, ci // groups, k, k), weight(f"{name}.b", co)],
            [out], name=name, kernel_shape=[k, k], strides=[stride, stride], group=groups,
            pads=pads or [p, p, p, p],
        )  # fmt: skip

    nodes = [
        conv("stem", "x", "t0", 3, 16, 3),
        helper.make_node("Relu", ["t0"], ["t1"], name="relu0"),
        helper.make_node("MaxPool", ["t1"], ["t2"], name="pool", kernel_shape=[2, 2],
                         strides=[2, 2]),
        conv("wide", "t2", "t3", 16, 24, 1),
        helper.make_node("Clip", ["t3", "zero", "six"], ["t4"], name="relu6"),
        conv("depthwise", "t4", "t5", 24, 24, 3, groups=24),
        helper.make_node("Relu", ["t5"], ["t6"], name="relu1"),
        conv("narrow", "t6", "t7", 24, 16, 1),
        helper.make_node("Add", ["t7", "t2"], ["t8"], name="residual"),
        conv("strided", "t8", "t9", 16, 32, 3, stride=2, pads=[0, 0, 1, 1]),
        helper.make_node("Relu", ["t9"], ["t10"], name="relu2"),
        helper.make_node("GlobalAveragePool", ["t10"], ["t11"], name="mean"),
        helper.make_node("Flatten", ["t11"], ["t12"], name="flat"),
        helper.make_node("Gemm", ["t12", weight("fc.w", 10, 32), weight("fc.b", 10)], ["y"],
                         name="fc", transB=1),
    ]  # fmt: skip
    weights["zero"], weights["six"] = np.float32(0), np.float32(6)
    graph = helper.make_graph(
        nodes, "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in weights.items()],
    )  # fmt: skip
    save(graph, path)


def save(graph, path, opset=OPSET, **extra):
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    onnx.save(model, path, **extra)


def quantise(source, target, form="QDQ", signed=False, per_channel=False):
    """onnxruntime's static quantisation with random data."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    class Reader(CalibrationDataReader):
        def __init__(self):
            rng = np.random.default_rng(1)
            self.left = [sample(rng) for _ in range(3)]

        def get_next(self):
            return {"x": self.left.pop()} if self.left else None

    quantize_static(
        str(source), str(target), Reader(),
        quant_format=getattr(QuantFormat, "QDQ" if form == "QDQ" else "QOperator"),
        activation_type=QuantType.QInt8 if signed else QuantType.QUInt8,
        weight_type=QuantType.QInt8, per_channel=per_channel,
        extra_options={"ActivationSymmetric": signed, "WeightSymmetric": True},
    )  # fmt: skip


def sample(rng):
    return rng.standard_normal((1, 3, SIZE, SIZE)).astype(np.float32)


def power_of_two(path, target, ties=False):
    """The QDQ model with each scale the nearest power of two.

    Without ``ties`` weights are even and biases odd, so that no sum is half way between two
    results: where halves are rounded to does not matter then.
    """
    model = onnx.load(path)
    constants = {t.name: t for t in model.graph.initializer}

    def put(name, value):
        constants[name].CopyFrom(numpy_helper.from_array(value, name))

    def get(name):
        return numpy_helper.to_array(constants[name])

    scales = {n.input[1] for n in model.graph.node
              if n.op_type in ("QuantizeLinear", "DequantizeLinear")}  # fmt: skip
    for name in scales:
        put(name, np.exp2(np.rint(np.log2(get(name)))).astype(np.float32))
    behind = {n.output[0]: n for n in model.graph.node if n.op_type == "DequantizeLinear"}
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        data, weight, bias = (behind[name] for name in node.input)
        if not ties:
            put(weight.input[0], get(weight.input[0]) // 2 * 2)
            put(bias.input[0], get(bias.input[0]) | 1)
        product = get(data.input[1]).astype(np.float64) * get(weight.input[1])
        shape = get(bias.input[1]).shape
        put(bias.input[1], np.broadcast_to(product.astype(np.float32), shape).copy())
    onnx.save(model, target)
    assert all(math.frexp(float(v))[0] == 0.5 for n in scales for v in get(n).reshape(-1))


def qdq_layer(path, op, shape, weight, zero=0, dtype="uint8", clip=None, shift=8, **attributes):
    """One layer between quantisers with power-of-two scales, from 8-bit data to 8-bit results.

    Weights are even and biases odd: no sum is half way between two results.
    """
    kind = getattr(TensorProto, dtype.upper())
    rng = np.random.default_rng(3)
    plain = op == "Gemm" and not attributes.get("transB")
    outputs = weight[1] if plain or op in ("ConvTranspose", "MatMul") else weight[0]
    constants = {
        "w": rng.integers(-64, 64, weight).astype(np.int8) * 2,
        "b": rng.integers(-500, 500, outputs).astype(np.int32) * 2 + 1,
        "xs": np.float32(2.0**-5), "ws": np.float32(2.0**-7), "bs": np.float32(2.0**-12),
        "ys": np.float32(2.0 ** (shift - 12)), "xz": np.dtype(dtype).type(zero),
        "wz": np.int8(0), "bz": np.int32(0),
        "yz": np.dtype(dtype).type(3), "low": np.float32(clip[0] if clip else 0),
        "high": np.float32(clip[1] if clip else 0),
    }  # fmt: skip
    bias = [] if op == "MatMul" else ["bf"]
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "xs", "xz"], ["xf"], name="dx"),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["wf"], name="dw"),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bf"], name="db"),
        helper.make_node(op, ["xf", "wf", *bias], ["s"], name="layer", **attributes),
        helper.make_node("Clip", ["s", "low", "high"], ["c"], name="clip"),
        helper.make_node("QuantizeLinear", ["c" if clip else "s", "ys", "yz"], ["y"], name="q"),
    ]
    if op == "MatMul":
        del nodes[2]
    nodes = [n for n in nodes if clip or n.name != "clip"]
    graph = helper.make_graph(
        nodes, "layer", [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    save(graph, path)
    ends = np.iinfo(dtype)
    return rng.integers(ends.min, ends.max + 1, shape).astype(dtype)
