"""The machine of a task is the one that its target names, and histories keep devices apart."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import numpy as np
import pytest
from tvm import autotvm
from tvm.autotvm.measure import MeasureErrorNo
from tvm.autotvm.tuner import RandomTuner
from tvm.target import Target

import vtacsp
from vtacsp import PYNQ, RTL, HardwareError, MeasureError, Simulator, VTAConfig
from vtacsp.autotvm import (
    SimulatorBuilder,
    SimulatorRunner,
    create_task,
    machine_of,
    measure_option,
    prune,
    seed,
    workload_of,
)
from vtacsp.tune import (
    RandomSearcher,
    SimulatorMeasurer,
    device_of,
    load_records,
    search_space,
    target_of,
    tune,
)

RACES = Path(__file__).parents[1] / "data" / "races.json.gz"
(C8,) = vtacsp.find_workloads("resnet18.C8")
SMALL = VTAConfig().replace(LOG_INP_BUFF_SIZE=14, LOG_ACC_BUFF_SIZE=15)
MODEL = "sim_1x16_i8w8a32_15_14_18_15"
SPACE = vtacsp.compile(C8, SMALL)
DEFAULT = vtacsp.compile(C8)
TARGETS = {
    "vta": f"ext_dev -keys=vta,cpu -device=vta -model={MODEL}",
    "another order": f"ext_dev -model={MODEL} -device=vta",
    "estimate": target_of(SMALL, device_of(PYNQ)),
}


@pytest.fixture(autouse=True)
def _seeded():
    random.seed(1)
    np.random.seed(1)


def extracted(target):
    """A task as Relay extracts it: nothing but name, arguments and target."""
    task = create_task(C8, SMALL)
    return autotvm.task.create(task.name, task.args, Target(target))


def seen(tuner, n, option):
    results = []
    tuner.tune(n, option, callbacks=[lambda _, __, part: results.extend(part)])
    return [MeasureErrorNo(result.error_no) for result in results]


def test_the_machines_differ():
    assert 0 < len(SPACE) < len(DEFAULT)
    assert not set(DEFAULT.indices) <= set(SPACE.indices)


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("hardware", [None, SMALL], ids=["read", "said twice"])
def test_everything_is_of_the_machine_that_the_target_names(target, hardware):
    task = extracted(target)
    assert machine_of(task, hardware) == SMALL
    assert workload_of(task, hardware).pack(SMALL) == C8.pack(SMALL)
    first = seed(RandomTuner(task), len(SPACE), "ranked", hardware=hardware)
    assert sorted(first) == SPACE.indices.tolist()
    assert first[0] == int(SPACE.indices[np.argmin(Simulator(SPACE).cycles_many(SPACE))])
    pruned = prune(task, hardware)
    assert pruned.hardware == SMALL
    assert pruned.indices.tolist() == SPACE.indices.tolist()


def test_the_simulated_board_is_the_machine_that_the_target_names():
    """What runs on the default machine only does not compile; the option is made before."""
    option, task = measure_option(), extracted(TARGETS["vta"])
    only = [i for i in DEFAULT.indices.tolist() if i not in SPACE.indices][:4]
    both = [i for i in DEFAULT.indices.tolist() if i in SPACE.indices][:4]
    assert len(only) == len(both) == 4
    builder, runner = option["builder"], option["runner"]
    builder.set_task(task)
    runner.set_task(task)
    inputs = [
        autotvm.MeasureInput(task.target, task, task.config_space.get(i)) for i in only + both
    ]
    results = runner.run(inputs, builder.build(inputs))
    good = [MeasureErrorNo(r.error_no) == MeasureErrorNo.NO_ERROR for r in results]
    assert good == [False] * 4 + [True] * 4
    cycles = Simulator(C8, SMALL).cycles_many(both)
    assert [r.costs[0] for r in results[4:]] == pytest.approx((cycles / RTL.clock_hz).tolist())


def test_one_option_measures_tasks_of_several_machines():
    option = measure_option()
    for machine in (SMALL, VTAConfig(), SMALL):
        task = create_task(C8, machine)
        assert prune(task).hardware == machine
        assert seen(RandomTuner(task), 8, option) == [MeasureErrorNo.NO_ERROR] * 8


USES = {
    "prune": prune,
    "seed": lambda task, hardware: seed(RandomTuner(task), 1, hardware=hardware),
    "workload_of": workload_of,
    "builder": lambda task, hardware: SimulatorBuilder(hardware).set_task(task),
    "runner": lambda task, hardware: SimulatorRunner(hardware).set_task(task),
    "option": lambda task, hardware: RandomTuner(task).tune(1, measure_option(hardware)),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_machine_that_contradicts_the_target_is_an_error_that_shows_both(use):
    with pytest.raises(HardwareError) as failure:
        use(extracted(TARGETS["vta"]), VTAConfig())
    assert MODEL in str(failure.value)
    assert VTAConfig().model in str(failure.value)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("target", ["ext_dev -keys=vta,cpu -device=vta", "llvm"])
def test_a_target_without_a_machine_needs_one_to_be_given(use, target):
    with pytest.raises(HardwareError, match=r"has no -model= .* give hardware=VTAConfig"):
        use(extracted(target), None)
    use(extracted(target), SMALL)


@pytest.mark.parametrize("use", USES.values(), ids=USES)
@pytest.mark.parametrize("hardware", [None, SMALL], ids=["read", "given"])
def test_a_target_of_sizes_that_make_no_machine_is_refused(use, hardware):
    task = extracted("ext_dev -device=vta -model=sim_1x16_i8w8a32_15_14_18_99")
    with pytest.raises(HardwareError, match="LOG_ACC_BUFF_SIZE is 99, allowed are 0 to 31"):
        use(task, hardware)


@pytest.mark.parametrize("name", ["seed", "builder", "runner", "option"])
def test_a_pruned_task_stays_on_its_machine(name):
    task, use = extracted("ext_dev -device=vta"), USES[name]
    prune(task, SMALL)
    use(task, None)
    with pytest.raises(HardwareError, match=MODEL):
        use(task, VTAConfig().replace(LOG_ACC_BUFF_SIZE=16))


def test_a_space_is_taken_with_its_machine_and_its_rules():
    from vtacsp.rules.symbols import h_nthread, oc_nthread

    rule = vtacsp.Rule.of("no_threads", (oc_nthread == 1) & (h_nthread == 1), "threads")
    space = vtacsp.compile(C8, SMALL, [rule])
    task = create_task(space)
    assert str(task.target) == TARGETS["vta"]
    assert prune(task, workload=space).indices.tolist() == space.indices.tolist()
    with pytest.raises(HardwareError, match=MODEL):
        prune(create_task(C8), workload=space)
    with pytest.raises(HardwareError, match=MODEL):
        create_task(space, VTAConfig())


def test_the_set_of_the_stack_is_taken_as_it_is():
    """A configuration that races on the hardware: refused by default, not with ``stack_only``."""
    cases = json.loads(gzip.decompress(RACES.read_bytes()))["cases"]
    workload, index = vtacsp.workload_from_dict(cases[0]["workload"]), cases[0]["index"]
    for stack_only, number in (
        (True, MeasureErrorNo.NO_ERROR),
        (False, MeasureErrorNo.WRONG_ANSWER),
    ):
        space = vtacsp.compile(workload, stack_only=stack_only)
        task = create_task(space)
        option, config = measure_option(workload=space), task.config_space.get(index)
        assert (index in prune(task, workload=space).indices) == stack_only
        builder, runner = option["builder"], option["runner"]
        builder.set_task(task)
        runner.set_task(task)
        inputs = [autotvm.MeasureInput(task.target, task, config)]
        (result,) = runner.run(inputs, builder.build(inputs))
        assert MeasureErrorNo(result.error_no) == number


# -- histories


def fastest(log, target, workload):
    """What AutoTVM's history takes for a target; None when it has nothing."""
    with autotvm.apply_history_best(str(log)) as history:
        config = history.query(Target(target), workload)
    return None if config.is_fallback else config.index


def written(path, hardware, timing, n=24):
    space = vtacsp.compile(C8, hardware)
    measurer = SimulatorMeasurer(space, timing=timing)
    searcher = RandomSearcher(search_space(space), seed=timing.memory_latency)
    return tune(searcher, measurer, trials=n, log=path).best.index


FAST = RTL.override(["clock_hz=400000000"])  # estimates that look faster than the RTL
SLOW = PYNQ


def test_a_history_never_takes_one_machine_or_device_for_another(tmp_path):
    log = tmp_path / "vtacsp.log"
    best = {}
    for hardware in (SMALL, VTAConfig()):
        for timing in (SLOW, RTL, FAST):
            best[hardware.model, device_of(timing)] = written(log, hardware, timing)
    assert len(set(best.values())) > 2
    task = create_task(C8, SMALL)
    for hardware in (SMALL, VTAConfig()):
        for timing in (SLOW, RTL, FAST):
            target = target_of(hardware, device_of(timing))
            found = fastest(log, target, task.workload)
            assert found == best[hardware.model, device_of(timing)]
    # neither does what AutoTVM keeps of the log
    picked = tmp_path / "best.log"
    autotvm.record.pick_best(str(log), str(picked))
    kept = {(r.task.model, r.device or device_of(RTL)): r.index for r in load_records(picked)}
    assert kept == best


def test_vtas_target_finds_nothing_in_a_log_of_estimates(tmp_path):
    """Neither by the model, nor by the keys of the target, that AutoTVM falls back to."""
    log = tmp_path / "vtacsp.log"
    for timing in (SLOW, FAST):
        written(log, SMALL, timing)
    task = create_task(C8, SMALL)
    for target in (TARGETS["vta"], "ext_dev -keys=vta,cpu -device=vta", target_of(SMALL, "board")):
        assert fastest(log, target, task.workload) is None
    found = fastest(log, target_of(SMALL, device_of(SLOW)), task.workload)
    assert found is not None
    # unless somebody says that they are for it
    chosen = [r.for_vta() for r in load_records(log) if r.device == device_of(SLOW)]
    vtacsp.tune.write_records(log, chosen)
    assert fastest(log, TARGETS["vta"], task.workload) == found


def test_autotvms_own_log_says_which_device_it_is_of(tmp_path):
    log = tmp_path / "autotvm.log"
    option = measure_option(simulator=lambda layer, machine: Simulator(layer, machine, PYNQ))
    task = create_task(SPACE, device=device_of(PYNQ))
    prune(task)
    RandomTuner(task).tune(4, option, callbacks=[autotvm.callback.log_to_file(str(log))])
    assert {(r.task.model, r.device) for r in load_records(log)} == {(MODEL, device_of(PYNQ))}
    assert fastest(log, TARGETS["vta"], task.workload) is None


@pytest.mark.parametrize(
    ("device", "runner"),
    [
        ("", SimulatorRunner(simulator=lambda *of: Simulator(*of, PYNQ))),
        ("", SimulatorRunner(clock=400e6)),
        (device_of(PYNQ), SimulatorRunner()),
    ],
)
def test_an_estimate_is_not_measured_for_the_target_of_another_device(device, runner):
    with pytest.raises(MeasureError, match=r"is of the device 'simulator rtl.* this simulator is"):
        runner.set_task(create_task(SPACE, device=device))
