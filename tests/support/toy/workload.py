"""The matrix product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import PackedShapes, Workload

__all__ = ["MatMul"]


@dataclass(frozen=True, kw_only=True)
class MatMul(Workload):
    """(batch, inner) times (columns, inner)^T."""

    op: ClassVar[str] = "matmul"
    thread_knobs: ClassVar[tuple[str, ...]] = ()
    _axes_of: ClassVar[dict[str, tuple[str, ...]]] = {
        "data": ("batch", "inner"),
        "weight": ("columns", "inner"),
        "output": ("batch", "columns"),
    }
    inner: int
    columns: int

    @property
    def macs(self) -> int:
        """One per row, column and inner value."""
        return self.batch * self.inner * self.columns

    def pack(self, hardware: VTAConfig) -> PackedShapes:
        """Packed shapes; see :meth:`Workload.pack`."""
        batch, block = hardware.batch, hardware.block
        n = self._blocks("batch", self.batch, batch, "BATCH of the hardware")
        ci = self._blocks("inner", self.inner, block)
        co = self._blocks("columns", self.columns, block)
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
        sizes = {"N": shapes.data[0], "CI": shapes.data[1], "CO": shapes.output[1]}
        return {**sizes, **self._epilogue_symbols(hardware, self.inner)}

    def axes(self, hardware: VTAConfig) -> dict[str, int]:
        """Extents of the split axes; see :meth:`Workload.axes`."""
        s = self.symbols(hardware)
        return {"tile_b": s["N"], "tile_ci": s["CI"], "tile_co": s["CO"]}

    @property
    def sizes(self) -> list[str]:
        """The sizes for people; see :attr:`Workload.sizes`."""
        return [f"{self.batch}×{self.inner}", f"{self.inner}×{self.columns}"]
