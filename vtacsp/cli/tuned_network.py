"""``vtacsp tune`` of a network: one answer for all of its layers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from vtacsp.cli.free_shown import BEYOND, BesideLog, BeyondRows
from vtacsp.cli.layers import exit_infeasible
from vtacsp.cli.live import Live
from vtacsp.cli.network import layers_of, print_answer
from vtacsp.cli.output import Row, write, wrote
from vtacsp.cli.tuned_rows import row_of, shown_row
from vtacsp.cli.tuning_search import AskedSearch, say_measured, say_nameless, shown_on
from vtacsp.cli.typed import typed_command
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.layer_search import LayerSearch
from vtacsp.network.value import Network

if TYPE_CHECKING:
    from vtacsp.network.answer import LayerAnswer
    from vtacsp.timing.model import TimingModel
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import Measurer, TuningLog, TuningResult

__all__ = ["Outputs", "tune_network_here"]

TUNED = ("best_possible", "gap", "found_at", "measured", "from_log", "failed")
NETWORK = ("layer", "n", "configuration", "cycles", "all runs", "gap", "measured", "failed")


@dataclass(frozen=True)
class Outputs:
    """Where the answer of a network goes."""

    form: str
    output: str | None
    html: str | None
    best_log: str | None


def tune_network_here(
    search: AskedSearch,
    network: Network,
    machine: VTAConfig,
    timing: TimingModel,
    out: Outputs,
    beyond: BesideLog | None,
) -> None:
    """Every distinct layer searched once; what shares an AutoTVM task gets one configuration."""
    from vtacsp.network.tuner import tune_network
    from vtacsp.report.tuned import TunedLayer
    from vtacsp.timing.simulator import Simulator
    from vtacsp.tune import TuningLog, write_records

    search.budget.layers = len(layers_of(network))

    class Shown(LayerSearch):
        """The search that the options ask for, with its progress."""

        def search(self, simulator: Simulator, log: TuningLog | None, **_: Any) -> TuningResult:
            assert log is not None
            found: list[TuningResult] = []
            try:
                search.run(simulator, live, log, found.append)
            except KeyboardInterrupt:  # after the last measurement, while workers were stopped
                if not found:
                    raise
                return replace(found[0], interrupted=True)
            return found[0]

        def measurer(self, simulator: Simulator) -> Measurer:
            return search.measurer(simulator)

    with (
        TuningLog(search.log, search.assumed) as log,
        Live(len(network.layers)) as live,
        search.lanes(len(network.layers)) as lanes,
    ):
        say_nameless(log, network.workloads, machine, timing)
        mine = Shown(**vars(search.layer)) if lanes is None else search.layer
        found = tune_network(
            *(network, machine, timing), search=mine, log=log, done=live.done, lanes=lanes,
            watch=shown_on(live, search.budget),
        )  # fmt: skip
    answer = found.answer
    tuned = {name: TunedLayer(*pair) for name, pair in found.results.items()}
    interrupted, more = found.interrupted, BeyondRows()
    known = [x for x in answer.layers if x.space is not None]
    simulators = [Simulator(x.space, timing=timing) for x in known if x.space is not None]
    if beyond is not None and simulators and not interrupted:
        bests = {x.layer.name: (x.index, x.cycles) for x in known}
        counts = {x.layer.name: x.layer.count for x in known}
        more = beyond.rows(simulators, bests, search.executor, counts)
        interrupted = more.interrupted

    def extra(layer: LayerAnswer) -> Row:
        mine = tuned.get(layer.layer.name)
        if mine is None:
            return {}
        row = shown_row(mine) if out.form == "table" else row_of(mine)
        row["best_possible"] = row.pop("bound", None)
        names = ("gap", "measured", "failed") if out.form == "table" else TUNED
        return {name: row[name] for name in names if name in row}

    def extra_and_beyond(layer: LayerAnswer) -> Row:
        return {**extra(layer), **({} if out.form == "table" else more.keys(layer.layer.name))}

    source = None if beyond is None else beyond.saved.target
    print_answer(
        answer, out.form, out.output, NETWORK, extra_and_beyond, (*TUNED, *BEYOND),
        total=more.total(),
        below=more.text(source, to_file=out.output is not None),
    )  # fmt: skip
    if out.best_log is not None:
        write_records(out.best_log, found.records)
        wrote(out.best_log)
    if out.html is not None:
        from vtacsp.report.origin import Origin
        from vtacsp.report.tuning_page import render

        origin = Origin.now(typed_command(), search.layer.seed)
        page = more.page()
        layers = [*tuned.values()]
        write(render(network.name, layers, machine, timing, origin, answer, page), out.html)
        wrote(out.html)
    say_measured([*tuned.values()], search)
    if interrupted:
        raise KeyboardInterrupt("interrupted; the same command goes on from the log")
    if not answer.answered:
        exit_infeasible()
