"""The front of the best known beyond the template: what it says, taken apart machine by machine."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from tests.support.machines import CONV, POINT, brute
from vtacsp import Add, VTAConfig
from vtacsp.codesign import COSTS, MachineSpace, codesign
from vtacsp.codesign.beyond import GAP, beyond
from vtacsp.codesign.cycle_table import FAR
from vtacsp.free import emit, limit
from vtacsp.functional import execute, random_operands, reference
from vtacsp.operators.filling import fill_blocks
from vtacsp.timing.simulator import simulate_timing

NETWORK = [(CONV, 2), (POINT, 1), (replace(POINT, name="twin"), 3)]
FREE = {"LOG_BLOCK": (3, 4), "LOG_INP_BUFF_SIZE": (7, 8, 9, 10), "LOG_ACC_BUFF_SIZE": (8, 9, 10)}
BASE = VTAConfig(log_uop_buff_size=10, log_wgt_buff_size=13)
BUDGETS = ("bytes<=11500",)


@pytest.fixture(scope="module", params=["bytes", "multipliers"])
def front(request):
    """With bytes alone limits cut machines, with multipliers the cheapest of a block is proven."""
    return codesign(NETWORK, MachineSpace(BASE, FREE), BUDGETS, [COSTS[request.param]])


@pytest.fixture(scope="module")
def known(front):
    return beyond(front, 40, 9)


def limits(space):
    """Of the network, for every machine alone."""
    found = []
    for machine in range(len(space)):
        hardware, timing = space.hardware(machine), space.timing_of(machine)
        layers = [
            (limit(fill_blocks(w, hardware).workload, hardware, timing).cycles, n)
            for w, n in NETWORK
        ]
        found.append(sum(cycles * n for cycles, n in layers))
    return found


def test_every_point_runs_what_it_states(front, known):
    names = [workload.name for workload, _ in NETWORK]
    schedules = 0
    for point in known.points:
        assert [known.layer.name for known in point.layers] == names
        assert point.cycles == sum(n.layer.count * n.cycles for n in point.layers)
        assert point.limit == sum(n.layer.count * n.limit for n in point.layers)
        for layer in point.layers:
            timing = point.timing
            if layer.schedule is None:
                assert layer.cycles == brute(layer.layer.workload, point.hardware, [timing])[0]
                continue
            schedules += 1
            program = emit(layer.schedule, layer.workload, point.hardware)
            assert simulate_timing(program, timing).cycles == layer.cycles
            operands = random_operands(layer.workload, point.hardware)
            right = reference(layer.workload, point.hardware, operands)
            assert np.array_equal(execute(program, operands).output, right)
    assert schedules > len(known.points)
    assert known.points[-1].cycles < front.points[-1].cycles


def test_cut_undecided_and_proven_are_what_the_limits_say(front, known):
    space = front.space
    every = limits(space)
    costs = [cost.of(space) for cost in front.objectives]
    inside = np.flatnonzero(COSTS["bytes"].of(space) <= 11500).tolist()
    at_most = {p.machine: p.cycles for p in known.points}

    def no_dearer(one, other):
        return all(cost[one] <= cost[other] for cost in costs)

    cut = near = 0
    for machine in inside:
        reached = min((n for p, n in at_most.items() if no_dearer(p, machine)), default=FAR)
        if machine not in at_most:
            cut += reached <= every[machine]
            near += every[machine] < reached <= every[machine] * (1 + GAP)
    proof = known.proof
    assert (proof.machines, proof.cut, proof.near) == (len(inside), cut, near)
    parts = (proof.cut, proof.near, proof.beaten, proof.undecided, proof.front)
    assert sum(parts) == proof.machines
    assert min(proof.cut if len(costs) == 1 else proof.proven, proof.undecided) > 0
    assert proof.searched == 9
    for p in known.points:
        cheap = [m for m in inside if no_dearer(m, p.machine)]
        assert p.floor == min(every[m] for m in cheap)
        assert p.proven == all(every[m] >= p.cycles for m in cheap if m != p.machine)
        assert p.limit == every[p.machine]
    assert proof.proven == sum(p.proven for p in known.points)


def test_no_point_is_beaten_and_the_template_is_no_better(front, known):
    values = [(p.cycles, *(p.costs[c.name] for c in front.objectives)) for p in known.points]
    for one in values:
        assert not any(
            other != one and all(a <= b for a, b in zip(other, one, strict=True))
            for other in values
        )
    for p in front.points:
        mine = (p.cycles, *(p.costs[c.name] for c in front.objectives))
        assert any(all(a <= b for a, b in zip(other, mine, strict=True)) for other in values)
    for p in known.points:
        best = [brute(w, p.hardware, [p.timing])[0] for w, _ in NETWORK]
        total = sum(n * count for n, (_, count) in zip(best, NETWORK, strict=True))
        assert p.template_cycles == (None if max(best) >= FAR else total)


def test_an_executor_changes_nothing_and_a_larger_budget_leaves_nothing_undecided(front, known):
    with ThreadPoolExecutor(2) as executor:
        told = []
        again = beyond(front, 40, 9, executor=executor, progress=told.append)
    assert again == known
    assert told[-1] == known.proof.undecided
    whole = beyond(front, 2, 1000)
    assert whole.proof.undecided == 0
    assert whole.proof.searched <= whole.proof.machines


def test_what_the_alu_runs_by_itself_leaves_the_template_too():
    layer = Add(name="sum", channels=32, height=6, width=2)
    front = codesign([layer], MachineSpace(free={"LOG_ACC_BUFF_SIZE": (12, 13)}))
    found = beyond(front, 60)
    assert found.points
    for point in found.points:
        (best,) = point.layers
        assert best.schedule is not None
        assert point.limit <= point.cycles == best.cycles < point.template_cycles
