"""The curve of a search: every trial, the best so far, and the bound, as SVG."""

from __future__ import annotations

from math import log10

from vtacsp.report.drawing import text
from vtacsp.report.speed import FAILED, speed_of
from vtacsp.report.tuned import TunedLayer

__all__ = ["draw_curve", "short", "ticks"]

WIDTH, HEIGHT = 470, 252
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 22, 34
TICKS = 6  # at most, on each axis


def draw_curve(layer: TunedLayer) -> str:
    """Cycles (logarithmic) over trials; ``data-*`` of each point holds its trial."""
    trials = layer.result.trials
    cycles = [layer.cycles(trial) for trial in trials]
    ran = [n for n in cycles if n is not None]
    low, high = layer.bound, max([*ran, layer.bound * 1.02])
    margin = (high / low) ** 0.04
    scale = _Scale(len(trials), low / margin, high * margin)
    best = layer.best_cycles or 1
    parts = [_axes(scale)]
    bound = scale.y(layer.bound)
    parts.append(
        f'<path class="bound" d="M{LEFT} {bound:.1f}H{WIDTH - RIGHT}">'
        f"<title>lower bound: {layer.bound:,} cycles</title></path>"
    )
    for trial, n in zip(trials, cycles, strict=True):
        about = f'data-trial="{trial.number}" data-index="{trial.index}"'
        known = ", from the log" if trial.recorded else ""
        x = scale.x(trial.number)
        if n is None:
            words = f"trial {trial.number}, index {trial.index}: {trial.result.error.name}{known}"
            parts.append(
                f'<path class="failure" {about} stroke="{FAILED}" '
                f'd="M{x - 3:.1f} {TOP - 8}l6 6m0 -6l-6 6"><title>{words}</title></path>'
            )
            continue
        words = f"trial {trial.number}, index {trial.index}: {n:,} cycles{known}"
        parts.append(
            f'<circle class="trial" {about} data-cycles="{n}" cx="{x:.1f}" cy="{scale.y(n):.1f}" '
            f'r="3" fill="{speed_of(n, best).colour}"><title>{words}</title></circle>'
        )
    parts.append(_steps(layer.best_so_far(), scale))
    return (
        f'<svg class="curve" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" aria-label="cycles over trials">{"".join(parts)}</svg>'
    )


class _Scale:
    def __init__(self, trials: int, low: float, high: float) -> None:
        self.trials, self.low, self.high = trials, low, high

    def x(self, trial: float) -> float:
        return LEFT + 6 + (WIDTH - LEFT - RIGHT - 12) * (trial - 1) / max(self.trials - 1, 1)

    def y(self, cycles: float) -> float:
        share = log10(cycles / self.low) / log10(self.high / self.low)
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share


def _steps(curve: list[int | None], scale: _Scale) -> str:
    """The best so far; ``data-values`` lists it, 0 before anything ran."""
    path, last = "", None
    for number, best in enumerate(curve, 1):
        if best is not None and best != last:
            start = "M" if last is None else f"H{scale.x(number):.1f}V"
            place = f"{scale.x(number):.1f} {scale.y(best):.1f}" if last is None else ""
            path += start + (place or f"{scale.y(best):.1f}")
            last = best
    if path:
        path += f"H{scale.x(len(curve)):.1f}"
    values = ",".join(str(best or 0) for best in curve)
    return f'<path class="best-so-far" data-values="{values}" d="{path}"/>'


def _axes(scale: _Scale) -> str:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = []
    for value in ticks(scale.low, scale.high):
        y = scale.y(value)
        parts.append(f'<path class="rule" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(text(LEFT - 6, round(y + 3.5, 1), short(value), "label", "end"))
    parts.append(f'<path class="base" d="M{LEFT} {bottom}H{right}"/>')
    step = next(s * 10**e for e in range(9) for s in (1, 2, 5) if scale.trials <= TICKS * s * 10**e)
    for trial in sorted({1, *range(step, scale.trials + 1, step)}):
        if trial == 1 or trial >= 1 + step / 2:
            parts.append(text(round(scale.x(trial), 1), bottom + 14, f"{trial}", "label", "middle"))
    parts.append(text(right, bottom + 29, "trial", "label", "end"))
    parts.append(text(0, 10, "cycles", "label"))
    return "".join(parts)


def ticks(low: float, high: float) -> list[int]:
    """Round numbers between two others: 1, 2, 5 of each decade, or in equal steps."""
    decades = [m * 10**e for e in range(13) for m in (1, 2, 5)]
    ticks = [n for n in decades if low <= n <= high]
    if len(ticks) >= 3:
        return ticks[:: -(-len(ticks) // TICKS)]
    step = next(n for n in decades if (high - low) / n <= TICKS - 1)
    first = -(-int(low) // step)
    return [n * step for n in range(first, int(high) // step + 1)]


def short(cycles: int) -> str:
    """A number in few characters: ``1.5 M``."""
    for size, unit in ((10**6, "M"), (10**3, "k")):
        if cycles >= size:
            return f"{cycles / size:g} {unit}"
    return str(cycles)
