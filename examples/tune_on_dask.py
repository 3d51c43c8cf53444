"""Tune on a Dask cluster: every measurement is a task, on whatever machines the cluster has."""

import sys

from vtacsp import compile, find_workloads
from vtacsp.tune import ExecutorMeasurer, ModelSearcher, SimulatorMeasurer, search_space, tune

try:
    from dask.distributed import Client
except ImportError:
    sys.exit("this example needs Dask: pip install '.[dask]'")

if __name__ == "__main__":  # workers import this file
    (layer,) = find_workloads("resnet18.C11")
    space = search_space(compile(layer))  # the default machine
    # Client("tcp://scheduler:8786") is a cluster; this one is made of threads, for the example
    with Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None) as dask:
        measurer = ExecutorMeasurer(SimulatorMeasurer(space), dask.get_executor(), jobs=4)
        searcher = ModelSearcher(space, seed=0)
        result = tune(searcher, measurer, trials=24)
    print(f"{result.measured} measured on Dask, {result.failed} failed")
    print(f"best: {result.best.result.seconds * 1e3:.3f} ms, {result.best_config}")
