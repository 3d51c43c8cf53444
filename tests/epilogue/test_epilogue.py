"""Epilogues: the value, and every part of the package against what the real stack did."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.golden import cause_of, names
from tests.support.strategies import layers
from tests.support.truth import epilogues
from vtacsp import Conv2D, Dense, KnobSpace, Problem, VTAConfig, WorkloadError, build, compile
from vtacsp import workload_from_dict as load
from vtacsp.epilogue.steps import DEFAULT, WITH_BIAS, Epilogue
from vtacsp.errors import SpaceError
from vtacsp.functional import execute, random_operands, reference, verdict
from vtacsp.space.cpsat import enumerate_feasible
from vtacsp.space.explanation import explain
from vtacsp.timing import Simulator, robust
from vtacsp.tune import Record, Result, Task, cycle_bounds

NAMES = names("epilogue")
EVERY = 37  # of the rows that ran, how many are executed here
HW = VTAConfig()
CAST = {"op": "cast", "dtype": "int8"}
SHIFT = {"op": "shift_right", "by": 8}


def layer(*steps, **sizes):
    base = {
        "name": "layer", "op": "conv2d", "batch": 1, "in_channels": 32, "height": 4, "width": 4,
        "out_channels": 32, "kernel": [1, 1], "epilogue": [*steps],
    }  # fmt: skip
    return load({**base, **sizes})


# ---------------------------------------------------------------- the real stack, row by row


@pytest.mark.parametrize("name", NAMES)
def test_feasible_sets_and_first_causes_are_those_of_the_stack(name):
    case = epilogues()[name]
    assert tuple(case.problem.causes(case.indices)) == case.causes
    space = compile(case.workload, case.hardware, stack_only=True)
    assert space.indices.tolist() == case.feasible
    assert len(space) == case.raw["valid"]


@pytest.mark.parametrize("name", NAMES)
def test_builder_stops_where_the_stack_stops_and_counts_what_it_counted(name):
    case = epilogues()[name]
    got = [cause_of(case.workload, case.hardware, i) for i in case.indices]
    assert got == [c if c != "wrong_result" else "ok" for c in case.causes]
    rows = case.raw["rows"]
    assert rows["index"] == [i for i, c in enumerate(case.causes) if c in ("ok", "wrong_result")]
    for row, index in enumerate(rows["index"]):
        counters = build(case.workload, case.hardware, index).counters()
        expected = {column: values[row] for column, values in rows.items() if column != "index"}
        assert {column: counters[column] for column in expected} == expected, index


@pytest.mark.parametrize("name", NAMES)
def test_outputs_are_right_where_the_stack_was_right(name):
    case = epilogues()[name]
    operands = random_operands(case.workload, case.hardware)
    right = reference(case.workload, case.hardware, operands)
    assert len(np.unique(right)) > 8
    for index in case.raw["rows"]["index"][::EVERY]:
        program = build(case.workload, case.hardware, index)
        output = execute(program, operands).output
        assert np.array_equal(output, right) == (case.causes[index] == "ok"), index


@pytest.mark.parametrize("name", ["A6.dense-bias-res-relu", "A8.k3-two-bias", "X7.sub-tensor"])
def test_cp_sat_enumerates_the_same_set(name):
    case = epilogues()[name]
    assert enumerate_feasible(case.problem) == case.feasible


@pytest.mark.parametrize("name", ["A1.k3-real-relu", "A3.k1-wide-res-before", "A10.k1-shift-only"])
def test_the_cycle_bound_is_a_bound(name):
    case = epilogues()[name]
    chosen = np.array(case.feasible[::9])
    bounds = cycle_bounds(case.problem, chosen)
    cycles = Simulator(case.workload, case.hardware).cycles_many(chosen.tolist())
    assert (bounds <= cycles).all()
    assert (bounds > 0.5 * cycles).all()


# ---------------------------------------------------------------- rules and builder, random chains

constants = st.sampled_from([-40000, -300, -1, 0, 1, 3, 127, 512, 32767, 32768, 49152, 70000])
operands = st.sampled_from(["channel", "channel", "tensor", "tensor", "tensor8", "self"])
arithmetic = (
    st.tuples(st.sampled_from(["add", "add", "max", "min", "mul", "sub"]), operands)
    .filter(lambda pair: pair != ("sub", "self"))
    .map(lambda pair: {"op": pair[0], "operand": pair[1]})
)
constant = (
    st.tuples(st.sampled_from(["add", "mul", "max", "min", "sub"]), constants)
    .filter(lambda pair: pair != ("mul", 0))
    .map(lambda pair: {"op": pair[0], "value": pair[1]})
)
shifts = st.tuples(st.sampled_from(["shift_right", "shift_left"]), st.integers(0, 12)).map(
    lambda pair: {"op": pair[0], "by": pair[1]}
)
chains = st.lists(st.one_of(arithmetic, constant, shifts), max_size=5).map(
    lambda steps: Epilogue.from_list([*steps, {"op": "cast"}])
)


@settings(max_examples=150)
@given(layers(), chains, st.data())
def test_builder_and_rules_agree_on_random_chains(machine, chain, data):
    """Two oracles that share the passes of a chain and nothing else."""
    workload = replace(machine[0], bias=False, epilogue=chain)
    hardware = machine[1]
    index = data.draw(st.integers(0, len(KnobSpace.of(workload, hardware)) - 1))
    got = verdict(workload, hardware, index)
    cause = Problem(workload, hardware).causes([index])[0]
    if got == cause:
        return
    # right by luck: the operands drawn do not reach where the constant was cut, and what
    # tests/functional/test_functional.py says of scratchpads and instructions
    assert (got, cause) in {("ok", "wrong_result"), ("ok", "race"), ("race", "wrong_result")}
    config = KnobSpace.of(workload, hardware).config(index)
    broken = {v.rule for v in explain(Problem(workload, hardware), config).violations}
    assert broken <= {
        "alu_immediate", "uop_eviction", "dma_empty", "transpose_overflow", "isa:instruction",
        "race",
    }  # fmt: skip


# ---------------------------------------------------------------- the value


def test_json_goes_in_and_out():
    for case in epilogues().values():
        assert case.workload.to_dict()["epilogue"] == case.raw["workload"]["epilogue"]
        assert load(case.workload.to_dict()) == case.workload
    plain = Dense(batch=1, in_features=16, out_features=16)
    assert "epilogue" not in plain.to_dict()
    assert plain.chain is DEFAULT
    assert replace(plain, bias=True).chain is WITH_BIAS


def test_the_default_spelled_out_is_the_default():
    spelled = [SHIFT, {"op": "add", "operand": "channel"}, {"op": "min", "value": 127},
               {"op": "max", "value": 0}, CAST]  # fmt: skip
    ours, default = layer(*spelled), replace(layer(CAST), epilogue=None, bias=True)
    assert compile(ours).indices.tolist() == compile(default).indices.tolist()
    for index in compile(ours).indices.tolist():
        one, other = build(ours, HW, index), build(default, HW, index)
        assert np.array_equal(one.instructions, other.instructions)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"op": "exp"}, "epilogue[1]: op is 'exp', known are add, sub, mul"),
        ({"op": "add"}, "epilogue[1]: add takes a value or an operand, one of both"),
        ({"op": "add", "value": 1, "operand": "channel"}, "one of both"),
        ({"op": "add", "value": 1.5}, "add: value must be an integer of -2147483648 to"),
        ({"op": "add", "value": 1 << 31}, "got 2147483648"),
        ({"op": "add", "operand": "row"}, "operand is 'row', known are channel"),
        ({"op": "mul", "value": 0}, "nothing of the operator would be left"),
        ({"op": "sub", "operand": "self"}, "nothing of the operator would be left"),
        ({"op": "shift_right", "by": 32}, "by must be an integer of 0 to 31, got 32"),
        ({"op": "shift_left"}, "epilogue[1]: shift_left: by is missing"),
        ({"op": "clip", "min": 0, "max": True}, "clip: max must be an integer"),
        ({"op": "cast", "dtype": "float32"}, "dtype is 'float32', known are int8"),
        ({"op": "add", "value": 1, "by": 2}, "add: unknown key 'by'"),
        ("add", "epilogue[1]: a step is a JSON object, got 'add'"),
    ],
)
def test_a_bad_step_is_one_clear_error(step, message):
    with pytest.raises(WorkloadError) as error:
        layer(SHIFT, step, CAST)
    assert message in str(error.value)
    assert str(error.value).startswith("layer: epilogue[1]: ")


def test_a_bad_chain_is_one_clear_error():
    for epilogue, message in (
        ([], "layer: epilogue has no steps"),
        ("cast", "epilogue is a list of steps, got 'cast'"),
        ([{"op": "add", "value": 1}] * 25, "has 25 ALU operations, at most 24"),
    ):
        with pytest.raises(WorkloadError, match=message.replace("(", r"\(")):
            layer(epilogue=epilogue)
    with pytest.raises(WorkloadError, match="bias is true: with an epilogue it is a step"):
        layer(CAST, bias=True)


@pytest.mark.parametrize(
    ("steps", "cut"),
    [
        # on the real stack (TVM 0.17) each of these computed right (0) or wrong (1) numbers
        ([SHIFT, {"op": "clip", "min": -127, "max": 127}, {"op": "min", "value": 70000}], 0),
        (
            [
                {"op": "add", "value": 65536},
                {"op": "shift_left", "by": 3},
                {"op": "mul", "value": 5},
            ],
            0,
        ),
        ([{"op": "max", "value": 40000}, SHIFT], 1),
        ([SHIFT, {"op": "max", "value": -32769}], 1),
        ([{"op": "max", "value": -(1 << 31)}, SHIFT], 0),
        ([{"op": "min", "value": (1 << 31) - 1}, SHIFT], 0),
        ([{"op": "mul", "value": -3}, SHIFT], 0),
        ([{"op": "sub", "value": -5}, SHIFT], 0),
        ([{"op": "mul", "operand": "self"}, SHIFT], 0),
    ],
)
def test_constants_that_are_cut(steps, cut):
    workload = layer(*steps, CAST)
    assert verdict(workload, HW, 0) == ("wrong_result" if cut else "ok")
    assert Problem(workload, HW).causes([0]) == ["wrong_result" if cut else "ok"]


def test_what_the_store_cannot_do():
    assert Problem(layer(SHIFT), HW).causes([0]) == ["other"] == [cause_of(layer(SHIFT), HW, 0)]
    wide = layer(SHIFT, {"op": "clip", "min": -9, "max": 9}, {"op": "cast", "dtype": "int16"})
    assert Problem(wide, HW).causes([0]) == ["wrong_result"]
    assert verdict(wide, HW, 0) == "wrong_result"


def test_an_explanation_names_the_stage():
    workload = layer(SHIFT, {"op": "sub", "value": 100}, CAST)
    space = compile(workload)
    (violation,) = space.explain(space.knob_space.config(0)).violations
    assert "alu_subtraction: stage 2 of the epilogue subtracts" in str(violation)


# ---------------------------------------------------------------- logs and the robust choice


def test_a_layer_with_another_epilogue_is_another_task_and_its_record_comes_back():
    case = epilogues()["A2.k3-res-after"]
    task = Task.of(case.workload, case.hardware)
    plain = Task.of(replace(case.workload, epilogue=None), case.hardware)
    assert task.args == plain.args  # AutoTVM's own key
    assert not task.matches(plain)
    record = Record(task, 0, case.problem.knob_space.config(0), Result((1e-3,)), "A2")
    again = Record.decode(record.encode())
    assert again == record
    assert again.task.epilogue == case.workload.epilogue
    assert "epilogue" not in Record(plain, 0, record.config, record.result).encode()


def test_the_robust_choice_runs_under_every_epilogue():
    residual = epilogues()["A2.k3-res-after"].workload
    plain = replace(residual, name="plain", epilogue=None)
    choice = robust([plain, residual], counts=[3, 1])
    both = set(compile(plain).indices) & set(compile(residual).indices)
    assert choice.indices.tolist() == sorted(both)
    cycles = {
        i: 3 * Simulator(plain).cycles(i) + Simulator(residual).cycles(i) for i in sorted(both)
    }
    assert cycles[choice.best] == min(cycles.values())
    assert choice.price >= 0
    assert choice.best_config == compile(plain).knob_space.config(choice.best)


def test_a_robust_choice_of_nothing_is_one_clear_error():
    plain = Conv2D(in_channels=16, height=4, width=4, out_channels=16, kernel=(1, 1))
    with pytest.raises(SpaceError, match="no workloads"):
        robust([])
    with pytest.raises(SpaceError, match="are different layers"):
        robust([plain, replace(plain, height=8)])
    with pytest.raises(SpaceError, match="a positive one per workload"):
        robust([plain], counts=[0])
    never = replace(plain, epilogue=Epilogue.from_list([{"op": "sub", "value": 1}, CAST]))
    with pytest.raises(SpaceError, match="no configuration runs under every epilogue"):
        robust([plain, never])
