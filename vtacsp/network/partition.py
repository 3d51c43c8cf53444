"""What the user decides about the partition of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vtacsp.errors import NetworkError, shortened

if TYPE_CHECKING:
    from vtacsp.timing.model import TimingModel

__all__ = ["ALU", "DENSE", "FIRST_LAYER", "RESIDUAL", "Options"]

FIRST_LAYER = ("host", "pad", "fold")
"""What becomes of a first convolution whose channels do not fill a block."""

RESIDUAL = ("host", "fuse")
"""Where a residual is added: by the host, or in the epilogue of the layer before, as int32."""


ALU = ("add", "pool")
"""What VTA's ALU can do by itself when the host hands over int32."""

DENSE = ("fastest", "conv", "dense")
"""How products with constant matrices are computed: as a 1x1 convolution, or by the template."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """Choices; ``shapes`` fixes inputs of a model with dynamic axes, by name.

    ``host`` names nodes that stay on the host whatever they are.  ``first_layer`` is one of
    :data:`FIRST_LAYER`: ``pad`` fills the channels of the block with zeros, ``fold`` takes the
    fastest embedding (:mod:`vtacsp.embedding`), several pixels or taps in one block.  ``residual``
    is one of :data:`RESIDUAL`, ``dense`` one of :data:`DENSE`: ``fastest`` takes the convolution
    where its best program has fewer cycles.  ``alu`` are those of :data:`ALU` that VTA does.
    ``timing`` is what the faster one is chosen by, None the simulated RTL.

    >>> layer = vtacsp.suite("resnet18")[9]
    >>> network = load_network("resnet18", options=Options(host=frozenset([layer.name])))
    >>> [node.why for node in network.host if node.name == layer.name]
    ['kept on the host (--host)']
    """

    first_layer: str = "host"
    residual: str = "host"
    dense: str = "fastest"
    alu: frozenset[str] = frozenset()
    host: frozenset[str] = frozenset()
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    timing: TimingModel | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.first_layer not in FIRST_LAYER:
            raise NetworkError(
                f"first_layer is {shortened(self.first_layer)}, known are {', '.join(FIRST_LAYER)}"
            )
        if self.residual not in RESIDUAL:
            raise NetworkError(
                f"residual is {shortened(self.residual)}, known are {', '.join(RESIDUAL)}"
            )
        for word in sorted(self.alu - set(ALU)):
            raise NetworkError(f"alu has {shortened(word)}, known are {', '.join(ALU)}")
        if self.dense not in DENSE:
            raise NetworkError(f"dense is {shortened(self.dense)}, known are {', '.join(DENSE)}")
