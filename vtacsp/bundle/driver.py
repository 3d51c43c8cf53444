"""VTA's driver API over ctypes: a library in this process, and what it is asked to do."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vtacsp.bundle.profiler import Profiler
from vtacsp.errors import DriverError, shortened

__all__ = ["WAIT", "Driver"]

WAIT = 1 << 31
"""Polls until the driver gives up, as TVM's runtime asks for."""

_POINTER, _SIZE, _INT, _U32 = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_uint32


class Driver:
    """The functions of ``vta/driver.h``; ``address_bits`` is 64 for a build with ``USE_VTA64``.

    ``preload`` are libraries that this one needs and does not name.  Raises
    :class:`~vtacsp.errors.DriverError` for a library that cannot be loaded or lacks a function.
    """

    def __init__(
        self, library: str | Path, preload: Sequence[str] = (), address_bits: int = 32
    ) -> None:
        others = [_load(path, ctypes.RTLD_GLOBAL) for path in preload]
        self._library = _load(library, ctypes.RTLD_LOCAL)
        self.profiler = Profiler([self._library, *others])
        self.library = library
        phy = ctypes.c_uint64 if address_bits == 64 else _U32
        signatures: dict[str, tuple[Any, ...]] = {  # result, arguments
            "VTADeviceAlloc": (_POINTER,),
            "VTADeviceFree": (None, _POINTER),
            "VTADeviceRun": (_INT, _POINTER, phy, _U32, _U32),
            "VTAMemAlloc": (_POINTER, _SIZE, _INT),
            "VTAMemFree": (None, _POINTER),
            "VTAMemGetPhyAddr": (phy, _POINTER),
            "VTAMemCopyFromHost": (None, _POINTER, _POINTER, _SIZE),
            "VTAMemCopyToHost": (None, _POINTER, _POINTER, _SIZE),
            "VTAFlushCache": (None, _POINTER, phy, _INT),
            "VTAInvalidateCache": (None, _POINTER, phy, _INT),
        }
        for name, (result, *arguments) in signatures.items():
            try:
                function = getattr(self._library, name)
            except AttributeError:
                raise DriverError(f"{library} has no function {name} of VTA's driver") from None
            function.restype, function.argtypes = result, arguments

    def allocate(self, size: int) -> tuple[int, int]:
        """A buffer of the accelerator's memory: its address for the host, and its own."""
        buffer = self._library.VTAMemAlloc(size, 0)
        if not buffer:
            raise DriverError(f"{self.library} has no {size:,} bytes of memory left")
        return buffer, self._library.VTAMemGetPhyAddr(buffer)

    def upload(self, buffer: tuple[int, int], data: bytes) -> None:
        """Write a buffer, and see that the accelerator reads it."""
        self._library.VTAMemCopyFromHost(buffer[0], data, len(data))
        self._library.VTAFlushCache(*buffer, len(data))

    def download(self, buffer: tuple[int, int], size: int) -> bytes:
        """Read what the accelerator wrote."""
        self._library.VTAInvalidateCache(*buffer, size)
        found = ctypes.create_string_buffer(size)
        self._library.VTAMemCopyToHost(found, buffer[0], size)
        return found.raw

    def free(self, buffer: tuple[int, int]) -> None:
        """Give a buffer back."""
        self._library.VTAMemFree(buffer[0])

    def open(self) -> int:
        """A handle of the device."""
        device = self._library.VTADeviceAlloc()
        if not device:
            raise DriverError(f"{self.library} has no device")
        return int(device)

    def run(self, device: int, address: int, count: int) -> None:
        """Run instructions at an address of the accelerator; blocks until they are done."""
        if self._library.VTADeviceRun(device, address, count, WAIT):
            raise DriverError(f"{self.library}: the device did not finish")

    def close(self, device: int) -> None:
        """Give the device back."""
        self._library.VTADeviceFree(device)


def _load(path: str | Path, mode: int) -> ctypes.CDLL:
    # a name without a folder would be looked for in the system's folders only
    place = os.path.abspath(path) if os.path.exists(path) else str(path)
    try:
        return ctypes.CDLL(place, mode=mode)
    except (OSError, ValueError) as failure:
        reason = " ".join(str(failure).replace(place, "").strip(": ").split()) or "unknown"
        raise DriverError(f"cannot load {shortened(str(path))}: {reason[:200]}") from failure
