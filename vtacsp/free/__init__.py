"""Schedules beyond the template: their programs, how fast any program could be, the search."""

from vtacsp.free.geometry import Axis, Geometry, geometry
from vtacsp.free.limit import Limit, limit

__all__ = ["Axis", "Geometry", "Limit", "geometry", "limit"]
