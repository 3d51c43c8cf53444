"""Worker processes that end with the process that started them, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager

__all__ = ["process_pool", "stop_workers"]


ENDING = 10.0  # seconds that a pool has to see that its processes are gone


def process_pool(jobs: int, preload: Sequence[str] = ()) -> ProcessPoolExecutor:
    """A pool of ``jobs`` processes, which have imported the modules ``preload`` where that is free.

    A fork of this process would copy the locks of whatever threads it has: workers are forked
    from a server without threads, or spawned.
    """
    fork = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if fork else "spawn")
    if fork:
        context.set_forkserver_preload(["vtacsp.uninterrupted", "__main__", *preload])
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin)
    with _uninterrupted():
        pool.submit(_nothing)  # starts the workers
    return pool


def stop_workers(executor: Executor) -> None:
    """End the processes of a pool, by force, and what they do."""
    # a worker that hangs ends by force only; Python has a public method for it from 3.14 on
    processes = dict(getattr(executor, "_processes", None) or {})
    manager = getattr(executor, "_executor_manager_thread", None)
    # before they end, or the pool reports their end to work that was cancelled: a traceback
    try:
        executor.shutdown(wait=False, cancel_futures=True)
    except TypeError:  # Dask's takes no such word, and cancels anyway
        executor.shutdown(wait=False)
    for process in processes.values():
        process.kill()
    # it closes the pipe by which Python wakes it at exit: a traceback when both happen at once
    if manager is not None:
        manager.join(ENDING)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the block is done; processes that it starts never see one."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _nothing() -> None:
    pass


def _begin() -> None:
    """What a worker does first."""
    # Ctrl-C reaches the whole process group; whoever made the pool decides what to stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, name="vtacsp-parent", daemon=True).start()


def _end_with_parent() -> None:
    # a pipe that the parent holds open closes with it, also when it is killed; a signal on the
    # death of the parent (Linux has one) would follow its thread, not its process
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
