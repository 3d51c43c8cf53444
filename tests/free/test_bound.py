"""The bound of a schedule is below its cycles; branch and bound finds the best and says so."""

from __future__ import annotations

from random import Random

import pytest

from tests.support.layers import ON_ALU, OPERATORS, random_timing
from tests.support.schedules import drawn, random_case, refused, small
from vtacsp import Rule
from vtacsp.errors import SpaceError
from vtacsp.free import FreeSpace, Schedule, best, emit, limit
from vtacsp.free.branch import schedule_cycle_bounds
from vtacsp.free.schedule_fields import acc, parts, rows
from vtacsp.network.find import find_workloads
from vtacsp.operators.geometry import geometry
from vtacsp.timing import simulate_timing


@pytest.mark.parametrize("operator", OPERATORS + ON_ALU)
def test_no_program_of_a_schedule_is_below_its_bound(operator: str) -> None:
    rng = Random(f"bound {operator}")
    ran, above, closest = 0, 0, 9.0
    for _ in range(45):
        case = random_case(operator, rng)
        if case is None:
            continue
        layer, machine = case
        g = geometry(layer, machine)
        schedules = [s for s in (drawn(g, layer, machine, rng) for _ in range(6))
                     if not refused(s, layer, machine)]  # fmt: skip
        timing = random_timing(rng)
        if not schedules:
            continue
        bounds = schedule_cycle_bounds(FreeSpace(layer, machine), schedules, timing).tolist()
        least = limit(layer, machine, timing).cycles
        for schedule, bound in zip(schedules, bounds, strict=True):
            cycles = simulate_timing(emit(schedule, layer, machine), timing).cycles
            assert bound <= cycles, f"{bound} {cycles} {layer} {machine} {timing} {schedule}"
            assert bound >= least
            ran, above = ran + 1, above + (bound > least)
            closest = min(closest, cycles / bound)
    assert ran > 40
    assert above > ran // 4
    assert closest < 1.2


def exhausted(space: FreeSpace) -> int:
    return min(
        simulate_timing(emit(s, space.workload, space.hardware)).cycles for s in space.enumerate()
    )


def test_a_small_space_is_proven_and_not_all_of_it_is_simulated() -> None:
    space = small(inp=[1, 2], form=["column"])
    found = best(space, simulations=10**6)
    assert found.cycles == exhausted(space)
    assert found.optimal
    assert str(found) == f"{found.cycles:,} cycles; no schedule of this space needs fewer"
    assert found.simulated < len(space.enumerate())
    assert found.schedule in space


def test_what_is_left_is_said() -> None:
    space = small(inp=[1, 2])
    found = best(space, simulations=5)
    assert found.simulated == 5
    assert found.limit <= found.least <= exhausted(space) <= found.cycles
    assert not found.optimal
    assert f"no schedule of this space needs fewer than {found.least:,} (" in str(found)


def test_the_best_under_rules_of_your_own() -> None:
    mine = Rule.of("one_tile_of_rows", (parts(rows) == 1) & (acc == 1))
    free, bound = best(small(), simulations=10**6), best(small((mine,)), simulations=10**6)
    assert bound.optimal
    assert (len(bound.schedule.rows), bound.schedule.acc) == (1, 1)
    assert free.cycles <= bound.cycles == exhausted(small((mine,)))
    never = Rule.of("never", acc > 2)
    with pytest.raises(SpaceError, match="nothing was found that can run"):
        best(small((never,)))


def test_of_a_large_space_the_solver_proves_a_bound() -> None:
    (layer,) = find_workloads("resnet18.C11")
    space = FreeSpace(
        layer, channels=[(4,) * 8, (8,) * 4], columns=[(7,)], reduction=[(1,) * 32, (2,) * 16],
        lead=[()], begin=[()], finish=[(), (1, 3)], first=[()], form=["column"], snake=[False],
        gather=["none"], wgt=[1], acc=[1, 2],
    )  # fmt: skip
    start = Schedule(channels=(4,) * 8, rows=(7,), columns=(7,), reduction=(2,) * 16, wgt=1)
    found = best(space, start=[start], simulations=12, seconds=5)
    assert space.points.count() > 20_000
    assert found.simulated <= 13
    assert found.limit < found.least < found.cycles
