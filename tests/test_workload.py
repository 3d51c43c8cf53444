"""Workloads and suites: shapes, counts, JSON, and refusals."""

from __future__ import annotations

import json

import pytest

from tests.conftest import truth
from vtacsp import (
    SUITES,
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    VTAConfig,
    WorkloadError,
    find_workloads,
    load_workloads,
    suite,
    workload_from_dict,
)

HW = VTAConfig()
C8 = Conv2D(
    name="C8", batch=1, in_channels=256, height=14, width=14, out_channels=256,
    kernel=(3, 3), padding=(1, 1),
)  # fmt: skip


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
        "resnet18": 10, "mobilenet": 9, "dcgan": 3, "deepbench": len(suite("deepbench")),
    }  # fmt: skip
    assert [w.name for w in find_workloads("resnet18.C8")] == ["resnet18.C8"]


def test_a_file_keeps_keys_that_are_not_of_the_operator(tmp_path):
    data = {**C8.to_dict(), "valid": 103, "hardware": "default"}
    path = tmp_path / "one.json"
    path.write_text(json.dumps(data))
    (loaded,) = load_workloads(path)
    assert loaded == C8
    assert loaded.to_dict() == data
    assert find_workloads(str(path)) == [C8]


def test_golden_workloads_round_trip():
    for case in truth().values():
        assert case.workload.to_dict() == case.raw["workload"]


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
    ],
)
def test_a_malformed_workload_is_one_clear_error(data, message):
    with pytest.raises(WorkloadError, match=message):
        workload_from_dict(data)


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
