"""What no store gets below: the cycles of output tensors in the store module."""

from __future__ import annotations

from vtacsp.machine.configuration import VTAConfig
from vtacsp.timing.model import TimingModel

__all__ = ["one_store", "written"]


def written(hardware: VTAConfig, t: TimingModel) -> int:
    """Cycles of an output tensor in the store module, in a burst of its own or with others.

    In a burst its last beat is followed by a reload; a burst that ends there takes its command and
    the memory's answer instead.
    """
    size = hardware.element_bytes("out")
    if size <= t.bus_bytes:
        return size // t.bus_bytes
    beats, reloads = one_store(hardware, t)
    return beats + reloads + min(t.write_reload, t.write_command + t.write_latency)


def one_store(hardware: VTAConfig, t: TimingModel) -> tuple[int, int]:
    """Beats of an output tensor, and cycles of the reloads between them."""
    size = hardware.element_bytes("out")
    beats = max(size // t.bus_bytes, 1)
    per_row = max(size // hardware.batch // t.bus_bytes, 1)
    return beats, (beats - 1) // per_row * t.write_reload if size > t.bus_bytes else 0
