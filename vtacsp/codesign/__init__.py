"""Which machine: the exact front of a network's cycles against what the hardware costs.

``machines`` is the space of machines, ``costs`` what one costs, ``workloads`` the layers and how
often each runs.  ``cycle_table`` compiles a layer once for all scratchpad sizes, ``evaluator``
bounds and proves the cycles of machines, ``pareto`` finds the front and ``certificate`` writes the
proof down and checks it again.
"""

from vtacsp.codesign.certificate import certificate, check
from vtacsp.codesign.costs import COSTS, Budget, Cost
from vtacsp.codesign.evaluator import Best, Evaluator
from vtacsp.codesign.machines import KEYS, MachineSpace
from vtacsp.codesign.pareto import Front, Point, Proof, codesign
from vtacsp.codesign.store import Store, circumstances
from vtacsp.codesign.workloads import CountedLayer, counted, load_counted
from vtacsp.moved import keep_old_names

__all__ = [
    "COSTS",
    "KEYS",
    "Best",
    "Budget",
    "Cost",
    "CountedLayer",
    "Evaluator",
    "Front",
    "MachineSpace",
    "Point",
    "Proof",
    "Store",
    "certificate",
    "check",
    "circumstances",
    "codesign",
    "counted",
    "load_counted",
]

keep_old_names(__name__)
