"""The front of machines against brute force: every machine compiled and simulated on its own."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from tests.support.machines import CONV, DENSE, GROUP, POINT, UP, brute
from vtacsp import (
    PYNQ,
    HardwareError,
    LogError,
    SpaceError,
    VTAConfig,
    VtacspError,
    WorkloadError,
    compile,
)
from vtacsp.codesign import cycle_table
from vtacsp.codesign.certificate import certificate, check
from vtacsp.codesign.costs import COSTS, Budget, Cost
from vtacsp.codesign.cycle_table import FAR, work_bound
from vtacsp.codesign.evaluator import Evaluator, Level
from vtacsp.codesign.machines import BUS, KEYS, MachineSpace
from vtacsp.codesign.pareto import codesign, non_dominated
from vtacsp.codesign.store import Store, circumstances
from vtacsp.codesign.workloads import CountedLayer, counted
from vtacsp.errors import RuleError
from vtacsp.expr import truth
from vtacsp.operators.filling import fill_blocks
from vtacsp.rules.symbols import LOG_BLOCK, LOG_INP_BUFF_SIZE
from vtacsp.timing.simulator import Simulator

NETWORK = [CountedLayer(CONV, 2), POINT, (replace(POINT, name="twin"), 3), DENSE]

SMALL = {
    "LOG_BLOCK": (3, 4, 5),
    BUS: (6, 8),
    "LOG_UOP_BUFF_SIZE": (4, 8),
    "LOG_INP_BUFF_SIZE": (8, 10, 12),
    "LOG_WGT_BUFF_SIZE": (11, 13),
    "LOG_ACC_BUFF_SIZE": (9, 11),
}


def brute_network(network, space):
    """Cycles of every machine; those that differ in the bus only have one feasible set."""
    machines = {}
    for machine in range(len(space)):
        machines.setdefault(space.hardware(machine), []).append(machine)
    found = np.zeros(len(space), dtype=np.int64)
    for hardware, mine in machines.items():
        best = {}
        for layer in network:
            alike = replace(layer.workload, name="layer")
            if alike not in best:
                best[alike] = brute(alike, hardware, [space.timing_of(m) for m in mine])
            found[mine] = np.minimum(found[mine] + layer.count * np.array(best[alike]), FAR)
    return found


@pytest.fixture(scope="module")
def small():
    """All machines of a space with small micro-op scratchpads, by brute force."""
    space = MachineSpace(free=SMALL)
    network = counted(NETWORK)
    return space, network, brute_network(network, space)


def test_the_cycles_of_every_machine_are_those_of_brute_force(small):
    space, network, cycles = small
    evaluator = Evaluator(network, space)
    everything = np.arange(len(space))
    bounds = evaluator.lower.copy()
    assert (bounds <= cycles).all()
    assert (evaluator.bound(everything) <= cycles).all()
    assert evaluator.prove(everything).tolist() == cycles.tolist()
    some = cycles < FAR
    assert (evaluator.level[some] == Level.PROVEN).all()
    assert 0 < some.sum() < len(space) > 100


def undominated(cycles, *costs):
    points = set(zip(cycles.tolist(), *(c.tolist() for c in costs), strict=True))
    points = {p for p in points if p[0] < FAR}
    return {
        p
        for p in points
        if not any(q != p and all(a <= b for a, b in zip(q, p, strict=True)) for q in points)
    }


@pytest.mark.parametrize(
    "budgets", [(), ("kib<=9",), ("bytes<=9000", "multipliers<=256"), ("bram18<=40", "kib<=12")]
)
def test_the_front_is_that_of_brute_force(small, budgets):
    space, _, cycles = small
    front = codesign(NETWORK, space, budgets)
    objectives = [cost.of(space) for cost in front.objectives]
    within = np.ones(len(space), dtype=bool)
    for budget in front.budgets:
        within &= budget.cost.of(space) <= budget.most
    expected = undominated(cycles[within], *(c[within] for c in objectives))
    found = [(p.cycles, *(p.costs[c.name] for c in front.objectives)) for p in front.points]
    assert len(found) == len(set(found))
    assert set(found) == expected
    assert all(cycles[p.machine] == p.cycles for p in front.points)
    # of equal machines the one with the fewest bytes, then the first
    size = COSTS["bytes"].of(space)
    for p, point in zip(front.points, found, strict=True):
        values = np.stack([cycles, *objectives], axis=1)
        equal = np.flatnonzero((values == point).all(axis=1))
        assert p.machine == min(equal.tolist(), key=lambda m: (size[m], m))
    kib = [p.costs["kib"] for p in front.points]
    assert kib == sorted(kib)
    proof = front.proof
    parts = [proof.illegal, proof.over_budget, proof.infeasible]
    total = sum(sum(part.values()) for part in parts)
    total += proof.cut_by_work + proof.cut_by_schedule + proof.beaten + proof.front
    assert total == proof.machines == space.total
    assert sum(proof.over_budget.values()) == (~within).sum()
    assert sum(proof.infeasible.values()) == (within & (cycles == FAR)).sum()


def test_the_layers_of_a_point_are_their_best(small):
    space = small[0]
    front = codesign(NETWORK, space)
    assert len(front.points) > 3
    assert front.proof.programs < 0.25 * len(space)
    for point in front.points:
        assert sum(best.layer.count * best.cycles for best in point.layers) == point.cycles
        for best in point.layers:
            simulator = Simulator(best.workload, point.hardware, point.timing)
            assert simulator.cycles(best.index) == best.cycles
            assert best.simulated
    twin = {best.layer.name: best.cycles for best in front.points[0].layers}
    assert twin["twin"] == twin["point"]


def test_an_executor_changes_nothing(small):
    space = small[0]
    with ThreadPoolExecutor(2) as executor:
        found = codesign(NETWORK, space, executor=executor)
    alone = codesign(NETWORK, space)
    assert found.points == alone.points
    assert found.proof.programs == alone.proof.programs


def test_transposed_convolutions_whose_overflow_looks_at_two_scratchpads():
    free = {
        "LOG_BLOCK": (3, 4),
        "LOG_UOP_BUFF_SIZE": (6, 10),
        "LOG_INP_BUFF_SIZE": (7, 8, 9, 10, 12),
        "LOG_ACC_BUFF_SIZE": (8, 9, 10, 11, 13),
    }
    space = MachineSpace(free=free)
    network = counted([UP, replace(UP, name="other", width=5, kernel=(2, 2), padding=(0, 0))])
    cycles = Evaluator(network, space).prove(np.arange(len(space)))
    assert cycles.tolist() == brute_network(network, space).tolist()
    assert len(set(cycles.tolist())) > 5


def test_programs_that_evict_kernels_and_are_right_have_cycles_of_their_own():
    free = {"LOG_UOP_BUFF_SIZE": (3, 4, 5, 7), "LOG_BLOCK": (3, 4), "LOG_INP_BUFF_SIZE": (9, 11)}
    space = MachineSpace(VTAConfig(log_wgt_buff_size=13, log_acc_buff_size=11), free)
    network = counted([POINT])
    evaluator = Evaluator(network, space)
    cycles = evaluator.prove(np.arange(len(space)))
    assert cycles.tolist() == brute_network(network, space).tolist()
    evicting = [e for e in evaluator.evidence() if e.table.uop[e.row] >= 0]
    assert {int(e.table.uop[e.row]) for e in evicting} >= {3, 4}


def test_cycles_of_a_program_depend_on_no_scratchpad_that_holds_its_kernels():
    """The sharing, without the tables: the same configuration on larger scratchpads."""
    rng = np.random.default_rng(7)
    layer = fill_blocks(CONV, VTAConfig()).workload
    tight = VTAConfig(log_inp_buff_size=13, log_wgt_buff_size=15, log_acc_buff_size=13)
    space = compile(layer, tight)
    some = rng.choice(space.indices, 12, replace=False).tolist()
    cycles = [Simulator(layer, tight).cycles(i) for i in some]
    for key in ("LOG_INP_BUFF_SIZE", "LOG_WGT_BUFF_SIZE", "LOG_ACC_BUFF_SIZE"):
        wide = tight.replace(**{key: tight.symbols[key] + 1})
        assert [Simulator(layer, wide).cycles(i) for i in some] == cycles


def test_the_work_bound_is_below_every_program():
    for layer, log_block, bus in product((CONV, POINT, GROUP, UP, DENSE), (3, 4), (8, 64)):
        hardware = VTAConfig(log_block=log_block, log_wgt_buff_size=15, log_acc_buff_size=15)
        workload = fill_blocks(layer, hardware).workload
        timing = replace(MachineSpace().timing, bus_bytes=bus)
        assert 0 < work_bound(workload, hardware, timing) < brute(layer, hardware, [timing])[0]


# ---------------------------------------------------------------- shapes, counts, costs


def test_counts_come_from_annotations_and_pairs():
    network = counted([replace(CONV, extra={"count": 4}), (POINT, 2), CountedLayer(DENSE)])
    assert [layer.count for layer in network] == [4, 2, 1]
    for bad in (0, -1, True, "2", 1.5, None):
        with pytest.raises(WorkloadError, match="count"):
            counted([replace(CONV, extra={"count": bad})])
    with pytest.raises(WorkloadError, match="there twice"):
        counted([CONV, CONV])
    with pytest.raises(SpaceError, match="at least one layer"):
        counted([])


def test_a_layer_that_no_machine_packs_is_refused():
    bad = replace(CONV, padding=(0, 1))
    with pytest.raises(WorkloadError, match="conv: padding"):
        codesign([bad], MachineSpace())


def test_costs_of_the_default_machine():
    space = MachineSpace()
    values = {name: int(cost.of(space)[0]) for name, cost in COSTS.items()}
    assert values == {
        "kib": 32 + 32 + 256 + 128,
        "bytes": (32 + 32 + 256 + 128) * 1024,
        "uop_bytes": 32 << 10,
        "inp_bytes": 32 << 10,
        "wgt_bytes": 256 << 10,
        "acc_bytes": 128 << 10,
        "out_bytes": 32 << 10,
        "multipliers": 256,
        "bus_bytes": 8,
        # UOP 8192 x 32: 16 of 8192 x 2 (or 8192/512 x 1); INP 2048 x 128: 15 of 2048 x 9 or 16 of
        # 512 x 36 or 15; WGT 1024 x 2048: 114 of 1024 x 18 (2 deep: 512 x 36: 57 x 2); ACC 2048 x
        # 512: 57 of 2048 x 9 (4 x 15 = 60 of 512 x 36); OUT like INP
        "bram18": 16 + 15 + 114 + 57 + 15,
        "bram36": 8 + 8 + 57 + 29 + 8,
        # UOP 8192 x 32: 2 of 4096 x 72, filled 44%; INP, OUT 1 deep, 2 wide: 44%; WGT 29 wide: 25%
        "uram": 0,
        "bram36_beside_uram": 8 + 8 + 57 + 29 + 8,
    }
    deep = MachineSpace(free={"LOG_INP_BUFF_SIZE": [16], "LOG_WGT_BUFF_SIZE": [17]})
    assert int(COSTS["uram"].of(deep)[0]) == 2  # INP 4096 x 128: 89% of two
    # WGT 512 x 2048: 29 of 512 x 72
    assert int(COSTS["bram36_beside_uram"].of(deep)[0]) == 8 + 29 + 29 + 8


def test_costs_of_ones_own():
    area = Cost("area", 3 * LOG_BLOCK + LOG_INP_BUFF_SIZE, "things")
    base = VTAConfig(log_wgt_buff_size=14, log_acc_buff_size=14)
    space = MachineSpace(base, {"LOG_BLOCK": [3, 4], "LOG_INP_BUFF_SIZE": [12, 14]})
    assert area.of(space).tolist() == [21, 23, 24, 26]
    front = codesign([POINT], space, ["area<=24"], [area])
    assert [c.name for c in front.objectives] == ["area"]
    assert all(p.costs["area"] <= 24 for p in front.points)
    with pytest.raises(RuleError, match="there is a cost kib already"):
        codesign([POINT], space, costs=[Cost("kib", LOG_BLOCK)])
    with pytest.raises(RuleError, match="must be an integer expression"):
        Cost("area", 3)
    with pytest.raises(RuleError, match="name of a cost"):
        Cost("a b", LOG_BLOCK)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kib", "not COST<=NUMBER"),
        ("kib<=", "not COST<=NUMBER"),
        ("kib<=-1", "not COST<=NUMBER"),
        ("kib<600", "not COST<=NUMBER"),
        ("kib<=1e3", "not COST<=NUMBER"),
        ("area<=3", "no cost 'area'; costs are kib, "),
    ],
)
def test_bad_budgets(text, message):
    with pytest.raises(HardwareError, match=message):
        Budget.parse(text)


@pytest.mark.parametrize(
    ("free", "message"),
    [
        ({"LOG_INP_WIDTH": [3]}, "cannot be free; keys that can are LOG_BATCH, "),
        ({"LOG_BLOCK": []}, "no value"),
        ({"LOG_BLOCK": [32]}, "allowed are 0 to 31"),
        ({"LOG_BLOCK": [True]}, "allowed are 0 to 31"),
        ({BUS: [5]}, "allowed are 6 to 9"),
        ({key: range(32) for key in KEYS[3:]} | {"LOG_BLOCK": range(32)}, "at most 4,194,304"),
    ],
)
def test_bad_ranges(free, message):
    error = SpaceError if "at most" in message else HardwareError
    with pytest.raises(error, match=message):
        MachineSpace(free=free)


def test_machines_are_legal_and_counted():
    space = MachineSpace(free={"LOG_BLOCK": range(7), "LOG_ACC_BUFF_SIZE": range(10, 20)})
    assert len(space) + sum(space.illegal.values()) == space.total == 70
    rows = []
    for block, acc in product(range(7), range(10, 20)):
        try:
            hardware = VTAConfig(log_block=block, log_acc_buff_size=acc)
        except HardwareError:
            continue
        if "isa:instruction" in compile_causes(hardware):
            continue
        rows.append((block, acc))
    found = [(s["LOG_BLOCK"], s["LOG_ACC_BUFF_SIZE"]) for s in map(space.sizes, range(len(space)))]
    assert found == rows
    assert space.find(space.sizes(3)) == 3
    with pytest.raises(SpaceError, match="not one of the machines"):
        space.find({**space.sizes(3), "LOG_BATCH": 1})


def compile_causes(hardware):
    from vtacsp.space.problem import Problem

    problem = Problem(fill_blocks(POINT, hardware).workload, hardware)
    broken = problem.violations(np.array([0]))[:, 0]
    return [rule.name for rule, bad in zip(problem.rules, broken, strict=True) if bad]


def test_lowest_is_the_undominated_set():
    rng = np.random.default_rng(3)
    for _ in range(20):
        values = rng.integers(0, 8, (60, 3))
        found = non_dominated(values[:, 0], values[:, 1:])
        points = {tuple(row) for row in values.tolist()}
        expected = {p for p in points if not any(q != p and all(np.array(q) <= p) for q in points)}
        assert {tuple(row) for row in values[found].tolist()} == expected
        assert len(found) == len(expected)


# ---------------------------------------------------------------- certificate and store


@pytest.fixture(scope="module")
def proven():
    free = {"LOG_BLOCK": (3, 4), "LOG_INP_BUFF_SIZE": range(9, 14), "LOG_ACC_BUFF_SIZE": (10, 12)}
    front = codesign([(POINT, 2), CONV], MachineSpace(free=free), ["kib<=400"])
    assert len(front.points) > 2
    return front, json.dumps(certificate(front))


def test_a_certificate_can_be_checked_again(proven):
    front, text = proven
    result = check(json.loads(text))
    assert result.holds
    assert len(result.done) == 3
    assert f"{front.proof.programs:,} programs" in result.done[0]


def cut_point(data):
    data["front"].pop()


def faster(data):
    data["front"][0]["cycles"] -= 1


def faster_layer(data):
    data["front"][0]["layers"][0]["cycles"] -= 1
    data["front"][0]["cycles"] -= 2


def false_evidence(data):
    data["evidence"]["cycles"][0][-1] += 1


def no_evidence(data):
    data["evidence"]["cycles"].clear()


def another_machine(data):
    data["front"][0]["machine"]["LOG_INP_BUFF_SIZE"] += 1


def cheaper(data):
    data["front"][0]["costs"]["kib"] -= 1


def fewer_machines(data):
    data["proof"]["over_budget"]["kib<=400"] -= 1


def wrong_layer(data):
    data["front"][0]["layers"].pop()


@pytest.mark.parametrize(
    "forge",
    [
        cut_point, faster, faster_layer, false_evidence, no_evidence, another_machine, cheaper,
        fewer_machines, wrong_layer,
    ],
)  # fmt: skip
def test_a_forged_certificate_does_not_hold(proven, forge):
    data = json.loads(proven[1])
    forge(data)
    assert not check(data).holds


@pytest.mark.parametrize("key", [None, "front", "network", "free", "timing", "evidence", "proof"])
def test_what_is_no_certificate_is_refused(proven, key):
    data = json.loads(proven[1])
    if key is None:
        data = [data]
    else:
        data[key] = {"x": [1]}
    with pytest.raises(VtacspError):
        check(data)


def test_a_run_is_continued_from_its_file(tmp_path):
    free = {"LOG_INP_BUFF_SIZE": range(9, 14), "LOG_ACC_BUFF_SIZE": (10, 12)}
    space = MachineSpace(free=free)
    path = tmp_path / "run.jsonl"
    store = Store(path, circumstances(space))
    first = codesign([POINT], space, store=store)
    store.close()
    lines = path.read_text().splitlines()
    # killed in the middle of a line, before the last programs
    path.write_text("\n".join(lines[:-3]) + "\n" + lines[-3][:4])
    store = Store(path, circumstances(space))
    again = codesign([POINT], space, store=store)
    store.close()
    assert again.points == first.points
    assert (again.proof.programs, again.proof.recalled) == (3, first.proof.programs - 3)
    assert sorted(path.read_text().splitlines()) == sorted(lines)
    # other ranges share what is there; another timing does not
    more = MachineSpace(free={**free, "LOG_BLOCK": (3, 4)})
    assert codesign([POINT], more, store=Store(path, circumstances(more))).proof.recalled > 0
    slow = MachineSpace(free=free, timing=PYNQ)
    with pytest.raises(LogError, match=r"timing is .* another file is needed"):
        Store(path, circumstances(slow))
    path.write_text('{"a": 1}\n')
    with pytest.raises(LogError, match="no file of `vtacsp codesign --resume`"):
        Store(path, circumstances(space))


def test_an_operator_without_bounds_or_a_rule_of_evictions_is_compared_all_the_same(monkeypatch):
    """Slower, as every program is simulated, for every micro-op scratchpad; but exact."""
    space = MachineSpace(free={"LOG_INP_BUFF_SIZE": (9, 11), "LOG_UOP_BUFF_SIZE": (5, 8)})
    known = codesign([POINT], space)
    monkeypatch.setattr(cycle_table, "_is_bounded", lambda workload: False)
    monkeypatch.setattr(cycle_table, "_holds_kernels", lambda problem: truth(False))
    found = codesign([POINT], space)
    assert [(p.machine, p.cycles) for p in found.points] == [
        (p.machine, p.cycles) for p in known.points
    ]
    assert found.proof.programs > known.proof.programs
    assert found.proof.cut_by_work == found.proof.cut_by_schedule == 0
