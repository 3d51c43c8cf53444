"""Hardware descriptions: derived numbers, files, legality."""

from __future__ import annotations

import ctypes
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtacsp import HardwareError, VTAConfig
from vtacsp.machine.fields import alu_instruction, gemm_instruction


def test_the_default_machine_has_the_published_depths():
    hw = VTAConfig()
    assert [hw.depth(b) for b in ("uop", "inp", "wgt", "acc", "out")] == [
        8192,
        2048,
        1024,
        2048,
        2048,
    ]
    assert [hw.element_bytes(b) for b in ("uop", "inp", "wgt", "acc", "out")] == [
        4,
        16,
        256,
        64,
        16,
    ]
    assert (hw.batch, hw.block) == (1, 16)


def test_the_default_machine_has_the_published_fields():
    fields = VTAConfig().isa_fields
    assert fields["ACC factor and index"] == 11
    assert fields["WGT factor and index"] == 10
    assert fields["micro-op end"] == 14
    assert fields["source index"] == 11
    assert (fields["x stride"], fields["pad"], fields["loop extent"]) == (16, 4, 14)


def test_a_file_round_trips_and_keeps_its_annotations(tmp_path):
    data = {**VTAConfig().to_dict(), "LOG_ACC_BUFF_SIZE": 16, "MY_NOTE": [1, 2], "HW_FREQ": 100}
    path = tmp_path / "vta_config.json"
    path.write_text(json.dumps(data))
    loaded = VTAConfig.load(path)
    assert loaded.to_dict() == data
    assert loaded.depth("acc") == 1024


@pytest.mark.parametrize("key", list(VTAConfig().to_dict()))
def test_a_missing_key_is_named(key):
    data = VTAConfig().to_dict()
    del data[key]
    with pytest.raises(HardwareError, match=f"{key} is missing"):
        VTAConfig.from_dict(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"LOG_ACC_BUFF_SIZE": "17"}, r"LOG_ACC_BUFF_SIZE must be an integer \(a log2\), got '17'"),
        ({"LOG_ACC_BUFF_SIZE": True}, "LOG_ACC_BUFF_SIZE must be an integer"),
        ({"LOG_BATCH": -1}, "LOG_BATCH is -1, allowed are 0 to 31"),
        ({"TARGET": 3}, "TARGET must be a string"),
        ({"TARGET": "a\x1b[2J"}, "TARGET is 'a.x1b.*it holds a character that does not print"),
        ({"HW_VER": "x" * 300}, "HW_VER is 'xxx.*of 300 characters: allowed are 1 to 255"),
        ({"LOG_ACC_BUFF_SIZE": 10**5000}, r"LOG_ACC_BUFF_SIZE is 10\^5000 or more, allowed are 0"),
        ({"LOG_ACC_BUFF_SIZE": ["x" * 10**6] * 99}, r"LOG_ACC_BUFF_SIZE must be an .*, got \['xx"),
        ({"LOG_WGT_BUF_SIZE": 20}, "unknown key 'LOG_WGT_BUF_SIZE'; known are TARGET, HW_VER, LOG"),
        ({"log_wgt_buff_size": 20}, "unknown key 'log_wgt_buff_size'; known are"),
        ({"Target": "pynq"}, "unknown key 'Target'; known are"),
        ({" LOG-BLOCK": 5}, "unknown key ' LOG-BLOCK'; known are"),
        ({"LOG_BLOCK_IN": 5}, "LOG_BLOCK_IN is 5: the stack derives 4 from LOG_BLOCK"),
        ({"LOG_BLOCK_OUT": "4"}, "LOG_BLOCK_OUT is '4': the stack derives 4 from LOG_BLOCK"),
        ({"LOG_OUT_WIDTH": 5}, "LOG_OUT_WIDTH is 5: the stack derives 3 from LOG_INP_WIDTH"),
        ({"LOG_OUT_BUFF_SIZE": 17}, "LOG_OUT_BUFF_SIZE is 17: the stack derives 15 from LOG_ACC"),
        ({"LOG_BLOCK": 0}, "LOG_BLOCK is 0"),
        ({"LOG_BLOCK": 7}, "page of 4,096 bytes"),
        ({"LOG_ACC_WIDTH": 4}, "LOG_INP_WIDTH/LOG_WGT_WIDTH/LOG_ACC_WIDTH are 3/3/4"),
        ({"LOG_INP_WIDTH": 2}, "LOG_INP_WIDTH/LOG_WGT_WIDTH/LOG_ACC_WIDTH are 2/3/5"),
        ({"LOG_ACC_BUFF_SIZE": 18}, "a micro-op needs 34 bits"),
        ({"LOG_ACC_BUFF_SIZE": 6}, "LOG_ACC_BUFF_SIZE is 6: .* allowed are 7 and more"),
        ({"LOG_INP_BUFF_SIZE": 21, "LOG_WGT_BUFF_SIZE": 10}, "LOG_INP_BUFF_SIZE is 21: .* to 20"),
    ],
)
def test_what_the_stack_cannot_build_is_refused_with_the_reason(change, message):
    with pytest.raises(HardwareError, match=message) as caught:
        VTAConfig.from_dict({**VTAConfig().to_dict(), **change})
    assert len(str(caught.value)) < 300


def test_derived_sizes_of_old_descriptions_are_read_and_left_out():
    old = {"LOG_BLOCK_IN": 5, "LOG_BLOCK_OUT": 5, "LOG_OUT_WIDTH": 3, "LOG_OUT_BUFF_SIZE": 15}
    machine = VTAConfig.from_dict({**VTAConfig().to_dict(), "LOG_BLOCK": 5, **old})
    assert machine == VTAConfig().replace(LOG_BLOCK=5)
    assert machine.derived == old
    assert machine.replace(LOG_BLOCK=4).block == 16
    assert machine.bytes("out") == 1 << machine.derived["LOG_OUT_BUFF_SIZE"]


def test_a_size_does_not_hide_among_annotations():
    with pytest.raises(HardwareError, match="unknown key 'LOG_OUT_WIDTH'"):
        VTAConfig(extra={"LOG_OUT_WIDTH": 5})


TWICE = json.dumps(VTAConfig().to_dict())[:-1] + ', "LOG_BLOCK": 5}'


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', "null", "[" * 10**5, TWICE])
def test_a_malformed_file_is_one_clear_error(tmp_path, text):
    path = tmp_path / "broken.json"
    path.write_text(text)
    with pytest.raises(HardwareError, match=r"broken.json"):
        VTAConfig.load(path)


def test_a_file_that_is_not_there_is_one_clear_error(tmp_path):
    with pytest.raises(HardwareError, match="cannot read"):
        VTAConfig.load(tmp_path / "absent.json")


@given(st.integers(1, 22), st.integers(1, 16), st.integers(1, 16), st.integers(1, 16))
def test_instruction_layout_is_that_of_the_c_compiler(uop, inp, wgt, acc):
    head = [3, 1, 1, 1, 1, 1, uop, uop + 1, 14, 14]

    def size(tail):
        fields = [(f"f{i}", ctypes.c_uint64, n) for i, n in enumerate(head + tail)]
        layout = type("Instruction", (ctypes.LittleEndianStructure,), {"_fields_": fields})
        return ctypes.sizeof(layout) * 8

    gemm, alu = gemm_instruction(uop, inp, wgt, acc), alu_instruction(uop, acc)
    assert -(-gemm // 64) * 64 == size([acc, acc, inp, inp, wgt, wgt])
    assert -(-alu // 64) * 64 == size([acc, acc, acc, acc, 3, 1, 16])


def test_replace_rejects_unknown_keys():
    with pytest.raises(HardwareError, match="unknown key LOG_FOO"):
        VTAConfig().replace(LOG_FOO=1)
    with pytest.raises(HardwareError, match="unknown scratchpad 'foo'"):
        VTAConfig().depth("foo")
