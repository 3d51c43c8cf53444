"""All engines find the same sets; their times are a matter of ``--benchmark-enable``."""

from __future__ import annotations

import pytest

pytest.importorskip("constraint")
pytest.importorskip("pyatf")

from vtacsp import (
    Conv2D,
    Conv2DTranspose,
    Dense,
    GroupConv2D,
    HardwareSpace,
    VTAConfig,
    Workload,
    compile_network,
    suite,
)

from .contenders import CONTENDERS, Case, Contender, CpSat
from .joint import PEERS, JointCase

SMALL = VTAConfig(
    log_uop_buff_size=8, log_inp_buff_size=12, log_wgt_buff_size=15, log_acc_buff_size=13
)
LAYERS: list[tuple[Workload, VTAConfig]] = [
    (suite("resnet18")[9], VTAConfig()),
    (Conv2D(name="bias", in_channels=32, height=8, width=8, out_channels=32, kernel=(3, 3),
            padding=(1, 1), bias=True), SMALL),
    (GroupConv2D(name="group", in_channels=64, height=6, width=6, out_channels=64, kernel=(3, 3),
                 padding=(1, 1), groups=2), SMALL),
    (Conv2DTranspose(name="transposed", in_channels=32, height=3, width=3, out_channels=16,
                     kernel=(4, 4), stride=(2, 2), padding=(1, 1)), SMALL),
    (Dense(name="dense", in_features=256, out_features=512), SMALL),
]  # fmt: skip


# CP-SAT takes the rules as they are: there is nothing to tune
RUNS = [(c, tuned) for c in CONTENDERS for tuned in (False, True) if not (tuned and c is CpSat)]


@pytest.mark.parametrize(
    ("contender", "tuned"),
    RUNS,
    ids=[f"{c.name}-{'tuned' if tuned else 'plain'}" for c, tuned in RUNS],
)
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer[0].name)
def test_contenders_find_the_same_set(benchmark, layer, contender: type[Contender], tuned) -> None:
    case = Case(*layer, tuned=tuned)
    engine = contender(case)
    found = benchmark(engine.run)
    assert engine.indices(found) == CONTENDERS[0](case).run().indices.tolist()


@pytest.mark.parametrize("engine", PEERS)
def test_peers_confirm_the_joint_count(engine: str) -> None:
    hardware = HardwareSpace(None, LOG_UOP_BUFF_SIZE=[5, 6], LOG_ACC_BUFF_SIZE=[9, 10])
    layers = [
        Conv2D(name="c", in_channels=32, height=6, width=6, out_channels=32, kernel=(3, 3),
               padding=(1, 1)),
        Dense(name="d", in_features=64, out_features=64),
    ]  # fmt: skip
    progress = PEERS[engine](JointCase(layers, hardware), 60)
    assert progress.finished
    assert progress.points == compile_network(layers, hardware).count() > 0
