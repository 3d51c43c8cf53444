"""Random machines, workloads and configurations, small enough to enumerate."""

from __future__ import annotations

from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from vtacsp import HardwareError, KnobSpace, VTAConfig, Workload, WorkloadError, workload_from_dict

OPERATORS = ("conv2d", "group_conv2d", "conv2d_transpose", "dense")


@st.composite
def machines(draw: st.DrawFn) -> VTAConfig:
    """A legal machine with scratchpads small enough to overflow."""
    batch, block = draw(st.integers(0, 2)), draw(st.integers(1, 5))
    element = batch + block
    sizes = {
        "LOG_BATCH": batch,
        "LOG_BLOCK": block,
        "LOG_UOP_BUFF_SIZE": draw(st.sampled_from([4, 5, 6, 7, 8, 10, 12, 15, 16])),
        "LOG_INP_BUFF_SIZE": element + draw(st.integers(3, 11)),
        "LOG_WGT_BUFF_SIZE": 2 * block + draw(st.integers(2, 10)),
        "LOG_ACC_BUFF_SIZE": element + 2 + draw(st.integers(2, 12)),
    }
    try:
        return VTAConfig().replace(**sizes)
    except HardwareError:
        assume(False)
        raise


@st.composite
def workloads(draw: st.DrawFn, hardware: VTAConfig, operators=OPERATORS) -> Workload:
    """A workload that can be packed on the machine, a few blocks in every direction."""
    op = draw(st.sampled_from(operators))
    batch, block = hardware.batch, hardware.block
    data: dict[str, Any] = {
        "name": f"random-{op}",
        "op": op,
        "batch": batch * draw(st.integers(1, 4)),
        "bias": draw(st.booleans()),
    }
    if op == "dense":
        data["in_features"] = block * draw(st.integers(1, 6))
        data["out_features"] = block * draw(st.sampled_from([1, 2, 2, 3, 4]))
        return workload_from_dict(data)
    groups = draw(st.integers(2, 4)) if op == "group_conv2d" else 1
    kernel = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    data |= {
        "in_channels": block * groups * draw(st.integers(1, 3)),
        "out_channels": block * groups * draw(st.sampled_from([1, 1, 2, 3, 4, 6])),
        "height": draw(st.integers(1, 9)),
        "width": draw(st.integers(1, 9)),
        "kernel": kernel,
        "stride": [draw(st.integers(1, 3)), draw(st.integers(1, 3))],
        "padding": [draw(st.integers(0, k if k == 1 else k - 1)) for k in kernel],
    }
    if op == "group_conv2d":
        data["groups"] = groups
    try:
        workload = workload_from_dict(data)
        workload.pack(hardware)
    except WorkloadError:
        assume(False)
        raise
    return workload


@st.composite
def layers(draw: st.DrawFn, operators=OPERATORS) -> tuple[Workload, VTAConfig]:
    """A workload and a machine for it."""
    hardware = draw(machines())
    return draw(workloads(hardware, operators)), hardware


@st.composite
def configured_layers(draw: st.DrawFn) -> tuple[Workload, VTAConfig, int]:
    """A workload, a machine and an AutoTVM index."""
    workload, hardware = draw(layers())
    return workload, hardware, draw(st.integers(0, len(KnobSpace.of(workload, hardware)) - 1))
