"""Files: read with a limit, JSON that says what is wrong with it, written whole or not at all."""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

from vtacsp.errors import VtacspError

__all__ = [
    "DEEPEST",
    "LARGEST",
    "between_marks",
    "check_writable",
    "decode_json",
    "open_input",
    "parse_json",
    "read_json",
    "read_text",
    "replacing",
    "write_text",
]

LARGEST = 64 << 20
"""Bytes of the largest text that is read whole."""

DEEPEST = 64
"""Levels of lists and objects in JSON."""

LONGEST = 300
"""Digits of the longest integer in JSON: one that a float can hold."""

Errors = type[VtacspError]


# -- reading


def open_input(path: str | Path, error: Errors = VtacspError) -> IO[bytes]:
    """A file or a pipe, open for reading.

    Raises ``error`` when it cannot be opened, or is a device: some of them never end.  The null
    device is an empty file.
    """
    try:
        mode = os.stat(path).st_mode
        if stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or _is_null(path):
            return open(path, "rb")
    except (OSError, ValueError) as failure:  # ValueError: a zero byte in the name
        raise error(f"cannot read {_name(path)}: {_reason(failure)}") from failure
    raise error(f"cannot read {_name(path)}: {_kind(mode)}, no file")


def read_text(path: str | Path, error: Errors = VtacspError, limit: int = LARGEST) -> str:
    """The text of a file, at most ``limit`` bytes of UTF-8; raises ``error``."""
    with open_input(path, error) as file:
        try:
            data = file.read(limit + 1)
        except OSError as failure:
            raise error(f"cannot read {_name(path)}: {_reason(failure)}") from failure
    if len(data) > limit:
        raise error(f"cannot read {_name(path)}: more than {limit:,} bytes")
    try:
        return data.decode()
    except UnicodeDecodeError as failure:
        raise error(f"{_name(path)} is not UTF-8 text (byte {failure.start})") from failure


def read_json(path: str | Path, error: Errors = VtacspError) -> Any:
    """The JSON value of a file; raises ``error`` as :func:`read_text`, :func:`parse_json` do."""
    return parse_json(read_text(path, error), path, error)


def parse_json(text: str, source: str | Path, error: Errors = VtacspError) -> Any:
    """A JSON value, stricter than Python's ``json``: see :func:`decode_json`.

    Raises ``error`` with ``source``, the name of where the text is from, and the reason.
    """
    try:
        return decode_json(text)
    except ValueError as failure:
        raise error(f"{_name(source)} is not JSON that can be used: {failure}") from failure


def decode_json(text: str, *, finite: bool = True) -> Any:
    """A JSON value.

    Raises :class:`ValueError` with the reason for what is no JSON (RFC 8259: there is no ``NaN``),
    for a key that is there twice, a number that no float can hold, half of a surrogate pair (no
    file could hold it), and more than :data:`DEEPEST` levels.  ``finite=False`` lets ``NaN`` and
    infinities pass, for whoever looks at each number anyway.
    """
    try:
        value = _decoder(finite, bool(_LONG.search(text))).decode(text)
    except RecursionError:
        raise ValueError(f"more than {DEEPEST} levels of lists and objects") from None
    if text.count("[") + text.count("{") > DEEPEST or _SURROGATE.search(text):
        _check(value)
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {_short(twice)} is there twice")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text:.20} is too large")
    return value


def _integer(text: str) -> int:
    if len(text) > LONGEST:
        raise ValueError(f"a number has {len(text)} digits, at most {LONGEST} can be used")
    return int(text)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


@lru_cache
def _decoder(finite: bool, careful: bool) -> json.JSONDecoder:
    return json.JSONDecoder(
        object_pairs_hook=_object,
        parse_float=_float if finite else None,
        parse_constant=_no_number if finite else None,
        parse_int=_integer if careful else None,
    )


_LONG = re.compile(rf"\d{{{LONGEST}}}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _check(value: Any) -> None:
    """Depth and strings, without recursion."""
    level, depth = [value], 0
    while level:
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, str) and not _encodes(item):
                raise ValueError(f"the text {_short(item)} has half of a surrogate pair")
        depth += any(isinstance(item, (dict, list)) for item in level)
        if depth > DEEPEST:
            raise ValueError(f"more than {DEEPEST} levels of lists and objects")
        level = below


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- writing


def check_writable(path: str | Path, error: Errors = VtacspError) -> None:
    """Raises ``error`` when :func:`replacing` would not write there; nothing is written."""
    target = _target(path, error)
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        if not target.parent.is_dir():
            raise error(
                f"cannot write {_name(path)}: there is no folder {_name(target.parent)}"
            ) from None
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise error(f"cannot write {_name(path)}: no permission in its folder") from None
        return
    except OSError as failure:
        raise error(f"cannot write {_name(path)}: {_reason(failure)}") from failure
    if not stat.S_ISREG(mode) and not _is_stream(mode):
        raise error(f"cannot write {_name(path)}: {_kind(mode)}, no file")
    if not os.access(target, os.W_OK):
        raise error(f"cannot write {_name(path)}: no permission")


@contextmanager
def replacing(path: str | Path, error: Errors = VtacspError) -> Iterator[IO[bytes]]:
    """What is written becomes the file ``path``, whole, when the block ends without an exception.

    Until then the old file is as it was.  A symbolic link stays, and what it names is replaced; a
    pipe or a character device (``/dev/stdout``) is written to.  Raises ``error`` when that fails.
    """
    check_writable(path, error)
    target = _target(path, error)
    draft = target.with_name(f".vtacsp-{secrets.token_hex(8)}.part")
    try:
        if target.exists() and (target.is_symlink() or not target.is_file()):
            with target.open("wb") as file:
                yield file
            return
        with draft.open("xb") as file:
            if target.exists():
                os.chmod(draft, stat.S_IMODE(target.stat().st_mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    except OSError as failure:
        raise error(f"cannot write {_name(path)}: {_reason(failure)}") from failure
    finally:
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: str | Path, text: str | Iterable[str], error: Errors = VtacspError) -> None:
    """Write a file of UTF-8, in parts if given so, whole or not at all; see :func:`replacing`."""
    with replacing(path, error) as file:
        try:
            for part in [text] if isinstance(text, str) else text:
                file.write(part.encode())
        except UnicodeEncodeError as failure:
            reason = "half of a surrogate pair in it"
            raise error(f"cannot write {_name(path)}: {reason}") from failure


_OPEN = re.compile(r"/dev/(stdin|stdout|stderr|fd/\d+)|/proc/[^/]+/fd/\d+")


def _target(path: str | Path, error: Errors) -> Path:
    """The file behind symbolic links, but no descriptor of an open file, which would lose it."""
    if not os.fspath(path):
        raise error("cannot write a file without a name")
    try:
        return Path(path) if _OPEN.fullmatch(str(path)) else Path(os.path.realpath(path))
    except (OSError, ValueError) as failure:
        raise error(f"cannot write {_name(path)}: {_reason(failure)}") from failure


# -- words


def _is_null(path: str | Path) -> bool:
    return os.path.exists(os.devnull) and os.path.samefile(path, os.devnull)


def _is_stream(mode: int) -> bool:
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def _kind(mode: int) -> str:
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return "it is a socket" if stat.S_ISSOCK(mode) else "it is a device"


def _reason(failure: OSError | ValueError) -> str:
    return str(getattr(failure, "strerror", None) or failure)


def _name(path: str | Path) -> str:
    """A path in a message: on one line, not longer than one."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))
    return (text or "''") if len(text) <= 120 else f"{text[:60]}...{text[-50:]}"


def _short(text: str) -> str:
    return ascii(text) if len(text) <= 40 else f"{text[:40]!a}..."


def between_marks(page: str, mark: str, text: str) -> str:
    """A page with ``text`` in place of what stands between its two marks.

    >>> from vtacsp.files import between_marks
    >>> between_marks("a <!-- t -->old<!-- t --> z", "<!-- t -->", "new")
    'a <!-- t -->\\nnew<!-- t --> z'
    """
    before, _, rest = page.partition(mark)
    return f"{before}{mark}\n{text}{mark}{rest.partition(mark)[2]}"
