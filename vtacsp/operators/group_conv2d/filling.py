"""What a grouped convolution has to fill, and which of its groups become one.

A group that is narrower than a block multiplies zeros, in its inputs and in its outputs.  Groups
that become one multiply zeros too: the weights between a group and the inputs of another.
"""

from __future__ import annotations

from dataclasses import fields, replace

from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.filling import Channels, Filling, as_it_is, up
from vtacsp.operators.group_conv2d.workload import GroupConv2D

__all__ = ["best_first", "fill"]


def fill(workload: GroupConv2D, hardware: VTAConfig, members: int | None = None) -> Filling:
    """Its channels, groups and batch; ``members`` groups become one.

    What is left of one group is a convolution, which machines of any width of values have.
    """
    groups, block = workload.groups, hardware.block
    if workload.in_channels % groups or workload.out_channels % groups:
        return as_it_is(workload, hardware)  # no convolution: packing says so
    shares = workload.in_channels // groups, workload.out_channels // groups
    count = members or best_first(groups, *shares, block)[0]
    inputs = Channels("in_channels", workload.in_channels, block, groups, count)
    outputs = Channels("out_channels", workload.out_channels, block, groups, count)
    left = -(-groups // count)
    filled: Conv2D = replace(
        workload,
        batch=up(workload.batch, hardware.batch),
        in_channels=inputs.total,
        out_channels=outputs.total,
        groups=left,
    )
    if left == 1 < groups:
        filled = Conv2D(**{spec.name: getattr(filled, spec.name) for spec in fields(Conv2D)})
    return Filling(workload, filled, hardware, inputs, outputs)


def best_first(groups: int, inputs: int, outputs: int, block: int) -> tuple[int, ...]:
    """How many groups of so many channels become one: the numbers that differ, best first.

    The best has fewest products of blocks; of equals fewest blocks of data, in and out; of equals
    it leaves fewest groups of zeros.  More members than a block has channels are never better: that
    many already fill all blocks.  Fewest products are not always fewest cycles, since tiles divide
    what there is: who can time them tries the next ones too.

    >>> from vtacsp.operators.group_conv2d.filling import best_first
    >>> best_first(groups=32, inputs=1, outputs=1, block=16)[:3]
    (16, 15, 10)
    >>> best_first(groups=4, inputs=24, outputs=24, block=16)[:2]
    (1, 2)
    """

    def cost(members: int) -> tuple[int, int, int]:
        left = -(-groups // members)
        rows, columns = (up(members * share, block) // block for share in (inputs, outputs))
        return left * rows * columns, left * (rows + columns), left

    best: dict[tuple[int, int, int], int] = {}
    for members in range(1, min(groups, block) + 1):
        best[cost(members)] = members  # of those that leave the same, the fullest groups
    return tuple(best[key] for key in sorted(best))
