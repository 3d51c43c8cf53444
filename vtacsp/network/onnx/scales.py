"""Scales and zero points: what they make of the epilogue of a layer.

A quantised value q stands for ``scale * (q - zero)``.  VTA computes with int8: unsigned values and
their zero points are taken minus 128.  With M = data scale x weight scale / output scale, the
output is ``round(M * sum) + zero``, saturated.  VTA's ALU multiplies by a power of two only, a
shift to the right by n; everything that is constant per output channel goes into the one operand
that is added before it::

    channel = bias - data zero x sum of weights + (output zero << n) + (1 << n - 1)

The last term rounds halves up, where ONNX rounds them to even.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from vtacsp.epilogue.steps import CHANNEL, TENSOR, Arithmetic, Cast, Clip, Epilogue, Shift, Step
from vtacsp.network.onnx.graph import Array, Graph

__all__ = [
    "Quantisation",
    "QuantisedResidual",
    "Requantisation",
    "Unplaceable",
    "ends_of",
    "float_epilogue",
    "quantisation",
]

ASSUMED_SHIFT = 10
LARGEST_SHIFT = 22  # of the output's zero point within 32 bits, with room for the sums
OFFSET = {"int8": 0, "uint8": 128}
"""Type -> what is subtracted for VTA's int8."""


class Unplaceable(Exception):  # noqa: N818 - no error: the operator stays on the host
    """Why VTA does not compute an operator; the message is the reason."""


@dataclass(frozen=True, eq=False)
class Quantisation:
    """Scales (one, or one per channel) and the zero point, as int8 has it."""

    scale: Array
    zero: int
    dtype: str


def quantisation(
    graph: Graph, scale: str, zero: str, what: str, dtype: str | None = None
) -> Quantisation:
    """Scale and zero point of a tensor from their constants.

    Raises :class:`Unplaceable` when they are computed at run time, or of another type than 8 bits.
    """
    scales = graph.value(scale)
    if scales is None or not scales.size:
        raise Unplaceable(f"the scale of its {what} is computed at run time")
    numbers = scales.astype(np.float64).reshape(-1)
    if not np.isfinite(numbers).all() or (numbers <= 0).any():
        raise Unplaceable(f"the scale of its {what} is no positive number")
    if zero:
        zeros = graph.value(zero)
        kind = graph.dtypes.get(zero) or "int8"
        if zeros is None:
            raise Unplaceable(f"the zero point of its {what} is computed at run time")
        offsets = {int(z) for z in zeros.astype(np.int64).reshape(-1)}
        if len(offsets) > 1:
            raise Unplaceable(f"its {what} have several zero points")
    else:
        kind, offsets = dtype or "uint8", {0}
    if kind not in OFFSET:
        raise Unplaceable(
            f"its {what} are {kind or 'of a type that numpy does not have'}, not int8"
        )
    return Quantisation(numbers, offsets.pop() - OFFSET[kind], kind)


@dataclass(frozen=True)
class QuantisedResidual:
    """A quantised tensor that is added to the bytes of a layer, and how the sum becomes bytes.

    The bytes are shifted to the left by ``left``; the host makes ``factor * (value - zero) +
    constant`` of the tensor's int8 values; the sum is shifted to the right by ``shift`` and
    clipped to ``low`` and ``high``.  ``dtype`` is the type of the result in the model.
    """

    left: int
    shift: int
    factor: int
    zero: int
    constant: int
    low: int
    high: int
    dtype: str

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps on the ALU, behind those that make the bytes."""
        steps: list[Step] = []
        if self.left:
            steps.append(Shift(op="shift_left", by=self.left))
        steps.append(Arithmetic(op="add", operand=TENSOR))
        if self.shift:
            steps.append(Shift(op="shift_right", by=self.shift))
        return (*steps, Clip(min=self.low, max=self.high))

    def widened(self, values: Array) -> Array:
        """The int32 tensor that VTA adds, of int8 values."""
        wide: Array = (values.astype(np.int32) - self.zero) * self.factor + self.constant
        return wide


def ends_of(out: Quantisation, low: float, high: float) -> tuple[int, int]:
    """The least and the greatest int8 of results whose real values are clipped so."""
    # rounding and saturating keep the order: they may as well come first
    ends = [
        round(end / float(out.scale[0]) + out.zero) if math.isfinite(end) else furthest
        for end, furthest in ((low, -128), (high, 127))
    ]
    return min(max(ends[0], -128), 127), min(max(ends[1], -128), 127)


@dataclass(frozen=True, eq=False)
class Requantisation:
    """How the sums of a layer become bytes.

    ``shift`` is n, ``factors`` are M per channel or one for all, ``sum_scale`` is what a sum of one
    stands for; ``exact`` says that every factor is 2^-n.  ``channel`` says that there is the
    operand above, which then rounds as well.  ``low`` and ``high`` are the ends of the output,
    ``dtype`` is its type in the model.  ``residual`` is what is added to it, None for nothing.
    """

    shift: int
    factors: Array
    sum_scale: Array
    data_zero: int
    out_zero: int
    channel: bool
    low: int
    high: int
    dtype: str
    residual: QuantisedResidual | None = None

    @classmethod
    def of(
        cls,
        data: Quantisation,
        weight: Quantisation,
        out: Quantisation,
        bias: bool,
        low: float = -math.inf,
        high: float = math.inf,
    ) -> Requantisation:
        """``low`` and ``high`` clip the real values, as an activation between does.

        Raises :class:`Unplaceable` when no shift of the ALU comes near.
        """
        if weight.zero:
            raise Unplaceable(
                f"its weights have the zero point {weight.zero + OFFSET[weight.dtype]}: "
                "the sums of the data would be needed"
            )
        if data.scale.size > 1 or out.scale.size > 1:
            raise Unplaceable("its data or results have a scale per channel")
        factors = data.scale * weight.scale / out.scale
        shift = round(-float(np.log2(factors).mean()))
        if shift < 0:
            raise Unplaceable(
                f"its results are multiplied by {factors.mean():.3g}: VTA shifts to the right only"
            )
        if shift > LARGEST_SHIFT:
            raise Unplaceable(
                f"its results are multiplied by {factors.mean():.3g}, a shift by more than "
                f"{LARGEST_SHIFT} bits"
            )
        channel = bias or data.zero != 0 or out.zero != 0
        least, most = ends_of(out, low, high)
        return cls(
            shift=shift,
            factors=factors,
            sum_scale=data.scale * weight.scale,
            data_zero=data.zero,
            out_zero=out.zero,
            channel=channel,
            low=least,
            high=most,
            dtype=out.dtype,
        )

    def with_residual(self, residual: QuantisedResidual) -> Requantisation:
        """The same with a sum behind it, which then makes the result."""
        return replace(self, residual=residual, dtype=residual.dtype)

    @property
    def exact(self) -> bool:
        """Whether the shift multiplies by every factor as it is."""
        return bool((self.factors == 2.0**-self.shift).all())

    @property
    def remarks(self) -> tuple[str, ...]:
        """What VTA does differently."""
        remarks = []
        if not self.exact:
            low, high = float(self.factors.min()), float(self.factors.max())
            power = 2.0**-self.shift
            if low == high:
                remarks.append(
                    f"approximated: multiplies by 2^-{self.shift} = {power:.4g} in place of "
                    f"{low:.4g} ({power / low - 1:+.0%})"
                )
            else:
                remarks.append(
                    f"approximated: multiplies by 2^-{self.shift} = {power:.4g} in place of "
                    f"{self.factors.size} factors per channel, {low:.4g} to {high:.4g}"
                )
        if self.shift or (self.residual is not None and self.residual.shift):
            remarks.append("rounds halves up, ONNX to even")
        return tuple(remarks)

    @property
    def epilogue(self) -> Epilogue:
        """The steps on the ALU."""
        steps: list[Step] = []
        if self.channel:
            steps.append(Arithmetic(op="add", operand=CHANNEL))
        elif self.shift:
            steps.append(Arithmetic(op="add", value=1 << self.shift - 1))
        if self.shift:
            steps.append(Shift(op="shift_right", by=self.shift))
        steps.append(Clip(min=self.low, max=self.high))
        more = () if self.residual is None else self.residual.steps
        return Epilogue((*steps, *more, Cast()))

    def channel_values(self, weight_sums: Array, bias: Array | None) -> Array:
        """The operand of each output channel; ``weight_sums`` are the sums of its weights."""
        values = -self.data_zero * weight_sums.astype(np.int64) + (self.out_zero << self.shift)
        values = values + (1 << self.shift >> 1)
        return values if bias is None else values + bias.astype(np.int64)


def float_epilogue(bias: bool, relu: bool, residual: bool = False) -> Epilogue:
    """What TVM's quantised network has behind such a layer (``relay.quantize``, VTA's settings).

    The scales are not known: the shift is an assumption, which no cycle depends on.  TVM fuses no
    ``residual``; here it is an int32 tensor in the scale of the sums.
    """
    steps: list[Step] = []
    if bias:
        steps.append(Arithmetic(op="add", operand=CHANNEL))
    if residual:
        steps.append(Arithmetic(op="add", operand=TENSOR))
    if relu:
        steps.append(Arithmetic(op="max", value=0))
    steps += [
        Arithmetic(op="add", value=1 << ASSUMED_SHIFT - 1),
        Shift(op="shift_right", by=ASSUMED_SHIFT),
        Clip(min=-127, max=127),
        Cast(),
    ]
    return Epilogue(tuple(steps))
