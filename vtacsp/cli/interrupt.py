"""Ctrl-C that arrives where Python can pass it on, and ends a command in order."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

__all__ = ["INTERRUPTED", "ignore_interrupts", "orderly"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""

AGAIN = 0.01  # seconds until Ctrl-C that came at a bad moment is delivered again

# Python that compiled code calls: an exception out of it becomes a SystemError, or is lost
_COMPILED = ("numba.", "llvmlite.")
_COMPILING = "_compile_for_args"  # takes seconds, and passes exceptions on


@contextmanager
def orderly() -> Iterator[None]:
    """Ctrl-C raises ``KeyboardInterrupt`` in this block, but never where it cannot propagate.

    Code compiled by numba calls back into Python for moments; an exception that a signal raises
    there ends as ``SystemError: returned a result with an exception set``.  In a finaliser or a
    callback of C code it is printed and forgotten.  In both cases it is delivered again a moment
    later.  Does nothing outside the main thread, or where Ctrl-C has another handler.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    report = sys.unraisablehook

    def lost(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            _later()
        else:
            report(unraisable)

    signal.signal(signal.SIGINT, _interrupt)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        sys.unraisablehook = report
        signal.signal(signal.SIGINT, signal.default_int_handler)


def ignore_interrupts() -> None:
    """What a worker process begins with: Ctrl-C reaches the whole group, the parent ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _interrupt(_: int, frame: FrameType | None) -> None:
    if _in_compiled_code(frame):
        _later()
    else:
        raise KeyboardInterrupt


def _in_compiled_code(frame: FrameType | None) -> bool:
    found = False
    while frame is not None:
        if frame.f_code.co_name == _COMPILING:
            return False
        found = found or frame.f_globals.get("__name__", "").startswith(_COMPILED)
        frame = frame.f_back
    return found


def _later() -> None:
    # not threading.Timer: its locks may be held by what the signal interrupted
    _thread.start_new_thread(_deliver, ())


def _deliver() -> None:
    time.sleep(AGAIN)
    _thread.interrupt_main()
