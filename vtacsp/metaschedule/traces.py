"""A configuration as a MetaSchedule schedule, and back.

One straight-line schedule per operator: it samples the knobs in the order of the knob space,
writes each one on the ``out`` block (``vta.knob.tile_h``, ...), tiles, reorders, binds the virtual
threads and moves every stage to where VTA executes it.  A trace or a module that carries these
annotations converts back to its configuration.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from vtacsp.errors import ConfigError
from vtacsp.metaschedule.compute import blocks_of, problem_of
from vtacsp.operators.knobs import Config, Knob, KnobSpace
from vtacsp.operators.workload import Workload

__all__ = ["apply", "config_of", "with_config"]

KNOB, SCOPE = "vta.knob.", "vta.scope"
PERFECT_TILE, CATEGORICAL = "SamplePerfectTile", "SampleCategorical"


def apply(sch: Schedule, config: Mapping[str, int] | None = None) -> None:
    """Schedule the operator; sample the knobs when no configuration is given.

    ``sch`` is a fresh schedule of :func:`~vtacsp.metaschedule.prim_func`.  Sampling alone knows
    no rules: most of what it draws is infeasible.
    Raises :class:`~vtacsp.errors.ConfigError` for a configuration that is not of the knob space.

    >>> from tvm.s_tir import Schedule
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> schedule = Schedule(prim_func(layer))
    >>> apply(schedule, vtacsp.compile(layer)[0])
    >>> config_of(schedule) == vtacsp.compile(layer)[0]
    True
    """
    workload, hardware = problem_of(sch.mod)
    space = KnobSpace.of(workload, hardware)
    digits: list[int | None] = [None] * len(space.knobs)
    if config is not None:
        space.index(config)
        digits = [knob.position(config[knob.name]) for knob in space.knobs]
    out, gemm = sch.get_sblock("out"), sch.get_sblock("gemm")
    spatial = "tile_h" in space.names
    names = ("tile_b", "tile_co", "tile_h", "tile_w") if spatial else ("tile_b", "tile_co")
    loops = dict(zip(names, sch.get_loops(out), strict=False))
    splits = {**loops, "tile_ci": sch.get_loops(gemm)[6 if spatial else 4]}
    chosen: dict[str, Any] = {}
    for knob, digit in zip(space.knobs, digits, strict=True):
        candidates = list(knob.values)
        if knob.name in splits:
            factors = None if digit is None else [candidates[-1 - digit], candidates[digit]]
            chosen[knob.name] = sch.sample_perfect_tile(
                splits[knob.name], n=2, max_innermost_factor=candidates[-1], decision=factors
            )
            value = chosen[knob.name][1]
        else:
            likely = [1 / len(candidates)] * len(candidates)
            value = chosen[knob.name] = sch.sample_categorical(candidates, likely, decision=digit)
        sch.annotate(out, KNOB + knob.name, value)
    if spatial:
        # tile_b is defined and never applied, as upstream
        batch = [loops["tile_b"]]
        h = sch.split(loops["tile_h"], chosen["tile_h"])
        w = sch.split(loops["tile_w"], chosen["tile_w"])
    else:
        batch, h, w = sch.split(loops["tile_b"], chosen["tile_b"]), [], []
    co = sch.split(loops["tile_co"], chosen["tile_co"])
    threads = []
    for knob_name, loop, axis in (("oc_nthread", co, "x"), ("h_nthread", h, "y")):
        if knob_name in chosen:
            loop[0], thread = sch.split(loop[0], [None, chosen[knob_name]])
            sch.bind(thread, f"vthread.{axis}")
            threads.append(thread)
    sch.reorder(*threads, batch[0], *h[:1], co[0], *w[:1], *batch[1:], co[1], *h[1:], *w[1:])
    _place(sch, workload, (w or co)[0], chosen["tile_ci"], spatial)


def _place(sch: Schedule, workload: Workload, tile: Any, steps: Any, spatial: bool) -> None:
    """Move the stages under the loop over tiles.

    Per tile: reset; for every step of the reduction load data, load weights, GEMM; epilogue.
    """

    def move(block: Any, loop: Any, scope: str) -> None:
        sch.compute_at(block, loop, preserve_unit_loops=True)
        sch.annotate(block, SCOPE, scope)

    gemm, stage = sch.get_sblock("gemm"), sch.get_sblock("out")
    sch.annotate(stage, SCOPE, "out")
    while _name(sch, stage) != "gemm":
        (stage,) = sch.get_producers(stage)
        move(stage, tile, "acc")
    for name, p in zip(blocks_of(workload), workload.chain.passes, strict=True):
        if p.operand is not None:
            move(sch.cache_read(sch.get_sblock(name), int(not p.left), "global"), tile, "acc")
    if not spatial:
        n, c, i, o, k_o, k_i = sch.get_loops(gemm)[-6:]
        image, taps = [], []
    else:
        n, c, *image, i, o, k_o, d_i, d_j, k_i = sch.get_loops(gemm)[-10:]
        taps = [d_j, d_i]
    outer, inner = sch.split(k_o, steps)
    sch.reorder(n, outer, inner, *image[1:], *taps, c, *image[:1], i, o, k_i)
    load = next((b for b in sch.get_producers(gemm) if _name(sch, b) == "pad"), None)
    move(load or sch.cache_read(gemm, 0, "global"), outer, "inp")
    move(sch.cache_read(gemm, 1, "global"), outer, "wgt")
    sch.annotate(sch.decompose_reduction(gemm, outer), SCOPE, "acc")


def _name(sch: Schedule, block: Any) -> str:
    return str(sch.get(block).name_hint)


def config_of(source: Schedule | Trace | IRModule) -> Config:
    """The configuration of a schedule, a trace (a tuning record's), or a scheduled module.

    Raises :class:`~vtacsp.errors.ConfigError` when it carries no knob.

    >>> from tvm.s_tir import Schedule
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> schedule = Schedule(prim_func(layer))
    >>> apply(schedule, vtacsp.compile(layer)[0])
    >>> config_of(schedule)
    {'tile_b': 1, 'tile_ci': 1, 'tile_co': 1, 'oc_nthread': 1}
    >>> config_of(schedule.trace) == config_of(schedule.mod) == config_of(schedule)
    True
    """
    if isinstance(source, Schedule):
        source = source.trace
    config = _annotated(source) if isinstance(source, IRModule) else _decided(source)
    if not config:
        raise ConfigError(f"no block is annotated with {KNOB}*: it is no schedule of vtacsp")
    return config


def with_config(trace: Trace, config: Mapping[str, int]) -> Trace:
    """The trace of another configuration.

    Raises :class:`~vtacsp.errors.ConfigError` for a knob or a value that the trace cannot sample.

    >>> from tvm.s_tir import Schedule
    >>> layer = vtacsp.Dense(name="mine", in_features=64, out_features=64)
    >>> first, second = vtacsp.compile(layer)[0], vtacsp.compile(layer)[1]
    >>> schedule = Schedule(prim_func(layer))
    >>> apply(schedule, first)
    >>> config_of(with_config(schedule.trace, second)) == second
    True
    """
    sampled = _sampled(trace)
    if sampled.keys() != config.keys():
        raise ConfigError(
            f"the knobs of the trace are {', '.join(sampled)}, of the configuration "
            f"{', '.join(config)}"
        )
    decisions = dict(trace.decisions.items())
    for name, value in config.items():
        decisions[sampled[name]] = _decision(name, sampled[name], trace, value)
    return Trace(trace.insts, decisions)


def _annotated(mod: IRModule) -> Config:
    sch = Schedule(mod)
    annotations = sch.get(sch.get_sblock("out")).annotations.items()
    return {k.removeprefix(KNOB): int(v) for k, v in annotations if k.startswith(KNOB)}


def _decided(trace: Trace) -> Config:
    config = {}
    for name, instruction in _sampled(trace).items():
        decision = trace.get_decision(instruction)
        if instruction.kind.name == PERFECT_TILE:
            config[name] = int(decision[-1])
        else:
            config[name] = int(instruction.attrs[0][int(decision)])
    return config


def _sampled(trace: Trace) -> dict[str, Any]:
    """The instruction that samples each knob."""
    samples, knobs = [], {}
    for instruction in trace.insts:
        kind, attributes = instruction.kind.name, instruction.attrs
        if kind in (PERFECT_TILE, CATEGORICAL):
            samples.append(instruction)
        elif kind == "Annotate" and attributes[0].startswith(KNOB):
            value = instruction.inputs[1]
            (source,) = (s for s in samples if value.same_as(s.outputs[-1]))
            knobs[attributes[0].removeprefix(KNOB)] = source
    return knobs


def _decision(name: str, instruction: Any, trace: Trace, value: int) -> Any:
    if instruction.kind.name == PERFECT_TILE:
        extent = prod(int(factor) for factor in trace.get_decision(instruction))
        if value < 1 or extent % value:
            raise ConfigError(f"{name} is {value!r}, allowed are the divisors of {extent}")
        return [extent // value, value]
    candidates = [int(candidate) for candidate in instruction.attrs[0]]
    return Knob(name, tuple(candidates)).position(value)
