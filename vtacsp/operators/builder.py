"""From a configuration to its program.

Independent of the rules on purpose: whether it can be built is found by building it.
"""

from __future__ import annotations

from functools import lru_cache

from vtacsp.errors import TooLongError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.knobs import ConfigLike, KnobSpace
from vtacsp.operators.registry import part
from vtacsp.operators.workload import Workload
from vtacsp.program.program import Program
from vtacsp.program.runtime import MAX_TRANSFER, Queue

__all__ = ["build"]


def build(
    workload: Workload,
    hardware: VTAConfig,
    config: ConfigLike,
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

    >>> program = build(vtacsp.suite("resnet18")[9], VTAConfig(), 0)
    >>> len(program), len(program.micro_ops)
    (159946, 5)
    >>> try:
    ...     build(vtacsp.suite("resnet18")[9], VTAConfig(), 500)
    ... except ProgramError as error:
    ...     print(error)
    ...
    sram:wgt: 1152 elements, WGT holds 1024
    """
    space = _space(workload, hardware)
    knobs = space.config(space.index(config))
    queue = Queue(waits, max_transfer)
    try:
        program: Program = part(workload.op, "program").build(workload, hardware, knobs, queue)
    except TooLongError as error:
        name = f"the program of {workload.name}, index {space.index(config)},"
        raise TooLongError(error.steps, error.most, name) from None
    return program


_space = lru_cache(maxsize=256)(KnobSpace.of)
