"""An ONNX graph as typed values: operators in order, shapes of tensors, constants on demand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vtacsp.errors import NetworkError, shortened
from vtacsp.network.onnx.package import onnx_module
from vtacsp.operators.workload import Shape

__all__ = ["Array", "Graph", "Op", "Shape"]

Array = NDArray[Any]

SMALL = 1 << 22
"""Values of the largest constant that is computed."""

RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli",
          "Multinomial"}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Op:
    """A node: ``name`` is unique in its graph, inputs that are left out are empty names."""

    name: str
    type: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(repr=False)
    proto: Any = field(repr=False)

    def input(self, place: int) -> str:
        """The name of an input, empty when it is left out."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def ints(self, name: str, default: Shape) -> Shape:
        """An attribute that is a list of integers."""
        value = self.attributes.get(name)
        if value is None:
            return default
        if not isinstance(value, (list, tuple)) or not all(isinstance(v, int) for v in value):
            raise NetworkError(f"{self.name}: {name} is {shortened(value)}, not integers")
        if len(value) != len(default):
            raise NetworkError(
                f"{self.name}: {name} has {len(value)} values, {len(default)} are needed"
            )
        return tuple(value)

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        value = self.attributes.get(name, default)
        if not isinstance(value, (int, float)):
            raise NetworkError(f"{self.name}: {name} is {shortened(value)}, not a number")
        return value

    def text(self, name: str, default: str) -> str:
        """An attribute that is a text."""
        value = self.attributes.get(name, default)
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


@dataclass(frozen=True, eq=False)
class Graph:
    """A graph in the order of its file.

    ``shapes`` holds what is known of each tensor: None where inference found nothing.  ``dtypes``
    are numpy's names.  ``folder`` is where external data are.
    """

    name: str
    ops: tuple[Op, ...]
    inputs: tuple[str, ...]
    outputs: frozenset[str]
    shapes: Mapping[str, Shape | None] = field(repr=False)
    dtypes: Mapping[str, str] = field(repr=False)
    initializers: Mapping[str, Any] = field(repr=False)
    folder: str = ""
    _values: dict[str, Array | None] = field(default_factory=dict, repr=False)

    @cached_property
    def producer(self) -> dict[str, Op]:
        """The operator that computes a tensor."""
        return {output: op for op in self.ops for output in op.outputs if output}

    @cached_property
    def consumers(self) -> dict[str, list[Op]]:
        """The operators that read a tensor, in order, each once."""
        found: dict[str, list[Op]] = {}
        for op in self.ops:
            for name in dict.fromkeys(op.inputs):
                if name:
                    found.setdefault(name, []).append(op)
        return found

    @cached_property
    def constant_ops(self) -> frozenset[str]:
        """Names of the operators whose results do not depend on the inputs of the network."""
        constants, found = set(self.initializers), set()
        for op in self.ops:
            fixed = op.type == "Shape" and self.shapes.get(op.input(0)) is not None
            known = all(name in constants for name in op.inputs if name)
            if fixed or (known and op.type not in RANDOM):
                found.add(op.name)
                constants.update(op.outputs)
        return frozenset(found)

    def is_constant(self, tensor: str) -> bool:
        """Whether a tensor is known before the network runs."""
        if tensor in self.initializers:
            return True
        op = self.producer.get(tensor)
        return op is not None and op.name in self.constant_ops

    def shape(self, tensor: str) -> Shape | None:
        """The shape of a tensor; None when it is not known."""
        return self.shapes.get(tensor)

    def only_consumer(self, tensor: str) -> Op | None:
        """The one operator that reads a tensor which nothing else needs; None otherwise."""
        readers = self.consumers.get(tensor, [])
        return readers[0] if len(readers) == 1 and tensor not in self.outputs else None

    def value(self, tensor: str) -> Array | None:
        """The value of a constant; None when it is none, too large or cannot be computed."""
        if tensor not in self._values:
            self._values[tensor] = self._compute(tensor) if self.is_constant(tensor) else None
        return self._values[tensor]

    def _compute(self, tensor: str) -> Array | None:
        shape = self.shape(tensor)
        if shape is not None and prod(shape) > SMALL:
            return None
        if tensor in self.initializers:
            return self._read(tensor)
        op = self.producer[tensor]
        if op.type == "Shape" and not self.is_constant(op.input(0)):
            known = self.shape(op.input(0)) or ()
            start, end = int(op.number("start", 0)), op.attributes.get("end")
            return np.array(known[start:end], dtype=np.int64)
        feeds = {name: self.value(name) for name in op.inputs if name}
        if any(value is None for value in feeds.values()):
            return None
        try:
            results = onnx_module("reference").ReferenceEvaluator(op.proto).run(None, feeds)
        except Exception:  # what the reference cannot compute is not known: no scale, no bound
            return None
        return np.asarray(results[op.outputs.index(tensor)])

    def _read(self, tensor: str) -> Array:
        proto = self.initializers[tensor]
        try:
            return np.asarray(onnx_module("numpy_helper").to_array(proto, base_dir=self.folder))
        except Exception as failure:
            raise NetworkError(
                f"the tensor {shortened(tensor)} cannot be read: {shortened(str(failure))}"
            ) from None

    def small(self, tensor: str, what: str) -> Array:
        """The value of a constant that is needed; raises :class:`NetworkError` without it."""
        value = self.value(tensor)
        if value is None:
            raise NetworkError(f"{what} is {shortened(tensor)}, whose value is not known")
        return value
