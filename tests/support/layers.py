"""Small layers of every operator, and what compiling them comes to."""

from __future__ import annotations

from random import Random

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


def random_layer(operator: str, rng: Random) -> vtacsp.Workload:
    """A layer of one of :data:`OPERATORS` or :data:`ON_ALU`."""
    if operator in ON_ALU:
        return _random_on_alu(operator, rng)
    batch, bias = rng.choice((1, 1, 2)), rng.random() < 0.4
    if operator == "dense":
        features = 16 * rng.randint(1, 6), 16 * rng.randint(1, 8)
        return vtacsp.Dense(
            batch=batch, in_features=features[0], out_features=features[1], bias=bias
        )
    kernel = rng.randint(1, 4), rng.randint(1, 4)
    size = {"batch": batch, "bias": bias, "kernel": kernel}
    size |= {"height": rng.randint(kernel[0], 12), "width": rng.randint(kernel[1], 12)}
    stride = rng.randint(1, 3), rng.randint(1, 3)
    if operator == "transposed":
        pad = rng.randint(0, kernel[0] - 1), rng.randint(0, kernel[1] - 1)
        blocks = 16 * rng.randint(1, 3), 16 * rng.randint(1, 4)
        return vtacsp.Conv2DTranspose(
            **size, in_channels=blocks[0], out_channels=blocks[1], stride=stride, padding=pad
        )
    rows = rng.randint(0, 2)
    size |= {"stride": stride, "padding": (rows, rng.randint(0, 2) if rows else 0)}
    if operator == "conv2d":
        blocks = 16 * rng.randint(1, 5), 16 * rng.randint(1, 6)
        return vtacsp.Conv2D(**size, in_channels=blocks[0], out_channels=blocks[1])
    groups = rng.randint(2, 4)
    outputs = rng.randint(1, 3) if operator == "group" else 1
    return vtacsp.GroupConv2D(
        **size,
        groups=groups,
        in_channels=16 * groups * rng.randint(1, 2),
        out_channels=16 * groups * outputs,
    )


def _random_on_alu(operator: str, rng: Random) -> vtacsp.Workload:
    data = {
        "op": operator, "name": "random", "batch": rng.choice((1, 1, 2)),
        "channels": 16 * rng.randint(1, 5),
    }  # fmt: skip
    sizes = [rng.randint(1, 12), rng.randint(1, 12)]
    if operator != "add":
        kernel = [rng.randint(1, 5) for _ in range(2)]
        pads = [rng.randint(0, k - 1) for k in kernel]
        data |= {"kernel": kernel, "stride": [rng.randint(1, 4) for _ in range(2)], "padding": pads}
        sizes = [max(n, k - p) for n, k, p in zip(sizes, kernel, pads, strict=True)]
        if rng.random() < 0.2:  # all of the image
            data |= {"kernel": sizes, "padding": [0, 0]}
        if operator == "avg_pool":
            data["epilogue"] = [{"op": "shift_right", "by": rng.randint(0, 4)}, {"op": "cast"}]
    return vtacsp.workload_from_dict({**data, "height": sizes[0], "width": sizes[1]})


ON_ALU = ("add", "max_pool", "avg_pool")
"""What the ALU runs by itself."""

OPERATORS = ("conv2d", "group", "depthwise", "transposed", "dense")


def random_machine(rng: Random) -> vtacsp.VTAConfig:
    if rng.random() < 0.3:
        return DEFAULT
    return DEFAULT.replace(
        LOG_BATCH=rng.choice((0, 0, 1)),
        LOG_UOP_BUFF_SIZE=rng.randint(10, 13),
        LOG_INP_BUFF_SIZE=rng.randint(12, 14),
        LOG_WGT_BUFF_SIZE=rng.randint(13, 16),
        LOG_ACC_BUFF_SIZE=rng.randint(13, 15),
    )


def random_timing(rng: Random) -> vtacsp.TimingModel:
    return vtacsp.TimingModel(
        memory_latency=rng.choice((1, 16, 64)),
        write_latency=rng.choice((1, 2, 20)),
        bus_bytes=rng.choice((4, 8, 16)),
        write_reload=rng.randint(0, 4),
        write_command=rng.randint(1, 3),
        alu_interval=rng.randint(1, 2),
        gemm_interval=rng.randint(1, 2),
    )
