"""vtacsp: exact feasible schedule spaces for the VTA tensor accelerator.

A tuner for a tensor accelerator must never spend a measurement on a schedule that cannot run.
A VTA hardware description and a workload become a space that holds exactly the configurations
the TVM VTA stack builds, runs and computes right: counted, enumerated, sampled, explained.
"""

from __future__ import annotations

import lazy_loader

from vtacsp.moved import accept_old_names, keep_old_names
from vtacsp.version import __version__ as __version__

# the names are in __init__.pyi, for people and type checkers; importing the package costs nothing
# of the solver, or of what compiles
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
keep_old_names(__name__)

accept_old_names()
