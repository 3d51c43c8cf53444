"""The functional simulator: right outputs, the real simulator's counters, token order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.golden import SMALL, golden, names
from tests.support.strategies import OPERATORS, configured_layers, feasible_layers
from tests.support.truth import measured, truth
from vtacsp import (
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    Problem,
    VTAConfig,
    build,
    workload_from_dict,
)
from vtacsp.errors import DeadlockError, RaceError, SimulationError, UnwrittenError
from vtacsp.functional import Operands, execute, random_operands, reference, verdict
from vtacsp.machine.instructions import Opcode
from vtacsp.operators.knobs import KnobSpace
from vtacsp.program import Stream
from vtacsp.space.explanation import explain

NARROW = VTAConfig(
    log_batch=1, log_block=2, log_inp_buff_size=10, log_wgt_buff_size=10, log_acc_buff_size=10
)

BIG = 8_000_000  # multiply-accumulates from which on rows are sampled
EVERY = 24


@pytest.mark.parametrize("name", names("truth"))
def test_outputs_and_counters_of_the_rows_that_ran(name):
    case, rows = truth()[name], golden("counters")["workloads"][name]
    operands = random_operands(case.workload, case.hardware)
    right = reference(case.workload, case.hardware, operands)
    step = EVERY if case.workload.macs > BIG else 1
    for row in range(0, len(rows["index"]), step):
        index = rows["index"][row]
        program = build(case.workload, case.hardware, index)
        result = execute(program, operands, races=case.causes[index] == "ok")
        same = np.array_equal(result.output, right)
        assert case.causes[index] == ("ok" if same else "wrong_result"), index
        assert result.counters == {c: rows[c][row] for c in result.counters}, index
        assert result.counters.items() <= program.counters().items()
        assert result.tokens["load->compute"] == result.tokens["compute->load"] == 0


def test_verdict_on_random_machines_measured_on_the_real_stack():
    wrong = []
    for case in measured()[1::12]:
        for index, cause in zip(case.indices, case.causes, strict=True):
            got = verdict(case.workload, case.hardware, index, stack_only=True)
            if got != cause:
                wrong.append((case.workload.name, index, cause, got))
    assert not wrong


def test_micro_op_evictions_end_as_on_the_real_stack():
    data = golden("evictions")
    for case in data["cases"]:
        workload = workload_from_dict(case["workload"])
        hardware = VTAConfig.from_dict(case["hardware"])
        for index, (cause, stats) in enumerate(zip(case["causes"], case["stats"], strict=True)):
            got, label = verdict(workload, hardware, index, stack_only=True), data["labels"][cause]
            if (label, got) == ("ok", "wrong_result"):  # right by what its scratchpads held before
                with pytest.raises(UnwrittenError):
                    execute(build(workload, hardware, index), random_operands(workload, hardware))
            else:
                assert got == label, (workload, hardware, index)
            if stats:
                assert stats.items() <= build(workload, hardware, index).counters().items()


@settings(max_examples=300)
@given(configured_layers())
def test_builder_and_constraint_model_agree(layer):
    """Two oracles: they share the machine, the layer and the grid, and no rule."""
    workload, hardware, index = layer
    got = verdict(workload, hardware, index)
    cause = Problem(workload, hardware).causes([index])[0]
    if got in ("ok", "race") and cause == "wrong_result":
        # right by luck: the rules do not rely on what a scratchpad held before, nor on bits that
        # the next instruction is written over
        config = KnobSpace.of(workload, hardware).config(index)
        broken = {v.rule for v in explain(Problem(workload, hardware), config).violations}
        assert broken <= {"uop_eviction", "dma_empty", "transpose_overflow", "isa:instruction"}
        if broken == {"uop_eviction"}:
            program = build(workload, hardware, index)
            assert program.counters()["uop_load_nbytes"] > 4 * len(program.micro_ops)
    else:
        assert got == cause


# ---------------------------------------------------------------- the reference


def naive_convolution(workload, data, weight, bias):
    """The operator on unpacked arrays, one output value at a time."""
    n, _, height, width = data.shape
    groups = getattr(workload, "groups", 1)
    (kh, kw), (ph, pw) = workload.kernel, workload.padding
    sh, sw = workload.stride
    if isinstance(workload, Conv2DTranspose):
        wide = np.zeros((n, data.shape[1], (height - 1) * sh + 1, (width - 1) * sw + 1), np.int64)
        wide[:, :, ::sh, ::sw] = data
        data, sh, sw, ph, pw = wide, 1, 1, kh - 1 - ph, kw - 1 - pw
    data = np.pad(data, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    oh, ow = workload.output_size
    out = np.zeros((n, workload.out_channels, oh, ow), np.int64)
    ci, co = weight.shape[1], workload.out_channels // groups
    for b, c, y, x in np.ndindex(out.shape):
        first = c // co * ci
        window = data[b, first : first + ci, y * sh : y * sh + kh, x * sw : x * sw + kw]
        out[b, c, y, x] = (window * weight[c]).sum() >> 8
    out += 0 if bias is None else bias[:, :, None, None]
    return np.clip(out, 0, 127)


def unpack(array):
    """(N, C, H, W, b, c) or (O, I, KH, KW, o, i) to four axes."""
    a, b, h, w, i, j = array.shape
    return array.transpose(0, 4, 1, 5, 2, 3).reshape(a * i, b * j, h, w).astype(np.int64)


@pytest.mark.parametrize(
    "workload",
    [
        Conv2D(name="c", batch=2, in_channels=8, height=5, width=6, out_channels=8, kernel=(3, 2),
               stride=(2, 1), padding=(1, 2), bias=True),
        GroupConv2D(name="g", batch=2, in_channels=16, height=4, width=5, out_channels=24,
                    kernel=(2, 2), groups=2),
        Conv2DTranspose(name="t", batch=2, in_channels=8, height=3, width=4, out_channels=8,
                        kernel=(4, 3), stride=(2, 1), padding=(1, 0), bias=True),
    ],
    ids=lambda w: w.op,
)  # fmt: skip
def test_reference_is_the_operator(workload):
    hardware = NARROW
    operands = random_operands(workload, hardware, seed=3)
    bias = None
    if operands.bias is not None:
        bias = operands.bias[:, :, 0, 0].transpose(0, 2, 1, 3).reshape(workload.batch, -1)
    expected = naive_convolution(workload, unpack(operands.data), unpack(operands.weight), bias)
    got = reference(workload, hardware, operands)
    assert got.dtype == np.int8
    assert np.array_equal(unpack(got), expected)


def test_reference_of_dense():
    hardware = dataclasses.replace(NARROW, log_batch=0)
    layer = Dense(name="d", batch=2, in_features=8, out_features=12)
    operands = random_operands(layer, hardware)
    data = operands.data.transpose(0, 2, 1, 3).reshape(2, 8).astype(np.int64)
    weight = operands.weight.transpose(0, 2, 1, 3).reshape(12, 8).astype(np.int64)
    expected = np.clip((data @ weight.T) >> 8, 0, 127)
    got = reference(layer, hardware, operands).transpose(0, 2, 1, 3).reshape(2, 12)
    assert np.array_equal(got, expected)


def test_wide_values_wrap_like_the_machine():
    hardware = VTAConfig(log_inp_width=5, log_wgt_width=4, log_inp_buff_size=17)
    layer = Dense(name="d", batch=1, in_features=64, out_features=16)
    operands = random_operands(layer, hardware)
    operands = Operands(operands.data * np.int32(1 << 20), operands.weight * np.int16(100))
    result = execute(build(layer, hardware, 0), operands)
    assert result.output.dtype == np.int32
    assert np.array_equal(result.output, reference(layer, hardware, operands))


# ---------------------------------------------------------------- tokens and errors


def change(program, **columns):
    """The program with fields replaced: name -> (instruction, value)."""
    instructions = program.instructions.copy()
    for name, (at, value) in columns.items():
        instructions[name][at] = value
    return dataclasses.replace(program, stream=Stream.of(instructions))


@pytest.fixture(scope="module")
def built():
    config = {**build(SMALL, VTAConfig(), 0).config, "tile_h": 4, "tile_w": 8}
    program = build(SMALL, VTAConfig(), config)
    return program, random_operands(SMALL, VTAConfig())


def first(program, **fields):
    mask = np.ones(len(program), dtype=bool)
    for name, value in fields.items():
        mask &= program.instructions[name] == value
    return int(np.flatnonzero(mask)[0])


def test_a_missing_token_is_a_deadlock_that_names_who_waits(built):
    program, operands = built
    at = first(program, opcode=Opcode.LOAD, memory_type=1, push_next_dep=1)
    with pytest.raises(DeadlockError, match=r"COMPUTE waits at instruction \d+: .*\[pop load\]"):
        execute(change(program, push_next_dep=(at, 0)), operands)


def test_a_dropped_wait_is_a_race(built):
    program, operands = built
    broken = program.instructions.copy()
    broken["pop_prev_dep"][broken["opcode"] == Opcode.STORE] = 0
    with pytest.raises(UnwrittenError, match=r"STORE.*: it reads ACC element 0, which nothing"):
        execute(dataclasses.replace(program, stream=Stream.of(broken)), operands)


def test_all_loads_before_their_turn_are_a_race(built):
    program, operands = built
    broken = program.instructions.copy()
    loads = (broken["opcode"] == Opcode.LOAD) & (broken["memory_type"] == 2)
    broken["pop_next_dep"][loads] = 0
    with pytest.raises(RaceError, match=r"GEMM.*: it reads WGT element 0, and no token orders"):
        execute(dataclasses.replace(program, stream=Stream.of(broken)), operands)


@pytest.mark.parametrize(
    ("field", "opcode", "value", "what"),
    [
        ("sram_base", Opcode.LOAD, 65535, "outside of the scratchpad"),
        ("dst_factor_out", Opcode.ALU, 2047, "outside of the scratchpad"),
        ("src_factor_out", Opcode.GEMM, 2047, "outside of the scratchpad"),
        ("dram_base", Opcode.STORE, 1 << 20, "outside of the operand"),
        ("y_size", Opcode.STORE, 65535, "outside of the scratchpad"),
        ("uop_end", Opcode.GEMM, 1 << 14, "outside of the scratchpad"),
        ("opcode", Opcode.ALU, 7, "no such operation"),
    ],
)
def test_an_access_out_of_range_names_the_instruction(built, field, opcode, value, what):
    program, operands = built
    select = {Opcode.GEMM: {"reset_reg": 0}, Opcode.STORE: {"x_size": 32}}.get(opcode, {})
    at = first(program, opcode=opcode, **select)
    broken = change(program, **{field: (at, value), "iter_out": (at, 2)})
    with pytest.raises(SimulationError, match=rf"instruction {at}: .*{what}") as error:
        execute(broken, operands)
    assert error.value.instruction == at


@pytest.mark.parametrize("races", [True, False])
def test_a_micro_op_that_is_used_before_it_is_loaded_is_an_error(built, races):
    program, operands = built
    at = first(program, opcode=Opcode.LOAD, memory_type=0)
    broken = change(program, x_size=(at, 0))
    used = first(program, opcode=Opcode.GEMM)
    with pytest.raises(UnwrittenError, match="reads UOP element 0, which nothing") as error:
        execute(broken, operands, races=races)
    assert error.value.instruction == used


def test_what_an_accumulator_held_before_is_an_error_when_it_is_stored(built):
    program, operands = built
    at = first(program, opcode=Opcode.GEMM, reset_reg=1)
    broken = change(program, iter_out=(at, 0))
    with pytest.raises(UnwrittenError, match=r"STORE.*reads ACC element \d+, which nothing"):
        execute(broken, operands)


def test_a_program_waits_for_what_the_one_before_left(built):
    program, operands = built
    assert program.leaves
    assert execute(program, operands).tokens["store->compute"] == 1
    after = build(SMALL, VTAConfig(), program.config, waits=True)
    assert len(after) == len(program) + 1
    assert np.array_equal(execute(after, operands).output, execute(program, operands).output)


def test_launches_of_a_split_program_compute_the_same(built):
    program, operands = built
    parts = build(SMALL, VTAConfig(), program.config, max_transfer=512)
    assert len(parts.segments) > 5
    result = execute(parts, operands)
    assert np.array_equal(result.output, execute(program, operands).output)
    assert result.counters.items() <= parts.counters().items()


# ---------------------------------------------------------------- any workload, any machine


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=50)
@given(data=st.data())
def test_what_is_feasible_runs_without_deadlock_or_race_and_is_right(operator, data):
    workload, hardware, index = data.draw(feasible_layers((operator,)))
    program = build(workload, hardware, index)
    operands = random_operands(workload, hardware)
    counters = program.counters()
    result = execute(program, operands)
    assert result.counters.items() <= counters.items()
    assert np.array_equal(result.output, reference(workload, hardware, operands))
    if counters["uop_load_nbytes"] == 4 * len(program.micro_ops):  # nothing is evicted
        split = build(workload, hardware, index, max_transfer=512)
        assert np.array_equal(execute(split, operands).output, result.output)
