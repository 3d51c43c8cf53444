"""Workloads from JSON."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vtacsp.epilogue.steps import Epilogue
from vtacsp.errors import WorkloadError, shortened
from vtacsp.files import read_json
from vtacsp.names import check_name
from vtacsp.operators.registry import OPERATORS, workload_type
from vtacsp.operators.workload import Workload

__all__ = ["load_workloads", "workload_from_dict", "workloads_from"]

_OPTIONAL = ("name", "bias", "epilogue", "stride", "padding", "output_padding")


def workload_from_dict(data: Mapping[str, Any]) -> Workload:
    """A workload from its JSON form; annotations are kept in ``extra``.

    Raises :class:`~vtacsp.errors.WorkloadError` naming the operator, the missing or unknown key,
    or the value that is out of range.
    """
    if not isinstance(data, Mapping):
        raise WorkloadError(f"a workload is a JSON object, got {shortened(data)}")
    name = data.get("name", "workload")
    check_name(name, "name", WorkloadError)
    if "op" not in data:
        raise WorkloadError(f"{name}: op is missing, known are {', '.join(OPERATORS)}")
    op = data["op"]
    if not isinstance(op, str) or op not in OPERATORS:
        raise WorkloadError(f"{name}: op is {shortened(op)}, known are {', '.join(OPERATORS)}")
    cls = workload_type(op)
    known = cls.keys()
    for key in known:
        if key not in data and key not in _OPTIONAL:
            raise WorkloadError(f"{name}: {key} is missing")
    values = {key: data[key] for key in known if key in data and key != "op"}
    if values.get("epilogue") is not None:
        try:
            values["epilogue"] = Epilogue.from_list(values["epilogue"])
        except WorkloadError as error:
            raise WorkloadError(f"{name}: {error}") from None
    return cls(**values, extra={key: value for key, value in data.items() if key not in known})


def load_workloads(path: str | Path) -> list[Workload]:
    """Workloads of a JSON file that holds one workload or a list of them.

    A workload of a list that has no name gets its number, ``workload2``.  Names say which layer
    a row, a record or a picture is about: a name that is there twice is refused.  Raises
    :class:`~vtacsp.errors.WorkloadError` naming the file.
    """
    return workloads_from(read_json(path, WorkloadError), path)


def workloads_from(data: Any, path: str | Path) -> list[Workload]:
    """The same from the JSON value of a file; ``path`` is what messages call it."""
    if not isinstance(data, list):
        return [_from_file(data, str(path))]
    if not data:
        raise WorkloadError(f"{path} holds no workload")
    workloads: dict[str, Workload] = {}
    for number, item in enumerate(data, 1):
        where = f"{path}, workload {number}"
        unnamed = isinstance(item, Mapping) and "name" not in item
        named = {**item, "name": f"workload{number}"} if unnamed else item
        workload = _from_file(named, where)
        if workload.name in workloads:
            raise WorkloadError(f"{where}: the name {workload.name} is there twice")
        workloads[workload.name] = workload
    return list(workloads.values())


def _from_file(item: Any, where: str) -> Workload:
    try:
        return workload_from_dict(item)
    except WorkloadError as error:
        raise WorkloadError(f"{where}: {error}") from None
