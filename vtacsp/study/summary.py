"""Numbers of a study: rows per layer, geometric means over layers, and the bars."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vtacsp.study.cost_model import LOSSES, SHARES, TREATMENTS
from vtacsp.study.execution import Job, Study
from vtacsp.study.recorded_layer import RTL, SIMULATOR, StudyLayer
from vtacsp.study.search_cost import BASELINE, METHODS

__all__ = ["SOURCES", "Bar", "Summary"]

SummaryRow = dict[str, Any]

SOURCES = {RTL: "recorded RTL cycles", SIMULATOR: "simulated cycles"}

PAPER = 0.416
"""Ratio of measurements that Rieber et al. 2022 report."""

METRICS = ("pairwise", "precision", "ndcg", "runs")


@dataclass(frozen=True)
class Bar:
    """Something to reach, what was reached, and whether that is enough."""

    text: str
    reached: str
    met: bool


class Summary:
    """Everything that a report says, computed from a study's results."""

    def __init__(self, study: Study) -> None:
        self.layers = study.layers()
        wanted = set(study.tasks())
        self.results = {task: r for task, r in study.results().items() if task in wanted}
        self.methods = [m for m in METHODS if any(t.method == m for t in self.results)]
        self.seeds = study.seeds

    def of_source(self, source: str) -> list[StudyLayer]:
        """Layers whose cycles come from there."""
        return [layer for layer in self.layers if layer.source == source]

    # -- validity

    def validity(self) -> list[SummaryRow]:
        """One row per layer."""
        rows = []
        for layer in self.layers:
            v = layer.validity
            rows.append({
                "layer": layer.name,
                "source": layer.source,
                "configurations": v.configurations,
                "programs": v.programs,
                "valid": v.valid,
                "valid programs": v.valid_programs,
                "share": v.share,
                "neighbours valid": v.neighbours,
                "times the share": v.neighbours / v.share,
                "around invalid": v.around_invalid,
                "clusters": v.clusters,
                "largest": v.largest,
                "isolated": v.isolated,
            })  # fmt: skip
        return rows

    # -- the cost model

    def model(self, source: str) -> list[SummaryRow]:
        """Means over layers of the medians over seeds, per loss, treatment and share."""
        layers = self.of_source(source)
        trained: dict[tuple[str, str, float], dict[str, list[SummaryRow]]] = {}
        for layer in layers:
            for seed in range(self.seeds):
                for model in self.results.get(Job("model", layer.name, "", seed), []):
                    key = (model["loss"], model["treatment"], model["share"])
                    trained.setdefault(key, {}).setdefault(layer.name, []).append(model)
        rows = []
        keys = [(x, t, s) for x in LOSSES for t in TREATMENTS for s in SHARES]
        for key in keys:
            if key in trained:
                row: SummaryRow = dict(zip(("loss", "invalid", "share"), key, strict=True))
                groups = trained[key].values()
                for metric in METRICS:
                    medians = [np.nanmedian([r[metric] for r in group]) for group in groups]
                    row[metric] = float(np.nanmean(medians))
                rows.append(row)
        return rows

    # -- the search

    def runs(self, layer: StudyLayer, method: str) -> list[SummaryRow]:
        """Results of one method on one layer, by seed."""
        tasks = [Job("search", layer.name, method, seed) for seed in range(self.seeds)]
        return [self.results[task] for task in tasks if task in self.results]

    def search(self) -> list[SummaryRow]:
        """One row per layer and method."""
        rows = []
        for layer in self.layers:
            base = self.runs(layer, BASELINE)
            for method in self.methods:
                runs = self.runs(layer, method)
                if not runs:
                    continue
                row: SummaryRow = {"layer": layer.name, "source": layer.source, "method": method}
                row["runs"] = len(runs)
                for goal in ("best", "near"):
                    counts = [run[goal] for run in runs]
                    q1, median, q3 = np.quantile(counts, [0.25, 0.5, 0.75])
                    row[f"{goal} median"] = float(median)
                    row[f"{goal} q1"], row[f"{goal} q3"] = float(q1), float(q3)
                    row[f"{goal} worst"] = max(counts)
                    baseline = _median(base, goal)
                    row[f"{goal} ratio"] = float(median) / baseline if base else None
                spent = [run["best"] + run["taught"] for run in runs]
                row["best+taught ratio"] = (
                    float(np.median(spent)) / _median(base, "best") if base else None
                )
                row["failed median"] = _median(runs, "failed")
                row["compiled median"] = _median(runs, "compiled")
                firsts = [run["first"] for run in runs]
                row["first worst"] = None if None in firsts else max(firsts)
                rows.append(row)
        return rows

    def means(self, source: str) -> list[SummaryRow]:
        """One row per method: geometric means over the layers of a source."""
        table = [row for row in self.search() if row["source"] == source]
        base = {row["layer"]: row for row in table if row["method"] == BASELINE}
        found = []
        for method in self.methods:
            rows = [row for row in table if row["method"] == method]
            if not rows:
                continue
            worst = [
                row["best worst"] <= base[row["layer"]]["best median"]
                for row in rows
                if row["layer"] in base
            ]
            compared = len(worst) == len(rows)
            found.append({
                "method": method,
                "kind": METHODS[method].kind,
                "layers": len(rows),
                "best": geometric_mean(row["best median"] for row in rows),
                "best q1": geometric_mean(row["best q1"] for row in rows),
                "best q3": geometric_mean(row["best q3"] for row in rows),
                "best ratio": _ratio(rows, "best") if compared else None,
                "best+taught ratio": _ratio(rows, "best+taught") if compared else None,
                "near": geometric_mean(row["near median"] for row in rows),
                "near ratio": _ratio(rows, "near") if compared else None,
                "failed": float(np.mean([row["failed median"] for row in rows])),
                "compiled": float(np.mean([row["compiled median"] for row in rows])),
                "robust": sum(worst) if compared else None,
            })  # fmt: skip
        return found

    def bars(self) -> list[Bar]:
        """What the project set out to reach, on the RTL tables; empty without a baseline."""
        means = {row["method"]: row for row in self.means(RTL)}
        if BASELINE not in means:
            return []
        bars = []
        for method, limit in (("uniform", 0.2), ("diverse", 0.2), ("analytic", 0.02)):
            ratio = means.get(method, {}).get("best ratio")
            if ratio is not None:
                text = f"{method}: at most {limit:.0%} of the baseline's measurements to the best"
                bars.append(Bar(text, f"{ratio:.1%}", ratio <= limit))
        rows = [row for row in self.search() if row["source"] == RTL]
        ranked = [row for row in rows if row["method"] == "simulator"]
        if ranked:
            worst = max(row["first worst"] for row in ranked)
            text = "simulator: the first measurement within 0.5% of the best on every layer"
            bars.append(Bar(text, f"at most {worst:.2%}", worst <= 0.005))
        for method, row in means.items():
            if row["kind"] == "ours" and row["robust"] is not None:
                text = f"{method}: worst seed no worse than the baseline's median"
                reached = f"on {row['robust']} of {row['layers']} layers"
                bars.append(Bar(text, reached, row["robust"] == row["layers"]))
        return bars


def geometric_mean(values: Iterable[float]) -> float:
    """exp of the mean logarithm."""
    return float(np.exp(np.mean(np.log(list(values)))))


def _median(runs: Sequence[Mapping[str, Any]], key: str) -> float:
    return float(np.median([run[key] for run in runs])) if runs else float("nan")


def _ratio(rows: Sequence[SummaryRow], goal: str) -> float:
    return geometric_mean(row[f"{goal} ratio"] for row in rows)
