"""Draw the picture of docs/beyond_the_template.md: ``python -m tests.support.two_timelines FILE``.

The template's best and the fastest known free schedule of a layer, one under the other.
"""

from __future__ import annotations

import json
import sys

from tests.support import DATA
from vtacsp import VTAConfig
from vtacsp.free import Schedule, emit, limit
from vtacsp.network.find import find_workloads
from vtacsp.report.timeline import timelines_figure
from vtacsp.timing import Simulator, simulate_all, simulate_timing

LAYER = "resnet18.C4"


def draw(path: str) -> None:
    """Save the picture."""
    (layer,) = find_workloads(LAYER)
    simulator = Simulator(layer)
    every = simulate_all(simulator)
    template = simulator.run(int(every.space.indices[every.best]))
    known = json.loads((DATA / "free_best.json").read_text(encoding="utf-8"))[LAYER]
    free = simulate_timing(emit(Schedule.from_dict(known["schedule"]), layer, VTAConfig()))
    least = limit(layer, VTAConfig()).cycles
    titles = {
        f"{LAYER}, the template's best: {template.cycles:,} cycles": template,
        f"{LAYER}, a free schedule: {free.cycles:,} cycles; no program needs fewer than {least:,}":
        free,
    }  # fmt: skip
    timelines_figure(titles, path, dpi=110)


if __name__ == "__main__":
    draw(sys.argv[1])
