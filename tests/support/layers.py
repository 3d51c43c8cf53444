"""Small layers of every operator, and what compiling them comes to."""

from __future__ import annotations

import vtacsp

DEFAULT = vtacsp.VTAConfig()
CONV = vtacsp.Conv2D(
    name="conv", in_channels=64, height=14, width=14, out_channels=64, kernel=(3, 3),
    padding=(1, 1), bias=True,
)  # fmt: skip
BATCHED = vtacsp.Conv2D(
    name="batched", batch=4, in_channels=32, height=8, width=6, out_channels=64, kernel=(1, 1)
)
GROUPED = vtacsp.GroupConv2D(
    name="grouped", in_channels=64, height=14, width=14, out_channels=64, kernel=(3, 3),
    padding=(1, 1), groups=4,
)  # fmt: skip
TRANSPOSED = vtacsp.Conv2DTranspose(
    name="transposed", in_channels=64, height=4, width=4, out_channels=32, kernel=(4, 4),
    stride=(2, 2), padding=(1, 1),
)  # fmt: skip
DENSE = vtacsp.Dense(name="dense", batch=4, in_features=256, out_features=128)
FIRST_LAYER = vtacsp.Conv2D(
    name="first<layer>", in_channels=3, height=224, width=224, out_channels=64, kernel=(7, 7),
    stride=(2, 2), padding=(3, 3),
)  # fmt: skip
RACING = vtacsp.Conv2DTranspose(
    name="racing", in_channels=16, height=1, width=2, out_channels=32, kernel=(5, 3)
)
ALL = [CONV, BATCHED, GROUPED, TRANSPOSED, DENSE]


def outcome(work, hardware=DEFAULT, rules=()):
    try:
        return work, vtacsp.compile(work, hardware, rules)
    except vtacsp.WorkloadError as refusal:
        return work, refusal
