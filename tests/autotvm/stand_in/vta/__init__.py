"""A stand-in for the package ``vta``, which no package of TVM has: its names, and no device.

Written for the tests.  It has what ``docs/networks.md`` uses: the machine, strategies that give
packed convolutions their AutoTVM tasks (:mod:`vta.top`), and the packing of a graph
(:mod:`vta.packing`).  What is compiled with it is plain CPU code.
"""

import tvm
from tvm.target import Target

from vta import top as _top  # noqa: F401 - registers the strategies
from vtacsp import VTAConfig
from vtacsp.tune import target_of


class Environment:
    """The default machine, as VTA's own environment says it."""

    def __init__(self):
        machine = VTAConfig()
        self.BATCH, self.BLOCK_IN, self.BLOCK_OUT = machine.batch, machine.block, machine.block
        self.WGT_WIDTH = 8
        self.target = Target(target_of(machine))
        self.target_host = "llvm"


def get_env():
    return Environment()


def build_config(**options):
    return tvm.transform.PassContext(**options)
