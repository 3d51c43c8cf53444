"""Schedules that ``vtacsp best --free --save`` has written, to go on from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vtacsp.cli.output import Row, write
from vtacsp.errors import ScheduleError, VtacspError, shortened
from vtacsp.files import read_json
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import Workload

if TYPE_CHECKING:
    from vtacsp.free import Schedule
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator

__all__ = ["Saved", "compared"]


@dataclass(frozen=True)
class _Entry:
    """A layer of a file: its row, and the search that it is from."""

    workload: Workload
    row: Row
    schedule: Schedule | None
    seed: int
    asked_gap: float
    hardware: VTAConfig
    timing: str

    def other(self, machine: VTAConfig, timing: TimingModel) -> str:
        """What it is for, when that is another machine or timing model, else nothing."""
        if self.hardware != machine:
            return f"{self.workload.name}: hardware is another machine than {machine}"
        if self.timing != timing.name:
            named = shortened(self.timing)
            return f"{self.workload.name}: timing is {named}, asked is {timing.name}"
        return ""


@dataclass
class Saved:
    """The layers of a file, which is for one machine and one timing model unless it is ``shared``.

    ``target`` is written after every layer, so that whatever ends the search leaves what is done.
    Nothing of a file is believed: cycles are those of a simulation, the limit is computed.  Layers
    of another machine or timing model are None in ``entries``, and stay in a shared file.
    """

    target: str | None = None
    entries: list[_Entry | None] = field(default_factory=list)
    data: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(
        cls,
        target: str | None,
        resume: str | None,
        machine: VTAConfig,
        timing: TimingModel,
        *,
        shared: bool = False,
    ) -> Saved:
        """What ``resume`` has, or ``target`` when that is there already.

        Raises :class:`~vtacsp.errors.ScheduleError` for a file of something else, or of another
        machine or timing model unless it is ``shared``.
        """
        saved = cls(target)
        source = resume or (target if target is not None and os.path.isfile(target) else None)
        if source is None:
            return saved
        rows = read_json(source, ScheduleError)
        if not isinstance(rows, list):
            raise ScheduleError(f"{source} is not what `vtacsp best --free --save` writes")
        for number, row in enumerate(rows):
            try:
                entry = _entry(row)
                other = entry.other(machine, timing)
                if other and not shared:
                    raise ScheduleError(other)
                saved.entries.append(None if other else entry)
            except VtacspError as error:
                raise ScheduleError(f"{source}[{number}]: {error}") from None
        saved.data = rows
        return saved

    def row(self, simulator: Simulator, gap: float, seed: int) -> Row | None:
        """The row of a layer that need not be searched again, None when it has to be.

        That is one within ``gap`` of the limit, or found by the same search.
        """
        entry = self._of(simulator)
        if entry is None:
            return None
        row = _computed(entry, simulator)
        if row["cycles"] is None:
            return None
        same = entry.seed == seed and entry.asked_gap <= gap
        return row if row["gap"] <= gap or same else None

    def known(self, simulator: Simulator) -> Row | None:
        """The row of a layer, None when there is none that has a program."""
        entry = self._of(simulator)
        row = None if entry is None else _computed(entry, simulator)
        return None if row is None or row["cycles"] is None else row

    def better(self, simulator: Simulator, row: Row) -> Row:
        """The row, or the saved one when that is faster."""
        known = self.known(simulator)
        if known is None:
            return row
        return known if row["cycles"] is None or known["cycles"] < row["cycles"] else row

    def add(self, simulator: Simulator, row: Row, gap: float, seed: int) -> None:
        """Keep a row, in the place of what was known of the layer."""
        data = {
            **row,
            "schedule": None if row["schedule"] is None else row["schedule"].to_dict(),
            "seed": seed,
            "asked_gap": gap,
            "timing": simulator.timing.name,
            "hardware": simulator.hardware.to_dict(),
            "workload": simulator.workload.to_dict(),
        }
        entry = self._of(simulator)
        if entry is None:
            self.data.append(data)
        else:
            self.data[self.entries.index(entry)] = data
        if self.target is not None:
            self.write()

    def write(self) -> None:
        """Write what is known."""
        write(json.dumps(self.data, indent=1) + "\n", self.target)

    def _of(self, simulator: Simulator) -> _Entry | None:
        mine = [e for e in self.entries if e is not None and e.workload == simulator.workload]
        return mine[-1] if mine else None


def compared(row: Row, free: int | None) -> Row:
    """The row with the better of the template's cycles and those of its free schedule."""
    from vtacsp.free.compared import ScheduleComparison

    found = ScheduleComparison(
        row["layer"], row["count"], row["template_cycles"], free, row["limit"]
    )
    row |= {"cycles": found.cycles, "gap": found.gap, "faster": found.faster}
    if free is None or free != found.cycles:
        row["schedule"] = None
    return row


def _entry(data: Any) -> _Entry:
    """A layer from its JSON form; raises :class:`~vtacsp.errors.VtacspError` naming the key."""
    from vtacsp.free import Schedule

    if not isinstance(data, Mapping):
        raise ScheduleError(f"a saved layer is a JSON object, got {shortened(data)}")
    kinds: dict[str, tuple[type, ...]] = {
        "workload": (dict,), "hardware": (dict,), "timing": (str,), "seed": (int,),
        "asked_gap": (int, float), "schedule": (dict, type(None)), "index": (int, type(None)),
        "simulated": (int, type(None)),
    }  # fmt: skip
    for key, kind in kinds.items():
        if key not in data:
            raise ScheduleError(f"{key} is missing")
        if not isinstance(data[key], kind) or isinstance(data[key], bool):
            raise ScheduleError(f"{key} is {shortened(data[key])}")
    workload = workload_from_dict(data["workload"])
    hardware = VTAConfig.from_dict(data["hardware"])
    schedule = None if data["schedule"] is None else Schedule.from_dict(data["schedule"])
    return _Entry(
        workload, dict(data), schedule, data["seed"], data["asked_gap"], hardware, data["timing"]
    )


def _computed(entry: _Entry, simulator: Simulator) -> Row:
    """The row of a saved layer, its numbers made anew; that an index is the best is believed."""
    from vtacsp.free import emit, limit
    from vtacsp.timing.simulator import simulate_timing

    workload, machine, timing = simulator.workload, simulator.hardware, simulator.timing
    bound = limit(workload, machine, timing)
    index, cycles = entry.row["index"], None
    if index is not None and index not in simulator.space.indices:
        raise ScheduleError(f"{workload.name}: index is {index}, which is not feasible")
    if entry.schedule is not None:
        program = emit(entry.schedule, workload, machine)
        cycles = simulate_timing(program, timing).cycles
    row: Row = {
        "layer": workload.name,
        "index": index,
        "template_cycles": None if index is None else int(simulator.cycles(index)),
        "limit": bound.cycles,
        "bound": bound.bound,
        "simulated": entry.row["simulated"],
        "schedule": entry.schedule,
        "count": workload.extra.get("count"),
    }
    return compared(row, cycles)
