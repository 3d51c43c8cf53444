"""How a layer is searched: searcher, first batch, space and sizes of batches, as one value.

Cheap to import: the command line has the choices of its options from here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vtacsp.errors import SearchError

if TYPE_CHECKING:
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune.loop import Trial, TuningResult
    from vtacsp.tune.measure import Measurer
    from vtacsp.tune.records import TuningLog
    from vtacsp.tune.search_space import FeasibleGrid, SearchSpace
    from vtacsp.tune.searcher import Searcher

__all__ = ["BATCH", "FIRST", "INITIAL", "SEARCHERS", "SPACES", "TRIALS", "LayerSearch"]

TRIALS = 64
FIRST = 16  # configurations of the initial strategy
PLAN = 16  # proposals between two trainings of the model, parents of a generation
BATCH = 8
"""Proposals at a time, however many workers measure: the same seed gives the same search."""

INITIAL = ("analytic", "diverse", "uniform", "simulator", "none")
SEARCHERS = ("model", "genetic", "random", "grid")
SPACES = ("feasible", "grid")


@dataclass(frozen=True)
class LayerSearch:
    """How a layer is searched and measured; a search of your own overrides the methods.

    ``initial`` are the first configurations: of lowest analytic bound, far apart, random, of
    lowest cycles on the simulated RTL, or left to the searcher.  ``gap`` ends a layer that close
    to its lower bound, in per cent, None never; ``early_stopping`` after so many measurements
    without a new best.  Layers that are searched side by side (``lanes`` of
    :func:`~vtacsp.network.tune_network`) are searched on the workers: there :meth:`searcher_of`
    and :meth:`measurer` count, and the object goes through pickle.

    Raises :class:`~vtacsp.errors.SearchError` for a choice that there is not.

    A search of your own: the configurations of lowest bound and nothing else.

    >>> class LowestBounds(LayerSearch):
    ...     def searcher_of(self, simulator):
    ...         space = self.space_of(simulator)
    ...         return GridSearcher(space, initial=lowest_bounds(space, self.trials))
    ...
    >>> node = Node(name="conv", op="Conv", place=VTA, workload=vtacsp.suite("resnet18")[9])
    >>> tune_network(Network("tiny", (node,)), search=LowestBounds(trials=4)).answer.cycles
    465099
    """

    trials: int = TRIALS
    seed: int = 0
    searcher: str = "model"
    initial: str = "analytic"
    space: str = "feasible"
    gap: float | None = None
    early_stopping: int | None = None

    def __post_init__(self) -> None:
        for name, known in (("searcher", SEARCHERS), ("initial", INITIAL), ("space", SPACES)):
            if getattr(self, name) not in known:
                raise SearchError(f"{name} is {getattr(self, name)!r:.40}, not {', '.join(known)}")

    def search(
        self,
        simulator: Simulator,
        log: TuningLog | None,
        *,
        measurer: Measurer | None = None,
        stop: Callable[[], bool] | None = None,
        callback: Callable[[Trial], None] | None = None,
    ) -> TuningResult:
        """Measure up to :attr:`trials` configurations of the simulator's space.

        ``measurer`` is :meth:`measurer` when not given; the others as :func:`vtacsp.tune.tune`.
        """
        from vtacsp.tune.loop import tune

        searcher = self.searcher_of(simulator)
        with measurer or self.measurer(simulator) as device:
            return tune(
                searcher,
                device,
                trials=self.trials,
                log=log,
                batch_size=BATCH,
                early_stopping=self.early_stopping,
                good_enough=self.good_enough(simulator),
                stop=stop,
                callback=callback,
            )

    def measurer(self, simulator: Simulator) -> Measurer:
        """What measures a layer."""
        from vtacsp.tune.measure import SimulatorMeasurer

        return SimulatorMeasurer(simulator.space, timing=simulator.timing)

    def space_of(self, simulator: Simulator) -> SearchSpace:
        """What may be proposed: the whole grid, or what runs, no program twice."""
        from vtacsp.tune.search_space import WholeGrid

        if self.space == "grid":
            return WholeGrid(simulator.workload, simulator.hardware)
        return self._feasible(simulator)

    def searcher_of(self, simulator: Simulator) -> Searcher:
        """What proposes the configurations of a layer, the initial ones first."""
        from vtacsp.tune.genetic import GeneticSearcher
        from vtacsp.tune.grid import GridSearcher
        from vtacsp.tune.model_searcher import ModelSearcher
        from vtacsp.tune.random_search import RandomSearcher

        space, seed = self.space_of(simulator), self.seed
        first = self._first(simulator, space)
        if self.searcher == "model":
            return ModelSearcher(space, seed=seed, initial=first, plan_size=PLAN, first_fit=FIRST)
        if self.searcher == "genetic":
            return GeneticSearcher(space, seed=seed, initial=first, pop_size=PLAN)
        plain = RandomSearcher if self.searcher == "random" else GridSearcher
        return plain(space, seed=seed, initial=first)

    def good_enough(self, simulator: Simulator) -> float | None:
        """Seconds within the gap of what no configuration of the layer gets below."""
        from vtacsp.tune.bound import least_cycles

        if self.gap is None:
            return None
        timing = simulator.timing
        return timing.seconds_of(least_cycles(simulator.space, timing)) * (1 + self.gap / 100)

    def _feasible(self, simulator: Simulator) -> FeasibleGrid:
        from vtacsp.tune.search_space import FeasibleGrid

        return FeasibleGrid(simulator.space.collapsed())

    def _first(self, simulator: Simulator, space: SearchSpace) -> list[int]:
        """The first configurations; on the whole grid only ``uniform`` draws what cannot run."""
        from vtacsp.tune import initial

        if self.initial == "none":
            return []
        if self.initial == "uniform":
            return initial.uniform(space, FIRST, self.seed)
        feasible = self._feasible(simulator)
        if self.initial == "diverse":
            return initial.diverse(feasible, FIRST, self.seed)
        if self.initial == "simulator":
            rtl = type(simulator)(simulator.workload, simulator.hardware)
            cycles = rtl.cycles_many
            return initial.ranked(feasible, FIRST, lambda indices: cycles(indices.tolist()))
        return initial.lowest_bounds(feasible, FIRST, simulator.timing)
