"""Layers of a network that VTA cannot take as they are, embedded into ones that it can."""

from vtacsp.embedding.axis import AxisFold
from vtacsp.embedding.choice import Choice, Embedded, embeddings, fastest
from vtacsp.embedding.embedding import Embedding, HostWork
from vtacsp.embedding.filled import Filled
from vtacsp.embedding.layer import UnpackedLayer
from vtacsp.moved import keep_old_names

__all__ = [
    "AxisFold",
    "Choice",
    "Embedded",
    "Embedding",
    "Filled",
    "HostWork",
    "UnpackedLayer",
    "embeddings",
    "fastest",
]

keep_old_names(__name__)
