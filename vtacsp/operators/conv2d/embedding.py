"""A convolution, grouped or not, as embeddings take it."""

from __future__ import annotations

from typing import Any

from vtacsp.operators.conv2d.workload import Conv2D

__all__ = ["sizes"]


def sizes(workload: Conv2D) -> dict[str, Any]:
    """Its sizes, as :class:`vtacsp.embedding.UnpackedLayer` names them."""
    return {
        "in_channels": workload.in_channels,
        "height": workload.height,
        "width": workload.width,
        "out_channels": workload.out_channels,
        "kernel": workload.kernel,
        "stride": workload.stride,
        "padding": (*workload.padding, *workload.padding),
        "groups": workload.channel_groups,
    }
