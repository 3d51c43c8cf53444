"""VTA's layers in MetaSchedule (today's apache-tvm): only what can run is measured."""

from __future__ import annotations

from vtacsp.errors import MissingDependencyError

try:
    import tvm.s_tir.meta_schedule
except ImportError as error:
    raise MissingDependencyError(
        f"vtacsp.metaschedule needs TVM's MetaSchedule: pip install 'vtacsp[tvm]' ({error})"
    ) from None

from vtacsp.metaschedule.compute import prim_func, problem_of
from vtacsp.metaschedule.measure import Cycles, SimulatorBuilder, SimulatorRunner, simulated_cycles
from vtacsp.metaschedule.schedule import apply, config_of, with_config
from vtacsp.metaschedule.search import FeasibleSearch, Initial, uniform
from vtacsp.metaschedule.space import Feasible, FeasibleMove, feasible_space, space_generator
from vtacsp.metaschedule.tune import TARGET, TuningResult, best, tune

__all__ = [
    "TARGET",
    "Cycles",
    "Feasible",
    "FeasibleMove",
    "FeasibleSearch",
    "Initial",
    "SimulatorBuilder",
    "SimulatorRunner",
    "TuningResult",
    "apply",
    "best",
    "config_of",
    "feasible_space",
    "prim_func",
    "problem_of",
    "simulated_cycles",
    "space_generator",
    "tune",
    "uniform",
    "with_config",
]
