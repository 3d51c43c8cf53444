"""Tuning: search a space of configurations by measuring them.

A *space* (the whole grid or the feasible set), a *searcher* (proposes and learns), a *measurer*
(configurations in, results out), and :func:`tune`, which runs them and keeps a log that AutoTVM
reads.
"""

from vtacsp.tune.annealing import SimulatedAnnealing
from vtacsp.tune.bound import cycle_bound, cycle_bounds
from vtacsp.tune.costmodel import XGBoostModel
from vtacsp.tune.executor import ExecutorMeasurer
from vtacsp.tune.genetic import GeneticSearcher
from vtacsp.tune.grid import GridSearcher
from vtacsp.tune.initial import Presample, diverse, lowest_bounds, presample, ranked, uniform
from vtacsp.tune.loop import Trial, TuningResult, tune
from vtacsp.tune.measure import FunctionMeasurer, Measurer, SimulatorMeasurer, TableMeasurer
from vtacsp.tune.measured_schedules import (
    MeasuredSchedules,
    ScheduleTrial,
    measure_schedules,
)
from vtacsp.tune.model_searcher import ModelSearcher
from vtacsp.tune.random_search import RandomSearcher
from vtacsp.tune.records import (
    Digest,
    LogLine,
    Record,
    TuningLog,
    best_records,
    load_records,
    merge_records,
    read_log,
    records_for_vta,
    refuse_mixed,
    scan_log,
    write_records,
)
from vtacsp.tune.result import MeasureErrorNo, Result, error_of
from vtacsp.tune.schedule_log import ScheduleLog
from vtacsp.tune.search_space import FeasibleGrid, FeasibleSet, SearchSpace, WholeGrid, search_space
from vtacsp.tune.searcher import Searcher
from vtacsp.tune.task import RTL_DEVICE, Task, device_of, hardware_of, target_of

__all__ = [
    "RTL_DEVICE",
    "Digest",
    "ExecutorMeasurer",
    "FeasibleGrid",
    "FeasibleSet",
    "FunctionMeasurer",
    "GeneticSearcher",
    "GridSearcher",
    "LogLine",
    "MeasureErrorNo",
    "MeasuredSchedules",
    "Measurer",
    "ModelSearcher",
    "Presample",
    "RandomSearcher",
    "Record",
    "Result",
    "ScheduleLog",
    "ScheduleTrial",
    "SearchSpace",
    "Searcher",
    "SimulatedAnnealing",
    "SimulatorMeasurer",
    "TableMeasurer",
    "Task",
    "Trial",
    "TuningLog",
    "TuningResult",
    "WholeGrid",
    "XGBoostModel",
    "best_records",
    "cycle_bound",
    "cycle_bounds",
    "device_of",
    "diverse",
    "error_of",
    "hardware_of",
    "load_records",
    "lowest_bounds",
    "measure_schedules",
    "merge_records",
    "presample",
    "ranked",
    "read_log",
    "records_for_vta",
    "refuse_mixed",
    "scan_log",
    "search_space",
    "target_of",
    "tune",
    "uniform",
    "write_records",
]
