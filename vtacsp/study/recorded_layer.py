"""One layer of a study: what every configuration costs, and the rankings made beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from vtacsp.errors import StudyError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import compile
from vtacsp.space.problem import Problem
from vtacsp.study.tables import recorded_cycles
from vtacsp.study.validity import Validity, validity
from vtacsp.timing.simulator import Simulator
from vtacsp.tune.initial import lowest_bounds, ranked
from vtacsp.tune.measure import TableMeasurer
from vtacsp.tune.search_space import FeasibleGrid, SearchSpace, WholeGrid

__all__ = ["RTL", "SIMULATOR", "StudyLayer", "prepare"]

RTL, SIMULATOR = "rtl", "simulator"
"""Where cycles come from."""

RANKED = 8
"""Configurations that each ranking names."""


@dataclass(frozen=True)
class StudyLayer:
    """A layer with a complete table of cycles.

    ``cycles`` holds what runs, by AutoTVM index; every other index of the grid fails.
    ``analytic`` and ``simulated`` are the best by analytic bound and by simulated cycles.

    >>> layer = prepare(vtacsp.suite("resnet18")[9])
    >>> len(layer.grid), len(layer.feasible), layer.cycles[layer.analytic[0]] == layer.best
    (576, 40, True)
    """

    workload: Workload
    hardware: VTAConfig
    source: str
    cycles: Mapping[int, int]
    analytic: tuple[int, ...]
    simulated: tuple[int, ...]
    validity: Validity

    @property
    def name(self) -> str:
        """Name of the workload."""
        return self.workload.name

    @cached_property
    def best(self) -> int:
        """Cycles of the best configuration; several may have them."""
        return min(self.cycles.values())

    @cached_property
    def grid(self) -> SearchSpace:
        """Every configuration."""
        return WholeGrid(self.workload, self.hardware)

    @cached_property
    def feasible(self) -> SearchSpace:
        """The feasible configurations."""
        return FeasibleGrid(compile(self.workload, self.hardware))

    @cached_property
    def measurer(self) -> TableMeasurer:
        """Answers for the whole grid."""
        everything = np.arange(len(self.grid), dtype=np.int64)
        failing = everything[~np.isin(everything, list(self.cycles))]
        causes = Problem(self.workload, self.hardware).causes(failing)
        return TableMeasurer.of(self.cycles, dict(zip(failing.tolist(), causes, strict=True)))

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "workload": self.workload.to_dict(),
            "hardware": self.hardware.to_dict(),
            "source": self.source,
            "index": list(self.cycles),
            "cycles": list(self.cycles.values()),
            "analytic": list(self.analytic),
            "simulated": list(self.simulated),
            "validity": self.validity.to_dict(),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> StudyLayer:
        """What :meth:`to_dict` gave."""
        return cls(
            workload=workload_from_dict(data["workload"]),
            hardware=VTAConfig.from_dict(data["hardware"]),
            source=data["source"],
            cycles=dict(zip(data["index"], data["cycles"], strict=True)),
            analytic=tuple(data["analytic"]),
            simulated=tuple(data["simulated"]),
            validity=Validity.from_dict(data["validity"]),
        )


def prepare(workload: Workload, hardware: VTAConfig | None = None) -> StudyLayer:
    """The table of a layer: recorded on the RTL where there is one, else simulated.

    Raises :class:`~vtacsp.errors.WorkloadError` for a layer that cannot be packed,
    :class:`~vtacsp.errors.SpaceError` when nothing is feasible and
    :class:`~vtacsp.errors.StudyError` when a recorded table is not of our feasible set.

    >>> layer = prepare(vtacsp.suite("resnet18")[9])
    >>> layer.source, len(layer.cycles), layer.best
    ('rtl', 40, 465099)
    """
    hardware = hardware or VTAConfig()
    simulator = Simulator(workload, hardware)
    space = FeasibleGrid(simulator.space)
    indices = space.indices()
    simulated = simulator.cycles_many(indices.tolist())
    cycles, source = recorded_cycles(workload, hardware), RTL
    if cycles is None:
        cycles, source = dict(zip(indices.tolist(), simulated.tolist(), strict=True)), SIMULATOR
    elif sorted(cycles) != indices.tolist():
        raise StudyError(
            f"{workload.name}: {len(cycles)} configurations were recorded, "
            f"{len(indices)} others are feasible"
        )
    return StudyLayer(
        workload=workload,
        hardware=hardware,
        source=source,
        cycles=cycles,
        analytic=tuple(lowest_bounds(space, RANKED)),
        simulated=tuple(ranked(space, RANKED, lambda _: simulated)),
        validity=validity(simulator.space),
    )
