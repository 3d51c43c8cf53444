"""Worker processes end with the process that made them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="reads /proc")

SCRIPT = """
import os, signal, sys
from pathlib import Path

from numba import njit

from vtacsp.tune import ExecutorMeasurer


@njit(nogil=True)
def spin(x):
    while x:
        x = x * 5 % 7
    return x


def work(index):
    Path(sys.argv[1], str(os.getpid())).touch()
    return spin(index + 1)


if __name__ == "__main__":
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # what nohup starts ignores it
    list(ExecutorMeasurer(work, jobs=2, timeout=600).measure(range(4)))
"""


def session(leader: int) -> set[int]:
    """Processes of a session that run."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, sid = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:  # ended meanwhile
            continue
        if int(sid) == leader and state != "Z":
            found.add(int(stat.parent.name))
    return found


def wait_for(condition) -> bool:
    deadline = time.monotonic() + 60
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@LINUX
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_workers_end_with_a_parent_that_is_killed(tmp_path, how):
    script, started = tmp_path / "script.py", tmp_path / "started"
    script.write_text(SCRIPT)
    started.mkdir()
    parent = subprocess.Popen([sys.executable, script, started], start_new_session=True)
    try:
        assert wait_for(lambda: len(list(started.iterdir())) == 2)
        workers = {int(path.name) for path in started.iterdir()}
        time.sleep(1.0)  # in compiled code by now
        assert workers < session(parent.pid)
        os.kill(parent.pid, how)
        assert parent.wait() == -how
        assert wait_for(lambda: not session(parent.pid))
    finally:
        for process in session(parent.pid):
            os.kill(process, signal.SIGKILL)


STOPPED = """
import time

from vtacsp.workers import process_pool, stop_workers

if __name__ == "__main__":
    pool = process_pool(2)
    shutdown = pool.shutdown

    def slowly(**options):  # time for the thread of the pool to see what has ended
        time.sleep(0.5)
        shutdown(**options)

    pool.shutdown = slowly
    results = pool.map(time.sleep, [0.2] + [600] * 40)
    next(results)
    results.close()  # cancels what waits, as Ctrl-C does that ends a loop over them
    stop_workers(pool)
"""


def test_a_pool_that_is_stopped_with_cancelled_work_says_nothing(tmp_path):
    script = tmp_path / "stopped.py"
    script.write_text(STOPPED)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""


NEWBORN = """
import multiprocessing, os, signal
from vtacsp.workers import process_pool, stop_workers

def handler():  # before any initializer
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as the resource tracker does
    os.kill(os.getpid(), signal.SIGINT)
    os._exit(signal.getsignal(signal.SIGINT) != signal.SIG_IGN)

if __name__ == "__main__":
    pool = process_pool(1)
    worker = multiprocessing.get_context("forkserver").Process(target=handler)
    worker.start()
    worker.join()
    stop_workers(pool)
    print(worker.exitcode, signal.getsignal(signal.SIGINT) is signal.default_int_handler)
"""


def test_workers_never_see_an_interrupt(tmp_path):
    script = tmp_path / "newborn.py"
    script.write_text(NEWBORN)
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert (done.stdout, done.stderr) == ("0 True\n", "")
