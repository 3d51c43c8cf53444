"""The public names of the package, once: ``__init__.py`` imports each when it is first used."""

from .errors import (
    AuditError as AuditError,
)
from .errors import (
    BundleError as BundleError,
)
from .errors import (
    CalibrationError as CalibrationError,
)
from .errors import (
    ConfigError as ConfigError,
)
from .errors import (
    DeadlockError as DeadlockError,
)
from .errors import (
    DriverError as DriverError,
)
from .errors import (
    HardwareError as HardwareError,
)
from .errors import (
    LogError as LogError,
)
from .errors import (
    MeasureError as MeasureError,
)
from .errors import (
    NetworkError as NetworkError,
)
from .errors import (
    ProgramError as ProgramError,
)
from .errors import (
    RaceError as RaceError,
)
from .errors import (
    RuleError as RuleError,
)
from .errors import (
    SearchError as SearchError,
)
from .errors import (
    SimulationError as SimulationError,
)
from .errors import (
    SpaceError as SpaceError,
)
from .errors import (
    StudyError as StudyError,
)
from .errors import (
    TimingError as TimingError,
)
from .errors import (
    TooLongError as TooLongError,
)
from .errors import (
    UnwrittenError as UnwrittenError,
)
from .errors import (
    VtacspError as VtacspError,
)
from .errors import (
    WorkloadError as WorkloadError,
)
from .functional.program_execution import (
    ExecutionResult as ExecutionResult,
)
from .functional.program_execution import (
    verdict as verdict,
)
from .functional.reference import (
    Operands as Operands,
)
from .functional.reference import (
    random_operands as random_operands,
)
from .functional.reference import (
    reference as reference,
)
from .machine.configuration import VTAConfig as VTAConfig
from .network.find import find_workloads as find_workloads
from .network.load import load_network as load_network
from .network.value import Network as Network
from .operators.add.workload import Add as Add
from .operators.avg_pool.workload import AvgPool as AvgPool
from .operators.builder import build as build
from .operators.catalogue import (
    catalogue as catalogue,
)
from .operators.catalogue import (
    quantity as quantity,
)
from .operators.conv2d.workload import Conv2D as Conv2D
from .operators.conv2d_transpose.workload import Conv2DTranspose as Conv2DTranspose
from .operators.dense.workload import Dense as Dense
from .operators.group_conv2d.workload import GroupConv2D as GroupConv2D
from .operators.knobs import (
    Config as Config,
)
from .operators.knobs import (
    Knob as Knob,
)
from .operators.knobs import (
    KnobSpace as KnobSpace,
)
from .operators.loading import (
    load_workloads as load_workloads,
)
from .operators.loading import (
    workload_from_dict as workload_from_dict,
)
from .operators.max_pool.workload import MaxPool as MaxPool
from .operators.suites import (
    SUITES as SUITES,
)
from .operators.suites import (
    suite as suite,
)
from .operators.workload import Workload as Workload
from .program.program import Program as Program
from .rules.rule import (
    Check as Check,
)
from .rules.rule import (
    Rule as Rule,
)
from .rules.rule import (
    Stage as Stage,
)
from .space.advice import (
    Advice as Advice,
)
from .space.advice import (
    advise as advise,
)
from .space.explanation import (
    Explanation as Explanation,
)
from .space.explanation import (
    Violation as Violation,
)
from .space.feasible import (
    FeasibleSpace as FeasibleSpace,
)
from .space.feasible import (
    compile as compile,
)
from .space.joint import (
    HardwareSpace as HardwareSpace,
)
from .space.joint import (
    JointPoint as JointPoint,
)
from .space.joint import (
    JointSpace as JointSpace,
)
from .space.joint import (
    compile_network as compile_network,
)
from .space.problem import Problem as Problem
from .space.statistics import (
    SpaceStatistics as SpaceStatistics,
)
from .space.statistics import (
    statistics as statistics,
)
from .timing.breakdown import TimingResult as TimingResult
from .timing.model import (
    PYNQ as PYNQ,
)
from .timing.model import (
    RTL as RTL,
)
from .timing.model import (
    TimingModel as TimingModel,
)
from .timing.simulator import Simulator as Simulator

__version__: str

def __dir__() -> list[str]: ...
