"""Configurations and schedules are two forms of one thing, and a schedule changes no number."""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtacsp
from tests.support.strategies import OPERATORS, feasible_layers
from vtacsp import ConfigError, KnobSpace, WorkloadError, random_operands, reference
from vtacsp.epilogue.steps import Epilogue
from vtacsp.functional import execute
from vtacsp.operators.conv2d.tiling import Tiling
from vtacsp.operators.conv2d_transpose.program import as_convolution

pytest.importorskip("tvm.s_tir.meta_schedule", reason="needs the extra tvm: pip install '.[tvm]'")
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from tests.support.tir import HARDWARE, LAYERS, run, scheduled
from vtacsp.metaschedule import apply, config_of, prim_func, problem_of, with_config

every_layer = pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)


@every_layer
@pytest.mark.parametrize("bias", [False, True])
def test_the_tir_computes_the_operator(layer, bias):
    layer = replace(layer, bias=bias)
    operands = random_operands(layer, HARDWARE)
    output = run(prim_func(layer), layer, HARDWARE, operands)
    assert np.array_equal(output, reference(layer, HARDWARE, operands))


RESIDUAL = Epilogue.from_list(
    [
        {"op": "shift_right", "by": 8},  # a product of 32 bits that overflows is undefined in TIR
        {"op": "mul", "operand": "self"},
        {"op": "shift_right", "by": 12},
        {"op": "add", "operand": "channel"},
        {"op": "max", "operand": "tensor", "left": True},
        {"op": "shift_left", "by": 1},
        {"op": "add", "operand": "tensor"},
        {"op": "clip", "min": -127, "max": 127},
        {"op": "cast", "dtype": "int8"},
    ]
)


@every_layer
def test_the_tir_runs_the_epilogue_and_so_does_its_schedule(layer):
    layer = replace(layer, bias=False, epilogue=RESIDUAL)
    operands = random_operands(layer, HARDWARE)
    right = reference(layer, HARDWARE, operands)
    assert len(np.unique(right)) > 8
    function, space = prim_func(layer), vtacsp.compile(layer, HARDWARE)
    assert np.array_equal(run(function, layer, HARDWARE, operands), right)
    module = scheduled(function, space[len(space) // 2]).mod
    assert np.array_equal(run(module, layer, HARDWARE, operands), right)


def test_an_epilogue_that_never_runs_has_no_tir():
    never = Epilogue.from_list([{"op": "shift_right", "by": 8}])
    layer = replace(LAYERS["dense"], bias=False, epilogue=never)
    with pytest.raises(WorkloadError, match="must have a cast to int8 as its last step"):
        prim_func(layer)


@pytest.mark.parametrize("operator", OPERATORS)
@settings(max_examples=8)
@given(data=st.data())
def test_a_feasible_schedule_computes_the_same_as_tir_and_program(operator, data):
    layer, hardware, index = data.draw(feasible_layers((operator,)))
    config = KnobSpace.of(layer, hardware).config(index)
    operands = random_operands(layer, hardware)
    function = prim_func(layer, hardware)
    output = run(scheduled(function, config).mod, layer, hardware, operands)
    program = vtacsp.build(layer, hardware, config)
    # a rounded-up tile of the transposed convolution may race where nothing lives
    result = execute(program, operands, races=operator != "conv2d_transpose")
    assert np.array_equal(output, run(function, layer, hardware, operands))
    assert np.array_equal(output, result.output)


@every_layer
def test_a_configuration_survives_every_form(layer):
    function, space = prim_func(layer), KnobSpace.of(layer, HARDWARE)
    template = Schedule(function)
    apply(template)
    for index in range(0, len(space), len(space) // 10):
        config = space.config(index)
        sch = scheduled(function, config)
        trace = with_config(template.trace, config)
        assert config_of(sch) == config_of(sch.mod) == config_of(trace) == config
        copy = Schedule(function)
        trace.apply_json_to_schedule(trace.simplified(True).as_json(), copy)
        assert config_of(copy.mod) == config


@every_layer
def test_sampling_has_the_candidates_of_the_knob_space(layer):
    sch = Schedule(prim_func(layer))
    apply(sch)
    samples = [i for i in sch.trace.insts if i.kind.name.startswith("Sample")]
    knobs = KnobSpace.of(layer, HARDWARE).knobs
    assert list(config_of(sch)) == [knob.name for knob in knobs]
    for knob, sample in zip(knobs, samples, strict=True):
        if knob.name.startswith("tile"):
            extent, largest = prod(map(int, sch.trace.get_decision(sample))), int(sample.attrs[1])
            assert extent == largest == knob.values[-1]
        else:
            assert tuple(map(int, sample.attrs[0])) == knob.values


def tiling_of(layer, config):
    """A transposed convolution is a convolution of the dilated input."""
    symbols = layer.symbols(HARDWARE)
    if layer.op == "conv2d_transpose":
        symbols = as_convolution(symbols)
    return Tiling(symbols, HARDWARE, config)


@pytest.mark.parametrize("name", ["conv", "plain", "grouped", "transposed"])
def test_tiles_and_threads_are_those_of_the_program(name):
    layer = LAYERS[name]
    for config in vtacsp.compile(layer).sample(10):
        sch, tiling = scheduled(prim_func(layer), config), tiling_of(layer, config)
        block = HARDWARE.block
        size = {
            "acc": {tiling.acc_tile * block, tiling.co1 * block if layer.bias else 0},
            "out": {tiling.acc_tile * block},
            "inp": {tiling.inp_tile * block},
            "wgt": {tiling.wgt_tile * block * block},
        }
        seen = set()
        for stage in sch.get_child_blocks(sch.get_sblock("root")):
            extents = [int(sch.get(loop).extent) for loop in sch.get_loops(stage)]
            scope = sch.get(stage).annotations.get("vta.scope")
            if scope is None:
                continue  # the CPU dilates
            threads = [config["oc_nthread"], config["h_nthread"]]
            tiles = [tiling.h0, tiling.co0, tiling.w0]
            tiles = [tiles[0] // threads[1], tiles[1] // threads[0], tiles[2]]
            assert extents[:6] == [*threads, 1, *tiles]
            if sch.get(stage).name_hint != "gemm_update":
                assert prod(extents[-6 if scope != "out" else -5 :]) in size[scope]
            seen.add(scope)
        assert seen == set(size)


def test_the_function_knows_its_workload_and_machine():
    hardware = HARDWARE.replace(LOG_INP_BUFF_SIZE=14)
    function = prim_func(LAYERS["conv"], hardware)
    assert problem_of(function) == problem_of(IRModule({"main": function}))
    assert problem_of(function) == (LAYERS["conv"], hardware)


def test_what_is_not_ours_is_refused():
    function = prim_func(LAYERS["dense"])
    with pytest.raises(ConfigError, match=r"vtacsp\.metaschedule\.prim_func"):
        problem_of(function.without_attr("vta.workload"))
    with pytest.raises(ConfigError, match="no schedule of vtacsp"):
        config_of(Schedule(function))
    with pytest.raises(ConfigError, match="no schedule of vtacsp"):
        config_of(IRModule({"main": function}))
    with pytest.raises(ConfigError, match="tile_b is 3, allowed are 1, 2, 4"):
        scheduled(function, {"tile_b": 3, "tile_ci": 1, "tile_co": 1, "oc_nthread": 1})
    sch = Schedule(function)
    apply(sch)
    config = config_of(sch)
    with pytest.raises(ConfigError, match="tile_b is 3, allowed are the divisors of 4"):
        with_config(sch.trace, {**config, "tile_b": 3})
    with pytest.raises(ConfigError, match="oc_nthread is 3, allowed are 1, 2"):
        with_config(sch.trace, {**config, "oc_nthread": 3})
    with pytest.raises(ConfigError, match="the knobs of the trace are tile_b"):
        with_config(sch.trace, {**config, "h_nthread": 1})
