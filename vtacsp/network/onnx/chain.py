"""What follows a layer and becomes its epilogue: normalisation, bias, activation, quantiser."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace

import numpy as np

from vtacsp.network.onnx.graph import Graph, Op, Shape
from vtacsp.network.onnx.scales import Quantisation, Unplaceable, quantisation

__all__ = ["FusedOperators", "fused_operators"]

NO_OPS = ("Identity", "Dropout")
AFFINE = ("BatchNormalization", "Mul", "Div", "Add", "Sub", "Sum")


@dataclass(frozen=True)
class FusedOperators:
    """Operators behind a layer that are done with it, in order, and what they come to.

    ``affine`` says that something is added per channel (scales go into the weights); ``low`` and
    ``high`` are where activations clip; ``out`` is the quantisation of the result, None when
    nothing quantises it.  ``residual`` is a tensor of the network that is added, empty without one.
    ``end`` is the last tensor.
    """

    end: str
    ops: tuple[Op, ...] = ()
    affine: bool = False
    residual: str = ""
    activated: bool = False
    low: float = -math.inf
    high: float = math.inf
    out: Quantisation | None = None
    remarks: tuple[str, ...] = field(default=())

    @property
    def relu(self) -> bool:
        """Whether nothing below zero is left."""
        return self.low >= 0


def fused_operators(
    graph: Graph,
    tensor: str,
    channels: int,
    axis: int,
    kept: Collection[str],
    quantised: bool,
    residual: bool = False,
) -> FusedOperators:
    """The chain behind the output ``tensor`` of a layer, whose ``axis`` counts channels.

    ``kept`` names operators that are not to be fused; ``residual`` allows a sum with another tensor
    of the network.  Of a quantised layer nothing is folded into
    the weights, and the chain ends with its quantiser.  An operator is part of the chain when
    nothing else reads what comes before it.
    """
    chain = FusedOperators(tensor)
    while (op := graph.only_consumer(chain.end)) is not None:
        longer = None if op.name in kept or op.domain else _step(
            graph, chain, op, channels, axis, quantised
        )  # fmt: skip
        if longer is None and residual and op.name not in kept and not quantised:
            longer = _residual(graph, chain, op)
        if longer is None:
            return chain
        chain = replace(longer, end=op.outputs[0], ops=(*chain.ops, op))
        if chain.out is not None:
            return chain
    return chain


def _step(
    graph: Graph, chain: FusedOperators, op: Op, channels: int, axis: int, quantised: bool
) -> FusedOperators | None:
    """The chain with one more operator; None when that is none of its kind."""
    if op.type in NO_OPS:
        return None if _trains(graph, op) else chain
    if op.type == "QuantizeLinear" and quantised:
        if op.input(0) != chain.end:
            return None
        dtype = graph.dtypes.get(op.outputs[0])
        return replace(chain, out=quantisation(graph, op.input(1), op.input(2), "results", dtype))
    if op.type in ("Relu", "Clip"):
        return _activation(graph, chain, op)
    if op.type in AFFINE and not chain.activated and not chain.residual and not quantised:
        return _affine(graph, chain, op, channels, axis)
    return None


def _trains(graph: Graph, op: Op) -> bool:
    """A Dropout that drops, or whose mask somebody reads."""
    if any(name in graph.consumers or name in graph.outputs for name in op.outputs[1:] if name):
        return True
    mode = op.input(2)
    if not mode:
        return False
    value = graph.value(mode)
    return value is None or bool(value.any())


def _activation(graph: Graph, chain: FusedOperators, op: Op) -> FusedOperators | None:
    low, high = 0.0, math.inf
    if op.type == "Clip":
        if op.input(0) != chain.end:
            return None
        ends = []
        for place, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), 1):
            if op.input(place):
                value = graph.value(op.input(place))
                if value is None or value.size != 1:
                    return None
                ends.append(float(value.reshape(())))
            else:
                ends.append(float(op.number(name, default)))
        low, high = ends
        if low > high or low > 0 or math.isnan(low) or math.isnan(high) or high < 0:
            return None
    low, high = max(low, chain.low), min(high, chain.high)
    return replace(chain, activated=True, low=low, high=high)


def _affine(
    graph: Graph, chain: FusedOperators, op: Op, channels: int, axis: int
) -> FusedOperators | None:
    if op.type == "BatchNormalization":
        constant = all(graph.is_constant(name) for name in op.inputs[1:] if name)
        alone = not any(name in graph.consumers for name in op.outputs[1:] if name)
        if op.input(0) != chain.end or not constant or not alone or op.number("training_mode", 0):
            return None
        return replace(chain, affine=True)
    if len(op.inputs) != 2:
        return None
    place = op.inputs.index(chain.end)
    other = op.inputs[1 - place]
    if other == chain.end or not graph.is_constant(other):
        return None
    if op.type == "Div" and place == 1:
        return None  # a constant divided by the sums
    shape, own = graph.shape(other), graph.shape(chain.end)
    if shape is None or own is None or not _per_channel(shape, own, channels, axis):
        return None
    return chain if op.type in ("Mul", "Div") else replace(chain, affine=True)


def _residual(graph: Graph, chain: FusedOperators, op: Op) -> FusedOperators | None:
    """The chain with the sum of its end and another tensor of the same shape."""
    if op.type not in ("Add", "Sum") or op.domain or len(op.inputs) != 2:
        return None
    other = op.inputs[1 - op.inputs.index(chain.end)]
    shape = graph.shape(chain.end)
    if other == chain.end or graph.is_constant(other) or chain.activated or chain.residual:
        return None
    if shape is None or graph.shape(other) != shape:
        return None
    return replace(chain, residual=other)


def _per_channel(shape: Shape, own: Shape, channels: int, axis: int) -> bool:
    """Whether a constant has one value, or one per channel, and does not make the result larger."""
    if len(shape) > len(own):
        return False
    full = (1,) * (len(own) - len(shape)) + shape
    try:
        if np.broadcast_shapes(full, own) != own:
            return False
    except ValueError:
        return False
    rest = [size for place, size in enumerate(full) if place != axis % len(own)]
    return set(rest) <= {1} and full[axis] in (1, channels)


def need_out(chain: FusedOperators) -> Quantisation:
    """The quantisation of the result; raises :class:`Unplaceable` when there is none."""
    if chain.out is None:
        raise Unplaceable("its results are not quantised: VTA stores 8 bits")
    return chain.out
