"""What an operator becomes: the table of operators that VTA can compute, and their context.

More operators plug in here: a function under :func:`handles` gets the :class:`Context` and the
:class:`~vtacsp.network.onnx.graph.Op`, and returns a :class:`Placed`, or raises
:class:`~vtacsp.network.onnx.scales.Unplaceable` with the reason why it stays on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vtacsp.errors import NetworkError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.onnx.graph import Graph, Op, Shape
from vtacsp.network.onnx.scales import Requantisation, Unplaceable
from vtacsp.network.partition import Options
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.embedding.embedding import Embedding

__all__ = [
    "HANDLERS",
    "Context",
    "ModelLayer",
    "Pads",
    "Placed",
    "Widened",
    "handles",
    "padding_of",
]


Pads = tuple[int, int, int, int]
"""Top, left, bottom, right."""


@dataclass(frozen=True)
class Widened:
    """A tensor that the host makes int32: ``(value - zero) * factor`` of the int8 values."""

    tensor: str
    zero: int = 0
    factor: int = 1


@dataclass(frozen=True)
class ModelLayer:
    """A layer as the model has it, before blocks are filled.

    ``pads`` (top, left, bottom, right) are what the host adds to the data, with the value
    ``fill``; ``requantisation`` is None in a float model.  ``inputs_first``: the model's tensor of
    weights is (inputs, outputs, ...), not (outputs, inputs, ...).  ``widened`` are the operands of
    what the ALU does by itself, which has no weights; ``residual`` is the 8-bit tensor that the
    epilogue adds, empty without one.
    """

    workload: Workload
    data: str
    weight: str
    bias: str
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    fill: int = 0
    requantisation: Requantisation | None = None
    inputs_first: bool = False
    widened: tuple[Widened, ...] = ()
    residual: str = ""


@dataclass(frozen=True)
class Placed:
    """An operator on VTA: the layer, what is fused into it, and its remarks.

    ``embedding`` is how the layer became the workload where blocks are not just filled.
    """

    layer: ModelLayer
    workload: Workload
    fused: tuple[Op, ...] = ()
    remarks: tuple[str, ...] = ()
    embedding: Embedding | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """What a handler may ask: the graph, the machine and the user's choices.

    ``heavy`` names the operators that are layers: convolutions and products of matrices;
    ``taken`` those that are fused already; ``refusals`` has why others stay on the host.
    """

    graph: Graph
    hardware: VTAConfig
    options: Options
    quantised: bool
    heavy: frozenset[str]
    taken: set[str] = field(default_factory=set)
    refusals: dict[str, str] = field(default_factory=dict)
    _first: dict[str, bool] = field(default_factory=dict)

    def is_first(self, op: Op) -> bool:
        """Whether no layer stands between a layer and the inputs of the network."""
        if not self._first:
            behind: set[str] = set()  # tensors behind a layer
            for other in self.graph.ops:
                late = any(name in behind for name in other.inputs)
                self._first[other.name] = other.name in self.heavy and not late
                if late or other.name in self.heavy:
                    behind.update(other.outputs)
        return self._first[op.name]

    def fill(self, workload: Workload) -> tuple[Workload, tuple[str, ...]]:
        """The workload as the machine packs it; raises :class:`Unplaceable` with the reason."""
        filling = fill_blocks(workload, self.hardware)
        filled = filling.workload
        try:
            filled.pack(self.hardware)
        except WorkloadError as refusal:
            reason = str(refusal).removeprefix(f"{filled.name}: ")
            raise Unplaceable(reason) from None
        return filled, filling.remarks


Handler = Callable[[Context, Op], Placed]

HANDLERS: dict[tuple[str, str], Handler] = {}
"""(domain, operator) -> what places it on VTA."""


def handles(*types: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register a handler of these operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update({(domain, name): handler for name in types})
        return handler

    return register


def padding_of(op: Op, data: Shape, kernel: Shape) -> Pads:
    """Padding as (top, left, bottom, right)."""
    stride = op.ints("strides", (1, 1))
    if any(s < 1 for s in stride):
        raise NetworkError(f"{op.name}: strides are {stride}, must be at least 1")
    mode = op.text("auto_pad", "NOTSET")
    if mode in ("SAME_UPPER", "SAME_LOWER"):
        if op.type == "ConvTranspose":
            raise Unplaceable(f"auto_pad {mode} of a transposed convolution")
        ends = []
        for size, k, s in zip(data[2:], kernel, stride, strict=True):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            ends.append((total // 2, total - total // 2)[:: 1 if mode == "SAME_UPPER" else -1])
        (top, bottom), (left, right) = ends
        return top, left, bottom, right
    if mode == "VALID":
        return 0, 0, 0, 0
    if mode != "NOTSET":
        raise NetworkError(f"{op.name}: auto_pad is {mode!r:.40}, which ONNX does not have")
    top, left, bottom, right = op.ints("pads", (0, 0, 0, 0))
    if min(top, left, bottom, right) < 0:
        raise Unplaceable(f"negative padding {(top, left, bottom, right)}")
    return top, left, bottom, right
