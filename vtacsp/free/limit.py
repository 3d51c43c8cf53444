"""The physical limit: cycles below which no program of the instruction set computes a layer.

Reads and writes are independent channels of the memory, all reads share one port, GEMM and ALU
share the compute module: each of the three has work that no program can avoid, and the program
takes at least as long as the one that has most.  It is assumed that a layer is computed as its
plain sum of products; ``docs/beyond_the_template.md`` has the argument, term by term.
"""

from __future__ import annotations

from typing import NamedTuple

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.geometry import Axis, geometry, taps
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["Limit", "limit"]

_STAGES = 3  # of the epilogue: shift, minimum, maximum, each with an immediate


class Limit(NamedTuple):
    """Cycles that no program avoids, and what they are for.

    ``gemm_all`` are the micro-ops with padding, ``gemm`` those without; ``alu`` clears, shifts,
    clips (and adds a bias to) every output; ``read`` and ``write`` are the memory's.

    >>> least = limit(vtacsp.suite("resnet18")[9], VTAConfig())
    >>> least.bound, least.read
    ('compute', 298048)
    """

    gemm_all: int
    gemm: int
    alu: int
    read: int
    write: int

    @property
    def cycles(self) -> int:
        """The bound."""
        return max(self.gemm + self.alu, self.read, self.write)

    @property
    def bound(self) -> str:
        """What has most to do: ``compute``, ``load`` or ``store``."""
        work = {"compute": self.gemm + self.alu, "load": self.read, "store": self.write}
        return max(work, key=lambda name: work[name])


def limit(workload: Workload, hardware: VTAConfig, timing: TimingModel = RTL) -> Limit:
    """The limit of a layer on a machine.

    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer.

    >>> limit(vtacsp.suite("resnet18")[9], VTAConfig()).cycles
    375936
    """
    g, t = geometry(workload, hardware), timing
    # an output that no input reaches is a constant: it need not be computed each time
    computed = g.batch * g.outputs * g.y.covered * g.x.covered
    # a load of zeros writes an accumulator per cycle, or as many as a beat holds (then: none)
    beats = hardware.element_bytes("acc") // t.bus_bytes
    clear = min(t.gemm_interval, 1, beats)
    stages = clear + _STAGES * t.alu_interval
    if g.bias:
        # added by the ALU, or loaded into the accumulator in place of the reset and shifted left
        loaded = beats + t.alu_interval - clear
        stages += min(t.alu_pair_interval, loaded)
    size = hardware.element_bytes
    pixels = g.batch * g.groups * g.inputs * g.y.inputs * g.x.inputs
    weights = g.outputs * g.inputs * _met(g.y) * _met(g.x)
    read = pixels * size("inp") + weights * size("wgt")
    read += g.batch * g.outputs * size("acc") if g.bias else 0
    return Limit(
        gemm_all=g.positions * g.inputs * g.kernel * t.gemm_interval,
        gemm=g.products * t.gemm_interval,
        alu=computed * stages,
        read=read // t.bus_bytes,
        write=g.positions * _written(hardware, t),
    )


def _met(axis: Axis) -> int:
    """Taps that meet some input."""
    return sum(taps((*axis,), k, 0, axis.out)[1] > 0 for k in range(axis.kernel))


def _written(hardware: VTAConfig, t: TimingModel) -> int:
    """Cycles of an output tensor in the store module, in a burst of its own or with others.

    In a burst its last beat is followed by a reload; a burst that ends there takes its command and
    the memory's answer instead.
    """
    size = hardware.element_bytes("out")
    if size <= t.bus_bytes:
        return size // t.bus_bytes
    beats = size // t.bus_bytes
    per_row = max(size // hardware.batch // t.bus_bytes, 1)
    inside = (beats - 1) // per_row
    return beats + inside * t.write_reload + min(t.write_reload, t.write_command + t.write_latency)
