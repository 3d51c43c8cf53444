"""How good the number of groups in one is, for ``docs/operators.md``.

``python -m tests.benchmarks.groups [--seed N] [--layers N]`` prints it.
Random grouped layers on random machines; for every number of groups that become one, the best
program is found by simulating as many as its bound asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from math import exp, log
from random import Random

from vtacsp import GroupConv2D, VTAConfig
from vtacsp.embedding import embeddings, fastest
from vtacsp.operators.group_conv2d.filling import best_first

GROUPS = (2, 3, 4, 5, 6, 8, 12, 16, 20, 24, 32, 48)
SHARES = (1, 1, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 18, 20, 24, 40)
MOST = 400
"""Channels of a layer."""


def layers(seed: int) -> Iterator[tuple[GroupConv2D, VTAConfig]]:
    """Layers and machines of a seed, without end."""
    random = Random(seed)
    while True:
        block, groups, share = random.randint(2, 5), random.choice(GROUPS), random.choice(SHARES)
        outputs = random.choice((share, share, share, 2 * share, 1, 3, 8, 20))
        kernel, size = random.choice((1, 3, 3, 5)), random.choice((4, 7, 8, 14))
        stride = random.choice((1, 1, 2))
        if groups * max(share, outputs) > MOST:
            continue
        machine = VTAConfig(
            log_block=block,
            log_inp_buff_size=block + 11,
            log_wgt_buff_size=2 * block + 10,
            log_acc_buff_size=block + 13,
        )
        layer = GroupConv2D(
            in_channels=groups * share,
            out_channels=groups * outputs,
            groups=groups,
            height=size,
            width=size,
            kernel=(kernel, kernel),
            stride=(stride, stride),
            padding=(kernel // 2, kernel // 2),
        )
        yield layer, machine


def main() -> None:
    """Print how far from the best of all numbers the first and the first few are."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--layers", type=int, default=2000)
    asked = parser.parse_args()
    slower: dict[int, list[float]] = {1: [], 2: [], 3: []}
    for _, (layer, machine) in zip(range(asked.layers), layers(asked.seed), strict=False):
        shares = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        numbers = best_first(layer.groups, *shares, machine.block)
        one = embeddings(layer, machine, fold=False)[0]
        cycles = [fastest([replace(one, merged=n)]).best.cycles for n in numbers]
        for count, found in slower.items():
            found.append(min(cycles[:count]) / min(cycles))
    for count, found in slower.items():
        best = sum(ratio == 1 for ratio in found) / len(found)
        mean = exp(sum(map(log, found)) / len(found)) - 1
        print(
            f"best of the first {count}: {mean:.2%} slower than the best of all (geometric mean), "
            f"at most {max(found):.2f} times; {best:.1%} are the best; {len(found):,} layers"
        )


if __name__ == "__main__":
    main()
