"""Whether our AutoTVM-style searcher is a fair baseline: it against the real XGBTuner.

    python -m tests.autotvm.fairness TRUTH [--tuner XGBTuner] [--loss reg] [--seeds 20] [--paired]

``--tuner XGBTuner`` runs AutoTVM's (knob features, one thread, else its defaults, one measurement
per batch), ``--tuner ModelSearcher`` that of ``vtacsp.tune``, on the whole grid of each layer
until the best configuration has been measured.  The cycles are the RTL's, from the CSV files in
TRUTH; what is infeasible is an error, as in AutoTVM.  Every run is appended to
``data/fairness.jsonl`` as the indices in the order in which they were measured: from them follow
measurements-to-best and every best-so-far curve.  Runs that are there already are not repeated.
``--paired`` gives ModelSearcher the first plan of XGBTuner's run with the same loss and seed: that
plan is random for both, and how many of its configurations happen to run decides much.
Without TRUTH the quartiles are printed, and the p-values of three tests.
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

DATA = Path(__file__).parent / "data" / "fairness.jsonl"
PLAN = 64  # plan_size of both
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


Order = list[int]


def xgbtuner(workload: Any, cycles: dict[int, int], loss: str, seed: int, first: Order) -> Order:
    """The indices that XGBTuner measures, in order, up to the best."""
    from tvm import autotvm
    from tvm.autotvm.tuner import XGBTuner

    from vtacsp.autotvm import create_task, measure_option

    class Table:
        def __init__(self, *_: Any) -> None:
            pass

        def cycles(self, index: int) -> int:
            return cycles[index]

    assert not first
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

    option = measure_option(workload=workload, simulator=Table)
    try:
        tuner.tune(len(task.config_space), option, callbacks=[watch])
    except _Found:
        autotvm.GLOBAL_SCOPE.in_tuning = False
    return order


def model_searcher(
    workload: Any, cycles: dict[int, int], loss: str, seed: int, first: Order
) -> Order:
    """The indices that our ModelSearcher measures, in order, up to the best."""
    from vtacsp.tune.model_searcher import ModelSearcher
    from vtacsp.tune.result import MeasureErrorNo, Result
    from vtacsp.tune.search_space import WholeGrid

    searcher = ModelSearcher(WholeGrid(workload), seed=seed, loss=loss, initial=first)
    failed = Result(error=MeasureErrorNo.COMPILE_HOST)
    wanted, order = best(cycles), []
    while not wanted.intersection(order[-1:]):
        (index,) = searcher.next_batch(1)
        order.append(int(index))
        result = Result(costs=(cycles[index] / 1e8,)) if index in cycles else failed
        searcher.update({index: result})
    return order


TUNERS = {"XGBTuner": xgbtuner, "ModelSearcher": model_searcher}


def gather(truth: Path, layers: list[str], tuner: str, loss: str, seeds: int, paired: bool) -> None:
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
            what = {"layer": layer, "tuner": tuner, "loss": loss, "xgboost": xgboost.__version__}
            run = {**what, "seed": seed, "paired": paired}
            if any(run.items() <= {**r, "order": None}.items() for r in runs):
                continue
            first: Order = []
            if paired:
                theirs = {"layer": layer, "tuner": "XGBTuner", "loss": loss, "seed": seed}
                named = [({**r, "order": None}, r["order"]) for r in runs]
                first = next(o for r, o in named if theirs.items() <= r.items())[:PLAN]
            start = time.perf_counter()
            order = TUNERS[tuner](
                workload_from_dict(workloads[layer]), tables[layer], loss, seed, first
            )
            append({**run, "order": order})
            print(f"{run}: {len(order)}, {time.perf_counter() - start:.1f} s", flush=True)


def show() -> None:
    """Quartiles per layer and tuner, and how alike the two tuners are for the same loss.

    Mann-Whitney and Kolmogorov-Smirnov compare the two samples; for paired runs Wilcoxon's test
    compares the runs of the same seed.
    """
    from scipy.stats import ks_2samp, mannwhitneyu, wilcoxon

    tables, runs = load()
    counts: dict[tuple[str, ...], dict[float, list[int]]] = {}
    for run in sorted(runs, key=lambda run: run["seed"]):
        tuner = run["tuner"] + ", paired" * run["paired"]
        key = (run["layer"], run["loss"], tuner, run["xgboost"])
        for within in (1.0, 1.01):
            wanted = best(tables[run["layer"]], within)
            found = measurements(run["order"], wanted)
            counts.setdefault(key, {}).setdefault(within, []).append(found)
    head = ("layer", "loss", "tuner", "xgboost", "runs", "to the best", "to within 1%")
    print("|", " | ".join([*head, "MW p", "KS p", "W p"]), "|")
    print("|", " | ".join(["---"] * 10), "|")
    for key in sorted(counts, key=lambda k: (*k[:2], not k[2].startswith("XGB"), k[2])):
        cells = [
            " / ".join(f"{q:.0f}" for q in np.percentile(found, [25, 50, 75]))
            for found in counts[key].values()
        ]
        p = [""] * 3
        if key[2] == "XGBTuner":
            theirs = counts[key][1.0]
        else:
            ours = counts[key][1.0]
            tests = [mannwhitneyu, ks_2samp, *[wilcoxon] * key[2].endswith("paired")]
            p[: len(tests)] = [f"{test(theirs, ours).pvalue:.2f}" for test in tests]
        print("|", " | ".join([*key, str(len(counts[key][1.0])), *cells, *p]), "|")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("truth", type=Path, nargs="?")
    parser.add_argument("--layers", nargs="+", default=LAYERS)
    parser.add_argument("--tuner", choices=TUNERS, default="XGBTuner")
    parser.add_argument("--loss", default="reg")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--paired", action="store_true")
    given = parser.parse_args()
    if given.truth is not None:
        gather(given.truth, list(given.layers), given.tuner, given.loss, given.seeds, given.paired)
    show()
