"""vtacsp inside AutoTVM's tuning loop: pruned spaces, first batches, a simulated board.

Works with a TVM that has AutoTVM (up to 0.19); importing this package without one raises
:class:`~vtacsp.errors.MissingDependencyError`.
"""

from vtacsp.autotvm.tvm_version import require_autotvm

require_autotvm()

from vtacsp.autotvm.board import (  # noqa: E402 - needs tvm
    CycleModel,
    SimulatorBuilder,
    SimulatorRunner,
    measure_option,
)
from vtacsp.autotvm.extracted import network_of  # noqa: E402
from vtacsp.autotvm.pruning import prune  # noqa: E402
from vtacsp.autotvm.seeding import seed  # noqa: E402
from vtacsp.autotvm.templates import create_task  # noqa: E402
from vtacsp.autotvm.tvm_task import check_knobs, machine_of, workload_of  # noqa: E402

__all__ = [
    "CycleModel",
    "SimulatorBuilder",
    "SimulatorRunner",
    "check_knobs",
    "create_task",
    "machine_of",
    "measure_option",
    "network_of",
    "prune",
    "seed",
    "workload_of",
]
