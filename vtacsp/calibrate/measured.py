"""What a log says, by program: the least seconds, how often it was measured, what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from vtacsp.errors import CalibrationError, HardwareError, ProgramError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.knobs import KnobSpace
from vtacsp.operators.workload import Workload
from vtacsp.program import Program
from vtacsp.tune.records import Record
from vtacsp.tune.task import Task, hardware_of
from vtacsp.tune.task_knobs import layer_of

__all__ = ["Measurement", "Measurements", "machine_of", "measurements"]

LEAST_PROGRAMS = 3
"""With fewer, nothing is left to tell the noise from the constants."""


SHORTEST, LONGEST = 1e-9, 1e9
"""Seconds that a program may take: less is no cycle of any clock that a timing model has, and with
more AutoTVM marks what failed."""


@dataclass(frozen=True)
class Measurement:
    """One program of one layer: ``seconds`` is the least of all costs of its ``records``.

    What else runs on a board makes a program slower and never faster.  ``costs`` are all of them;
    ``index`` is the smallest of the configurations that are this program.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> _ = tune(GridSearcher(search_space(space)), SimulatorMeasurer(space), trials=8, log="a.log")
    >>> row = measurements(load_records("a.log")).rows[0]
    >>> row.index, row.records, round(row.seconds * 1e8) == Simulator(space).cycles(row.index)
    (0, 1, True)
    """

    workload: Workload
    index: int
    program: Program = field(repr=False)
    costs: tuple[float, ...] = field(repr=False)
    records: int

    @property
    def seconds(self) -> float:
        """The least of the costs."""
        return min(self.costs)


@dataclass(frozen=True)
class Measurements:
    """The measurements of a log, all on one machine and by one device.

    ``failed`` counts records of failed measurements, and of costs beyond :data:`SHORTEST` and
    :data:`LONGEST`; ``refused`` names configurations that were
    measured and that the stack does not build, which are left out.  ``assumed`` are the layers of
    which no record says whether they have a bias.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> _ = tune(GridSearcher(search_space(space)), SimulatorMeasurer(space), trials=8, log="a.log")
    >>> measured = measurements(load_records("a.log"))
    >>> measured.records, len(measured.rows), measured.failed, measured.device
    (3, 3, 0, 'simulator rtl')
    """

    hardware: VTAConfig
    device: str
    rows: tuple[Measurement, ...]
    records: int
    failed: int
    refused: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()

    @property
    def layers(self) -> list[Workload]:
        """The layers, in order of appearance."""
        return list({row.workload.name: row.workload for row in self.rows}.values())

    @property
    def repeatability(self) -> float | None:
        """How much costs of one program differ, relative: the median of their deviations.

        None when nothing was measured twice.
        """
        spreads = [
            float(np.std(row.costs, ddof=1) / np.mean(row.costs))
            for row in self.rows
            if len(row.costs) > 1
        ]
        return float(np.median(spreads)) if spreads else None


def measurements(
    records: Iterable[Record],
    hardware: VTAConfig | None = None,
    layers: Sequence[Workload] = (),
) -> Measurements:
    """The measurements that records hold.

    ``hardware`` is the machine, that of their targets when not given.  ``layers`` say the name, the
    bias and the epilogue of tasks, of which AutoTVM's own records say nothing.

    Raises :class:`~vtacsp.errors.CalibrationError` when there are too few, and for records of
    several machines or devices; :class:`~vtacsp.errors.HardwareError` for a machine that they are
    not of; :class:`~vtacsp.errors.WorkloadError` for a layer that cannot be packed on it.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> _ = tune(GridSearcher(search_space(space)), SimulatorMeasurer(space), trials=8, log="a.log")
    >>> [layer.in_features for layer in measurements(load_records("a.log")).layers]
    [64]
    """
    records = list(records)
    machine = machine_of(records, hardware)
    device = _only([record.device or "unknown" for record in records], "devices", "--device")
    layers_of = _Layers(machine, layers)
    costs: dict[tuple[Workload, int], list[float]] = {}
    counts: Counter[tuple[Workload, int]] = Counter()
    failed = beyond = 0
    for record in records:
        layer, space = layers_of(record)
        index = space.index(record.config)  # whatever machine the target names
        if not record.result.ok:
            failed += 1
            continue
        if not all(SHORTEST < cost < LONGEST for cost in record.result.costs):
            beyond += 1
            continue
        place = layer, int(space.program(np.array([index], dtype=np.int64))[0])
        costs.setdefault(place, []).extend(record.result.costs)
        counts[place] += 1
    if failed == len(records):
        raise CalibrationError(f"all {failed} records are of measurements that failed")
    if failed + beyond == len(records):
        raise CalibrationError(
            f"no program takes the costs of the {beyond} records that did not fail: allowed are "
            f"{SHORTEST:g} to {LONGEST:g}; are they seconds?"
        )
    rows, refused = [], []
    for (layer, index), seconds in costs.items():
        try:
            program = build(layer, machine, index)
        except ProgramError as error:
            refused.append(f"{layer.name} index {index}: {error}")
            continue
        rows.append(Measurement(layer, index, program, tuple(seconds), counts[layer, index]))
    if len(rows) < LEAST_PROGRAMS:
        raise CalibrationError(
            f"{len(rows)} {'program was' if len(rows) == 1 else 'programs were'} measured, "
            f"at least {LEAST_PROGRAMS} are needed"
            + (f" ({len(refused)} more cannot be built: {refused[0]})" if refused else "")
        )
    return Measurements(
        machine,
        device,
        tuple(rows),
        len(records),
        failed + beyond,
        tuple(refused),
        layers_of.assumed,
    )


def machine_of(records: Sequence[Record], hardware: VTAConfig | None = None) -> VTAConfig:
    """The one machine that records are of: ``hardware``, or what their targets name.

    Raises :class:`~vtacsp.errors.CalibrationError` for records of several machines, or none at all,
    and :class:`~vtacsp.errors.HardwareError` for a machine that they are not of.

    >>> space = compile(Dense(name="mine", in_features=64, out_features=64))
    >>> _ = tune(GridSearcher(search_space(space)), SimulatorMeasurer(space), trials=8, log="a.log")
    >>> machine_of(load_records("a.log")) == VTAConfig()
    True
    """
    if not records:
        raise CalibrationError("there is no record in the log")
    model = _only([record.task.model for record in records], "machines", "--machine")
    if hardware is None:
        return hardware_of(records[0].task.target)
    try:
        logged = hardware_of(records[0].task.target)
    except HardwareError:
        logged = hardware  # a target that names no machine
    # the name of the target is no property of the machine
    if replace(logged, target=hardware.target).model != hardware.model:
        raise HardwareError(
            f"the records are of the machine {shortened(model)}, --hardware is {hardware.model}"
        )
    return hardware


def _only(values: Sequence[str], what: str, option: str) -> str:
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        names = ", ".join(map(shortened, found[:3])) + (", ..." if len(found) > 3 else "")
        raise CalibrationError(
            f"the log has records of {len(found)} {what}: {names}; choose one with {option}"
        )
    return found[0]


class _Layers:
    """The layer behind each record: one of those that are given, or what the record says."""

    def __init__(self, machine: VTAConfig, given: Sequence[Workload]) -> None:
        self._machine = machine
        self._given = [(Task.of(layer, machine), layer) for layer in given]
        self._found: dict[tuple[Task, str], tuple[Workload, KnobSpace]] = {}
        self._assumed: dict[str, None] = {}

    @property
    def assumed(self) -> tuple[str, ...]:
        """Layers of which nobody says whether they have a bias."""
        return tuple(self._assumed)

    def __call__(self, record: Record) -> tuple[Workload, KnobSpace]:
        key = (record.task, record.workload)
        if key not in self._found:
            layer = self._unique(self._layer(record))
            self._found[key] = layer, KnobSpace.of(layer, self._machine)
            if not self._given and record.task.bias is None:
                self._assumed[layer.name] = None
        return self._found[key]

    def _layer(self, record: Record) -> Workload:
        task, name = record.task, record.workload
        if not self._given:
            return layer_of(task, self._machine, name or f"layer{len(self._found) + 1}")
        fit = [
            (other, layer)
            for other, layer in self._given
            if other.key[2:] == task.key[2:]
            and (task.bias is None or (task.bias, task.epilogue) == (other.bias, other.epilogue))
        ]
        if not fit:
            names = ", ".join(layer.name for _, layer in self._given[:5])
            raise CalibrationError(
                f"there are records of {shortened(name or task.name)}, which is none of the layers "
                f"given ({names}{', ...' if len(self._given) > 5 else ''})"
            )
        fit = [pair for pair in fit if pair[1].name == name] or fit
        if len({(other.bias, other.epilogue) for other, _ in fit}) > 1:
            raise CalibrationError(
                f"records of {shortened(name or task.name)} may be of {fit[0][1].name} or "
                f"{fit[1][1].name}: they do not say their bias and epilogue, give one of the two"
            )
        return fit[0][1]

    def _unique(self, layer: Workload) -> Workload:
        """One object for one layer, and one name for one object."""
        seen = [other for other, _ in self._found.values()]
        for other in seen:
            if replace(other, name=layer.name) == layer:
                return other
        names, number = {other.name for other in seen}, 2
        if layer.name not in names:
            return layer
        while f"{layer.name}-{number}" in names:
            number += 1
        return replace(layer, name=f"{layer.name}-{number}")
