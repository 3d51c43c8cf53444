"""A network from the tasks that AutoTVM extracts from a Relay program."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from math import prod
from typing import Any

from vtacsp.autotvm.tvm_task import machine_of, workload_of
from vtacsp.epilogue.steps import CHANNEL, TENSOR, Arithmetic, Cast, Clip, Epilogue, Shift, Step
from vtacsp.errors import NetworkError, WorkloadError
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.value import HOST, VTA, Network, Node
from vtacsp.operators.registry import task_names
from vtacsp.operators.workload import Workload

__all__ = ["network_of"]

TaskKey = tuple[str, tuple[Any, ...]]  # name and arguments of a task


def network_of(
    tasks: Iterable[Any],
    hardware: VTAConfig | None = None,
    *,
    program: Any = None,
    name: str = "relay",
) -> Network:
    """The network whose layers are AutoTVM's tasks, as ``extract_from_program`` returns them.

    AutoTVM extracts a task once, however often the network has the layer, and without what
    follows it.  Both are in the packed Relay ``program`` (a function or a module) that the tasks
    were extracted from: with it, each layer is there as often as it is called, in the order of the
    calls, with the epilogue that Relay fuses into it; everything else is on the host.  Without
    it, each task is one layer with the epilogue of VTA's tuning scripts.

    The machine is that of :func:`machine_of`.  Tasks that are none of VTA's are on the host, and
    so are layers whose 32-bit sums something else reads.  Raises
    :class:`~vtacsp.errors.NetworkError` when there are no tasks, and when the tasks are not those
    of the program; else as :func:`workload_of`.

    >>> network = network_of([create_task(layer) for layer in vtacsp.suite("resnet18")])
    >>> len(network.layers), network.layers[0].name
    (10, 'conv2d.1')
    """
    known = {(task.name, _plain(task.args)): task for task in tasks}
    if not known:
        raise NetworkError(f"{name}: there are no tasks")
    if program is not None:
        return Network(name, tuple(_called(known, hardware, _Program(program), name)))
    numbers: Counter[str] = Counter()
    nodes = []
    for task in known.values():
        if task.name in task_names():
            nodes.append(_on_vta(workload_of(task, hardware), numbers))
        else:
            nodes.append(_on_host(task.name, 1, "its task is none of VTA's", numbers))
    return Network(name, tuple(nodes))


def _plain(value: Any) -> Any:
    """Arguments of a task as they are compared: tuples, whatever the log or TVM makes of them."""
    return tuple(map(_plain, value)) if isinstance(value, list | tuple) else value


def _on_vta(workload: Workload, numbers: Counter[str]) -> Node:
    numbers[workload.op] += 1
    called = f"{workload.op}.{numbers[workload.op]}"
    return Node(
        name=called, op=workload.op, place=VTA, workload=replace(workload, name=called, extra={})
    )


def _on_host(op: str, count: int, why: str, numbers: Counter[str]) -> Node:
    numbers[op] += 1
    called = op if numbers[op] == 1 else f"{op}#{numbers[op]}"
    return Node(name=called, op=op, place=HOST, why=why, count=count)


def _called(
    known: Mapping[TaskKey, Any], hardware: VTAConfig | None, program: _Program, name: str
) -> Iterable[Node]:
    """The layers in the order of their calls, then what is left for the host."""
    numbers: Counter[str] = Counter()
    found: set[TaskKey] = set()
    fused: set[int] = set()
    host: list[Node] = []
    for place, call in enumerate(program.calls):
        key = _key(call)
        if key is None:
            continue
        if key not in known:
            raise NetworkError(f"{name}: the program calls {key[0]} {key[1]}, which is no task")
        found.add(key)
        fused.add(place)
        steps, places = program.behind(place, fused)
        if not steps or not isinstance(steps[-1], Cast):
            why = "its 32-bit sums are read before they are cast: VTA stores 8 bits"
            host.append(_on_host(call.op.name, 1, why, numbers))
            continue
        fused.update(places)
        task = known[key]
        if steps[-1].dtype == f"int{1 << machine_of(task, hardware).log_inp_width}":
            steps[-1] = Cast()
        yield _on_vta(workload_of(task, hardware, epilogue=Epilogue(tuple(steps))), numbers)
    missing = [key for key in known if key[0] in task_names() and key not in found]
    if missing:
        task, args = missing[0]
        raise NetworkError(f"{name}: no call of the program is the task {task} {args}")
    yield from host
    rest = Counter(c.op.name for n, c in enumerate(program.calls) if n not in fused)
    for op, count in rest.items():
        yield _on_host(op, count, "not part of a layer of VTA's", numbers)


# -- the calls of a Relay program


def _shape(expression: Any) -> tuple[int, ...]:
    return tuple(int(extent) for extent in expression.checked_type.shape)


def _key(call: Any) -> TaskKey | None:
    """Name and arguments of the task of a packed call; None for any other call."""
    read = _LAYERS.get(call.op.name)
    if read is None or len(_shape(call.args[0])) != (4 if call.op.name == "nn.dense" else 6):
        return None
    tensors = (("TENSOR", _shape(x), str(x.checked_type.dtype)) for x in call.args[:2])
    name, rest = read(call.attrs)
    return name, (*tensors, *rest)


def _numbers(values: Any) -> tuple[int, ...]:
    return tuple(int(value) for value in values)


def _window(attrs: Any) -> tuple[tuple[int, ...], ...]:
    return _numbers(attrs.strides), _numbers(attrs.padding), _numbers(attrs.dilation)


def _conv2d(attrs: Any) -> TaskKey:
    if attrs.groups == 1:
        layout = str(attrs.data_layout)
        return "conv2d_packed.vta", (*_window(attrs), layout, str(attrs.out_dtype))
    return "group_conv2d_packed.vta", (*_window(attrs), int(attrs.groups), str(attrs.out_dtype))


def _conv2d_transpose(attrs: Any) -> TaskKey:
    own = (*_window(attrs)[:2], str(attrs.out_dtype), _numbers(attrs.output_padding))
    return "conv2d_transpose_packed.vta", own


def _dense(attrs: Any) -> TaskKey:
    return "dense_packed.vta", (None, str(attrs.out_dtype))


# as TVM's relay/op/strategy/generic.py and vta/top/op.py hand the arguments on
_LAYERS: dict[str, Callable[[Any], TaskKey]] = {
    "nn.conv2d": _conv2d,
    "nn.conv2d_transpose": _conv2d_transpose,
    "nn.dense": _dense,
}

_ARITHMETIC = {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "maximum": "max",
    "minimum": "min",
}
_SHIFTS = {"left_shift": "shift_left", "right_shift": "shift_right"}


class _Program:
    """The calls of the main function, and who reads what."""

    def __init__(self, program: Any) -> None:
        import tvm
        from tvm import relay

        module = program
        if not isinstance(program, tvm.IRModule):
            module = tvm.IRModule.from_expr(program)
        main = relay.transform.InferType()(module)["main"]
        self._constant = relay.Constant
        self.calls: list[Any] = []
        every: list[Any] = []

        def visit(expression: Any) -> None:
            every.append(expression)
            if isinstance(expression, relay.Call) and hasattr(expression.op, "name"):
                self.calls.append(expression)

        relay.analysis.post_order_visit(main, visit)
        self._place = {call: place for place, call in enumerate(self.calls)}
        self._readers: dict[Any, list[Any]] = {}
        for expression in every:
            for part in _parts(expression):
                self._readers.setdefault(part, []).append(expression)

    def behind(self, place: int, taken: Collection[int]) -> tuple[list[Step], list[int]]:
        """The steps that are fused into a call, up to a cast, and the places of their calls.

        ``taken`` are the places of calls that are fused into others.
        """
        end = self.calls[place]
        steps: list[Step] = []
        places: list[int] = []
        while not (steps and isinstance(steps[-1], Cast)):
            readers = self._readers.get(end, [])
            reader = self._place.get(readers[0]) if len(readers) == 1 else None
            step = None if reader is None or reader in taken else self._step(readers[0], end)
            if reader is None or step is None:
                break
            end = readers[0]
            steps.append(step)
            places.append(reader)
        return steps, places

    def _step(self, call: Any, data: Any) -> Step | None:
        """What a call does to the data; None for what is no step of an epilogue."""
        op, attrs = call.op.name, call.attrs
        if op == "nn.relu":
            return Arithmetic(op="max", value=0)
        if op == "clip":
            return Clip(min=int(attrs.a_min), max=int(attrs.a_max))
        if op == "cast":
            return Cast(dtype=str(attrs.dtype))
        if op not in _ARITHMETIC and op not in _SHIFTS:
            return None
        left = call.args[0] != data
        other = call.args[0] if left else call.args[1]
        value = self._scalar(other)
        if left and (op in _SHIFTS or (op == "subtract" and value is not None)):
            return None
        if op in _SHIFTS:
            return None if value is None else Shift(op=_SHIFTS[op], by=value)
        operand = None if value is not None else _operand(_shape(other), _shape(data))
        if value is None and operand is None:
            return None
        left = left and operand is not None
        try:
            return Arithmetic(op=_ARITHMETIC[op], value=value, operand=operand, left=left)
        except WorkloadError:  # what leaves nothing of the sums
            return None

    def _scalar(self, expression: Any) -> int | None:
        if not isinstance(expression, self._constant) or prod(_shape(expression)) != 1:
            return None
        return int(expression.data.numpy().reshape(()))


def _parts(expression: Any) -> list[Any]:
    """What an expression reads, each as often as it does."""
    several = (getattr(expression, field, ()) for field in ("args", "fields"))
    one = (getattr(expression, field, None) for field in ("tuple_value", "value", "body"))
    return [*chain.from_iterable(several), *(part for part in one if part is not None)]


def _operand(shape: tuple[int, ...], data: tuple[int, ...]) -> str | None:
    """Whether a packed operand has a value per channel, or all of the data's."""
    if shape == data:
        return TENSOR
    aligned = (1,) * (len(data) - len(shape)) + shape
    if len(data) == 6 and len(aligned) == 6 and aligned[1::4] == data[1::4]:
        others = (aligned[0], aligned[2], aligned[3])
        if others == (1, 1, 1) and aligned[4] in (1, data[4]):
            return CHANNEL
    return None
