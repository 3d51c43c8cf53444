"""The runtime's micro-op cache, replayed: when an eviction happens not to matter.

The runtime loads a kernel when it is first called and evicts others when the scratchpad is
full, but writes the DRAM image that all loads read once, at the end, from the kernels that are
cached then (``UopQueue`` of ``runtime.cc``).  A program that evicts is right only where every
load still finds micro-ops that do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vtacsp.expr import Bool, Int, if_else, pow2, table
from vtacsp.knobs import IntArray
from vtacsp.rules.kernels import Loop, unrolled
from vtacsp.rules.symbols import BIAS, uop_bits

__all__ = ["batched_eviction_is_harmless", "eviction_is_harmless", "program_micro_ops"]

_GEMM, _RESET, _IMMEDIATE, _ADD = "gemm", "reset", "alu", "add"
# which indices of a micro-op an instruction uses: (ACC, source, WGT)
_USED = {_GEMM: 3, _RESET: 1, _IMMEDIATE: 1, _ADD: 2}


def program_micro_ops(reset: Int, gemm: Int, threads: Int, variants: Int) -> Int:
    """Micro-ops of all kernels of a program: reset, GEMM, and one per epilogue operation."""
    return threads * (reset + gemm * variants + 3 + BIAS)


def eviction_is_harmless(
    reset: Sequence[Loop],
    gemm: Sequence[Loop],
    tile: tuple[Int, Int, Int],
    bias_slot: Int,
    threads: Int,
    reductions: Int,
    tiles: Int,
    unrolled_inside: tuple[Sequence[Loop], Sequence[Loop]] = ((), ()),
) -> Bool:
    """Every load of a convolution program still finds micro-ops that do the same.

    ``tile`` are the elements of the ACC, INP and WGT tiles of a thread, ``bias_slot`` those of
    its bias, ``reductions`` the outer reduction steps and ``tiles`` the output tiles of a thread.
    ``unrolled_inside`` are loops that the schedule itself unrolls inside the two nests.
    """
    operands = [pow2(uop_bits), BIAS, threads, reductions, tiles, *tile, bias_slot]
    for loops, always in zip((reset, gemm), unrolled_inside, strict=True):
        for loop, inside in zip(loops, unrolled(loops), strict=True):
            operands += [if_else(inside, loop.extent, 1), *loop.steps]
        for loop in always:
            operands += [loop.extent, *loop.steps]
    survives = _convolution_survives(len(reset) + len(unrolled_inside[0]))
    return table("eviction_is_harmless", survives, *operands) == 1


def batched_eviction_is_harmless(rows: Int, tile_ci: Int, threads: Int, tiles: Int) -> Bool:
    """The same for a dense program, whose kernels have a variant per batch row."""
    name = "dense_eviction_is_harmless"
    operands = (pow2(uop_bits), BIAS, threads, tiles, rows, tile_ci)
    return table(name, _dense_survives, *operands) == 1


@dataclass(frozen=True, eq=False)
class _Kernel:
    """A kernel object of the runtime: what its instruction is, and its micro-ops, shape (n, 3)."""

    kind: str
    ops: IntArray

    def __len__(self) -> int:
        return len(self.ops)

    def does(self, ops: IntArray) -> bool:
        """Whether these micro-ops, in any order, do what the kernel's own would."""
        return len(ops) == len(self.ops) and bool((self.used(ops) == self._own).all())

    def used(self, ops: IntArray) -> IntArray:
        """The indices that count, in an order of their own."""
        columns = ops[:, : _USED[self.kind]]
        return columns[np.lexsort(columns.T[::-1])]

    @cached_property
    def _own(self) -> IntArray:
        return self.used(self.ops)


def _convolution_survives(reset_loops: int) -> Callable[..., int]:
    def survives(*numbers: int) -> int:
        depth, bias, threads, reductions, tiles, acc, inp, wgt, slot = numbers[:9]
        loops = [numbers[i : i + 4] for i in range(9, len(numbers), 4)]
        ops = {_RESET: _list(loops[:reset_loops]), _GEMM: _list(loops[reset_loops:])}
        step = {_RESET: (acc + slot, 0, 0), _GEMM: (acc + slot, inp, wgt)}
        if max(map(len, ops.values())) > depth:
            return 0
        by_thread = {
            kind: [_Kernel(kind, ops[kind] + t * np.array(step[kind])) for t in range(threads)]
            for kind in (_RESET, _GEMM)
        }
        epilogue = [_epilogue(t * (acc + slot), acc, bias) for t in range(threads)]
        gemms = by_thread[_GEMM]
        if reductions == 1:
            body = [k for t in range(threads) for k in (gemms[t], *epilogue[t])]
        else:
            body = gemms * min(reductions, 3) + [k for part in epilogue for k in part]
        return int(_replay([*by_thread[_RESET], *body], tiles, depth))

    return survives


def _dense_survives(depth: int, bias: int, threads: int, tiles: int, rows: int, ci: int) -> int:
    body = []
    for row in range(rows):
        acc = [row + t * rows * (1 + bias) for t in range(threads)]
        body += [_single(_RESET, base, 0, 0) for base in acc]
        gemms = [_single(_GEMM, base, t * ci, t * ci) for t, base in enumerate(acc)]
        body += gemms
    for t in range(threads):
        body += _epilogue(t * rows * (1 + bias), rows, bias)
    return int(_replay(body, tiles, depth))


def _single(kind: str, acc: int, source: int, wgt: int) -> _Kernel:
    return _Kernel(kind, np.array([[acc, source, wgt]], dtype=np.int64))


def _epilogue(base: int, acc: int, bias: int) -> list[_Kernel]:
    shift, low, high = (_single(_IMMEDIATE, base, base, 0) for _ in range(3))
    return [shift, *([_single(_ADD, base, base + acc, 0)] if bias else []), low, high]


def _list(loops: Sequence[tuple[int, ...]]) -> IntArray:
    """Micro-ops of the loops that are unrolled, outermost first."""
    ops = np.zeros((1, 3), dtype=np.int64)
    for extent, *step in loops:
        if extent > 1:
            offsets = np.arange(extent, dtype=np.int64)[:, None] * np.array(step)
            ops = (ops[:, None, :] + offsets[None, :, :]).reshape(-1, 3)
    return ops


def _replay(body: Sequence[_Kernel], tiles: int, depth: int) -> bool:
    """Run the queue over all tiles; the states of the cache repeat, so that few are run."""
    tiles = max(tiles, 1)  # none where a thread count does not divide: not built then
    queue = _Queue(depth)
    seen: dict[object, int] = {}
    for _ in _until_known(tiles, seen, queue):
        for kernel in body:
            queue.call(kernel)
    image = np.concatenate([kernel.ops for kernel in queue.cache])
    return all(kernel.does(image[at : at + len(kernel)]) for at, kernel in queue.loads)


def _until_known(tiles: int, seen: dict[object, int], queue: _Queue) -> Iterator[int]:
    """Tile numbers to run: once the state comes back, only the rest of the last period."""
    done = 0
    while done < tiles:
        state = queue.state()
        if state in seen:
            period = done - seen[state]
            yield from range((tiles - done) % period)
            return
        seen[state] = done
        yield done
        done += 1


class _Queue:
    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.cache: list[_Kernel] = []
        self.loads: set[tuple[int, _Kernel]] = set()
        self._begin: dict[_Kernel, int] = {}
        self._cursor = self._end = 0

    def state(self) -> object:
        return tuple((k, self._begin[k]) for k in self.cache), self._cursor, self._end

    def call(self, kernel: _Kernel) -> None:
        if kernel in self._begin:
            return
        begin = self._end
        if begin + len(kernel) > self.depth:
            self._cursor, begin = 0, 0
        self._end = begin + len(kernel)
        first = self._cursor
        while self._cursor < len(self.cache):
            other = self.cache[self._cursor]
            if self._begin[other] >= self._end:
                break
            del self._begin[other]
            self._cursor += 1
        self.cache[first : self._cursor] = [kernel]
        self._begin[kernel] = begin
        self._cursor = first + 1
        at = sum(len(k) for k in self.cache[:first])
        self.loads.add((at, kernel))
