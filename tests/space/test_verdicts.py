"""The table of verdicts: every configuration's first cause, made once however many ask."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.truth import truth
from vtacsp import Problem, Rule, compile, statistics
from vtacsp.report.feasibility import FeasibilityMap
from vtacsp.rules.symbols import oc_nthread
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.verdicts import verdicts

LAYERS = ["small.conv3x3", "d-small", "dcgan.small", "group.small", "batch2.k1-bias"]
INERT = Rule.of("no_threads", oc_nthread == 1, "one thread")


@pytest.mark.parametrize("rules", [(), (INERT,)], ids=["catalogue", "user"])
@pytest.mark.parametrize("name", LAYERS)
def test_the_table_says_what_is_said_of_each_configuration(name, rules):
    case = truth()[name]
    space = compile(case.workload, case.hardware, rules=rules)
    problem, grid = space.problem, space.knob_space
    table = verdicts(space)
    everything = np.arange(len(grid))
    config = grid.columns(everything)
    digits = tuple(
        np.searchsorted(np.array(knob.values), config[knob.name]) for knob in table.knobs
    )
    first = table.first[digits]
    assert (first == problem.first_violations(everything)).all()
    assert (np.flatnonzero(first < 0) == space.indices).all()
    assert (table.broken == problem.violations(everything).sum(axis=1)).all()
    assert table.reported().sum() == len(grid) - len(space)
    assert table.times * table.first.size == len(grid)


def test_statistics_and_map_evaluate_the_rules_once(monkeypatch):
    case = truth()["small.conv3x3"]
    space = FeasibleSpace.of(Problem(case.workload, case.hardware))
    calls = []
    evaluate = Problem.verdicts
    monkeypatch.setattr(
        Problem, "verdicts", lambda self, indices: calls.append(1) or evaluate(self, indices)
    )
    monkeypatch.setattr(Problem, "first_violations", None)
    FeasibilityMap.of(space)
    statistics(space)
    statistics(space)
    assert calls == [1]
