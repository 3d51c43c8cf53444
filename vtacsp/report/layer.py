"""What a report says about one layer: its compiled space, or why there is none."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from vtacsp.errors import WorkloadError
from vtacsp.space.feasible import FeasibleSpace
from vtacsp.space.statistics import SpaceStatistics, statistics
from vtacsp.workload import Dense, Workload

__all__ = ["Layer", "shape_cell", "shape_text"]


@dataclass(frozen=True)
class Layer:
    """A row of a report: ``space`` and ``statistics``, or the ``reason`` of a refusal."""

    workload: Workload
    space: FeasibleSpace | None = None
    statistics: SpaceStatistics | None = None
    reason: str = ""

    @classmethod
    def of(cls, workload: Workload, outcome: FeasibleSpace | WorkloadError) -> Layer:
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
    sizes = workload.to_dict()
    if isinstance(workload, Dense):
        parts = [f"{workload.in_features} → {workload.out_features}"]
    else:
        parts = [
            f"{sizes['in_channels']} → {sizes['out_channels']}",
            f"{sizes['height']}×{sizes['width']}",
            f"{_pair(sizes['kernel'], always=True)} kernel",
        ]
        parts += [f"stride {_pair(sizes['stride'])}"] if sizes["stride"] != [1, 1] else []
        parts += [f"pad {_pair(sizes['padding'])}"] if sizes["padding"] != [0, 0] else []
        if any(sizes.get("output_padding", ())):
            parts.append(f"output pad {_pair(sizes['output_padding'])}")
        parts += [f"{sizes['groups']} groups"] if sizes.get("groups", 1) > 1 else []
    parts += [f"batch {workload.batch}"] if workload.batch > 1 else []
    parts += ["bias"] if workload.bias else []
    if epilogue and workload.epilogue is not None:
        parts.append(f"epilogue {workload.epilogue}")
    return ", ".join(parts)


def _pair(pair: list[int], always: bool = False) -> str:
    return str(pair[0]) if pair[0] == pair[1] and not always else f"{pair[0]}×{pair[1]}"
