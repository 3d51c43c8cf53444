"""How functions are compiled: by numba, when they are first called, and kept on disk.

Compiled code is kept beside the sources, else in the user's cache (``NUMBA_CACHE_DIR`` goes
first), else in a temporary folder of the user, else not at all.  It is compiled again when the
sources that it is made of have changed, or when what was kept cannot be read.
"""

from __future__ import annotations

import multiprocessing
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from numba import config, njit
from numba.core import caching

__all__ = ["jit"]

# folders with compiled functions and the constants in them
_SOURCES = ("machine", "operators", "program", "functional", "timing", "free", "epilogue", "audit")
_DIGEST = sha256().digest_size


def jit(function: Any) -> Any:
    """Compile a function when it is first called (decorator)."""
    dispatcher = njit(nogil=True)(function)
    dispatcher._cache = _cache(function)
    return dispatcher


def _cache(function: Any) -> caching._Cache:
    try:
        return _Cache(function, "")
    except RuntimeError:  # numba finds no folder that can be written
        usual = config.CACHE_DIR
    try:
        config.CACHE_DIR = _own_folder()
        remark = f"; package and home cannot be written: kept in {config.CACHE_DIR}"
        return _Cache(function, remark)
    except (RuntimeError, OSError):
        return _NoCache(function)
    finally:
        config.CACHE_DIR = usual


def _own_folder() -> str:
    """A folder among the temporary files that nobody else can put code into."""
    user = os.getuid() if hasattr(os, "getuid") else "user"
    folder = Path(tempfile.gettempdir()) / f"vtacsp-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    foreign = hasattr(os, "getuid") and (found.st_uid != os.getuid() or found.st_mode & 0o022)
    if foreign or not stat.S_ISDIR(found.st_mode):
        raise PermissionError(f"{folder} is open to others")
    return str(folder)


def _what(function: Any) -> str:
    """What a function is part of, and how long all of that takes to compile (measured)."""
    module = function.__module__
    if module.startswith("vtacsp.free.") or module == "vtacsp.operators.geometry":
        return "the search beyond the template, which takes 20 to 40 seconds"
    if module == "vtacsp.functional.interpreter":
        return "the functional simulator, which takes 8 to 16 seconds"
    if module.startswith("vtacsp.audit."):
        return "the audit, which takes 9 to 18 seconds"
    return "the simulator, which takes 10 to 20 seconds"


@cache
def _announce(what: str, kept: str) -> None:
    """Say once that something is compiled; processes that another one started keep silent."""
    if multiprocessing.parent_process() is None:
        print(f"vtacsp: compiling {what}, {kept}", file=sys.stderr, flush=True)


class _NoCache(caching.NullCache):
    """For a process that can write nowhere."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._what = _what(function)

    def load_overload(self, *_: Any) -> None:
        kept = "in each process: no folder to keep it in can be written, see NUMBA_CACHE_DIR"
        _announce(self._what, kept)


class _File(caching.IndexDataCacheFile):
    """Machine code with a digest behind it: a damaged file must not be run."""

    def _dump(self, obj: Any) -> bytes:
        data: bytes = super()._dump(obj)
        return data + sha256(data).digest()

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        if sha256(data[:-_DIGEST]).digest() != data[-_DIGEST:]:
            raise ValueError(f"{name} is damaged")
        return super()._load_data(name)


class _Cache(caching.FunctionCache):
    """The cache of one function; ``remark`` says where it is kept when that is unusual."""

    def __init__(self, function: Any, remark: str) -> None:
        super().__init__(function)
        self._what = _what(function)
        self._remark = remark
        # numba looks at the one file of the function; constants come from others too
        self._cache_file = _File(self.cache_path, self._impl.filename_base, _stamp())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        found = None
        try:
            found = super().load_overload(sig, target_context)
        except Exception:  # unpickling what is no pickle raises anything
            self._unless_unwritable(self.flush)
        if found is None:
            _announce(self._what, f"once{self._remark}")
        return found

    def save_overload(self, sig: Any, data: Any) -> None:
        self._unless_unwritable(lambda: super(_Cache, self).save_overload(sig, data))

    def _unless_unwritable(self, action: Callable[[], None]) -> None:
        try:
            action()
        except OSError as error:  # a full disk, say: what was compiled runs all the same
            _complain(str(error))
            self.disable()


@cache
def _complain(error: str) -> None:
    print(f"vtacsp: compiled code cannot be kept: {error}", file=sys.stderr, flush=True)


@cache
def _stamp() -> str:
    """Digest of the sources of all compiled functions and their constants."""
    package = files("vtacsp")
    sources = [package / name for name in ("jit.py",)]
    for folder in _SOURCES:
        found = [entry for entry in (package / folder).iterdir() if entry.name.endswith(".py")]
        sources += sorted(found, key=lambda source: source.name)
    digest = sha256()
    for source in sources:
        digest.update(source.read_bytes())
    return digest.hexdigest()
