"""The program builder against streams and counters of the real stack."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.golden import SMALL, cause_of, golden, names
from tests.support.truth import measured, truth
from vtacsp import Dense, VTAConfig, build
from vtacsp.errors import ConfigError, ProgramError
from vtacsp.machine.instructions import (
    Memory,
    Opcode,
    as_stored,
    field_bits,
    pack_micro_ops,
    unpack_micro_ops,
)
from vtacsp.program import INSTRUCTION, MICRO_OP, Stream, decode, encode
from vtacsp.program.listing import disassemble, listing, records

NAMES = names("truth")


@pytest.mark.parametrize("number", range(len(names("programs"))), ids=names("programs"))
def test_every_stream_of_the_real_runtime_field_by_field(number):
    stream = golden("programs")[number]
    case = truth()[stream["workload"]]
    # whether the program before left a token is not recorded: one of the two it is
    built = [build(case.workload, case.hardware, stream["index"], waits=w) for w in (False, True)]
    assert stream["instructions"] in [records(program) for program in built]


@pytest.mark.parametrize("name", NAMES)
def test_counters_of_every_executed_row(name):
    case, rows = truth()[name], golden("counters")["workloads"][name]
    waits, other_process = False, 0
    for row, index in enumerate(rows["index"]):
        expected = {c: v[row] for c, v in rows.items() if c != "index" and v[row] >= 0}
        program = build(case.workload, case.hardware, index, waits=waits)
        counters = program.counters()
        if any(counters[c] != v for c, v in expected.items()):
            # rows whose stream was written out ran in a process of their own
            counters = build(case.workload, case.hardware, index, waits=not waits).counters()
            other_process += 1
        assert {c: counters[c] for c in expected} == expected, index
        waits = program.leaves
    assert other_process <= 3


@pytest.mark.parametrize("name", NAMES)
def test_builder_stops_where_the_stack_stops(name):
    case = truth()[name]
    got = [cause_of(case.workload, case.hardware, i) for i in case.indices]
    # a silently wrong program builds
    assert got == [c if c != "wrong_result" else "ok" for c in case.causes]


def test_builder_stops_where_the_stack_stops_on_random_machines():
    wrong = []
    for case in measured()[::4]:
        for index, cause in zip(case.indices, case.causes, strict=True):
            got = cause_of(case.workload, case.hardware, index)
            if got != (cause if cause != "wrong_result" else "ok"):
                wrong.append((case.workload.name, index, cause, got))
    assert not wrong


def test_a_queue_that_overflows_is_synchronised_and_reloads_micro_ops():
    hardware = VTAConfig()
    whole = build(SMALL, hardware, 0)
    parts = build(SMALL, hardware, 0, max_transfer=1024)
    assert len(whole.segments) == 1
    assert len(parts.segments) == parts.counters()["finish"] > 10
    assert parts.segments[0].start == 0
    for before, after in zip(parts.segments, parts.segments[1:], strict=False):
        assert before.stop == after.start
        assert after.stop - after.start <= 64
        assert parts.instructions["opcode"][before.stop - 1] == Opcode.FINISH
    for column in ("inp_load_nbytes", "gemm_counter", "alu_counter", "store"):
        assert parts.counters()[column] == whole.counters()[column]
    assert parts.counters()["load_uop"] > whole.counters()["load_uop"]


def test_a_stream_holds_what_differs_once_and_expands_to_every_instruction():
    program = build(SMALL, VTAConfig(), 0)
    assert len(program.stream.records) < len(program) / 20
    again = Stream.of(program.instructions)
    assert np.array_equal(again.expand(), program.instructions)
    assert again.flags.tolist() == program.stream.flags.tolist()


def test_kernels_that_evict_each_other_are_records_wherever_they_were():
    """More micro-op loads that differ than there is room for at first: the queue is run again."""
    case = measured()[140]
    program = build(case.workload, case.hardware, 0, max_transfer=512)
    loads = program.stream.records["memory_type"] == Memory.UOP
    loads &= (program.stream.records["opcode"] == Opcode.LOAD) & (
        program.stream.records["x_size"] > 0
    )
    assert loads.sum() > 1000
    ins = program.instructions
    begun = {}
    for record in ins[:200_000]:  # a kernel runs the micro-ops that were loaded where it begins
        if record["opcode"] == Opcode.FINISH:
            begun = {}
        elif record["opcode"] == Opcode.LOAD and record["memory_type"] == Memory.UOP:
            begun[int(record["sram_base"])] = int(record["x_size"])
        elif record["opcode"] in (Opcode.GEMM, Opcode.ALU):
            assert begun[int(record["uop_bgn"])] == record["uop_end"] - record["uop_bgn"]


def test_programs_share_no_memory_and_come_out_the_same_byte_for_byte():
    hardware = VTAConfig()
    first = build(SMALL, hardware, 0)
    before = first.instructions.tobytes()
    others = [build(SMALL, hardware, i) for i in (1, 2, 3)]
    assert (
        first.instructions.tobytes() == before == build(SMALL, hardware, 0).instructions.tobytes()
    )
    assert not any(np.shares_memory(first.instructions, p.instructions) for p in others)
    padding = np.ones(INSTRUCTION.itemsize, dtype=bool)
    for dtype, offset in INSTRUCTION.fields.values():
        padding[offset : offset + dtype.itemsize] = False
    assert not first.instructions.view(np.uint8).reshape(len(first), -1)[:, padding].any()


def test_index_and_configuration_give_the_same_program():
    hardware = VTAConfig()
    by_index = build(SMALL, hardware, 7)
    by_config = build(SMALL, hardware, by_index.config)
    assert np.array_equal(by_index.instructions, by_config.instructions)
    with pytest.raises(ConfigError):
        build(SMALL, hardware, 10**6)


def test_error_carries_cause_and_reason():
    hardware = VTAConfig(log_acc_buff_size=11)
    with pytest.raises(ProgramError, match=r"sram:acc: 64 elements, ACC holds 32") as error:
        build(SMALL, hardware, {**build(SMALL, VTAConfig(), 0).config, "tile_h": 8, "tile_w": 8})
    assert error.value.cause == "sram:acc"


# ---------------------------------------------------------------- binary form


@pytest.mark.parametrize("name", ["c-tiny14-bias", "small.k3-bias", "b8.conv3x3", "batch2.dense"])
def test_binary_form_round_trips(name):
    case = truth()[name]
    program = build(case.workload, case.hardware, case.feasible[len(case.feasible) // 2])
    words = program.encode()
    assert words.shape == (len(program), 2)
    assert np.array_equal(decode(words, case.hardware), program.instructions)
    packed = program.encode_micro_ops()
    assert np.array_equal(unpack_micro_ops(packed, case.hardware), program.micro_ops)


@st.composite
def streams(draw):
    """Instructions with any value in every field of their format."""
    hardware = VTAConfig()
    bits = field_bits(hardware)
    bits["src_factor_in"] = bits["src_factor_out"] = min(
        bits["dst_factor_in"], bits["src_factor_in"]
    )
    stream = np.zeros(draw(st.integers(1, 5)), dtype=INSTRUCTION)
    memory = {"memory_type", "sram_base", "dram_base"} | {n for n in bits if n[:2] in ("y_", "x_")}
    for row in stream:
        row["opcode"] = opcode = draw(st.sampled_from(list(Opcode)))
        only_alu = {"alu_opcode", "use_imm", "imm"}
        loops = set(bits) - memory - only_alu
        mine = {
            Opcode.LOAD: memory, Opcode.STORE: memory, Opcode.GEMM: loops,
            Opcode.ALU: {n for n in loops if not n.startswith("wgt")} | only_alu,
            Opcode.FINISH: set(),
        }[opcode]  # fmt: skip
        for name in mine - {"opcode"}:
            low = -(1 << 15) if name == "imm" else 0
            high = (1 << 15) - 1 if name == "imm" else (1 << bits[name]) - 1
            row[name] = draw(st.integers(low, high))
    return stream


@given(streams())
def test_any_instruction_round_trips(stream):
    assert np.array_equal(decode(encode(stream, VTAConfig()), VTAConfig()), stream)
    assert np.array_equal(as_stored(stream, VTAConfig()), stream)


def test_an_instruction_longer_than_128_bits_loses_its_end():
    # four ACC factors of 12 bits, opcode, flag and immediate: the immediate is cut off
    hardware = VTAConfig(log_acc_buff_size=18, log_wgt_buff_size=16)
    stream = np.zeros(2, dtype=INSTRUCTION)
    stream["opcode"] = Opcode.ALU, Opcode.GEMM
    stream["imm"][0] = 8
    assert as_stored(stream, hardware)["imm"][0] == Opcode.GEMM


def test_encoding_moves_operands_to_their_base():
    program = build(SMALL, VTAConfig(), 0)
    moved = decode(program.encode({"inp": 1 << 20}), program.hardware)
    loads = (moved["opcode"] == Opcode.LOAD) & (moved["memory_type"] == 2) & (moved["x_size"] > 0)
    assert (moved["dram_base"][loads] - program.instructions["dram_base"][loads] == 1 << 16).all()
    with pytest.raises(ValueError, match="multiple of 16"):
        program.encode({"inp": 3})


def test_micro_op_fields_are_as_wide_as_the_scratchpads():
    hardware = VTAConfig()
    ops = np.array([(2047, 2047, 1023)], dtype=MICRO_OP)
    assert pack_micro_ops(ops, hardware)[0] == 0xFFFFFFFF


# ---------------------------------------------------------------- text


def test_listing_reads_like_the_stream():
    program = build(SMALL, VTAConfig(), 0)
    lines = list(disassemble(program))
    assert len(lines) == len(program) + len(program.micro_ops) + 1
    assert lines[0].split() == ["0", "store", "NOP-STORE-STAGE", "[push", "compute]"]
    text = listing(build(SMALL, VTAConfig(), 0), 0)
    assert text.startswith("; small index 0: tile_b=1 tile_h=1")
    assert "pad 1+0 rows 1+0 columns" in text
    assert "ALU - shr         by 8" in text


def test_dense_store_and_bias_walk_the_batch():
    layer = Dense(name="d", batch=4, in_features=32, out_features=32, bias=True)
    program = build(layer, VTAConfig(), {"tile_b": 2, "tile_ci": 2, "tile_co": 1, "oc_nthread": 1})
    ins = program.instructions
    bias = ins[(ins["opcode"] == Opcode.LOAD) & (ins["memory_type"] == 3)][0]
    assert (bias["y_size"], bias["x_size"], bias["x_stride"]) == (2, 1, 2)
    assert program.counters()["store"] == 8


def test_importing_the_package_loads_no_compiler():
    code = "import sys, vtacsp; assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
