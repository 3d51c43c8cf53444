"""Named workloads that come with the package: ``resnet18`` or ``resnet18.C8``."""

from __future__ import annotations

import json
import os
from importlib.resources import files

from vtacsp.errors import WorkloadError, shortened
from vtacsp.operators.loading import load_workloads, workload_from_dict
from vtacsp.operators.workload import Workload

__all__ = ["SUITES", "find_workloads", "suite"]

SUITES = ("resnet18", "mobilenet", "dcgan", "deepbench")
"""The suites, as the command line names them.

>>> SUITES
('resnet18', 'mobilenet', 'dcgan', 'deepbench')
"""


def suite(name: str) -> list[Workload]:
    """All workloads of a suite, in order.

    >>> [layer.name for layer in suite("resnet18")][:3]
    ['resnet18.C2', 'resnet18.C3', 'resnet18.C4']
    """
    if name not in SUITES:
        raise WorkloadError(f"unknown suite {shortened(name)}; known are {', '.join(SUITES)}")
    text = (files("vtacsp") / "data" / "suites" / f"{name}.json").read_text(encoding="utf-8")
    return [workload_from_dict(item) for item in json.loads(text)]


def find_workloads(reference: str) -> list[Workload]:
    """Workloads by suite (``resnet18``), suite member (``resnet18.C8``) or JSON file.

    Raises :class:`~vtacsp.errors.WorkloadError` listing what there is.

    >>> [layer.name for layer in find_workloads("resnet18.C8")]
    ['resnet18.C8']
    """
    name, dot, member = reference.partition(".")
    if name in SUITES and not os.path.isfile(reference):
        workloads = suite(name)
        if not dot:
            return workloads
        found = [w for w in workloads if w.name == reference]
        if not found:
            members = ", ".join(w.name for w in workloads)
            raise WorkloadError(f"{name} has no member {shortened(member)}; it has {members}")
        return found
    if not os.path.exists(reference):
        raise WorkloadError(
            f"{shortened(reference)} is no suite ({', '.join(SUITES)}), no suite member "
            "(resnet18.C8) and no JSON file"
        )
    return load_workloads(reference)
