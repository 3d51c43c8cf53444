"""The limit of a layer: the measured table, and a count by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.golden import free_schedules, names
from vtacsp import VTAConfig
from vtacsp.free import AxisGeometry, limit
from vtacsp.network.find import find_workloads
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.geometry import geometry
from vtacsp.operators.workload import Workload


def test_table_is_read() -> None:
    assert len(free_schedules()) == 15


@pytest.mark.parametrize("name", names("free"))
def test_limit_is_that_of_the_measured_table(name: str) -> None:
    row = free_schedules()[name]
    (layer,) = find_workloads(row["layer"])
    found = limit(layer, VTAConfig())
    columns = ("gemm_all", "gemm_valid", "alu_and_reset", "read_beats", "write_cycles")
    assert [*found][:5] == [int(row[name]) for name in columns]
    work = max(found.gemm + found.alu, found.read, found.write)
    assert work == int(row["limit"]) < found.cycles < 1.005 * work
    assert found.operands == 0
    assert found.bound == "compute"


LAYERS: list[Workload] = [
    Conv2D(in_channels=16, height=9, width=7, out_channels=16, kernel=(3, 2), padding=(1, 1)),
    Conv2D(in_channels=16, height=8, width=9, out_channels=16, kernel=(1, 1), stride=(2, 3)),
    Conv2D(
        in_channels=16, height=5, width=6, out_channels=16, kernel=(5, 3), stride=(2, 1),
        padding=(3, 2),
    ),
    Conv2DTranspose(
        in_channels=16, height=4, width=5, out_channels=16, kernel=(4, 3), stride=(2, 3),
        padding=(1, 1),
    ),
    Conv2DTranspose(
        in_channels=16, height=3, width=3, out_channels=16, kernel=(2, 2), stride=(3, 3)
    ),
]  # fmt: skip


@pytest.mark.parametrize("layer", LAYERS)
def test_axes_are_those_of_a_convolution_of_ones(layer: Workload) -> None:
    g = geometry(layer, VTAConfig())
    for axis in (g.y, g.x):
        data = np.zeros(axis.size + 2 * axis.pad, dtype=int)
        data[axis.pad : axis.pad + axis.size : axis.dilation] = 1
        assert axis.out == (len(data) - axis.kernel) // axis.stride + 1
        windows = np.lib.stride_tricks.sliding_window_view(data, axis.kernel)[:: axis.stride]
        where = np.lib.stride_tricks.sliding_window_view(np.arange(len(data)), axis.kernel)
        met = where[:: axis.stride][windows == 1]
        assert axis.pairs == windows.sum()
        assert axis.covered == windows.any(axis=1).sum()
        assert axis.inputs == len(np.unique(met))


def test_gap_is_one_unless_inputs_are_left_out() -> None:
    assert AxisGeometry(9, 4, 3, 2, 1, 1).gap == 1
    assert AxisGeometry(8, 4, 1, 2, 0, 1).gap == 2
    assert AxisGeometry(7, 8, 4, 1, 2, 3).gap == 3
