"""A quantised residual in the epilogue of the layer before (``--residual fuse``), bit for bit.

The layer's result q1 is quantised, and so is the residual q2; their sum is quantised again::

    out = round((s1 * (q1 - z1) + s2 * (q2 - z2)) / s) + z

With the smaller of s1 and s2 as unit, s1 = a * unit, s2 = b * unit and unit = s / 2^n.  That is
what the ALU computes behind the steps that make q1: a shift to the left where a is more than one,
one sum with an int32 tensor, a shift by n.  The host makes the tensor of q2, and puts into it what
is constant: ``b * (q2 - z2) - a * z1 + (z << n) + (1 << n - 1)``.  Other scales stay on the host.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import log2

from vtacsp.network.onnx.chain import FusedOperators, fused_operators, need_out
from vtacsp.network.onnx.graph import Graph, Op
from vtacsp.network.onnx.scales import (
    LARGEST_SHIFT,
    Quantisation,
    QuantisedResidual,
    Unplaceable,
    ends_of,
    quantisation,
)

__all__ = ["Added", "added"]

MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Added:
    """A sum behind a layer, which becomes part of its epilogue.

    ``ops`` are the operators that are done with it, ``tensor`` is the 8-bit residual.
    """

    ops: tuple[Op, ...]
    tensor: str
    residual: QuantisedResidual


def added(
    graph: Graph,
    chain: FusedOperators,
    channels: int,
    kept: Collection[str],
    refusals: dict[str, str],
) -> Added | None:
    """The sum behind the quantised chain of a layer, None when there is none that only it reads.

    ``refusals`` has afterwards why a sum is not fused that could be by its place.
    """
    found = _behind(graph, chain.end)
    if found is None or any(op.name in kept for op in found):
        return None
    op = found[-1]
    try:
        tensor, one, other, out, more = _operands(graph, found, chain, channels, kept)
        if graph.is_constant(tensor):
            return None
        if graph.shape(tensor) != graph.shape(chain.end) or graph.shape(tensor) is None:
            raise Unplaceable("a residual of another shape: VTA does not broadcast")
        end = need_out(more) if out is None else out
        residual = _exact(one, other, end, more)
    except Unplaceable as refusal:
        refusals[op.name] = f"not fused: {refusal}"
        return None
    readers = () if out is not None else _dequantiser(graph, op, found[0])
    return Added((*found, *readers, *more.ops), tensor, residual)


def _behind(graph: Graph, tensor: str) -> tuple[Op, ...] | None:
    """The operators from the 8-bit results of a layer to the sum that reads them."""
    op = graph.only_consumer(tensor)
    if op is None:
        return None
    if (op.domain, op.type) == (MICROSOFT, "QLinearAdd"):
        return (op,) if op.inputs.count(tensor) == 1 else None
    if op.domain or op.type != "DequantizeLinear" or op.input(0) != tensor:
        return None
    total = graph.only_consumer(op.outputs[0])
    if total is None or total.domain or total.type not in ("Add", "Sum") or len(total.inputs) != 2:
        return None
    if total.inputs[0] == total.inputs[1]:
        return None
    return (op, total)


def _operands(
    graph: Graph, found: tuple[Op, ...], chain: FusedOperators, channels: int, kept: Collection[str]
) -> tuple[str, Quantisation, Quantisation, Quantisation | None, FusedOperators]:
    """The residual, the scales of result, residual and sum (None: the chain says), the chain."""
    op = found[-1]
    if op.type == "QLinearAdd":
        own = 0 if op.input(0) == chain.end else 3
        scales = [
            quantisation(graph, op.input(place + 1), op.input(place + 2), what)
            for place, what in ((own, "data"), (3 - own, "residual"), (5, "results"))
        ]
        return op.input(3 - own), scales[0], scales[1], scales[2], FusedOperators(op.outputs[0])
    own = op.inputs.index(found[0].outputs[0])
    other = graph.producer.get(op.inputs[1 - own])
    if other is None or other.type != "DequantizeLinear" or other.domain:
        raise Unplaceable("the residual is not quantised")
    one, two = (
        quantisation(graph, x.input(1), x.input(2), what, graph.dtypes.get(x.input(0)))
        for x, what in ((found[0], "data"), (other, "residual"))
    )
    more = fused_operators(graph, op.outputs[0], channels, 1, kept, quantised=True)
    return other.input(0), one, two, None, more


def _dequantiser(graph: Graph, op: Op, own: Op) -> tuple[Op, ...]:
    """That of the residual, when nothing else reads it."""
    tensor = next(name for name in op.inputs if name != own.outputs[0])
    return (graph.producer[tensor],) if graph.only_consumer(tensor) is op else ()


def _exact(
    one: Quantisation, other: Quantisation, out: Quantisation, chain: FusedOperators
) -> QuantisedResidual:
    if max(one.scale.size, other.scale.size, out.scale.size) > 1:
        raise Unplaceable("a scale per channel of the sum")
    scales = [float(x.scale[0]) for x in (one, other, out)]
    unit = min(scales[:2])
    left, factor, shift = (log2(s / unit) for s in scales)
    if not all(x.is_integer() for x in (left, factor, shift)):
        raise Unplaceable(
            f"the scales of result, residual and sum are {scales[0]:.4g}, {scales[1]:.4g} and "
            f"{scales[2]:.4g}: no powers of two apart"
        )
    if not 0 <= shift <= LARGEST_SHIFT or max(left, factor) > LARGEST_SHIFT - 8:
        raise Unplaceable(
            f"the scales of result, residual and sum are {scales[0]:.4g}, {scales[1]:.4g} and "
            f"{scales[2]:.4g}: too far apart, or the sum is finer than both"
        )
    n, a = int(shift), int(left)
    low, high = ends_of(out, chain.low, chain.high)
    return QuantisedResidual(
        left=a,
        shift=n,
        factor=1 << int(factor),
        zero=other.zero,
        constant=-(one.zero << a) + (out.zero << n) + (1 << n >> 1),
        low=low,
        high=high,
        dtype=out.dtype,
    )
