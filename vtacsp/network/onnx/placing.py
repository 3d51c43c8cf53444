"""What an operator becomes: the table of operators that VTA can compute, and their context.

More operators plug in here: a function under :func:`handles` gets the :class:`Context` and the
:class:`~vtacsp.network.onnx.graph.Op`, and returns a :class:`Placed`, or raises
:class:`~vtacsp.network.onnx.scales.Unplaceable` with the reason why it stays on the host.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vtacsp.errors import WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.onnx.graph import Graph, Op
from vtacsp.network.onnx.scales import Requantisation, Unplaceable
from vtacsp.network.options import Options
from vtacsp.network.padding import fill_blocks
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.embedding.embedding import Embedding

__all__ = ["HANDLERS", "Context", "Layer", "Placed", "handles"]


@dataclass(frozen=True)
class Layer:
    """A layer as the model has it, before blocks are filled.

    ``pads`` (top, left, bottom, right) are what the host adds to the data, with the value
    ``fill``; ``requantisation`` is None in a float model.
    """

    workload: Workload
    data: str
    weight: str
    bias: str
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    fill: int = 0
    requantisation: Requantisation | None = None
    transposed_weight: bool = False


@dataclass(frozen=True)
class Placed:
    """An operator on VTA: the layer, what is fused into it, and its remarks.

    ``embedding`` is how the layer became the workload where blocks are not just filled.
    """

    layer: Layer
    workload: Workload
    fused: tuple[Op, ...] = ()
    remarks: tuple[str, ...] = ()
    embedding: Embedding | None = None


@dataclass(frozen=True, eq=False)
class Context:
    """What a handler may ask: the graph, the machine and the user's choices.

    ``heavy`` names the operators that are layers: convolutions and products of matrices;
    ``taken`` those that are fused already.
    """

    graph: Graph
    hardware: VTAConfig
    options: Options
    quantised: bool
    heavy: frozenset[str]
    taken: set[str] = field(default_factory=set)
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
        filled, remarks = fill_blocks(workload, self.hardware)
        try:
            filled.pack(self.hardware)
        except WorkloadError as refusal:
            reason = str(refusal).removeprefix(f"{filled.name}: ")
            raise Unplaceable(reason) from None
        return filled, remarks


Handler = Callable[[Context, Op], Placed]

HANDLERS: dict[tuple[str, str], Handler] = {}
"""(domain, operator) -> what places it on VTA."""


def handles(*types: str, domain: str = "") -> Callable[[Handler], Handler]:
    """Register a handler of these operators."""

    def register(handler: Handler) -> Handler:
        HANDLERS.update({(domain, name): handler for name in types})
        return handler

    return register
