"""What a report says about one layer: its compiled space, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from vtacsp.errors import WorkloadError
from vtacsp.moved import keep_old_names
from vtacsp.operators.workload import Workload
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.statistics import SpaceStatistics, statistics

__all__ = ["LayerFacts", "shape_cell", "shape_text"]

keep_old_names(__name__)


@dataclass(frozen=True)
class LayerFacts:
    """A row of a report: ``space`` and ``statistics``, or the ``reason`` of a refusal."""

    workload: Workload
    space: FeasibleSpace | None = None
    statistics: SpaceStatistics | None = None
    reason: str = ""

    @classmethod
    def of(cls, workload: Workload, outcome: FeasibleSpace | WorkloadError) -> LayerFacts:
        """The row of a workload that was compiled, or that cannot be packed."""
        if isinstance(outcome, WorkloadError):
            return cls(workload, reason=str(outcome).removeprefix(f"{workload.name}: "))
        return cls(workload, outcome, statistics(outcome))


def shape_cell(workload: Workload) -> str:
    """The cell of a table about a layer: sizes, operator, and below them the epilogue."""
    cell = f"{escape(shape_text(workload, epilogue=False))}<br><span>{escape(workload.op)}</span>"
    if workload.epilogue is not None:
        cell += f'<span class="epilogue">{escape(str(workload.epilogue))}</span>'
    return f'<td class="shape">{cell}</td>'


def shape_text(workload: Workload, *, epilogue: bool = True) -> str:
    """The sizes of a workload in one line: ``64 → 128, 56×56, 3×3 kernel, stride 2, pad 1``."""
    parts = workload.sizes
    parts += [f"batch {workload.batch}"] if workload.batch > 1 else []
    parts += ["bias"] if workload.bias else []
    if epilogue and workload.epilogue is not None:
        parts.append(f"epilogue {workload.epilogue}")
    return ", ".join(parts)
