"""From a configuration to its program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from vtacsp.errors import TooLongError
from vtacsp.hardware import VTAConfig
from vtacsp.knobs import KnobSpace
from vtacsp.program.dense import build_dense
from vtacsp.program.program import Program
from vtacsp.program.runtime import MAX_TRANSFER, Queue
from vtacsp.program.spatial import build_spatial
from vtacsp.workload import Dense, Workload

__all__ = ["build"]


def build(
    workload: Workload,
    hardware: VTAConfig,
    config: Mapping[str, int] | int,
    *,
    waits: bool = False,
    max_transfer: int = MAX_TRANSFER,
) -> Program:
    """Build the program of a configuration, as the upstream compiler and runtime would.

    ``config`` is a configuration or its AutoTVM index.  ``waits`` says that the program run
    before left a dependency token behind (:attr:`Program.leaves`), as happens when several
    programs run in one process upstream.  ``max_transfer`` bounds the instruction queue, in
    bytes; a program that needs more is split into launches (:attr:`Program.segments`).

    Raises :class:`~vtacsp.errors.ProgramError`, with the cause, where the stack would stop,
    :class:`~vtacsp.errors.TooLongError` for a program of more than ``MAX_STEPS`` steps
    and :class:`~vtacsp.errors.ConfigError` for a configuration that is not of the space.
    """
    space = _space(workload, hardware)
    index = config if isinstance(config, int) else space.index(config)
    knobs = space.config(index)
    queue = Queue(waits, max_transfer)
    try:
        if isinstance(workload, Dense):
            return build_dense(workload, hardware, knobs, queue)
        return build_spatial(workload, hardware, knobs, queue)
    except TooLongError as error:
        name = f"the program of {workload.name}, index {index},"
        raise TooLongError(error.steps, error.most, name) from None


_space = lru_cache(maxsize=256)(KnobSpace.of)
