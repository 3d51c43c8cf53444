"""Calibration: the constants of the timing model, fitted to what a board measured.

:func:`measurements` reads the records of a log, :func:`calibrate` fits, :func:`propose` says what
to measure next, and a *preset* is a timing model in a file, which ``--preset`` takes.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vtacsp.calibrate.coordinates import DEFAULT
    from vtacsp.calibrate.design import Proposal, Proposals, propose
    from vtacsp.calibrate.fit import calibrate
    from vtacsp.calibrate.measured import Measurement, Measurements, machine_of, measurements
    from vtacsp.calibrate.preset import (
        find_preset,
        load_preset,
        preset_from_dict,
        preset_to_dict,
        save_preset,
    )
    from vtacsp.calibrate.result import Calibration, Estimate, Residual

__all__ = [
    "DEFAULT",
    "Calibration",
    "Estimate",
    "Measurement",
    "Measurements",
    "Proposal",
    "Proposals",
    "Residual",
    "calibrate",
    "find_preset",
    "load_preset",
    "machine_of",
    "measurements",
    "preset_from_dict",
    "preset_to_dict",
    "propose",
    "save_preset",
]

# the module of each name: every command reads presets, few need the statistics
_HOME = {
    "coordinates": ["DEFAULT"],
    "design": ["Proposal", "Proposals", "propose"],
    "fit": ["calibrate"],
    "measured": ["Measurement", "Measurements", "machine_of", "measurements"],
    "preset": ["find_preset", "load_preset", "preset_from_dict", "preset_to_dict", "save_preset"],
    "result": ["Calibration", "Estimate", "Residual"],
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'vtacsp.calibrate' has no attribute {name!r}")
    return getattr(import_module(f"vtacsp.calibrate.{_MODULE_OF[name]}"), name)
