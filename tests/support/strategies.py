"""Random machines, workloads and configurations, small enough to enumerate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from hypothesis import reject
from hypothesis import strategies as st

from vtacsp import KnobSpace, Problem, VTAConfig, Workload, workload_from_dict
from vtacsp.timing.model import INSTRUCTION_BYTES, RTL, TimingModel, constants

OPERATORS = ("conv2d", "group_conv2d", "conv2d_transpose", "dense")
MICRO_OP = 32  # bits, for an index into each of ACC, INP or ACC, and WGT

BUILT = ("ok", "wrong_result", "race")
"""Causes of what the stack builds, whatever it computes."""

TRIES = 20


@st.composite
def machines(draw: st.DrawFn) -> VTAConfig:
    """A legal machine with scratchpads small enough to overflow."""
    batch, block = draw(st.integers(0, 2)), draw(st.integers(1, 5))
    element = batch + block
    inp, acc = draw(st.integers(3, 11)), draw(st.integers(2, 12))  # log2 of depths
    wgt = draw(st.integers(2, min(10, MICRO_OP - acc - max(acc, inp))))
    return VTAConfig(
        log_batch=batch,
        log_block=block,
        log_uop_buff_size=draw(st.sampled_from([4, 5, 6, 7, 8, 10, 12, 15, 16])),
        log_inp_buff_size=element + inp,
        log_wgt_buff_size=2 * block + wgt,
        log_acc_buff_size=element + 2 + acc,
    )


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
    transposed = op == "conv2d_transpose"
    kernel = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    stride = [draw(st.integers(1, 3)), draw(st.integers(1, 3))]
    # a kernel of 1 has padding 0 or 1, which only a transposed convolution refuses
    most = [k if k == 1 and not transposed else k - 1 for k in kernel]
    padding = [draw(st.integers(0, p)) for p in most]
    if padding[0] == 0:
        padding[1] = 0  # upstream drops horizontal padding without a vertical one
    height, width = (
        draw(st.integers(_least(*axis, transposed=transposed), 9))
        for axis in zip(kernel, stride, padding, strict=True)
    )
    data |= {
        "in_channels": block * groups * draw(st.integers(1, 3)),
        "out_channels": block * groups * draw(st.sampled_from([1, 1, 2, 3, 4, 6])),
        "height": height,
        "width": width,
        "kernel": kernel,
        "stride": stride,
        "padding": padding,
    }
    if op == "group_conv2d":
        data["groups"] = groups
    workload = workload_from_dict(data)
    workload.pack(hardware)
    return workload


def _least(kernel: int, stride: int, padding: int, *, transposed: bool) -> int:
    """The least size of an axis whose output is not empty."""
    if transposed:
        return 1 + max(0, -(-(2 * padding - kernel + 1) // stride))
    return max(1, kernel - 2 * padding)


@st.composite
def layers(draw: st.DrawFn, operators=OPERATORS, on=None) -> tuple[Workload, VTAConfig]:
    """A workload and a machine for it, one of ``on`` when that is given."""
    hardware = draw(machines() if on is None else on)
    return draw(workloads(hardware, operators)), hardware


@st.composite
def configured_layers(draw: st.DrawFn) -> tuple[Workload, VTAConfig, int]:
    """A workload, a machine and an AutoTVM index."""
    workload, hardware = draw(layers())
    return workload, hardware, draw(st.integers(0, len(KnobSpace.of(workload, hardware)) - 1))


@st.composite
def layers_with(
    draw: st.DrawFn, choose: Callable[[Problem], Sequence[int]], operators=OPERATORS, on=None
) -> tuple[Workload, VTAConfig, int]:
    """A workload, a machine and the index of a configuration that ``choose`` allows.

    One in nine small transposed convolutions has something feasible: several are tried.
    """
    op = draw(st.sampled_from(operators))
    for _ in range(TRIES):
        workload, hardware = draw(layers((op,), on))
        indices = choose(Problem(workload, hardware))
        if len(indices):
            break
    else:
        reject()
    return workload, hardware, draw(st.sampled_from(indices))


def feasible_layers(operators=OPERATORS, on=None):
    """A workload, a machine and the index of a feasible configuration."""
    return layers_with(lambda problem: problem.feasible_indices().tolist(), operators, on)


def built_layers(operators=OPERATORS):
    """A workload, a machine and the index of a configuration that the stack builds."""

    def built(problem: Problem) -> list[int]:
        labels = problem.causes(range(len(problem.knob_space)))
        return [index for index, label in enumerate(labels) if label in BUILT]

    return layers_with(built, operators)


@st.composite
def timings(draw: st.DrawFn) -> TimingModel:
    """Any timing model: each constant is the default, its least, or anything up to a large one."""
    values = {}
    for constant in constants():
        low = constant.metadata["low"]
        if constant.name not in ("bus_bytes", "burst_beats", "clock_hz"):
            near = st.sampled_from([constant.default, low])
            values[constant.name] = draw(near | st.integers(low, 16) | st.integers(low, 1 << 14))
    bus = values["bus_bytes"] = 1 << draw(st.integers(0, 10))
    least = max((INSTRUCTION_BYTES // bus).bit_length() - 1, 1)
    values["burst_beats"] = draw(st.sampled_from([1 << n for n in range(least, 11)]))
    return replace(RTL, **values)
