"""The cycle simulator: the RTL's own numbers, accounting that adds up, best and Pareto set."""

from __future__ import annotations

import dataclasses
import itertools
import json
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support.golden import SMALL, cycle_case, names, simulator
from tests.support.strategies import built_layers
from vtacsp import Problem, Simulator, VTAConfig, build, workload_from_dict
from vtacsp.errors import (
    ConfigError,
    DeadlockError,
    ProgramError,
    SpaceError,
    TimingError,
    VtacspError,
)
from vtacsp.machine.instructions import Opcode
from vtacsp.program import Stream
from vtacsp.report.timeline import timeline_figure, timelines_figure
from vtacsp.timing import PYNQ, RTL, TimingModel, simulate_all, simulate_timing, trace
from vtacsp.timing.model import constants
from vtacsp.timing.trace import write_trace


@pytest.mark.parametrize("name", names("cycles"))
def test_cycles_of_every_measured_row_equal_those_of_the_rtl(name):
    """Programs ran one after the other in one process, which was started anew now and then."""
    case = cycle_case(name)
    device, indices = simulator(case), np.array(case["indices"])
    bounds = [0, *np.flatnonzero(np.isin(indices, case["restarts"])).tolist(), len(indices)]
    found = [device.sequence(indices[a:b]) for a, b in itertools.pairwise(bounds)]
    assert np.concatenate(found).tolist() == case["cycles"]


@pytest.mark.parametrize("name", names("cycles")[:3])
def test_a_program_alone_differs_only_by_the_token_of_the_one_before(name):
    case = cycle_case(name)
    device = simulator(case)
    alone = device.cycles_many(case["indices"])
    measured = np.array(case["cycles"])
    assert (alone == measured).any()
    assert np.abs(alone / measured - 1).max() < 0.01
    assert np.sort(measured)[0] * 1.005 >= measured[alone.argmin()]


def small_case():
    return cycle_case("k1-pad1-16")


# ---------------------------------------------------------------- accounting


@settings(max_examples=60)
@given(built_layers(), st.sampled_from([1 << 22, 2048]))
def test_the_cycles_of_every_module_add_up(layer, max_transfer):
    workload, hardware, index = layer
    program = build(workload, hardware, index, max_transfer=max_transfer)
    result = simulate_timing(program)
    assert result.cycles == sum(int(part.cycles) for part in result.launches)
    read = 0
    for name, time in result.modules.items():
        assert min([*time.busy.values(), *time.stalls.values()]) >= 0, name
        assert time.busy_cycles + sum(time.stalls.values()) == result.cycles, name
        read += sum(n for kind, n in time.busy.items() if kind.startswith(("load", "read")))
    beats = sum(int((part.reads[:, 3] - part.reads[:, 2] + 1).sum()) for part in result.launches)
    overtaken = any((part.done > part.cycles).any() for part in result.launches)
    assert read <= beats if overtaken else read == beats
    counters = program.counters()
    busy = result.modules["compute"].busy
    assert busy.get("gemm", 0) >= counters["gemm_counter"]
    assert 0 < result.shares["compute"] <= 1
    for launch in result.launches:
        assert (launch.done >= launch.start).all()
        for module in range(3):
            mine = launch.module == module
            assert (launch.start[mine][1:] > launch.done[mine][:-1]).all()


@settings(max_examples=100)
@given(
    built_layers(),
    st.booleans(),
    st.builds(
        TimingModel,
        memory_latency=st.integers(1, 200),
        write_latency=st.integers(1, 90),
        bus_bytes=st.sampled_from([4, 8, 16]),
        burst_beats=st.sampled_from([8, 64, 256]),
        read_requests=st.integers(1, 16),
        queue_entries=st.sampled_from([1, 2, 7, 40, 512]),
        token_delay=st.integers(0, 2),
        narrow_drain=st.integers(0, 3),
        wide_drain=st.integers(0, 3),
    ),
)
def test_loads_that_are_known_take_as_long_as_loads_that_are_served(layer, waits, timing):
    """Counting cycles serves one load of those that are alike, recording them serves every load."""
    workload, hardware, index = layer
    program = build(workload, hardware, index, waits=waits)
    assume(len(program) < 100_000)
    result = simulate_timing(program, timing)
    assert result.cycles == sum(int(part.cycles) for part in result.launches)


def test_reads_come_back_in_order_and_one_beat_per_cycle():
    device = simulator(small_case())
    reads = np.concatenate([part.reads for part in device.run(47).launches])
    granted, first, last = reads[:, 1], reads[:, 2], reads[:, 3]
    assert (first >= granted + RTL.memory_latency).all()
    assert (np.diff(granted) > 0).all()
    assert (first[1:] > last[:-1]).all()


def test_a_wrong_token_order_is_a_deadlock():
    device = simulator(small_case())
    program = device.program(47)
    broken = program.instructions.copy()
    loads = np.flatnonzero(broken["opcode"] == Opcode.LOAD)
    broken["push_next_dep"][loads] = 0
    with pytest.raises(DeadlockError, match="waits for a token"):
        simulate_timing(dataclasses.replace(program, stream=Stream.of(broken)))


def test_a_load_of_nothing_but_padding_is_told_and_not_simulated_for_ever():
    """VTA's cycle-accurate simulator had not ended one after two million cycles."""
    layer = {"op": "conv2d", "name": "padded", "batch": 1, "in_channels": 48, "height": 5,
             "width": 5, "out_channels": 48, "kernel": [2, 3], "stride": [2, 1],
             "padding": [2, 0]}  # fmt: skip
    with pytest.raises(DeadlockError, match="nothing but padding"):
        simulate_timing(build(workload_from_dict(layer), VTAConfig(), 12))


# ---------------------------------------------------------------- the timing model


def test_every_constant_has_unit_source_and_meaning():
    for constant in constants():
        for key in ("unit", "source", "meaning"):
            assert constant.metadata[key], constant.name


@pytest.mark.parametrize("name", [c.name for c in constants()])
def test_every_constant_matters_and_has_a_lower_bound(name):
    low = next(c.metadata["low"] for c in constants() if c.name == name)
    with pytest.raises(TimingError, match=f"{name} is {low - 1}, allowed is an integer from {low}"):
        TimingModel(**{name: low - 1})
    case = small_case()
    device = simulator(case)
    bias = workload_from_dict({**case["workload"], "bias": True, "padding": [0, 0]})
    # more instructions than a burst and a queue hold
    dense = workload_from_dict(
        {"op": "dense", "name": "d", "batch": 16, "in_features": 512, "out_features": 256}
    )
    scaled = {"bus_bytes": 2, "burst_beats": 2, "queue_entries": 2, "read_requests": 1}
    changed = scaled.get(name, getattr(RTL, name) + 7 if name != "memory_queue" else 1)
    bus = {"bus_bytes": 16} if name in ("wide_fetch_drain", "fetch_ahead") else {}
    right = dataclasses.replace(RTL, **bus)
    other = dataclasses.replace(right, **{name: changed})
    runs = [
        simulate_timing(build(workload, VTAConfig(), index), timing).seconds
        for timing in (right, other)
        for workload, index in ((device.workload, 5), (bias, 0), (dense, 0))
    ]
    assert runs[:3] != runs[3:]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("latency=3", "no timing constant 'latency'; constants are memory_latency"),
        ("memory_latency", "is not NAME=VALUE"),
        ("memory_latency=slow", "is not NAME=VALUE with an integer"),
        ("memory_latency=0", "memory_latency is 0, allowed is an integer from 1"),
        ("burst_beats=100", "burst_beats is 100, not a power of two"),
        ("bus_bytes=1 burst_beats=8", "must hold an instruction of 16 bytes"),
    ],
)
def test_a_bad_override_names_what_is_allowed(word, message):
    with pytest.raises(TimingError, match=message):
        RTL.override(word.split())


def test_an_estimate_says_that_it_is_one():
    assert "estimate" in PYNQ.note
    assert "memory_latency 64" in RTL.override(["memory_latency=64"]).note


# ---------------------------------------------------------------- the simulator


def test_many_configurations_at_once_are_those_one_by_one():
    device = Simulator(SMALL, VTAConfig())
    indices = device.space.indices.tolist()[::3]
    one_by_one = [device.cycles(i) for i in indices]
    configs = [device.space.knob_space.config(i) for i in indices]
    assert device.cycles_many(indices).tolist() == one_by_one
    assert device.cycles_many(configs).tolist() == one_by_one
    for pool in (ThreadPoolExecutor(2), ProcessPoolExecutor(2)):
        with pool:
            assert device.cycles_many(indices, pool).tolist() == one_by_one


def test_what_cannot_run_is_not_measured():
    device = simulator(small_case())
    space = device.space
    refused = next(i for i in range(len(space.knob_space)) if i not in set(space.indices.tolist()))
    cause = Problem(device.workload, device.hardware).causes([refused])[0]
    for measure in (device.cycles, device.run, lambda i: device.cycles_many([i])):
        with pytest.raises(ProgramError) as error:
            measure(refused)
        assert error.value.cause == cause
    with pytest.raises(ConfigError, match="out of range"):
        device.cycles(len(space.knob_space))


def test_best_and_pareto_set_are_those_of_all_pairs():
    found = simulate_all(simulator(small_case()))
    points = list(zip(found.cycles.tolist(), found.scratchpad_bytes.tolist(), strict=True))
    front = {
        point
        for point in points
        if not any(a <= point[0] and b <= point[1] and (a, b) != point for a, b in points)
    }
    assert {points[rank] for rank in found.pareto} == front
    assert found.cycles[found.best] == min(found.cycles)
    programs = found.space.knob_space.program(found.space.indices)
    others = [c for (c, _), p in zip(points, programs, strict=True) if p != programs[found.best]]
    assert found.margin == pytest.approx(min(others) / min(found.cycles) - 1)


def test_nothing_is_best_where_nothing_is_feasible():
    case = small_case()
    tiny = VTAConfig().replace(LOG_WGT_BUFF_SIZE=9, LOG_INP_BUFF_SIZE=5, LOG_ACC_BUFF_SIZE=7)
    device = Simulator(workload_from_dict(case["workload"]), tiny)
    with pytest.raises(SpaceError, match="nothing is feasible"):
        simulate_all(device)


# ---------------------------------------------------------------- trace and picture


def test_the_trace_has_every_instruction_once_and_no_overlap(tmp_path):
    device = simulator(small_case())
    result = device.run(46)
    write_trace(result, tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    slices = [e for e in events if e["ph"] == "X"]
    assert sorted(e["args"]["instruction"] for e in slices if "listing" in e["args"]) == list(
        range(len(result.program))
    )
    for lane in {e["tid"] for e in slices}:
        mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == lane)
        for (_, end), (start, _) in itertools.pairwise(mine):
            assert start >= end - 1e-9
    lengths = {e["dur"] for e in slices}
    assert min(lengths) == pytest.approx(0.01)  # a cycle at 100 MHz, in microseconds
    assert trace(result)["otherData"]["cycles"] == result.cycles
    with pytest.raises(VtacspError, match="cannot write"):
        write_trace(result, tmp_path / "no" / "where.json")


def test_the_picture_is_drawn(tmp_path):
    result = simulator(small_case()).run(46)
    timeline_figure(result, tmp_path / "timeline.svg")
    timelines_figure({"one": result, "other": result}, tmp_path / "both.svg")
    both = (tmp_path / "both.svg").read_text(encoding="utf-8")
    assert both.count("<!-- memory reads -->") == 2
    assert "<!-- one -->" in both
    text = (tmp_path / "timeline.svg").read_text()
    assert "<svg" in text
    with pytest.raises(VtacspError, match="cannot write"):
        timeline_figure(result, tmp_path / "timeline.nonsense")
