"""One call: a layer tuned by MetaSchedule on the simulator."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import meta_schedule as ms
from tvm.target import Target

from vtacsp.errors import SpaceError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.metaschedule.compute import prim_func
from vtacsp.metaschedule.design_space import feasible_space, space_generator
from vtacsp.metaschedule.runner import (
    Cycles,
    SimulatorBuilder,
    SimulatorRunner,
    simulated_cycles,
)
from vtacsp.metaschedule.strategy import FeasibleSearch, Initial
from vtacsp.metaschedule.traces import config_of
from vtacsp.operators.knobs import Config
from vtacsp.operators.workload import Workload
from vtacsp.rules.rule import Rule
from vtacsp.space.problem import Problem, Space
from vtacsp.timing.model import RTL
from vtacsp.tune.initial import uniform

__all__ = ["TARGET", "BestRecord", "best", "tune"]

TARGET = {"kind": "llvm", "num-cores": 1}
"""The target of a task: the CPU on which the scheduled TIR can be run and checked.

>>> from tvm.target import Target
>>> str(Target(TARGET).kind)
'llvm'
"""


@dataclass(frozen=True)
class BestRecord:
    """The best configuration in a database, its cycles, and the database.

    >>> import tempfile
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = tune(layer, work_dir=folder, trials=3)
    ...     measured = len(result.database.get_all_tuning_records())
    ...
    >>> result.config in vtacsp.compile(layer), measured
    (True, 3)
    """

    config: Config
    cycles: int
    database: ms.Database = field(repr=False)


def tune(
    workload: Workload | Space,
    hardware: VTAConfig | None = None,
    *,
    work_dir: str | Path,
    trials: int = 64,
    batch: int = 16,
    initial: Initial = uniform,
    rules: Iterable[Rule] = (),
    cycles: Cycles = simulated_cycles,
    cost_model: Any = None,
    seed: int = 0,
) -> BestRecord:
    """Tune one layer with ``ms.tune_tir``; every trial is a feasible configuration.

    ``workload`` is a space, whose machine and rules hold, or a bare workload on ``hardware``, the
    default machine when not given; ``rules`` are yours, on top.

    ``work_dir`` holds MetaSchedule's JSON database and logs; tuning again in the same folder
    goes on from there and measures nothing twice.  ``trials`` bounds the measurements of this
    call, ``batch`` those of a generation; ``initial`` is the first generation.  ``cost_model``
    is MetaSchedule's XGBoost model unless you give another.

    Raises :class:`~vtacsp.errors.WorkloadError` when the workload cannot be packed,
    :class:`~vtacsp.errors.HardwareError` for a machine beside a space of another one and
    :class:`~vtacsp.errors.SpaceError` when nothing is feasible or nothing could be measured.

    >>> import tempfile
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = tune(layer, work_dir=folder, trials=3)
    ...
    >>> result.cycles == vtacsp.Simulator(layer).cycles(result.config)
    True
    """
    problem = Problem.of(workload, hardware).adding(rules)
    mod, rules = prim_func(problem), problem.user_rules
    if not len(feasible_space(mod, rules)):
        raise SpaceError(f"{problem.workload.name} has no feasible configuration")
    # one worker, and a model from the second generation on: the same run for the same seed
    model = ms.cost_model.XGBModel(num_warmup_samples=1, num_tuning_cores=1)
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    level = logger.level
    try:
        database = ms.tune_tir(
            mod,
            Target(TARGET),
            work_dir=str(work_dir),
            max_trials_global=trials,
            num_trials_per_iter=batch,
            builder=SimulatorBuilder(),
            runner=SimulatorRunner(cycles),
            cost_model=cost_model or model,
            space=space_generator(rules),
            strategy=FeasibleSearch(initial, rules=rules),
            num_tuning_cores=1,
            seed=seed,
        )
    finally:
        logger.setLevel(level)  # MetaSchedule sets it to DEBUG
    return best(database, problem)


def best(
    database: ms.Database, workload: Workload | Space, hardware: VTAConfig | None = None
) -> BestRecord:
    """The best record of a layer on a machine, which are as in :func:`tune`.

    Raises :class:`~vtacsp.errors.SpaceError` when the database has no successful one.

    The records of a folder, read again:

    >>> import tempfile
    >>> from tvm.s_tir import meta_schedule as ms
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     first = tune(layer, work_dir=folder, trials=3)
    ...     again = best(ms.database.JSONDatabase(work_dir=folder), layer)
    ...
    >>> again.config == first.config
    True
    """
    problem = Problem.of(workload, hardware)
    mod = IRModule({"main": prim_func(problem)})
    record = database.query_tuning_record(mod, Target(TARGET), "main")
    if record is None:
        name, machine = problem.workload.name, problem.hardware.model
        raise SpaceError(f"the database has no measurement of {name} on {machine} that succeeded")
    seconds = min(float(second) for second in record.run_secs)
    return BestRecord(config_of(record.trace), RTL.cycles_of(seconds), database)
