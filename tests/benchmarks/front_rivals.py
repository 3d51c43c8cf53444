"""Evaluations and seconds until 99% of the front's hypervolume: the table and the picture of
``docs/codesign.md``.

``python tests/benchmarks/front_rivals.py OUTPUT.json [SEEDS [EVALUATIONS]]`` runs what is missing
in OUTPUT.json, then ``--report OUTPUT.json docs/codesign_search.png`` prints and draws it.

Every run is a process of its own, one after the other: for each seed the exact search, then every
sampler.  Machine code is compiled before; nothing else is known beforehand.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np

from vtacsp.codesign import COSTS, MachineSpace, codesign, load_counted
from vtacsp.codesign.cycle_table import FAR
from vtacsp.codesign.evaluator import Evaluator
from vtacsp.codesign.rivals import SAMPLERS, run_rival

FREE = {
    "LOG_BATCH": range(2),
    "LOG_BLOCK": range(3, 7),
    "LOG_BUS_WIDTH": range(6, 10),
    "LOG_UOP_BUFF_SIZE": range(11, 16),
    "LOG_INP_BUFF_SIZE": range(12, 19),
    "LOG_WGT_BUFF_SIZE": range(14, 21),
    "LOG_ACC_BUFF_SIZE": range(13, 19),
}
GOAL = 0.99


def exact(*_):
    """The exact search: seconds on the processor and on the wall, and what it found."""
    network, space = load_counted("resnet18"), MachineSpace(free=FREE)
    cpu, wall = time.process_time(), time.perf_counter()
    front = codesign(network, space)
    return {
        "end": [
            front.proof.beaten + front.proof.front,
            time.process_time() - cpu,
            time.perf_counter() - wall,
            1.0,
        ],
        "programs": front.proof.programs,
        "points": [(p.costs["kib"], p.cycles) for p in front.points],
    }


def everything(points):
    """The corner of the hypervolume, and how many machines are near the front."""
    network, space = load_counted("resnet18"), MachineSpace(free=FREE)
    cycles = Evaluator(network, space).prove(np.arange(len(space)))
    kib = COSTS["kib"].of(space)
    return {
        "reference": (int(kib.max()), int(cycles[cycles < FAR].max())),
        "machines": len(space),
        "within_1_percent": int(near(np.array(points), cycles, kib)),
    }


def rival(sampler, seed, evaluations, points, reference):
    network, space = load_counted("resnet18"), MachineSpace(free=FREE)
    steps, end = [], None
    for p in run_rival(
        network, space, np.array(points), reference, sampler, seed, evaluations, GOAL
    ):
        end = [p.evaluations, p.cpu_seconds, p.wall_seconds, p.share]
        if not steps or p.share > steps[-1][-1]:
            steps.append(end)
    return {"steps": steps, "end": end, "trials": p.trials, "load": os.getloadavg()[0]}


def alone(function, *arguments):
    """What a function returns in a new process, which knows only compiled machine code."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        return pool.apply(function, arguments)


def main(path: Path, seeds: int, evaluations: int) -> None:
    codesign(load_counted("mlperf_tiny"), MachineSpace(free={"LOG_INP_BUFF_SIZE": range(13, 16)}))
    import optuna  # noqa: F401  before any clock runs

    data = json.loads(path.read_text()) if path.exists() else {"runs": {}}
    if "exact" not in data:
        found = alone(exact)
        data["exact"] = {**found, **alone(everything, found["points"])}
    points, reference = data["exact"]["points"], data["exact"]["reference"]
    for seed in range(seeds):
        for sampler in ("exact", *SAMPLERS):
            name = f"{sampler} {seed}"
            if name in data["runs"]:
                continue
            if sampler == "exact":
                found = alone(exact)
                assert [tuple(p) for p in found.pop("points")] == [tuple(p) for p in points]
            else:
                found = alone(rival, sampler, seed, evaluations, points, reference)
            data["runs"][name] = found
            path.write_text(json.dumps(data))
            print(name, found["end"], found.get("trials"), flush=True)


def near(points, cycles, kib):
    """Machines within 1% of the front in cycles at their cost."""
    best = np.array([points[points[:, 0] <= k, 1].min(initial=FAR) for k in kib.tolist()])
    return (cycles <= 1.01 * best).sum()


def report(path: Path, picture: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    data = json.loads(path.read_text())
    figure, axes = plt.subplots(1, 2, figsize=(9, 3.4), sharey=True)
    colours = {"random": "#a0aaaa", "genetic": "#4085dc", "bayesian": "#e9602a"}
    for sampler in SAMPLERS:
        runs = [r for name, r in data["runs"].items() if name.startswith(sampler + " ")]
        if not runs:
            continue
        for column, axis in enumerate(axes):
            # as far as all runs went, or reached the goal
            missed = [r["end"][column] for r in runs if r["end"][3] < GOAL]
            end = min(missed) if missed else max(r["end"][column] for r in runs)
            grid = np.geomspace(1 if column == 0 else 0.02, end, 200)
            curves = np.array([_share(r, column, grid) for r in runs])
            low, middle, high = np.quantile(curves, [0.1, 0.5, 0.9], axis=0)
            axis.plot(grid, middle, color=colours[sampler], label=f"{sampler}, {len(runs)} seeds")
            axis.fill_between(grid, low, high, color=colours[sampler], alpha=0.18, lw=0)
        print(_row(sampler, runs))
    runs = [r for name, r in data["runs"].items() if name.startswith("exact ")]
    ends = [statistics.median(r["end"][column] for r in runs) for column in range(3)]
    axes[0].axvline(ends[0], color="#066640", ls="--", label="exact, with the proof")
    axes[1].axvline(ends[1], color="#066640", ls="--")
    print(_row("exact", runs))
    for axis, name in zip(axes, ("machines evaluated", "seconds of CPU time"), strict=True):
        axis.set_xscale("log")
        axis.axhline(GOAL, color="k", lw=0.6, ls=":")
        axis.set_xlabel(name)
        axis.set_ylim(0.5, 1.01)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("share of the hypervolume")
    axes[0].legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(picture, dpi=110)
    print({k: v for k, v in data["exact"].items() if k != "points"})


def _share(run, column, grid):
    x, y = (np.array([s[c] for s in run["steps"]]) for c in (column, 3))
    at = np.searchsorted(x, grid, side="right") - 1
    return np.where(at >= 0, y[np.maximum(at, 0)], 0.0)


def _row(sampler, runs):
    """Seeds, evaluations and trials at the end, the share then, and what reaching the goal took."""
    reached = [r["end"] for r in runs if r["end"][3] >= GOAL]
    medians = [statistics.median(r["end"][column] for r in runs) for column in range(4)]
    trials = statistics.median(r.get("trials", r["end"][0]) for r in runs)
    cells = [
        sampler,
        len(runs),
        f"{medians[0]:,.0f} of {trials:,.0f}",
        f"{medians[1]:.1f}",
        f"{medians[2]:.0f}",
        f"{medians[3]:.1%}",
        f"{len(reached)} of {len(runs)}",
        *(
            f"{statistics.median(e[column] for e in reached):,.{digits}f}" if reached else "-"
            for column, digits in ((0, 0), (1, 1), (2, 0))
        ),
    ]
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    if sys.argv[1] == "--report":
        report(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        counts = [int(word) for word in sys.argv[2:]]
        main(Path(sys.argv[1]), *(counts + [20, 1000][len(counts) :]))
