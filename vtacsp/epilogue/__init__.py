"""Epilogues: what happens to the 32-bit sums of a layer before they are stored.

``steps`` is what a network says and the ALU passes it becomes, ``footprint`` what that takes, as
constants for the ``rules``; ``program`` emits the passes.
"""

from vtacsp.epilogue.steps import Arithmetic, Cast, Clip, Epilogue, Shift, Step

__all__ = ["Arithmetic", "Cast", "Clip", "Epilogue", "Shift", "Step"]
