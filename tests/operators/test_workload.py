"""Workloads and suites: shapes, counts, JSON, and refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from tests.support import ROOT
from tests.support.truth import truth
from vtacsp import (
    SUITES,
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    VTAConfig,
    WorkloadError,
    compile,
    find_workloads,
    load_workloads,
    suite,
    workload_from_dict,
)
from vtacsp.operators.workload import ANNOTATIONS, MAX_SIZE

HW = VTAConfig()
C8 = Conv2D(
    name="C8", batch=1, in_channels=256, height=14, width=14, out_channels=256,
    kernel=(3, 3), padding=(1, 1),
)  # fmt: skip
TRANSPOSED = {
    "batch": 1, "in_channels": 64, "height": 4, "width": 4, "out_channels": 32, "kernel": (4, 4),
}  # fmt: skip


def test_packed_shapes_are_those_of_the_layout():
    shapes = C8.pack(HW)
    assert shapes.data == (1, 16, 14, 14, 1, 16)
    assert shapes.weight == (16, 16, 3, 3, 16, 16)
    assert shapes.output == (1, 16, 14, 14, 1, 16)
    assert shapes.bias is None
    dense = Dense(batch=4, in_features=64, out_features=32, bias=True).pack(HW.replace(LOG_BATCH=1))
    assert dense.data == (2, 4, 2, 16)
    assert dense.weight == (2, 4, 16, 16)
    assert dense.bias == dense.output == (2, 2, 2, 16)


def test_operation_counts():
    assert C8.macs == 14 * 14 * 256 * 256 * 9
    assert C8.operations == 2 * C8.macs
    grouped = GroupConv2D(
        batch=1, in_channels=64, height=14, width=14, out_channels=64, kernel=(3, 3),
        padding=(1, 1), groups=4,
    )  # fmt: skip
    assert grouped.macs == 14 * 14 * 64 * 16 * 9
    transposed = Conv2DTranspose(
        batch=1, in_channels=64, height=4, width=4, out_channels=32, kernel=(4, 4),
        stride=(2, 2), padding=(1, 1),
    )  # fmt: skip
    assert transposed.output_size == (8, 8)
    assert transposed.macs == 8 * 8 * 64 * 32 * 16
    assert Dense(batch=2, in_features=8, out_features=4).macs == 64


@pytest.mark.parametrize("name", SUITES)
def test_suites_round_trip(name):
    for workload in suite(name):
        assert workload_from_dict(json.loads(json.dumps(workload.to_dict()))) == workload
        assert workload.name.startswith(f"{name}.")


def test_suites_have_the_published_layers():
    assert {name: len(suite(name)) for name in SUITES} == {
        "resnet18": 10, "resnet50": 22, "mobilenet": 18, "mobilenet_v2": 29, "mlperf_tiny": 35,
        "dcgan": 3, "deepbench": 103,
    }  # fmt: skip
    assert [w.name for w in find_workloads("resnet18.C8")] == ["resnet18.C8"]


def test_a_file_keeps_its_annotations(tmp_path):
    data = {**C8.to_dict(), "valid": 103, "hardware": "default", "comment": ["as measured"]}
    path = tmp_path / "one.json"
    path.write_text(json.dumps(data))
    (loaded,) = load_workloads(path)
    assert loaded == C8
    assert loaded.to_dict() == data
    assert find_workloads(str(path)) == [C8]


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"dilation": [2, 2]}, "dilation"),
        ({"dilation": [1, 1]}, "dilation"),
        ({"groups": 2}, "groups"),
        ({"output_padding": [1, 1]}, "output_padding"),
        ({"pading": [1, 1]}, "pading"),
        ({"Padding": [1, 1]}, "Padding"),
    ],
)
def test_a_key_that_would_be_ignored_is_refused(change, key):
    with pytest.raises(WorkloadError, match=f"C8: '{key}' is no key of conv2d; known are op, name"):
        workload_from_dict({**C8.to_dict(), **change})
    with pytest.raises(WorkloadError, match="and the annotations comment, count"):
        replace(C8, extra=change)


def test_a_dilation_is_refused_with_the_reason():
    with pytest.raises(WorkloadError, match=r"valid; VTA's templates have no dilation: the host"):
        workload_from_dict({**C8.to_dict(), "dilation": [2, 2]})


def test_annotations_and_keys_are_in_the_documentation():
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")
    for key in (*ANNOTATIONS, *Conv2DTranspose(**TRANSPOSED).to_dict()):
        assert f"`{key}`" in page
    assert f"{MAX_SIZE:,}" in page


def test_golden_workloads_round_trip():
    for case in truth().values():
        assert case.workload.to_dict() == case.raw["workload"]


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def changed(**values):
    return workload_from_dict({**C8.to_dict(), **values})


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (changed(in_channels=250), "in_channels is 250, not a multiple of the block"),
        (changed(out_channels=8), "out_channels is 8, not a multiple of the block"),
        (changed(kernel=[17, 3]), "the output would have size 0x14"),
        (changed(padding=[0, 1]), "drops horizontal padding"),
        (changed(op="group_conv2d", groups=3), "groups is 3, which does not divide"),
        (changed(op="group_conv2d", groups=32), "in_channels per group is 8, not a multiple"),
        (changed(op="conv2d_transpose", output_padding=[1, 1]), "upstream supports"),
        (changed(op="conv2d_transpose", padding=[3, 1]), "allows 0 to 2"),
        (Dense(batch=1, in_features=10, out_features=16), "in_features is 10"),
    ],
)
def test_what_cannot_be_packed_is_refused_with_the_reason(workload, message):
    with pytest.raises(WorkloadError, match=message):
        workload.pack(HW)


def test_batch_must_fill_the_intrinsic():
    with pytest.raises(WorkloadError, match="batch is 1, not a multiple of the BATCH"):
        C8.pack(HW.replace(LOG_BATCH=1))


@pytest.mark.parametrize("op", ["group_conv2d", "conv2d_transpose"])
def test_operators_that_assert_int8_refuse_wider_inputs(op):
    workload = changed(op=op, **({"groups": 2} if op == "group_conv2d" else {}))
    with pytest.raises(WorkloadError, match="LOG_INP_WIDTH is 4 and must be 3"):
        workload.pack(HW.replace(LOG_INP_WIDTH=4))
    assert C8.pack(HW.replace(LOG_INP_WIDTH=4)).data == (1, 16, 14, 14, 1, 16)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "a workload is a JSON object"),
        ({"op": "pool"}, "op is 'pool', known are conv2d"),
        ({"op": "dense", "batch": 1}, "in_features is missing"),
        ({**C8.to_dict(), "height": 0}, "C8: height must be an integer of at least 1, got 0"),
        ({**C8.to_dict(), "kernel": [3]}, "C8: kernel must be a pair"),
        ({**C8.to_dict(), "stride": [0, 1]}, "C8: stride must be an integer of at least 1"),
        ({**C8.to_dict(), "bias": 1}, "C8: bias must be true or false, got 1"),
        ({**C8.to_dict(), "batch": 1.5}, "C8: batch must be an integer"),
        ({**C8.to_dict(), "name": ""}, "name must be a string"),
        ({**C8.to_dict(), "name": "x" * 256}, "of 256 characters: allowed are 1 to 255"),
        ({**C8.to_dict(), "name": "a\x1b[2J"}, r"name is 'a\\x1b\[2J': it holds a character"),
        ({**C8.to_dict(), "name": "a\nb"}, "it holds a character that does not print"),
        ({**C8.to_dict(), "name": "a\ud800"}, "it holds a character that does not print"),
        ({**C8.to_dict(), "op": ["conv2d"]}, r"op is \['conv2d'\], known are"),
        (
            {**C8.to_dict(), "height": 2**32},
            "C8: height is 4294967296, allowed are 1 to 2147483647",
        ),
        ({**C8.to_dict(), "width": 10**30}, r"C8: width is 10\^30 or more, allowed are 1 to"),
        ({**C8.to_dict(), "padding": [2**31, 0]}, "padding is 2147483648, allowed are 0 to"),
        ({**C8.to_dict(), "batch": 10**5000}, r"C8: batch is 10\^5000 or more, allowed"),
        ({**C8.to_dict(), "kernel": "x" * 10**6}, "C8: kernel must be a pair of integers, got 'xx"),
        (nested(10**5), "a workload is a JSON object, got"),
    ],
)
def test_a_malformed_workload_is_one_clear_error(data, message):
    with pytest.raises(WorkloadError, match=message) as caught:
        workload_from_dict(data)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        (changed(height=2**30, width=16, padding=[0, 0]), "C8: height is too large: the data would "
         "have 1 x 16 x 1073741824 x 16 scratchpad elements, a DRAM address"),
        (changed(padding=[1, 2**31 - 1]), "C8: width is too large: the data with its padding"),
        (changed(out_channels=2**31 - 16), "C8: out_channels is too large: the weight would"),
        (changed(op="conv2d_transpose", stride=[2**31 - 1, 1]), "C8: output height is too large"),
        (Dense(batch=1, in_features=2**30, out_features=2**20), "in_features is too large: the w"),
        (Dense(batch=2**20, in_features=16, out_features=2**20), "batch is too large: the output"),
    ],
)  # fmt: skip
def test_what_a_dram_address_does_not_reach_is_refused(workload, message):
    with pytest.raises(WorkloadError, match=message):
        workload.pack(HW)


def test_what_a_dram_address_just_reaches_is_packed_and_counted():
    dense = Dense(batch=1, in_features=2**20, out_features=2**20)
    assert math.prod(dense.pack(HW).weight[:-2]) == 2**32
    assert compile(dense).count() > 0


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("resnet19", "is no suite"),
        ("resnet18.C1", "resnet18 has no member 'C1'; it has resnet18.C2"),
    ],
)
def test_an_unknown_reference_lists_what_there_is(reference, message):
    with pytest.raises(WorkloadError, match=message):
        find_workloads(reference)


def test_an_empty_list_is_an_error(tmp_path):
    path = tmp_path / "empty.json"
    path.write_text("[]")
    with pytest.raises(WorkloadError, match="holds no workload"):
        load_workloads(path)


def write(path, *workloads):
    path.write_text(json.dumps([{**C8.to_dict(), **change} for change in workloads]))
    return path


def test_an_error_says_which_workload_of_which_file(tmp_path):
    path = write(tmp_path / "two.json", {}, {"name": "b", "height": 0})
    with pytest.raises(WorkloadError, match=r"two\.json, workload 2: b: height must be"):
        load_workloads(path)


def test_a_name_is_there_once_in_a_file(tmp_path):
    path = write(tmp_path / "twice.json", {}, {"width": 28})
    with pytest.raises(WorkloadError, match=r"twice\.json, workload 2: the name C8 is there twice"):
        load_workloads(path)


def test_workloads_without_a_name_are_told_apart(tmp_path):
    path = tmp_path / "unnamed.json"
    unnamed = {key: value for key, value in C8.to_dict().items() if key != "name"}
    path.write_text(json.dumps([unnamed, C8.to_dict(), unnamed]))
    assert [w.name for w in load_workloads(path)] == ["workload1", "C8", "workload3"]
    path.write_text(json.dumps(unnamed))
    assert [w.name for w in load_workloads(path)] == ["workload"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is not JSON"),
        (b"[" * 10**5, "levels"),
        (b'{"a": 1, "op": "x", "a": 2}', "the key 'a' is there twice"),
        (b'{"batch": NaN}', "NaN"),
        (json.dumps(C8.to_dict()).encode("utf-16"), "not UTF-8"),
    ],
)
def test_a_file_that_is_no_json_is_one_clear_error(tmp_path, text, message):
    path = tmp_path / "broken.json"
    path.write_bytes(text)
    with pytest.raises(WorkloadError, match=rf"broken\.json.*{message}"):
        find_workloads(str(path))


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("/dev/zero", "cannot read /dev/zero: it is a device"),
        ("/dev/full", "cannot read /dev/full: it is a device"),
        (".", "it is a folder"),
        ("x" * 300, "is no suite"),
        ("resnet18." + "x" * 300, "has no member 'xxx"),
        ("x\0.json", "is no suite"),
    ],
)
def test_a_reference_that_is_no_file_is_one_clear_error(reference, message):
    with pytest.raises(WorkloadError, match=message) as caught:
        find_workloads(reference)
    assert len(str(caught.value)) < 300
