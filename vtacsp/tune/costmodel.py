"""The cost model: gradient-boosted trees that predict how fast a configuration is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.arrays import DoubleArray, FloatArray
from vtacsp.errors import SearchError

__all__ = ["LOSSES", "XGBoostModel"]

LOSSES = ("reg", "rank", "rank-binary")

# the parameters of AutoTVM's XGBoostCostModel, under today's names
_PARAMETERS = {
    "max_depth": 3,
    "gamma": 0.0001,
    "min_child_weight": 1,
    "subsample": 1.0,
    "eta": 0.3,
    "lambda": 1.0,
    "alpha": 0,
    "verbosity": 0,
}
_ROUNDS = 8000
_PATIENCE = 20  # boosting rounds without a better recall
_SKIP = 2  # recall is looked at every second round


class XGBoostModel:
    """AutoTVM's ``XGBoostCostModel``.

    ``loss`` is ``reg`` (squared error of the speed relative to the best), ``rank`` (pairwise)
    or ``rank-binary`` (pairwise; training stops by which half of the speeds is found).

    >>> space = search_space(vtacsp.suite("resnet18")[9])
    >>> indices = np.array(space.indices())
    >>> model, speeds = XGBoostModel(), np.linspace(1, 2, len(indices))
    >>> model.fit(space.features(indices), speeds, 8, np.random.default_rng(1))
    >>> model.predict(space.features(indices)).shape
    (40,)
    """

    def __init__(self, loss: str = "reg", *, threads: int = 1) -> None:
        if loss not in LOSSES:
            raise SearchError(f"unknown loss {loss!r}; known are {', '.join(LOSSES)}")
        self.loss = loss
        objective = "reg:squarederror" if loss == "reg" else "rank:pairwise"
        self._parameters = {**_PARAMETERS, "objective": objective, "nthread": threads}
        self._threads = threads
        self._booster: Any = None

    def fit(
        self,
        features: FloatArray,
        speeds: DoubleArray,
        plan_size: int,
        rng: np.random.Generator,
    ) -> None:
        """Train from scratch.

        ``features`` has shape (n, knobs), ``speeds`` (n,), 0 for what failed.  Boosting ends
        when the average recall of the ``plan_size`` fastest on the training set has not grown.
        """
        import xgboost

        labels = speeds / max(float(speeds.max()), 1e-8)
        order = rng.permutation(len(features))
        data = xgboost.DMatrix(features[order], labels[order], nthread=self._threads)
        judged = labels[order].astype(np.float32)
        if self.loss == "rank-binary":
            judged = (judged >= 0.5).astype(np.float32)

        class Stop(xgboost.callback.TrainingCallback):
            best, best_round = float("-inf"), 0

            def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:  # noqa: ARG002
                if epoch % _SKIP == 1:
                    return False
                recall = average_recall(model.predict(data, output_margin=True), judged, plan_size)
                if recall > self.best:
                    self.best, self.best_round = recall, epoch
                    return False
                return epoch - self.best_round >= _PATIENCE

        self._booster = xgboost.train(
            self._parameters, data, num_boost_round=_ROUNDS, callbacks=[Stop()]
        )

    def predict(self, features: FloatArray) -> DoubleArray:
        """Scores, shape (n,): higher is faster."""
        import xgboost

        if self._booster is None:
            raise SearchError("the cost model was not trained yet")
        # the matrix has threads of its own: all cores, which costs more than it does
        data = xgboost.DMatrix(features, nthread=self._threads)
        scores = self._booster.predict(data)
        return np.asarray(scores, dtype=np.float64)


def average_recall(
    predictions: NDArray[np.floating[Any]], labels: NDArray[np.floating[Any]], n: int
) -> float:
    """How many of the i truly fastest are among the i predicted ones, averaged over i < n.

    As ``autotvm/tuner/metric.py`` computes it: the curve at i looks at i predictions and counts
    ranks up to i, over i + 1.
    """
    ordered = labels[np.argsort(predictions)[::-1]]
    ranks = np.empty(len(ordered), dtype=np.int64)
    ranks[np.argsort(-ordered)] = np.arange(len(ordered))
    first = np.arange(min(n, len(ranks)))
    found = (ranks[None, first] <= first[:, None]) & (first[None, :] < first[:, None])
    return float((found.sum(axis=1) / (first + 1)).sum() / n)
