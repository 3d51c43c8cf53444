"""Ctrl-C: one line, exit code 130, and what was finished is kept; with real processes."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr
from functools import partialmethod, wraps
from multiprocessing import get_context

import pytest

from tests.support.commands import run
from vtacsp import Simulator, find_workloads
from vtacsp.cli import layers, reasons
from vtacsp.cli.interrupt import orderly
from vtacsp.errors import WorkloadError

VTACSP = [sys.executable, "-m", "vtacsp"]

WORK = """
import os, signal, sys, threading, time
import vtacsp
from vtacsp.cli.interrupt import orderly
simulator = vtacsp.Simulator(vtacsp.find_workloads("resnet18.C11")[0])
indices = simulator.space.indices.tolist()
simulator.cycles_many(indices)  # compiled, before the first signal
count = 0
with orderly():
    for number in range(40):
        delay = 0.0005 * number
        try:
            threading.Timer(delay, os.kill, (os.getpid(), signal.SIGINT)).start()
            while True:
                simulator.cycles_many(indices)
        except KeyboardInterrupt:
            count += 1
print(count)
"""  # fmt: skip


def in_a_process(test):
    """Run a test in the main thread of a process of its own: signals reach nobody else."""

    @wraps(test)
    def run_there():
        process = get_context("spawn").Process(target=_run, args=(test.__name__,))
        process.start()
        process.join(120)
        assert process.exitcode == 0

    return run_there


def _run(name):
    globals()[name].__wrapped__()


def test_compiled_code_passes_every_interrupt_on():
    # without a handler of ours: SystemError, returned a result with an exception set
    done = subprocess.run([sys.executable, "-c", WORK], capture_output=True, text=True, timeout=300)
    assert done.stderr == ""
    assert done.stdout == "40\n"


FINALISER = """
class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.001)

def wait():
    Interrupted()
    time.sleep(600)
"""


@in_a_process
def test_an_interrupt_in_a_finaliser_is_not_forgotten():
    ours = {"__name__": "vtacsp.test", "os": os, "signal": signal, "time": time}
    exec(FINALISER, ours)
    with redirect_stderr(io.StringIO()) as said, pytest.raises(KeyboardInterrupt), orderly():
        ours["wait"]()
    assert said.getvalue() == ""
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@in_a_process
def test_an_interrupt_where_others_would_swallow_it_waits_for_our_code():
    theirs = {"__name__": "pandas.test", "os": os, "signal": signal, "time": time}
    swallow = "def swallow():\n try: os.kill(os.getpid(), signal.SIGINT); time.sleep(0.1)\n"
    exec(swallow + " except: raise SystemExit\n", theirs)
    ours = {"__name__": "vtacsp.test", "swallow": theirs["swallow"], "time": time}
    exec("def wait():\n swallow()\n time.sleep(600)", ours)
    with pytest.raises(KeyboardInterrupt), orderly():
        ours["wait"]()


@in_a_process
def test_code_of_others_that_does_not_end_is_interrupted():
    theirs = {"__name__": "pandas.test", "os": os, "signal": signal, "time": time}
    exec("def wait():\n os.kill(os.getpid(), signal.SIGINT)\n time.sleep(600)", theirs)
    with pytest.raises(KeyboardInterrupt), orderly():
        theirs["wait"]()


@in_a_process
def test_other_handlers_and_threads_are_left_alone():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with orderly():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    seen = []

    def elsewhere():
        with orderly():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


COMMANDS = [
    ["report", "net.json", "--html", "page.html"],
    ["simulate", "net.json", "--all", "--format", "csv"],
    ["simulate", "net.json", "--best"],
    ["best", "net.json"],
    ["enumerate", "net.json", "--format", "csv"],
    ["check", "net.json", "--all", "--format", "csv"],
    ["sample", "net.json", "-n", "9", "--method", "diverse"],
    ["explain", "net.json", *(word for n in range(90) for word in ("--index", str(n)))],
    ["advise", "net.json", "--at-least", "100"],
    ["tune", "net.json"],
    ["tune", "net.json", "--jobs", "2"],
    ["study", "resnet18", "--jobs", "1"],
]
COPIES = 300  # of ten layers: no command is done before the signal, on any machine


def network():
    """A network that takes every command many seconds."""
    layers = [layer.to_dict() for layer in find_workloads("resnet18")]
    return [
        {**layer, "name": f"{layer['name']}.{copy}"} for copy in range(COPIES) for layer in layers
    ]


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
@pytest.mark.parametrize("delay", [0.4, 1.2])
def test_every_command_ends_with_one_line(words, delay, tmp_path):
    (tmp_path / "page.html").write_text("old")
    (tmp_path / "net.json").write_text(json.dumps(network()))
    process = subprocess.Popen(
        [*VTACSP, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    )
    time.sleep(delay)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does, workers included
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130, errors
    said = [line for line in errors.splitlines() if "interrupted" in line]
    assert len(said) == 1, errors
    assert "Traceback" not in errors
    assert "ignored" not in errors
    assert (tmp_path / "page.html").read_text() == "old"


class _Stop:
    """A function that works for some layers, and then Ctrl-C arrives."""

    def __init__(self, function, after):
        self.function, self.left = function, after

    def __call__(self, *arguments, **options):
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        return self.function(*arguments, **options)

    @property
    def method(self):
        """Bound to the object that it is called on, as an instance of a class is not."""
        return partialmethod(self)


def test_what_is_finished_is_printed(monkeypatch):
    stop = _Stop(Simulator.sequence, 2)
    monkeypatch.setattr(Simulator, "sequence", stop.method)
    result = run("simulate", "resnet18", "--all", "--format", "csv", code=130)
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert {row["workload"] for row in rows} == {"resnet18.C2", "resnet18.C3"}
    assert result.stderr == "interrupted: 2 of 10 layers done\n"


def test_answers_are_printed_when_the_question_about_the_network_is_interrupted(monkeypatch):
    monkeypatch.setattr("vtacsp.space.advice.advise_network", _Stop(None, 0))
    result = run("advise", "dcgan", "--format", "json", code=130)
    assert [row["scope"] for row in json.loads(result.stdout)] == ["layer"] * 3


def test_nothing_finished_is_no_empty_table(monkeypatch):
    monkeypatch.setattr(reasons, "compile", _Stop(None, 0))
    result = run("explain", "dcgan", "--index", 0, code=130)
    assert result.stdout == ""
    assert result.stderr == "interrupted: 0 of 3 layers done\n"


def test_a_refused_layer_is_named_and_the_others_are_done(capsys):
    def work(layer):
        if layer == "thin":
            raise WorkloadError("thin: in_channels is 3")
        return layer.upper()

    done = layers.each(["a", "thin", "b"], work)
    assert (done.results, done.total, done.interrupted) == (["A", "B"], 3, False)
    assert capsys.readouterr().err == "skipped: thin: in_channels is 3\n"
    with pytest.raises(WorkloadError, match="no layer can be packed"):
        layers.each(["thin", "thin"], work)


def test_solving_is_interrupted_and_is_no_answer():
    # CP-SAT takes the signal itself when it is let: then "no sizes will do"
    text = (
        "import sys, time, vtacsp\n"
        "from ortools.sat.python import cp_model\n"
        "from vtacsp.space.cpsat import run_solver\n"
        "model = cp_model.CpModel()\n"
        "x = [[model.new_bool_var('') for _ in range(13)] for _ in range(14)]\n"
        "for row in x: model.add_exactly_one(row)\n"
        "for column in zip(*x): model.add_at_most_one(column)\n"
        "solver = cp_model.CpSolver()\n"
        "solver.parameters.num_workers = 1\n"
        "solver.parameters.cp_model_presolve = False\n"
        "solver.parameters.linearization_level = 0\n"
        "solver.parameters.symmetry_level = 0\n"
        "print('begun', flush=True)\n"
        "try: print(run_solver(solver, model))\n"
        "except KeyboardInterrupt: print('interrupted')\n"
    )
    process = subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "begun\n"
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert output == "interrupted\n"
