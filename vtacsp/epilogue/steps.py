"""What happens to the 32-bit sums before they are stored: a chain of steps, and its ALU passes.

The *steps* are what a network says (``add``, ``clip``, ``cast``); the *passes* are what the
compiler makes of them, one ALU instruction each.  A step that changes nothing (times 1, plus 0) is
simplified to a copy, and a copy within one buffer vanishes; adding a negative constant is turned
into a subtraction, which VTA's ALU does not have.  Source: ``InjectALUIntrin`` of VTA's
``transform.py`` and the simplifier of TVM 0.17, checked against measurements.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar

from vtacsp.errors import WorkloadError, shortened
from vtacsp.machine import fields as isa

__all__ = [
    "CHANNEL",
    "DEFAULT",
    "NARROW",
    "SELF",
    "TENSOR",
    "WITH_BIAS",
    "Arithmetic",
    "Cast",
    "Clip",
    "Epilogue",
    "Pass",
    "Shift",
    "Step",
]

CHANNEL, TENSOR, NARROW, SELF = "channel", "tensor", "tensor8", "self"
OPERANDS = (CHANNEL, "channel5", "channel6", TENSOR, NARROW, SELF)
"""One value per output channel (with and without the batch axis in DRAM: no difference), a tensor
of the output's shape (int32 or int8), or the value itself."""

INT_MIN, INT_MAX = -(1 << 31), (1 << 31) - 1
DTYPES = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32))


def _integer(what: str, value: Any, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise WorkloadError(f"{what} must be an integer of {low} to {high}, got {shortened(value)}")


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """``add``, ``sub``, ``mul``, ``max`` or ``min`` with a constant or an operand.

    ``value`` is the constant, else ``operand`` names what is loaded (one of :data:`OPERANDS`).
    ``left`` says that the operand stands on the left: its copy comes before the data's.

    >>> Arithmetic(op="max", value=0).value
    0
    """

    ops: ClassVar[tuple[str, ...]] = ("add", "sub", "mul", "max", "min")
    op: str
    value: int | None = None
    operand: str | None = None
    left: bool = False

    def __post_init__(self) -> None:
        if (self.value is None) == (self.operand is None):
            raise WorkloadError(f"{self.op} takes a value or an operand, one of both")
        if self.value is not None:
            _integer(f"{self.op}: value", self.value, INT_MIN, INT_MAX)
            if (self.op, self.value) == ("mul", 0):
                raise WorkloadError("mul: value is 0: nothing of the operator would be left")
        elif (self.op, self.operand) == ("sub", SELF):
            raise WorkloadError("sub: operand is 'self': nothing of the operator would be left")
        elif self.operand not in OPERANDS:
            raise WorkloadError(
                f"{self.op}: operand is {shortened(self.operand)}, known are {', '.join(OPERANDS)}"
            )
        if not isinstance(self.left, bool):
            raise WorkloadError(
                f"{self.op}: left must be true or false, got {shortened(self.left)}"
            )


@dataclass(frozen=True, kw_only=True)
class Shift:
    """``shift_left`` or ``shift_right`` (arithmetic) ``by`` 0 to 31 bits.

    >>> Shift(op="shift_right", by=8).by
    8
    """

    ops: ClassVar[tuple[str, ...]] = ("shift_left", "shift_right")
    op: str
    by: int

    def __post_init__(self) -> None:
        _integer(f"{self.op}: by", self.by, 0, 31)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """At most ``max``, then at least ``min``.

    >>> Clip(min=0, max=127).max
    127
    """

    ops: ClassVar[tuple[str, ...]] = ("clip",)
    op: str = "clip"
    min: int
    max: int

    def __post_init__(self) -> None:
        _integer("clip: min", self.min, INT_MIN, INT_MAX)
        _integer("clip: max", self.max, INT_MIN, INT_MAX)


@dataclass(frozen=True, kw_only=True)
class Cast:
    """The low bits, as ``dtype``; None is the output type of the machine.

    >>> Cast(dtype="int8").dtype
    'int8'
    """

    ops: ClassVar[tuple[str, ...]] = ("cast",)
    op: str = "cast"
    dtype: str | None = None

    def __post_init__(self) -> None:
        if self.dtype is not None and self.dtype not in DTYPES:
            known = ", ".join(DTYPES)
            raise WorkloadError(f"cast: dtype is {shortened(self.dtype)}, known are {known}")

    @property
    def bits(self) -> int | None:
        """Bits of the type, None for that of the machine."""
        return None if self.dtype is None else int(self.dtype.lstrip("uint"))


MAX_PASSES = 24

Step = Arithmetic | Shift | Clip | Cast
"""A step of an epilogue.

>>> step: Step = Shift(op="shift_right", by=8)
>>> Epilogue((step, Cast())).stores
True
"""

_KINDS: dict[str, type[Any]] = {
    op: kind for kind in (Arithmetic, Shift, Clip, Cast) for op in kind.ops
}


@dataclass(frozen=True)
class Pass:
    """What the compiler makes of a step, or half a step: one ALU operation over the tile.

    ``op`` is ``min``, ``max``, ``add``, ``mul``, ``shr`` (negative: to the left), ``sub`` or
    ``cast`` (the ALU has neither) or ``copy`` (vanishes where it works in place).  The right side
    is ``value``, the loaded operand of this number, or, when both are None, the value itself.
    ``kind`` is what is loaded (``channel`` or ``tensor``), empty otherwise.  ``narrow`` is the
    ``cast`` that widens an int8 tensor.
    """

    op: str
    value: int | None = None
    operand: int | None = None
    kind: str = ""
    left: bool = False

    @property
    def fits(self) -> bool:
        """Whether the constant fits the immediate of an ALU instruction, a signed number."""
        return self.value is None or self.immediate == self.value

    @property
    def immediate(self) -> int:
        """The constant as the instruction holds it, cut without a word."""
        half = 1 << isa.IMMEDIATE - 1
        return ((self.value or 0) + half) % (2 * half) - half


@dataclass(frozen=True)
class Epilogue:
    """A chain of steps on the int32 result.

    Raises :class:`~vtacsp.errors.WorkloadError` for a chain of no steps.

    >>> relu = Epilogue((Arithmetic(op="max", value=0), Shift(op="shift_right", by=8), Cast()))
    >>> print(relu)
    max 0, shift right 8, cast
    >>> Dense(in_features=32, out_features=32, epilogue=relu).chain == relu
    True
    """

    steps: tuple[Step, ...]

    def __post_init__(self) -> None:
        if not self.steps:
            raise WorkloadError("epilogue has no steps, at least the cast is needed")
        if len(self.passes) > MAX_PASSES:
            raise WorkloadError(
                f"epilogue has {len(self.passes)} ALU operations, at most {MAX_PASSES} are allowed"
            )

    @classmethod
    def from_list(cls, data: Any) -> Epilogue:
        """From its JSON form, a list of objects with the key ``op``.

        Raises :class:`~vtacsp.errors.WorkloadError` naming the step and the key.
        """
        if not isinstance(data, Sequence) or isinstance(data, str):
            raise WorkloadError(f"epilogue is a list of steps, got {shortened(data)}")
        steps = []
        for number, item in enumerate(data):
            try:
                steps.append(_step(item))
            except WorkloadError as error:
                raise WorkloadError(f"epilogue[{number}]: {error}") from None
        return cls(tuple(steps))

    def to_list(self) -> list[dict[str, Any]]:
        """The JSON form; what is left at its default is left out."""
        return [
            {
                f.name: v
                for f in fields(s)
                if (v := getattr(s, f.name)) is not None and v is not False
            }
            for s in self.steps
        ]

    def __str__(self) -> str:
        return ", ".join(map(_text, self.steps))

    # -- what is loaded

    @cached_property
    def operands(self) -> tuple[str, ...]:
        """What each loaded operand is, in the order of the steps: channel, tensor or tensor8."""
        loaded = (s.operand for s in self.steps if isinstance(s, Arithmetic) and s.operand)
        return tuple(_loaded(name) for name in loaded if name != SELF)

    @cached_property
    def loads(self) -> tuple[int, ...]:
        """Numbers of the operands in the order in which a tile loads them.

        Those on the left come before the operator, the last step's first; the others each come
        before the pass that takes them.
        """
        left = [p.operand for p in self.stages if p.left and p.operand is not None]
        right = [p.operand for p in self.stages if not p.left and p.operand is not None]
        return (*reversed(left), *right)

    # -- what the compiler makes of it

    @cached_property
    def stages(self) -> tuple[Pass, ...]:
        """Every stage of the chain but the last one, the store; copies included."""
        found: list[Pass] = []
        operands = iter(range(len(self.operands)))
        for step in self.steps[:-1] if self.stores else self.steps:
            found += _passes(step, operands)
        return tuple(found)

    @cached_property
    def passes(self) -> tuple[Pass, ...]:
        """The ALU operations that are left where the chain works in place."""
        return tuple(p for p in self.stages if p.op != "copy")

    @property
    def stores(self) -> bool:
        """Whether the last step is the cast that the store does."""
        return isinstance(self.steps[-1], Cast)

    @property
    def cast(self) -> Cast | None:
        """The cast that the store does."""
        last = self.steps[-1]
        return last if isinstance(last, Cast) else None

    def is_cut(self, most: int) -> bool:
        """Whether a constant that does not fit its immediate can change the result.

        ``most`` is the largest magnitude that the operator's sums can have.  What is cut off is a
        multiple of 65,536: it is lost anyway when only sums, products and shifts to the left
        follow and the store keeps the low bits, and it makes no difference to a minimum or
        maximum that the values before cannot reach.
        """
        linear = True
        for p, (low, high) in reversed([*zip(self.passes, self._ranges(most), strict=True)]):
            linear = linear and (p.op in ("add", "mul", "sub") or (p.op == "shr" and _is_left(p)))
            if p.fits or linear or p.value is None:
                continue
            idle = p.op == "min" and high <= min(p.value, p.immediate)
            idle |= p.op == "max" and low >= max(p.value, p.immediate)
            if not idle:
                return True
        return False

    def _ranges(self, most: int) -> list[tuple[int, int]]:
        """Bounds of the values before each pass."""
        low, high = (-most, most) if most <= INT_MAX else (INT_MIN, INT_MAX)
        found = []
        for p in self.passes:
            found.append((low, high))
            ends = None if p.value is None else [_apply(p.op, x, p.value) for x in (low, high)]
            if ends is None or min(ends) < INT_MIN or max(ends) > INT_MAX:
                low, high = INT_MIN, INT_MAX  # anything, or it wraps
            else:
                low, high = min(ends), max(ends)
        return found


def _apply(op: str, x: int, value: int) -> int:
    if op == "shr":
        return x >> value if value >= 0 else x << -value
    results = {"min": min(x, value), "max": max(x, value), "mul": x * value}
    return results.get(op, x + value if op == "add" else x - value)


def _text(step: Step) -> str:
    """A step as people write it: ``add channel``, ``shift right 10``, ``clip -127..127``."""
    if isinstance(step, Clip):
        return f"clip {step.min}..{step.max}"
    if isinstance(step, Cast):
        return f"cast {step.dtype or ''}".rstrip()
    if isinstance(step, Shift):
        return f"{step.op.replace('_', ' ')} {step.by}"
    return f"{step.op} {step.operand if step.value is None else step.value}"


def _is_left(p: Pass) -> bool:
    return p.value is not None and p.value < 0


def _loaded(operand: str) -> str:
    return CHANNEL if operand.startswith(CHANNEL) else operand


def _step(data: Any) -> Step:
    if not isinstance(data, Mapping):
        raise WorkloadError(f"a step is a JSON object, got {shortened(data)}")
    op = data.get("op")
    if not isinstance(op, str) or op not in _KINDS:
        raise WorkloadError(f"op is {shortened(op)}, known are {', '.join(_KINDS)}")
    kind = _KINDS[op]
    known = {f.name: f for f in fields(kind)}
    for key in data:
        if key not in known:
            raise WorkloadError(f"{op}: unknown key {shortened(key)}; known are {', '.join(known)}")
    for key in ("by", "min", "max"):
        if key in known and key not in data:
            raise WorkloadError(f"{op}: {key} is missing")
    step: Step = kind(**data)
    return step


def _passes(step: Step, numbers: Any) -> list[Pass]:
    if isinstance(step, Cast):
        return [Pass("cast")]
    if isinstance(step, Clip):
        return [_constant("min", step.max), _constant("max", step.min)]
    if isinstance(step, Shift):
        return [_constant("shr", step.by if step.op == "shift_right" else -step.by)]
    if step.value is not None:
        return [_constant(step.op, step.value)]
    assert step.operand is not None
    if step.operand == SELF:
        # x + x is simplified to 2 * x, the larger and the smaller of both to x
        return [
            {"add": Pass("mul", 2), "max": Pass("copy"), "min": Pass("copy")}.get(
                step.op, Pass(step.op)
            )
        ]
    loaded = _loaded(step.operand)
    kind = CHANNEL if loaded == CHANNEL else TENSOR
    result = [Pass(step.op, operand=next(numbers), kind=kind, left=step.left)]
    # a tensor of int8 is widened in a stage of its own
    return [Pass("cast"), *result] if loaded == NARROW else result


_NEUTRAL = {("add", 0), ("sub", 0), ("mul", 1), ("shr", 0), ("max", INT_MIN), ("min", INT_MAX)}


def _constant(op: str, value: int) -> Pass:
    if (op, value) in _NEUTRAL:
        return Pass("copy")
    if op == "sub" and INT_MIN < value < 0:
        return Pass("add", -value)
    if op == "add" and value < 0:
        return Pass("sub", -value)
    return Pass(op, value)


DEFAULT = Epilogue(
    (
        Shift(op="shift_right", by=8),
        Arithmetic(op="min", value=127),
        Arithmetic(op="max", value=0),
        Cast(),
    )
)
"""The epilogue of VTA's own tuning scripts (``vta/scripts/tune_conv2d.py``)."""

WITH_BIAS = Epilogue(
    (DEFAULT.steps[0], Arithmetic(op="add", operand=CHANNEL), *DEFAULT.steps[1:]),
)
"""The same with a bias."""
