"""The package ``onnx``, which is an extra: imported when a model is read."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from vtacsp.errors import MissingDependencyError

__all__ = ["onnx_module"]


def onnx_module(name: str = "") -> Any:
    """A module of the package.

    Raises :class:`~vtacsp.errors.MissingDependencyError` naming the extra.
    """
    try:
        return import_module(f"onnx.{name}" if name else "onnx")
    except ImportError as failure:
        raise MissingDependencyError(
            f"reading an ONNX model needs the package onnx: pip install 'vtacsp[onnx]' ({failure})"
        ) from None
