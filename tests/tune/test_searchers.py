"""Every searcher passes the conformance suite; what is AutoTVM's is compared with the formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from vtacsp import SearchError, suite
from vtacsp.tune import (
    GeneticSearcher,
    GridSearcher,
    ModelSearcher,
    RandomSearcher,
    Result,
    Searcher,
    SimulatedAnnealing,
    WholeGrid,
    search_space,
)
from vtacsp.tune.conformance import SMALL, SearcherConformance
from vtacsp.tune.costmodel import average_recall
from vtacsp.tune.model_searcher import most_different

C10 = next(w for w in suite("resnet18") if w.name == "resnet18.C10")


class TestRandom(SearcherConformance):
    def make(self, space, seed):
        return RandomSearcher(space, seed=seed)


class TestGrid(SearcherConformance):
    def make(self, space, seed):
        return GridSearcher(space, seed=seed)


class TestGenetic(SearcherConformance):
    def make(self, space, seed):
        return GeneticSearcher(space, seed=seed, pop_size=24)


class TestModel(SearcherConformance):
    def make(self, space, seed):
        return ModelSearcher(space, seed=seed, plan_size=32)


class TestModelRank(SearcherConformance):
    def make(self, space, seed):
        return ModelSearcher(space, seed=seed, loss="rank", diversity_filter_ratio=1.5)


class TestModelInitial(SearcherConformance):
    def make(self, space, seed):
        initial = space.sample(20, np.random.default_rng(0)).tolist()
        bias = {initial[0]: 1.0, initial[1]: -1e6}
        return ModelSearcher(space, seed=seed, initial=initial, first_fit=20, bias=bias)


class Backwards(Searcher):
    """A user's own searcher: the interface is one method."""

    def propose(self, n: int) -> Iterator[int]:
        rest = [i for i in self.space.indices().tolist() if i not in self.visited]
        yield from rest[::-1][:n]


class TestOwn(SearcherConformance):
    def make(self, space, seed):
        return Backwards(space, seed=seed)


@pytest.mark.parametrize(
    ("broken", "test"),
    [
        (lambda s, n: s.space.indices()[:n].tolist(), "test_proposes_every_configuration_once"),
        (lambda s, n: [s.draw()] if len(s.visited) < 40 else [], "test_survives_failures_only"),
        (lambda s, n: [s.space.draw(np.random.default_rng(), s.visited)], "test_same_seed_same"),
    ],
)
def test_conformance_finds_what_is_broken(broken, test):
    class Broken(Searcher):
        def propose(self, n):
            return broken(self, n)

    class Conformance(SearcherConformance):
        def make(self, space, seed):
            return Broken(space, seed=seed)

    run = next(getattr(Conformance(), name) for name in dir(Conformance) if name.startswith(test))
    with pytest.raises(AssertionError):
        run()


def cost(index: int) -> Result:
    return Result(costs=(1e-3 * (1 + abs(index - 211)),), timestamp=0.0)


def test_initial_proposals_come_first_in_order():
    space = search_space(SMALL)
    initial = space.indices()[[7, 3, 5]].tolist()
    for searcher in (cls(space, initial=initial) for cls in (RandomSearcher, GeneticSearcher)):
        assert searcher.next_batch(2) + searcher.next_batch(1) == initial


def test_the_model_finds_a_smooth_optimum_sooner_than_chance():
    space = WholeGrid(SMALL)

    def until_best(searcher):
        for number in range(len(space)):
            (index,) = searcher.next_batch(1)
            searcher.update({index: cost(index)})
            if index == 211:
                return number
        raise AssertionError

    tried = [until_best(ModelSearcher(space, seed=seed)) for seed in range(3)]
    assert np.median(tried) < len(space) / 4


def test_genetic_search_breeds_better_generations():
    space = WholeGrid(suite("resnet18")[0])
    target = space.digits(np.array([1234]))[0]
    searcher = GeneticSearcher(space, seed=2)
    means = []
    for _ in range(5):
        batch = searcher.next_batch(100)
        steps = np.abs(space.digits(np.array(batch)) - target).sum(axis=1)
        means.append(steps.mean())
        searcher.update(
            {i: Result(costs=(1.0 + n,)) for i, n in zip(batch, steps.tolist(), strict=True)}
        )
    assert means[-1] < 0.8 * means[0]


def test_the_plan_ends_with_random_proposals():
    space = WholeGrid(C10)
    searcher = ModelSearcher(space, seed=0)
    batch = searcher.next_batch(64)
    searcher.update({index: cost(index) for index in batch})
    plan = searcher.state()["plan"]
    assert len(plan) == 64
    assert not set(plan) & set(batch)
    following = searcher.next_batch(64)
    assert following[:61] == plan[:61]
    assert following[61:] != plan[61:]


def test_annealing_finds_the_maxima_of_a_known_function():
    space = WholeGrid(C10)
    annealing = SimulatedAnnealing(space)
    rng = np.random.default_rng(0)

    def score(indices):
        return 480.0 - np.abs(indices - 100)

    found = annealing.find_maximums(score, 10, {100, 101}, rng)
    assert found[0] == 99
    assert len(found) == 10
    assert not {100, 101} & set(found)
    assert found == sorted(found, key=lambda i: abs(i - 100))
    assert annealing.points is not None
    assert annealing.find_maximums(lambda indices: -1.0 - indices, 10, set(), rng) == []


def test_average_recall_is_autotvms():
    rng = np.random.default_rng(0)
    for n, size in ((8, 30), (64, 20)):
        predictions, labels = rng.random(size), rng.random(size)
        order = np.argsort(predictions)[::-1]
        ranks = [int((labels > labels[i]).sum()) for i in order]
        curve = [sum(r <= i for r in ranks[:i]) / (i + 1) for i in range(size)]
        assert average_recall(predictions, labels, n) == pytest.approx(sum(curve[:n]) / n)


def test_most_different_takes_new_knob_values_first():
    digits = np.array([[0, 0], [0, 1], [1, 1], [2, 2], [0, 0]])
    assert most_different(digits, 3) == [0, 2, 3]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda s: RandomSearcher(s, initial=[-1]), "initial: index -1 is not of"),
        (lambda s: GeneticSearcher(s, elite_num=0), "elite_num is 0"),
        (lambda s: GeneticSearcher(s, mutation_prob=2), "mutation_prob is 2"),
        (lambda s: ModelSearcher(s, plan_size=0), "plan_size is 0"),
        (lambda s: ModelSearcher(s, loss="mse"), "unknown loss 'mse'; known are reg"),
        (lambda s: ModelSearcher(s, diversity_filter_ratio=0.5), "diversity_filter_ratio is 0.5"),
        (lambda s: SimulatedAnnealing(s, n_iter=0), "n_iter is 0"),
        (lambda s: RandomSearcher(s).next_batch(0), "n is 0"),
        (lambda s: RandomSearcher(s).restore(GridSearcher(s).state()), "state is of 'Grid"),
    ],
)
def test_errors(make, message):
    with pytest.raises(SearchError, match=message):
        make(search_space(SMALL))
