"""The compiled space as a sequence: ranks, samples, neighbours, explanations, user rules."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import vtacsp
from tests.support.strategies import configured_layers, feasible_layers, layers
from tests.support.truth import truth
from vtacsp import ConfigError, Rule, RuleError, SpaceError, compile, quantity, statistics
from vtacsp.rules.symbols import h_nthread, oc_nthread, tile_ci
from vtacsp.space.cpsat import enumerate_feasible

C8 = compile(vtacsp.find_workloads("resnet18.C8")[0])
SMALL = compile(vtacsp.find_workloads("resnet18.C11")[0])


def steps(space, one, other):
    return sum(
        abs(k.position(one[k.name]) - k.position(other[k.name])) for k in space.knob_space.knobs
    )


@settings(max_examples=30)
@given(layers())
def test_ranks_indices_and_configurations_are_one_order(layer):
    space = compile(*layer)
    assert len(space) == space.count() == len(list(space))
    for rank, config in enumerate(space):
        assert space[rank] == config
        assert config in space
        assert space.rank(config) == space.rank(space.index(rank)) == rank
    assert sorted(space.indices.tolist()) == space.indices.tolist()


def test_a_space_collapses_to_its_distinct_programs():
    fields = {**SMALL.workload.to_dict(), "batch": 6}
    space = compile(vtacsp.workload_from_dict(fields))
    collapsed = space.collapsed()
    assert len(space) == 4 * len(SMALL)  # tile_b has four candidates, and no effect
    assert space.programs() == collapsed.programs() == len(collapsed) == len(SMALL)
    assert all(config["tile_b"] == 1 for config in collapsed)
    assert all(config in space for config in collapsed)
    rule = Rule.of("batched", vtacsp.rules.symbols.tile_b > 1)
    batched = compile(space.workload, rules=[rule])
    assert {config["tile_b"] for config in batched.collapsed()} == {2}
    assert batched.programs() == len(SMALL)


def test_ranks_out_of_range_and_infeasible_configurations_are_refused():
    with pytest.raises(IndexError, match="rank 103 is out of range"):
        C8[103]
    assert C8[-1] == C8[102]
    with pytest.raises(SpaceError, match="index 700 is not feasible: dma_pad"):
        C8.rank(700)
    with pytest.raises(ConfigError, match="out of range"):
        C8.rank(10**6)
    assert {"tile_h": 1} not in C8
    assert 700 not in C8
    assert 10**6 not in C8
    assert "700" not in C8
    assert C8.index(5) in C8
    assert C8[5] in C8
    assert C8.rank(C8[5]) == C8.rank(C8.index(5)) == 5
    assert C8.explain(700) == C8.explain(C8.knob_space.config(700))


@pytest.mark.parametrize("method", ["uniform", "diverse"])
@given(seed=st.integers(0, 2**32), n=st.integers(0, 40))
@settings(max_examples=20)
def test_samples_are_feasible_different_and_reproducible(method, seed, n):
    sample = SMALL.sample(n, seed, method)
    assert sample == SMALL.sample(n, seed, method)
    assert len({SMALL.rank(config) for config in sample}) == n


def test_uniform_samples_are_uniform():
    drawn = Counter(C8.rank(c) for seed in range(2000) for c in C8.sample(5, seed))
    expected = 2000 * 5 / len(C8)
    chi2 = sum((drawn[rank] - expected) ** 2 / expected for rank in range(len(C8)))
    # 102 degrees of freedom: mean 102, standard deviation 14.3; fixed seeds, so no flake
    assert 60 < chi2 < 160


def test_diverse_samples_are_farther_apart_than_uniform_ones():
    def spread(sample):
        return min(steps(C8, a, b) for a, b in combinations(sample, 2))

    wins = sum(
        spread(C8.sample(8, seed, "diverse")) > spread(C8.sample(8, seed)) for seed in range(20)
    )
    assert wins >= 18


def test_diverse_samples_are_greedy_max_min():
    sample = C8.sample(6, 3, "diverse")
    for i in range(1, 6):
        best = max(min(steps(C8, c, s) for s in sample[:i]) for c in C8)
        assert min(steps(C8, sample[i], s) for s in sample[:i]) == best


def test_ordered_samples_follow_the_key():
    def area(config):
        return -config["tile_h"] * config["tile_w"]

    sample = C8.sample(10, 0, "ordered", area)
    assert [area(c) for c in sample] == sorted(area(c) for c in C8)[:10]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((104,), "cannot sample 104 configurations, there are 103"),
        ((-1,), "cannot sample -1"),
        ((3, 0, "best"), "unknown sampling method 'best'; known are uniform"),
        ((3, 0, "ordered"), "a key goes with the method 'ordered'"),
        ((3, 0, "uniform", len), "a key goes with the method 'ordered'"),
    ],
)
def test_a_sample_that_cannot_be_had_is_refused(arguments, message):
    with pytest.raises(SpaceError, match=message):
        C8.sample(*arguments)


@settings(max_examples=40)
@given(feasible_layers(), st.data())
def test_neighbours_are_the_nearest_feasible_configurations(case, data):
    workload, hardware, feasible = case
    space = compile(workload, hardware)
    anything = st.integers(0, len(space.knob_space) - 1)
    config = space.knob_space.config(data.draw(st.just(feasible) | anything))
    distances = {i: steps(space, config, c) for i, c in enumerate(space) if c != config}
    nearest = min(distances.values(), default=0)
    expected = [space[i] for i, d in distances.items() if d == nearest]
    assert space.neighbours(config) == expected


@settings(max_examples=80)
@given(configured_layers())
def test_an_explanation_names_every_broken_rule_and_the_reported_cause_first(case):
    workload, hardware, index = case
    space = compile(workload, hardware)
    config = space.knob_space.config(index)
    explanation = space.explain(config)
    assert explanation.feasible == (config in space)
    assert explanation.cause == space.problem.causes([index])[0]
    broken = space.problem.violations(np.array([index]))[:, 0]
    names = {rule.name for rule, bad in zip(space.problem.rules, broken, strict=True) if bad}
    assert {violation.rule for violation in explanation.violations} == names
    if names:
        assert explanation.violations[0].cause == explanation.cause
        assert explanation.cause in str(explanation)
    for violation in explanation.violations:
        assert "{" not in violation.message


def test_the_remedy_is_the_smallest_size_that_satisfies_the_rule():
    small = vtacsp.VTAConfig().replace(LOG_ACC_BUFF_SIZE=13)
    space = compile(C8.workload, small)
    config = {**space.knob_space.config(0), "tile_h": 14, "tile_w": 14, "tile_co": 2}
    (violation,) = space.explain(config).violations
    assert str(violation) == (
        "sram:acc: accumulator needs 392 elements, scratchpad holds 128; "
        "LOG_ACC_BUFF_SIZE 15 would do"
    )
    assert config in compile(C8.workload, small.replace(LOG_ACC_BUFF_SIZE=15))
    assert config not in compile(C8.workload, small.replace(LOG_ACC_BUFF_SIZE=14))


def test_a_remedy_that_breaks_the_machine_says_so():
    config = {**C8[0], "tile_h": 14, "tile_w": 14, "tile_co": 16}
    by_rule = {v.rule: v.remedy for v in C8.explain(config).violations}
    assert by_rule["sram:acc"].startswith(
        "LOG_ACC_BUFF_SIZE 18 would do, but then a micro-op needs"
    )
    narrow = compile(C8.workload, C8.hardware.replace(LOG_WGT_BUFF_SIZE=14))
    by_rule = {v.rule: v.remedy for v in narrow.explain(config).violations}
    assert by_rule["sram:acc"].startswith(
        "LOG_ACC_BUFF_SIZE 18 would do, but then a GEMM instruction takes"
    )


# -- rules of your own


HALF = Rule.of(
    "half_accumulator",
    2 * quantity("conv2d", "sram:acc", "need") <= quantity("conv2d", "sram:acc", "depth"),
    "{need:,} elements are more than half of {depth:,}",
    need=quantity("conv2d", "sram:acc", "need"),
    depth=quantity("conv2d", "sram:acc", "depth"),
)
NO_THREADS = Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "virtual threads are used")


def test_user_rules_behave_like_built_in_ones_everywhere():
    rules = [HALF, NO_THREADS]
    space = compile(C8.workload, rules=rules)
    need = [c["tile_h"] * c["tile_w"] * c["tile_co"] * c["oc_nthread"] * c["h_nthread"] for c in C8]
    expected = [
        i
        for i, c, n in zip(C8.indices.tolist(), C8, need, strict=True)
        if 2 * n <= 2048 and c["oc_nthread"] == c["h_nthread"] == 1
    ]
    assert space.indices.tolist() == expected
    assert enumerate_feasible(space.problem) == expected
    lost = next(i for i in C8.indices.tolist() if i not in expected)
    assert space.problem.causes([lost])[0] in ("half_accumulator", "no_threads")
    big = {**C8[0], "tile_h": 14, "tile_w": 14, "tile_co": 8}
    assert str(space.explain(big).violations[0]) == (
        "half_accumulator: 1,568 elements are more than half of 2,048"
    )
    assert statistics(space).any["no_threads"] == 1200
    assert sum(statistics(space).first.values()) == len(space.knob_space) - len(space)


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ([NO_THREADS, NO_THREADS], "two rules have the name no_threads"),
        ([Rule.of("sram:acc", oc_nthread == 1)], "two rules have the name sram:acc"),
        (
            [Rule.of("odd", vtacsp.rules.symbols.Symbol("tile_z") == 1)],
            "tile_z is no symbol of conv2d",
        ),
    ],
)
def test_a_malformed_rule_is_refused(rules, message):
    with pytest.raises(RuleError, match=message):
        compile(C8.workload, rules=rules)


def test_a_rule_needs_a_condition():
    with pytest.raises(RuleError, match="must be a Bool expression"):
        Rule.of("number", tile_ci)
    with pytest.raises(RuleError, match="has no rule 'nope'"):
        quantity("conv2d", "nope", "need")
    with pytest.raises(RuleError, match="has no quantity 'x'; it has need, depth"):
        quantity("conv2d", "sram:acc", "x")
    with pytest.raises(RuleError, match="no rules for 'pool'"):
        vtacsp.catalogue("pool")


# -- statistics


@pytest.mark.parametrize("name", ["resnet18.C8", "dcgan.small", "batch2.dense", "batch2.k1-bias"])
def test_statistics_count_what_the_stack_reported(name):
    case = truth()[name]
    counts = statistics(compile(case.workload, case.hardware))
    first = Counter(case.causes)
    assert counts.feasible == first.pop("ok")
    by_cause = Counter()
    for rule in case.problem.rules:
        by_cause[rule.cause] += counts.first.get(rule.name, 0)
    assert +by_cause == first
    assert all(counts.any[rule] >= n for rule, n in counts.first.items())
    assert counts.share == counts.feasible / counts.size


def test_a_rule_of_the_user_is_reported_as_theirs():
    from vtacsp import Rule, compile, suite
    from vtacsp.rules.symbols import tile_h

    layer = suite("resnet18")[-1]
    plain = compile(layer)
    config = next(c for c in plain if c["tile_h"] > 1)
    mine = compile(layer, rules=[Rule.of("flat", tile_h == 1, "one row at a time")])
    explanation = mine.explain(config)
    assert explanation.own
    assert "your rule flat refuses it" in str(explanation)
    assert "the stack reports" not in str(explanation)
    refused = next(c for c in plain.knob_space if c not in plain)
    assert "the stack reports" in str(plain.explain(refused))
