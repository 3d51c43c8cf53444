"""The limit of what the ALU runs by itself.

The compute module does everything but the stores, one instruction after the other: it loads the
data, joins the values of each window, runs the passes of the epilogue.  It is assumed that every
value of a window joins the others by itself and that data come as they are, 32 bits wide;
``docs/beyond_the_template.md`` has the argument, term by term.
"""

from __future__ import annotations

from vtacsp.epilogue.program import ALU_OPS
from vtacsp.epilogue.steps import CHANNEL, Epilogue
from vtacsp.free.least_stores import one_store, written
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.fields import INSTRUCTION_BYTES
from vtacsp.operators.geometry import Geometry
from vtacsp.timing.model import TimingModel

__all__ = ["on_alu"]

_NAMES = {int(code): name for name, code in ALU_OPS.items()}


def on_alu(
    g: Geometry, chain: Epilogue, hardware: VTAConfig, t: TimingModel
) -> tuple[int, int, int, int, int, int, int, int]:
    """The terms of a :class:`~vtacsp.free.limit.Limit`, from ``alu`` on."""
    acc_bytes, depth = hardware.element_bytes("acc"), hardware.depth("acc")
    # 1. work: values that join, passes, tensors that are loaded
    each = sum(t.alu_interval if p.value is not None else t.alu_pair_interval for p in chain.passes)
    alu = g.joins * t.alu_pair_interval + g.positions * each
    tensors = g.batch * g.outputs * g.y.inputs * g.x.inputs
    for kind in chain.operands:
        tensors += g.batch * g.outputs if kind == CHANNEL else g.positions
    beats = tensors * acc_bytes // t.bus_bytes
    # 2. instructions: a load holds no more than the scratchpad, and so does a kernel
    loads = -(-tensors // depth)
    alike = {(p.op, p.value is None, p.immediate) for p in chain.passes}
    if g.joins:
        alike.add((_NAMES[g.join], True, 0))
    kernels = len(alike) * -(-g.positions // depth)
    drain = min(t.narrow_drain, t.wide_drain)
    asked = t.request_delay + t.memory_latency - 1 + drain  # of a load, beside its beats
    run = t.pipeline_depth + 1
    issue = kernels * (t.pipeline_depth + t.restart_delay) + loads * (asked + t.restart_delay)
    # 3. before and after: the fetch, micro-ops, a store, FINISH
    instructions = min(loads + kernels + (3 if kernels else 2), t.burst_instructions)
    fetched = instructions * INSTRUCTION_BYTES // t.bus_bytes
    begin = t.launch_delay + t.memory_latency + max(fetched - 1, 0) + t.fetch_drain + t.queue_delay
    micro_ops = asked + 1 if kernels else -t.restart_delay
    end = t.token_delay + t.sync_cycles
    burst = t.write_command + t.write_latency
    stored, reloads = one_store(hardware, t)
    store = t.token_delay + burst + stored + reloads
    # one output: its micro-ops, a value, all kernels
    first = micro_ops + t.restart_delay + asked + 1 + len(alike) * (run + t.restart_delay)
    around_write = begin + first + end + t.token_delay
    if stored * t.bus_bytes > t.bus_bytes:
        around_write += burst - min(t.write_reload, burst)
    return (
        alu,
        beats,
        g.positions * written(hardware, t),
        beats,
        issue,
        begin + micro_ops + store + end,
        begin + asked + (run if kernels else 0) + store + end,
        around_write,
    )
