"""The cycles on the page of operators are what is simulated today."""

from __future__ import annotations

import math
import re
from dataclasses import replace

import pytest

from tests.support import ROOT
from vtacsp import Dense, GroupConv2D, VTAConfig, workload_from_dict
from vtacsp.embedding import UnpackedLayer, embeddings, fastest
from vtacsp.operators.registry import OPERATORS
from vtacsp.timing import Simulator

PAGE = (ROOT / "docs" / "operators.md").read_text(encoding="utf-8")
SMALL = VTAConfig(
    log_block=3, log_uop_buff_size=12, log_inp_buff_size=13, log_wgt_buff_size=14,
    log_acc_buff_size=15,
)  # fmt: skip
DENSE = {"in_features": 128, "out_features": 128}


def row(start):
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {start}")]
    return [int(cell.replace(",", "")) for cell in re.findall(r"\| ([\d,]+)(?= )", line)]


def test_every_operator_is_on_the_page():
    assert all(f"`{op}`" in PAGE for op in OPERATORS)


@pytest.mark.parametrize(
    ("start", "layer", "machine"),
    [
        ("128 → 128, bias | 1x8", Dense(**DENSE, bias=True), SMALL),
        ("128 → 128, bias | default", Dense(**DENSE, bias=True), VTAConfig()),
        ("128 → 128, batch 8", Dense(**DENSE, batch=8), VTAConfig()),
        ("512 → 1,000", Dense(in_features=512, out_features=1000), VTAConfig()),
    ],
)
def test_dense_layers(start, layer, machine):
    found = embeddings(layer, machine)
    wanted = [fastest([e]).best.cycles for e in found]
    assert row(start)[-2:] == [wanted[0], min(wanted[1:])]


@pytest.mark.parametrize(
    ("start", "layer"),
    [
        ("residual", {"op": "add", "channels": 64, "height": 56, "width": 56, "epilogue": [
            {"op": "max", "value": 0}, {"op": "clip", "min": -127, "max": 127}, {"op": "cast"}]}),
        ("max pool", {"op": "max_pool", "channels": 64, "height": 112, "width": 112,
                      "kernel": [3, 3], "stride": [2, 2], "padding": [1, 1]}),
        ("mean of", {"op": "avg_pool", "channels": 512, "height": 8, "width": 8,
                     "kernel": [8, 8]}),
    ],
)  # fmt: skip
def test_what_the_alu_runs(start, layer):
    simulator = Simulator(workload_from_dict({"name": "layer", "batch": 1, **layer}))
    cycles = simulator.cycles_many(simulator.space.indices.tolist()).min()
    assert row(start)[0] == cycles


FIRST = {
    "ResNet-18": (3, 64, (224, 224), 7, 2, (3, 3, 3, 3)),
    "MobileNet |": (3, 32, (224, 224), 3, 2, (0, 0, 1, 1)),
    "VGG": (3, 64, (224, 224), 3, 1, (1, 1, 1, 1)),
    "tiny YOLO": (3, 16, (416, 416), 3, 1, (1, 1, 1, 1)),
    "ResNet8": (3, 16, (32, 32), 3, 1, (1, 1, 1, 1)),
    "MobileNet 0.25": (3, 8, (96, 96), 3, 2, (0, 0, 1, 1)),
    "DS-CNN": (1, 64, (49, 10), (10, 4), 2, (4, 1, 5, 1)),
}


def test_first_layers():
    ratios = []
    for start, (ci, co, (height, width), kernel, stride, padding) in FIRST.items():
        taps = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        layer = UnpackedLayer(
            in_channels=ci, height=height, width=width, out_channels=co, kernel=taps,
            stride=(stride, stride), padding=padding,
        )  # fmt: skip
        choice = fastest(embeddings(layer))
        assert row(start)[-2:] == [choice.plain.cycles, choice.best.cycles], start
        ratios.append(choice.plain.cycles / choice.best.cycles)
    mean = math.prod(ratios) ** (1 / len(ratios))
    assert f"The geometric mean is {mean:.1f};" in PAGE


def test_groups():
    layer = GroupConv2D(
        in_channels=32, height=28, width=28, out_channels=32, kernel=(3, 3), padding=(1, 1),
        groups=32,
    )  # fmt: skip
    merged, *_, apart = (fastest([e]).best.cycles for e in embeddings(layer))
    assert f"{merged:,} cycles with 16 groups in one, {apart:,} when each group" in PAGE


@pytest.mark.parametrize(
    ("start", "members", "layer"),
    [
        ("60 channels, 20 groups", 5, {"in_channels": 60, "out_channels": 60, "groups": 20,
                                       "kernel": (3, 3), "padding": (1, 1)}),
        ("272 channels, 4 groups", 1, {"in_channels": 272, "out_channels": 272, "groups": 4,
                                       "kernel": (1, 1)}),
    ],
)  # fmt: skip
def test_how_many_groups_become_one(start, members, layer):
    best = embeddings(GroupConv2D(height=14, width=14, **layer))[0]
    assert best.merged == members
    found = [fastest([e]).best.cycles for e in (best, replace(best, merged=layer["groups"]))]
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"| {start}")]
    assert f": {found[0]:,} cycles | {found[1]:,} |" in line
