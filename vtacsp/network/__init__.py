"""Whole networks: every node on VTA, fused, constant or on the host, and what that costs.

:class:`Network` is the value, :func:`load_network` makes it from a suite, a file of workloads, a
``network.json`` or an ONNX model, :func:`solve` finds the best configuration of every layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from vtacsp.network.answer import LayerAnswer, NetworkAnswer, answers, solve
    from vtacsp.network.free_tuner import FreeTuning, tune_free
    from vtacsp.network.lanes import Lanes, Watch
    from vtacsp.network.layer_search import LayerSearch
    from vtacsp.network.load import load_network
    from vtacsp.network.partition import Options
    from vtacsp.network.tuner import TunedNetwork, tune_network
    from vtacsp.network.value import CONSTANT, FUSED, HOST, VTA, Network, NetworkLayer, Node

__all__ = [
    "CONSTANT",
    "FUSED",
    "HOST",
    "VTA",
    "FreeTuning",
    "Lanes",
    "LayerAnswer",
    "LayerSearch",
    "Network",
    "NetworkAnswer",
    "NetworkLayer",
    "Node",
    "Options",
    "TunedNetwork",
    "Watch",
    "answers",
    "load_network",
    "solve",
    "tune_free",
    "tune_network",
]

# imported when a name is first used: the simulators cost time
__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "answer": ["LayerAnswer", "NetworkAnswer", "answers", "solve"],
        "free_tuner": ["FreeTuning", "tune_free"],
        "lanes": ["Lanes", "Watch"],
        "load": ["load_network"],
        "layer_search": ["LayerSearch"],
        "partition": ["Options"],
        "tuner": ["TunedNetwork", "tune_network"],
        "value": ["CONSTANT", "FUSED", "HOST", "VTA", "Network", "NetworkLayer", "Node"],
    },
)
