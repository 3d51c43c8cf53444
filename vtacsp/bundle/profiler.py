"""The profilers of VTA's simulators: TVM packed functions, called through TVM's C API.

``libvta_fsim`` counts bytes and micro-ops, ``libvta_tsim`` cycles.  The C API is that of TVM up to
0.19 (``tvm/runtime/c_runtime_api.h``); a driver without it has no profiler.
"""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Sequence
from typing import Any

from vtacsp.errors import DriverError

__all__ = ["Profiler"]

_PREFIXES = ("vta.tsim", "vta.simulator")
_MODULE, _STRING = 9, 11  # kTVMModuleHandle, kTVMStr


class _Value(ctypes.Union):
    _fields_ = (("integer", ctypes.c_int64), ("handle", ctypes.c_void_p), ("text", ctypes.c_char_p))


class Profiler:
    """The packed functions of a simulator, where the libraries of this process have them."""

    def __init__(self, libraries: Sequence[ctypes.CDLL]) -> None:
        names = ("TVMFuncGetGlobal", "TVMFuncCall")
        found = [lib for lib in libraries if all(hasattr(lib, name) for name in names)]
        self._api = found[0] if found else None

    def start(self, hardware: str | None) -> None:
        """Set counters to zero; ``hardware`` is the library of the simulated RTL (tsim).

        Raises :class:`~vtacsp.errors.DriverError` when that is asked for and there is no tsim,
        and when there is one and nothing was named: it would end the process.
        """
        function = self._function("vta.tsim.init")
        if hardware is not None:
            if self._api is None or function is None:
                raise DriverError(f"{hardware}: no library here has vta.tsim.init of libvta_tsim")
            self._call(function, _Value(handle=self._module(hardware)), _MODULE)
        elif function is not None:
            raise DriverError("libvta_tsim needs the hardware that it simulates (libvta_hw.so)")
        for prefix in _PREFIXES:
            clear = self._function(f"{prefix}.profiler_clear")
            if clear is not None:
                self._call(clear)

    def counters(self) -> dict[str, int] | None:
        """What was counted since then, None without a profiler."""
        for prefix in _PREFIXES:
            status = self._function(f"{prefix}.profiler_status")
            if status is None:
                continue
            try:
                data = json.loads(self._call(status) or "")
            except ValueError:
                continue
            if isinstance(data, dict):
                return {str(name): value for name, value in data.items() if type(value) is int}
        return None

    def _module(self, hardware: str) -> int | None:
        """The handle of a library of simulated RTL."""
        assert self._api is not None
        # a name without a folder would be looked for in the system's folders only
        place = os.path.abspath(hardware) if os.path.exists(hardware) else hardware
        module = ctypes.c_void_p()
        if self._api.TVMModLoadFromFile(place.encode(), b"vta-tsim", ctypes.byref(module)):
            raise DriverError(
                f"cannot load {hardware} as the hardware of libvta_tsim{self._reason()}"
            )
        return module.value

    def _reason(self) -> str:
        """What TVM says of the last failure, in one line and after a colon; may be empty."""
        last = getattr(self._api, "TVMGetLastError", None)
        if last is None:
            return ""
        last.restype = ctypes.c_char_p
        lines = (last() or b"").decode("utf-8", "replace").splitlines()
        told = [line for line in lines if "Check failed" in line] or lines[:1] or [""]
        words = " ".join(told[0].rpartition("is false:")[2].split()) or told[0].strip()
        return f": {words[:200]}" if words else ""

    def _function(self, name: str) -> ctypes.c_void_p | None:
        if self._api is None:
            return None
        handle = ctypes.c_void_p()
        failed = self._api.TVMFuncGetGlobal(name.encode(), ctypes.byref(handle))
        return handle if not failed and handle.value else None

    def _call(self, function: ctypes.c_void_p, value: Any = None, code: int = 0) -> str | None:
        """Call a function with one argument or none; the text that it returns."""
        assert self._api is not None
        result, kind = _Value(), ctypes.c_int()
        values, codes = (_Value * 1)(), (ctypes.c_int * 1)(code)
        if value is not None:
            values[0] = value
        number = 0 if value is None else 1
        failed = self._api.TVMFuncCall(
            function, values, codes, number, ctypes.byref(result), ctypes.byref(kind)
        )
        if failed:
            raise DriverError(f"a packed function of the simulator failed{self._reason()}")
        return result.text.decode("utf-8", "replace") if kind.value == _STRING else None
