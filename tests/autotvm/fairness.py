"""How many measurements the real XGBTuner needs on recorded results: the baseline's baseline.

    python -m tests.autotvm.fairness TRUTH [--loss reg] [--seeds 20] [--layers LAYER ...]

runs AutoTVM's XGBTuner (knob features, one thread, everything else its default, one measurement
per batch) on the whole grid of each layer until the best configuration has been measured.  The
cycles are the RTL's, from the CSV files in TRUTH; what is infeasible is an error, as in AutoTVM.
Every run is appended to ``data/xgbtuner.jsonl`` as the indices in the order in which they were
measured: from them follow measurements-to-best and every best-so-far curve.  Runs that are there
already are not repeated.  Without TRUTH the quartiles are printed.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from pathlib import Path
from typing import Any

import numpy as np

DATA = Path(__file__).parent / "data" / "xgbtuner.jsonl"
LAYERS = ("resnet18.C10", "c-tiny14", "dcgan.small")


def load() -> tuple[dict[str, dict[int, int]], list[dict[str, Any]]]:
    """The cycles of each layer by index, and the runs."""
    lines = DATA.read_text().splitlines() if DATA.is_file() else []
    entries = [json.loads(line) for line in lines]
    tables = {
        entry["layer"]: {int(index): cycles for index, cycles in entry["cycles"].items()}
        for entry in entries
        if "cycles" in entry
    }
    return tables, [entry for entry in entries if "order" in entry]


def append(entry: dict[str, Any]) -> None:
    DATA.parent.mkdir(exist_ok=True)
    with DATA.open("a") as file:
        file.write(json.dumps(entry) + "\n")


def best(cycles: dict[int, int], within: float = 1.0) -> set[int]:
    """Indices of the configurations within a factor of the fewest cycles."""
    limit = min(cycles.values()) * within
    return {index for index, value in cycles.items() if value <= limit}


def measurements(order: list[int], wanted: set[int]) -> int:
    """How many measurements until one of ``wanted`` has been made."""
    return next(count for count, index in enumerate(order, 1) if index in wanted)


class _Found(Exception):
    """The best configuration has been measured."""


def tune(workload: Any, cycles: dict[int, int], loss: str, seed: int) -> list[int]:
    """The indices that XGBTuner measures, in order, up to the best."""
    from tvm import autotvm
    from tvm.autotvm.tuner import XGBTuner

    import vtacsp.autotvm
    from vtacsp.autotvm import create_task

    class Table:
        def __init__(self, *_: Any) -> None:
            pass

        def cycles(self, index: int) -> int:
            return cycles[index]

    random.seed(seed)
    np.random.seed(seed)
    task = create_task(workload)
    tuner = XGBTuner(task, feature_type="knob", loss_type=loss, num_threads=1)
    # the same features as computed by AutoTVM's worker processes, which need seconds to start
    features = tuner.cost_model.feature_cache.get("knob")
    for index in range(len(task.config_space)):
        features[index] = task.config_space.get(index).get_flatten_feature()
    wanted, order = best(cycles), []

    def watch(_: Any, inputs: list[Any], results: list[Any]) -> None:
        order.extend(int(measured.config.index) for measured in inputs)
        if wanted.intersection(order[-len(inputs) :]):
            raise _Found

    option = vtacsp.autotvm.measure_option(workload=workload, simulator=Table)
    try:
        tuner.tune(len(task.config_space), option, callbacks=[watch])
    except _Found:
        autotvm.GLOBAL_SCOPE.in_tuning = False
    return order


def gather(truth: Path, layers: list[str], loss: str, seeds: int) -> None:
    import xgboost

    from vtacsp import workload_from_dict

    workloads = {w["name"]: w for w in json.loads((truth / "workloads.json").read_text())}
    tables, runs = load()
    for layer in layers:
        if layer not in tables:
            with (truth / f"{layer}.csv").open() as file:
                rows = [row for row in csv.DictReader(file) if row["cause"] == "ok"]
            tables[layer] = {int(row["index"]): int(row["rtl_cycles"]) for row in rows}
            append({"layer": layer, "cycles": tables[layer]})
        for seed in range(seeds):
            run = {"layer": layer, "loss": loss, "xgboost": xgboost.__version__, "seed": seed}
            if any(
                run.items() <= {k: v for k, v in r.items() if k != "order"}.items() for r in runs
            ):
                continue
            start = time.perf_counter()
            order = tune(workload_from_dict(workloads[layer]), tables[layer], loss, seed)
            append({**run, "order": order})
            print(f"{run}: {len(order)}, {time.perf_counter() - start:.1f} s", flush=True)


def show() -> None:
    """Quartiles, as a table."""
    tables, runs = load()
    print("| layer | loss | xgboost | runs | to the best | to within 1 % |")
    print("| --- | --- | --- | --- | --- | --- |")
    for layer, loss, version in sorted({(r["layer"], r["loss"], r["xgboost"]) for r in runs}):
        these = (layer, loss, version)
        orders = [r["order"] for r in runs if (r["layer"], r["loss"], r["xgboost"]) == these]
        cells = []
        for within in (1.0, 1.01):
            wanted = best(tables[layer], within)
            quartiles = np.percentile([measurements(o, wanted) for o in orders], [25, 50, 75])
            cells.append(" / ".join(f"{q:.0f}" for q in quartiles))
        print(f"| {layer} | {loss} | {version} | {len(orders)} | {cells[0]} | {cells[1]} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--loss", default="reg")
    parser.add_argument("--seeds", type=int, default=20)
    given = parser.parse_args()
    if given.truth is not None:
        gather(given.truth, list(given.layers), given.loss, given.seeds)
    show()
