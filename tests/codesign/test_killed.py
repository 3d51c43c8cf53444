"""A run on Dask that is killed: what is there is kept, and the front comes out the same."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from tests.support import ROOT
from tests.support.machines import CONV, POINT
from vtacsp.codesign import MachineSpace, Store, circumstances, codesign
from vtacsp.codesign.certificate import certificate
from vtacsp.codesign.cycle_table import prove

FREE = {"LOG_BLOCK": (3, 4), "LOG_INP_BUFF_SIZE": (9, 10, 11, 12), "LOG_ACC_BUFF_SIZE": (10, 12)}
NETWORK = [(POINT, 2), (CONV, 1), (replace(POINT, name="twin"), 1)]

Client = pytest.importorskip("distributed").Client

# a run that dies by SIGKILL after some programs, in the middle of a line of its file
DIES = """
import os, signal, sys
from distributed import Client
from tests.codesign.test_killed import FREE, NETWORK
from vtacsp.codesign import MachineSpace, Store, circumstances, codesign

class Dying(Store):
    def put(self, key, cycles):
        super().put(key, cycles)
        if len(self) == 5:
            self._file.write("[0, 3")
            self.flush()
            os.kill(os.getpid(), signal.SIGKILL)

space = MachineSpace(free=FREE)
client = Client(processes=False, n_workers=1, threads_per_worker=2, dashboard_address=None)
codesign(NETWORK, space, executor=client.get_executor(), store=Dying(sys.argv[1],
         circumstances(space)))
"""


@pytest.fixture(scope="module")
def whole():
    """Front and evidence of a run that nothing interrupts, in one process."""
    front = codesign(NETWORK, MachineSpace(free=FREE))
    return front, json.dumps(certificate(front))


class _Fatal:
    """An executor whose first program to be simulated kills the worker that has it."""

    def __init__(self, executor, flag):
        self.executor, self.flag = executor, flag

    def map(self, function, *columns):
        rows = zip(*columns, strict=True)
        tasks = [(self.flag, function, row) for row in rows]
        return self.executor.map(_fatal_once, tasks)


def _fatal_once(task):
    flag, function, row = task
    if function is prove and not flag.exists():
        flag.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return function(*row)


def test_a_client_that_is_killed_and_a_worker_that_dies(whole, tmp_path):
    front, text = whole
    path, flag = tmp_path / "run.jsonl", tmp_path / "killed"
    died = subprocess.run(
        [sys.executable, "-c", DIES, str(path)], cwd=ROOT, capture_output=True, check=False
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert path.read_text().splitlines()[-1] == "[0, 3"
    space = MachineSpace(free=FREE)
    store = Store(path, circumstances(space))
    with Client(n_workers=1, threads_per_worker=1, dashboard_address=None) as dask:
        executor = _Fatal(dask.get_executor(), flag)
        again = codesign(NETWORK, space, executor=executor, store=store)
    store.close()
    assert flag.exists()
    assert again.points == front.points
    assert json.dumps(certificate(again)) == text
    assert again.proof.recalled == 5
    assert again.proof.programs == front.proof.programs - 5 > 0
