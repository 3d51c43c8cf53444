"""Layers of a model that VTA computes as another operator: folded, or dense as a convolution."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vtacsp.errors import SpaceError, WorkloadError
from vtacsp.network.onnx.placing import Context
from vtacsp.network.onnx.scales import Unplaceable
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.embedding.embedding import Embedding

__all__ = ["dense_as_convolution", "folded", "host_work"]


def folded(
    context: Context,
    workload: Workload,
    image: tuple[int, int],
    pads: tuple[int, int, int, int],
    zero: int,
) -> Embedding:
    """The fastest embedding of a first convolution, in cycles of the timing model of the options.

    ``image`` are height and width of the model's data, before ``pads`` (top, left, bottom, right)
    of the value ``zero`` are around them.  Raises :class:`Unplaceable` with the reason when there
    is none.
    """
    from vtacsp.embedding.layer import UnpackedLayer

    height, width = image
    layer = replace(
        UnpackedLayer.of(workload), height=height, width=width, padding=pads, pad_value=zero
    )
    return _fastest(context, layer, ("fold", "groups", "pad", "plain"))


def dense_as_convolution(context: Context, workload: Workload) -> Embedding | None:
    """The 1x1 convolution that computes a dense layer, as the option ``dense`` decides.

    None when the dense template computes it: because that is asked for, or is not slower.
    Raises :class:`Unplaceable` when the convolution is asked for and cannot run.
    """
    from vtacsp.embedding.layer import UnpackedLayer

    choice = context.options.dense
    if choice == "dense":
        return None
    if choice == "conv":
        return _fastest(context, UnpackedLayer.of(workload), ("pixels",))
    try:
        found = _fastest(context, UnpackedLayer.of(workload), ("pixels", "pad", "plain"))
    except Unplaceable:
        return None  # the dense template says why, or that nothing is feasible
    return found if found.kind == "pixels" else None


def _fastest(context: Context, layer: object, kinds: tuple[str, ...]) -> Embedding:
    from vtacsp.embedding.choice import embeddings, fastest
    from vtacsp.embedding.layer import UnpackedLayer
    from vtacsp.timing.model import RTL

    assert isinstance(layer, UnpackedLayer)
    timing = context.options.timing or RTL
    try:
        listed = [e for e in embeddings(layer, context.hardware) if e.kind in kinds]
        return fastest(listed, timing).best.embedding
    except (SpaceError, WorkloadError) as refusal:
        raise Unplaceable(str(refusal).removeprefix(f"{layer.name}: ")) from None


def host_work(embedding: Embedding) -> list[str]:
    """What is done to the layer, and the bytes that the host writes for it, as remarks."""
    remarks = [f"embedded: {', '.join(embedding.steps)}"] if embedding.steps else []
    host, bytes_ = embedding.host, []
    if host.data:
        bytes_.append(f"{host.data:,} bytes of data")
    if host.output:
        bytes_.append(f"{host.output:,} bytes of results")
    if bytes_:
        remarks.append(f"the host writes {' and '.join(bytes_)} for every inference")
    remarks.append(f"{max(embedding.waste, 0):.0%} of its products are not the layer's")
    return remarks
