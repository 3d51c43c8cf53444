"""Free schedules: random ones of every operator run right, tokens, JSON, the search."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from random import Random

import numpy as np
import pytest

from tests.support.layers import ON_ALU, OPERATORS, random_layer, random_machine, random_timing
from vtacsp import VTAConfig, workload_from_dict
from vtacsp.errors import ProgramError, ScheduleError, SimulationError, WorkloadError
from vtacsp.free import Schedule, emit, limit, search
from vtacsp.free.emit import slots_that_fit
from vtacsp.free.moves import cross, fitted, grown, mutate, sample, tapered
from vtacsp.free.starts import starts
from vtacsp.functional import execute, random_operands, reference
from vtacsp.machine.instructions import Memory, Opcode
from vtacsp.network.find import find_workloads
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.geometry import geometry
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.timing import RTL, simulate_timing

MACHINE = VTAConfig()


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_random_schedules_compute_the_layer_and_stay_above_the_limit(operator: str) -> None:
    rng = Random((OPERATORS + ON_ALU).index(operator))
    ran = 0
    for seed in range(66):
        layer, machine = random_layer(operator, rng), random_machine(rng)
        try:
            g = geometry(layer, machine)
        except WorkloadError:  # a batch of one on a machine of two
            continue
        operands = random_operands(layer, machine, seed)
        right = reference(layer, machine, operands)
        for schedule in (sample(g, rng) for _ in range(3)):
            drawn = schedule
            for _ in range(rng.randint(0, 8)):  # ramps come with time
                drawn = mutate(drawn, g, rng)
            few = {name: rng.randint(1, 3) for name in ("inp", "wgt", "acc")}
            drawn = fitted(replace(drawn, **few), g) if rng.random() < 0.5 else drawn
            drawn = slots_that_fit(drawn, layer, machine) or drawn
            drawn.check(g)
            try:
                program = emit(drawn, layer, machine)
            except ProgramError:
                continue
            result = execute(program, operands)
            assert np.array_equal(result.output, right), f"{layer} on {machine}: {drawn}"
            assert set(result.tokens.values()) == {0}
            timing = random_timing(rng)
            bound = limit(layer, machine, timing)
            assert simulate_timing(program, timing).cycles > bound.cycles
            assert program.counters()["gemm_counter"] == g.products
            ran += 1
    assert ran > 50


@pytest.mark.parametrize("change", [{"load_rows": 4}, {"lead": (1, 3), "begin_rows": (3, 5)}])
@pytest.mark.parametrize("groups", [1, 4])
def test_pieces_of_a_slot_do_not_outlive_its_chunk(change: dict[str, object], groups: int) -> None:
    """The pieces of one chunk lie elsewhere in a slot than those of a larger one after it."""
    size = {"in_channels": 64, "height": 16, "width": 16, "out_channels": 64}
    layer = GroupConv2D(**size, groups=groups, kernel=(3, 3), padding=(1, 1))
    if groups > 1 and "lead" in change:
        change = {"load_rows": 3}
    schedule = Schedule(
        channels=(2, 2), rows=(8, 8), columns=(16,), reduction=(1,) * (4 // groups),
        begin=(1, 1), begin_steps=4, inp=1, wgt=1, group_uops=1,
    )  # fmt: skip
    for slots in (1, 2):
        program = emit(replace(schedule, inp=slots, **change), layer, MACHINE)
        operands = random_operands(layer, MACHINE)
        right = reference(layer, MACHINE, operands)
        assert np.array_equal(execute(program, operands).output, right)


def test_micro_ops_are_loaded_before_they_are_used() -> None:
    (layer,) = find_workloads("resnet18.C7")
    g, rng = geometry(layer, MACHINE), Random(3)
    programs = 0
    for _ in range(60):
        drawn = sample(g, rng)
        try:
            program = emit(slots_that_fit(drawn, layer, MACHINE) or drawn, layer, MACHINE)
        except ProgramError:
            continue
        programs += 1
        loaded = np.zeros(MACHINE.depth("uop"), dtype=bool)
        for row in program.instructions:
            if row["opcode"] == Opcode.LOAD and row["memory_type"] == Memory.UOP:
                loaded[row["sram_base"] : row["sram_base"] + row["x_size"]] = True
            elif row["opcode"] in (Opcode.GEMM, Opcode.ALU):
                assert loaded[row["uop_bgn"] : row["uop_end"]].all()
    assert programs > 20


SMALL = Conv2D(in_channels=64, height=8, width=8, out_channels=64, kernel=(3, 3), padding=(1, 1))
PLAIN = Schedule(channels=(2, 2), rows=(4, 4), columns=(8,), reduction=(1,) * 4)


@pytest.mark.parametrize(
    ("form", "padding", "apart", "joined"),
    # of three taps of an axis two reach over an edge, and meet one output less than the middle one
    [("column", 1, 3, 2), ("row", 1, 3, 2), ("tap", 1, 9, 4), ("tap", 0, 9, 1), ("all", 1, 1, 1)],
)
def test_what_meets_equally_many_outputs_shares_an_instruction(
    form: str, padding: int, apart: int, joined: int
) -> None:
    layer = Conv2D(
        in_channels=16, height=8, width=8, out_channels=48, kernel=(3, 3), padding=(padding,) * 2
    )
    size = geometry(layer, MACHINE).y.out
    plain = Schedule(channels=(3,), rows=(size,), columns=(size,), reduction=(1,), form=form)
    operands = random_operands(layer, MACHINE)
    programs = [emit(replace(plain, join=join), layer, MACHINE) for join in (False, True)]
    for program, wanted in zip(programs, (apart, joined), strict=True):
        records = program.stream.records
        products = (records["opcode"] == Opcode.GEMM) & (records["reset_reg"] == 0)
        assert products[program.stream.which].sum() == wanted
        right = reference(layer, MACHINE, operands)
        assert np.array_equal(execute(program, operands).output, right)
    micro_ops = {program.counters()["uop_load_nbytes"] for program in programs}
    assert len(micro_ops) == 1


@pytest.mark.parametrize("total", [1, 2, 7, 16, 31])
def test_parts_that_grow_are_a_partition(total: int) -> None:
    for first in range(1, total + 1):
        for growth in (1, 1.25, 2, 3):
            parts = grown(total, first, growth)
            assert sum(parts) == total
            assert min(parts) >= 1


@pytest.mark.parametrize("flags", [1 | 8, 2 | 4, 8, 4])
def test_no_queue_can_do_without_its_tokens(flags: int) -> None:
    """Without the pops and pushes of two modules, or the pushes of one, a program goes wrong."""
    program = emit(PLAIN, SMALL, MACHINE)
    stream = program.stream._replace(flags=program.stream.flags & np.uint8(15 ^ flags))
    assert (stream.flags != program.stream.flags).any()
    with pytest.raises(SimulationError):
        execute(replace(program, stream=stream), random_operands(SMALL, MACHINE))


def test_a_schedule_survives_json() -> None:
    g, rng = geometry(SMALL, MACHINE), Random(1)
    seen = set()
    for _ in range(200):
        schedule = cross(sample(g, rng), sample(g, rng), g, rng)
        assert Schedule.from_json(schedule.to_json()) == schedule
        assert Schedule.from_json(json.dumps(json.loads(schedule.to_json()))) == schedule
        assert len(str(schedule).splitlines()) == 1
        seen.add(schedule)
    assert len(seen) > 150


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": []}, "channels is"),
        ({"rows": [4, 0]}, "rows is"),
        ({"reduction": 4}, "reduction is 4"),
        ({"inp": 0}, "inp is 0, allowed is an integer of at least 1"),
        ({"acc": True}, "acc is True"),
        ({"form": "square"}, "form is 'square', allowed are column, row, tap, all"),
        ({"snake": 1.5}, "snake is 1.5, allowed are false, true"),
        ({"slots": 2}, "no field 'slots'"),
    ],
)
def test_a_wrong_value_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        Schedule.from_dict({**PLAIN.to_dict(), **change})


POOL = workload_from_dict({
    "op": "max_pool", "name": "pool", "batch": 1, "channels": 32, "height": 12, "width": 12,
    "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1],
})  # fmt: skip
WINDOWS = Schedule(
    channels=(1, 1), rows=(3, 3), columns=(6,), reduction=(1,), order="channels", form="tap"
)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"inp": 1}, "inp is 1, and has to be 2: the ALU runs this layer by itself"),
        ({"finish": (1,)}, "finish is 1, and has to be empty"),
        ({"snake": True}, "snake is true, and has to be false"),
        ({"gather": "none"}, "gather is none, and has to be rows or pixels"),
        ({"reduction": (1, 1)}, "reduction is 1x2, which adds up to 2"),
    ],
)
def test_what_says_nothing_of_a_window_has_one_value(change: dict[str, object], words: str) -> None:
    WINDOWS.check(geometry(POOL, MACHINE))
    with pytest.raises(ScheduleError, match=words):
        emit(replace(WINDOWS, **change), POOL, MACHINE)


@pytest.mark.parametrize(
    ("change", "resets", "values"),
    [
        ({}, 144, 144),  # the last row of a tile is the first of the next, and stays
        ({"order": "rows"}, 144, 144 + 12),
        ({"gather": "pixels"}, 0, 144),  # the middle of a window is no other's
        ({"columns": (3, 3)}, 144, 144 + 12 + 12 + 1),
    ],
)
def test_values_are_loaded_once_where_they_can_stay(change, resets: int, values: int) -> None:
    layer = replace(POOL, channels=16)
    schedule = replace(WINDOWS, channels=(1,), **{k: v for k, v in change.items() if k != "order"})
    if "order" in change:
        layer, schedule = POOL, replace(WINDOWS, **change)
    counters = emit(schedule, layer, MACHINE).counters()
    blocks = len(schedule.channels)
    assert counters["acc_load_nbytes"] == blocks * values * 64
    assert counters["gemm_reset"] > 0 or resets == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"channels": (3, 2)}, r"channels is 3\+2, which adds up to 5 and has to be 4"),
        ({"lead": (1, 1)}, "lead is 1x2, which adds up to 2 and has to be 4"),
        ({"finish_rows": (3, 1)}, "finish is empty"),
        ({"begin_rows": (3, 1)}, "begin is empty"),
        ({"finish": (1, 1), "finish_rows": (8,)}, "finish_rows is 8"),
    ],
)
def test_sizes_are_those_of_the_layer(change: dict[str, object], words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        emit(replace(PLAIN, **change), SMALL, MACHINE)


def test_text_that_is_no_schedule_is_refused() -> None:
    for text, words in (("{", "a schedule is JSON"), ("[]", "JSON object"), ("{}", "channels")):
        with pytest.raises(ScheduleError, match=words):
            Schedule.from_json(text)


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("sram:inp", {"inp": 99}),
        ("sram:wgt", {"wgt": 99}),
        ("sram:acc", {"acc": 99}),
        (
            "uop_hazard",
            {"rows": (1,) * 8, "columns": (1,) * 8, "channels": (1,) * 4, "reduction": (4,)},
        ),
    ],
)
def test_what_cannot_run_says_why(cause: str, change: dict[str, object]) -> None:
    with pytest.raises(ProgramError) as caught:
        emit(replace(PLAIN, **change), SMALL, MACHINE)
    assert caught.value.cause == cause


def test_micro_ops_have_to_fit() -> None:
    machine = MACHINE.replace(LOG_UOP_BUFF_SIZE=6)
    with pytest.raises(ProgramError) as caught:
        emit(replace(PLAIN, form="all"), SMALL, machine)
    assert caught.value.cause == "sram:uop"


def test_search_is_the_same_for_a_seed_and_beats_the_template() -> None:
    (layer,) = find_workloads("resnet18.C10")
    found = search(layer, MACHINE, gap=0, simulations=300, seed=4)
    again = search(layer, MACHINE, gap=0, simulations=300, seed=4)
    assert (found.schedule, found.cycles) == (again.schedule, again.cycles)
    assert 100 < found.simulated <= 300  # long programs count more than once
    words = f"{found.cycles:,} cycles; no program of this instruction set needs fewer than 31,457 ("
    assert str(found).startswith(words)
    assert limit(layer, MACHINE).cycles < found.cycles < 37666  # the template's best
    assert simulate_timing(found.program).cycles == found.cycles


def test_search_stops_within_the_gap() -> None:
    (layer,) = find_workloads("resnet18.C10")
    found = search(layer, MACHINE, gap=0.2, simulations=2000)
    assert found.gap <= 0.2
    assert found.simulated < 200


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_the_search_begins_with_schedules_that_are_those_of_the_layer(operator: str) -> None:
    rng = Random((OPERATORS + ON_ALU).index(operator))
    ran = 0
    for _ in range(12):
        layer, machine = random_layer(operator, rng), random_machine(rng)
        try:
            g = geometry(layer, machine)
        except WorkloadError:  # a batch of one on a machine of two
            continue
        for schedule in islice(starts(g, machine, RTL), 6):
            schedule.check(g)
            fit = slots_that_fit(schedule, layer, machine)
            if fit is not None:
                with suppress(ProgramError):
                    ran += len(emit(fit, layer, machine)) > 0
    assert ran > 10


def test_the_first_schedules_are_good_ones() -> None:
    """The best of the first 40 is less than 1% above the prototype, after many thousand."""
    (layer,) = find_workloads("resnet18.C8")
    cycles = []
    for schedule in islice(starts(geometry(layer, MACHINE), MACHINE, RTL), 40):
        with suppress(ProgramError):
            cycles.append(simulate_timing(emit(schedule, layer, MACHINE)).cycles)
    assert min(cycles) < 424_701 * 1.01


@pytest.mark.parametrize("total", [1, 2, 7, 32])
def test_a_tapered_partition_is_one(total: int) -> None:
    for size in range(1, total + 1):
        for first in range(3):
            parts = tapered(total, size, first)
            assert sum(parts) == total
            assert min(parts) >= 1
    assert tapered(32, 8, 1) == (4, 8, 8, 5, 4, 2, 1)
