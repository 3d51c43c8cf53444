"""The front as a file that can be checked: what was asked, what was found, and the evidence.

A check repeats nothing of the search.  It simulates every program of the evidence again, and sees
whether the stated machines are the front when the cycles of all others are only bounded: by the
evidence where there is some, else by the analytic bound.  The points themselves are compiled and
simulated as any layer is on any machine.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from vtacsp.codesign.costs import COSTS, Budget, Cost, known_costs, preferred, within
from vtacsp.codesign.cycle_table import simulate_row
from vtacsp.codesign.evaluator import Evaluator, Evidence, Level
from vtacsp.codesign.machines import SCRATCHPADS, MachineSpace, legal
from vtacsp.codesign.pareto import Front, Point, non_dominated
from vtacsp.codesign.store import Key, Store, read_lines
from vtacsp.codesign.workloads import CountedLayer, counted
from vtacsp.errors import LogError, VtacspError, shortened
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.loading import workload_from_dict
from vtacsp.timing.model import RTL, constants
from vtacsp.timing.simulator import Simulator

__all__ = ["Verification", "certificate", "check", "layer_rows", "point_dict"]

VERSION = 1
KIND = "vtacsp_codesign_certificate"


def certificate(front: Front) -> dict[str, Any]:
    """A front as JSON.

    >>> proof = certificate(codesign(vtacsp.suite("resnet18")[9:], MachineSpace()))
    >>> [point["cycles"] for point in proof["front"]]
    [1395297]
    """
    space, e = front.space, front.evaluator
    evidence = [(e.key(item), item.cycles) for item in e.evidence()]
    # numbered as they come, so that a run that was continued writes the same
    layers = {number: i for i, number in enumerate(dict.fromkeys(key[0] for key, _ in evidence))}
    return {
        KIND: VERSION,
        "network": [{**layer.workload.to_dict(), "count": layer.count} for layer in front.network],
        "hardware": space.base.to_dict(),
        "free": {key: list(values) for key, values in space.free.items()},
        "buildable": space.buildable,
        "timing": {c.name: getattr(space.timing, c.name) for c in constants()},
        "objectives": [cost.name for cost in front.objectives],
        "budgets": [str(budget) for budget in front.budgets],
        "proof": {**_counts(front), "front": front.proof.front},
        "front": [point_dict(point) for point in front.points],
        "evidence": {
            "layers": [e.store.layers[number].to_dict() for number in layers],
            "cycles": [[layers[key[0]], *key[1:], cycles] for key, cycles in evidence],
        },
    }


def _counts(front: Front) -> dict[str, Any]:
    p = front.proof
    return {
        "machines": p.machines,
        "illegal": p.illegal,
        "over_budget": p.over_budget,
        "infeasible": p.infeasible,
        "cut_by_work": p.cut_by_work,
        "cut_by_schedule": p.cut_by_schedule,
        "beaten": p.beaten,
        "programs": p.programs + p.recalled,
    }


def point_dict(point: Point) -> dict[str, Any]:
    """A point as JSON."""
    return {
        "machine": point.sizes,
        "costs": point.costs,
        "cycles": point.cycles,
        "layers": layer_rows(point),
    }


def layer_rows(point: Point) -> list[dict[str, Any]]:
    """The layers of a point, each with its best configuration."""
    return [
        {
            "layer": best.layer.name,
            "count": best.layer.count,
            "index": best.index,
            "cycles": best.cycles,
        }
        for best in point.layers
    ]


class Verification:
    """The outcome of :func:`check`: what was checked, in words, and what is wrong."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.wrong: list[str] = []

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.wrong


def check(data: Mapping[str, Any], costs: Iterable[Cost] = ()) -> Verification:
    """Check a certificate; ``costs`` are those of your own that it names.

    Raises :class:`~vtacsp.errors.LogError` for what is no certificate.

    >>> proof = certificate(codesign(vtacsp.suite("resnet18")[9:], MachineSpace()))
    >>> check(proof).holds
    True
    >>> proof["front"][0]["cycles"] -= 1
    >>> check(proof).holds
    False
    """
    if not isinstance(data, Mapping) or data.get(KIND) != VERSION:
        raise LogError(f"this is no certificate of `vtacsp codesign` of version {VERSION}")
    try:
        return _Checker(data, known_costs(costs)).run()
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as failure:
        if isinstance(failure, VtacspError):
            raise
        raise LogError(f"the certificate is malformed: {failure!r:.120}") from None


class _Checker:
    def __init__(self, data: Mapping[str, Any], costs: Mapping[str, Cost]) -> None:
        self.data = data
        self.result = Verification()
        self.network = _network(data["network"])
        timing = replace(RTL, **{str(k): v for k, v in data["timing"].items()})
        base = VTAConfig.from_dict(data["hardware"])
        buildable = data.get("buildable", False)
        if not isinstance(buildable, bool):
            raise LogError(f"buildable is {shortened(buildable)}, allowed are true and false")
        self.space = MachineSpace(base, data["free"], timing, buildable=buildable)
        for name in data["objectives"]:
            if name not in costs:
                raise LogError(f"the certificate is about the cost {shortened(name)}: give it")
        self.objectives = [costs[name] for name in data["objectives"]]
        self.budgets = [Budget.parse(text, costs) for text in data["budgets"]]

    def run(self) -> Verification:
        r, space = self.result, self.space
        store = self._evidence()
        evaluator = Evaluator(self.network, space, store=store)
        values = np.stack([cost.of(space) for cost in self.objectives], axis=1)
        allowed, over = within(space, self.budgets)
        open_ = np.flatnonzero(allowed)
        evaluator.bound(open_)
        self._simulate(evaluator, len(store))
        open_ = open_[evaluator.feasible[open_]]
        rank = preferred(space)
        found = open_[non_dominated(evaluator.lower[open_], values[open_], rank[open_])]
        stated = {space.find(p["machine"]): p for p in self.data["front"]}
        for machine in found.tolist():
            if evaluator.level[machine] < Level.PROVEN:
                r.wrong.append(f"{space.sizes(machine)} may be on the front: nothing excludes it")
            elif machine not in stated:
                r.wrong.append(f"{space.sizes(machine)} is on the front and is not stated")
        for machine in sorted(stated.keys() - set(found.tolist())):
            r.wrong.append(f"{space.sizes(machine)} is stated and is not on the front")
        proof = self.data["proof"]
        counts = {
            "machines": space.total,
            "illegal": space.illegal,
            "over_budget": over,
            "infeasible": evaluator.short_of(allowed),
            "front": len(stated),
        }
        for name, value in counts.items():
            if proof[name] != value:
                r.wrong.append(f"{name} is {shortened(value)}, stated is {shortened(proof[name])}")
        r.done.append(
            f"{space.total:,} machines: {len(open_):,} can be built, are within budget and run "
            f"every layer; none but the {len(stated):,} stated ones can be on the front"
        )
        for machine, point in stated.items():
            self._point(machine, point)
        r.done.append(f"{len(stated):,} points compiled and simulated on their own machine")
        return r

    def _evidence(self) -> Store:
        layers = [workload_from_dict(item) for item in self.data["evidence"]["layers"]]
        store = Store()
        for layer in layers:
            store.layer(layer)
        lines = read_lines(self.data["evidence"]["cycles"], len(layers), "evidence")
        for key, cycles in lines.items():
            store.put(key, cycles)
        return store

    def _simulate(self, evaluator: Evaluator, lines: int) -> None:
        """Every program of the evidence, on a machine where it runs."""
        used: set[Key] = set()
        for item in evaluator.evidence():
            used.add(evaluator.key(item))
            sizes = _where(item)
            timing = self.space.timing_on(item.group[2])
            cycles = simulate_row(item.table, timing, item.row, sizes)
            if cycles != item.cycles:
                self.result.wrong.append(
                    f"{evaluator.key(item)}: {cycles:,} cycles, stated are {item.cycles:,}"
                )
        if len(used) < lines:
            self.result.wrong.append(
                f"{lines - len(used):,} lines of the evidence are of programs that are not needed "
                "or do not exist"
            )
        self.result.done.append(f"{len(used):,} programs of the evidence simulated again")

    def _point(self, machine: int, point: Mapping[str, Any]) -> None:
        space, wrong = self.space, self.result.wrong
        hardware, timing = space.hardware(machine), space.timing_of(machine)
        total = 0
        layers = {layer.name: layer for layer in self.network}
        if sorted(item["layer"] for item in point["layers"]) != sorted(layers):
            wrong.append(f"{space.sizes(machine)}: its layers are not those of the network")
            return
        for item in point["layers"]:
            layer = layers[item["layer"]]
            simulator = Simulator(fill_blocks(layer.workload, hardware).workload, hardware, timing)
            cycles = simulator.cycles(item["index"])  # raises for one that is not feasible
            if cycles != item["cycles"]:
                wrong.append(f"{layer.name} index {item['index']}: {cycles:,} cycles, not stated")
            total += layer.count * cycles
        if total != point["cycles"]:
            wrong.append(f"{space.sizes(machine)}: {total:,} cycles, stated are {point['cycles']}")
        for name, value in point["costs"].items():
            cost = {c.name: c for c in (*self.objectives, *COSTS.values())}[name]
            if int(cost.of(space, np.array([machine]))[0]) != value:
                wrong.append(f"{space.sizes(machine)}: {name} is not {value}")


def _network(items: Any) -> list[CountedLayer]:
    return counted([workload_from_dict(item) for item in items])


def _where(item: Evidence) -> dict[str, int]:
    """Scratchpads on which a row of a table runs.

    The largest that it runs with: what a program does not depend on cannot matter.
    """
    table, kind = item.table, item.table.kind[item.row]
    shape = tuple(len(table.sizes[key]) for key in SCRATCHPADS)
    runs = np.ones(shape, dtype=np.bool_)
    for keys, of_kind in table.runs:
        mine = of_kind[kind].reshape([len(table.sizes[key]) for key in keys])
        place = [slice(None) if key in keys else None for key in SCRATCHPADS]
        runs &= mine[tuple(place)]
    sizes = np.argwhere(runs)
    legal = _legal(table.hardware, table.sizes, sizes)
    last = sizes[legal][-1]
    return {key: table.sizes[key][i] for key, i in zip(SCRATCHPADS, last.tolist(), strict=True)}


def _legal(hardware: VTAConfig, sizes: Mapping[str, tuple[int, ...]], places: Any) -> Any:
    free = {key: np.array(sizes[key])[places[:, i]] for i, key in enumerate(SCRATCHPADS)}
    return legal({**hardware.symbols, **free}, len(places))
