"""The workloads that a word names: a suite, a member of one, or a file of any kind."""

from __future__ import annotations

from vtacsp.errors import NetworkError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.load import load_file
from vtacsp.operators.suites import in_suite
from vtacsp.operators.workload import Workload

__all__ = ["find_workloads"]


def find_workloads(reference: str, hardware: VTAConfig | None = None) -> list[Workload]:
    """Workloads by suite (``resnet18``), suite member (``resnet18.C8``) or file.

    A file is JSON with one workload or a list of them, a ``network.json`` or an ONNX model; of a
    network it is the distinct layers, filled to the blocks of ``hardware`` (the default machine).
    Raises :class:`~vtacsp.errors.WorkloadError` listing what there is, and
    :class:`~vtacsp.errors.NetworkError` for a network that cannot be read.

    >>> [layer.name for layer in find_workloads("resnet18.C8")]
    ['resnet18.C8']
    """
    known = in_suite(reference)
    if known is not None:
        return known
    found = load_file(reference, hardware or VTAConfig())
    if isinstance(found, list):
        return found
    if not found.layers:
        raise NetworkError(f"{found.name}: no node runs on VTA; `vtacsp network` says why of each")
    return found.workloads
