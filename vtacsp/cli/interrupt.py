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

__all__ = ["INTERRUPTED", "orderly"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as of a shell."""

AGAIN = 0.01  # seconds until Ctrl-C that came at a bad moment is delivered again
PATIENCE = 2.0  # seconds that it waits for code of ours or of a wait

# where an exception propagates: code between a signal and these may swallow it, as C code that
# asks for an attribute does, and imports that try
_OURS = ("vtacsp", "threading", "concurrent", "multiprocessing", "queue", "selectors")
# Python that compiled code calls: an exception out of it becomes a SystemError, or is lost
_COMPILED = ("numba", "llvmlite")
_COMPILING = "_compile_for_args"  # takes seconds, and passes exceptions on


@contextmanager
def orderly() -> Iterator[None]:
    """Ctrl-C raises ``KeyboardInterrupt`` in this block, but not where it cannot propagate.

    Code compiled by numba calls back into Python for moments; an exception that a signal raises
    there ends as ``SystemError: returned a result with an exception set``.  In a finaliser, in a
    callback of C code or under a bare ``except`` of an import it is forgotten.  In such places
    it is delivered again a moment later.  Does nothing outside the main thread, or where Ctrl-C
    has another handler.
    """
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    report, handler = sys.unraisablehook, _Handler()

    def lost(unraisable: Any) -> None:
        if isinstance(unraisable.exc_value, KeyboardInterrupt):
            handler.later()
        else:
            report(unraisable)

    signal.signal(signal.SIGINT, handler)
    sys.unraisablehook = lost
    try:
        yield
    finally:
        handler.active = False
        sys.unraisablehook = report
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Handler:
    """Raises when the moment is right; until then the signal comes again."""

    def __init__(self) -> None:
        self.since: float | None = None
        self.active = True

    def __call__(self, _: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        since = self.since = now if self.since is None else self.since
        patient = now - since < PATIENCE
        if _in(frame, _OURS) or not (patient or _in_compiled_code(frame)):
            self.since = None
            raise KeyboardInterrupt
        self.later()

    def later(self) -> None:
        """Deliver the signal again."""
        # not threading.Timer: its locks may be held by what the signal interrupted
        _thread.start_new_thread(self._deliver, ())

    def _deliver(self) -> None:
        time.sleep(AGAIN)
        if self.active:
            # ends a wait, too
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def _in(frame: FrameType | None, packages: tuple[str, ...]) -> bool:
    name = "" if frame is None else str(frame.f_globals.get("__name__", ""))
    return name.partition(".")[0] in packages


def _in_compiled_code(frame: FrameType | None) -> bool:
    found = False
    while frame is not None:
        if frame.f_code.co_name == _COMPILING:
            return False
        found = found or _in(frame, _COMPILED)
        frame = frame.f_back
    return found
