"""Timing models as JSON files: what ``vtacsp calibrate`` writes and ``--preset`` reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vtacsp.errors import TimingError, shortened
from vtacsp.files import read_json, write_text
from vtacsp.names import check_name
from vtacsp.timing.model import PRESETS, RTL, TimingModel, constants

__all__ = ["find_preset", "load_preset", "preset_from_dict", "preset_to_dict", "save_preset"]

_KEYS = ("note", "constants")


def find_preset(word: str) -> TimingModel:
    """A timing model by the name of a preset (``rtl``, ``pynq``), or from a JSON file.

    Raises :class:`~vtacsp.errors.TimingError` as :func:`load_preset`.

    >>> find_preset("pynq") == PYNQ
    True
    """
    if word.lower() in PRESETS:
        return PRESETS[word.lower()]
    if not word:
        raise TimingError(f"a preset is {', '.join(PRESETS)} or a JSON file, not an empty name")
    try:
        return load_preset(word)
    except TimingError as error:
        if str(error).startswith("cannot read") and not Path(word).suffix:
            raise TimingError(f"{error}; presets with a name are {', '.join(PRESETS)}") from None
        raise


def load_preset(path: str | Path) -> TimingModel:
    """Read a preset.

    Raises :class:`~vtacsp.errors.TimingError` for a file that cannot be read, with the key for one
    that is unknown, and with constant, value and range for a value that is not allowed.

    >>> save_preset(TimingModel(memory_latency=52, note="my board"), "board.json")
    >>> load_preset("board.json").note
    'my board'
    """
    data = read_json(path, TimingError)
    try:
        return preset_from_dict(data)
    except TimingError as error:
        raise TimingError(f"{path}: {error}") from None


def preset_from_dict(data: Any) -> TimingModel:
    """A timing model from the content of a preset; constants that are not there are the RTL's.

    Raises as :func:`load_preset`.

    >>> preset_from_dict({"note": "my board", "constants": {"memory_latency": 52}}).memory_latency
    52
    """
    if not isinstance(data, Mapping):
        raise TimingError(f"a timing preset is a JSON object, got {shortened(data)}")
    for key in data:
        if key not in _KEYS:
            raise TimingError(
                f"{shortened(key)} is no key of a timing preset; known are {', '.join(_KEYS)}"
            )
    for key in _KEYS:
        if key not in data:
            raise TimingError(f"{key} is missing from the timing preset")
    values = data["constants"]
    if not isinstance(values, Mapping):
        raise TimingError(f"constants must be a JSON object, got {shortened(values)}")
    known = [constant.name for constant in constants()]
    for name in values:
        if name not in known:
            raise TimingError(
                f"no timing constant {shortened(name)}; constants are {', '.join(known)}"
            )
    check_name(data["note"], "note", TimingError)
    return replace(RTL, **values, note=data["note"])


def preset_to_dict(timing: TimingModel) -> dict[str, Any]:
    """The content of a preset: a note for people, and every constant.

    >>> preset_to_dict(RTL)["constants"]["memory_latency"]
    16
    """
    values = {constant.name: getattr(timing, constant.name) for constant in constants()}
    return {"note": timing.note, "constants": values}


def save_preset(timing: TimingModel, path: str | Path) -> None:
    """Write a preset, whole or not at all.

    Raises :class:`~vtacsp.errors.TimingError` when the file cannot be written.

    >>> save_preset(TimingModel(memory_latency=52, note="my board"), "board.json")
    >>> find_preset("board.json").memory_latency
    52
    """
    write_text(path, json.dumps(preset_to_dict(timing), indent=1) + "\n", TimingError)
