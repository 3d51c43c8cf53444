"""The bar: what we hand out is exactly what the real stack builds, runs and computes right."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

from tests.support.golden import names
from tests.support.truth import measured, truth
from vtacsp import compile
from vtacsp.space.cpsat import enumerate_feasible

NAMES = names("truth")


@pytest.mark.parametrize("name", NAMES)
def test_feasible_set_is_the_rows_that_are_ok(name):
    case = truth()[name]
    space = compile(case.workload, case.hardware, stack_only=True)
    assert space.indices.tolist() == case.feasible
    assert space.count() == case.raw["valid"]


@pytest.mark.parametrize("name", NAMES)
def test_first_cause_is_what_the_stack_reported(name):
    case = truth()[name]
    assert tuple(case.problem.causes(case.indices)) == case.causes


@pytest.mark.parametrize("name", NAMES)
def test_index_and_candidates_are_those_of_autotvm(name):
    case = truth()[name]
    knob_space = case.problem.knob_space
    assert {k.name: list(k.values) for k in knob_space.knobs} == case.raw["candidates"]
    columns = knob_space.columns(np.arange(len(knob_space)))
    rows = zip(range(len(knob_space)), *(c.tolist() for c in columns.values()), strict=True)
    table = "\n".join(",".join(map(str, row)) for row in rows)
    assert hashlib.sha256(table.encode()).hexdigest() == case.raw["rows_sha"]


@pytest.mark.parametrize("name", NAMES)
def test_cp_sat_enumerates_the_same_set(name):
    case = truth()[name]
    assert enumerate_feasible(case.problem) == case.feasible


def test_random_machines_and_workloads_measured_on_the_real_stack():
    wrong = Counter()
    for case in measured():
        ours = case.problem.causes(case.indices)
        wrong.update(
            (case.workload.name, theirs, mine)
            for theirs, mine in zip(case.causes, ours, strict=True)
            if theirs != mine
        )
    assert not wrong


def test_the_golden_data_exercises_every_cause():
    seen = {cause for case in [*truth().values(), *measured()] for cause in case.causes}
    assert seen == {
        "ok", "tensorize", "lowering", "vthread_split", "dma_clip", "dma_pad", "dma_2d:inp",
        "dma_2d:acc", "sram:inp", "sram:wgt", "sram:acc", "sram:uop", "alu_pattern",
        "uop_signature", "uop_hazard", "wrong_result",
    }  # fmt: skip
