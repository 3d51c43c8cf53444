"""The network: its layers, how often each runs, and what a machine makes of their shapes.

This is the only place that knows where layers and counts come from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import gcd, lcm

from vtacsp.errors import SpaceError, WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.find import find_workloads
from vtacsp.operators.conv2d.workload import Conv2D
from vtacsp.operators.conv2d_transpose.workload import Conv2DTranspose
from vtacsp.operators.dense.workload import Dense
from vtacsp.operators.group_conv2d.workload import GroupConv2D
from vtacsp.operators.workload import Workload

__all__ = ["Layer", "counted", "fitted", "load_network"]

MAX_COUNT = 1 << 20


@dataclass(frozen=True)
class Layer:
    """A layer of a network and how often it runs there.

    Raises :class:`~vtacsp.errors.WorkloadError` for a count below 1.

    >>> layer = Layer(vtacsp.suite("resnet18")[9], count=3)
    >>> layer.name, layer.count
    ('resnet18.C11', 3)
    """

    workload: Workload
    count: int = 1

    def __post_init__(self) -> None:
        n = self.count
        if isinstance(n, bool) or not isinstance(n, int) or not 1 <= n <= MAX_COUNT:
            raise WorkloadError(
                f"{self.workload.name}: count is {shortened(n)}, allowed are 1 to {MAX_COUNT}"
            )

    @property
    def name(self) -> str:
        """The name of the workload."""
        return self.workload.name


def load_network(reference: str) -> list[Layer]:
    """The layers that NETWORK names: a suite, a member of one, a JSON file.

    Raises :class:`~vtacsp.errors.WorkloadError`.

    >>> [(layer.name, layer.count) for layer in load_network("resnet18")][:2]
    [('resnet18.C2', 4), ('resnet18.C3', 1)]
    """
    return counted(find_workloads(reference))


def counted(layers: Iterable[Layer | Workload | tuple[Workload, int]]) -> list[Layer]:
    """Layers with counts; a workload alone runs as often as its annotation ``count`` says, or once.

    Raises :class:`~vtacsp.errors.WorkloadError` for a bad count or a name that is there twice, and
    :class:`~vtacsp.errors.SpaceError` without a layer.

    >>> first, second = vtacsp.suite("resnet18")[8:]
    >>> [layer.count for layer in counted([Layer(first, 2), (second, 3)])]
    [2, 3]
    """
    network: list[Layer] = []
    for item in layers:
        if isinstance(item, Layer):
            network.append(item)
        elif isinstance(item, Workload):
            network.append(Layer(item, item.extra.get("count", 1)))
        else:
            network.append(Layer(*item))
    if not network:
        raise SpaceError("a network has at least one layer")
    names = [layer.name for layer in network]
    for name in names:
        if names.count(name) > 1:
            raise WorkloadError(f"the layer {name} is there twice; say so with its count")
    return network


def fitted(workload: Workload, hardware: VTAConfig) -> Workload:
    """The layer as a machine computes it: sizes rounded up to whole tensors.

    A batch that BATCH does not divide gets rows, channels that BLOCK does not divide get channels,
    of zeros; what is computed in vain is in the cycles.  Groups that are smaller than a block are
    merged, with zeros between them, where that takes fewer multiplications.

    >>> rgb = Conv2D(name="rgb", in_channels=3, height=8, width=8, out_channels=16, kernel=(3, 3))
    >>> [fitted(rgb, VTAConfig(log_block=log)).in_channels for log in (4, 5)]
    [16, 32]
    """
    batch = _up(workload.batch, hardware.batch)
    block = hardware.block
    if isinstance(workload, Dense):
        return replace(
            workload,
            batch=batch,
            in_features=_up(workload.in_features, block),
            out_features=_up(workload.out_features, block),
        )
    if not isinstance(workload, (Conv2D, Conv2DTranspose)):
        return workload  # another operator: it is packed as it is, or refused
    groups = workload.groups if isinstance(workload, GroupConv2D) else 1
    if workload.in_channels % groups or workload.out_channels % groups:
        return workload  # no machine packs it, and the error says why
    ci, co = workload.in_channels // groups, workload.out_channels // groups
    found = {"batch": batch}
    if isinstance(workload, GroupConv2D):
        merged = lcm(block // gcd(block, ci), block // gcd(block, co))
        whole = -(-groups // merged)
        together = whole * (merged * ci // block) * (merged * co // block)
        apart = groups * -(-ci // block) * -(-co // block)
        if merged > 1 and together < apart:
            groups, ci, co = whole, merged * ci, merged * co
        found["groups"] = groups
    found["in_channels"] = groups * _up(ci, block)
    found["out_channels"] = groups * _up(co, block)
    return replace(workload, **found)  # type: ignore[arg-type]


def _up(size: int, unit: int) -> int:
    return -(-size // unit) * unit
