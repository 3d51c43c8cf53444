"""Measure the simulators and write their page: ``python -m tests.benchmarks.simulation``."""

from __future__ import annotations

import argparse
import gc
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import vtacsp
from vtacsp import Conv2D, Simulator, VTAConfig, build, random_operands, suite
from vtacsp.functional import execute
from vtacsp.program import Program
from vtacsp.timing import simulate_all, simulate_timing

PAGE = Path(__file__).parents[2] / "docs" / "simulation_speed.md"
BAR_RATIO, BAR_IM2COL, BAR_BEST = 50, 10, 60.0
ROUNDS = 3  # of the numpy convolution


@dataclass
class Layer:
    """Seconds of every program of a feasible set: building it, and running it, shape (n, 2)."""

    name: str
    timed: NDArray[np.float64]
    executed: NDArray[np.float64]
    in_turns: float  # the ratio when each program is timed and executed before the next is built
    instructions: float
    slowest: float  # of the functional simulation
    im2col: float

    @property
    def at_the_bar(self) -> float:
        """The ratio if the functional simulation took what its own bar allows."""
        allowed = self.executed[:, 0].mean() + BAR_IM2COL * self.im2col
        return float(allowed / self.timed.sum(axis=1).mean())

    @property
    def ratio(self) -> float:
        """How much faster the set is built and timed than built and executed."""
        return float(self.executed.sum() / self.timed.sum())

    @property
    def ratios(self) -> NDArray[np.float64]:
        """The same for each program."""
        result: NDArray[np.float64] = self.executed.sum(axis=1) / self.timed.sum(axis=1)
        return result


def im2col(layer: Conv2D, data: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """The convolution as one int32 matrix product of numpy."""
    (ph, pw), (sh, sw), (kh, kw) = layer.padding, layer.stride, layer.kernel
    data = np.pad(data, ((0, 0), (ph, ph), (pw, pw)))
    windows = np.lib.stride_tricks.sliding_window_view(data, (kh, kw), axis=(1, 2))
    windows = windows[:, ::sh, ::sw].transpose(1, 2, 0, 3, 4)
    columns = np.ascontiguousarray(windows).reshape(windows.shape[0] * windows.shape[1], -1)
    return columns @ weight.reshape(len(weight), -1).T


def seconds(work: Callable[[], object]) -> float:
    """How long a call takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measure(layer: Conv2D, every: int) -> Layer:
    """Build and time the feasible set of a layer, then build and execute it."""
    hardware = VTAConfig()
    space = vtacsp.compile(layer, hardware).collapsed()
    operands = random_operands(layer, hardware, 0)
    indices = space.indices[::every].tolist()

    def run(work: Callable[[Program], object]) -> tuple[NDArray[np.float64], list[int]]:
        """Seconds per program for building it and for this work, and its instructions."""
        rounds, lengths = np.zeros((2, len(indices), 2)), [0] * len(indices)
        work(build(layer, hardware, indices[0]))  # a warm-up
        gc.collect()
        for spent in rounds:
            for row, index in enumerate(indices):
                begun = time.perf_counter()
                program = build(layer, hardware, index)
                built = time.perf_counter()
                work(program)
                spent[row] = built - begun, time.perf_counter() - built
                lengths[row] = len(program)
        return rounds.min(axis=0), lengths

    timed, lengths = run(simulate_timing)
    executed, _ = run(lambda program: execute(program, operands))
    turns = np.zeros(3)
    for index in indices:
        begun = time.perf_counter()
        program = build(layer, hardware, index)
        built = time.perf_counter()
        simulate_timing(program)
        done = time.perf_counter()
        execute(program, operands)
        turns += built - begun, done - built, time.perf_counter() - done
    in_turns = (turns[0] + turns[2]) / (turns[0] + turns[1])
    slow = indices[int(executed[:, 1].argmax())]
    rng = np.random.default_rng(0)
    data = rng.integers(-128, 128, (layer.in_channels, layer.height, layer.width), dtype=np.int32)
    shape = (layer.out_channels, layer.in_channels, *layer.kernel)
    weight = rng.integers(-128, 128, shape, dtype=np.int32)
    program = build(layer, hardware, slow)
    peer = [seconds(lambda: im2col(layer, data, weight)) for _ in range(ROUNDS)]
    slowest = min(seconds(lambda: execute(program, operands)) for _ in range(ROUNDS))
    gc.collect()
    instructions = sum(lengths) / len(lengths)
    return Layer(layer.name, timed, executed, in_turns, instructions, slowest, min(peer))


def exhaustive() -> tuple[float, int]:
    """Seconds for the best of every ResNet-18 layer on one core, and the programs simulated."""
    begun, programs = time.perf_counter(), 0
    for layer in suite("resnet18"):
        if layer.in_channels >= VTAConfig().block:
            found = simulate_all(Simulator(layer))
            programs += found.space.programs()
    return time.perf_counter() - begun, programs


def largest() -> tuple[str, int, int]:
    """The program with the most instructions of ResNet-18, and the peak memory it needs (MiB)."""
    code = (
        "import resource, vtacsp; from vtacsp import Simulator, find_workloads;"
        "s = Simulator(find_workloads('{name}')[0]); s.space;"
        "r = s.run({index}); peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "print(len(r.program), peak // 1024)"
    )
    best = ("", 0, 0)
    for layer in suite("resnet18"):
        if layer.in_channels < VTAConfig().block:
            continue
        indices = vtacsp.compile(layer, VTAConfig()).indices
        command = code.format(name=layer.name, index=indices[0])
        out = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True)
        instructions, memory = map(int, out.stdout.split())
        if instructions > best[1]:
            best = (f"{layer.name} index {indices[0]}", instructions, memory)
    return best


def geometric_mean(ratios: Sequence[float] | NDArray[np.float64]) -> float:
    """Of positive numbers."""
    return float(np.exp(np.log(ratios).mean()))


def page(
    layers: list[Layer], best: tuple[float, int], big: tuple[str, int, int], every: int
) -> str:
    """The page, verdicts included."""
    ratio = geometric_mean([x.ratio for x in layers])
    every_program = geometric_mean(np.concatenate([x.ratios for x in layers]))
    turns = geometric_mean([x.in_turns for x in layers])
    allowed = geometric_mean([x.at_the_bar for x in layers])
    worst = max(layers, key=lambda layer: layer.slowest / layer.im2col)
    im2col_ratio = worst.slowest / worst.im2col
    seconds, programs = best
    commit = subprocess.run(
        ["git", "rev-parse", "--short=10", "HEAD"], capture_output=True, text=True
    ).stdout.strip()

    def verdict(met: bool) -> str:
        return "met" if met else "**not met**"

    lines = [
        "# Speed of the simulators",
        "",
        "Written by `python -m tests.benchmarks.simulation`; do not edit. "
        f"{time.strftime('%Y-%m-%d')}, commit {commit}.",
        f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, one "
        "core. The machine is shared: trust ratios, not milliseconds.",
        "",
        "A feasible set is built and timed, then built and executed, program after program"
        + (f" (every {every}th)" if every > 1 else "")
        + "; of both, each program counts with the faster of two rounds.",
        "Numbers are milliseconds per program; compilation by numba is not counted.",
        "",
        "| layer | programs | instructions | build | timing | build | functional "
        "| (build + functional) / (build + timing) | int32 numpy im2col "
        "| slowest functional / im2col |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for x in layers:
        (build, timing), (again, functional) = (
            1e3 * part.mean(axis=0) for part in (x.timed, x.executed)
        )
        lines.append(
            f"| {x.name} | {len(x.timed)} | {x.instructions:,.0f} | {build:.2f} | {timing:.2f} "
            f"| {again:.2f} | {functional:.1f} | {x.ratio:.1f} | {x.im2col * 1e3:.1f} "
            f"| {x.slowest / x.im2col:.1f} |"
        )
    lines += [
        "",
        f"- Build and timing against build and functional simulation, geometric mean over the "
        f"sets: **{ratio:.1f}** times faster; the bar is {BAR_RATIO} "
        f"({verdict(ratio >= BAR_RATIO)}). Over all single programs, most of which are small: "
        f"{every_program:.1f}. In turns, so that every program meets the caches that a functional "
        f"simulation leaves behind: {turns:.1f}. "
        f"A functional simulation as slow as the next bar allows ({BAR_IM2COL} times im2col) would "
        f"make it {allowed:.0f}.",
        f"- Functional simulation against the convolution in int32 numpy: at worst "
        f"{im2col_ratio:.1f} times slower ({worst.name}); the bar is {BAR_IM2COL} "
        f"({verdict(im2col_ratio <= BAR_IM2COL)}).",
        f"- The best of every layer, {programs:,} programs on one core: {seconds:.1f} s; the bar "
        f"is {BAR_BEST:.0f} s ({verdict(seconds < BAR_BEST)}).",
        f"- Memory: {big[0]} has the most instructions, {big[1]:,}; a process that builds and "
        f"times it, every read recorded, peaks at {big[2]} MiB, libraries included.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, help="take every nth program only")
    parser.add_argument("--output", type=Path, default=PAGE)
    options = parser.parse_args()
    layers = [
        measure(layer, options.every)
        for layer in suite("resnet18")
        if isinstance(layer, Conv2D) and layer.in_channels >= VTAConfig().block
    ]
    options.output.write_text(
        page(layers, exhaustive(), largest(), options.every), encoding="utf-8"
    )
    print(options.output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
