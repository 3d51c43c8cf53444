"""The rule ``race``: the measured programs, the detector, and every legal order of the modules."""

from __future__ import annotations

import csv
import io
import json
import random
from collections import Counter

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings

from tests.support.golden import races
from tests.support.strategies import feasible_layers, layers_with
from tests.support.truth import measured
from vtacsp import Conv2DTranspose, Problem, VTAConfig, build, compile
from vtacsp.cli import main
from vtacsp.functional import execute, random_operands, reference, verdict
from vtacsp.functional.interpreter import EAGER, IN_TURNS, LAZY
from vtacsp.operators.catalogue import catalogue

ORDERS = (IN_TURNS, EAGER, LAZY)


def test_the_rule_refuses_every_measured_race_and_nothing_else_does():
    cases = races()
    assert len(cases) == 295
    for workload, index in cases:
        assert Problem(workload, VTAConfig()).causes([index]) == ["race"]
        assert Problem(workload, VTAConfig(), stack_only=True).causes([index]) == ["ok"]


def test_the_detector_finds_the_measured_races_and_the_stack_does_not():
    for workload, index in races()[::5]:
        assert verdict(workload, VTAConfig(), index) == "race"
        assert verdict(workload, VTAConfig(), index, stack_only=True) == "ok"


def test_a_measured_race_computes_something_else_in_another_order():
    for workload, index in races()[1::6]:
        program, operands = (
            build(workload, VTAConfig(), index),
            random_operands(workload, VTAConfig()),
        )
        right = reference(workload, VTAConfig(), operands)
        wrong = [
            order
            for order in ORDERS
            for seed in range(3)
            if (execute(program, operands, order=order, seed=seed).output != right).any()
        ]
        assert wrong
        assert IN_TURNS not in wrong


def of_the_stack(problem):
    return Problem(problem.workload, problem.hardware, stack_only=True)


def threaded(problem):
    """Configurations of the stack's set with a virtual thread."""
    indices = problem.feasible_indices()
    columns = problem.knob_space.columns(indices)
    return indices[columns["oc_nthread"] * columns["h_nthread"] > 1].tolist()


@settings(max_examples=50)
@given(layers_with(lambda problem: threaded(of_the_stack(problem)), ("conv2d_transpose",)))
def test_rule_and_detector_agree_on_transposed_layers(layer):
    workload, hardware, index = layer
    assert Problem(workload, hardware).causes([index]) == [verdict(workload, hardware, index)]


@settings(max_examples=60)
@given(feasible_layers(("conv2d", "group_conv2d", "dense")))
def test_nothing_feasible_of_the_other_operators_races(layer):
    assert verdict(*layer) == "ok"


def small_layers(seed, number):
    """Transposed layers whose tiles are rounded up often, on the default machine."""
    rng = random.Random(seed)
    for _ in range(number):
        yield Conv2DTranspose(
            name="small",
            in_channels=16 * rng.randint(1, 2),
            height=rng.randint(1, 4),
            width=rng.randint(1, 4),
            out_channels=16 * rng.randint(1, 4),
            kernel=(rng.randint(2, 4), rng.randint(2, 4)),
            stride=(rng.randint(1, 3), rng.randint(1, 3)),
            bias=rng.random() < 0.8,
        )


def rounded_up(problem, index):
    config = problem.knob_space.config(index)
    return config["tile_h"] % min(config["tile_h"], 4) or config["tile_w"] % min(
        config["tile_w"], 2
    )


def test_harmless_accesses_are_kept_and_change_nothing_in_any_order():
    """Threads that work past their tile, where nothing lives: every order, whatever was there."""
    hardware, seen = VTAConfig(), Counter()
    for workload in small_layers(seed=3, number=160):
        problem = Problem(workload, hardware, stack_only=True)
        past = [index for index in threaded(problem) if rounded_up(problem, index)]
        for index, cause in zip(past, Problem(workload, hardware).causes(past), strict=True):
            seen[cause] += 1
            if cause != "ok" or seen[cause] > 40:
                continue
            program, operands = (
                build(workload, hardware, index),
                random_operands(workload, hardware),
            )
            right = reference(workload, hardware, operands)
            for order in ORDERS:
                result = execute(program, operands, order=order, seed=order + 1)
                assert np.array_equal(result.output, right), (workload, index, order)
    assert seen["ok"] > 40
    assert seen["race"] > 40


def test_the_switch_leaves_the_set_of_the_stack():
    assert "race" in {rule.name for rule in catalogue("conv2d_transpose")}
    for case in measured():
        with_rule = set(compile(case.workload, case.hardware).indices.tolist())
        stack = set(compile(case.workload, case.hardware, stack_only=True).indices.tolist())
        assert with_rule <= stack
        assert with_rule == stack or case.workload.op == "conv2d_transpose"


@pytest.mark.parametrize("index", [33])
def test_a_race_is_explained(index):
    (workload,) = [w for w, i in races()[:1] if i == index]
    space = compile(workload)
    explanation = space.explain(space.knob_space.config(index))
    assert explanation.cause == "race"
    assert [violation.rule for violation in explanation.violations] == ["race"]
    assert "right in upstream's simulator, not on the hardware: race" in str(explanation)
    assert "another thread" in explanation.violations[0].message
    assert space.knob_space.config(index) not in space


def test_the_command_line_has_the_switch(tmp_path):
    workload, index = races()[0]
    layer = tmp_path / "layer.json"
    layer.write_text(json.dumps(workload.to_dict()))

    def run(*words):
        result = CliRunner().invoke(main, [*words, "--format", "csv"], prog_name="vtacsp")
        return result.exit_code, list(csv.DictReader(io.StringIO(result.stdout)))

    for flags, cause, code in (((), "race", 3), (("--stack-only",), "ok", 0)):
        space = compile(workload, stack_only=bool(flags))
        exit_code, (row,) = run("check", str(layer), "--index", str(index), *flags)
        assert (exit_code, row["cause"]) == (code, cause)
        _, rows = run("enumerate", str(layer), *flags)
        assert [int(row["index"]) for row in rows] == space.indices.tolist()
        _, rows = run("sample", str(layer), "-n", str(len(space)), *flags)
        assert sorted(int(row["index"]) for row in rows) == space.indices.tolist()
        _, (row,) = run("report", str(layer), *flags)
        assert int(row["feasible"]) == len(space)
        assert int(row["first_race"]) == (0 if flags else 2)
