"""The search experiment: how many measurements until the best configuration is found?"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from vtacsp.errors import StudyError, shortened
from vtacsp.study.recorded_layer import StudyLayer
from vtacsp.tune.initial import diverse, presample, uniform
from vtacsp.tune.model_searcher import AUTOTVM_PLAN, ModelSearcher
from vtacsp.tune.random_search import RandomSearcher
from vtacsp.tune.result import MeasureErrorNo, Result
from vtacsp.tune.searcher import Searcher

__all__ = ["BASELINE", "METHODS", "Method", "Outcome", "run_search"]

NEAR = 0.01
"""What is near the best: at most so much slower."""

_BALANCED = 50  # initial set of Rieber et al.


@dataclass(frozen=True)
class Start:
    """A searcher, how many proposals are made at a time, first and later, and what it took.

    ``compiled`` counts compiler calls, ``taught`` the failures among them that the searcher
    learns from; neither is a measurement.
    """

    searcher: Searcher
    first: int
    batch: int
    compiled: int = 0
    taught: int = 0


@dataclass(frozen=True)
class Method:
    """One way of searching; ``kind`` is baseline, published, ours or reference.

    >>> METHODS["analytic"].kind, METHODS["analytic"].text
    ('ours', 'feasible set, lowest analytic bounds first, model search')
    """

    name: str
    kind: str
    text: str
    start: Callable[[StudyLayer, int], Start]


@dataclass(frozen=True)
class Outcome:
    """One run, until the best configuration of the space was measured.

    ``best`` and ``near`` count measurements, the last one included, until one had the least
    cycles and until one was at most 1% slower; ``failed`` of them failed.  ``first`` is how much
    slower than the best the first measurement was, None when it failed.

    >>> layer = prepare(vtacsp.Dense(name="mine", in_features=64, out_features=64))
    >>> outcome = run_search(layer, "random", seed=1)
    >>> outcome.failed, outcome.best <= len(layer.cycles)
    (0, True)
    """

    best: int
    near: int
    failed: int
    first: float | None
    compiled: int
    taught: int

    def to_dict(self) -> dict[str, Any]:
        """JSON values."""
        return asdict(self)


def run_search(layer: StudyLayer, method: str, seed: int) -> Outcome:
    """Run one method on a layer's table.

    Raises :class:`~vtacsp.errors.StudyError` for an unknown method.

    >>> layer = prepare(vtacsp.suite("resnet18")[9])
    >>> run_search(layer, "analytic", seed=1).near, run_search(layer, "random", seed=1).near
    (1, 19)
    """
    if method not in METHODS:
        raise StudyError(f"unknown method {shortened(method)}; known are {', '.join(METHODS)}")
    start = METHODS[method].start(layer, seed)
    near = failed = 0
    measured: list[int | None] = []  # cycles
    batch = start.searcher.next_batch(start.first)
    while batch:
        results = dict(layer.measurer.measure(batch))
        for index in batch:
            cycles = layer.cycles.get(index)
            measured.append(cycles)
            failed += cycles is None
            if cycles is None:
                continue
            if not near and cycles <= layer.best * (1 + NEAR):
                near = len(measured)
            if cycles == layer.best:
                first = measured[0]
                slower = None if first is None else first / layer.best - 1
                return Outcome(len(measured), near, failed, slower, start.compiled, start.taught)
        start.searcher.update(results)
        batch = start.searcher.next_batch(start.batch)
    raise StudyError(f"{layer.name}: {method} ended without the best configuration")


def _autotvm(layer: StudyLayer, seed: int) -> Start:
    return _start(ModelSearcher(layer.grid, seed=seed, plan_size=AUTOTVM_PLAN))


def _short(layer: StudyLayer, seed: int) -> Start:
    plan = ModelSearcher(layer.feasible).plan_size
    return _start(ModelSearcher(layer.grid, seed=seed, plan_size=plan))


def _rieber(layer: StudyLayer, seed: int) -> Start:
    sample = presample(layer.grid, seed)
    valid, invalid = sample.initial(_BALANCED, seed)
    searcher = ModelSearcher(
        layer.grid,
        seed=seed,
        initial=valid,
        plan_size=AUTOTVM_PLAN,
        first_fit=len(valid) + len(invalid),
        bias=sample.bias,
    )
    # the compiler refused them: the model learns from them, nobody measures them
    failure = Result(error=MeasureErrorNo.COMPILE_HOST, timestamp=0.0, cause="presampling")
    searcher.update(dict.fromkeys(invalid, failure))
    first = len(valid) or AUTOTVM_PLAN
    return Start(searcher, first, AUTOTVM_PLAN, compiled=sample.calls, taught=len(invalid))


def _long(layer: StudyLayer, seed: int) -> Start:
    return _start(ModelSearcher(layer.feasible, seed=seed, plan_size=AUTOTVM_PLAN))


def _random(layer: StudyLayer, seed: int) -> Start:
    return Start(RandomSearcher(layer.feasible, seed=seed), 1, 1)


def _feasible(initial: Callable[[StudyLayer, int, int], Iterable[int]]) -> Any:
    def start(layer: StudyLayer, seed: int) -> Start:
        plan = ModelSearcher(layer.feasible).plan_size
        chosen = list(initial(layer, plan, seed))
        return _start(ModelSearcher(layer.feasible, seed=seed, initial=chosen))

    return start


def _start(searcher: ModelSearcher) -> Start:
    return Start(searcher, searcher.plan_size, searcher.plan_size)


BASELINE = "autotvm"

_ALL = (
    Method(
        BASELINE, "baseline", "whole grid, random start, AutoTVM's model search (plans of 64)",
        _autotvm,
    ),
    Method(
        "rieber", "published", "whole grid, presampled and balanced start, biased annealing",
        _rieber,
    ),
    Method(
        "uniform", "ours", "feasible set, uniform start, model search",
        _feasible(lambda layer, n, seed: uniform(layer.feasible, n, seed)),
    ),
    Method(
        "diverse", "ours", "feasible set, diverse start, model search",
        _feasible(lambda layer, n, seed: diverse(layer.feasible, n, seed)),
    ),
    Method(
        "analytic", "ours", "feasible set, lowest analytic bounds first, model search",
        _feasible(lambda layer, n, _: layer.analytic[:n]),
    ),
    Method(
        "simulator", "ours", "feasible set, lowest simulated cycles first, model search",
        _feasible(lambda layer, n, _: layer.simulated[:n]),
    ),
    Method("random", "reference", "feasible set, nothing but random", _random),
    Method(
        "uniform-64", "reference", "as uniform, with AutoTVM's plans of 64", _long
    ),
    Method(
        "autotvm-short", "reference", "as autotvm, with the shorter plans of uniform", _short
    ),
)  # fmt: skip

METHODS = {method.name: method for method in _ALL}
"""Every method by name.

>>> {name for name, method in METHODS.items() if method.kind == "published"}
{'rieber'}
"""
