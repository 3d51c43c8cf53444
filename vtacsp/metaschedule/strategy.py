"""A search strategy over the feasible set: every candidate can run, none is measured twice."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm_ffi import structural_equal

from vtacsp.arrays import DoubleArray, IntArray
from vtacsp.errors import SpaceError
from vtacsp.metaschedule.design_space import feasible_space
from vtacsp.metaschedule.traces import config_of, with_config
from vtacsp.rules.rule import Rule
from vtacsp.tune.initial import uniform
from vtacsp.tune.search_space import FeasibleGrid, SearchSpace

__all__ = ["FeasibleSearch", "Initial"]

Initial = Callable[[SearchSpace, int, int], Sequence[int]]
"""(feasible set, number, seed) -> AutoTVM indices of the first generation.

A first generation of your own, the configurations with the widest tiles of input channels:

>>> import tempfile
>>> def widest(space, number, seed):
...     by_width = lambda index: -space.knob_space.config(index)["tile_ci"]
...     return sorted(space.indices().tolist(), key=by_width)[:number]
...
>>> layer = vtacsp.Dense(name="mine", in_features=256, out_features=256)
>>> with tempfile.TemporaryDirectory() as folder:
...     result = tune(layer, work_dir=folder, trials=1, initial=widest)
...
>>> result.config["tile_ci"], max(config["tile_ci"] for config in vtacsp.compile(layer))
(16, 16)
"""


@derived_object
class FeasibleSearch(ms.search_strategy.PySearchStrategy):
    """Evolutionary search over the feasible set, for ``ms.tune_tir(strategy=...)``.

    ``initial`` gives the first generation, see :mod:`vtacsp.tune.initial`.  The cost model picks
    each later one from a population: measured ones, best first, and random ones, evolved by steps
    to neighbours in the feasible set; a set no larger than the population is scored whole.  The
    other parameters are those of MetaSchedule's evolutionary search.  Configurations that are one
    program are one candidate.  Records of the same workload in the database count as measured,
    and the cost model starts from them.  The search ends when the trials or the feasible set are
    used up.

    ``rules`` are yours, on top of the operator's.

    In MetaSchedule's own loop, with its random cost model:

    >>> import tempfile
    >>> from tvm.s_tir import meta_schedule as ms
    >>> from tvm.target import Target
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     database = ms.tune_tir(
    ...         prim_func(layer),
    ...         Target(TARGET),
    ...         work_dir=folder,
    ...         max_trials_global=3,
    ...         builder=SimulatorBuilder(),
    ...         runner=SimulatorRunner(),
    ...         cost_model="random",
    ...         space=space_generator(),
    ...         strategy=FeasibleSearch(),
    ...         num_tuning_cores=1,
    ...     )
    ...     configs = [config_of(record.trace) for record in database.get_all_tuning_records()]
    ...
    >>> len(configs), all(config in vtacsp.compile(layer) for config in configs)
    (3, True)
    """

    def __init__(
        self,
        initial: Initial = uniform,
        *,
        rules: Iterable[Rule] = (),
        population_size: int = 512,
        init_measured_ratio: float = 0.2,
        genetic_num_iters: int = 4,
        genetic_mutate_prob: float = 0.85,
        eps_greedy: float = 0.05,
    ) -> None:
        super().__init__()
        self.options: dict[str, Any] = {
            "initial": initial,
            "rules": tuple(rules),
            "population_size": population_size,
            "init_measured_ratio": init_measured_ratio,
            "genetic_num_iters": genetic_num_iters,
            "genetic_mutate_prob": genetic_mutate_prob,
            "eps_greedy": eps_greedy,
        }

    def clone(self) -> Any:
        """Another one, for another context."""
        return FeasibleSearch(**self.options)

    def _initialize_with_tune_context(self, context: ms.TuneContext) -> None:
        self.context = context
        self.seed = abs(int(context.rand_state))
        self.space = feasible_space(context.mod, self.options["rules"]).collapsed()

    def pre_tuning(
        self,
        max_trials: int,
        num_trials_per_iter: int,
        design_spaces: list[Schedule],
        database: ms.Database | None = None,
        cost_model: ms.CostModel | None = None,
    ) -> None:
        """Begin; see MetaSchedule."""
        self.rng = np.random.default_rng(self.seed)
        self.trials, self.batch, self.cost_model = max_trials, num_trials_per_iter, cost_model
        self.template = design_spaces[0].trace
        self.candidate = lru_cache(2 * self.options["population_size"])(self._candidate)
        programs = self.space.knob_space.program(self.space.indices)
        self.ranks = {int(program): rank for rank, program in enumerate(programs)}
        self.seconds: dict[int, float] = {}  # of the ranks that were measured
        self.done = np.zeros(len(self.space), dtype=np.bool_)  # measured, or about to be
        self._resume(database)
        self.first: deque[int] | None = None

    def post_tuning(self) -> None:
        """End; see MetaSchedule."""
        self.candidate.cache_clear()

    def generate_measure_candidates(self) -> list[Any] | None:
        """The next generation; None when the trials or the feasible set are used up."""
        n = min(self.batch, self.trials, int((~self.done).sum()))
        if n <= 0:
            return None
        ranks = self._first_generation(n) or self._generation(n)
        self.done[ranks] = True
        self.trials -= len(ranks)
        return [self.candidate(rank) for rank in ranks]

    def notify_runner_results(self, measure_candidates: list[Any], results: list[Any]) -> None:
        """Remember what was measured."""
        for candidate, result in zip(measure_candidates, results, strict=True):
            self._measured(candidate.sch.trace, result.run_secs)

    # -- generations, as ranks of the collapsed space

    def _first_generation(self, n: int) -> list[int]:
        if self.first is None:
            indices = self.options["initial"](FeasibleGrid(self.space), n, self.seed)
            ranks = [self._rank(index) for index in indices]
            self.first = deque(rank for rank in dict.fromkeys(ranks) if not self.done[rank])
        return [self.first.popleft() for _ in range(min(n, len(self.first)))]

    def _generation(self, n: int) -> list[int]:
        left = np.flatnonzero(~self.done)
        pool = left if len(left) <= self.options["population_size"] else self._evolved(left)
        best = pool[np.argsort(-self._scores(pool), kind="stable")]
        chosen = best[: n - self.rng.binomial(n, self.options["eps_greedy"])]
        others = self.rng.permutation(np.setdiff1d(left, chosen))
        return [int(rank) for rank in (*chosen, *others[: n - len(chosen)])]

    def _evolved(self, left: IntArray) -> IntArray:
        """Ranks not measured yet that evolution comes across."""
        size = self.options["population_size"]
        elite = sorted(self.seconds, key=self.seconds.__getitem__)
        elite = elite[: int(size * self.options["init_measured_ratio"])]
        population = np.array([*elite, *self.rng.permutation(left)[: size - len(elite)]])
        seen = set(population.tolist())
        for _ in range(self.options["genetic_num_iters"]):
            weights = np.maximum(self._scores(population), 1e-6)
            parents = self.rng.choice(population, size, p=weights / weights.sum())
            mutate = self.rng.random(size) < self.options["genetic_mutate_prob"]
            pairs = zip(parents.tolist(), mutate, strict=True)
            population = np.array([self._step(rank) if moved else rank for rank, moved in pairs])
            seen.update(population.tolist())
        return np.intersect1d(left, list(seen))

    def _step(self, rank: int) -> int:
        near = self.space.neighbours(self.space[rank])
        return self.space.rank(near[self.rng.integers(len(near))]) if near else rank

    def _scores(self, ranks: IntArray) -> DoubleArray:
        if self.cost_model is None:
            return self.rng.random(len(ranks))
        candidates = [self.candidate(int(rank)) for rank in ranks]
        return np.asarray(self.cost_model.predict(self.context, candidates), dtype=np.float64)

    # -- configurations, traces, ranks

    def _candidate(self, rank: int) -> Any:
        sch = Schedule(self.context.mod)
        with_config(self.template, self.space[rank]).apply_to_schedule(sch, remove_postproc=False)
        sch.enter_postproc()
        for postproc in self.context.space_generator.postprocs or ():
            if not postproc.apply(sch):
                raise SpaceError(f"{postproc} refuses the feasible {self.space[rank]}")
        arguments = ms.arg_info.ArgInfo.from_entry_func(sch.mod, remove_preproc=True)
        return ms.MeasureCandidate(sch, arguments)

    def _resume(self, database: ms.Database | None) -> None:
        """What the database holds of this workload is measured, and the cost model learns it."""
        mod, everything = self.context.mod, database.get_all_tuning_records() if database else ()
        records = [r for r in everything if structural_equal(r.workload.mod, mod)]
        for record in records:
            self._measured(record.trace, record.run_secs)
        if records and self.cost_model is not None:
            results = [ms.runner.RunnerResult(record.run_secs, None) for record in records]
            candidates = [record.as_measure_candidate() for record in records]
            self.cost_model.update(self.context, candidates, results)

    def _measured(self, trace: Any, seconds: Sequence[Any] | None) -> None:
        index = self.space.knob_space.index(config_of(trace))
        rank = self.ranks.get(self._program(index))
        if rank is not None:
            self.done[rank] = True
            if seconds:
                self.seconds[rank] = float(np.median([float(s) for s in seconds]))

    def _program(self, index: int) -> int:
        return int(self.space.knob_space.program(np.array([index]))[0])

    def _rank(self, index: int) -> int:
        rank = self.ranks.get(self._program(index))
        return self.space.rank(index) if rank is None else rank
