"""The cycle engine against the stepped hardware: every start, end, read request and fetch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.stepping import HangError, Stepped, step
from tests.support.strategies import feasible_layers
from tests.support.truth import truth
from vtacsp import VTAConfig, build
from vtacsp.machine.design import design_limits
from vtacsp.machine.instructions import INSTRUCTION, Memory, Opcode, Records
from vtacsp.program import Program, Stream
from vtacsp.timing.engine import LaunchCycles, first_tokens, schedule
from vtacsp.timing.model import RTL, TimingModel, constants

DEFAULT = VTAConfig()
MACHINES = {
    "default": DEFAULT,
    "b8": VTAConfig(log_block=3, log_inp_buff_size=14, log_wgt_buff_size=16, log_acc_buff_size=16),
    "b32": VTAConfig(log_block=5),
    "batch2": VTAConfig(log_batch=1),
    "small": VTAConfig(
        log_uop_buff_size=12, log_inp_buff_size=14, log_wgt_buff_size=16, log_acc_buff_size=15
    ),
    # several elements of INP and OUT in a beat
    "b4": VTAConfig(log_block=2, log_inp_buff_size=12, log_wgt_buff_size=12, log_acc_buff_size=14),
    "b2": VTAConfig(log_block=1, log_inp_buff_size=11, log_wgt_buff_size=10, log_acc_buff_size=13),
    # one beat in a row of OUT, four rows in an element
    "batch4-b8": VTAConfig(log_batch=2, log_block=3, log_wgt_buff_size=16),
}

RTL_CYCLES = [
    # AutoTVM index, waits, memory latency, cycles measured on the RTL of the default machine;
    # waits: the program measured before left a token of the store module
    ("d-small", 4, True, 16, 5457),
    ("d-small", 4, True, 64, 6513),
    ("k1-pad1", 47, True, 16, 2527),
    ("k1-pad1", 79, False, 16, 2285),
    ("k1-pad1", 69, False, 16, 11510),
    ("group.small", 63, False, 16, 12406),
]

MOST_CYCLES = 3000  # of a built program; stepping is slow
MOST_BYTES = 3000  # of a random transfer: pages are 2048

QUEUES = {  # (module, pop or push, before or after) -> queue of tokens
    ("load", "push", 1): "l2c", ("compute", "pop", 0): "l2c",
    ("compute", "push", 0): "c2l", ("load", "pop", 1): "c2l",
    ("compute", "push", 1): "c2s", ("store", "pop", 0): "c2s",
    ("store", "push", 0): "s2c", ("compute", "pop", 1): "s2c",
}  # fmt: skip
MOST_TOKENS = 200  # a semaphore of the hardware counts to 255


def planned(
    stream: Stream, hardware: VTAConfig, timing: TimingModel, waits: bool = False
) -> LaunchCycles:
    """One launch; a load that is served is what a load is whose cycles are known."""
    whole, tokens = [slice(0, len(stream.which))], first_tokens(waits)
    (served,) = schedule(stream, whole, hardware, timing, tokens, record=True)
    (known,) = schedule(stream, whole, hardware, timing, tokens)
    assert known.cycles == served.cycles
    assert known.tokens.tolist() == served.tokens.tolist()
    return served


def same(plan: LaunchCycles, stepped: Stepped) -> dict[str, bool]:
    """What the engine and the stepped hardware agree on."""
    return {
        name: np.array_equal(np.asarray(getattr(plan, name)), getattr(stepped, name))
        for name in ("start", "done", "cycles", "reads", "fetches")
    }


def compare(instructions, hardware, latency=16, write_latency=1, waits=False, bus=8) -> Stepped:
    """Step a program, and hold the engine to it."""
    values = {"memory_latency": latency, "write_latency": write_latency, "bus_bytes": bus}
    timing = replace(RTL, **values)
    stepped = step(instructions, hardware, latency, write_latency, waits, bus)
    agreed = same(planned(Stream.of(instructions), hardware, timing, waits), stepped)
    assert all(agreed.values()), agreed
    return stepped


# -- synthetic programs


@dataclass(frozen=True)
class Draft:
    """An instruction, and whether it would like to pop before, after, push before, after."""

    module: str
    fields: dict[str, int]
    wishes: tuple[bool, bool, bool, bool] = (False,) * 4


def program(drafts: list[Draft], waits: bool = False) -> Records:
    """Instructions and a FINISH; a token is popped only if an earlier instruction pushed it."""
    tokens = Counter(s2c=int(waits))
    records = np.zeros(len(drafts) + 1, INSTRUCTION)
    records[-1]["opcode"] = Opcode.FINISH
    for record, draft in zip(records, drafts, strict=False):
        for name, value in draft.fields.items():
            record[name] = value
        for number, wish in enumerate(draft.wishes):
            action, side = ("pop", "push")[number // 2], number % 2
            queue = QUEUES.get((draft.module, action, side))
            possible = tokens[queue] > 0 if action == "pop" else tokens[queue] < MOST_TOKENS
            if queue and wish and possible:
                tokens[queue] += 1 if action == "push" else -1
                record[f"{action}_{('prev', 'next')[side]}_dep"] = 1
    return records


def transfer(memory: Memory, x: int, y: int = 1, **fields: int) -> Draft:
    module = {Memory.INP: "load", Memory.WGT: "load", Memory.OUT: "store"}.get(memory, "compute")
    opcode = Opcode.STORE if memory is Memory.OUT else Opcode.LOAD
    fields = {"x_stride": x, **fields, "x_size": x, "y_size": y}
    return Draft(module, {"opcode": opcode, "memory_type": memory, **fields})


def empty(memory: Memory) -> Draft:
    return transfer(memory, 0, 0)


def kernel(opcode: Opcode, uops: int, outer: int = 1, inner: int = 1, **fields: int) -> Draft:
    fields = {"uop_bgn": 3, "uop_end": 3 + uops, "iter_out": outer, "iter_in": inner, **fields}
    return Draft("compute", {"opcode": opcode, **fields})


@st.composite
def transfers(draw: st.DrawFn, hardware: VTAConfig) -> Draft:
    """A load or store of any memory: rows that overlap or are apart, aligned or not, padded."""
    memory = draw(st.sampled_from(Memory))
    name = memory.name.lower()
    cells = max(1, min(MOST_BYTES // hardware.element_bytes(name), hardware.depth(name) // 4))
    y = min(draw(st.sampled_from([1, 1, 2, 3, 20])), cells)
    x = draw(st.integers(1, cells // y) | st.integers(1, min(cells // y, 8)))
    fields = {"dram_base": draw(st.integers(0, 3000))}
    if y > 1:
        fields["x_stride"] = draw(st.just(x) | st.integers(0, x + 9) | st.integers(0, 3000))
    if memory is not Memory.OUT and draw(st.booleans()):
        for pad in ("y_pad_0", "y_pad_1", "x_pad_0", "x_pad_1"):
            fields[pad] = draw(st.integers(0, 3))
    return transfer(memory, x, y, **fields)


@st.composite
def kernels(draw: st.DrawFn, most_uops: int = 20, most_loops: int = 3) -> Draft:
    fields = {"use_imm": 1} if draw(st.booleans()) else {}
    opcode = draw(st.sampled_from([Opcode.GEMM, Opcode.ALU]))
    uops, outer, inner = (draw(st.integers(1, m)) for m in (most_uops, most_loops, most_loops))
    return kernel(opcode, uops, outer, inner, **fields)


def wishing(drafts: st.SearchStrategy[Draft]) -> st.SearchStrategy[Draft]:
    return st.builds(replace, drafts, wishes=st.tuples(*[st.booleans()] * 4))


empties = st.sampled_from(Memory).map(empty)
latencies = st.integers(1, 100)
machines = st.sampled_from(sorted(MACHINES)).map(MACHINES.__getitem__)
BUSES = (8, 16, 32, 64)


def buses(hardware: VTAConfig) -> list[int]:
    """Buses for which the design can be built on a machine."""
    return [bus for bus in BUSES if not design_limits(hardware, replace(RTL, bus_bytes=bus))]


@st.composite
def built(draw: st.DrawFn) -> tuple[VTAConfig, int]:
    """A machine and a bus of it."""
    hardware = draw(machines)
    return hardware, draw(st.sampled_from(buses(hardware)))


@settings(max_examples=50)
@given(st.data(), built(), latencies, st.integers(1, 30), st.booleans())
def test_random_programs(data, machine, latency, write_latency, waits):
    hardware, bus = machine
    one = wishing(st.one_of(transfers(hardware), transfers(hardware), kernels(), empties))
    body = data.draw(st.lists(one, max_size=12))
    compare(program(body, waits), hardware, latency, write_latency, waits, bus)


@settings(max_examples=5)
@given(st.data(), built(), latencies, st.sampled_from([127, 128, 256]) | st.integers(300, 560))
def test_programs_of_several_fetches(data, machine, latency, length):
    hardware, bus = machine
    single = st.sampled_from(Memory).map(lambda memory: transfer(memory, 1, dram_base=511))
    one = wishing(st.one_of(empties, single, kernels(most_uops=2, most_loops=2)))
    body = data.draw(st.lists(one, min_size=4, max_size=12))
    stepped = compare(program((body * length)[:length]), hardware, latency, bus=bus)
    assert len(stepped.fetches) == length // (128 if bus == 8 else 256) + 1


# -- programs of workloads


@st.composite
def built_programs(draw: st.DrawFn) -> Program:
    workload, hardware, index = draw(feasible_layers(on=machines))
    return build(workload, hardware, index, waits=draw(st.booleans()))


@settings(max_examples=20)
@given(built_programs(), latencies)
def test_built_programs(built, latency):
    plan = planned(built.stream, built.hardware, RTL, built.waits)
    assume(plan.cycles < MOST_CYCLES)
    compare(built.instructions, built.hardware, latency, waits=built.waits)


@pytest.mark.parametrize(("name", "index", "waits", "latency", "cycles"), RTL_CYCLES)
def test_cycles_measured_on_the_rtl(name, index, waits, latency, cycles):
    built = build(truth()[name].workload, DEFAULT, index, waits=waits)
    assert compare(built.instructions, DEFAULT, latency, waits=waits).cycles == cycles


# -- what random programs may miss

PADS = {"y_pad_0": 2, "y_pad_1": 1, "x_pad_0": 1, "x_pad_1": 2}
TILE = [  # load, GEMM, ALU, store and back: every queue of tokens
    replace(transfer(Memory.INP, 5), wishes=(False, True, False, True)),
    replace(kernel(Opcode.GEMM, 7), wishes=(True, True, True, False)),
    kernel(Opcode.ALU, 7),
    replace(kernel(Opcode.ALU, 7, use_imm=1), wishes=(False, False, False, True)),
    replace(transfer(Memory.OUT, 70, 3, dram_base=60), wishes=(True, False, True, False)),
]
MEETS = {
    "tokens": (30, TILE * 2),
    "tags used up": (100, [transfer(Memory.INP, 1, 40, x_stride=200)]),
    "padding": (1, [transfer(Memory.UOP, 9, 3, dram_base=7, **PADS)]),
    "padding waits for data": (16, [transfer(Memory.INP, 20, 30, dram_base=7, **PADS)]),
    "port contested": (
        16,
        [
            transfer(Memory.WGT, 2, 9, x_stride=9),
            transfer(Memory.ACC, 1, 40, x_stride=60),
            transfer(Memory.UOP, 700),
            transfer(Memory.INP, 9),
        ],
    ),
    "memory busy": (1, [transfer(Memory.WGT, 20), transfer(Memory.ACC, 20, 3)]),
    "queue full": (16, [kernel(Opcode.GEMM, 30, 10, 10), *[empty(Memory.ACC)] * 800]),
}
"""Event of the stepped hardware -> memory latency, and a program that meets it."""


@pytest.mark.parametrize(("name", "bus"), [(n, b) for n in MACHINES for b in buses(MACHINES[n])])
def test_every_memory_on_every_machine(name, bus):
    """Rows and tiles that start and end anywhere in a beat and a page, padded or not."""
    hardware, drafts = MACHINES[name], []
    for memory in Memory:
        page = 256 * bus // hardware.element_bytes(memory.name.lower())
        row = max(min(page, hardware.depth(memory.name.lower())) // 4, 1)
        pads = {} if memory is Memory.OUT else PADS
        drafts += [
            transfer(memory, 1),
            transfer(memory, 3, 3, dram_base=5, x_stride=7),
            transfer(memory, row, 2, dram_base=max(page - 3, 0)),
            transfer(memory, 3, 2, dram_base=page, **pads),
        ]
    drafts = [replace(draft, wishes=(True,) * 4) for draft in drafts]
    compare(program(drafts), hardware, latency=20, bus=bus)


@cache
def met(event: str, bus: int = 8) -> Stepped:
    latency, drafts = MEETS[event]
    return compare(program(drafts), DEFAULT, latency, bus=bus)


@pytest.mark.parametrize("event", MEETS)
@pytest.mark.parametrize("bus", [8, 16])
def test_programs_made_to_meet(event, bus):
    assert event in met(event, bus).events


UNUSED = {
    "clock_hz": "turns cycles into seconds",
    "memory_queue": "longer than the tags allow, so never full",
}


@pytest.mark.parametrize("constant", [c.name for c in constants() if c.name not in UNUSED])
def test_every_constant_is_pinned(constant):
    """The programs above tell a timing model with one constant changed from the right one."""
    told = []
    bus = 16 if constant in ("wide_fetch_drain", "fetch_ahead") else 8
    for event, (latency, drafts) in MEETS.items():
        right = replace(RTL, memory_latency=latency, bus_bytes=bus)
        value = getattr(right, constant)
        wrong = 2 * value if constant in ("bus_bytes", "burst_beats") else value + 1
        if constant in ("read_requests", "queue_entries"):
            wrong = value - 1
        plan = planned(Stream.of(program(drafts)), DEFAULT, replace(right, **{constant: wrong}))
        told += [event] if not all(same(plan, met(event, bus)).values()) else []
    assert told


def test_a_whole_scratchpad_in_flight_is_more_than_the_hardware_counts():
    """blocksInFlight has one bit too few; with this latency the RTL ends the load too early."""
    whole = program([transfer(Memory.INP, DEFAULT.depth("inp"))])
    compare(whole, DEFAULT, latency=16)
    with pytest.raises(HangError, match="wraps"):
        step(whole, DEFAULT, latency=64)
