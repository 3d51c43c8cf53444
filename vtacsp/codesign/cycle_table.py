"""A layer on all machines that differ in scratchpads only: what can run where, and how fast.

A program does not depend on the sizes of scratchpads, but for one thing: the runtime evicts
micro-op kernels when those of a program do not all fit, and loads them again.  A row of a table is
a configuration together with the micro-op scratchpads on which it is one program: all of those
that hold its kernels, or a single one that does not.

Which scratchpads hold a configuration is read off the rules themselves: each of their conditions is
evaluated for every size that it looks at.  Nothing is assumed to grow with a size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod

import numpy as np

from vtacsp.arrays import BoolArray, IntArray
from vtacsp.codesign.machines import SCRATCHPADS
from vtacsp.errors import SearchError
from vtacsp.expr import Bool, Env, Int, const, maximum, pow2, truth
from vtacsp.expr.nodes import Relation
from vtacsp.machine.configuration import BUFFER_FIELDS, VTAConfig
from vtacsp.machine.legality import ISA_WIDTH
from vtacsp.operators.builder import build
from vtacsp.operators.registry import has_part
from vtacsp.operators.workload import Workload
from vtacsp.rules.symbols import (
    CI,
    CO,
    KH,
    KW,
    LOG_BLOCK,
    LOG_WGT_WIDTH,
    OH,
    OW,
    PASSES,
    N,
)
from vtacsp.space.problem import Problem
from vtacsp.timing.model import TimingModel
from vtacsp.timing.simulator import simulate_timing
from vtacsp.tune.bound import cycle_bounds

__all__ = ["FAR", "CycleTable", "compile_table", "prove", "work_bound"]

FAR = 1 << 60
"""Cycles of a machine on which nothing is feasible."""

ANY = -1
"""The micro-op scratchpad of a row whose kernels all fit it."""

_UOP = BUFFER_FIELDS["uop"]


@dataclass(frozen=True)
class CycleTable:
    """Configurations of a layer that run with some scratchpads, one row per program.

    ``index`` is the AutoTVM index, ``program`` the index of its program (idle knobs at their first
    candidate), ``uop`` the ``LOG_UOP_BUFF_SIZE`` that it is a program for, or :data:`ANY`; each of
    shape (rows,).  ``bounds`` are lower bounds of its cycles by ``bus_bytes``.  Rows of one
    ``kind`` run with the same scratchpads: ``runs`` has, by the keys that its conditions look at,
    a table of shape (kinds, combinations of their sizes), the last key fastest.
    ``sizes`` are the sizes considered, by key.
    """

    workload: Workload
    hardware: VTAConfig
    sizes: Mapping[str, tuple[int, ...]]
    index: IntArray = field(repr=False)
    program: IntArray = field(repr=False)
    uop: IntArray = field(repr=False)
    kind: IntArray = field(repr=False)
    runs: tuple[tuple[tuple[str, ...], BoolArray], ...] = field(repr=False)
    bounds: Mapping[int, IntArray] = field(repr=False)

    def __len__(self) -> int:
        return len(self.index)

    def places(self, scratchpads: Mapping[str, IntArray]) -> list[IntArray]:
        """Columns of the tables in ``runs`` for machines, given as arrays of sizes."""
        at = {
            key: np.searchsorted(np.array(values), scratchpads[key])
            for key, values in self.sizes.items()
        }
        found = []
        for keys, _ in self.runs:
            place = np.zeros(len(next(iter(at.values()))), dtype=np.int64)
            for key in keys:
                place = place * len(self.sizes[key]) + at[key]
            found.append(place)
        return found

    def least(
        self, values: IntArray, scratchpads: Mapping[str, IntArray]
    ) -> tuple[IntArray, IntArray]:
        """The least of the rows' ``values`` on each machine, and the row that has it.

        :data:`FAR` and -1 where nothing runs.  Among equals the row with the lowest index.
        """
        places = self.places(scratchpads)
        count = len(places[0]) if places else len(next(iter(scratchpads.values())))
        best = np.full(count, FAR, dtype=np.int64)
        row = np.full(count, -1, dtype=np.int64)
        open_ = np.arange(count)
        order = np.lexsort((self.index, values))
        _, first = np.unique(self.kind[order], return_index=True)
        for at in order[np.sort(first)].tolist():
            if not len(open_):
                break
            kind = self.kind[at]
            runs = np.ones(len(open_), dtype=np.bool_)
            for (_, table), place in zip(self.runs, places, strict=True):
                runs &= table[kind, place[open_]]
            mine = open_[runs]
            best[mine], row[mine] = values[at], at
            open_ = open_[~runs]
        return best, row

    def feasible_counts(self, scratchpads: Mapping[str, IntArray]) -> IntArray:
        """Programs that run on each machine."""
        places = self.places(scratchpads)
        rows = np.bincount(self.kind, minlength=int(self.kind.max(initial=-1)) + 1)
        total = np.zeros(len(next(iter(scratchpads.values()))), dtype=np.int64)
        for kind, number in enumerate(rows.tolist()):
            runs = np.ones(len(total), dtype=np.bool_)
            for (_, table), place in zip(self.runs, places, strict=True):
                runs &= table[kind, place]
            total += number * runs
        return total


def compile_table(
    workload: Workload,
    hardware: VTAConfig,
    sizes: Mapping[str, tuple[int, ...]],
    timings: Sequence[TimingModel],
) -> CycleTable:
    """The table of a layer; ``hardware`` says everything but the scratchpads.

    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer.
    """
    problem = Problem(workload, hardware)
    keys = frozenset(sizes)
    # the machine alone decides about instruction widths; the space of machines has done that
    rules = [rule for rule in problem.rules if rule is not ISA_WIDTH]
    fixed = [rule for rule in rules if not rule.holds.symbols & keys]
    varying = [part for rule in rules if rule.holds.symbols & keys for part in _parts(rule.holds)]
    still = [part for part in varying if not part.symbols & keys]
    varying = [part for part in varying if part.symbols & keys]
    indices = problem.with_rules(fixed).feasible_indices()
    for part in still:
        indices = indices[_flat(problem, part, indices)]
    # one row per program; its cycles are those of the others
    indices = _first_of_each(indices, problem.knob_space.program(indices))
    runs: dict[tuple[str, ...], BoolArray] = {}
    for part in sorted(varying, key=lambda part: part.tabulated):  # formulas first
        names = tuple(key for key in SCRATCHPADS if key in part.symbols)
        holds = _on_sizes(problem, part, indices, {key: sizes[key] for key in names})
        holds &= runs.get(names, True)
        keep = holds.any(axis=1)
        runs[names] = holds
        if not keep.all():
            indices = indices[keep]
            runs = {names: table[keep] for names, table in runs.items()}
    alone = (_UOP,)
    fits = _on_sizes(problem, _holds_kernels(problem), indices, {_UOP: sizes[_UOP]})
    allowed = runs.pop(alone, np.ones(fits.shape, dtype=np.bool_))
    rows, uops, of_uop = _variants(allowed, fits, sizes[_UOP])
    tables = [(alone, of_uop), *((names, table[rows]) for names, table in runs.items())]
    indices = indices[rows]
    packed = np.concatenate([np.packbits(table, axis=1) for _, table in tables], axis=1)
    _, first, kind = np.unique(packed, axis=0, return_index=True, return_inverse=True)
    return CycleTable(
        workload=workload,
        hardware=hardware,
        sizes=dict(sizes),
        index=indices,
        program=problem.knob_space.program(indices),
        uop=uops,
        kind=kind.reshape(-1).astype(np.int64),
        runs=tuple((names, table[first]) for names, table in tables),
        bounds={t.bus_bytes: _bounds(problem, indices, t) for t in timings},
    )


def _holds_kernels(problem: Problem) -> Bool:
    """The micro-op scratchpad holds all kernels of a program: then its size changes nothing."""
    for rule in problem.rules:
        if rule.name == "uop_eviction":
            return rule.quantities["need"] <= rule.quantities["depth"]
    return truth(False)  # an operator that does not say: a program of its own for every size


def _bounds(problem: Problem, indices: IntArray, timing: TimingModel) -> IntArray:
    """Lower bounds of the cycles; zeros, which cut nothing, for an operator that has none."""
    if not _is_bounded(problem.workload):
        return np.zeros(len(indices), dtype=np.int64)
    return cycle_bounds(problem, indices, timing)


def _parts(node: Bool) -> list[Bool]:
    if isinstance(node, Relation) and node.operator == "and":
        return [part for child in node.operands for part in _parts(child)]  # type: ignore[arg-type]
    return [node]


def _first_of_each(indices: IntArray, programs: IntArray) -> IntArray:
    _, first = np.unique(programs, return_index=True)
    found: IntArray = np.sort(indices[first])
    return found


def _flat(problem: Problem, part: Bool, indices: IntArray) -> BoolArray:
    value = problem.at(indices).evaluate(part)
    return np.broadcast_to(np.asarray(value, dtype=np.bool_), indices.shape)


def _on_sizes(
    problem: Problem, part: Bool, indices: IntArray, sizes: Mapping[str, tuple[int, ...]]
) -> BoolArray:
    """Whether a condition holds, shape (len(indices), combinations of sizes)."""
    shape = (len(indices), prod(len(values) for values in sizes.values()))
    combinations = np.array(list(product(*sizes.values())), dtype=np.int64).reshape(shape[1], -1)
    machines = {key: combinations[None, :, i] for i, key in enumerate(sizes)}
    knobs = {k: v[:, None] for k, v in problem.knob_space.columns(indices).items()}
    value = Env({**problem.constants, **knobs, **machines}).evaluate(part)
    holds: BoolArray = np.broadcast_to(np.asarray(value, dtype=np.bool_), shape).copy()
    return holds


def _variants(
    allowed: BoolArray, fits: BoolArray, sizes: tuple[int, ...]
) -> tuple[IntArray, IntArray, BoolArray]:
    """Rows by micro-op scratchpad: of which configuration, for which size, and where they run."""
    whole = allowed & fits
    rows, uops = [np.flatnonzero(whole.any(axis=1))], [np.full(whole.any(axis=1).sum(), ANY)]
    tables = [whole[rows[0]]]
    for place, size in enumerate(sizes):
        evicts = np.flatnonzero(allowed[:, place] & ~fits[:, place])
        table = np.zeros((len(evicts), len(sizes)), dtype=np.bool_)
        table[:, place] = True
        rows.append(evicts)
        uops.append(np.full(len(evicts), size))
        tables.append(table)
    return np.concatenate(rows), np.concatenate(uops).astype(np.int64), np.concatenate(tables)


def prove(
    table: CycleTable,
    timing: TimingModel,
    values: IntArray,
    known: BoolArray,
    scratchpads: Mapping[str, IntArray],
) -> list[tuple[int, int]]:
    """Simulate until the least cycles on every machine are those of a simulated row.

    ``values`` are cycles where ``known``, else bounds, shape (rows,).  Returns the rows that were
    simulated and their cycles.  Raises :class:`~vtacsp.errors.SearchError` for a bound that is
    above the cycles: then nothing that it cut is proven.
    """
    values, known = values.copy(), known.copy()
    done: list[tuple[int, int]] = []
    open_ = np.arange(len(next(iter(scratchpads.values()))))
    while len(open_):
        here = {key: sizes[open_] for key, sizes in scratchpads.items()}
        _, rows = table.least(values, here)
        missing = rows >= 0
        missing[missing] = ~known[rows[missing]]
        places = np.flatnonzero(missing)
        for place, row in _one_each(places, rows[places]):
            sizes = {key: int(column[place]) for key, column in here.items()}
            cycles = simulate_row(table, timing, row, sizes)
            if cycles < values[row]:
                raise SearchError(
                    f"{table.workload.name} index {table.index[row]} on "
                    f"{table.hardware.replace(**sizes)}, bus of {timing.bus_bytes} bytes: takes "
                    f"{cycles:,} cycles, its bound is {values[row]:,}; please report this"
                )
            values[row], known[row] = cycles, True
            done.append((row, cycles))
        open_ = open_[missing]
    return done


def simulate_row(table: CycleTable, timing: TimingModel, row: int, sizes: Mapping[str, int]) -> int:
    """Cycles of a row's program, built for a machine with these scratchpads."""
    program = build(table.workload, table.hardware.replace(**sizes), int(table.index[row]))
    return int(simulate_timing(program, timing).cycles)


def _one_each(places: IntArray, rows: IntArray) -> list[tuple[int, int]]:
    unique, first = np.unique(rows, return_index=True)
    return list(zip(places[first].tolist(), unique.tolist(), strict=True))


def work_bound(workload: Workload, hardware: VTAConfig, timing: TimingModel) -> int:
    """Cycles that no program of the template avoids, whatever its tiles.

    GEMM and ALU share a module: every product, with padding, is a micro-op, every output is reset
    and passes through the epilogue.  Every weight is read at least once.  0 for an operator that is
    not known here.
    Raises :class:`~vtacsp.errors.WorkloadError` when the machine cannot pack the layer.
    """
    symbols = {**workload.symbols(hardware), **hardware.symbols}
    if not _is_bounded(workload):
        return 0
    return int(Env(symbols).evaluate(_work("OH" in symbols, timing)))


def _is_bounded(workload: Workload) -> bool:
    """Whether the cycles have a lower bound before they are simulated: the work is in the nest."""
    return has_part(workload.op, "nest")


def _work(spatial: bool, t: TimingModel) -> Int:
    outputs = N * CO * (OH * OW if spatial else const(1))
    inputs = CI * (KH * KW if spatial else const(1))
    compute = outputs * (inputs * t.gemm_interval + t.gemm_interval + PASSES * t.alu_interval)
    read = CO * inputs * pow2(2 * LOG_BLOCK + LOG_WGT_WIDTH - 3) // t.bus_bytes
    return maximum(compute, read)
