"""Named workloads that come with the package: ``resnet18`` or ``resnet18.C8``."""

from __future__ import annotations

import json
import os
from importlib.resources import files
from typing import Any

from vtacsp.errors import NetworkError, WorkloadError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload

__all__ = ["SUITES", "find_workloads", "host_nodes", "in_suite", "suite"]

SUITES = (
    *("resnet18", "resnet50", "mobilenet", "mobilenet_v2", "mlperf_tiny", "dcgan"),
    "deepbench",
)


def suite(name: str) -> list[Workload]:
    """All workloads of a suite, in order.

    Those of a network have its number of such layers in ``extra["count"]``.
    """
    if name not in SUITES:
        raise WorkloadError(f"unknown suite {shortened(name)}; known are {', '.join(SUITES)}")
    text = (files("vtacsp") / "data" / "suites" / f"{name}.json").read_text(encoding="utf-8")
    return [workload_from_dict(item) for item in json.loads(text)]


def host_nodes(name: str) -> list[dict[str, Any]]:
    """What the host computes of a suite that is a network, or of such a part of a suite.

    Objects with ``name``, ``op``, ``count`` and the reason, ``host``; none for another name.
    """
    text = (files("vtacsp") / "data" / "host.json").read_text(encoding="utf-8")
    nodes: list[dict[str, Any]] = json.loads(text).get(name, [])
    return nodes


def in_suite(reference: str) -> list[Workload] | None:
    """The workloads of a suite, of a part (``mlperf_tiny.ic``) or of one member.

    None when the word names no suite, or a file.  Raises
    :class:`~vtacsp.errors.WorkloadError` listing the members when there is no such one.
    """
    name, dot, member = reference.partition(".")
    if name not in SUITES or os.path.isfile(reference):
        return None
    workloads = suite(name)
    if not dot:
        return workloads
    found = [w for w in workloads if w.name == reference]
    if not found and member:
        found = [w for w in workloads if w.name.startswith(f"{reference}.")]
    if not found:
        members = ", ".join(w.name for w in workloads)
        raise WorkloadError(f"{name} has no member {shortened(member)}; it has {members}")
    return found


def find_workloads(reference: str, hardware: VTAConfig | None = None) -> list[Workload]:
    """Workloads by suite (``resnet18``), suite member (``resnet18.C8``) or file.

    A file is JSON with one workload or a list of them, a ``network.json`` or an ONNX model; of a
    network it is the distinct layers, filled to the blocks of ``hardware`` (the default machine).
    Raises :class:`~vtacsp.errors.WorkloadError` listing what there is, and
    :class:`~vtacsp.errors.NetworkError` for a network that cannot be read.
    """
    known = in_suite(reference)
    if known is not None:
        return known
    from vtacsp.network.load import load_file

    found = load_file(reference, hardware or VTAConfig())
    if isinstance(found, list):
        return found
    if not found.layers:
        raise NetworkError(f"{found.name}: no node runs on VTA; `vtacsp network` says why of each")
    return found.workloads
