"""The runtime's micro-op cache, replayed: when an eviction happens not to matter."""

from __future__ import annotations

from vtacsp.expr import Bool, Int, pow2, table
from vtacsp.rules.symbols import BIAS, uop_bits

__all__ = ["eviction_is_harmless", "program_micro_ops"]

_TILES = 64  # the cache repeats itself long before

Kernel = tuple[str, int, int]
"""Name, thread, number of micro-ops; kernels are distinct objects of the runtime."""


def program_micro_ops(reset: Int, gemm: Int, threads: Int, variants: Int) -> Int:
    """Micro-ops of all kernels of a program: reset, GEMM, and one per epilogue operation."""
    return threads * (reset + gemm * variants + 3 + BIAS)


def eviction_is_harmless(
    reset: Int, gemm: Int, threads: Int, variants: Int, reductions: Int, tiles: Int
) -> Bool:
    """Every load still finds its micro-ops, because what replaced them is the same.

    The first micro-op of a kernel of the first thread is (0, 0, 0) whatever the kernel, so
    kernels of one micro-op can stand in for each other.
    """
    return (
        table(
            "eviction_is_harmless",
            _survives,
            pow2(uop_bits),
            reset,
            gemm,
            BIAS,
            threads,
            variants,
            reductions,
            tiles,
        )
        == 1
    )


def _survives(
    depth: int,
    reset: int,
    gemm: int,
    bias: int,
    threads: int,
    variants: int,
    reductions: int,
    tiles: int,
) -> int:
    if threads * (reset + gemm * variants + 3 + bias) <= depth:
        return 1
    if max(reset, gemm) > depth or variants > 1:
        return 0
    if tiles > 1 and max(reset, gemm) > 1:
        return 0  # the cache is a ring: a kernel of several micro-ops comes back elsewhere
    resets = [("reset", t, reset) for t in range(threads)]
    gemms = [("gemm", t, gemm) for t in range(threads)]
    epilogue = ["shr", *(["add"] if bias else []), "min", "max"]
    alu = [[(name, t, 1) for name in epilogue] for t in range(threads)]
    if reductions == 1:
        body = resets + [k for t in range(threads) for k in (gemms[t], *alu[t])]
    else:
        body = resets + gemms * min(reductions, 3) + [k for part in alu for k in part]
    return int(_replay(body * min(tiles, _TILES), depth))


def _replay(calls: list[Kernel], depth: int) -> bool:
    """Run ``UopQueue::Push`` over the calls and compare each load with the final DRAM image."""
    cache: list[Kernel] = []
    place: dict[Kernel, int] = {}
    cursor = end = 0
    loads: list[tuple[int, Kernel]] = []
    for kernel in calls:
        if kernel in place:
            continue
        size = kernel[2]
        if end + size > depth:
            cursor, begin = 0, 0
        else:
            begin = end
        end = begin + size
        first = cursor
        while cursor < len(cache) and place[cache[cursor]] < end:
            del place[cache[cursor]]
            cursor += 1
        cache[first:cursor] = [kernel]
        place[kernel] = begin
        cursor = first + 1
        loads.append((sum(k[2] for k in cache[:first]), kernel))
    image = [op for kernel in cache for op in _contents(kernel)]
    return all(image[at : at + len(_contents(k))] == _contents(k) for at, k in loads)


def _contents(kernel: Kernel) -> list[tuple[str, int, int]]:
    name, thread, size = kernel
    ops = [(name, thread, i) for i in range(size)]
    if thread == 0 and name != "add":
        ops[0] = ("zero", 0, 0)
    elif name in ("shr", "min", "max"):
        ops[0] = ("alu", thread, 0)
    return ops
