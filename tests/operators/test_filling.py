"""Layers of any size: what the filled workload computes is the layer, and no zeros are too many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vtacsp import (
    AvgPool,
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    Problem,
    Simulator,
    VTAConfig,
    WorkloadError,
    build,
)
from vtacsp.codesign import MachineSpace, codesign, counted
from vtacsp.codesign.evaluator import Evaluator
from vtacsp.embedding import embeddings
from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue, Shift
from vtacsp.functional import execute
from vtacsp.functional.reference import reference
from vtacsp.network.load import counted_network
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.group_conv2d.filling import best_first
from vtacsp.operators.packing import pack_blocks, unpack_blocks
from vtacsp.operators.registry import OPERATORS, has_part
from vtacsp.timing import simulate_all

HW = VTAConfig()
SMALL = Conv2D(in_channels=16, height=6, width=6, out_channels=16, kernel=(3, 3), padding=(1, 1))
GROUPED = GroupConv2D(
    name="grouped", in_channels=32, height=4, width=4, out_channels=32, kernel=(3, 3),
    padding=(1, 1), groups=4,
)  # fmt: skip
CHAIN = Epilogue(
    (
        Arithmetic(op="add", operand="channel"),
        Shift(op="shift_right", by=4),
        Arithmetic(op="add", operand="tensor"),
        Clip(min=-127, max=127),
        Cast(),
    )
)


# -- the layer, one input, one output and one tap after the other


def plain(layer, data, weight, channel, tensor):
    """The layer in int64 by its definition; a transposed convolution scatters its input."""
    if layer.op == "dense":
        sums = data.astype(np.int64) @ weight.astype(np.int64).T
        return np.clip((sums + channel >> 4) + tensor, -127, 127)
    groups = getattr(layer, "groups", 1)
    share, mine = layer.in_channels // groups, layer.out_channels // groups
    (oh, ow), (sh, sw), (ph, pw) = layer.output_size, layer.stride, layer.padding
    sums = np.zeros((layer.batch, layer.out_channels, oh, ow), dtype=np.int64)
    places = np.ndindex(layer.height, layer.width, oh, ow)
    for iy, ix, oy, ox in places:
        if layer.op == "conv2d_transpose":
            ky, kx = oy + ph - iy * sh, ox + pw - ix * sw
        else:
            ky, kx = iy + ph - oy * sh, ix + pw - ox * sw
        if not (0 <= ky < layer.kernel[0] and 0 <= kx < layer.kernel[1]):
            continue
        for o in range(layer.out_channels):
            group = o // mine
            part = data[:, group * share : (group + 1) * share, iy, ix].astype(np.int64)
            sums[:, o, oy, ox] += part @ weight[o, :, ky, kx].astype(np.int64)
    return np.clip((sums + channel[:, None, None] >> 4) + tensor, -127, 127)


@st.composite
def layers(draw):
    small, size = st.integers(1, 3), st.integers(2, 5)
    kind = draw(st.sampled_from([Conv2D, GroupConv2D, GroupConv2D, Conv2DTranspose, Dense]))
    values = {"batch": draw(small), "epilogue": CHAIN}
    if kind is Dense:
        sizes = {"in_features": draw(st.integers(1, 9)), "out_features": draw(st.integers(1, 9))}
        return Dense(**sizes, **values)
    groups = draw(st.integers(2, 9)) if kind is GroupConv2D else 1
    kernel = (draw(small), draw(small))
    pad = draw(st.integers(0, min(kernel) - 1))
    sizes = [max(draw(size), k) for k in kernel]
    values |= {
        "in_channels": groups * draw(st.integers(1, 5 if groups == 1 else 3)),
        "out_channels": groups * draw(st.integers(1, 5 if groups == 1 else 3)),
        "height": sizes[0], "width": sizes[1], "kernel": kernel, "padding": (pad, pad),
        "stride": (draw(small), draw(small)),
    }  # fmt: skip
    return kind(**values, **({"groups": groups} if groups > 1 else {}))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_filled_workload_computes_the_layer(data):
    layer = data.draw(layers())
    batch, block = data.draw(st.integers(0, 1)), data.draw(st.integers(1, 3))
    hardware = VTAConfig(
        log_batch=batch, log_block=block, log_uop_buff_size=12, log_inp_buff_size=batch + block + 8,
        log_wgt_buff_size=2 * block + 7, log_acc_buff_size=batch + block + 10,
    )  # fmt: skip
    members = None
    if layer.op == "group_conv2d":
        members = data.draw(st.sampled_from([None, *range(1, layer.groups + 1)]))
    filling = fill_blocks(layer, hardware, members)
    workload = filling.workload
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    shapes = workload.pack(hardware)
    output = (layer.batch, filling.outputs.count, *shapes.output[2:-2])
    inputs = rng.integers(-128, 128, (layer.batch, filling.inputs.count, *shapes.data[2:-2]))
    share = filling.inputs.count // getattr(layer, "groups", 1)
    weight = rng.integers(-128, 128, (output[1], share, *shapes.weight[2:-2]))
    channel, tensor = rng.integers(-150, 150, output[1]), rng.integers(-150, 150, output)
    packed = filling.embed(inputs.astype(np.int8), weight.astype(np.int8), (channel, tensor))
    feasible = Problem(workload, hardware).feasible_indices()
    if len(feasible):
        index = data.draw(st.sampled_from(feasible.tolist()))
        found = execute(build(workload, hardware, index), packed).output
    else:
        found = reference(workload, hardware, packed)
    right = plain(layer, inputs, weight, channel, tensor)
    assert np.array_equal(filling.extract(found), right)
    assert workload.macs >= layer.macs
    assert bool(filling.remarks) == (workload != layer)


def test_packing_goes_back():
    values = np.arange(4 * 6 * 5).reshape(4, 6, 5)
    packed = pack_blocks(values, 2, 3)
    assert packed.shape == (2, 2, 5, 2, 3)
    assert packed[1, 0, 4, 1, 2] == values[3, 2, 4]
    assert np.array_equal(unpack_blocks(packed), values)


# -- sizes


@pytest.mark.parametrize(
    ("layer", "filled", "remarks"),
    [
        (SMALL, SMALL, ()),
        (replace(SMALL, in_channels=3), SMALL, ("in_channels 3 filled to 16",)),
        (
            replace(SMALL, out_channels=17),
            replace(SMALL, out_channels=32),
            ("out_channels 17 filled to 32",),
        ),
        (
            Dense(in_features=64, out_features=10),
            Dense(in_features=64, out_features=16),
            ("out_features 10 filled to 16",),
        ),
        (
            AvgPool(batch=3, channels=5, height=4, width=4, kernel=(2, 2)),
            AvgPool(batch=4, channels=16, height=4, width=4, kernel=(2, 2)),
            ("channels 5 filled to 16", "batch 3 filled to 4"),
        ),
    ],
)
def test_channels_and_batch_fill_blocks(layer, filled, remarks):
    machine = HW.replace(LOG_BATCH=1) if layer.batch > 1 else HW
    found = fill_blocks(layer, machine)
    assert (found.workload, found.remarks) == (filled, remarks)
    found.workload.pack(machine)


@pytest.mark.parametrize(
    ("channels", "groups", "left", "filled", "remarks"),
    [
        (32, 32, 2, 32, ("16 groups in one, zeros between them",)),
        (64, 16, 4, 64, ("4 groups in one, zeros between them",)),
        (64, 2, 2, 64, ()),
        # not one group of 24, which has four products of blocks: two of 16 have two
        (24, 24, 2, 32, ("16 groups in one, zeros between them", "groups 24 filled to 32")),
        (8, 8, 1, 16, ("8 groups in one, zeros between them", "in_channels 8 filled to 16",
                       "out_channels 8 filled to 16")),
        (96, 6, 6, 96, ()),
        # not one group of 48 with nine products: two of 32 have eight
        (48, 2, 2, 64, ("channels per group 24 filled to 32",)),
        # no three groups of 5 are a block, and 16 of them are five
        (45, 9, 3, 48, ("3 groups in one, zeros between them",
                        "channels per group 15 filled to 16")),
    ],
)  # fmt: skip
def test_narrow_groups_become_one(channels, groups, left, filled, remarks):
    layer = replace(GROUPED, in_channels=channels, out_channels=channels, groups=groups)
    found = fill_blocks(layer, HW)
    work = found.workload
    work.pack(HW)
    assert (work.channel_groups, work.in_channels, found.remarks) == (left, filled, remarks)
    assert work.op == ("conv2d" if left == 1 else "group_conv2d")


def products(groups, inputs, outputs, block, members):
    """Pairs of blocks that meet, counted one by one."""
    groups_left = {group // members for group in range(groups)}
    rows = {channel // block for channel in range(members * inputs)}
    columns = {channel // block for channel in range(members * outputs)}
    return sum(1 for _ in groups_left for _ in rows for _ in columns)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 40), st.integers(1, 20), st.integers(1, 20), st.sampled_from([2, 4, 8, 16]))
def test_no_number_of_groups_in_one_has_fewer_products(groups, inputs, outputs, block):
    best, *others = best_first(groups, inputs, outputs, block)
    least = min(products(groups, inputs, outputs, block, m) for m in range(1, groups + 1))
    assert products(groups, inputs, outputs, block, best) == least
    assert len({best, *others}) == 1 + len(others)


def test_fewest_products_of_narrow_groups_are_fewer_cycles():
    """What each of the three rules that were here before took is slower, or as fast."""
    layer = replace(GROUPED, in_channels=36, out_channels=36, groups=12)
    machine = VTAConfig(
        log_block=3, log_inp_buff_size=14, log_wgt_buff_size=16, log_acc_buff_size=16
    )

    def cycles(members):
        workload = fill_blocks(layer, machine, members).workload
        return min(simulate_all(Simulator(workload, machine)).cycles)

    # of 3 channels: a whole network's rule took all 12 for one, that of the choice of a machine
    # 8 (where no channel is of zeros)
    assert best_first(12, 3, 3, 8)[0] == 2
    assert cycles(None) == cycles(2) < cycles(8) < cycles(12)
    assert cycles(2) < cycles(1)


def test_the_alu_s_layers_are_filled_for_the_choice_of_a_machine():
    pool = AvgPool(name="pool", channels=5, height=4, width=4, kernel=(2, 2), stride=(2, 2))
    space = MachineSpace(free={"LOG_BLOCK": [4]})
    (point,) = codesign([pool], space).points
    assert point.cycles == min(simulate_all(Simulator(replace(pool, channels=16))).cycles)


def test_networks_embeddings_and_machines_fill_alike():
    layer = replace(GROUPED, in_channels=60, out_channels=40, groups=20, epilogue=CHAIN)
    want = fill_blocks(layer, HW).workload
    (node,) = counted_network("x", [layer], HW).nodes
    assert node.workload == want
    assert embeddings(layer, HW)[0].workload == want
    space = MachineSpace(free={"LOG_BLOCK": [4]})
    (group,) = space.groups
    evaluator = Evaluator(counted([layer]), space)
    ((found, count),) = evaluator._layers[group[:2]]
    assert (replace(found, name=want.name), count) == (want, 1)


# -- what is not filled


def test_a_layer_that_no_zeros_help_is_itself():
    odd = replace(GROUPED, groups=5)
    filling = fill_blocks(odd, HW)
    assert (filling.workload, filling.remarks) == (odd, ())
    with pytest.raises(WorkloadError, match="groups is 5, which does not divide 32"):
        filling.embed(np.zeros((1, 32, 4, 4)), np.zeros((32, 8, 3, 3)))


def test_tensors_of_another_shape_are_refused():
    filling = fill_blocks(replace(SMALL, in_channels=3), HW)
    data, weight = np.zeros((1, 3, 6, 6)), np.zeros((16, 3, 3, 3))
    filling.embed(data, weight)
    with pytest.raises(WorkloadError, match=r"data has shape \(1, 3, 6, 5\), not \(1, 3, 6, 6\)"):
        filling.embed(data[..., 1:], weight)
    with pytest.raises(WorkloadError, match=r"weight has shape \(16, 3, 3, 2\), not"):
        filling.embed(data, weight[..., 1:])
    with pytest.raises(WorkloadError, match="1 operands given, the chain loads 0"):
        filling.embed(data, weight, [np.zeros(16)])


def test_every_operator_of_ours_says_what_it_fills():
    assert all(has_part(op, "filling") for op in OPERATORS)
