"""Calibration: the constants of the timing model, fitted to what a board measured.

:func:`measurements` reads the records of a log, :func:`calibrate` fits, :func:`propose` says what
to measure next, and a *preset* is a timing model in a file, which ``--preset`` takes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

if TYPE_CHECKING:
    from vtacsp.calibrate.coordinates import DEFAULT
    from vtacsp.calibrate.fit import calibrate
    from vtacsp.calibrate.measured import Measurement, Measurements, machine_of, measurements
    from vtacsp.calibrate.outcome import Calibration, Estimate, Residual
    from vtacsp.calibrate.preset_file import (
        find_preset,
        load_preset,
        preset_from_dict,
        preset_to_dict,
        save_preset,
    )
    from vtacsp.calibrate.proposal import Proposal, Proposals, propose

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

# every command reads presets, few need the statistics
__getattr__, _, _ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "coordinates": ["DEFAULT"],
        "proposal": ["Proposal", "Proposals", "propose"],
        "fit": ["calibrate"],
        "measured": ["Measurement", "Measurements", "machine_of", "measurements"],
        "preset_file": [
            "find_preset",
            "load_preset",
            "preset_from_dict",
            "preset_to_dict",
            "save_preset",
        ],
        "outcome": ["Calibration", "Estimate", "Residual"],
    },
)
