"""ONNX models as networks: :func:`load_onnx`; needs the extra ``onnx``."""

from vtacsp.network.onnx.importer import load_onnx

__all__ = ["load_onnx"]
