"""The runtime's micro-op cache, replayed: when an eviction happens not to matter.

The runtime loads a kernel when it is first called and evicts others when the scratchpad is
full, but writes the DRAM image that all loads read once, at the end, from the kernels that are
cached then (``UopQueue`` of ``runtime.cc``).  A program that evicts is right only where every
load still finds micro-ops that do the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from math import prod

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.epilogue.rules import REUSE_RANGE
from vtacsp.expr import Bool, Int, if_else, pow2, table
from vtacsp.rules.kernels import MicroOpLoop, unrolled
from vtacsp.rules.symbols import PASS_CODE, PASSES, uop_bits

__all__ = ["batched_eviction_is_harmless", "eviction_is_harmless", "program_micro_ops"]

_GEMM, _RESET, _IMMEDIATE, _ADD = "gemm", "reset", "alu", "add"
# which indices of a micro-op an instruction uses: (ACC, source, WGT)
_USED = {_GEMM: 3, _RESET: 1, _IMMEDIATE: 1, _ADD: 2}


def program_micro_ops(reset: Int, gemm: Int, threads: Int, variants: Int) -> Int:
    """Micro-ops of all kernels of a program: reset, GEMM, and one per epilogue operation."""
    return threads * (reset + gemm * variants + PASSES)


def eviction_is_harmless(
    largest: Int,
    reset: Sequence[MicroOpLoop],
    gemm: Sequence[MicroOpLoop],
    tile: tuple[Int, Int, Int],
    operands: Int,
    channel: Int,
    threads: Int,
    reductions: Int,
    tiles: Int,
    unrolled_inside: tuple[Sequence[MicroOpLoop], Sequence[MicroOpLoop]] = ((), ()),
) -> Bool:
    """Every load of a convolution program still finds micro-ops that do the same.

    ``largest`` is the length of its largest kernel: one that does not fit is never loaded.
    ``tile`` are the elements of the ACC, INP and WGT tiles of a thread, ``operands`` those of the
    epilogue's operands and ``channel`` of one value per channel, ``reductions`` the outer
    reduction steps and ``tiles`` the output tiles of a thread.
    ``unrolled_inside`` are loops that the schedule itself unrolls inside the two nests.
    """
    numbers = [pow2(uop_bits), PASS_CODE, threads, reductions, tiles, *tile, operands, channel]
    for loops, always in zip((reset, gemm), unrolled_inside, strict=True):
        for loop, inside in zip(loops, unrolled(loops), strict=True):
            numbers += [if_else(inside, loop.extent, 1), *loop.steps]
        for loop in always:
            numbers += [loop.extent, *loop.steps]
    survives = _convolution_survives(len(reset) + len(unrolled_inside[0]))
    return (largest <= pow2(uop_bits)) & (table("eviction_is_harmless", survives, *numbers) == 1)


def batched_eviction_is_harmless(
    rows: Int, tile_ci: Int, threads: Int, tiles: Int, operands: Int
) -> Bool:
    """The same for a dense program, whose kernels have a variant per batch row."""
    name = "dense_eviction_is_harmless"
    numbers = (pow2(uop_bits), PASS_CODE, threads, tiles, rows, tile_ci, operands)
    return table(name, _dense_survives, *numbers) == 1


class _Kernel:
    """A kernel object of the runtime: what its instruction is, and the loops of its micro-ops.

    A loop, outermost first, is an extent and what it adds to the three indices of a micro-op.
    ``length`` is the number of micro-ops, ``first`` and ``last`` bound the accumulators that
    they write.
    """

    def __init__(
        self, kind: str, base: tuple[int, int, int], loops: Sequence[Sequence[int]] = ()
    ) -> None:
        self.kind, self.base, self.loops = kind, base, loops
        self.length, self.first, self.last = 1, base[0], base[0]
        for extent, step, *_ in loops:
            self.length *= extent
            self.last += (extent - 1) * step

    @cached_property
    def ops(self) -> IntArray:
        """The micro-ops, shape (n, 3)."""
        ops = np.array([self.base], dtype=np.int64)
        for extent, *step in self.loops:
            offsets = np.arange(extent, dtype=np.int64)[:, None] * np.array(step)
            ops = (ops[:, None, :] + offsets[None, :, :]).reshape(-1, 3)
        return ops

    def shares(self, other: _Kernel) -> bool:
        """Whether micro-ops from one place on can do what both would: the shorter is a part."""
        if self.length == other.length:
            return self.first == other.first and self.last == other.last
        short, long = (self, other) if self.length < other.length else (other, self)
        return long.first <= short.first and short.last <= long.last

    def does(self, ops: IntArray) -> bool:
        """Whether these micro-ops, in any order, do what the kernel's own would."""
        if len(ops) != self.length:
            return False
        used, own = (columns[:, : _USED[self.kind]] for columns in (ops, self.ops))
        if (used.sum(axis=0) != own.sum(axis=0)).any():
            return False
        return bool((_sorted(used) == _sorted(own)).all())


def _sorted(ops: IntArray) -> IntArray:
    return ops[np.lexsort(ops.T[::-1])]


def _convolution_survives(reset_loops: int) -> Callable[..., int]:
    def survives(*numbers: int) -> int:
        depth, code, threads, reductions, tiles, acc, inp, wgt, operands, channel = numbers[:10]
        loops = [numbers[i : i + 4] for i in range(10, len(numbers), 4)]
        reset = [loop for loop in loops[:reset_loops] if loop[0] > 1]
        gemm = [loop for loop in loops[reset_loops:] if loop[0] > 1]
        first = _Kernel(_RESET, (0, 0, 0), reset)
        lengths = first.length, prod(loop[0] for loop in gemm)
        if max(lengths) > depth:
            return 0
        # the kernel that takes the place of the first one is of a thread with other accumulators
        thread = _first_evicting(depth, _digits(code), threads, reductions == 1, *lengths)
        if first.last < thread * (acc + operands) < threads * (acc + operands):
            return 0
        base = [t * (acc + operands) for t in range(threads)]
        resets = [_Kernel(_RESET, (base[t], 0, 0), reset) for t in range(threads)]
        gemms = [_Kernel(_GEMM, (base[t], t * inp, t * wgt), gemm) for t in range(threads)]
        epilogue = [_epilogue(base[t], acc, channel, code) for t in range(threads)]
        if reductions == 1:
            body = [k for t in range(threads) for k in (gemms[t], *epilogue[t])]
        else:
            body = gemms * min(reductions, 3) + [k for part in epilogue for k in part]
        return int(_replay([*resets, *body], tiles, depth))

    return survives


def _first_evicting(
    depth: int, epilogue: int, threads: int, fused: bool, reset: int, gemm: int
) -> int:
    """Thread of the first kernel that does not fit behind the others, or beyond: all fit.

    Resets of all threads go first; then, ``fused``, GEMM and epilogue of each thread in turn,
    else the GEMMs of all and then the epilogues.
    """
    room = depth - threads * reset
    if room < 0:
        return depth // reset
    if fused:
        return room // (gemm + epilogue)
    if room < threads * gemm:
        return room // gemm
    return (room - threads * gemm) // epilogue if epilogue else threads


def _dense_survives(
    depth: int, code: int, threads: int, tiles: int, rows: int, ci: int, operands: int
) -> int:
    if 2 * threads <= depth < 2 * threads * rows:
        return 0  # a later row's kernel takes the place of the first one, which writes row 0
    body = []
    for row in range(rows):
        acc = [row + t * (rows + operands) for t in range(threads)]
        body += [_Kernel(_RESET, (base, 0, 0)) for base in acc]
        body += [_Kernel(_GEMM, (base, t * ci, t * ci)) for t, base in enumerate(acc)]
    for t in range(threads):
        body += _epilogue(t * (rows + operands), rows, rows, code)
    return int(_replay(body, tiles, depth))


def _digits(code: int) -> int:
    """Number of ALU operations that a ``PASS_CODE`` stands for."""
    count = 0
    while code:
        code, count = code // 5, count + 1
    return count


def _epilogue(base: int, acc: int, channel: int, code: int) -> list[_Kernel]:
    """One kernel per digit of ``PASS_CODE``; operands lie behind the tile, alike ones together."""
    kernels = []
    slot: dict[bool, int] = {}
    end = base + acc
    while code:
        code, digit = divmod(code, 5)
        if digit == 1:
            kernels.append(_Kernel(_IMMEDIATE, (base, base, 0)))
            continue
        source = base
        if digit != 4:
            wide = digit == 2 or acc <= REUSE_RANGE * channel
            if wide not in slot:
                slot[wide], end = end, end + (acc if wide else channel)
            source = slot[wide]
        kernels.append(_Kernel(_ADD, (base, source, 0)))
    return kernels


def _replay(body: Sequence[_Kernel], tiles: int, depth: int) -> bool:
    """Run the queue over all tiles; the states of the cache repeat, so that few are run."""
    tiles = max(tiles, 1)  # none where a thread count does not divide: not built then
    queue = _Queue(depth)
    seen: dict[object, int] = {}
    for _ in _until_known(tiles, seen, queue):
        for kernel in body:
            if not queue.call(kernel):
                return False
    return queue.right()


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
        self.loads: dict[int, list[_Kernel]] = {}  # by their place in the image
        self._begin: dict[_Kernel, int] = {}
        self._cursor = self._end = self._before = 0

    def state(self) -> object:
        return tuple((k, self._begin[k]) for k in self.cache), self._cursor, self._end

    def call(self, kernel: _Kernel) -> bool:
        """Load a kernel if need be; false when no image can serve it and an earlier one."""
        if kernel in self._begin:
            return True
        begin = self._end
        if begin + kernel.length > self.depth:
            self._cursor = self._before = begin = 0
        self._end = begin + kernel.length
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
        known = self.loads.setdefault(self._before, [])
        self._before += kernel.length
        if kernel in known:
            return True
        known.append(kernel)
        return all(kernel.shares(other) for other in known[:-1])

    def right(self) -> bool:
        """Whether every load finds in the image, written at the end, what does the same."""
        start, starts = 0, {}
        for kernel in self.cache:
            starts[start] = kernel
            start += kernel.length
        doubtful = [
            (at, kernel)
            for at, kernels in self.loads.items()
            for kernel in kernels
            if starts.get(at) is not kernel
        ]
        if not doubtful:
            return True
        image = np.concatenate([kernel.ops for kernel in self.cache])
        return all(kernel.does(image[at : at + kernel.length]) for at, kernel in doubtful)
