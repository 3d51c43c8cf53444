"""A configuration of a convolution: tile sizes, groups, virtual threads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

from vtacsp.hardware import VTAConfig
from vtacsp.workload import Conv2DTranspose, Workload

__all__ = ["Tiling"]


@dataclass(frozen=True)
class Tiling:
    """A configuration of a convolution; channels in blocks, sizes in elements.

    The transposed convolution is the convolution, with stride 1, of an input that the CPU
    has dilated in DRAM.
    """

    workload: Workload
    hardware: VTAConfig
    config: Mapping[str, int]

    @cached_property
    def s(self) -> Mapping[str, int]:
        """Workload symbols, the transposed convolution turned into the one it is run as."""
        return _symbols(self.workload, self.hardware)

    @cached_property
    def transposed(self) -> bool:
        """Whether the operator is the transposed convolution."""
        return isinstance(self.workload, Conv2DTranspose)

    @cached_property
    def bias(self) -> bool:
        """Whether a bias is added."""
        return self.workload.bias

    @cached_property
    def h1(self) -> int:
        """Output rows of a tile."""
        return self.config["tile_h"]

    @cached_property
    def w1(self) -> int:
        """Output columns of a tile."""
        return self.config["tile_w"]

    @cached_property
    def ci1(self) -> int:
        """Input channel blocks of a tile."""
        return self.config["tile_ci"]

    @cached_property
    def co1(self) -> int:
        """Output channel blocks of a tile."""
        return self.config["tile_co"]

    @cached_property
    def oc_threads(self) -> int:
        """Virtual threads over output channels."""
        return self.config["oc_nthread"]

    @cached_property
    def h_threads(self) -> int:
        """Virtual threads over output rows."""
        return self.config["h_nthread"]

    @property
    def threads(self) -> int:
        """Virtual threads."""
        return self.oc_threads * self.h_threads

    @property
    def h0(self) -> int:
        """Tiles over the output height."""
        return self.s["OH"] // self.h1

    @property
    def w0(self) -> int:
        """Tiles over the output width."""
        return self.s["OW"] // self.w1

    @property
    def co0(self) -> int:
        """Tiles over the output channels."""
        return self.s["CO"] // self.co1

    @property
    def ci0(self) -> int:
        """Steps of the reduction, per group."""
        return self.s["CI"] // self.ci1

    @property
    def rows(self) -> int:
        """Input rows of a tile."""
        return (self.h1 - 1) * self.s["SH"] + self.s["KH"]

    @property
    def columns(self) -> int:
        """Input columns of a tile."""
        return (self.w1 - 1) * self.s["SW"] + self.s["KW"]

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return self.s["KH"] * self.s["KW"]

    @property
    def per_group(self) -> int:
        """Output channel blocks per group."""
        return self.s["CO"] // self.s["G"]

    # -- tile sizes, in elements of the scratchpad

    @property
    def acc_tile(self) -> int:
        """Accumulators of a tile."""
        return self.co1 * self.h1 * self.w1

    @property
    def bias_tile(self) -> int:
        """Bias elements of a tile."""
        return self.co1 if self.bias else 0

    @property
    def inp_tile(self) -> int:
        """Data elements of a tile."""
        return self.channels * self.rows * self.columns

    @property
    def wgt_tile(self) -> int:
        """Weight elements of a tile."""
        return self.co1 * self.ci1 * self.taps

    # -- groups under a tile

    @cached_property
    def group_steps(self) -> tuple[tuple[int, ...], ...]:
        """Groups past the first one for each channel block of each tile."""
        if self.s["G"] == 1:
            return ((0,) * self.co1,) * self.co0
        group = [block // self.per_group for block in range(self.co0 * self.co1)]
        tiles = (group[i : i + self.co1] for i in range(0, len(group), self.co1))
        return tuple(tuple(g - tile[0] for g in tile) for tile in tiles)

    @cached_property
    def channels(self) -> int:
        """Input channel blocks of a tile; whole groups lie between the first and the last."""
        return max(max(steps) for steps in self.group_steps) * self.s["CI"] + self.ci1

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
        if self.transposed:
            return self.guarded_h
        tiles = -(-self.h0 // self.h_threads) * self.h_threads
        last = (tiles * self.h1 - 1) * self.s["SH"] + self.s["KH"]
        leaves = self.guarded_h and last > self.s["H"] + 2 * self.s["PH"]
        grouped = self.s["G"] > 1 and (self.guarded_co or not self.span_is_constant)
        return leaves or grouped


@lru_cache(maxsize=256)
def _symbols(workload: Workload, hardware: VTAConfig) -> Mapping[str, int]:
    s = workload.symbols(hardware)
    if isinstance(workload, Conv2DTranspose):
        s["H"] = (s["H"] - 1) * s["SH"] + 1
        s["W"] = (s["W"] - 1) * s["SW"] + 1
        s["PH"] = s["KH"] - 1 - s["PH"]
        s["PW"] = s["KW"] - 1 - s["PW"]
        s["SH"] = s["SW"] = 1
    return s
