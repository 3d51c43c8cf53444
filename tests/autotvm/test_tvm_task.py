"""Workloads and grids of real AutoTVM tasks."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tvm import autotvm, te
from tvm.autotvm.feature import get_itervar_feature_flatten

import vtacsp
from vtacsp import ConfigError, Dense, KnobSpace, VTAConfig, WorkloadError
from vtacsp.autotvm import check_knobs, create_task, workload_of
from vtacsp.autotvm.tvm_task import config_of

RESNET = vtacsp.suite("resnet18")
DENSE = Dense(name="dense", batch=1, in_features=256, out_features=160)
BATCH2 = VTAConfig(log_batch=1, log_block=5)


def packable(suite):
    for workload in vtacsp.suite(suite):
        try:
            workload.pack(VTAConfig())
        except WorkloadError:
            continue
        yield workload


OTHERS = [*packable("mobilenet"), *packable("dcgan"), DENSE]


@pytest.mark.parametrize("workload", [*RESNET, *OTHERS], ids=lambda w: w.name)
def test_spaces_are_equal_index_by_index(workload):
    task = create_task(workload)
    ours = KnobSpace.of(workload, VTAConfig())
    assert len(task.config_space) == len(ours)
    for index in range(len(ours)):
        entity = task.config_space.get(index)
        assert list(config_of(entity).items()) == list(ours.config(index).items())


def test_the_ten_layers_are_there():
    assert [w.name for w in RESNET] == [f"resnet18.C{n}" for n in range(2, 12)]


@pytest.mark.parametrize("workload", [*RESNET, *OTHERS], ids=lambda w: w.name)
def test_a_workload_is_read_from_its_task(workload):
    task = create_task(workload)
    assert replace(workload_of(task), name=workload.name) == workload
    assert task.flop == workload.operations


def test_the_template_is_a_schedule_of_the_operator():
    """Loop features, which XGBTuner uses by default, tell configurations apart."""
    task = create_task(DENSE)
    features = set()
    for index in range(len(task.config_space)):
        with task.target:
            lowered = task.instantiate(task.config_space.get(index))
            features.add(tuple(get_itervar_feature_flatten(*lowered, take_log=True)))
    assert len(features) > len(task.config_space) // 2


def test_blocks_and_bias():
    workload = replace(DENSE, batch=4, in_features=256, out_features=64)
    read = workload_of(create_task(workload, BATCH2), BATCH2)
    assert read == replace(workload, name="dense_packed.vta")
    assert workload_of(create_task(DENSE), bias=True).bias


def _with(workload, changes):
    """The task of a workload whose arguments are changed afterwards, as by hand."""
    task = create_task(workload)
    args = list(task.args)
    for position, value in changes.items():
        args[position] = value
    task.args = tuple(args)
    return task


C8 = RESNET[6]
DATA, KERNEL = (1, 16, 14, 14, 1, 16), (16, 16, 3, 3, 16, 16)


@pytest.mark.parametrize(
    ("workload", "changes", "says"),
    [
        (C8, {0: ("TENSOR", DATA, "int16")}, "data is int16, the hardware has int8"),
        (C8, {0: ("TENSOR", (1, 256, 14, 14), "int8")}, "data has 4 axes, packed ones have 6"),
        (C8, {0: ("TENSOR", (1, 8, 14, 14, 1, 32), "int8")}, "blocks of 1x32, the hardware has"),
        (C8, {1: ("TENSOR", (16, 8, 3, 3, 16, 16), "int8")}, "kernel has 128 input channels"),
        (C8, {3: (1, 1, 2, 2)}, "pads both sides"),
        (C8, {3: (0, 1)}, "upstream drops horizontal padding"),
        (C8, {4: (2, 2)}, "dilation is (2, 2)"),
        (C8, {6: "int16"}, "out_dtype is int16"),
        (C8, {2: 1}, "are not the template's"),
        (DENSE, {2: ("TENSOR", (10,), "int32")}, "ignores its bias argument"),
        (OTHERS[0], {5: 0}, "are not the template's"),
    ],
)
def test_what_is_not_vtas_is_refused(workload, changes, says):
    with pytest.raises(WorkloadError) as caught:
        workload_of(_with(workload, changes))
    assert says in str(caught.value)


def test_padding_by_two_and_by_four():
    assert workload_of(_with(C8, {3: (1, 1)})) == workload_of(_with(C8, {3: (1, 1, 1, 1)}))


@autotvm.template("not_vta")
def _not_vta(n):
    cfg = autotvm.get_config()
    cfg.define_split("tile_x", cfg.axis(n), num_outputs=2)
    cfg.add_flop(n)
    out = te.compute((n,), lambda i: i, name="out")
    return te.create_schedule(out.op), [out]


def test_another_task_needs_a_workload():
    task = autotvm.task.create("not_vta", args=(64,), target="ext_dev")
    with pytest.raises(WorkloadError, match="'not_vta' is none of VTA's"):
        workload_of(task)
    with pytest.raises(ConfigError, match="has the knobs tile_x; VTA's are tile_b, tile_h"):
        check_knobs(task, KnobSpace.of(C8, VTAConfig()))


def test_other_candidates_are_refused():
    with pytest.raises(ConfigError) as caught:
        check_knobs(create_task(C8), KnobSpace.of(RESNET[0], VTAConfig()))
    assert "tile_h has the candidates [1, 2, 7, 14]; the workload's are [1, 2, 4, 7," in str(
        caught.value
    )


def test_another_order_is_refused():
    task = create_task(C8)
    task.config_space.space_map.move_to_end("tile_b")
    with pytest.raises(ConfigError, match="has the knobs tile_h, tile_w"):
        check_knobs(task, KnobSpace.of(C8, VTAConfig()))
