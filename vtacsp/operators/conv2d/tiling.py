"""A configuration of a convolution: tile sizes, groups, virtual threads.

For the program: independent of ``nest`` and ``rules`` on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.workload import Workload
from vtacsp.program.kernel import KernelLoop

__all__ = ["Tiling", "symbols_of"]


class Tiling:
    """A configuration of a convolution; channels in blocks, sizes in elements."""

    def __init__(
        self, symbols: Mapping[str, int], hardware: VTAConfig, config: Mapping[str, int]
    ) -> None:
        s = symbols
        self.hardware = hardware
        self.s = s
        """Workload symbols, of the convolution that is run."""
        # a tile: output rows and columns, input and output channel blocks
        self.h1, self.w1 = config["tile_h"], config["tile_w"]
        self.ci1, self.co1 = config["tile_ci"], config["tile_co"]
        # tiles along each axis; of the reduction per group
        self.h0, self.w0 = s["OH"] // self.h1, s["OW"] // self.w1
        self.ci0, self.co0 = s["CI"] // self.ci1, s["CO"] // self.co1
        # virtual threads over output channels, over output rows
        self.oc_threads, self.h_threads = config["oc_nthread"], config["h_nthread"]
        self.threads = self.oc_threads * self.h_threads
        # input rows and columns of a tile, kernel positions
        self.rows = (self.h1 - 1) * s["SH"] + s["KH"]
        self.columns = (self.w1 - 1) * s["SW"] + s["KW"]
        self.taps = s["KH"] * s["KW"]
        self.per_group = s["CO"] // s["G"]  # output channel blocks
        self.group_steps = self._group_steps()
        """Groups past the first one for each channel block of each tile."""
        self.channels = max(map(max, self.group_steps)) * s["CI"] + self.ci1
        """Input channel blocks of a tile; whole groups lie between the first and the last."""
        # elements of the scratchpads that a tile takes
        self.acc_tile = self.co1 * self.h1 * self.w1
        self.inp_tile = self.channels * self.rows * self.columns
        self.wgt_tile = self.co1 * self.ci1 * self.taps

    def _group_steps(self) -> tuple[tuple[int, ...], ...]:
        if self.s["G"] == 1:
            return ((0,) * self.co1,) * self.co0
        group = [block // self.per_group for block in range(self.co0 * self.co1)]
        tiles = (group[i : i + self.co1] for i in range(0, len(group), self.co1))
        return tuple(tuple(g - tile[0] for g in tile) for tile in tiles)

    @property
    def span_is_constant(self) -> bool:
        """Whether the compiler can tell how many groups a tile reaches.

        A tile begins at channel block co1 * (threads * i + t) and reaches
        (start % per_group + co1 - 1) // per_group groups past its first one.  The simplifier
        bounds the remainder by its largest multiple when the coefficients nest, else by
        per_group - 1.
        """
        if self.s["G"] == 1:
            return True
        outer, per_group = self.co0 // self.oc_threads, self.per_group
        step, thread = self.oc_threads * self.co1 % per_group, self.co1 % per_group
        top = thread if self.oc_threads > 1 else 0
        if outer != 1 and step != 0:
            nests = per_group % step == 0 and top < step
            top = per_group - step + top if nests else per_group - 1
        top = min(top, per_group - 1)
        return (top + self.co1 - 1) // per_group == (self.co1 - 1) // per_group

    # -- virtual threads that do not divide their loop keep a guard

    @property
    def guarded_h(self) -> bool:
        """Whether the row threads leave a guard."""
        return self.h0 % self.h_threads != 0

    @property
    def guarded_co(self) -> bool:
        """Whether the channel threads leave a guard."""
        return self.co0 % self.oc_threads != 0

    @property
    def inp_is_guarded(self) -> bool:
        """Whether the guard reaches the data load: the tile past the end leaves the image."""
        tiles = -(-self.h0 // self.h_threads) * self.h_threads
        last = (tiles * self.h1 - 1) * self.s["SH"] + self.s["KH"]
        leaves = self.guarded_h and last > self.s["H"] + 2 * self.s["PH"]
        grouped = self.s["G"] > 1 and (self.guarded_co or not self.span_is_constant)
        return leaves or grouped

    # -- what the operators do in their own ways

    @property
    def padded(self) -> bool:
        """Whether the data are loaded with padding: upstream looks at the rows alone."""
        return bool(self.s["PH"])

    def loops(self, groups: tuple[int, ...] | None) -> list[KernelLoop]:
        """Loops of the GEMM over one tile, outer first; without ``groups`` those of the reset."""
        w = KernelLoop(self.w1, 1, self.s["SW"])
        h = KernelLoop(self.h1, self.w1, self.s["SH"] * self.columns)
        co = self.channel_loop(groups)
        if groups is None:
            return [w, co, h]
        kh = KernelLoop(self.s["KH"], 0, self.columns, self.s["KW"])
        kw = KernelLoop(self.s["KW"], 0, 1, 1)
        return [self.reduction_loop, w, kw, kh, co, h]

    @property
    def reduction_loop(self) -> KernelLoop:
        """The loop over the input channels of a tile."""
        return KernelLoop(self.ci1, 0, self.rows * self.columns, self.taps)

    def channel_loop(self, groups: tuple[int, ...] | None) -> KernelLoop:
        """The loop over the output channels of a tile, which may reach several groups."""
        co_src = self.s["CI"] * self.rows * self.columns
        src = 0
        steps: tuple[int, ...] = ()
        if self.per_group == 1:
            src = co_src  # a group per block: linear
        elif groups and any(groups):
            steps = tuple(group * co_src for group in groups)
        return KernelLoop(self.co1, self.h1 * self.w1, src, self.ci1 * self.taps, steps=steps)


@lru_cache(maxsize=256)
def symbols_of(workload: Workload, hardware: VTAConfig) -> Mapping[str, int]:
    """The symbols of a layer, which all of its programs share: not to be changed."""
    return workload.symbols(hardware)
