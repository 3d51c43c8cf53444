"""Every error that vtacsp raises on purpose; one root, one class per layer."""

__all__ = [
    "ConfigError",
    "HardwareError",
    "RuleError",
    "SpaceError",
    "VtacspError",
    "WorkloadError",
]


class VtacspError(Exception):
    """Root of all errors of this package; the message is meant for people."""


class HardwareError(VtacspError, ValueError):
    """A hardware description is malformed or describes no machine the stack can build."""


class WorkloadError(VtacspError, ValueError):
    """A workload is malformed, or it cannot be packed for the hardware."""


class ConfigError(VtacspError, ValueError):
    """A configuration, knob or index does not belong to the knob space."""


class RuleError(VtacspError, ValueError):
    """A rule is malformed: an unknown symbol, a duplicate name, a wrong kind of value."""


class SpaceError(VtacspError, ValueError):
    """A question that a space cannot answer: an empty sample, a rank out of range."""
