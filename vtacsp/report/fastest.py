"""The least cycles of a layer on machines that differ in scratchpad sizes only."""

from __future__ import annotations

import numpy as np

from vtacsp.arrays import IntArray
from vtacsp.machine.configuration import VTAConfig
from vtacsp.operators.builder import build
from vtacsp.operators.knobs import BLOCK
from vtacsp.space.problem import Problem
from vtacsp.timing.model import RTL, TimingModel
from vtacsp.timing.simulator import simulate_timing
from vtacsp.tune.bound import cycle_bounds

__all__ = ["Fastest"]


class Fastest:
    """Simulates programs of one layer in the order of their lower bounds, each once.

    The size of a scratchpad decides what runs, not how fast it runs: INP, WGT and ACC only give
    addresses.  UOP also says which kernels the runtime evicts and loads again, so programs are
    known per size of UOP.
    """

    def __init__(self, problem: Problem, timing: TimingModel = RTL) -> None:
        self._problem = problem
        self._timing = timing
        self._known: dict[tuple[int, int], int] = {}
        self._bounds = np.empty((2, 0), dtype=np.int64)  # programs, ascending, and their bounds
        self.simulated = 0

    def cycles(self, machine: VTAConfig, indices: IntArray) -> int | None:
        """Least cycles of the feasible configurations ``indices``; None when there are none.

        Raises :class:`~vtacsp.errors.TooLongError` when a program that may be the fastest has
        more steps than are built.
        """
        programs = np.unique(self._problem.knob_space.program(indices))
        bounds = self._bounds_of(programs)
        best: int | None = None
        for position in np.argsort(bounds, kind="stable").tolist():
            if best is not None and bounds[position] >= best:
                break  # no program after this one can be faster
            cycles = self._measure(machine, int(programs[position]))
            best = cycles if best is None else min(best, cycles)
        return best

    def _bounds_of(self, programs: IntArray) -> IntArray:
        """Lower bounds of programs (ascending), each computed once whatever the machine."""
        fresh = programs[~np.isin(programs, self._bounds[0], assume_unique=True)]
        for begin in range(0, len(fresh), BLOCK):
            part = fresh[begin : begin + BLOCK]
            more = np.stack([part, cycle_bounds(self._problem, part, self._timing)])
            self._bounds = np.concatenate([self._bounds, more], axis=1)
        if len(fresh):
            self._bounds = self._bounds[:, np.argsort(self._bounds[0])]
        found: IntArray = self._bounds[1, np.searchsorted(self._bounds[0], programs)]
        return found

    def _measure(self, machine: VTAConfig, index: int) -> int:
        key = index, machine.depth("uop")
        if key not in self._known:
            self.simulated += 1
            program = build(self._problem.workload, machine, index)
            self._known[key] = simulate_timing(program, self._timing).cycles
        return self._known[key]
