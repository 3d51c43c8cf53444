"""Logs of the small layers, simulated with constants that a fit does not see."""

from __future__ import annotations

from functools import cache

import numpy as np

from tests.support.golden import golden
from vtacsp import KnobSpace, VTAConfig, build, workload_from_dict
from vtacsp.timing import simulate_timing
from vtacsp.tune import MeasureErrorNo, Record, Result, Task

SMALL = ("k1-pad1", "d-small", "group.small")


@cache
def tables(latency):
    """Layer, machine, AutoTVM indices and cycles of the RTL, by the name of the layer."""
    return {
        case["workload"]["name"]: (
            workload_from_dict(case["workload"]),
            VTAConfig.from_dict(case["hardware"]),
            case["indices"],
            case["cycles"],
        )
        for case in golden("cycles")["cases"]
        if case["memory_latency"] == latency
    }


@cache
def programs():
    """Every program of the small layers: layer, machine, index, what is built."""
    found = []
    for name in SMALL:
        layer, machine, indices, _ = tables(16)[name]
        mine = np.unique(KnobSpace.of(layer, machine).program(np.array(indices))).tolist()
        found += [(layer, machine, index, build(layer, machine, index)) for index in mine]
    return found


def record(layer, machine, index, *costs, device="board"):
    """A record of a log; without costs it failed."""
    error = MeasureErrorNo.NO_ERROR if costs else MeasureErrorNo.RUN_TIMEOUT
    config = KnobSpace.of(layer, machine).config(index)
    result = Result(costs, error, 0.0, 0.0)
    return Record(Task.of(layer, machine, device), index, config, result, layer.name, device)


def simulated(timing, noise=0.0, outliers=0.0, seed=0, some=None):
    """Records of the small layers under a timing model, with noise and with outliers."""
    generator = np.random.default_rng(seed)
    found = []
    for layer, machine, index, program in programs()[:some]:
        seconds = simulate_timing(program, timing).cycles / timing.clock_hz
        seconds *= 1 + noise * generator.standard_normal()
        if generator.random() < outliers:
            seconds *= generator.uniform(1.2, 5)
        found.append(record(layer, machine, index, seconds))
    return found
