"""Packing of a quantised Relay graph into VTA's blocks, for constant weights.

Between the result of one operator and the input of another all data are NCHWnc, convolutions have
the layouts NCHW{n}n{c}c and OIHW{o}o{i}i, and channel operands are blocks.
"""

import numpy as np
import tvm
from tvm import relay


def graph_pack(
    expr,
    bfactor,
    cfactor,
    weight_bits,
    start_name="nn.max_pool2d",
    stop_name="nn.global_avg_pool2d",
):
    assert weight_bits == 8
    typed = relay.transform.InferType()
    packer = _Packer(bfactor, cfactor, start_name, stop_name)
    packed = packer.visit(typed(tvm.IRModule.from_expr(expr))["main"])
    return typed(tvm.IRModule.from_expr(packed))["main"]


def _shape(expression):
    return tuple(int(extent) for extent in expression.checked_type.shape)


class _Packer(relay.ExprMutator):
    def __init__(self, batch, block, start, stop):
        super().__init__()
        self.batch, self.block, self.start, self.stop = batch, block, start, stop
        self.plain = {}  # packed expression -> its shape without blocks

    def visit_call(self, call):
        args = [self.visit(arg) for arg in call.args]
        if call.op.name == self.start:
            return self._pack(relay.Call(call.op, args, call.attrs), _shape(call))
        if call.op.name == self.stop or not any(arg in self.plain for arg in args):
            return relay.Call(call.op, [self._unpack(arg) for arg in args], call.attrs)
        if call.op.name in ("nn.conv2d", "nn.conv2d_transpose"):
            packed = self._convolution(call, *args)
        else:
            args = [self._operand(*pair) for pair in zip(args, call.args, strict=True)]
            packed = relay.Call(call.op, args, call.attrs)
        self.plain[packed] = _shape(call)
        return packed

    def _pack(self, expression, shape):
        n, c, *rest = shape
        blocks = (n // self.batch, self.batch, c // self.block, self.block, *rest)
        packed = relay.transpose(relay.reshape(expression, blocks), (0, 2, 4, 5, 1, 3))
        self.plain[packed] = shape
        return packed

    def _unpack(self, expression):
        if expression not in self.plain:
            return expression
        plain = relay.transpose(expression, (0, 4, 1, 5, 2, 3))
        return relay.reshape(plain, self.plain[expression])

    def _convolution(self, call, data, weight):
        attrs, b = call.attrs, self.block
        first, second, height, width = weight.data.shape
        blocks = weight.data.numpy().reshape(first // b, b, second // b, b, height, width)
        shared = {
            name: getattr(attrs, name)
            for name in ("strides", "padding", "dilation", "groups", "channels", "kernel_size",
                         "out_dtype")
        }  # fmt: skip
        shared["data_layout"] = f"NCHW{self.batch}n{b}c"
        if call.op.name == "nn.conv2d":
            kernel = relay.const(blocks.transpose(0, 2, 4, 5, 1, 3))
            return relay.nn.conv2d(data, kernel, kernel_layout=f"OIHW{b}o{b}i", **shared)
        # input channels come first here, output channels in VTA, which reads the window backwards
        turned = blocks.transpose(2, 0, 4, 5, 3, 1)[:, :, ::-1, ::-1]
        kernel = relay.const(np.ascontiguousarray(turned))
        return relay.nn.conv2d_transpose(
            data,
            kernel,
            kernel_layout=f"IOHW{b}i{b}o",
            output_padding=attrs.output_padding,
            **shared,
        )

    def _operand(self, expression, before):
        """A channel operand (C, 1, 1) in blocks; scalars and what is packed stay as they are."""
        if expression in self.plain or not _shape(before):
            return expression
        value = expression.data.numpy()
        assert value.shape[1:] == (1, 1), value.shape
        blocks = value.reshape(-1, 1, 1, 1, self.block)
        return relay.const(
            np.broadcast_to(blocks, (len(blocks), 1, 1, self.batch, self.block)).copy()
        )
