"""Layers that share a machine with free sizes: exact counts and uniform samples, never listed."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from ortools.sat.python import cp_model

from tests.support.strategies import layers
from vtacsp import (
    HardwareError,
    HardwareSpace,
    JointPoint,
    Rule,
    SpaceError,
    VTAConfig,
    compile,
    compile_network,
    suite,
)
from vtacsp.rules.symbols import oc_nthread
from vtacsp.space.cpsat import ProblemModel
from vtacsp.space.problem import Problem

RESNET = suite("resnet18")
EIGHT = {
    "LOG_UOP_BUFF_SIZE": range(9, 17),
    "LOG_INP_BUFF_SIZE": range(12, 20),
    "LOG_WGT_BUFF_SIZE": range(14, 22),
    "LOG_ACC_BUFF_SIZE": range(13, 21),
}


@settings(max_examples=20)
@given(layers())
def test_counts_are_those_of_compiling_every_machine(layer):
    workload, hardware = layer
    keys = [f"LOG_{b}_BUFF_SIZE" for b in ("UOP", "ACC", "INP")]
    now = hardware.symbols
    free = {key: range(now[key], now[key] + 2) for key in keys}
    joint = compile_network([workload], HardwareSpace(hardware, **free))
    expected = [len(compile(workload, machine)) for machine in joint.hardware]
    assert [joint.layer_counts(i)[0] for i in range(len(joint.hardware))] == expected
    assert joint.count() == sum(expected)


def test_a_small_joint_space_is_the_list_of_its_points():
    workloads = [RESNET[7], RESNET[9]]
    space = HardwareSpace(
        LOG_INP_BUFF_SIZE=(10, 11), LOG_ACC_BUFF_SIZE=(10, 11), LOG_UOP_BUFF_SIZE=(12,)
    )
    joint = compile_network(workloads, space)
    listed = [
        JointPoint(machine, configs)
        for machine in space
        for configs in product(*(list(compile(w, machine)) for w in workloads))
    ]
    assert joint.count() == len(listed) > 100
    assert [joint[rank] for rank in range(joint.count())] == listed
    assert [joint.rank(point) for point in listed] == list(range(len(listed)))


def test_cp_sat_counts_the_same_joint_space():
    workload = RESNET[9]
    space = HardwareSpace(LOG_WGT_BUFF_SIZE=(16, 18), LOG_ACC_BUFF_SIZE=(11, 17, 18))
    model = ProblemModel([Problem(workload, space.base)], space.free)
    found = set()

    class Collect(cp_model.CpSolverSolutionCallback):
        def on_solution_callback(self):
            sizes = tuple(self.value(v) for v in model.hardware.values())
            found.add((sizes, tuple(model.configs(self.value)[0].items())))

    solver = model.solver()
    solver.parameters.enumerate_all_solutions = True
    solver.solve(model.model, Collect())
    joint = compile_network([workload], space)
    points = [joint[rank] for rank in range(joint.count())]
    expected = {
        (tuple(p.hardware.symbols[k] for k in space.free), tuple(p.configs[0].items()))
        for p in points
    }
    assert found == expected
    assert len(points) == len(expected)


def test_a_network_on_one_machine_is_one_model_for_cp_sat():
    layers_ = [RESNET[7], RESNET[9]]
    free = {"LOG_INP_BUFF_SIZE": (9, 10, 11), "LOG_ACC_BUFF_SIZE": (10, 11)}
    model = ProblemModel([Problem(w, VTAConfig()) for w in layers_], free)
    model.model.minimize(sum(model.hardware.values()))
    solver = model.solve()
    machine = VTAConfig().replace(**{k: solver.value(v) for k, v in model.hardware.items()})
    for workload, config in zip(layers_, model.configs(solver.value), strict=True):
        assert config in compile(workload, machine)
    counts = [m for m, n in compile_network(layers_, HardwareSpace(**free)).machines() if n]
    least = min(sum(m.symbols[k] for k in free) for m in counts)
    assert sum(machine.symbols[k] for k in free) == least


def test_resnet18_with_all_sizes_free_is_counted_and_sampled():
    joint = compile_network(RESNET, HardwareSpace(**EIGHT))
    assert joint.count() > 10**20
    points = joint.sample(50, seed=1)
    assert points == joint.sample(50, seed=1)
    assert len({joint.rank(p) for p in points}) == 50
    for point in points[:10]:
        for workload, config in zip(RESNET, point.configs, strict=True):
            assert config in compile(workload, point.hardware)
    machine = 1234
    alone = [len(compile(w, joint.hardware[machine])) for w in RESNET]
    assert joint.layer_counts(machine) == alone


def test_joint_samples_are_uniform():
    joint = compile_network(
        [RESNET[9]], HardwareSpace(LOG_INP_BUFF_SIZE=(9, 10), LOG_WGT_BUFF_SIZE=(15, 18))
    )
    drawn = Counter(joint.rank(p) for seed in range(400) for p in joint.sample(5, seed))
    expected = 400 * 5 / joint.count()
    chi2 = sum((drawn[r] - expected) ** 2 / expected for r in range(joint.count()))
    freedom = joint.count() - 1
    assert abs(chi2 - freedom) < 5 * (2 * freedom) ** 0.5


def test_user_rules_restrict_the_network():
    space = HardwareSpace(LOG_ACC_BUFF_SIZE=(16, 17))
    rule = Rule.of("one_thread", oc_nthread == 1)
    joint = compile_network([RESNET[9]], space, [rule])
    expected = sum(len(compile(RESNET[9], machine, [rule])) for machine in space)
    assert joint.count() == expected


@pytest.mark.parametrize(
    ("free", "message"),
    [
        ({"LOG_BLOCK": (3, 4)}, "LOG_BLOCK cannot be free"),
        ({"LOG_ACC_BUFF_SIZE": ()}, "LOG_ACC_BUFF_SIZE: candidates are integers"),
        ({"LOG_ACC_BUFF_SIZE": (99,)}, "from 0 to 31"),
    ],
)
def test_a_bad_range_is_refused(free, message):
    with pytest.raises(HardwareError, match=message):
        HardwareSpace(**free)


def test_questions_a_joint_space_cannot_answer():
    joint = compile_network([RESNET[9]], HardwareSpace(LOG_ACC_BUFF_SIZE=(17,)))
    with pytest.raises(SpaceError, match="cannot sample 41 points, there are 40"):
        joint.sample(41)
    with pytest.raises(SpaceError, match="rank 40 is out of range"):
        joint[40]
    with pytest.raises(SpaceError, match="is not one of the machines"):
        joint.rank(JointPoint(VTAConfig().replace(LOG_ACC_BUFF_SIZE=16), (joint[0].configs[0],)))
    with pytest.raises(SpaceError, match="at least one layer"):
        compile_network([], joint.hardware)
