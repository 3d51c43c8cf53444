"""The audit: what is wrong with an instruction stream, of whatever compiler."""

from vtacsp.audit.audit import Audit, audit
from vtacsp.audit.findings import ERROR, KINDS, NOTE, Finding
from vtacsp.audit.sources import load, of_program
from vtacsp.audit.target import Region, Target

__all__ = [
    "ERROR",
    "KINDS",
    "NOTE",
    "Audit",
    "Finding",
    "Region",
    "Target",
    "audit",
    "load",
    "of_program",
]
