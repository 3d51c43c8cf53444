"""Schedules beyond the template: their programs, how fast any program could be, the search."""

from vtacsp.free.emit import emit
from vtacsp.free.geometry import Axis, Geometry, geometry
from vtacsp.free.limit import Limit, limit
from vtacsp.free.schedule import Schedule

__all__ = ["Axis", "Geometry", "Limit", "Schedule", "emit", "geometry", "limit"]
