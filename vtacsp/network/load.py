"""A network by its name or file: a suite, workloads, a ``network.json`` or an ONNX model."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vtacsp.errors import NetworkError, WorkloadError, shortened
from vtacsp.files import read_json
from vtacsp.machine.configuration import VTAConfig
from vtacsp.network.node_names import check_names
from vtacsp.network.partition import Options
from vtacsp.network.value import HOST, VTA, Network, Node
from vtacsp.operators.filling import fill_blocks
from vtacsp.operators.loading import workloads_from
from vtacsp.operators.suites import SUITES, host_nodes, in_suite
from vtacsp.operators.workload import Workload

__all__ = [
    "counted_network",
    "find",
    "is_model",
    "is_network",
    "load_file",
    "load_network",
    "load_unfilled",
    "place",
]


def is_model(reference: str) -> bool:
    """Whether a word names an ONNX model."""
    return reference.lower().endswith(".onnx")


def load_network(
    reference: str, hardware: VTAConfig | None = None, options: Options | None = None
) -> Network:
    """The network that a suite, a suite member or a file is, placed on ``hardware``.

    Layers of suites and files are filled to its blocks (``vtacsp.operators.filling``); what it
    still cannot pack is on the host, with the reason.  Raises
    :class:`~vtacsp.errors.NetworkError` and :class:`~vtacsp.errors.WorkloadError`.

    >>> network = load_network("resnet18")
    >>> len(network.layers), sum(layer.count for layer in network.layers)
    (10, 19)
    """
    machine, options = hardware or VTAConfig(), options or Options()
    found = find(reference, machine, options)
    if isinstance(found, Network):
        return found
    return counted_network(reference, found, machine, options)


def find(reference: str, hardware: VTAConfig, options: Options) -> Network | list[Workload]:
    """The workloads of a suite, as they are, or what a file holds; see :func:`load_file`."""
    if not is_model(reference) and options != Options(host=options.host):
        raise NetworkError(
            f"{shortened(reference)}: --alu, --dense, --first-layer, --residual and --shape "
            "go with ONNX models"
        )
    known = in_suite(reference)
    return load_file(reference, hardware, options) if known is None else known


def load_file(
    reference: str, hardware: VTAConfig, options: Options | None = None
) -> Network | list[Workload]:
    """What a file holds: a network, or workloads as they are.

    Raises as :func:`load_network`.
    """
    options = options or Options()
    _check_there(reference)
    if is_model(reference):
        from vtacsp.network.onnx import load_onnx

        return load_onnx(reference, hardware, options)
    data = read_json(reference, WorkloadError)
    if is_network(data):
        return place(Network.from_dict(data, reference), hardware, options.host)
    return workloads_from(data, reference)


def load_unfilled(
    reference: str, hardware: VTAConfig, shapes: Mapping[str, tuple[int, ...]] | None = None
) -> list[Workload]:
    """The layers of a suite or a file as their network has them, for machines of any block.

    Of a network it is the distinct layers that are on VTA on ``hardware``, each with its count,
    before anything fills its blocks; dense layers of an ONNX model are those of the dense template.
    ``shapes`` fixes inputs of a model, by name.
    Raises as :func:`load_network`, and for a network of which no node runs on VTA.
    """
    options = Options(dense="dense", shapes=shapes or {})
    if options.shapes and not is_model(reference):
        raise NetworkError(f"{shortened(reference)}: --shape goes with ONNX models")
    known = in_suite(reference)
    if known is not None:
        return known
    _check_there(reference)
    if is_model(reference):
        from vtacsp.network.onnx.importer import import_onnx

        imported = import_onnx(reference, hardware, options)
        network = imported.network
        own = {name: placed.layer.workload for name, placed in imported.placed.items()}
    else:
        data = read_json(reference, WorkloadError)
        if not is_network(data):
            return workloads_from(data, reference)
        given = Network.from_dict(data, reference)
        network = place(given, hardware)
        own = {node.name: node.workload for node in given.nodes if node.workload is not None}
    nodes = [
        node if node.workload is None else replace(node, workload=own[node.name])
        for node in network.nodes
    ]
    layers = replace(network, nodes=tuple(nodes)).workloads
    if not layers:
        raise NetworkError(
            f"{network.name}: no node runs on VTA; `vtacsp network` says why of each"
        )
    return layers


def _check_there(reference: str) -> None:
    if not os.path.exists(reference):
        raise WorkloadError(
            f"{shortened(reference)} is no suite ({', '.join(SUITES)}), no suite member "
            "(resnet18.C8), no JSON file and no ONNX model"
        )


def is_network(data: Any) -> bool:
    """Whether the JSON value of a file is a network, rather than workloads."""
    return isinstance(data, Mapping) and ("nodes" in data or "network" in data)


def counted_network(
    reference: str,
    workloads: Sequence[Workload],
    hardware: VTAConfig,
    options: Options | None = None,
) -> Network:
    """Workloads as a network: each as often as its annotation ``count`` says, once without.

    Of a suite also what the host has.  Raises :class:`~vtacsp.errors.NetworkError` for a count
    that is no positive integer.
    """
    nodes = [
        Node(
            name=workload.name,
            op=workload.op,
            place=VTA,
            workload=workload,
            count=workload.extra.get("count", 1),
        )
        for workload in workloads
    ]
    nodes += [
        Node(name=item["name"], op=item["op"], place=HOST, why=item["host"], count=item["count"])
        for item in host_nodes(reference)
    ]
    name = reference if in_suite(reference) is not None else Path(reference).name or "network"
    return place(Network(name, tuple(nodes)), hardware, (options or Options()).host)


def place(network: Network, hardware: VTAConfig, host: frozenset[str] = frozenset()) -> Network:
    """The network on a machine: layers fill its blocks, what it cannot pack goes to the host.

    ``host`` names nodes that go there too.  Raises :class:`~vtacsp.errors.NetworkError` for a
    name that is no node.
    """
    check_names(host, [node.name for node in network.nodes])
    return replace(network, nodes=tuple(_placed(node, hardware, host) for node in network.nodes))


def _placed(node: Node, hardware: VTAConfig, host: frozenset[str]) -> Node:
    if node.name in host:
        return replace(node, place=HOST, why="kept on the host (--host)", workload=None, remarks=())
    if node.workload is None:
        return node
    filling = fill_blocks(node.workload, hardware)
    filled = filling.workload
    try:
        filled.pack(hardware)
    except WorkloadError as refusal:
        why = str(refusal).removeprefix(f"{node.workload.name}: ")
        return replace(node, place=HOST, why=why, workload=None, remarks=())
    own = node.workload.macs or None  # the ALU's operators have none
    macs = node.macs or (own if filled != node.workload else None)
    known = dict.fromkeys((*node.remarks, *filling.remarks))
    return replace(node, workload=filled, macs=macs, remarks=tuple(known))
