"""The physical limit: cycles below which no program of the instruction set computes a layer.

Reads and writes are independent channels of the memory, all reads share one port, GEMM, ALU and
the loads of accumulators share the compute module: each of the three has work that no program can
avoid, and something that it has to wait for before and after it.  It is assumed that a layer is
computed as its plain sum of products, or window by window; ``docs/beyond_the_template.md`` has the
argument, term by term.
"""

from __future__ import annotations

from typing import NamedTuple

from vtacsp.epilogue.steps import CHANNEL, Pass
from vtacsp.free.epilogue import chain_of
from vtacsp.free.least_stores import one_store, written
from vtacsp.free.window_limit import on_alu
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import INSTRUCTION_BYTES
from vtacsp.operators.geometry import AxisGeometry, Geometry, geometry, taps
from vtacsp.operators.workload import Workload
from vtacsp.timing.model import RTL, TimingModel

__all__ = ["Limit", "limit"]


class Limit(NamedTuple):
    """Cycles that no program avoids, and what they are for.

    ``gemm_all`` are the micro-ops with padding, ``gemm`` those without; ``alu`` clears every
    output and runs the passes of the epilogue; ``read`` and ``write`` are the memory's.
    ``operands`` are cycles in which the compute module loads what the epilogue takes, and
    ``issue`` what its instructions take beside their micro-ops.  ``around_compute``,
    ``around_read`` and ``around_write`` pass before the first and after the last of each.

    >>> limit(vtacsp.suite("resnet18")[9], VTAConfig()).bound
    'compute'
    """

    gemm_all: int
    gemm: int
    alu: int
    read: int
    write: int
    operands: int = 0
    issue: int = 0
    around_compute: int = 0
    around_read: int = 0
    around_write: int = 0

    @property
    def compute(self) -> int:
        """What the compute module has to do."""
        return self.gemm + self.alu + self.operands + self.issue

    @property
    def _ends(self) -> dict[str, int]:
        return {
            "compute": self.compute + self.around_compute,
            "load": self.read + self.around_read,
            "store": self.write + self.around_write,
        }

    @property
    def cycles(self) -> int:
        """The bound."""
        return max(self._ends.values())

    @property
    def bound(self) -> str:
        """What has most to do: ``compute``, ``load`` or ``store``."""
        return max(self._ends, key=self._ends.__getitem__)


def limit(workload: Workload, hardware: VTAConfig, timing: TimingModel = RTL) -> Limit:
    """The limit of a layer on a machine.

    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer, and when
    its ALU cannot run the epilogue.

    >>> limit(vtacsp.suite("resnet18")[9], VTAConfig()).cycles
    376033
    """
    g, t = geometry(workload, hardware), timing
    chain_of(workload, hardware)  # raises
    passes, kinds = workload.chain.passes, workload.chain.operands
    if g.on_alu:
        return Limit(0, 0, *on_alu(g, workload.chain, hardware, t))
    size = hardware.element_bytes
    pixels = g.batch * g.groups * g.inputs * g.y.inputs * g.x.inputs
    weights = g.outputs * g.inputs * _met(g.y) * _met(g.x)
    loaded = sum(g.batch * g.outputs if kind == CHANNEL else g.positions for kind in kinds)
    read = pixels * size("inp") + weights * size("wgt") + loaded * size("acc")
    alu, operands = _epilogue(g, passes, size("acc"), t)
    around = _Around(g, passes, bool(kinds), hardware, t)
    return Limit(
        gemm_all=g.positions * g.inputs * g.kernel * t.gemm_interval,
        gemm=g.products * t.gemm_interval,
        alu=alu,
        read=read // t.bus_bytes,
        write=g.positions * written(hardware, t),
        operands=operands,
        issue=around.issue,
        around_compute=around.compute,
        around_read=around.read,
        around_write=around.write,
    )


def _met(axis: AxisGeometry) -> int:
    """Taps that meet some input."""
    return sum(taps((*axis,), k, 0, axis.out)[1] > 0 for k in range(axis.kernel))


def _covered(g: Geometry) -> int:
    """Outputs that some input reaches."""
    return g.batch * g.outputs * g.y.covered * g.x.covered


def _interval(p: Pass, t: TimingModel) -> int:
    """Cycles of a pass over one accumulator."""
    return t.alu_interval if p.value is not None else t.alu_pair_interval


def _epilogue(
    g: Geometry, passes: tuple[Pass, ...], acc_bytes: int, t: TimingModel
) -> tuple[int, int]:
    """Cycles of clearing and of the passes, and those of loading their operands: the least sum.

    One operand that is added may be loaded into the accumulators in place of the reset, when no
    more than sums and shifts to the right come before it; after such a shift it is shifted left.
    """
    covered, channels = _covered(g), g.batch * g.outputs
    clear = min(t.gemm_interval, 1)  # a load of zeros writes one accumulator per cycle
    # an output that no input reaches is a constant, up to the first tensor that it meets
    tensors = [i for i, p in enumerate(passes) if p.kind not in ("", CHANNEL)]
    rest = sum(_interval(p, t) for p in passes[tensors[0] + 1 :]) if tensors else 0
    alu = (g.positions - covered) * rest
    alu += covered * (clear + sum(_interval(p, t) for p in passes))
    alone = [acc_bytes * channels // t.bus_bytes, acc_bytes * g.positions // t.bus_bytes]
    operands = sum(alone[p.kind != CHANNEL] for p in passes if p.kind)
    least = alu, operands
    shifted = False
    for p in passes:
        if p.op == "add" and p.kind:
            saved = clear + _interval(p, t) - (t.alu_interval if shifted else 0)
            if p.kind != CHANNEL:
                found = alu - covered * max(saved, 0), operands
            else:
                # once for every output instead of once in all
                each = max(max(acc_bytes // t.bus_bytes, 1) - saved, 0) * covered - alone[0]
                found = alu, operands + min(each, 0)
            least = min(least, found, key=sum)
        shifted |= p.op == "shr" and p.immediate > 0
        if p.op not in ("add", "sub") and not (p.op == "shr" and p.immediate > 0):
            break
    return least


class _Around:
    """What passes before and after the work of each module, and between its instructions."""

    def __init__(
        self,
        g: Geometry,
        passes: tuple[Pass, ...],
        loads: bool,
        hardware: VTAConfig,
        t: TimingModel,
    ) -> None:
        covered = _covered(g)
        # an accumulator holds one output from one instruction to the next
        times = -(-covered // hardware.depth("acc"))
        # passes that one instruction cannot do together; what is added may come without a pass
        alike = {
            (p.op, p.value is None, p.immediate) for p in passes if not (p.op == "add" and p.kind)
        }
        kernels = times * (1 + len(alike))
        self.issue = kernels * (t.pipeline_depth + t.restart_delay) + times * t.restart_delay
        # micro-ops, inputs, weights, clearing, the kernels, a store, FINISH
        instructions = min(3 + times + kernels + 2, t.burst_instructions)
        fetched = instructions * INSTRUCTION_BYTES // t.bus_bytes
        begin = t.launch_delay + t.memory_latency + max(fetched - 1, 0) + t.fetch_drain
        begin += t.queue_delay
        drain = min(t.narrow_drain, t.wide_drain)
        transfer = t.request_delay + t.memory_latency + drain  # of one beat
        beats, reloads = one_store(hardware, t)
        end = t.token_delay + t.sync_cycles  # FINISH waits for the last store
        burst = t.write_command + t.write_latency
        store = t.token_delay + burst + beats + reloads
        # the compute module loads its micro-ops itself; nobody waits after the last instruction
        self.compute = begin + transfer + store + end
        run = t.pipeline_depth + 1
        kernel = run + t.restart_delay
        after = run if loads or not covered else t.token_delay + (len(alike) * kernel) + run
        self.read = begin + t.request_delay + t.memory_latency - 1 + drain + after + store + end
        first = 0
        if covered == g.positions:
            operands = 2 * transfer + t.restart_delay + t.token_delay  # input and weights
            first = max(transfer + t.restart_delay, operands) + len(alike) * kernel + run
        self.write = begin + first + t.token_delay + end
        self.write += burst - min(t.write_reload, burst) if beats * t.bus_bytes > t.bus_bytes else 0
