"""A fully connected layer as embeddings take it."""

from __future__ import annotations

from typing import Any

from vtacsp.operators.dense.workload import Dense

__all__ = ["sizes"]


def sizes(workload: Dense) -> dict[str, Any]:
    """Its sizes, as :class:`vtacsp.embedding.UnpackedLayer` names them."""
    return {
        "in_channels": workload.in_features,
        "out_channels": workload.out_features,
        "dense": True,
    }
