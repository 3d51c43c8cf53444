"""The fully connected layer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import PackedShapes, Workload

__all__ = ["Dense"]


@dataclass(frozen=True, kw_only=True)
class Dense(Workload):
    """Fully connected layer: (batch, in_features) times (out_features, in_features)^T.

    >>> Dense(in_features=512, out_features=1008).macs
    516096
    """

    op: ClassVar[str] = "dense"
    inert_batch: ClassVar[tuple[bool, tuple[str, int] | None]] = (False, ("oc_nthread", 2))
    """A virtual thread moves the whole batch under the loop that it splits."""
    _axes_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("batch", "in_features"),
        "weight": ("out_features", "in_features"),
        "output": ("batch", "out_features"),
    }
    in_features: int
    out_features: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates: every output value is a dot product over in_features."""
        return self.batch * self.in_features * self.out_features

    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes; see :meth:`Workload.pack`."""
        batch, block = hardware.batch, hardware.block
        n = self._blocks("batch", self.batch, batch, "BATCH of the hardware")
        ci = self._blocks("in_features", self.in_features, block)
        co = self._blocks("out_features", self.out_features, block)
        output = (n, co, batch, block)
        shapes = PackedShapes(
            data=(n, ci, batch, block),
            weight=(co, ci, block, block),
            bias=output if self.bias else None,
            output=output,
            operands=self._operand_shapes(output, output),
        )
        return self._addressable(shapes)

    def symbols(self, hardware: VTAConfig) -> dict[str, int]:
        """Workload symbols; see :meth:`Workload.symbols`."""
        shapes = self.pack(hardware)
        n, ci, co = shapes.data[0], shapes.data[1], shapes.output[1]
        epilogue = self._epilogue_symbols(hardware, self.in_features)
        return {"N": n, "CI": ci, "CO": co, **epilogue}

    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extents of the split axes; see :meth:`Workload.axes`."""
        s = self.symbols(hardware)
        return {"tile_b": s["N"], "tile_ci": s["CI"], "tile_co": s["CO"]}

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        return [f"{self.in_features} → {self.out_features}"]
