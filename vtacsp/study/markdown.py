"""The report of a study: tables as CSV, a Markdown page and plots, into the study's folder."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vtacsp.errors import StudyError
from vtacsp.files import write_text
from vtacsp.study.execution import Study
from vtacsp.study.plots import model_figure, search_figure, validity_figure
from vtacsp.study.search_cost import BASELINE, METHODS
from vtacsp.study.summary import PAPER, SOURCES, Summary, SummaryRow

__all__ = ["markdown", "write_report"]


def write_report(study: Study, *, goals: bool = False) -> Path:
    """Write what the study knows by now; the path of the Markdown page.

    With ``goals`` the page compares it with what this project set out to reach.
    ``validity.csv``, ``model.csv``, ``search.csv``, ``means.csv``, ``report.md`` and the plots
    that it shows.  Raises :class:`~vtacsp.errors.StudyError` when a file cannot be written.

    >>> layers = [vtacsp.Dense(name="mine", in_features=64, out_features=64)]
    >>> study = Study("study", layers, seeds=2, methods=["random"], parts=["validity"])
    >>> study.run(jobs=1)
    >>> write_report(study).name
    'report.md'
    """
    summary = Summary(study)
    sources = [source for source in SOURCES if summary.of_source(source)]
    by_source = {
        "model": [{"source": s, **row} for s in sources for row in summary.model(s)],
        "means": [{"source": s, **row} for s in sources for row in summary.means(s)],
    }
    tables = {"validity": summary.validity(), "search": summary.search(), **by_source}
    page = study.folder / "report.md"
    try:
        for name, rows in tables.items():
            _write_csv(study.folder / f"{name}.csv", rows)
        validity_figure(summary, study.folder / "validity.png")
        for source in sources:
            if summary.model(source):
                model_figure(summary, source, study.folder / f"model-{source}.png")
            if summary.means(source):
                search_figure(summary, source, study.folder / f"search-{source}.png")
        write_text(page, markdown(study, goals=goals), StudyError)
    except OSError as error:
        raise StudyError(f"cannot write {study.folder}: {error.strerror or error}") from error
    return page


def markdown(study: Study, *, goals: bool = False) -> str:
    """The page; see :func:`write_report`."""
    summary = Summary(study)
    parts = ["# Study: measurements until the best configuration", _made(study)]
    parts += _bars(summary) if goals else []
    if summary.methods:
        texts = [f"- `{name}` ({METHODS[name].kind}): {METHODS[name].text}"
                 for name in summary.methods]  # fmt: skip
        parts += ["## Methods", "\n".join(texts)]
    for source, text in SOURCES.items():
        means = summary.means(source)
        if means:
            parts += [f"## Search, {text}", *_search(summary, source, means)]
    for source, text in SOURCES.items():
        model = summary.model(source)
        if model:
            parts += [f"## Cost model, {text}", *_model(source, model)]
    parts += ["## Validity", *_validity(summary.validity())]
    return "\n\n".join(parts) + "\n"


def _made(study: Study) -> str:
    about = study.about
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    commands = [
        f"- `{entry['command'] or 'Study.run'}` ({entry['started']}, {entry['seeds']} seeds, "
        f"sources {entry['sources']})"
        for entry in about["commands"]
    ]
    tasks = study.tasks()
    known = study.results()
    done = sum(task in known for task in tasks)
    state = "complete" if done == len(tasks) else f"**incomplete: {done} of {len(tasks)} tasks**"
    return "\n".join([f"Machine: {study.hardware}. {versions}. Results: {state}.", "", *commands])


def _bars(summary: Summary) -> list[str]:
    bars = summary.bars()
    if not bars:
        return []
    rows = [{"goal": b.text, "reached": b.reached, "": "met" if b.met else "**not met**"}
            for b in bars]  # fmt: skip
    return ["## Goals of the project (recorded RTL cycles)", _table(rows)]


def _search(summary: Summary, source: str, means: Sequence[SummaryRow]) -> list[str]:
    compared = any(row["best ratio"] is not None for row in means)
    rows = []
    for row in means:
        cells: SummaryRow = {"method": row["method"], "to the best": f"{row['best']:.1f}"}
        if compared:
            cells["ratio"] = f"**{row['best ratio']:.1%}**"
        cells["quartiles"] = f"{row['best q1']:.1f} to {row['best q3']:.1f}"
        cells["to within 1%"] = f"{row['near']:.1f}"
        if compared:
            cells["ratio "] = f"{row['near ratio']:.1%}"
        cells["failed"] = f"{row['failed']:.0f}"
        cells["compiler calls"] = f"{row['compiled']:.0f}"
        if compared:
            cells["worst seed within the baseline's median"] = f"{row['robust']} of {row['layers']}"
        rows.append(cells)
    note = (
        f"Measurements, failed ones included: geometric means over {means[0]['layers']} layers of "
        f"the median (and quartiles) over seeds; ratios to `{BASELINE}`; failed measurements and "
        "compiler calls are means over layers of medians."
    )
    extra = [row for row in means if row["method"] == "rieber" and compared]
    if extra:
        note += (
            f" `rieber` learns from up to 25 refused configurations that only the compiler saw; "
            f"counted as measurements its ratio is {extra[0]['best+taught ratio']:.1%}. "
            f"The paper reports {PAPER:.1%}."
        )
    layers = [
        {
            "layer": layer.name,
            **{
                method: _cell(next((r for r in summary.search() if r["layer"] == layer.name
                                    and r["method"] == method), None))
                for method in summary.methods
            },
        }
        for layer in summary.of_source(source)
    ]  # fmt: skip
    return [
        _table(rows),
        note,
        f"![Measurements to the best](search-{source}.png)",
        "Per layer, measurements to the best: median (worst seed).",
        _table(layers),
    ]


def _cell(row: SummaryRow | None) -> str:
    return "" if row is None else f"{row['best median']:g} ({row['best worst']})"


def _model(source: str, model: Sequence[SummaryRow]) -> list[str]:
    rows = [
        {
            "loss": row["loss"],
            "invalid share": f"{row['share']:.0%}",
            "invalid": row["invalid"] if row["share"] else "none",
            "pairwise accuracy": f"{row['pairwise']:.3f}",
            "precision at 10": f"{row['precision']:.3f}",
            "NDCG at 10": f"{row['ndcg']:.3f}",
            "runs, of 10": f"{row['runs']:.3f}",
        }
        for row in model
    ]
    note = (
        "Models trained on 64 measurements (on half as many as are feasible, where that is less) "
        "and judged on feasible configurations that they did not see; means over layers of medians "
        "over seeds. The last column looks at the whole grid: how many of the ten configurations "
        "ranked highest run."
    )
    return [_table(rows), note, f"![The model](model-{source}.png)"]


def _validity(validity: Sequence[SummaryRow]) -> list[str]:
    rows = [
        {
            "layer": row["layer"],
            "configurations": f"{row['configurations']:,}",
            "valid": f"{row['valid']:,}",
            "share": f"{row['share']:.1%}",
            "valid neighbours of a valid one": f"{row['neighbours valid']:.1%}",
            "of an invalid one": f"{row['around invalid']:.1%}",
            "clusters": row["clusters"],
            "largest": f"{row['largest'] / row['valid']:.0%}",
            "isolated": row["isolated"],
        }
        for row in validity
    ]
    note = (
        "Neighbours are one step of one knob away. A cluster is a set of valid configurations "
        "that such steps connect; the largest is given as its share of the valid ones."
    )
    return [_table(rows), note, "![Valid configurations cluster](validity.png)"]


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    columns = list(rows[0])
    numeric = [all(str(row[c]).strip("*")[:1].isdigit() for row in rows) for c in columns]
    lines = [
        "| " + " | ".join(column.strip() for column in columns) + " |",
        "| " + " | ".join("---:" if right else "---" for right in numeric) + " |",
    ]
    lines += ["| " + " | ".join(str(row[column]) for column in columns) + " |" for row in rows]
    return "\n".join(lines)


def _write_csv(path: Path, rows: Sequence[SummaryRow]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        columns = list(dict.fromkeys(column for row in rows for column in row))
        writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
