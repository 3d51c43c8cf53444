"""When a search stops by itself, where nothing else is asked for; imports nothing."""

from __future__ import annotations

__all__ = ["FREE_GAP", "TEMPLATE_GAP"]

TEMPLATE_GAP = 0.005
"""How close to the lower bound of a layer ``tune`` stops, as a share of it."""

FREE_GAP = 0.001
"""How close to the limit of the machine the search beyond the template stops, as a share of it."""
