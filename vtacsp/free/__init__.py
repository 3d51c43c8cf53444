"""Schedules beyond the template: their programs, how fast any program could be, the search."""

from vtacsp.free.branch import Proven, best
from vtacsp.free.emit import emit
from vtacsp.free.limit import Limit, limit
from vtacsp.free.schedule import Schedule
from vtacsp.free.search import Found, search
from vtacsp.free.space import Count, FreeSpace, ScheduleExplanation
from vtacsp.moved import keep_old_names
from vtacsp.operators.geometry import AxisGeometry, Geometry, geometry

__all__ = [
    "AxisGeometry",
    "Count",
    "Found",
    "FreeSpace",
    "Geometry",
    "Limit",
    "Proven",
    "Schedule",
    "ScheduleExplanation",
    "best",
    "emit",
    "geometry",
    "limit",
    "search",
]

keep_old_names(__name__)
