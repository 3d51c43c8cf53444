"""Measure and write ``docs/benchmarks.md``: ``python -m tests.benchmarks``."""

from __future__ import annotations

import argparse
import gc
import platform
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from statistics import median

import vtacsp
from vtacsp import (
    Conv2D,
    HardwareSpace,
    JointSpace,
    Problem,
    Workload,
    compile_network,
    suite,
)
from vtacsp.expr import Env
from vtacsp.expr.compiled import conjunction
from vtacsp.machine.legality import ISA_WIDTH

from .contenders import CONTENDERS, Case, Contender, CpSat
from .joint import PEERS, JointCase, Progress

BIG = Conv2D(
    name="1080x1920", in_channels=512, height=1080, width=1920, out_channels=512, kernel=(1, 1)
)
FREE = {
    "LOG_UOP_BUFF_SIZE": range(9, 17),
    "LOG_INP_BUFF_SIZE": range(12, 20),
    "LOG_WGT_BUFF_SIZE": range(14, 22),
    "LOG_ACC_BUFF_SIZE": range(13, 21),
}
OURS = CONTENDERS[0].name
SAMPLES = 1000
SLOW_ROUNDS = 2
YEAR = 365.25 * 24 * 3600


@dataclass
class Measured:
    """One case: seconds per contender (median), and what it found."""

    case: Case
    feasible: int
    seconds: dict[str, float]
    translation: float

    @property
    def fastest_peer(self) -> str:
        return min((n for n in self.seconds if n != OURS), key=self.seconds.__getitem__)

    @property
    def ratio(self) -> float:
        """How many times the fastest peer needs of our time."""
        return self.seconds[self.fastest_peer] / self.seconds[OURS]


def measure(workloads: Sequence[Workload], rounds: int, *, tuned: bool = False) -> list[Measured]:
    """All contenders in turns, each through all layers; fails when two find different sets."""
    cases = [Case(workload, tuned=tuned) for workload in workloads]
    results = []
    for case in cases:
        start = time.perf_counter()
        _ = case.constraints
        results.append(Measured(case, 0, {}, time.perf_counter() - start))
    # raw CP-SAT takes the rules as they are: nothing to tune
    kinds = [kind for kind in CONTENDERS if not (tuned and kind is CpSat)]
    engines = {kind: [kind(case) for case in cases] for kind in kinds}
    _check_equal(engines, results)
    times: dict[type[Contender], list[list[float]]] = {kind: [] for kind in kinds}
    slow = [kind for kind in kinds if kind is CpSat]
    fast = [kind for kind in kinds if kind is not CpSat]
    turns = [slow] * SLOW_ROUNDS
    # everybody follows everybody else
    turns += [fast[i % len(fast) :] + fast[: i % len(fast)] for i in range(rounds)]
    gc.collect()
    gc.freeze()
    for kind in (kind for turn in turns for kind in turn):
        times[kind].append([])
        for engine in engines[kind]:
            start = time.perf_counter()
            found = engine.run()
            times[kind][-1].append(time.perf_counter() - start)
            del found
    gc.unfreeze()
    for i, result in enumerate(results):
        result.seconds = {kind.name: median(r[i] for r in times[kind]) for kind in kinds}
        print(f"{result.case.name}{' (tuned)' * tuned}: {result.ratio:.1f} x", file=sys.stderr)
    return results


def _check_equal(
    engines: dict[type[Contender], list[Contender]], results: Sequence[Measured]
) -> None:
    """Everybody finds the same set; also the round that warms up and does not count."""
    for i, result in enumerate(results):
        found = {kind.name: own[i].indices(own[i].run()) for kind, own in engines.items()}
        result.feasible = len(found[OURS])
        for name, indices in found.items():
            if indices != found[OURS]:
                raise SystemExit(f"{name} finds another set for {result.case.name}")


def _milliseconds(seconds: float) -> str:
    ms = seconds * 1e3
    return f"{ms:,.2f}" if ms < 100 else f"{ms:,.0f}"


def table(layers: Sequence[Measured], big: Measured) -> list[str]:
    """Rows: layers, their sum, the big layer; columns: contenders."""
    names = list(layers[0].seconds)
    head = ["case", "configurations", "feasible", *(f"{n} (ms)" for n in names)]
    lines = [_row([*head, "fastest peer / vtacsp"]), _row(["---"] + ["---:"] * (len(head)))]
    for m in layers:
        lines.append(_row([*_cells(m, names), f"{m.ratio:.1f} ({m.fastest_peer})"]))
    total = {n: sum(m.seconds[n] for m in layers) for n in names}
    best = min((n for n in names if n != OURS), key=total.__getitem__)
    lines.append(
        _row([
            "**(a) ResNet-18, sum**",
            f"{sum(m.case.size for m in layers):,}",
            f"{sum(m.feasible for m in layers):,}",
            *(f"**{_milliseconds(total[n])}**" for n in names),
            f"**{total[best] / total[OURS]:.1f}** ({best})",
        ])
    )  # fmt: skip
    cells = _cells(big, names)
    cells[0] = "**(b) 1080 x 1920, 512 -> 512, 1x1**"
    lines.append(_row([*cells, f"**{big.ratio:.1f}** ({big.fastest_peer})"]))
    return lines


def _cells(m: Measured, names: Sequence[str]) -> list[str]:
    times = [_milliseconds(m.seconds[name]) for name in names]
    return [m.case.name, f"{m.case.size:,}", f"{m.feasible:,}", *times]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


@dataclass
class Joint:
    """The joint space: what we need, what peers reach, what the check found."""

    machines: int
    points: int
    build: float
    sample: float
    check: float
    checked_samples: int
    peers: dict[str, Progress]
    limit: float


def measure_joint(seconds: float, rounds: int) -> Joint:
    """Ours on the joint space of ResNet-18, checked, and the peers for so many seconds each."""
    layers = suite("resnet18")
    builds, samples = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        hardware = HardwareSpace(None, **FREE)
        space = compile_network(layers, hardware)
        points = space.count()
        builds.append(time.perf_counter() - start)
        start = time.perf_counter()
        drawn = space.sample(SAMPLES, seed=0)
        samples.append(time.perf_counter() - start)
    start = time.perf_counter()
    total = sum(
        prod(vtacsp.compile(layer, machine).count() for layer in layers) for machine in hardware
    )
    if total != points:
        raise SystemExit(f"the joint count is {points}, machine by machine it is {total}")
    check = time.perf_counter() - start
    _check_samples(space, drawn)
    case = JointCase(layers, hardware)
    peers = {}
    for name, run in PEERS.items():
        peers[name] = run(case, seconds)
        print(f"{name}: {peers[name]}", file=sys.stderr)
    return Joint(
        len(hardware), points, median(builds), median(samples), check, len(drawn), peers,
        seconds,
    )  # fmt: skip


def _check_samples(space: JointSpace, drawn: Sequence[vtacsp.JointPoint]) -> None:
    ranks = [space.rank(point) for point in drawn]
    if len(set(ranks)) != len(ranks):
        raise SystemExit("a point was drawn twice")
    for point in random.Random(0).sample(list(drawn), 50):
        for layer, config in zip(space.workloads, point.configs, strict=True):
            problem = Problem(layer, point.hardware)
            if problem.causes([problem.knob_space.index(config)]) != ["ok"]:
                raise SystemExit(f"{layer.name}: a drawn configuration is not feasible")


def _too_wide() -> int:
    """Legal machines whose GEMM or ALU instruction does not fit."""
    machines = HardwareSpace(**FREE)
    values = Env({**machines.base.symbols, **machines.columns()}).evaluate(ISA_WIDTH.holds)
    return int((~values).sum())


def joint_table(joint: Joint) -> list[str]:
    """One row per engine."""
    lines = [
        _row(["engine", "time", "points", "finished", "at this rate"]),
        _row(["---", "---:", "---:", "---", "---:"]),
        _row([
            OURS, f"{joint.build:.2f} s + {joint.sample:.2f} s for {SAMPLES:,} samples",
            f"all {joint.points:,} counted", "yes", "-",
        ]),
    ]  # fmt: skip
    for name, progress in joint.peers.items():
        rate = progress.points / progress.seconds
        years = f"{joint.points / rate / YEAR:.1e} years" if rate else "-"
        done = "yes" if progress.finished else "no"
        lines.append(
            _row([name, f"{progress.seconds:.0f} s", f"{progress.points:,} listed", done, years])
        )
    return lines


def first_call() -> float:
    """What the first layer of a kind costs more than the second (seconds)."""
    times = []
    for _ in range(5):
        conjunction.cache_clear()
        start = time.perf_counter()
        vtacsp.compile(BIG)
        middle = time.perf_counter()
        vtacsp.compile(BIG)
        times.append(2 * middle - start - time.perf_counter())
    return median(times)


def _machine() -> str:
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        names = [x.split(":")[1].strip() for x in lines if x.startswith("model name")]
        cpu = f"{names[0]}, {len(names)} cores (shared with other work)" if names else cpu
    return f"{cpu}, {platform.system()}, Python {platform.python_version()}"


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    result = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent
    )
    return result.stdout.strip() or "unknown"


def page(plain: list[Measured], tuned: list[Measured], joint: Joint, rounds: int) -> str:
    """The text of ``docs/benchmarks.md``."""
    *layers, big = plain
    *tuned_layers, tuned_big = tuned
    now = f"{time.strftime('%Y-%m-%d')}, commit {_commit()}"
    packages = ("ortools", "python-constraint2", "pyatf", "numpy")
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    least = min(layers, key=lambda m: m.ratio)
    slower = [m for m in tuned_layers if m.ratio < 1]
    translation = median(m.translation for m in plain)
    text = f"""
# Benchmarks

Written by `python -m tests.benchmarks` (from the repository, with the `bench` extra); do not
edit. {now}.
{_machine()}; {versions}.

All engines run side by side in one process, in turns that rotate; in a turn an engine goes
through all layers of a case. Times are medians of {rounds} rounds after one that does not count
(of {SLOW_ROUNDS} for CP-SAT, on its own). Every engine has to find the identical set of
configurations on every layer, or nothing is written. The machine is shared: trust ratios, not
milliseconds.

## One layer, default hardware

""".lstrip()
    text += "\n".join(table(layers, big))
    text += f"""

- **Bar (b)**, at least 10 times faster than the fastest peer: {big.ratio:.1f} times
  ({_verdict(big.ratio >= 10)}).
- **Bar (a)**, never slower than any peer on any layer: least ratio {least.ratio:.1f} on
  {least.case.name} ({_verdict(least.ratio >= 1)}).

What is timed: from a workload and a machine to all feasible configurations, model building
included (not imports, and not what a process does once, see below). vtacsp ends with a sorted
index ready for ranks and samples; the peers end with what their library returns (a list of
dictionaries, pyATF's tree), without conversion to indices.

What "the same rules" means: one translation (`tests/benchmarks/translate.py`) turns the rule
expressions into Python functions over the knobs. Workload and hardware values are folded in,
conjunctions are split, equal parts are computed once, each constraint has the smallest scope,
cheap ones come first, procedures (the replay of the micro-op cache) last and guarded. The
translation is **not** charged to the peers: it takes {translation * 1e3:.0f} ms per layer here,
a user would write the rules by hand. python-constraint2 gets callables and its default
`OptimizedBacktrackingSolver`, pyATF the parameters in the order that decides most constraints
first, brute force one function that stops at the first constraint that fails. Raw CP-SAT is our
own model (`vtacsp.space.cpsat`), one worker, all solutions.

What is not included: imports, and writing the numpy function of an operator's rules, once per
process and kind of layer (padded or not, biased or not, grouped or not; no sizes go into it):
the first convolution of a process takes {first_call() * 1e3:.0f} ms more.

## The same, with peers tuned by hand

"""
    text += "\n".join(table(tuned_layers, tuned_big))
    text += f"""

The best case for the peers: somebody looked at each layer on this machine beforehand and left
out every constraint that holds everywhere (found here by trying, not charged). vtacsp is the
same as above, with all rules. {_tuned_reading(tuned_layers, slower)}
On (b) the ratio is {tuned_big.ratio:.1f}.

## A network with free hardware

(c) One machine for the ten layers of ResNet-18, each scratchpad size free over eight powers of
two: {len(FREE)} sizes, {prod(map(len, FREE.values())):,} combinations, {joint.machines:,} of
them legal (micro-op width rule). On {_too_wide():,} of those, instructions outgrow 128 bits
(`isa:instruction`) and nothing is feasible.

"""
    text += "\n".join(joint_table(joint))
    text += f"""

vtacsp counts exactly and draws {SAMPLES:,} points without replacement, every subset equally
likely, without listing. The count was checked in this run against all
{joint.machines:,} machines one by one (the sum over machines of the product of
`vtacsp.compile(...).count()` over layers, {joint.check:.0f} s: equal); all
{joint.checked_samples:,} samples are different, 50 of them were checked layer by layer.

The peers get the same translated rules, the machine's sizes first and large ones before small
ones (so that the first points come soon), and {joint.limit:.0f} s each. They list points, which
cannot end: the last column says when (pyATF keeps them all and is stopped at 10 million). With
0 points an engine was still looking for a first one. An engine that is told to treat layers one
by one for every machine would do better, but that is the decomposition of
`vtacsp.compile_network`, not a feature of theirs. On a joint space small enough for all, all
find the same number of points (`tests/benchmarks/test_speed.py`).
"""
    return text


def _verdict(met: bool) -> str:
    return "met" if met else "**missed**"


def _tuned_reading(layers: Sequence[Measured], slower: Sequence[Measured]) -> str:
    if not slower:
        return "It is still never slower on (a)."
    names = ", ".join(m.case.name.removeprefix("resnet18.") for m in slower)
    worst = min(slower, key=lambda m: m.ratio)
    return (
        f"There a peer is\nfaster on {len(slower)} of {len(layers)} small layers ({names};\n"
        f"at worst {worst.fastest_peer} on {worst.case.name}, {1 / worst.ratio:.1f} times): on a "
        "few hundred configurations the\nfixed cost of the numpy calls, about half a "
        "millisecond, is what counts."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="rounds of the fast engines")
    parser.add_argument("--seconds", type=float, default=60, help="time of each peer on (c)")
    default = Path(__file__).parents[2] / "docs" / "benchmarks.md"
    parser.add_argument("--output", type=Path, default=default)
    args = parser.parse_args()
    groups = [suite("resnet18"), [BIG]]
    plain = [m for group in groups for m in measure(group, args.rounds)]
    tuned = [m for group in groups for m in measure(group, args.rounds, tuned=True)]
    joint = measure_joint(args.seconds, rounds=3)
    args.output.parent.mkdir(exist_ok=True)
    args.output.write_text(page(plain, tuned, joint, args.rounds), encoding="utf-8")
    print(f"wrote {args.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
