"""What a command about cycles says of a machine that the Chisel design cannot be built for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vtacsp.cli.terminal import say

if TYPE_CHECKING:
    from vtacsp.machine.configuration import VTAConfig
    from vtacsp.timing.model import TimingModel

__all__ = ["say_limits"]


def say_limits(machine: VTAConfig, timing: TimingModel, name: str = "") -> None:
    """A line on standard error per limit that the machine breaks; ``name`` tells it from others."""
    from vtacsp.machine.design import design_limits

    start = f"{name}: " if name else ""
    for line in design_limits(machine, timing):
        say(f"{start}the Chisel design cannot be built: {line}; the cycles are the model's")
