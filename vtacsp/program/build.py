"""From a configuration to its program."""

from __future__ import annotations

from collections.abc import Mapping

from vtacsp.hardware import VTAConfig
from vtacsp.knobs import KnobSpace
from vtacsp.program.dense import build_dense
from vtacsp.program.program import Program
from vtacsp.program.spatial import build_spatial
from vtacsp.workload import Dense, Workload

__all__ = ["build"]


def build(
    workload: Workload,
    hardware: VTAConfig,
    config: Mapping[str, int] | int,
    *,
    waits: bool = False,
) -> Program:
    """Build the program of a configuration, as the upstream compiler and runtime would.

    ``config`` is a configuration or its AutoTVM index.  ``waits`` says that the program run
    before left a dependency token behind (:attr:`Program.leaves`), as happens when several
    programs run in one process upstream.

    Raises :class:`~vtacsp.errors.ProgramError`, with the cause, where the stack would stop,
    and :class:`~vtacsp.errors.ConfigError` for a configuration that is not of the space.
    """
    space = KnobSpace.of(workload, hardware)
    index = config if isinstance(config, int) else space.index(config)
    knobs = space.config(index)
    if isinstance(workload, Dense):
        return build_dense(workload, hardware, knobs, waits=waits)
    return build_spatial(workload, hardware, knobs, waits=waits)
