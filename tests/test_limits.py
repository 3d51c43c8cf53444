"""Large but legal inputs: bounded memory, exact numbers, and limits that are said."""

import os
import pickle
import resource
import subprocess
import sys
from itertools import product
from json import dumps

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import vtacsp.expr.compiled
import vtacsp.operators.knobs
import vtacsp.program.runtime
import vtacsp.space.joint
import vtacsp.space.problem
from vtacsp import (
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    HardwareSpace,
    Knob,
    KnobSpace,
    Problem,
    Rule,
    RuleError,
    Simulator,
    SpaceError,
    TooLongError,
    VTAConfig,
    WorkloadError,
    build,
    compile,
    compile_network,
    statistics,
)
from vtacsp.expr import Env, Symbol, if_else, maximum, minimum, pow2
from vtacsp.expr.bounds import LARGEST, largest
from vtacsp.operators.conv2d_transpose.overflow import HARMLESS, RACE, WRONG, overflow
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.report.html import render
from vtacsp.report.outlook import best_change
from vtacsp.rules import eviction
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.sampling import ordered
from vtacsp.tune import MeasureErrorNo, SimulatorMeasurer

GIB = 1 << 30


def bounded(code: str, memory: int = GIB) -> str:
    """What code prints in a process that cannot have more memory."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (memory, memory)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


# -- memory


def test_millions_of_configurations_in_a_gigabyte():
    # 12.8 million; one array of all their knobs would take 0.7 GB, one of all verdicts 0.2 GB
    out = bounded("""
from vtacsp import Conv2D, compile, statistics
from vtacsp.space.occupancy import occupancy
space = compile(Conv2D(name="large", batch=240, in_channels=3840, out_channels=3840, height=240,
                       width=240, kernel=(3, 3), padding=(1, 1)))
counts = statistics(space)
assert counts.size == len(space.knob_space) > 1.2e7
assert sum(counts.first.values()) + counts.feasible == counts.size
assert counts.programs * 20 == counts.size and counts.feasible_programs * 20 == counts.feasible
assert len(occupancy(space)) == 3
assert len(space.sample(3, method="diverse")) == len(space.sample(3)) == 3
assert space.neighbours(space[0])
print("done")
""")
    assert out == "done\n"


def test_ten_million_feasible_configurations_in_a_gigabyte():
    out = bounded("""
import numpy as np
from vtacsp import Conv2D, Problem, VTAConfig
from vtacsp.space.feasible import FeasibleSpace
layer = Conv2D(name="large", batch=240, in_channels=3840, out_channels=3840, height=240, width=240,
               kernel=(3, 3), padding=(1, 1))
problem = Problem(layer, VTAConfig())
space = FeasibleSpace(problem, np.arange(len(problem.knob_space) - 10**7, len(problem.knob_space)))
assert len(space.sample(3)) == 3
assert len(space.neighbours(space[10**6])) > 3
assert space.programs() < len(space) == 10**7
print("done")
""")
    assert out == "done\n"


def test_kernels_longer_than_any_scratchpad_are_not_written_down():
    # it hung: lists of billions of micro-ops
    out = bounded("""
from collections import Counter
import numpy as np
from vtacsp import Conv2DTranspose, Problem, VTAConfig
machine = VTAConfig().replace(LOG_WGT_WIDTH=5, LOG_BATCH=4, LOG_BLOCK=2)
layer = Conv2DTranspose(name="t", batch=32, in_channels=24, out_channels=2048, height=4096,
                        width=16, kernel=(5, 7), stride=(4, 3))
problem = Problem(layer, machine)
everything = np.arange(len(problem.knob_space))
print(dict(Counter(problem.causes(everything))), problem.violations(everything).shape[1])
""")
    assert out == "{'lowering': 15360} 15360\n"


def test_long_loops_past_a_tile_in_a_gigabyte():
    # 5 x 2 rows of two million executions each, all past the tile
    out = bounded("""
from vtacsp.operators.conv2d_transpose.overflow import overflow
kernel = dict(kernel_h=90, kernel_w=90, stride_h=3, stride_w=5)
print(overflow(tile_h=90, tile_w=89, tile_ci=1, tile_co=1, oc_nthread=1, h_nthread=1, **kernel,
               output_h=9000, output_w=8900, dilated_h=9000, dilated_w=8900, pad_h=89, pad_w=89,
               operands=0, left=0, acc_bits=13, inp_bits=15, repeats=1))
""")
    assert out == "0\n"


def test_a_page_of_programs_that_are_too_long_in_two_gigabytes(tmp_path):
    # it was a MemoryError after the table, and no page: room for 10^11 instructions
    file = tmp_path / "long.json"
    file.write_text(dumps(LONG.to_dict()))
    out = bounded(
        f"""
from vtacsp.__main__ import main
import sys
sys.argv = ["vtacsp", "report", {str(file)!r}, "--html", {str(tmp_path / "page.html")!r}]
try:
    main()
except SystemExit as end:
    print(end.code)
""",
        2 * GIB,  # addresses, of which compiled code takes a part
    )
    assert out.endswith("\n0\n")
    page = (tmp_path / "page.html").read_text()
    assert "Cycles are left out: the programs are longer than the limit." in page
    assert "have more than 67,108,864 steps" in page


# -- blocks


LAYERS = [
    Conv2D(name="c", batch=2, in_channels=32, out_channels=64, height=12, width=12, kernel=(3, 3),
           padding=(1, 1)),
    Conv2DTranspose(name="t", batch=1, in_channels=32, out_channels=32, height=6, width=6,
                    kernel=(4, 4), stride=(2, 2), padding=(1, 1)),
    GroupConv2D(name="g", batch=2, in_channels=64, out_channels=64, height=6, width=6,
                kernel=(3, 3), padding=(1, 1), groups=2),
    Dense(name="d", batch=4, in_features=128, out_features=64),
]  # fmt: skip
LONG = Dense(name="long", batch=(1 << 22) - 3, in_features=1024, out_features=1024)  # a prime
SMALL = VTAConfig().replace(LOG_UOP_BUFF_SIZE=8, LOG_ACC_BUFF_SIZE=13)


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_blocks_change_nothing(layer, monkeypatch):
    problem = Problem(layer, SMALL)
    everything = np.arange(len(problem.knob_space))
    # as if there were no blocks: every rule at once, whatever was reported before
    env = problem.at(everything)
    rows = [np.broadcast_to(env.evaluate(r.holds), everything.shape) for r in problem.rules]
    checks = sorted(
        (check.stage, position, tuple(np.broadcast_to(env.evaluate(check.holds), everything.shape)))
        for position, rule in enumerate(problem.rules)
        for check in rule.checks
    )
    first = [next((p for _, p, holds in checks if not holds[i]), -1) for i in everything]

    monkeypatch.setattr(vtacsp.operators.knobs, "BLOCK", 7)
    monkeypatch.setattr(vtacsp.space.problem, "BLOCK", 7)
    monkeypatch.setattr(vtacsp.expr.compiled, "AT_ONCE", 5)
    assert problem.first_violations(everything).tolist() == first
    assert (problem.violations(everything) == ~np.array(rows)).all()
    assert problem.feasible_indices().tolist() == [i for i in everything if first[i] < 0]
    names = [rule.name for rule in problem.rules]
    counts = statistics(compile(layer, SMALL))
    assert counts.first == {n: first.count(i) for i, n in enumerate(names) if i in first}
    assert counts.any == {
        n: int((~row).sum()) for n, row in zip(names, rows, strict=True) if not row.all()
    }


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
@pytest.mark.parametrize("free", [{}, {"LOG_UOP_BUFF_SIZE": (7, 9), "LOG_ACC_BUFF_SIZE": (12, 13)}])
def test_blocks_of_machines_change_nothing(layer, free, monkeypatch):
    monkeypatch.setattr(vtacsp.space.joint, "AT_ONCE", 50)
    machines = HardwareSpace(SMALL, **free)
    joint = compile_network([layer], machines)
    assert len(machines) == 4 ** bool(free)
    for place in range(len(machines)):
        expected = len(compile(layer, machines[place]))
        assert joint.layer_counts(place) == [expected]


@st.composite
def grids(draw):
    names = [f"k{i}" for i in range(draw(st.integers(1, 4)))]
    values = {name: tuple(range(draw(st.integers(1, 4)))) for name in names}
    knobs = []
    for name in names:
        others = [other for other in names if other != name]
        idle = draw(st.sampled_from(["no", "inert", *(["where"] if others else [])]))
        where = None
        if idle == "where":
            other = draw(st.sampled_from(others))
            where = (other, draw(st.sampled_from(values[other])))
        knobs.append(Knob(name, values[name], inert=idle == "inert", inert_where=where))
    return KnobSpace(tuple(knobs))


@given(grids())
def test_programs_are_counted_as_listed(grid):
    everything = np.arange(len(grid))
    listed = []
    for config in grid:
        given = dict(config)
        for knob in grid.knobs:
            where = knob.inert_where
            if knob.inert or (where is not None and given[where[0]] == where[1]):
                config[knob.name] = knob.values[0]
        listed.append(grid.index(config))
    assert grid.program(everything).tolist() == listed
    assert grid.programs() == len(set(listed))


@given(grids(), st.data())
def test_blocks_walk_the_grid(grid, data):
    without = data.draw(st.sets(st.sampled_from(grid.names)))
    walked = np.concatenate(list(grid.blocks(without)))
    first = {knob.name: knob.values[0] for knob in grid.knobs if knob.name in without}
    assert walked.tolist() == [
        i for i in range(len(grid)) if {**grid.config(i), **first} == grid.config(i)
    ]


@given(st.lists(st.integers(0, 3)), st.integers(0, 5), st.integers(0, 9))
def test_smallest_keys_without_sorting_all(keys, n, seed):
    n = min(n, len(keys))
    ties = np.random.default_rng(seed).permutation(len(keys))
    expected = sorted(range(len(keys)), key=lambda rank: (keys[rank], ties[rank]))[:n]
    found = ordered(len(keys), n, np.random.default_rng(seed), iter(keys))
    assert found.tolist() == expected


# -- procedures that walk, against the plain walk


def replay(body, tiles, depth):
    """The runtime's queue with all micro-ops written down; a kernel is (uses, micro-ops)."""
    cache, begins, loads, cursor, end = [], {}, set(), 0, 0
    for _ in range(max(tiles, 1)):
        for k, (_, ops) in enumerate(body):
            if k in begins:
                continue
            begin = end
            if begin + len(ops) > depth:
                cursor = begin = 0
            end, first = begin + len(ops), cursor
            while cursor < len(cache) and begins[cache[cursor]] < end:
                del begins[cache[cursor]]
                cursor += 1
            cache[first:cursor] = [k]
            begins[k], cursor = begin, first + 1
            loads.add((sum(len(body[j][1]) for j in cache[:first]), k))
    image = [op for k in cache for op in body[k][1]]
    return all(
        sorted(op[:uses] for op in image[at : at + len(ops)]) == sorted(op[:uses] for op in ops)
        for at, k in loads
        for uses, ops in [body[k]]
    )


def written(loops, base):
    return [
        tuple(b + sum(i * loop[k + 1] for i, loop in zip(at, loops, strict=True))
              for k, b in enumerate(base))
        for at in product(*(range(loop[0]) for loop in loops))
    ]  # fmt: skip


CHAINS = st.sampled_from(["111", "1311", "311111", "12", "312", "213113", "41", ""])
"""Digits of ``PASS_CODE``, the first operation first."""


def slots(acc, channel, chain):
    """Where operands lie behind a tile, and what they take: one slot, or one of each kind."""
    sizes = {digit: size for digit, size in (("2", acc), ("3", channel)) if digit in chain}
    if acc <= 16 * channel:
        return dict.fromkeys(sizes, acc), max(sizes.values(), default=0)
    first = next((digit for digit in chain if digit in sizes), "")
    return {d: acc + (0 if d == first else sizes[first]) for d in sizes}, sum(sizes.values())


def epilogue(base, acc, channel, chain):
    offsets = {"4": 0, **slots(acc, channel, chain)[0]}
    return [
        (1, [(base, base, 0)]) if digit == "1" else (2, [(base, base + offsets[digit], 0)])
        for digit in chain
    ]


@st.composite
def conv_programs(draw):
    few = st.sampled_from([1, 1, 2, 3])
    h, w, co, ci, kh, kw = (draw(few) for _ in range(6))
    rows, cols = h + kh - 1, w + kw - 1
    acc, inp, wgt = h * w * co, ci * rows * cols, co * ci * kh * kw
    reset = [(co, h * w, 0, 0), (h, w, 0, 0), (w, 1, 0, 0)]
    gemm = [(ci, 0, rows * cols, kh * kw), (co, h * w, 0, ci * kh * kw), (h, w, cols, 0),
            (kh, 0, cols, kw), (w, 1, 1, 0), (kw, 0, 1, 1)]  # fmt: skip
    inside = st.booleans()
    reset, gemm = ([(e if draw(inside) else 1, *s) for e, *s in part] for part in (reset, gemm))
    depth = draw(st.sampled_from([2, 4, 8, 16, 32, 64]))
    chain, threads = draw(CHAINS), draw(st.sampled_from([1, 1, 2, 4]))
    reductions, tiles = draw(st.sampled_from([1, 2, 5])), draw(st.sampled_from([0, 1, 2, 3, 40]))
    return depth, chain, threads, reductions, tiles, acc, inp, wgt, co, reset, gemm


@given(conv_programs())
def test_evictions_of_a_convolution_as_in_the_plain_replay(program):
    depth, chain, threads, reductions, tiles, acc, inp, wgt, channel, reset, gemm = program
    loops = [n for loop in (*reset, *gemm) for n in loop]
    slot = slots(acc, channel, chain)[1]
    numbers = [depth, int(f"0{chain[::-1]}", 5), threads, reductions, tiles, acc, inp, wgt]
    found = eviction._convolution_survives(len(reset))(*numbers, slot, channel, *loops)
    base = [t * (acc + slot) for t in range(threads)]
    resets = [(1, written(reset, (base[t], 0, 0))) for t in range(threads)]
    gemms = [(3, written(gemm, (base[t], t * inp, t * wgt))) for t in range(threads)]
    tails = [epilogue(base[t], acc, channel, chain) for t in range(threads)]
    if reductions == 1:
        body = [k for t in range(threads) for k in (gemms[t], *tails[t])]
    else:
        body = [*gemms, *(k for tail in tails for k in tail)]
    longest = max(len(resets[0][1]), len(gemms[0][1]))
    assert found == (longest <= depth and replay([*resets, *body], tiles, depth))


@given(
    st.sampled_from([2, 4, 8, 16, 32]),
    CHAINS,
    st.sampled_from([1, 2]),
    st.sampled_from([0, 1, 2, 3, 40]),
    st.integers(1, 20),
    st.integers(1, 3),
)
def test_evictions_of_dense_as_in_the_plain_replay(depth, chain, threads, tiles, rows, ci):
    body, slot = [], slots(rows, rows, chain)[1]
    for row in range(rows):
        acc = [row + t * (rows + slot) for t in range(threads)]
        body += [(1, [(base, 0, 0)]) for base in acc]
        body += [(3, [(base, t * ci, t * ci)]) for t, base in enumerate(acc)]
    for t in range(threads):
        body += epilogue(t * (rows + slot), rows, rows, chain)
    found = eviction._dense_survives(
        depth, int(f"0{chain[::-1]}", 5), threads, tiles, rows, ci, slot
    )
    assert found == replay(body, tiles, depth)


@st.composite
def tiles_past_their_end(draw):
    h = draw(st.integers(5, 11).filter(lambda n: n % 4) | st.integers(1, 4))
    w = draw(st.sampled_from([3, 5]) if h % min(h, 4) == 0 else st.sampled_from([1, 2, 3, 4]))
    few = st.sampled_from([1, 1, 2, 3])
    ci, co, oc, hn = draw(few), draw(few), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    kh, kw, sh, sw = draw(few), draw(few), draw(few), draw(few)
    oh, ow = h * draw(st.integers(3, 20)), w * draw(st.integers(3, 20))
    ph, pw = draw(st.integers(0, kh - 1)), draw(st.integers(0, kw - 1))
    size = st.sampled_from([0, 0, co, h * w * co])
    left, right = draw(size), draw(size)
    need = oc * hn * (h * w * co + left + right)
    need_inp = oc * hn * ci * (h + kh - 1) * (w + kw - 1)
    spare = st.integers(0, 2)
    return {
        "tile_h": h, "tile_w": w, "tile_ci": ci, "tile_co": co, "oc_nthread": oc, "h_nthread": hn,
        "kernel_h": kh, "kernel_w": kw, "output_h": oh, "output_w": ow,
        "dilated_h": oh + 1 + 2 * ph - kh, "dilated_w": ow + 1 + 2 * pw - kw,
        "stride_h": sh, "stride_w": sw, "pad_h": kh - 1 - ph, "pad_w": kw - 1 - pw,
        "operands": left + right, "left": left,
        "acc_bits": max((need - 1).bit_length() + draw(spare), 1),
        "inp_bits": max((need_inp - 1).bit_length() + draw(spare), 1),
        "repeats": draw(st.integers(0, 1)),
    }  # fmt: skip


def walked_overflow(tile_h, tile_w, tile_ci, tile_co, oc_nthread, h_nthread, kernel_h, kernel_w,
                    output_h, output_w, dilated_h, dilated_w, stride_h, stride_w, pad_h, pad_w,
                    operands, left, acc_bits, inp_bits, repeats):  # fmt: skip
    """Every execution past the tile, one after the other."""
    rows, cols = tile_h + kernel_h - 1, tile_w + kernel_w - 1
    threads, acc_tile = oc_nthread * h_nthread, tile_h * tile_w * tile_co
    inp_tile, slot = rows * cols * tile_ci, acc_tile + operands
    ih, iw = min(tile_h, 4), min(tile_w, 2)
    extents = {"ci": tile_ci, "x": -(-tile_w // iw), "co": tile_co, "y": -(-tile_h // ih)}

    def real(tiles, tile, position, pad, size, stride):
        places = (t * tile + position - pad for t in tiles)
        return any(0 <= p < size and p % stride == 0 for p in places)

    def zero(source):
        thread, element = divmod(source, inp_tile)
        if thread >= threads:
            return False
        row, col = divmod(element % (rows * cols), cols)
        own = range(thread % h_nthread, output_h // tile_h, h_nthread)
        return not real(own, tile_h, row, pad_h, dilated_h, stride_h) or not real(
            range(output_w // tile_w), tile_w, col, pad_w, dilated_w, stride_w
        )

    effect = HARMLESS
    for reset, thread in product((True, False), range(threads)):
        outer = {**extents, "ci": 1} if reset else extents
        hardware = [name for name, extent in outer.items() if extent > 1][:2]
        taps = (1, 1) if reset else (kernel_h, kernel_w)
        for at in product(*map(range, (*outer.values(), iw, *taps, ih))):
            place = dict(zip((*outer, "b", "kh", "kw", "a"), at, strict=True))
            row, col = place["y"] * ih + place["a"], place["x"] * iw + place["b"]
            if row < tile_h and col < tile_w:
                continue
            acc_step = {"x": iw, "co": tile_h * tile_w, "y": ih * tile_w, "b": 1, "a": tile_w}
            inp_step = {"ci": rows * cols, "x": iw, "y": ih * cols, "b": 1, "kw": 1, "kh": cols,
                        "a": cols}  # fmt: skip

            def index(step, base, bits, place=place, hardware=hardware):
                inside = sum(place[n] * s for n, s in step.items() if n not in hardware)
                added = sum(place[n] * s for n, s in step.items() if n in hardware)
                return (base + inside) % (1 << bits) + added

            target = index(acc_step, thread * slot + left, acc_bits)
            source = index(inp_step, thread * inp_tile, max(acc_bits, inp_bits))
            if target >> acc_bits:
                return WRONG
            owner, element = divmod(target, slot)
            lives = owner < threads and element < left + acc_tile
            if reset and lives and element < left:
                return WRONG
            if reset:
                if repeats and lives and owner != thread:
                    effect = RACE
            elif source >> inp_bits or (lives and not zero(source)):
                return WRONG
            elif lives and source // inp_tile != thread:
                effect = RACE
    return effect


@given(tiles_past_their_end())
def test_what_is_past_a_tile_as_in_the_plain_walk(tile):
    assert overflow(**tile) == walked_overflow(**tile)


def test_the_plain_walk_meets_every_effect():
    tile = {"tile_h": 5, "tile_w": 1, "tile_ci": 1, "tile_co": 1, "oc_nthread": 1, "h_nthread": 2,
            "kernel_h": 1, "kernel_w": 1, "output_h": 20, "output_w": 2, "dilated_h": 20,
            "dilated_w": 2, "stride_h": 1, "stride_w": 1, "pad_h": 0, "pad_w": 0,
            "operands": 0, "left": 0, "acc_bits": 5, "inp_bits": 5, "repeats": 0}  # fmt: skip
    sparse = {"stride_h": 25, "output_h": 10, "dilated_h": 1}
    alone = {"h_nthread": 1, **sparse}
    found = [(overflow(**t), walked_overflow(**t)) for t in (tile, {**tile, **sparse},
                                                             {**tile, **alone})]  # fmt: skip
    assert {a for a, _ in found} == {WRONG, HARMLESS, RACE}
    assert all(a == b for a, b in found)


# -- numbers


NAMES = ["a", "b", "c"]


def expressions():
    leaves = st.sampled_from(NAMES).map(Symbol) | st.integers(-9, 9).map(
        lambda n: Symbol("a") * 0 + n
    )
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda p: p[0] + p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] - p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] * p[1]),
            st.tuples(inner, st.integers(1, 9)).map(lambda p: p[0] // p[1]),
            st.tuples(inner, inner).map(lambda p: p[0] // maximum(p[1], 1)),
            st.tuples(inner, inner).map(lambda p: p[0] % maximum(p[1], 1)),
            st.tuples(inner, inner).map(lambda p: minimum(*p)),
            inner.map(lambda e: pow2(minimum(e, 9))),
            st.tuples(inner, inner, inner).map(lambda p: if_else(p[0] < p[1], p[1], p[2])),
        ),
        max_leaves=12,
    )


@given(expressions(), st.fixed_dictionaries({n: st.tuples(*[st.integers(-50, 50)] * 3)
                                             for n in NAMES}))  # fmt: skip
def test_no_number_is_larger_than_its_bound(expression, ranges):
    bound = largest([expression], {n: (min(v), max(v)) for n, v in ranges.items()})
    for values in product(*(ranges[name] for name in NAMES)):
        env = Env(dict(zip(NAMES, values, strict=True)))
        env.evaluate(expression)
        assert all(abs(value) <= bound for _, value in env._done.values())


@st.composite
def large_layers(draw):
    """As large as DRAM addresses allow, about: 2^31 elements in data, weights and output."""
    left = 29

    def size(most, factors=(1, 1, 3)):
        nonlocal left
        log = draw(st.integers(0, min(most, left)))
        left -= log + 2
        left = max(left, 0)
        return draw(st.sampled_from(factors)) << log

    channels = [16 * size(12), 16 * size(12)]
    if draw(st.integers(0, 3)) == 0:
        return Dense(batch=size(16), in_features=channels[0], out_features=channels[1])
    height, width = size(16), size(16)
    kernel = draw(st.integers(1, min(height, 9))), draw(st.integers(1, min(width, 64)))
    shape = {"height": height, "width": width}
    shape |= {"in_channels": channels[0], "out_channels": channels[1]}
    if draw(st.booleans()):
        return Conv2DTranspose(**shape, kernel=(1, 1), stride=(1, draw(st.integers(1, 2))))
    stride = draw(st.sampled_from([(1, 1), (2, 3), (64, 64)]))
    return Conv2D(**shape, kernel=kernel, stride=stride)


@given(large_layers(), st.data())
def test_arrays_compute_what_python_does(layer, data):
    problem = Problem(layer, VTAConfig())  # none is refused
    index = data.draw(st.integers(0, len(problem.knob_space) - 1))
    exact = Env({**problem.constants, **problem.knob_space.config(index)})
    arrays = problem.at(np.array([index]))
    for rule in problem.rules:
        for check in rule.checks:
            if not check.holds.tabulated:
                assert bool(np.all(arrays.evaluate(check.holds))) == exact.evaluate(check.holds)


def test_numbers_beyond_64_bits_are_refused_by_name(monkeypatch):
    mine = Rule.of("mine", Symbol("tile_h") * (LARGEST // 2) > 0)
    with pytest.raises(RuleError, match=r"c: the rule mine .*64 bits"):
        Problem(LAYERS[0], VTAConfig(), [mine])
    # DRAM addresses end before 64 bits do: with fewer bits, the same of a layer
    monkeypatch.setattr(vtacsp.space.problem, "LARGEST", 2**20)
    fits = vtacsp.space.problem._fits_usually
    monkeypatch.setattr(vtacsp.space.problem, "_fits_usually", fits.__wrapped__)
    with pytest.raises(WorkloadError, match=r"c: its sizes are too large, the rule .*64 bits"):
        Problem(LAYERS[0], VTAConfig())


# -- limits that are said


def test_a_grid_too_large_to_compile_is_refused(monkeypatch):
    monkeypatch.setattr(vtacsp.space.problem, "MAX_GRID", 100)
    with pytest.raises(SpaceError, match=r"c: the grid has [\d,]+ configurations, at most 100"):
        compile(LAYERS[0])


def test_a_program_too_long_to_build_is_named(monkeypatch):
    name = r"too_long: the program of long, index 0, has 1[\d,]+ steps, at most 67,108,864 are"
    assert 0 in FeasibleSpace.of(Problem(LONG, VTAConfig())).indices
    with pytest.raises(TooLongError, match=name) as info:
        Simulator(LONG).cycles(0)
    again = pickle.loads(pickle.dumps(info.value))
    assert (str(again), again.cause, again.steps) == (str(info.value), "too_long", info.value.steps)
    result = SimulatorMeasurer(LONG)(0)
    assert (result.error, result.cause) == (MeasureErrorNo.UNKNOWN_ERROR, "too_long")
    # one step less than there are
    steps = steps_of(LAYERS[3], 0)
    monkeypatch.setattr(vtacsp.program.runtime, "MAX_STEPS", steps)
    Simulator(LAYERS[3]).cycles(0)
    monkeypatch.setattr(vtacsp.program.runtime, "MAX_STEPS", steps - 1)
    with pytest.raises(TooLongError):
        Simulator(LAYERS[3]).cycles(0)


def steps_of(layer, index):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vtacsp.program.runtime, "MAX_STEPS", 0)
        with pytest.raises(TooLongError) as info:
            build(layer, SMALL, index)
    return info.value.steps


def test_the_outlook_leaves_out_cycles_of_programs_that_are_too_long(monkeypatch):
    conv, dense = LAYERS[0], Dense(name="small", batch=1, in_features=32, out_features=32)
    whole = best_change([conv, dense], SMALL)
    assert whole.unknown == {}
    spaces = [compile(layer, SMALL) for layer in (conv, dense)]
    # a limit that all programs of dense meet and those of conv do not
    most = max(steps_of(dense, int(index)) for index in spaces[1].indices)
    assert most < min(steps_of(conv, int(index)) for index in spaces[0].indices)
    monkeypatch.setattr(vtacsp.program.runtime, "MAX_STEPS", most)
    part = best_change([conv, dense], SMALL)
    assert list(part.unknown) == [0]
    assert part.compares
    alone = best_change([dense], SMALL)
    for one, other in zip((part.now, *part.changes), (alone.now, *alone.changes), strict=True):
        assert (one.changes, one.cycles, one.best) == (
            other.changes,
            other.cycles,
            (None, *other.best),
        )
    counted = {str(change): change.counts for change in whole.changes}
    assert {str(change): change.counts for change in part.changes} == counted
    outcomes = [(space.workload, space) for space in spaces]
    page = render("layers", outcomes, SMALL)
    assert "Cycles are left out</b> of c (one has " in page
    assert f"have more than {most:,} steps" in page
    assert f"{alone.now.cycles:,}</td>" in page

    nothing = best_change([conv], SMALL)
    assert (nothing.compares, nothing.best, nothing.smaller) == (False, None, None)
    page = render("layers", outcomes[:1], SMALL)
    assert "Cycles are left out: the programs are longer than the limit." in page
    assert "as fast as now" not in page
    assert ">left out</td>" in page
    assert "left out" not in render("layers", outcomes[1:], SMALL)


def test_a_map_too_large_to_draw_leaves_the_rest_of_the_page(monkeypatch):
    monkeypatch.setattr("vtacsp.report.feasibility.MAX_CELLS", 10)
    space = compile(LAYERS[0])
    with pytest.raises(SpaceError, match=r"c: a map of [\d,]+ programs cannot be drawn"):
        FeasibilityMap.of(space)
    page = render("layers", [(space.workload, space)], space.hardware)
    assert "cannot be drawn, the most is 10" in page
    assert "Scratchpad share" in page
