"""Programs of the operators of the ALU: ours, made by doing, independent of the rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import product

import numpy as np

from vtacsp.alu.workload import OnALU, Pool
from vtacsp.causes import DMA_2D_ACC, SRAM_UOP, UOP_SIGNATURE, VTHREAD_SPLIT, WRONG_RESULT
from vtacsp.epilogue.program import (
    Slots,
    check_chain,
    check_store,
    epilogue,
    operand_bases,
    wrap_epilogue,
)
from vtacsp.epilogue.steps import CHANNEL, Epilogue
from vtacsp.errors import ProgramError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import AluOp, Memory, Module, Opcode, depths, fits
from vtacsp.program.assembly import Assembly
from vtacsp.program.copies import Copy, StridedAxis, Transfer, plain
from vtacsp.program.kernel import Kernel, KernelLoop, record_gemm
from vtacsp.program.loops import Call, Loop, Scope, Statement
from vtacsp.program.program import Program
from vtacsp.program.runtime import Queue
from vtacsp.program.scratchpad import ScratchpadAllocator

__all__ = ["build_alu"]

HARDWARE_LOOPS = 2
_ONCE = (1, 0, 0, 0)  # no loop


def build_alu(
    workload: OnALU,
    hardware: VTAConfig,
    config: Mapping[str, int],
    queue: Queue,
) -> Program:
    """Build the program of an operator.

    Raises :class:`~vtacsp.errors.ProgramError` with the cause.
    """
    shapes, chain, op = workload.pack(hardware), workload.chain, workload.join
    n, channels, oh, ow = shapes.output[:4]
    h1, w1, co1 = config["tile_h"], config["tile_w"], config["tile_co"]
    h0, w0, co0 = oh // h1, ow // w1, channels // co1
    split = {"h": config["h_nthread"], "co": config["oc_nthread"]}
    threads = split["h"] * split["co"]
    tile = co1 * h1 * w1
    pads = ScratchpadAllocator(hardware)
    pads.fits_alone(acc=tile)
    if h0 % split["h"] or co0 % split["co"]:
        raise ProgramError(VTHREAD_SPLIT, f"threads {split} over {h0} row, {co0} channel tiles")
    window = _Window(workload, config) if isinstance(workload, Pool) else None
    area = oh * ow
    out_strides = {"b": channels * area, "h": h1 * ow, "co": co1 * area, "w": w1}
    window_shape = None if window is None else window.shape()
    check_store(chain)
    out_shape = plain([StridedAxis(co1, area), StridedAxis(h1, ow), StridedAxis(w1, 1)], DMA_2D_ACC)
    # the data come first in DRAM, then the operands of the epilogue
    sizes = [n * channels * (window.area if window else area)]
    sizes += [n * channels * (1 if kind == CHANNEL else area) for kind in chain.operands]
    starts, acc_elements = operand_bases(sizes, hardware)
    per_channel = Copy(plain([StridedAxis(co1, 1)], DMA_2D_ACC), {"b": channels, "co": co1})
    whole = Copy(out_shape, out_strides)
    slots = Slots(chain, tile, co1)
    bases = [
        pads.allocate("acc", slots.total + (window.tile if window else 0)) for _ in range(threads)
    ]
    pads.check()
    check_chain(chain)
    if split["h"] > 1 and split["co"] > 1:
        raise ProgramError(UOP_SIGNATURE, "a kernel with two free variables, one per thread")
    acc = [base + slots.acc for base in bases]
    a = Assembly(hardware, {"b": n, "h": h0, "co": co0, "w": w0}, split)
    if window is None or window_shape is None or op is None:
        a.load("data", Memory.ACC, whole, acc)
    else:
        behind = [base + slots.total for base in bases]
        a.load("data", Memory.ACC, Copy(window_shape, window.strides(channels)), behind)
        cleared = ((base, 0, 0) for base in acc)
        a.kernel("reset", record_gemm([KernelLoop(tile, 1)], cleared, hardware, reset=True))
        for number, offset in enumerate(window.offsets()):
            # the first value is added to the zeros: there is no copy
            joined = op if number else AluOp.ADD
            a.kernel(f"tap{number}", window.kernels(joined, acc, [b + offset for b in behind]))
    copies = {
        number: (per_channel if kind == CHANNEL else whole)._replace(start=start)
        for number, (kind, start) in enumerate(zip(chain.operands, starts[1:], strict=True))
    }
    epilogue(a, chain, *_loops(co1, h1, w1), slots, acc, copies)
    holds = depths(hardware)["uop"]
    if a.micro_ops > holds:
        raise ProgramError(SRAM_UOP, f"{a.micro_ops} micro-ops, UOP holds {holds}")
    if not fits(hardware):
        raise ProgramError(WRONG_RESULT, "instructions of more than 128 bits overwrite each other")
    a.store("out", whole, acc)
    dram = {"inp": 0, "wgt": 0, "acc": acc_elements, "out": n * channels * area}
    nest = _nest(chain, window.taps if window else 0)
    return a.finish(workload, config, nest, dram, queue=queue, loop_is_function=True)


def _loops(co1: int, h1: int, w1: int) -> tuple[list[KernelLoop], list[KernelLoop]]:
    """Loops over a tile, with a second operand of its shape and with one value per channel."""
    area = h1 * w1
    return (
        [KernelLoop(co1, area, area), KernelLoop(h1, w1, w1), KernelLoop(w1, 1, 1)],
        [KernelLoop(co1, area, 1), KernelLoop(h1, w1, 0), KernelLoop(w1, 1, 0)],
    )


@lru_cache(maxsize=256)
def _nest(chain: Epilogue, taps: int) -> Loop:
    before, after = wrap_epilogue(chain)
    names = ["data", *(["reset"] if taps else []), *(f"tap{number}" for number in range(taps))]
    body: list[Statement] = [
        *before,
        Scope(Module.COMPUTE, [Call(name) for name in names]),
        *after,
        Scope(Module.STORE, [Call("out")]),
    ]
    return Loop("b", [Loop("h", [Loop("co", [Loop("w", body)])])])


class _Window:
    """The data of a tile of a pool: windows that may overlap, of an image with its padding."""

    def __init__(self, workload: Pool, config: Mapping[str, int]) -> None:
        (self.kh, self.kw), (self.sh, self.sw) = workload.kernel, workload.stride
        ph, pw = workload.padding
        self.height, self.width = workload.height + 2 * ph, workload.width + 2 * pw
        self.h1, self.w1, self.co1 = config["tile_h"], config["tile_w"], config["tile_co"]
        self.rows = (self.h1 - 1) * self.sh + self.kh
        self.columns = (self.w1 - 1) * self.sw + self.kw
        self.tile = self.co1 * self.rows * self.columns
        self.area = self.height * self.width
        self.taps = self.kh * self.kw

    def shape(self) -> Transfer:
        """The load of a tile; raises when it is no 2-D copy."""
        axes = [
            StridedAxis(self.co1, self.area),
            StridedAxis(self.rows, self.width),
            StridedAxis(self.columns, 1),
        ]
        return plain(axes, DMA_2D_ACC)

    def strides(self, channels: int) -> dict[str, int]:
        """DRAM elements from tile to tile."""
        return {
            "b": channels * self.area,
            "h": self.h1 * self.sh * self.width,
            "co": self.co1 * self.area,
            "w": self.w1 * self.sw,
        }

    def offsets(self) -> Iterator[int]:
        """Elements from the first value of a window to each of its values."""
        return (y * self.columns + x for y, x in product(range(self.kh), range(self.kw)))

    def kernels(self, op: AluOp, acc: Sequence[int], data: Sequence[int]) -> list[Kernel]:
        """One value of every window of a tile, for each thread.

        The two outermost loops that exist are the hardware's, the third is unrolled: no micro-op
        writes what one of the two before it wrote, since every accumulator is written once.
        """
        every = [
            (self.h1, self.w1, self.sh * self.columns),
            (self.w1, 1, self.sw),
            (self.co1, self.h1 * self.w1, self.rows * self.columns),
        ]
        loops = [loop for loop in every if loop[0] > 1]
        count, dst, src = ([*loops[HARDWARE_LOOPS:], (1, 0, 0)])[0]
        outer = [(*loop, 0) for loop in loops[:HARDWARE_LOOPS]]
        out, inside = [_ONCE, _ONCE, *outer][-HARDWARE_LOOPS:]
        fields = (int(Opcode.ALU), 0, *out, *inside, int(op), 0, 0, 0, 0)
        found = []
        for base, first in zip(acc, data, strict=True):
            ops = [(base + i * dst, first + i * src, 0) for i in range(count)]
            found.append(Kernel(fields, np.array(ops, dtype=np.uint32)))
        return found
