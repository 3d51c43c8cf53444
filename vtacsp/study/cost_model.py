"""The cost model experiment: what do invalid configurations do to the model's ranking?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vtacsp.arrays import DoubleArray, IntArray
from vtacsp.study.recorded_layer import StudyLayer
from vtacsp.tune.costmodel import XGBoostModel

__all__ = ["LOSSES", "SHARES", "TREATMENTS", "Training", "judge", "ndcg", "pairwise", "precision"]

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9)
"""Invalid shares of the training set; 0.9 is about that of the ResNet-18 grids."""

TREATMENTS = ("kept", "dropped")
"""Invalid configurations: trained on with speed 0, as AutoTVM does, or left out."""

LOSSES = ("reg", "rank")

SIZE = 64
"""Measurements in a training set: one plan of AutoTVM; half of a feasible set with less."""

K = 10
"""Places that precision and NDCG look at."""


@dataclass(frozen=True)
class Training:
    """One trained model and how it ranks what it was not trained on.

    ``pairwise``, ``precision`` and ``ndcg`` look at the valid configurations outside of the
    training set, ``runs`` at the whole grid: the share of the ``K`` configurations ranked
    highest that run.

    >>> layer = prepare(vtacsp.suite("resnet18")[9])
    >>> rows = judge(layer, seed=1)
    >>> kept = [row for row in rows if (row.treatment, row.loss) == ("kept", "reg")]
    >>> [(row.share, row.valid, row.invalid) for row in kept]
    [(0.0, 20, 0), (0.25, 15, 5), (0.5, 10, 10), (0.75, 5, 15), (0.9, 2, 18)]
    """

    share: float
    treatment: str
    loss: str
    valid: int
    invalid: int
    pairwise: float
    precision: float
    ndcg: float
    runs: float

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def judge(layer: StudyLayer, seed: int) -> list[Training]:
    """Train on every share, treatment and loss, and judge.

    Training sets are nested: a larger share replaces valid by invalid configurations.  All are
    judged on the same valid configurations, drawn before; kept and dropped are one at share 0.

    >>> rows = judge(prepare(vtacsp.suite("resnet18")[9]), seed=1)
    >>> sorted({row.share for row in rows})
    [0.0, 0.25, 0.5, 0.75, 0.9]
    """
    rng = np.random.default_rng(seed)
    everything = layer.grid.indices()
    runs = np.isin(everything, list(layer.cycles))
    valid, failing = rng.permutation(everything[runs]), rng.permutation(everything[~runs])
    size = min(SIZE, len(valid) // 2)
    judged = valid[size:]
    truth = 1.0 / np.array([layer.cycles[int(i)] for i in judged])
    found = []
    for share in SHARES:
        bad = min(round(share * size), len(failing), size - 1)
        good = size - bad
        for treatment in TREATMENTS if bad else TREATMENTS[:1]:
            kept = bad if treatment == "kept" else 0
            train = np.concatenate([valid[:good], failing[:kept]])
            speeds = np.zeros(len(train))
            speeds[:good] = [1.0 / layer.cycles[int(i)] for i in valid[:good]]
            unseen = rng.permutation(np.setdiff1d(everything, train))
            for loss in LOSSES:
                model = XGBoostModel(loss)
                features = layer.grid.features(train)
                model.fit(features, speeds, size, np.random.default_rng(seed))
                scores = model.predict(layer.grid.features(judged))
                top = unseen[top_of(model.predict(layer.grid.features(unseen)), K)]
                found.append(
                    Training(
                        share=share,
                        treatment=treatment,
                        loss=loss,
                        valid=good,
                        invalid=kept,
                        pairwise=pairwise(scores, truth),
                        precision=precision(scores, truth, K),
                        ndcg=ndcg(scores, truth, K),
                        runs=float(np.mean([int(i) in layer.cycles for i in top])),
                    )
                )
    return found


def top_of(scores: DoubleArray, k: int) -> IntArray:
    """Positions of the ``k`` highest scores, the first of equals."""
    return np.argsort(-scores, kind="stable")[:k]


def pairwise(scores: DoubleArray, truth: DoubleArray) -> float:
    """Share of the pairs with different truth that the scores order right; a tie is half right.

    NaN without such a pair.
    """
    order = np.sign(truth[:, None] - truth[None, :])
    agreement = order * np.sign(scores[:, None] - scores[None, :])
    pairs = np.count_nonzero(order)
    if not pairs:
        return float("nan")
    return float((agreement.sum() / pairs + 1) / 2)


def precision(scores: DoubleArray, truth: DoubleArray, k: int) -> float:
    """Share of the ``k`` highest scores that are as good as the truly k-th best."""
    k = min(k, len(truth))
    worst = np.sort(truth)[-k]
    return float(np.mean(truth[top_of(scores, k)] >= worst))


def ndcg(scores: DoubleArray, truth: DoubleArray, k: int) -> float:
    """Normalised discounted cumulative gain at ``k`` (Järvelin and Kekäläinen 2002).

    The gain is the speed itself, the discount of place i (from 1) is log2(1 + i).
    """
    k = min(k, len(truth))
    discount = 1.0 / np.log2(np.arange(k) + 2)
    ideal = np.sort(truth)[::-1][:k] @ discount
    return float(truth[top_of(scores, k)] @ discount / ideal)
