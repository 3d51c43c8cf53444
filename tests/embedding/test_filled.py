"""Operators of the ALU of any channels, batch and padding."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtacsp import Add, AvgPool, MaxPool, Problem, VTAConfig, WorkloadError, build
from vtacsp.embedding import Filled
from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue, Shift
from vtacsp.functional import execute

CHAIN = Epilogue(
    (
        Arithmetic(op="add", operand="channel"),
        Shift(op="shift_right", by=1),
        Clip(min=-127, max=127),
        Cast(),
    )
)
MACHINE = VTAConfig(log_block=2, log_inp_buff_size=12, log_wgt_buff_size=12, log_acc_buff_size=14)


def plain(layer, pads, data, operands):
    top, left, bottom, right = pads
    *tensors, channel = operands
    value = data.astype(np.int64) + sum(tensors)
    if layer.op != "add":
        nothing = -(10**6) if layer.op == "max_pool" else 0
        padded = np.pad(
            value, ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=nothing
        )
        (kh, kw), (sh, sw) = layer.kernel, layer.stride
        oh = (padded.shape[2] - kh) // sh + 1
        ow = (padded.shape[3] - kw) // sw + 1
        value = np.empty((*data.shape[:2], oh, ow), dtype=np.int64)
        join = np.max if layer.op == "max_pool" else np.sum
        for y in range(oh):
            for x in range(ow):
                window = padded[:, :, y * sh : y * sh + kh, x * sw : x * sw + kw]
                value[:, :, y, x] = join(window, axis=(2, 3))
    return np.clip(value + channel[None, :, None, None] >> 1, -127, 127)


@settings(max_examples=40)
@given(data=st.data())
def test_the_filled_operator_computes_the_layer(data):
    hardware = replace(MACHINE, log_batch=data.draw(st.integers(0, 1)))
    small, size = st.integers(1, 3), st.integers(3, 8)
    values = {
        "batch": data.draw(small), "channels": data.draw(st.integers(1, 9)),
        "height": data.draw(size), "width": data.draw(size), "epilogue": CHAIN,
    }  # fmt: skip
    kind = data.draw(st.sampled_from([Add, MaxPool, AvgPool]))
    pads, given_pads = (0, 0, 0, 0), None
    if kind is not Add:
        kernel = (data.draw(small), data.draw(small))
        values |= {"kernel": kernel, "stride": (data.draw(small), data.draw(small))}
        given_pads = pads = tuple(data.draw(st.integers(0, k - 1)) for k in kernel * 2)
        if pads[:2] == pads[2:]:
            values["padding"], given_pads = pads[:2], None
    layer = kind(**values)
    filled = Filled(layer, hardware, given_pads)
    assert 0 <= filled.waste < 1
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    inputs = rng.integers(-128, 128, (layer.batch, layer.channels, layer.height, layer.width))
    operands = [rng.integers(-20, 20, layer.channels)]
    if kind is Add:
        operands.insert(0, rng.integers(-128, 128, inputs.shape))
    feasible = Problem(filled.workload, hardware).feasible_indices()
    index = data.draw(st.sampled_from(feasible.tolist()))
    output = execute(build(filled.workload, hardware, index), filled.embed(inputs, operands)).output
    assert np.array_equal(filled.extract(output), plain(layer, pads, inputs, operands))


POOL = MaxPool(channels=5, height=4, width=4, kernel=(2, 3))


def test_what_is_filled_is_said():
    filled = Filled(POOL, MACHINE, (0, 1, 1, 2))
    assert (filled.workload.channels, filled.workload.height, filled.workload.width) == (8, 5, 7)
    assert (filled.waste, filled.host_bytes) == (1 - 5 / 8, 8 * 5 * 7 * 4)


@pytest.mark.parametrize("pads", [(0, 0, 2, 0), (0, 0, 0), (0, 0, 0, -1), (0, True, 0, 0)])
def test_padding_that_no_window_has_is_refused(pads):
    with pytest.raises(WorkloadError, match="allowed are four integers from 0 to below"):
        Filled(POOL, MACHINE, pads)


def test_operands_that_do_not_fit_are_refused():
    with pytest.raises(WorkloadError, match="padding is of pools, op is add"):
        Filled(Add(channels=5, height=4, width=4), MACHINE, (0, 0, 0, 0))
    data = np.zeros((1, 5, 4, 4), dtype=np.int32)
    with pytest.raises(WorkloadError, match="0 operands given, the chain loads 1"):
        Filled(Add(channels=5, height=4, width=4), MACHINE).embed(data)
    with pytest.raises(WorkloadError, match=r"has shape \(1, 5, 4, 4\), not \(1, 6, 4, 4\)"):
        Filled(replace(POOL, channels=6), MACHINE).embed(data)
