"""Layers whose channels, features or batch do not fill blocks: zeros fill them."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from vtacsp.alu.workload import OnALU
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.operators.workload import Workload

__all__ = ["fill_blocks"]


def fill_blocks(workload: Workload, hardware: VTAConfig) -> tuple[Workload, tuple[str, ...]]:
    """The layer as the machine can pack it, and in words what was filled.

    Channels, features and the batch grow to the next multiple of the block; the results that are
    too many are dropped by the host.  Groups that are narrower than a block are put together, as
    TVM's ``graph_pack`` does: a group then multiplies weights of which those between its members
    are zero.  A layer that fills its blocks is returned as it is.

    >>> rgb = Conv2D(name="rgb", in_channels=3, height=8, width=8, out_channels=16, kernel=(3, 3))
    >>> filled, remarks = fill_blocks(rgb, VTAConfig())
    >>> filled.in_channels, remarks
    (16, ('in_channels 3 filled to 16',))
    """
    block = hardware.block
    changes: dict[str, Any] = {}
    remarks = []
    batch = _up(workload.batch, hardware.batch)
    if isinstance(workload, Dense):
        sizes = {name: getattr(workload, name) for name in ("in_features", "out_features")}
        changes = {name: _up(size, block) for name, size in sizes.items()}
    elif isinstance(workload, OnALU):
        sizes = {"channels": workload.channels}
        changes = {"channels": _up(workload.channels, block)}
    else:
        assert hasattr(workload, "in_channels")
        if isinstance(workload, GroupConv2D):
            joined = _joined(workload, block)
            if joined is not workload:
                groups = joined.groups if isinstance(joined, GroupConv2D) else 1
                remarks.append(f"groups {workload.groups} as {groups}, zeros between them")
            workload = joined
        groups = workload.groups if isinstance(workload, GroupConv2D) else 1
        sizes = {name: getattr(workload, name) for name in ("in_channels", "out_channels")}
        if all(size % groups == 0 for size in sizes.values()):
            changes = {n: _up(size // groups, block) * groups for n, size in sizes.items()}
    remarks += [
        f"{n} {sizes[n]} filled to {size}" for n, size in changes.items() if size != sizes[n]
    ]
    if batch != workload.batch:
        remarks.append(f"batch {workload.batch} filled to {batch}")
    changed = {n: v for n, v in {**changes, "batch": batch}.items() if v != getattr(workload, n)}
    return (replace(workload, **changed) if changed else workload), tuple(remarks)


def _up(size: int, block: int) -> int:
    return -(-size // block) * block


def _joined(workload: GroupConv2D, block: int) -> Conv2D:
    """Fewer groups, as wide as a block: the fewest members each that fill blocks, else one."""
    groups = workload.groups
    if workload.in_channels % groups or workload.out_channels % groups:
        return workload  # no convolution: packing says so
    inputs, outputs = workload.in_channels // groups, workload.out_channels // groups
    for members in (m for m in range(1, min(groups, block) + 1) if groups % m == 0):
        if members * inputs % block == 0 and members * outputs % block == 0:
            break
    else:
        members = groups
    if members == 1:
        return workload
    if members < groups:
        return replace(workload, groups=groups // members)
    own = {f.name: getattr(workload, f.name) for f in fields(Conv2D)}
    return Conv2D(**own)
