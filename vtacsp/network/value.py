"""A network: its nodes in order, each with its place, and the distinct layers among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from vtacsp.errors import NetworkError, WorkloadError, shortened
from vtacsp.files import read_json
from vtacsp.names import check_name
from vtacsp.operators.loading import workload_from_dict
from vtacsp.operators.workload import MAX_SIZE, Workload

__all__ = ["CONSTANT", "FUSED", "HOST", "VTA", "Network", "NetworkLayer", "Node"]

VTA = "vta"
"""The place of a node that VTA computes, as a workload.

>>> network = load_network("resnet18")
>>> len(network.placed(VTA)), len(network.placed(HOST))
(10, 5)
"""

FUSED = "fused"
"""The place of a node that is in the epilogue of another one.

>>> layer = vtacsp.suite("resnet18")[9]
>>> convolution = Node(name="conv", op="Conv", place=VTA, workload=layer)
>>> relu = Node(name="relu", op="Relu", place=FUSED, why="conv")
>>> [node.name for node in Network("tiny", (convolution, relu)).placed(FUSED)]
['relu']
"""

HOST = "host"
"""The place of a node that the host computes, with the reason.

>>> node = load_network("resnet18").placed(HOST)[0]
>>> node.name, node.why
('C1', '3 input channels do not fill a block')
"""

CONSTANT = "constant"
"""The place of a node that is computed before the network runs.

>>> Node(name="weights", op="DequantizeLinear", place=CONSTANT).to_dict()
{'name': 'weights', 'op': 'DequantizeLinear', 'constant': True}
"""

PLACES = (VTA, FUSED, HOST, CONSTANT)
"""Where a node can be."""

TEXT = 1000  # characters of a reason or a note


@dataclass(frozen=True, kw_only=True)
class Node:
    """A node of a network, or ``count`` identical ones, and its place, one of :data:`PLACES`.

    ``op`` is what the source calls it.  ``workload`` is what VTA computes, None elsewhere;
    ``why`` the reason of a node on the host, or the name of the node that it is fused into.
    ``macs`` are the multiply-accumulates of the model's own layer, without the zeros that fill
    blocks; None is those of the workload.  ``remarks`` are what VTA does differently, or what the
    host does beside it.  Raises :class:`~vtacsp.errors.NetworkError` for what does not fit.

    >>> Node(name="softmax", op="Softmax", place=HOST, why="VTA has no exponential").to_dict()
    {'name': 'softmax', 'op': 'Softmax', 'host': 'VTA has no exponential'}
    """

    name: str
    op: str
    place: str
    why: str = ""
    workload: Workload | None = None
    count: int = 1
    macs: int | None = None
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, "name of a node", NetworkError)
        check_name(self.op, f"{self.name}: op", NetworkError)
        if self.place not in PLACES:
            raise NetworkError(
                f"{self.name}: place is {shortened(self.place)}, known are {', '.join(PLACES)}"
            )
        if (self.workload is not None) != (self.place == VTA):
            raise NetworkError(f"{self.name}: a node has a workload when it is on VTA, only then")
        if bool(self.why) != (self.place in (FUSED, HOST)):
            raise NetworkError(
                f"{self.name}: a node on the host has a reason, a fused one the name of another"
            )
        _positive(self.count, f"{self.name}: count", MAX_SIZE)
        if self.macs is not None:
            _positive(self.macs, f"{self.name}: macs", None)
        for text in (self.why, *self.remarks):
            if not isinstance(text, str) or len(text) > TEXT or not text.isprintable():
                raise NetworkError(
                    f"{self.name}: reasons and remarks are at most {TEXT} printable characters, "
                    f"got {shortened(text)}"
                )

    def to_dict(self) -> dict[str, Any]:
        """JSON form, as in ``network.json``; see :class:`Network`."""
        data: dict[str, Any] = {"name": self.name, "op": self.op}
        if self.count != 1:
            data["count"] = self.count
        if self.workload is not None:
            data[VTA] = {k: v for k, v in self.workload.to_dict().items() if k != "name"}
        else:
            data[self.place] = self.why or True
        if self.macs is not None:
            data["macs"] = self.macs
        if self.remarks:
            data["remarks"] = list(self.remarks)
        return data

    @classmethod
    def from_dict(cls, data: Any, earlier: Mapping[str, Node]) -> Node:
        """From its JSON form; ``earlier`` are the nodes before it, by name.

        Raises :class:`~vtacsp.errors.NetworkError` naming the key and what is allowed.
        """
        if not isinstance(data, Mapping):
            raise NetworkError(f"a node is a JSON object, got {shortened(data)}")
        name = data.get("name")
        check_name(name, "name", NetworkError)
        known = ("name", "op", "count", "macs", "remarks", *PLACES)
        for key in data:
            if key not in known:
                raise NetworkError(
                    f"{name}: {shortened(key)} is no key of a node; known are {', '.join(known)}"
                )
        places = [place for place in PLACES if place in data]
        if len(places) != 1:
            raise NetworkError(f"{name}: a node has exactly one of {', '.join(PLACES)}")
        (place,) = places
        remarks = data.get("remarks", [])
        if not isinstance(remarks, list):
            raise NetworkError(f"{name}: remarks is a list of texts, got {shortened(remarks)}")
        workload, why = None, ""
        if place == VTA:
            workload = _workload(data[VTA], str(name), earlier)
        elif place == CONSTANT:
            if data[CONSTANT] is not True:
                raise NetworkError(f"{name}: constant is true or left out")
        else:
            why = data[place]
            if not isinstance(why, str) or not why:
                raise NetworkError(f"{name}: {place} is a text, got {shortened(why)}")
        default = "node" if workload is None else workload.op
        return cls(
            name=str(name),
            op=data.get("op", default),
            place=place,
            why=why,
            workload=workload,
            count=data.get("count", 1),
            macs=data.get("macs"),
            remarks=tuple(remarks),
        )


def _positive(value: Any, what: str, most: int | None) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise NetworkError(f"{what} must be an integer of at least 1, got {shortened(value)}")
    if most is not None and value > most:
        raise NetworkError(f"{what} is {shortened(value)}, allowed are 1 to {most}")


def _workload(data: Any, name: str, earlier: Mapping[str, Node]) -> Workload:
    """A workload spelled out, or that of an earlier node by its name."""
    if isinstance(data, str):
        same = earlier.get(data)
        if same is None or same.workload is None:
            raise NetworkError(f"{name}: vta is {shortened(data)}, no earlier node on VTA")
        return replace(same.workload, name=name)
    if not isinstance(data, Mapping):
        raise NetworkError(
            f"{name}: vta is a workload or the name of an earlier node, got {shortened(data)}"
        )
    try:
        return workload_from_dict({"name": name, **data})
    except WorkloadError as error:
        raise NetworkError(f"{name}: vta: {error}") from None


@dataclass(frozen=True)
class NetworkLayer:
    """A distinct layer on VTA, named after its first node, and the ``nodes`` that are it.

    ``count`` is how many times the network runs it, ``macs`` the multiply-accumulates of the
    model's own layers, of all these runs together.

    >>> layer = load_network("resnet18").layers[0]
    >>> layer.name, layer.count, layer.macs == 4 * layer.workload.macs
    ('resnet18.C2', 4, True)
    """

    workload: Workload
    count: int
    macs: int
    nodes: tuple[str, ...] = field(repr=False)
    remarks: tuple[str, ...] = field(default=(), repr=False)

    @property
    def name(self) -> str:
        """The name of the layer."""
        return self.workload.name

    @property
    def waste(self) -> float:
        """Share of VTA's multiply-accumulates whose operands are zeros that fill blocks."""
        ours = self.count * self.workload.macs
        return 1 - min(self.macs, ours) / ours if ours else 0.0


@dataclass(frozen=True)
class Network:
    """Nodes in network order; ``remarks`` are about all of them.

    The JSON form is an object with ``network`` (the name), ``nodes`` and, when there are any,
    ``remarks``.  A node has ``name``, ``op``, ``count`` (1 when left out) and exactly one of
    ``vta`` (a workload, or the name of an earlier node that has the same), ``fused`` (the name of
    the node whose epilogue does it), ``host`` (the reason) and ``constant`` (true); it may have
    ``macs`` and ``remarks``.

    Raises :class:`~vtacsp.errors.NetworkError` for a network without nodes, for a name that is
    there twice, and for a node that is fused into none.

    >>> load_network("resnet18").layers[0].name
    'resnet18.C2'
    """

    name: str
    nodes: tuple[Node, ...]
    remarks: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_name(self.name, "network", NetworkError)
        if not self.nodes:
            raise NetworkError(f"{self.name}: the network has no nodes")
        names: set[str] = set()
        for node in self.nodes:
            if node.name in names:
                raise NetworkError(f"{self.name}: the node {shortened(node.name)} is there twice")
            names.add(node.name)
        for node in self.nodes:
            if node.place == FUSED and node.why not in names:
                raise NetworkError(
                    f"{self.name}: {node.name} is fused into {shortened(node.why)}, which is "
                    "no node"
                )
        for text in self.remarks:
            if not isinstance(text, str) or not text.isprintable() or len(text) > TEXT:
                raise NetworkError(f"{self.name}: a remark is a text, got {shortened(text)}")

    @cached_property
    def layers(self) -> tuple[NetworkLayer, ...]:
        """The distinct layers on VTA, in the order in which the network has them first."""
        groups: dict[Workload, list[Node]] = {}
        for node in self.nodes:
            if node.workload is not None:
                groups.setdefault(replace(node.workload, name="layer"), []).append(node)
        return tuple(_layer(nodes) for nodes in groups.values())

    def placed(self, *places: str) -> tuple[Node, ...]:
        """The nodes of these places, in network order."""
        return tuple(node for node in self.nodes if node.place in places)

    @property
    def host(self) -> tuple[Node, ...]:
        """What the host computes."""
        return self.placed(HOST)

    def host_rows(self) -> list[dict[str, Any]]:
        """What the host computes, and why."""
        return [{"node": n.name, "op": n.op, "count": n.count, "reason": n.why} for n in self.host]

    @property
    def workloads(self) -> list[Workload]:
        """One per distinct layer, with its count among the annotations."""
        return [
            replace(layer.workload, extra={**layer.workload.extra, "count": layer.count})
            for layer in self.layers
        ]

    def to_dict(self) -> dict[str, Any]:
        """JSON form; a workload is spelled out where it is first."""
        first: dict[Workload, str] = {}
        nodes = []
        for node in self.nodes:
            data = node.to_dict()
            if node.workload is not None:
                known = first.setdefault(replace(node.workload, name="layer"), node.name)
                if known != node.name:
                    data[VTA] = known
            nodes.append(data)
        remarks = {"remarks": list(self.remarks)} if self.remarks else {}
        return {"network": self.name, **remarks, "nodes": nodes}

    @classmethod
    def from_dict(cls, data: Any, source: str = "network") -> Network:
        """From its JSON form; raises :class:`~vtacsp.errors.NetworkError` naming the node."""
        if not isinstance(data, Mapping):
            raise NetworkError(f"{source}: a network is a JSON object, got {shortened(data)}")
        for key in data:
            if key not in ("network", "nodes", "remarks"):
                raise NetworkError(
                    f"{source}: {shortened(key)} is no key of a network; known are network, "
                    "nodes, remarks"
                )
        items, remarks = data.get("nodes"), data.get("remarks", [])
        if not isinstance(items, Sequence) or isinstance(items, str):
            raise NetworkError(f"{source}: nodes is a list of nodes, got {shortened(items)}")
        if not isinstance(remarks, list):
            raise NetworkError(f"{source}: remarks is a list of texts, got {shortened(remarks)}")
        nodes: dict[str, Node] = {}
        for number, item in enumerate(items, 1):
            try:
                node = Node.from_dict(item, nodes)
            except (NetworkError, WorkloadError) as error:
                raise NetworkError(f"{source}, node {number}: {error}") from None
            if node.name in nodes:
                raise NetworkError(
                    f"{source}, node {number}: the name {shortened(node.name)} is there twice"
                )
            nodes[node.name] = node
        return cls(data.get("network", "network"), tuple(nodes.values()), tuple(remarks))

    @classmethod
    def load(cls, path: str | Path) -> Network:
        """From a ``network.json``; raises :class:`~vtacsp.errors.NetworkError`."""
        return cls.from_dict(read_json(path, NetworkError), str(path))


def _layer(nodes: Sequence[Node]) -> NetworkLayer:
    workload = nodes[0].workload
    assert workload is not None
    return NetworkLayer(
        workload=replace(workload, name=nodes[0].name),
        count=sum(node.count for node in nodes),
        macs=sum(node.count * (node.macs or workload.macs) for node in nodes),
        nodes=tuple(node.name for node in nodes),
        remarks=tuple(dict.fromkeys(note for node in nodes for note in node.remarks)),
    )
