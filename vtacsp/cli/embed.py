"""``vtacsp embed``: how layers that VTA cannot take as they are become ones that it can."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from vtacsp.cli.layers import each
from vtacsp.cli.options import hardware_option, load_layers, output_options, workload_argument
from vtacsp.cli.output import Row, check_outputs, print_rows
from vtacsp.cli.preset import timing_model, timing_options
from vtacsp.errors import SpaceError

if TYPE_CHECKING:
    from vtacsp.embedding import Embedding
    from vtacsp.timing.model import TimingModel

__all__ = ["COMMANDS"]

COLUMNS = (
    *("workload", "kind", "op", "steps", "sizes", "index", "cycles", "slower", "waste"),
    *("host_data_bytes", "host_output_bytes", "host_weight_bytes"),
)
TABLE = ("workload", "cycles", "slower", "waste", "host", "embedding")


@click.command("embed")
@workload_argument
@hardware_option
@click.option("--fold/--no-fold", default=True, help="Also move positions and taps into channels.")
@output_options
@timing_options
def command(
    workload: str,
    hardware_file: str | None,
    fold: bool,
    form: str,
    output: str | None,
    preset: str,
    overrides: tuple[str, ...],
) -> None:
    """How each layer can be embedded, fastest first: what is filled, folded, and its price.

    Channels, classes and batch may be any number; dense layers also become convolutions.
    """
    check_outputs(output)
    layers, hardware = load_layers(workload, hardware_file)
    timing = timing_model(preset, overrides)
    from vtacsp.embedding import embeddings

    found = each(
        layers, lambda layer: [_row(e, timing) for e in embeddings(layer, hardware, fold=fold)]
    )
    rows: list[Row] = []
    for part in found.results:
        ranked = sorted(part, key=lambda row: (row["cycles"] is None, row["cycles"]))
        for row in ranked:
            if row["cycles"] is not None:
                row["slower"] = row["cycles"] / ranked[0]["cycles"] - 1
        rows += ranked
    if form == "table":
        title = f"{workload} on {hardware}: {timing.note}\n"
        title += "cycles: of the best program of each embedding\n"
        title += "waste: products that are not the layer's; host: bytes that it writes each time"
        print_rows([_short(row) for row in rows], TABLE, form, output, title)
    else:
        print_rows(rows, COLUMNS, form, output)
    found.end(feasible=any(row["cycles"] is not None for row in rows))


def _short(row: Row) -> Row:
    written = row["host_data_bytes"] + row["host_output_bytes"]
    return {**row, "host": written, "embedding": row["steps"] or f"as it is ({row['op']})"}


def _row(embedding: Embedding, timing: TimingModel) -> Row:
    from vtacsp.embedding import fastest

    row: Row = dict.fromkeys(COLUMNS)
    host, workload = embedding.host, embedding.workload
    row |= {
        "workload": workload.name,
        "kind": embedding.kind,
        "op": workload.op,
        "steps": "; ".join(embedding.steps),
        "sizes": ", ".join(workload.sizes),
        "waste": embedding.waste,
        "host_data_bytes": host.data,
        "host_output_bytes": host.output,
        "host_weight_bytes": host.weight,
    }
    try:
        best = fastest([embedding], timing).best
    except SpaceError:
        return row
    return row | {"index": best.index, "cycles": best.cycles}


COMMANDS = (command,)
