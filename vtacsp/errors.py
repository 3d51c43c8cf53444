"""Every error that vtacsp raises on purpose; one root, one class per layer."""

from __future__ import annotations

import math
import reprlib

from vtacsp.causes import DEADLOCK, RACE, WRONG_RESULT

__all__ = [
    "ConfigError",
    "DeadlockError",
    "HardwareError",
    "LogError",
    "MeasureError",
    "MissingDependencyError",
    "NetworkError",
    "ProgramError",
    "RaceError",
    "RuleError",
    "ScheduleError",
    "SearchError",
    "SimulationError",
    "SpaceError",
    "StudyError",
    "TimingError",
    "UnwrittenError",
    "VtacspError",
    "WorkloadError",
    "shortened",
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


class ScheduleError(VtacspError, ValueError):
    """A free schedule is malformed, or its sizes are not those of the layer."""


class ProgramError(VtacspError, ValueError):
    """The stack stops while it builds the program of a configuration.

    ``cause`` is the label of the first check that fails (``sram:acc``, ``uop_hazard``, ...).
    """

    def __init__(self, cause: str, message: str) -> None:
        super().__init__(f"{cause}: {message}")
        self.cause = cause
        self._arguments = (cause, message)

    def __reduce__(self) -> tuple[type[ProgramError], tuple[str, str]]:
        # an exception is pickled by its message alone; this one travels between processes
        return type(self), self._arguments


class SimulationError(VtacspError, RuntimeError):
    """A program cannot be executed; ``instruction`` is the index of the one that stops it.

    ``cause`` is the label a verdict reports: upstream such a program computes wrong numbers or
    stops the simulator.
    """

    cause = WRONG_RESULT

    def __init__(self, message: str, instruction: int | None = None) -> None:
        super().__init__(message)
        self.instruction = instruction


class TimingError(VtacspError, ValueError):
    """A constant of the timing model is unknown or out of range."""


class DeadlockError(SimulationError):
    """Every module waits for a token that no other module will push."""

    cause = DEADLOCK


class MissingDependencyError(VtacspError, ImportError):
    """A module needs a package that is not installed; the message names the extra that has it."""


class NetworkError(VtacspError, ValueError):
    """A network or a model is malformed, or holds what cannot be placed."""


class RaceError(SimulationError):
    """Two modules touch one scratchpad element, no token orders them, and the output shows it."""

    cause = RACE


class UnwrittenError(SimulationError):
    """The output depends on a scratchpad element or micro-op that nothing has written."""


class SearchError(VtacspError, ValueError):
    """A searcher or the tuning loop is asked for something that it cannot do."""


class MeasureError(VtacspError, RuntimeError):
    """Measuring as a whole cannot go on; what one configuration does wrong is a result instead."""


class LogError(VtacspError, ValueError):
    """A tuning log cannot be read or written; the message names file and line."""


class StudyError(VtacspError, ValueError):
    """A study cannot be run, or its folder holds the results of another one."""


class _Short(reprlib.Repr):
    """Nothing of what is refused fills a screen, whatever its length or depth."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxtuple = 2, 3, 4, 4
        self.maxstring = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:  # noqa: ARG002 - the signature of reprlib
        if abs(x) < 10**20:
            return repr(x)
        # Python does not print what is longer than 4,300 digits
        return f"{'-' if x < 0 else ''}10^{int(math.log10(abs(x)))} or more"


_SHORT = _Short()


def shortened(value: object) -> str:
    """A value as messages show it: at most 80 characters, those of control escaped."""
    text = _SHORT.repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
