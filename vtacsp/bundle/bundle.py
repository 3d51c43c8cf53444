"""A bundle in memory, and as a folder of files."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vtacsp.bundle.manifest import Manifest
from vtacsp.errors import BundleError, shortened
from vtacsp.files import open_input, read_json
from vtacsp.machine.configuration import VTAConfig
from vtacsp.machine.instructions import Records, decode, unpack_micro_ops

__all__ = ["MANIFEST", "MAP", "RUNNER", "Bundle", "check_folder"]

MANIFEST = "manifest.json"
MAP = "buffers.txt"
RUNNER = "runner.c"


@dataclass(frozen=True)
class Bundle:
    """A manifest and the content of its files: ``instructions`` and the names of buffers.

    >>> program = build(Dense(name="mine", in_features=64, out_features=64), VTAConfig(), 0)
    >>> pack(program, {"kind": "template", "index": 0}, seed=1).save("mine")
    >>> bundle = Bundle.load("mine")
    >>> bundle.manifest.layer.name, len(bundle.instructions) == len(program.instructions)
    ('mine', True)
    """

    manifest: Manifest
    content: Mapping[str, bytes] = field(repr=False)

    @property
    def hardware(self) -> VTAConfig:
        """The machine that the program is for."""
        return self.manifest.hardware

    @property
    def words(self) -> NDArray[np.uint64]:
        """The instruction stream as it lies in DRAM, (n, 2), linked to the buffers' addresses."""
        return np.frombuffer(self.content["instructions"], dtype="<u8").reshape(-1, 2)

    @property
    def instructions(self) -> Records:
        """The instruction stream, decoded; DRAM addresses in elements from address 0."""
        return decode(self.words, self.hardware)

    @property
    def micro_ops(self) -> Records:
        """The micro-ops of all launches, one image after the other."""
        return unpack_micro_ops(np.frombuffer(self.content["uop"], dtype="<u4"), self.hardware)

    def save(self, folder: str | Path) -> None:
        """Write a new folder, whole or not at all.

        Beside the manifest and its files it holds the same map in words for the C runner
        (``buffers.txt``), and that runner.  Raises :class:`~vtacsp.errors.BundleError` when the
        folder exists and is not empty, or cannot be written.
        """
        path = check_folder(folder)
        draft = path.with_name(f".vtacsp-{secrets.token_hex(8)}.part")
        try:
            draft.mkdir()
            for name, buffer in self.manifest.files.items():
                (draft / buffer.file).write_bytes(self.content[name])
            (draft / MAP).write_text(self._map(), encoding="ascii")
            runner = files("vtacsp.bundle") / RUNNER
            (draft / RUNNER).write_text(runner.read_text(encoding="utf-8"), encoding="utf-8")
            text = json.dumps(self.manifest.to_dict(), indent=1) + "\n"
            (draft / MANIFEST).write_text(text, encoding="utf-8")
            with suppress(FileNotFoundError):
                path.rmdir()
            draft.replace(path)
        except OSError as failure:
            reason = failure.strerror or failure
            raise BundleError(f"cannot write {shortened(str(folder))}: {reason}") from failure
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Read a folder.

        Raises :class:`~vtacsp.errors.BundleError` for a manifest that is malformed, and for a
        file that is missing, longer, shorter, or another one than was written.
        """
        path = Path(folder)
        source = path / MANIFEST
        data = read_json(source, BundleError)
        try:
            manifest = Manifest.from_dict(data)
        except BundleError as error:
            raise BundleError(f"{source}: {error}") from None
        content = {}
        for name, buffer in manifest.files.items():
            place = path / buffer.file
            with open_input(place, BundleError) as file:
                read = file.read(buffer.bytes + 1)
            if len(read) != buffer.bytes:
                more = "more" if len(read) > buffer.bytes else f"{len(read):,}"
                raise BundleError(f"{place} has {more} bytes, the manifest says {buffer.bytes:,}")
            if hashlib.sha256(read).hexdigest() != buffer.sha256:
                raise BundleError(f"{place} is not the file that was written: its SHA-256 differs")
            content[name] = read
        return cls(manifest, content)

    def _map(self) -> str:
        """The manifest's map for a reader without JSON: a line per file and launch.

        The last word of a file is its CRC-32.
        """
        manifest = self.manifest
        lines = [f"bundle 1 {manifest.hardware.model} {manifest.cycles}"]
        for name, buffer in manifest.files.items():
            lines.append(
                f"{name} {buffer.file} {buffer.bytes} {buffer.address} {buffer.element_bytes} "
                f"{zlib.crc32(self.content[name]):08x}"
            )
        lines += [f"launch {part.first} {part.count}" for part in manifest.launches]
        return "\n".join(lines) + "\n"


def check_folder(folder: str | Path) -> Path:
    """The folder, when a bundle can become it; raises :class:`~vtacsp.errors.BundleError`."""
    if not os.fspath(folder):
        raise BundleError("cannot write a folder without a name")
    name = shortened(str(folder))
    try:
        path = Path(os.path.abspath(folder))
        if path.is_symlink() or (path.exists() and not path.is_dir()):
            raise BundleError(f"cannot write {name}: it is there and no folder")
        if path.is_dir() and any(path.iterdir()):
            raise BundleError(f"cannot write {name}: the folder is not empty")
        if not path.parent.is_dir():
            raise BundleError(f"cannot write {name}: there is no folder {path.parent}")
        if not os.access(path.parent, os.W_OK | os.X_OK):
            raise BundleError(f"cannot write {name}: no permission in its folder")
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise BundleError(f"cannot write {name}: {reason}") from failure
    return path
