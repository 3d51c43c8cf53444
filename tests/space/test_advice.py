"""Advice is optimal: checked against every machine within reach; cores are minimal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from tests.support.strategies import configured_layers
from vtacsp import (
    ConfigError,
    HardwareSpace,
    Problem,
    Rule,
    SpaceError,
    VTAConfig,
    advise,
    compile,
    find_workloads,
)
from vtacsp.rules.symbols import tile_ci, tile_h
from vtacsp.space.cpsat import minimal_core

C8 = find_workloads("resnet18.C8")[0]
SIZES = ("LOG_UOP_BUFF_SIZE", "LOG_INP_BUFF_SIZE", "LOG_WGT_BUFF_SIZE", "LOG_ACC_BUFF_SIZE")


def reach(hardware, by=2):
    return {k: range(max(hardware.symbols[k] - by, 0), hardware.symbols[k] + by + 1) for k in SIZES}


def cost(hardware, machine):
    changes = sum(abs(machine.symbols[k] - hardware.symbols[k]) for k in SIZES)
    return changes, sum(1 << machine.symbols[k] for k in SIZES)


def best(workload, hardware, enough):
    costs = [cost(hardware, m) for m in HardwareSpace(hardware, **reach(hardware)) if enough(m)]
    return min(costs, default=None)


@settings(max_examples=12)
@given(configured_layers())
def test_the_smallest_change_for_a_configuration(case):
    workload, hardware, index = case
    config = compile(workload, hardware).knob_space.config(index)
    advice = advise(workload, hardware, config=config, free=reach(hardware))
    expected = best(workload, hardware, lambda m: Problem(workload, m).causes([index]) == ["ok"])
    if expected is None:
        assert advice.hardware is None
        assert advice.core
        one = "does not hold with any of them" if len(advice.core) == 1 else "cannot hold together"
        assert one in str(advice)
    else:
        assert cost(hardware, advice.hardware) == expected
        assert config in compile(workload, advice.hardware)
        assert advice.feasible == len(compile(workload, advice.hardware))
        assert set(advice.changes) == {
            k for k in SIZES if advice.hardware.symbols[k] != hardware.symbols[k]
        }


@pytest.mark.parametrize("k", [1, 60, 100])
def test_the_smallest_change_for_enough_configurations(k):
    hardware = VTAConfig().replace(LOG_ACC_BUFF_SIZE=10, LOG_WGT_BUFF_SIZE=13)
    advice = advise(C8, hardware, at_least=k, free=reach(hardware, 3))
    costs = [
        cost(hardware, m)
        for m in HardwareSpace(hardware, **reach(hardware, 3))
        if len(compile(C8, m)) >= k
    ]
    if costs:
        assert cost(hardware, advice.hardware) == min(costs)
        assert advice.feasible >= k
    else:
        assert advice.hardware is None


def test_a_machine_that_does_it_already_is_left_alone():
    advice = advise(C8)
    assert advice.hardware == VTAConfig()
    assert advice.changes == {}
    assert str(advice) == "resnet18.C8: to run at all: the hardware as it is (103 feasible)"


def test_a_number_out_of_reach_is_answered_with_the_largest():
    advice = advise(C8, at_least=10**6)
    assert advice.hardware is None
    assert advice.feasible >= 103
    assert f"at most {advice.feasible} are feasible" in str(advice)


def test_the_core_names_rules_that_conflict_and_none_is_superfluous():
    rules = [
        Rule.of("deep", tile_ci == 16),
        Rule.of("flat", tile_h == 1),
        Rule.of("idle", tile_h < 99),
    ]
    problem = Problem(C8, VTAConfig(), rules)
    core = minimal_core(problem)
    assert core
    assert "idle" not in core
    assert (
        len(problem.with_rules(r for r in problem.rules if r.name in core).feasible_indices()) == 0
    )
    for name in core:
        rest = [r for r in problem.rules if r.name in core and r.name != name]
        assert len(problem.with_rules(rest).feasible_indices()) > 0
    advice = advise(C8, rules=rules)
    assert advice.hardware is None
    assert set(advice.core) == set(core)


def test_there_is_no_core_where_something_is_feasible():
    assert minimal_core(Problem(C8, VTAConfig())) == []


def test_questions_that_make_no_sense_are_refused():
    config = compile(C8)[0]
    with pytest.raises(SpaceError, match="not for both"):
        advise(C8, config=config, at_least=2)
    with pytest.raises(SpaceError, match="at_least is 0"):
        advise(C8, at_least=0)
    with pytest.raises(ConfigError, match="tile_h is 3"):
        advise(C8, config={**config, "tile_h": 3})
