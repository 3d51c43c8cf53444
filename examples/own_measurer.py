"""A measurer of your own: a board behind TVM's RPC, with a stand-in where there is no board.

With TVM 0.17, its ``vta`` and a board, give ``on_board`` to the measurer instead of ``stand_in``.
"""

from pathlib import Path

import numpy as np

from vtacsp import PYNQ, Config, Simulator, compile, find_workloads
from vtacsp.free import search
from vtacsp.program import Program
from vtacsp.timing import simulate_timing
from vtacsp.tune import (
    FunctionMeasurer,
    GridSearcher,
    measure_schedules,
    ranked,
    search_space,
    tune,
)

(layer,) = find_workloads("resnet18.C11")
space = search_space(compile(layer))  # the default machine


def build_for_board(config: Config) -> tuple[Path, list[np.ndarray]]:
    """Yours: ``vta.build`` of your schedule with these knobs, exported; its inputs and output."""
    raise NotImplementedError("needs TVM's vta")


def on_board(index: int) -> float:
    """Seconds of a configuration on a board; an exception is a failed measurement."""
    import tvm
    from tvm import rpc

    library, arrays = build_for_board(space.config(index))
    remote = rpc.connect("192.168.2.99", 9091, session_timeout=60)
    remote.upload(str(library))
    device = remote.ext_dev(0)
    arguments = [tvm.nd.array(array, device) for array in arrays]
    timer = remote.load_module(library.name).time_evaluator("conv2d", device, number=4)
    return float(timer(*arguments).mean)


def stand_in(index: int) -> float:
    """What a board might say: the simulator's estimate of a Pynq, and noise of 1%."""
    noise = 1 + 0.01 * np.random.default_rng(index).standard_normal()
    return Simulator(space, timing=PYNQ).run(index).seconds * noise


class Board(FunctionMeasurer):
    """``device`` goes into the log: no other device's results are taken for this one's."""

    device = "pynq stand-in"


# measurements on a board are slow: begin with what the simulator calls fastest
simulator = Simulator(space)
first = ranked(space, 8, lambda indices: simulator.cycles_many(indices.tolist()))
result = tune(GridSearcher(space, initial=first), Board(stand_in), trials=8)
print(f"{result.measured} measured on {Board.device}, {result.failed} failed")
print(f"best: {result.best_config}, {result.best.result.seconds * 1e3:.3f} ms")

# free schedules have no index: a board gets their programs, and has the last word on the fastest
found = search(layer, space.hardware, simulations=500)  # a short search


def program_on_board(program: Program) -> float:
    """Yours: `vtacsp.bundle.pack` makes files of a program that VTA's driver runs."""
    return simulate_timing(program, PYNQ).seconds


measured = measure_schedules(found, Board(stand_in, program_on_board), candidates=4)
print(f"best beyond the template: {measured.best.result.seconds * 1e3:.3f} ms")
