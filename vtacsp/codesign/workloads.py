"""The network: its layers and how often each runs.

This is the only place that knows where layers and counts come from.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from vtacsp.errors import SpaceError, WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.load import load_unfilled
from vtacsp.operators.workload import Workload

__all__ = ["CountedLayer", "counted", "load_counted"]

MAX_COUNT = 1 << 20


@dataclass(frozen=True)
class CountedLayer:
    """A layer of a network and how often it runs there.

    Raises :class:`~vtacsp.errors.WorkloadError` for a count below 1.

    >>> layer = CountedLayer(vtacsp.suite("resnet18")[9], count=3)
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


def load_counted(
    reference: str,
    hardware: VTAConfig | None = None,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> list[CountedLayer]:
    """The layers that NETWORK names: a suite, a member of one, a JSON file, an ONNX model.

    They are as the network has them: every machine fills its own blocks.  Which nodes of a network
    are on VTA is decided on ``hardware`` (the default machine); ``shapes`` fixes inputs of a model.
    Raises :class:`~vtacsp.errors.WorkloadError` and :class:`~vtacsp.errors.NetworkError`.

    >>> [(layer.name, layer.count) for layer in load_counted("resnet18")][:2]
    [('resnet18.C2', 4), ('resnet18.C3', 1)]
    """
    return counted(load_unfilled(reference, hardware or VTAConfig(), shapes))


def counted(layers: Iterable[CountedLayer | Workload | tuple[Workload, int]]) -> list[CountedLayer]:
    """Layers with counts; a workload alone runs as often as its annotation ``count`` says, or once.

    Raises :class:`~vtacsp.errors.WorkloadError` for a bad count or a name that is there twice, and
    :class:`~vtacsp.errors.SpaceError` without a layer.

    >>> first, second = vtacsp.suite("resnet18")[8:]
    >>> [layer.count for layer in counted([CountedLayer(first, 2), (second, 3)])]
    [2, 3]
    """
    network: list[CountedLayer] = []
    for item in layers:
        if isinstance(item, CountedLayer):
            network.append(item)
        elif isinstance(item, Workload):
            network.append(CountedLayer(item, item.extra.get("count", 1)))
        else:
            network.append(CountedLayer(*item))
    if not network:
        raise SpaceError("a network has at least one layer")
    names = [layer.name for layer in network]
    for name in names:
        if names.count(name) > 1:
            raise WorkloadError(f"the layer {name} is there twice; say so with its count")
    return network
