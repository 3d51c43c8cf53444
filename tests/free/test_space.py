"""The free space: solver, check and emitter have one answer; counts, samples, reasons."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import prod
from random import Random

import pytest

import vtacsp.free.constraint_model
from tests.support.layers import ON_ALU, OPERATORS
from tests.support.schedules import PLAIN, conv, drawn, random_case, refused, small
from vtacsp import Rule, VTAConfig, workload_from_dict
from vtacsp.errors import RuleError, ScheduleError, SpaceError, WorkloadError
from vtacsp.free import FreeSpace, Schedule, best, emit
from vtacsp.free.points import Points, parts_of, ramps
from vtacsp.free.schedule_fields import FIELDS, WINDOWED, inp, largest, parts, rows, wgt
from vtacsp.network.find import find_workloads
from vtacsp.operators.geometry import geometry
from vtacsp.rules.symbols import tile_h
from vtacsp.timing import simulate_timing

MACHINE = VTAConfig()


def box(operator: str, rng: Random) -> tuple[FreeSpace, list[Schedule]] | None:
    """A space of few values around a schedule at random, and every combination of them."""
    case = random_case(operator, rng)
    if case is None:
        return None
    layer, machine = case
    g = geometry(layer, machine)
    schedules = [drawn(g, layer, machine, rng) for _ in range(2)]
    values = {name: [getattr(schedules[0], name)] for name in FIELDS}
    names = WINDOWED if operator in ON_ALU and rng.random() < 0.7 else FIELDS
    for name in rng.sample(names, 5):
        other = getattr(schedules[1], name)
        if other not in values[name]:
            values[name].append(other)
    try:
        space = FreeSpace(layer, machine, **values)
    except ScheduleError:  # a partition of another layer
        return None
    space.domains = {
        name: [vtacsp.free.schedule_fields.coded(name, value) for value in values[name]]
        for name in FIELDS
    }
    every = [Schedule(**dict(zip(FIELDS, row, strict=True))) for row in product(*values.values())]
    return space, every


@pytest.mark.parametrize("few", [40_000, 3])
@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_solver_check_and_emitter_agree(operator: str, few: int, monkeypatch) -> None:
    """Also where the solver has no table of anything (``few``)."""
    monkeypatch.setattr(vtacsp.free.constraint_model, "FEW", few)
    rng = Random(f"boxes {operator}")
    runs = fails = 0
    for _ in range(24 if operator in ON_ALU else 13):
        found = box(operator, rng)
        if found is None:
            continue
        space, every = found
        right = {s for s in every if not refused(s, space.workload, space.hardware)}
        checked = space.feasible(every)
        assert {s for s, holds in zip(every, checked, strict=True) if holds} == right
        solved = space.solutions()
        assert len(solved) == len(set(solved))
        assert set(solved) == right
        runs, fails = runs + len(right), fails + len(every) - len(right)
    assert runs > 10
    assert fails > 10


def test_points_are_counted_without_listing_them() -> None:
    for g in (geometry(conv(5, 2, 2), MACHINE), geometry(conv(3, 1, 2), MACHINE)):
        usual = {"form": ["row"], "inp": [1], "wgt": [1], "acc": [1, 2], "lead_uops": [1],
                 "group_uops": [0], "gather": ["none"], "loop": ["input"], "order": ["rows"],
                 "reduction": [(g.inputs,)], "lead": [(), (1,) * g.inputs], "begin_steps": [1, 2],
                 "load_rows": [0, 2]}  # fmt: skip
        points = Points(g, usual)
        every = list(points)
        assert points.count() == len(every) == len(set(every)) > 1000
        for schedule in Random(0).sample(every, 60):
            if not schedule.overlaps(g):  # what a rule says
                schedule.check(g)


def test_each_point_is_as_likely_as_any_other() -> None:
    points = small(rows=[(4,), (2, 2)], inp=[1], acc=[1]).points
    every, rng, times = set(points), Random(2), 30
    seen: dict[Schedule, int] = dict.fromkeys(every, 0)
    for _ in range(times * len(every)):
        seen[points.draw(rng)] += 1
    assert set(seen) == every
    # chi-squared with len - 1 degrees of freedom: mean len - 1, variance twice that
    chi = sum((n - times) ** 2 / times for n in seen.values())
    assert abs(chi - len(every)) < 5 * (2 * len(every)) ** 0.5


def test_a_small_space_is_counted_exactly_and_a_large_one_is_estimated() -> None:
    space = small()
    count = space.count()
    assert count.exact
    assert count.feasible == len(space.enumerate()) > 100
    assert count.points == space.points.count() > count.feasible
    assert "exact: each was looked at" in str(count)
    estimate = _estimated(space)
    assert abs(estimate.feasible - count.feasible) < 4 * estimate.standard_error
    assert "estimated from 1,500 drawn at random" in str(estimate)


def _estimated(space: FreeSpace):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vtacsp.free.space.LISTABLE", 1)
        return space.count(1500)


def test_samples_are_different_feasible_and_the_same_for_a_seed() -> None:
    (layer,) = find_workloads("resnet18.C8")
    space = FreeSpace(layer)
    assert space.points.count() > 1e7
    drawn = space.sample(3, seed=3)
    assert drawn == space.sample(3, seed=3)
    assert len(set(drawn)) == 3
    assert all(not refused(s, layer, MACHINE) for s in drawn)
    with pytest.raises(SpaceError, match="at most 20,000 are listed"):
        space.enumerate()
    with pytest.raises(SpaceError, match="cannot sample 99999 schedules, there are"):
        small().sample(99999)


def test_neighbours_run_and_differ_in_one_field() -> None:
    (layer,) = find_workloads("resnet18.C8")
    space = FreeSpace(layer)
    schedule = space.sample(1, seed=4)[0]
    around = space.neighbours(schedule)
    assert len(around) > 15
    ramps_left = {"first", "last", "begin", "begin_rows", "begin_steps", "finish", "finish_rows"}
    for other in around:
        changed = {n for n in FIELDS if getattr(other, n) != getattr(schedule, n)}
        assert len(changed - ramps_left) <= 1 <= len(changed)
        assert not refused(other, layer, MACHINE)
    assert schedule not in around


def test_an_explanation_has_the_rule_its_numbers_and_a_way_out() -> None:
    (layer,) = find_workloads("resnet18.C11")
    space = FreeSpace(layer)
    schedule = Schedule(channels=(32,), rows=(7,), columns=(7,), reduction=(1,) * 32)
    why = space.explain(schedule)
    assert (why.cause, why.feasible) == ("sram:acc", False)
    (violation,) = why.violations
    assert violation.quantities == {"need": 3136, "depth": 2048}
    assert "LOG_ACC_BUFF_SIZE 18 would do" in str(why)
    assert why.nearest in space
    assert space.explain(why.nearest).feasible
    none = space.explain(replace(schedule, channels=(30,)))
    assert [v.rule for v in none.violations] == ["cut:channels"]
    assert "channels adds up to 30, and has to be 32" in str(none)


def test_rules_of_your_own() -> None:
    mine = Rule.of("few", (parts(rows) <= 1) & (inp <= wgt), "{n} parts", n=parts(rows))
    space = small((mine,))
    some = space.enumerate()
    assert 0 < len(some) < len(small().enumerate())
    assert all(len(s.rows) == 1 and s.inp <= s.wgt for s in some)
    assert set(some) <= set(space.solutions())
    broken = next(s for s in small().enumerate() if len(s.rows) == 2)
    assert [v.message for v in space.explain(broken).violations] == ["2 parts"]
    with pytest.raises(RuleError, match="two rules have the name few"):
        small((mine, mine))
    template = Rule.of("template", tile_h <= 2)
    with pytest.raises(RuleError, match="tile_h is no symbol of a free schedule"):
        small((template,))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"slots": [1]}, "no field 'slots'"),
        ({"inp": []}, "the values of inp are a list that is not empty"),
        ({"inp": [0]}, "inp is 0"),
        ({"rows": [(3, 2)]}, "rows has .3, 2., which does not add up to 4"),
    ],
)
def test_values_that_are_wrong_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ScheduleError, match=words):
        small(**values)


def test_a_layer_that_cannot_run_is_refused() -> None:
    with pytest.raises(WorkloadError):
        FreeSpace(conv(4, 4), MACHINE.replace(LOG_BATCH=1))


def test_the_candidates_are_what_the_page_says() -> None:
    assert all(sum(sizes) == 12 for sizes in parts_of(12))
    assert ramps(5) == ((1, 4), (2, 3), (1, 1, 3), (1, 2, 2))
    assert ramps(5, True) == tuple(sizes[::-1] for sizes in ramps(5))
    assert prod(map(len, small().domains.values())) > small().points.count()
    assert largest(rows).symbols == {"rows"}
    assert PLAIN.rows == (1,)


POOL = workload_from_dict({
    "op": "max_pool", "name": "pool", "batch": 1, "channels": 32, "height": 12, "width": 12,
    "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1],
})  # fmt: skip


def test_the_space_of_a_pool() -> None:
    few = {
        "columns": [(6,)], "first": [()], "last": [()], "lead_uops": [1], "group_uops": [0],
        "form": ["tap", "row"], "order": ["channels"], "rows": [(6,), (3, 3), (2, 2, 2), (1,) * 6],
    }  # fmt: skip
    machine = MACHINE.replace(LOG_ACC_BUFF_SIZE=14)
    space = FreeSpace(POOL, machine, **few)
    assert space.count().exact
    every = space.enumerate()
    assert {s.gather for s in every} == {"rows", "pixels"}
    assert all(s in every for s in space.neighbours(every[0]))
    found = best(space, simulations=10**6)
    assert found.optimal
    assert found.simulated < len(every)
    assert found.cycles == min(simulate_timing(emit(s, POOL, machine)).cycles for s in every)
    told = space.explain(replace(every[0], inp=1, acc=12))
    assert [v.rule for v in told.violations] == ["fixed"]
    most = max(s.acc for s in every if replace(s, acc=1) == replace(every[0], acc=1))
    told = space.explain(replace(every[0], acc=most + 1))
    assert told.cause == "sram:acc"
    assert told.nearest in every
    assert "LOG_ACC_BUFF_SIZE 1" in told.violations[0].remedy


def test_the_solver_proves_a_bound_of_a_large_space_of_a_sum() -> None:
    layer = workload_from_dict(
        {"op": "add", "name": "sum", "batch": 1, "channels": 64, "height": 14, "width": 14}
    )
    space = FreeSpace(layer, columns=[(14,)])
    assert not space.count(samples=20).exact
    found = best(space, simulations=15, seconds=2)
    assert found.limit <= found.least <= found.cycles < 1.05 * found.limit
