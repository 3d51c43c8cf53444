"""A deliberately naive verdict for one configuration, written from the loop nests.

It shares nothing with the rules of the package: it walks every tile, folds the actual
strides of every DMA copy, lists the actual micro-ops and replays the runtime's micro-op
cache.  Slow and plain on purpose: it is the independent witness of the property tests.
"""

from __future__ import annotations

import ctypes
from itertools import product
from typing import Any

from tests.support import naive_transpose

THREADS = 2


class Rejected(Exception):
    """The stack stops here; the message is the cause label."""


def verdict(workload: dict[str, Any], hardware: dict[str, int], knobs: dict[str, int]) -> str:
    """First cause the stack would report for this configuration, or ``ok``."""
    walk = {
        "dense": _dense,
        "conv2d": _conv,
        "group_conv2d": _conv,
        "conv2d_transpose": _transposed,
    }[workload["op"]]
    try:
        walk(workload, {**_depths(hardware), **hardware}, knobs)
        _instructions_fit(_depths(hardware))
    except Rejected as stop:
        return str(stop)
    return "ok"


def _transposed(w: dict[str, Any], hw: dict[str, Any], k: dict[str, int]) -> None:
    cause = naive_transpose.verdict(w, hw, k)
    if cause != "ok":
        raise Rejected(cause)


def _instructions_fit(d: dict[str, int]) -> None:
    """Lay the GEMM and ALU instructions out as C does and measure them."""
    uop, inp, wgt, acc = (d[name].bit_length() - 1 for name in ("uop", "inp", "wgt", "acc"))
    head = [3, 1, 1, 1, 1, 1, uop, uop + 1, 14, 14]
    for tail in ([acc, acc, inp, inp, wgt, wgt], [acc, acc, acc, acc, 3, 1, 16]):
        fields = [(f"f{i}", ctypes.c_uint64, bits) for i, bits in enumerate(head + tail)]
        layout = type("Instruction", (ctypes.LittleEndianStructure,), {"_fields_": fields})
        if ctypes.sizeof(layout) > 16:
            raise Rejected("wrong_result")


def _depths(hw: dict[str, int]) -> dict[str, int]:
    batch, block = 1 << hw["LOG_BATCH"], 1 << hw["LOG_BLOCK"]
    size = {name: 1 << hw[f"LOG_{name}_BUFF_SIZE"] for name in ("UOP", "INP", "WGT", "ACC")}
    bits = {name: 1 << hw[f"LOG_{name}_WIDTH"] for name in ("INP", "WGT", "ACC")}
    return {
        "batch": batch,
        "block": block,
        "uop": size["UOP"] // 4,
        "inp": size["INP"] * 8 // (batch * block * bits["INP"]),
        "wgt": size["WGT"] * 8 // (block * block * bits["WGT"]),
        "acc": size["ACC"] * 8 // (batch * block * bits["ACC"]),
    }


# ---------------------------------------------------------------- DMA


def _fold(shape: list[int], strides: list[int]) -> tuple[list[int], list[int]]:
    """Drop unit axes, merge neighbours that are contiguous (innermost axis last)."""
    axes = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    merged: list[tuple[int, int]] = []
    for n, s in reversed(axes):
        if merged and merged[-1][0] * merged[-1][1] == s:
            merged[-1] = (merged[-1][0] * n, merged[-1][1])
        else:
            merged.append((n, s))
    merged.reverse()
    return [n for n, _ in merged], [s for _, s in merged]


def _copy_2d(shape: list[int], strides: list[int], label: str) -> tuple[int, int, int]:
    """(y, x, stride) of an unpadded copy, in elements of the scratchpad."""
    shape, strides = _fold(shape, strides)
    if shape and strides[-1] != 1:
        shape, strides = [*shape, 1], [*strides, 1]
    if len(shape) > 2:
        raise Rejected(label)
    if len(shape) == 2:
        return shape[0], shape[1], strides[0]
    x = shape[0] if shape else 1
    return 1, x, x


def _fits_isa(y: int, x: int, stride: int) -> None:
    if y >= 1 << 16 or x >= 1 << 16 or stride >= 1 << 16:
        raise Rejected("wrong_result")


# ---------------------------------------------------------------- micro-ops


def _record(
    loops: list[tuple[int, int, int, int, bool]],
) -> tuple[tuple[int, ...], list[tuple[int, int, int]]]:
    """Hardware loop extents and micro-ops of a kernel.

    Every loop is (extent, acc step, inp step, wgt step, linear?); at most the two outermost
    become hardware loops, and only while the indices are linear in them.
    """
    loops = [loop for loop in loops if loop[0] != 1]
    hardware: list[int] = []
    while loops and len(hardware) < 2 and loops[0][4]:
        hardware.append(loops.pop(0)[0])
    ops = []
    for point in product(*(range(loop[0]) for loop in loops)):
        acc = sum(i * loop[1] for i, loop in zip(point, loops, strict=True))
        inp = sum(i * loop[2] for i, loop in zip(point, loops, strict=True))
        wgt = sum(i * loop[3] for i, loop in zip(point, loops, strict=True))
        ops.append((acc, inp, wgt))
    return tuple(hardware), ops


def _check_kernel(ops: list[tuple[int, int, int]], depth: int) -> None:
    for i, op in enumerate(ops):
        if any(op[0] == before[0] for before in ops[max(0, i - 2) : i]):
            raise Rejected("uop_hazard")
    if len(ops) > depth:
        raise Rejected("sram:uop")


def _replay_cache(sequence: list[tuple[tuple[int, int, int], ...]], depth: int) -> None:
    """The runtime's micro-op cache over the calls of a whole program.

    Kernels are loaded when they are first needed and evicted when space runs out, but the
    DRAM image that the loads read is written once, at the end, from what is cached then.
    """
    position: dict[tuple[Any, ...], tuple[int, int]] = {}
    cache: list[tuple[Any, ...]] = []
    cursor = end = 0
    loads: list[tuple[int, str, tuple[tuple[int, int, int], ...]]] = []
    for kernel in sequence:
        ops = kernel[1]
        if kernel in position:
            continue
        begin = 0
        if end + len(ops) > depth:
            cursor, end = 0, len(ops)
        else:
            begin, end = end, end + len(ops)
        first = cursor
        while cursor < len(cache) and position[cache[cursor]][0] < end:
            del position[cache[cursor]]
            cursor += 1
        cache[first:cursor] = [kernel]
        position[kernel] = (begin, end)
        cursor = first + 1
        loads.append((sum(len(k[1]) for k in cache[:first]), kernel[0], ops))
    image = [op for kernel in cache for op in kernel[1]]
    for offset, name, ops in loads:
        # a reset and an ALU operation with an immediate use the first index only
        used = 3 if name.startswith("gemm") else 2 if name.startswith("add") else 1
        found = image[offset : offset + len(ops)]
        if sorted(op[:used] for op in found) != sorted(op[:used] for op in ops):
            raise Rejected("wrong_result")


# ---------------------------------------------------------------- operators


def _conv(w: dict[str, Any], d: dict[str, int], k: dict[str, int]) -> None:
    batch, block = d["batch"], d["block"]
    groups = w.get("groups", 1)
    height, width = w["height"], w["width"]
    (kh, kw), (sh, sw), (ph, pw) = w["kernel"], w["stride"], w["padding"]
    ci, co = w["in_channels"] // groups // block, w["out_channels"] // block
    oh, ow = (height + 2 * ph - kh) // sh + 1, (width + 2 * pw - kw) // sw + 1
    h1, w1, ci1, co1 = k["tile_h"], k["tile_w"], k["tile_ci"], k["tile_co"]
    h0, w0, co0, ci0 = oh // h1, ow // w1, co // co1, ci // ci1
    threads = k["oc_nthread"] * k["h_nthread"]
    rows, cols = (h1 - 1) * sh + kh, (w1 - 1) * sw + kw
    guard_h = k["h_nthread"] == THREADS and h0 % THREADS != 0
    guard_co = k["oc_nthread"] == THREADS and co0 % THREADS != 0
    per_group = co // groups

    # input channels of a tile: the groups it reaches into, whole strides between them
    spans = [
        range(first // per_group, (first + co1 - 1) // per_group + 1) for first in range(0, co, co1)
    ]
    channels = (max(len(s) for s in spans) - 1) * ci + ci1
    constant_span = groups == 1 or _provably_constant(co1, per_group, co0, k["oc_nthread"])

    # one buffer alone must fit before anything is copied
    tile = co1 * h1 * w1
    taps = kh * kw
    needs = {"acc": tile, "inp": channels * rows * cols, "wgt": co1 * ci1 * taps}
    if constant_span:
        _allocate(d, needs)
    else:  # the size of the input tile is not known then
        _allocate(d, {**needs, "inp": 0})

    # the input tile
    last_row = ((h0 + h0 % THREADS) * h1 - 1) * sh + kh
    if guard_h and last_row > height + 2 * ph:
        raise Rejected("vthread_split")
    if groups > 1 and (guard_co or not constant_span):
        raise Rejected("vthread_split")
    copies = []
    late = []  # silent: the program is built, what it computes is wrong
    if ph:
        origins = [(i * h1 * sh, j * w1 * sw) for i in range(h0) for j in range(w0)]
        image = (height, width), (rows, cols), (ph, pw), origins
        copies += _padded_tiles(*image, channels, batch, block, late)
    else:
        copies.append(_copy_2d([channels, rows, cols], [height * width, width, 1], "dma_2d:inp"))
    # the weight tile
    if guard_co:
        raise Rejected("vthread_split")
    copies.append(_copy_2d([co1, ci1 * taps], [ci * taps, 1], "dma_2d:wgt"))
    # the output tile
    if guard_h:
        raise Rejected("vthread_split")
    copies.append(_copy_2d([co1, h1, w1], [oh * ow, ow, 1], "dma_2d:acc"))

    # with both virtual threads the epilogue no longer works in place: a buffer per stage
    stages = 1 if threads < THREADS * THREADS else 5 if w["bias"] else 4
    total = {name: need * threads for name, need in needs.items()}
    total["acc"] = threads * (stages * tile + (co1 if w["bias"] else 0))
    _allocate(d, total)
    if threads == THREADS * THREADS:
        raise Rejected("alu_pattern" if w["bias"] else "uop_signature")
    # where tiles start at different places of a group, the outer loop is part of the kernel
    # (one block per group: the step between groups is a step like any other)
    linear = per_group == 1 or all(len(s) == 1 for s in spans)
    variants = co0 if not linear and len({s % per_group for s in range(0, co, co1)}) > 1 else 1
    if variants > 1 and k["oc_nthread"] == THREADS:
        variants = co0 // THREADS
    if variants > 1 and (threads > 1 or variants > 99):
        raise Rejected("uop_signature")
    reset = _record([(w1, 1, 0, 0, True), (co1, h1 * w1, 0, 0, True), (h1, w1, 0, 0, True)])
    gemm = _record(
        [
            (ci1, 0, rows * cols, taps, True),
            (w1, 1, sw, 0, True),
            (kw, 0, 1, 1, True),
            (kh, 0, cols, kw, True),
            (co1, h1 * w1, ci * rows * cols if per_group == 1 else 0, ci1 * taps, linear),
            (h1, w1, sh * cols, 0, True),
        ]
    )
    _check_kernel(reset[1], d["uop"])
    _check_kernel(gemm[1], d["uop"])
    if late or any(extent >= 1 << 14 for extent in (*reset[0], *gemm[0], tile)):
        raise Rejected("wrong_result")
    for copy in copies:
        _fits_isa(*copy)
    outer = w["batch"] // batch * h0 * co0 * w0 // threads
    needs["bias"] = co1 if w["bias"] else 0
    _run_cache(reset[1], gemm[1], needs, threads, variants, ci0, outer, d["uop"])


def _run_cache(
    reset: list[tuple[int, int, int]],
    gemm: list[tuple[int, int, int]],
    sizes: dict[str, int],
    threads: int,
    variants: int,
    reductions: int,
    tiles: int,
    depth: int,
) -> None:
    """Call the kernels of every tile, the operands of each thread behind those before."""

    def kernel(name: str, ops: list[tuple[int, int, int]], t: int, step: tuple[int, int, int]):
        shifted = (tuple(o + t * b for o, b in zip(op, step, strict=True)) for op in ops)
        return f"{name}.{t}", tuple(shifted)

    acc = sizes["acc"] + sizes["bias"]
    resets = [kernel("reset", reset, t, (acc, 0, 0)) for t in range(threads)]
    gemms = [
        [kernel(f"gemm{v}", gemm, t, (acc, sizes["inp"], sizes["wgt"])) for t in range(threads)]
        for v in range(variants)
    ]
    names = ["shr", "add", "min", "max"] if sizes["bias"] else ["shr", "min", "max"]
    epilogue = [
        [
            kernel(name, [(0, sizes["acc"] if name == "add" else 0, 0)], t, (acc, acc, 0))
            for name in names
        ]
        for t in range(threads)
    ]
    kernels = [
        *resets,
        *(k for part in gemms for k in part),
        *(k for part in epilogue for k in part),
    ]
    if sum(len(k[1]) for k in kernels) <= depth:
        return
    calls: list[Any] = []
    for tile in range(min(tiles, 50)):
        calls += resets
        part = gemms[tile % variants]
        if reductions == 1:
            calls += [k for t in range(threads) for k in [part[t], *epilogue[t]]]
        else:
            calls += part * min(reductions, 3) + [k for stage in epilogue for k in stage]
    _replay_cache(calls, depth)


def _padded_tiles(
    size: tuple[int, int],
    tile: tuple[int, int],
    pad: tuple[int, int],
    origins: list[tuple[int, int]],
    channels: int,
    batch: int,
    block: int,
    late: list[str],
) -> list[tuple[int, int, int]]:
    """2-D patterns of a padded load, one per tile; unit axes vanish, nothing is merged."""
    for axis in (0, 1):
        if tile[axis] == 1 and pad[axis]:
            raise Rejected("dma_clip")
        starts = sorted({origin[axis] for origin in origins})
        # the compiler decides the far bound tile by tile when no tile straddles it; then no
        # loop of the copy is left in it
        bound = pad[axis] + size[axis]
        step = starts[1] - starts[0] if len(starts) > 1 else 0
        aligned = step and tile[axis] <= step and bound % step == 0
        if pad[axis] and aligned and bound < starts[-1] + tile[axis]:
            raise Rejected("dma_clip")
    axes = [("c", channels), ("y", tile[0]), ("x", tile[1]), ("b", batch), ("i", block)]
    names = [name for name, n in axes if n != 1]
    padded = {"y": True, "x": bool(pad[1])}
    if len(names) <= 2:
        raise Rejected("dma_pad")
    spatial, rest = (names[1:3], names[3:]) if len(names) == 5 else (names[:2], names[2:])
    if any(padded.get(name, False) for name in rest):
        raise Rejected("dma_pad")
    # the element must be the innermost axes, x contiguous, at most one more axis
    element = ["b", "i"] if batch > 1 else ["i"]
    lead = names[: len(names) - len(element)]
    step = {"c": size[0] * size[1], "y": size[1], "x": 1}
    if len(lead) > 2 or (lead and step[lead[-1]] != 1):
        raise Rejected("dma_2d:inp")
    patterns = []
    for top, left in origins:
        before = (max(pad[0] - top, 0), max(pad[1] - left, 0))
        after = (
            max(top + tile[0] - pad[0] - size[0], 0),
            max(left + tile[1] - pad[1] - size[1], 0),
        )
        n = {
            "c": channels,
            "y": tile[0] - before[0] - after[0],
            "x": tile[1] - before[1] - after[1],
        }
        if len(lead) == 2:
            y, x = n[lead[0]], n[lead[1]]
            stride = step[lead[0]]
        else:
            y, x = 1, n[lead[0]]
            stride = x
        # pads go where the pattern's axes are, not where they belong
        if spatial != lead[-2:] and len(lead) < 2 and any(before + after) and n[lead[0]] != 1:
            late.append("the pads sit on the wrong axis, with a row of more than one element")
        if y < 0 or x <= 0 or max(*before, *after) >= 1 << 4:
            late.append("nothing is loaded, or a pad wraps around")
        patterns.append((y, x, stride))
    return patterns


def _provably_constant(co1: int, per_group: int, co0: int, threads: int) -> bool:
    """Whether the number of groups under a tile simplifies to one constant.

    A tile starts at channel block co1 * (threads * i + t); the number of groups it reaches is
    (start % per_group + co1 - 1) // per_group + 1, and the arithmetic simplifier knows the
    remainder only as an interval, or as a multiple when the coefficients nest.
    """
    outer = co0 // threads
    step, thread = (threads * co1) % per_group, co1 % per_group
    top_thread = thread if threads > 1 else 0
    if outer == 1 or step == 0:
        top = top_thread
    elif per_group % step == 0 and top_thread < step:
        top = per_group - step + top_thread
    else:
        top = per_group - 1
    top = min(top, per_group - 1)
    return (top + co1 - 1) // per_group == (co1 - 1) // per_group


def _allocate(d: dict[str, int], needs: dict[str, int]) -> None:
    for name in ("acc", "inp", "wgt"):
        if needs[name] > d[name]:
            raise Rejected(f"sram:{name}")


def _dense(w: dict[str, Any], d: dict[str, int], k: dict[str, int]) -> None:
    ci, co = w["in_features"] // d["block"], w["out_features"] // d["block"]
    nb = w["batch"] // d["batch"]
    b1, ci1, co1, threads = k["tile_b"], k["tile_ci"], k["tile_co"], k["oc_nthread"]
    # the output block loop stays inside the tensorized region
    if co1 != 1:
        raise Rejected("tensorize")
    if threads == THREADS and co > THREADS:
        raise Rejected("tensorize")
    # splitting the output loop moves the whole batch under it
    rows = nb if threads == THREADS else b1
    _allocate(d, {"acc": rows, "inp": ci1, "wgt": ci1})
    if threads == THREADS and co == 1:
        raise Rejected("vthread_split")
    copies = [_copy_2d([ci1], [1], "dma_2d:inp"), _copy_2d([co1, ci1], [ci, 1], "dma_2d:wgt")]
    acc = rows * (2 if w["bias"] else 1)
    _allocate(d, {"acc": threads * acc, "inp": threads * ci1, "wgt": threads * ci1})
    if threads == THREADS and rows > 1 and ci1 > 1:
        raise Rejected("uop_signature")
    # the batch row is a variable of the kernel: one variant per row, of which there are slots
    # for variables up to 98
    if rows > 99:
        raise Rejected("uop_signature")
    for copy in copies:
        _fits_isa(*copy)

    def kernel(name: str, t: int, b: int, op: tuple[int, int, int]) -> Any:
        return f"{name}.{t}.{b}", (op,)

    resets = {
        b: [kernel("reset", t, b, (b + t * rows, 0, 0)) for t in range(threads)]
        for b in range(rows)
    }
    gemms = {
        b: [kernel("gemm", t, b, (b + t * rows, t * ci1, t * ci1)) for t in range(threads)]
        for b in range(rows)
    }
    names = ["shr", "add", "min", "max"] if w["bias"] else ["shr", "min", "max"]
    alu = [
        kernel(n, t, 0, (t * rows, threads * rows if n == "add" else t * rows, 0))
        for t in range(threads)
        for n in names
    ]
    body = [x for b in range(rows) for x in resets[b] + gemms[b] * min(ci // ci1, 3)] + alu
    if sum(len(x[1]) for x in set(body)) > d["uop"]:
        _replay_cache(body * min(nb // rows * co // threads, 50), d["uop"])
