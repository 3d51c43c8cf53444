"""Embeddings: a plain convolution of int8 arrays is what the embedded program computes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtacsp import Conv2DTranspose, Dense, Problem, SpaceError, VTAConfig, WorkloadError, build
from vtacsp.embedding import UnpackedLayer, embeddings, fastest
from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue, Shift
from vtacsp.functional import execute
from vtacsp.functional.reference import reference

CHAIN = Epilogue(
    (
        Arithmetic(op="add", operand="channel"),
        Shift(op="shift_right", by=4),
        Arithmetic(op="add", operand="tensor"),
        Clip(min=-127, max=127),
        Cast(),
    )
)


def plain(layer, data, weight, operands):
    """The layer, one tap after the other, in int64; its chain is the default or ``CHAIN``."""
    top, left, bottom, right = layer.padding
    if layer.dense:
        data, weight = data[:, :, None, None], weight[:, :, None, None]
    image = np.pad(
        data.astype(np.int64), ((0, 0), (0, 0), (top, bottom), (left, right)),
        constant_values=layer.pad_value,
    )  # fmt: skip
    oh, ow = layer.output_size
    (sh, sw), (kh, kw) = layer.stride, layer.kernel
    share, mine = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    total = np.zeros((layer.batch, layer.out_channels, oh, ow), dtype=np.int64)
    for o in range(layer.out_channels):
        part = image[:, o // mine * share : (o // mine + 1) * share]
        for y in range(oh):
            for x in range(ow):
                window = part[:, :, y * sh : y * sh + kh, x * sw : x * sw + kw]
                total[:, o, y, x] = (window * weight[o]).sum(axis=(1, 2, 3))
    if layer.epilogue is None:
        total >>= 8
        if layer.bias:
            total += operands[0][None, :, None, None]
        return _as_output(layer, np.clip(total, 0, 127))
    channel, tensor = operands
    tensor = tensor[:, :, None, None] if layer.dense else tensor
    total = (total + channel[None, :, None, None] >> 4) + tensor
    return _as_output(layer, np.clip(total, -127, 127))


def _as_output(layer, value):
    value = value.astype(np.int8)
    return value[:, :, 0, 0] if layer.dense else value


def operands_of(layer, rng):
    data = rng.integers(-128, 128, layer.data_shape).astype(np.int8)
    weight = rng.integers(-128, 128, layer.weight_shape).astype(np.int8)
    channel = rng.integers(-150, 150, layer.out_channels)
    if layer.epilogue is None:
        return data, weight, (channel,) if layer.bias else ()
    return data, weight, (channel, rng.integers(-150, 150, layer.output_shape))


def computes_the_layer(embedding, index, rng):
    layer = embedding.layer
    data, weight, operands = operands_of(layer, rng)
    packed = embedding.embed(data, weight, operands)
    workload, hardware = embedding.workload, embedding.hardware
    if index is None:
        output = reference(workload, hardware, packed)
    else:
        output = execute(build(workload, hardware, index), packed).output
    assert np.array_equal(embedding.extract(output), plain(layer, data, weight, operands))


@st.composite
def layers(draw, dense=False):
    small = st.integers(1, 3)
    values = {"batch": draw(small), "out_channels": draw(st.integers(1, 9))}
    ending = draw(st.sampled_from(["default", "bias", "chain"]))
    values |= {"bias": ending == "bias", "epilogue": CHAIN if ending == "chain" else None}
    if dense:
        return UnpackedLayer(in_channels=draw(st.integers(1, 9)), dense=True, **values)
    groups = draw(st.sampled_from([1, 1, 1, 2, 3, 5]))
    kernel = (draw(st.integers(1, 5)), draw(st.integers(1, 5)))
    padding = tuple(draw(st.integers(0, 2)) for _ in range(4))
    if draw(st.booleans()):
        padding = padding[:2] * 2
    sizes = [
        draw(st.integers(max(1, k - before - after), 9))
        for k, before, after in zip(kernel, padding, padding[2:], strict=False)
    ]
    return UnpackedLayer(
        in_channels=groups * draw(small), height=sizes[0], width=sizes[1], kernel=kernel,
        stride=(draw(small), draw(small)), padding=padding, groups=groups,
        pad_value=draw(st.sampled_from([0, 0, -3])),
        **values | {"out_channels": groups * draw(st.integers(1, 4))},
    )  # fmt: skip


@st.composite
def roomy(draw):
    """A machine that most small layers run on; the depths of INP and ACC decide what fits."""
    batch, block = draw(st.integers(0, 1)), draw(st.integers(1, 4))
    return VTAConfig(
        log_batch=batch,
        log_block=block,
        log_uop_buff_size=12,
        log_inp_buff_size=batch + block + draw(st.integers(5, 9)),
        log_wgt_buff_size=2 * block + 7,
        log_acc_buff_size=batch + block + 2 + draw(st.integers(5, 9)),
    )


@settings(max_examples=100)
@given(data=st.data())
def test_every_embedding_computes_the_layer(data):
    layer = data.draw(layers(dense=data.draw(st.integers(0, 4)) == 0))
    hardware = data.draw(roomy())
    found = embeddings(layer, hardware)
    assert len({(e.rows, e.columns, e.merged, e.pixels) for e in found}) == len(found)
    embedding = data.draw(st.sampled_from(found))
    assert 0 <= embedding.waste < 1
    feasible = Problem(embedding.workload, hardware).feasible_indices()
    index = data.draw(st.sampled_from(feasible.tolist())) if len(feasible) else None
    computes_the_layer(embedding, index, np.random.default_rng(0))


FIRST = UnpackedLayer(
    name="first", in_channels=3, height=13, width=11, out_channels=5, kernel=(3, 3),
    stride=(2, 2), padding=(0, 1, 2, 0), epilogue=CHAIN,
)  # fmt: skip
DEPTHWISE = UnpackedLayer(
    name="depthwise", in_channels=20, height=7, width=7, out_channels=20, kernel=(3, 3),
    padding=(1, 1, 1, 1), groups=20, bias=True,
)  # fmt: skip
DENSE = UnpackedLayer(name="dense", batch=5, in_channels=37, out_channels=10, dense=True, bias=True)


@pytest.mark.parametrize(("layer", "count"), [(FIRST, 21), (DEPTHWISE, 4), (DENSE, 3)])
@pytest.mark.parametrize("log_batch", [0, 1])
def test_the_best_program_of_each_embedding_computes_the_layer(layer, count, log_batch):
    hardware = VTAConfig(log_batch=log_batch)
    found = embeddings(layer, hardware)
    assert len(found) == count
    for embedding in found:
        best = fastest([embedding]).best
        computes_the_layer(embedding, best.index, np.random.default_rng(1))
    choice = fastest(found)
    assert choice.best.cycles == min(fastest([e]).best.cycles for e in found)
    assert (choice.best.embedding.kind == "fold") == (layer is FIRST)


RESNET18 = UnpackedLayer(
    name="conv0", in_channels=3, height=224, width=224, out_channels=64, kernel=(7, 7),
    stride=(2, 2), padding=(3, 3, 3, 3),
)  # fmt: skip


def test_the_first_layer_of_resnet18_folded():
    found = embeddings(RESNET18)
    choice = fastest(found)
    assert (choice.best.cycles, choice.plain.cycles) == (759_015, 3_262_769)
    assert choice.best.embedding.workload.in_channels == 160
    assert choice.best.embedding.host.data == 112 * 112 * 160
    assert 0.08 < choice.best.embedding.waste < 0.082 < choice.plain.embedding.waste < 0.82
    space_to_depth = fastest(found, host_bytes=250_000).best
    assert space_to_depth.cycles == 1_059_282
    assert space_to_depth.embedding.workload.kernel == (4, 4)
    assert space_to_depth.embedding.steps[:2] == (
        "2 rows in the channels", "2 columns in the channels",
    )  # fmt: skip
    with pytest.raises(SpaceError, match="the host may write less: no embedding can run"):
        fastest(found, host_bytes=1)


def test_a_dense_layer_as_a_convolution_of_one_pixel():
    machine = VTAConfig(
        log_block=3, log_uop_buff_size=12, log_inp_buff_size=13, log_wgt_buff_size=14,
        log_acc_buff_size=15,
    )  # fmt: skip
    layer = Dense(batch=1, in_features=128, out_features=128, bias=True)
    found = embeddings(layer, machine)
    assert [(e.kind, fastest([e]).best.cycles) for e in found] == [
        ("plain", 4936), ("pixels", 2791),
    ]  # fmt: skip
    assert fastest(found).best.embedding.workload.kernel == (1, 1)


def test_depthwise_layers_are_groups_that_fill_the_block():
    groups, *_, wide = found = embeddings(DEPTHWISE)
    assert (groups.kind, groups.workload.groups, groups.workload.in_channels) == ("groups", 2, 32)
    assert groups.steps == ("16 groups in one, zeros between them", "groups 20 filled to 32")
    assert groups.waste == 1 - 20 / (2 * 16 * 16)
    assert (wide.workload.groups, wide.workload.in_channels) == (20, 320)
    assert [e.merged for e in found] == [16, 9, 6, 1]  # 2, 3, 4 and 20 groups are left
    even = replace(DEPTHWISE, in_channels=32, out_channels=32, groups=32)
    assert embeddings(even)[0].workload.groups == 2


def test_padding_is_vtas_where_vta_has_it():
    def pads(padding, **more):
        layer = replace(FIRST, in_channels=16, out_channels=16, padding=padding, **more)
        (embedding,) = embeddings(layer)
        return embedding.workload.padding, embedding.workload.height, embedding.kind

    assert pads((1, 1, 1, 1)) == ((1, 1), 13, "plain")
    assert pads((1, 1, 1, 1), pad_value=4) == ((0, 0), 15, "pad")
    assert pads((0, 1, 0, 1)) == ((0, 0), 13, "pad")
    assert pads((0, 1, 2, 0)) == ((0, 0), 15, "pad")
    assert pads((0, 0, 0, 0), pad_value=4) == ((0, 0), 13, "plain")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dilation": (2, 1)}, "first: dilation is 2x1, must be 1x1: VTA's templates have no"),
        ({"groups": 2}, "groups is 2, which does not divide 3 input and 5 output channels"),
        ({"padding": (1, 1)}, r"padding is \(1, 1\), allowed are 4 integers"),
        ({"padding": (1, 1, -1, 1)}, "padding is -1, allowed are 0 to 2147483647"),
        ({"pad_value": 128}, "pad_value is 128, allowed are -128 to 127"),
        ({"kernel": (16, 3)}, "kernel is 16x3, larger than the padded input: the output would"),
        ({"dense": True}, "a dense layer has no image, kernel or groups"),
        ({"stride": (True, 1)}, "stride is True, allowed are 1 to"),
    ],
)
def test_what_is_no_layer_of_vtas_is_refused(change, message):
    with pytest.raises(WorkloadError, match=message):
        replace(FIRST, **change)


def test_operators_and_operands_that_do_not_fit_are_refused():
    transposed = Conv2DTranspose(
        batch=1, in_channels=3, height=4, width=4, out_channels=3, kernel=(3, 3)
    )
    with pytest.raises(WorkloadError, match="op is conv2d_transpose, embedded are conv2d, group"):
        embeddings(transposed)
    with pytest.raises(WorkloadError, match="LOG_INP_WIDTH is 4 and must be 3"):
        embeddings(DEPTHWISE, VTAConfig(log_inp_width=4))
    (embedding, *_) = embeddings(DENSE)
    data, weight, operands = operands_of(DENSE, np.random.default_rng(0))
    with pytest.raises(WorkloadError, match=r"weight has shape \(37, 10\), not \(10, 37\)"):
        embedding.embed(data, weight.T, operands)
    with pytest.raises(WorkloadError, match="0 operands given, the chain loads 1"):
        embedding.embed(data, weight)
