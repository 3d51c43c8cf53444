"""The program of a transposed convolution.

It is the convolution, with stride 1, of an input that the CPU has dilated in DRAM; its template
splits the rows of a tile by 4 and its columns by 2, and unrolls what is inside
(``vta_conv2d_transpose.py`` of TVM's ``vta/python/vta/top``).

Independent of ``nest`` and ``rules`` on purpose: two oracles that are compared.
"""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.causes import LOWERING
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.program import build_tiled
from vtacsp.operators.conv2d.tiling import Tiling, symbols_of
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.program.kernel import KernelLoop
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue

__all__ = ["as_convolution", "build"]

UNROLL_H, UNROLL_W = 4, 2


def build(
    workload: Conv2DTranspose, hardware: VTAConfig, config: Mapping[str, int], queue: Queue
) -> Program:
    """Build the program of a transposed convolution."""
    tiling = _Tiling(as_convolution(symbols_of(workload, hardware)), hardware, config)
    if hardware.batch > 1:
        raise ProgramError(LOWERING, "the pass for transposed convolutions needs BATCH 1")
    return build_tiled(tiling, workload, config, queue, loop_is_function=False)


def as_convolution(s: Mapping[str, int]) -> Mapping[str, int]:
    """Symbols of the convolution that computes it: stride 1, over the dilated input."""
    return {
        **s,
        "H": (s["H"] - 1) * s["SH"] + 1,
        "W": (s["W"] - 1) * s["SW"] + 1,
        "PH": s["KH"] - 1 - s["PH"],
        "PW": s["KW"] - 1 - s["PW"],
        "SH": 1,
        "SW": 1,
    }


class _Tiling(Tiling):
    @property
    def inp_is_guarded(self) -> bool:
        return self.guarded_h

    @property
    def padded(self) -> bool:
        return bool(self.s["PH"] or self.s["PW"])

    def loops(self, groups: tuple[int, ...] | None) -> list[KernelLoop]:
        # splits by 2 and 4 lose their guards: the tile is rounded up
        jj, ii = min(self.w1, UNROLL_W), min(self.h1, UNROLL_H)
        xj = KernelLoop(-(-self.w1 // jj), jj, jj)
        xi = KernelLoop(-(-self.h1 // ii), ii * self.w1, ii * self.columns)
        inner_w = KernelLoop(jj, 1, 1, unrolled=True)
        inner_h = KernelLoop(ii, self.w1, self.columns, unrolled=True)
        co = self.channel_loop(groups)
        if groups is None:
            return [xj, co, xi, inner_w, inner_h]
        kh = KernelLoop(self.s["KH"], 0, self.columns, self.s["KW"], unrolled=True)
        kw = KernelLoop(self.s["KW"], 0, 1, 1, unrolled=True)
        return [self.reduction_loop, xj, co, xi, inner_w, kw, kh, inner_h]
