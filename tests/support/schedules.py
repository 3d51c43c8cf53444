"""Free schedules for tests: layers, machines, epilogues and schedules at random."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from tests.support.layers import ON_ALU, random_layer, random_machine
from vtacsp import Rule, VTAConfig
from vtacsp.epilogue import Epilogue
from vtacsp.errors import ProgramError, ScheduleError, WorkloadError
from vtacsp.free import FreeSpace, Schedule, emit
from vtacsp.free.emit import slots_that_fit
from vtacsp.free.epilogue import chain_of
from vtacsp.free.moves import mutate, sample
from vtacsp.free.schedule_fields import PARTITIONS
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.geometry import Geometry
from vtacsp.operators.workload import Workload

CAST = {"op": "cast"}


OPERANDS = ("channel", "channel", "tensor", "tensor", "self")


def random_chain(rng: Random) -> Epilogue:
    steps: list[dict[str, object]] = []
    if rng.random() < 0.3:  # a tensor that takes the place of the reset
        steps.append({"op": "add", "operand": "tensor", "left": rng.random() < 0.5})
    for _ in range(rng.randint(0, 4)):
        kind = rng.choice((0, 1, 2, 2, 3))
        if kind == 0:
            steps.append({"op": "shift_right", "by": rng.randint(1, 10)})
        elif kind == 1:
            steps.append({"op": rng.choice(("add", "sub", "max", "min", "mul")),
                          "value": rng.choice((-300, -3, 2, 7, 100))})  # fmt: skip
        elif kind == 2:
            steps.append({"op": rng.choice(("add", "max", "min", "mul")),
                          "operand": rng.choice(OPERANDS), "left": rng.random() < 0.3})  # fmt: skip
        else:
            steps.append({"op": "clip", "min": -rng.randint(0, 128), "max": rng.randint(1, 127)})
    return Epilogue.from_list([*steps, {"op": "shift_left", "by": 1}, CAST][-9:])


def refused(schedule: Schedule, layer: Workload, machine: VTAConfig) -> str:
    """Why no program is emitted, empty when one is."""
    try:
        emit(schedule, layer, machine)
    except ScheduleError:
        return "schedule"
    except ProgramError as error:
        return error.cause
    return ""


def drawn(g: Geometry, layer: Workload, machine: VTAConfig, rng: Random) -> Schedule:
    """A schedule at random, some of which fit, some of which are none of the layer."""
    schedule = sample(g, rng)
    for _ in range(rng.randint(0, 8)):
        schedule = mutate(schedule, g, rng)
    if rng.random() < 0.1:
        schedule = replace(schedule, **{rng.choice(("inp", "wgt", "acc")): rng.choice((20, 300))})
    if rng.random() < 0.6:
        schedule = slots_that_fit(schedule, layer, machine) or schedule
    if rng.random() < 0.1:
        name = rng.choice(PARTITIONS)
        schedule = replace(schedule, **{name: getattr(sample(g, rng), name)})
    return schedule


def random_case(operator: str, rng: Random) -> tuple[Workload, VTAConfig] | None:
    machine, layer = random_machine(rng), random_layer(operator, rng)
    if rng.random() < 0.3:
        machine = machine.replace(LOG_UOP_BUFF_SIZE=rng.randint(5, 9))
    if operator in ON_ALU:
        machine = machine.replace(LOG_ACC_BUFF_SIZE=rng.randint(12, 16))
        if rng.random() < 0.3:
            machine = machine.replace(LOG_UOP_BUFF_SIZE=rng.randint(4, 6))
    if rng.random() < 0.5:
        layer = replace(layer, bias=False, epilogue=random_chain(rng))
    try:
        chain_of(layer, machine)
    except WorkloadError:
        return None
    return layer, machine


PLAIN = Schedule(channels=(1,), rows=(1,), columns=(1,), reduction=(1,))


def conv(height: int, width: int, blocks: int = 1) -> Conv2D:
    return Conv2D(
        in_channels=16 * blocks, height=height, width=width, out_channels=16 * blocks, kernel=(1, 1)
    )


def small(rules: tuple[Rule, ...] = (), **values: list[object]) -> FreeSpace:
    size = {"in_channels": 32, "height": 4, "width": 4, "out_channels": 32, "kernel": (3, 3)}
    usual: dict[str, list[object]] = {
        "lead": [()], "begin": [(), (1, 1)], "begin_rows": [()], "finish": [(), (2,), (1, 1)],
        "lead_uops": [1], "group_uops": [0], "loop": ["input"], "gather": ["rows"],
        "order": ["rows"], "snake": [False], "inp": [1, 9], "wgt": [2], "acc": [1, 2],
        "form": ["column", "all"], "load_rows": [0],
    }  # fmt: skip
    layer = Conv2D(name="small", **size, padding=(1, 1))
    machine = VTAConfig().replace(LOG_INP_BUFF_SIZE=10, LOG_ACC_BUFF_SIZE=11)
    return FreeSpace(layer, machine, rules, **{**usual, "columns": [(4,)], **values})
