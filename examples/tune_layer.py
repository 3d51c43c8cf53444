"""Tune one layer: measure what can run on the simulator, best candidates first."""

from vtacsp import compile, find_workloads
from vtacsp.tune import ModelSearcher, SimulatorMeasurer, diverse, search_space, tune

(layer,) = find_workloads("resnet18.C11")
space = search_space(compile(layer))  # the feasible configurations, on the default machine
searcher = ModelSearcher(space, seed=0, initial=diverse(space, 16), plan_size=16, first_fit=16)
result = tune(searcher, SimulatorMeasurer(space), trials=32)  # log="c11.log" keeps every result

print(f"{result.measured} measured, {result.failed} failed")
print(f"best: {result.best_config}, {result.best.result.seconds * 1e3:.3f} ms")
