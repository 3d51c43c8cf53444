"""The timing model of your board: what to measure, the fit, a preset for every command.

A board that nobody knows stands in for yours: it hides its constants, is noisy, and stumbles.
"""

import tempfile
from pathlib import Path

import numpy as np

from vtacsp import Simulator, TimingModel, compile, find_workloads
from vtacsp.calibrate import calibrate, measurements, propose, save_preset
from vtacsp.tune import FunctionMeasurer, GridSearcher, load_records, search_space, tune

HIDDEN = TimingModel(
    memory_latency=52, write_latency=23, launch_delay=4_000, clock_hz=142_000_000, note="hidden"
)

folder = Path(tempfile.mkdtemp())
log = folder / "board.log"
spaces = [compile(*find_workloads(name)) for name in ("mobilenet.D7", "resnet18.C10")]
generator = np.random.default_rng(1)


class Board(FunctionMeasurer):
    """Yours: seconds of a configuration on the board, as in own_measurer.py."""

    device = "my board"


for space in spaces:
    device = Simulator(space, timing=HIDDEN)

    def seconds(index: int, device: Simulator = device) -> float:
        slowed = 1.5 if generator.random() < 0.1 else 1.0  # somebody else used it
        return device.run(index).seconds * slowed * (1 + 0.01 * generator.standard_normal())

    # the configurations that tell the constants apart, and not the fastest ones
    batch = [row.index for row in propose(16, [space]).rows]
    tune(GridSearcher(search_space(space), initial=batch), Board(seconds), trials=16, log=log)

found = calibrate(measurements(load_records(log)))
for name in found.fitted:
    one = found.estimates[name]
    hidden = getattr(HIDDEN, name)
    print(f"{name}: {one.value:,}, between {one.low:,} and {one.high:,} (hidden: {hidden:,})")
for one in found.estimates.values():
    if one.status == "not told":
        print(f"{one.name}: not told, {one.reason}")
errors = found.errors()
print(f"error of a program: {errors['before']:.1%} before, {errors['left_out']:.1%} when left out")
print(f"outliers: {[(r.measurement.workload.name, r.measurement.index) for r in found.outliers]}")

save_preset(found.timing, folder / "board.json")
print(f"now: vtacsp best resnet18 --preset {folder / 'board.json'}")
