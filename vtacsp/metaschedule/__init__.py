"""VTA's layers in MetaSchedule (today's apache-tvm): only what can run is measured."""

from __future__ import annotations

import inspect
from importlib import import_module

from vtacsp.errors import (
    ConfigError,
    HardwareError,
    MissingDependencyError,
    RuleError,
    SpaceError,
    WorkloadError,
)

try:
    import_module("tvm.s_tir.meta_schedule")
except ImportError as error:
    raise MissingDependencyError(
        "vtacsp.metaschedule needs TVM's MetaSchedule: in the folder of vtacsp's repository, "
        f"pip install '.[tvm]' ({error})"
    ) from None

from tvm_ffi.error import register_error

from vtacsp.metaschedule.compute import prim_func, problem_of
from vtacsp.metaschedule.design_space import Feasible, FeasibleMove, feasible_space, space_generator
from vtacsp.metaschedule.runner import Cycles, SimulatorBuilder, SimulatorRunner, simulated_cycles
from vtacsp.metaschedule.strategy import FeasibleSearch, Initial
from vtacsp.metaschedule.traces import apply, config_of, with_config
from vtacsp.metaschedule.tune import TARGET, BestRecord, best, tune
from vtacsp.moved import keep_old_names

__all__ = [
    "TARGET",
    "BestRecord",
    "Cycles",
    "Feasible",
    "FeasibleMove",
    "FeasibleSearch",
    "Initial",
    "SimulatorBuilder",
    "SimulatorRunner",
    "apply",
    "best",
    "config_of",
    "feasible_space",
    "prim_func",
    "problem_of",
    "simulated_cycles",
    "space_generator",
    "tune",
    "with_config",
]

# what is raised inside of TVM's callbacks keeps its type on the way out
for _error in (ConfigError, HardwareError, RuleError, SpaceError, WorkloadError):
    register_error(f"vtacsp.{_error.__name__}", _error)


def _name_frozen_modules() -> None:
    """Tell ``inspect`` the modules that are in no file.

    MetaSchedule parses TVM's tensor intrinsics when it starts, and asks inspect for the module of
    every frame on the stack.  Without these entries of inspect's cache each frame of a frozen
    module costs a walk over all modules, and the start five times the time.
    """
    for name in ("importlib._bootstrap", "importlib._bootstrap_external", "runpy"):
        inspect.modulesbyfile.setdefault(f"<frozen {name}>", name)


_name_frozen_modules()


keep_old_names(__name__)
