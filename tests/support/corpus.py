"""Malformed inputs, made by rule from valid ones: every field, file, log line and option.

A case is a command line and the files it reads.  Each must be answered by one line that holds the
``words`` of the case (file, field, value), and leave everything as it was.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import click

from vtacsp import VTAConfig, workload_from_dict
from vtacsp.cli import main
from vtacsp.errors import shortened
from vtacsp.files import LARGEST
from vtacsp.machine.configuration import MAX_LOG
from vtacsp.names import LONGEST_NAME
from vtacsp.operators.workload import MAX_SIZE
from vtacsp.tune import MeasureErrorNo, Record, Result, Task

__all__ = ["BASES", "Case", "corpus", "prepare"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A command line that must be refused."""

    name: str
    arguments: tuple[str, ...]
    words: tuple[str, ...]
    files: Mapping[str, bytes] = field(default_factory=dict)
    make: Callable[[Path], object] | None = None  # what a folder has besides files of bytes


def prepare(folder: Path, case: Case) -> None:
    """The valid files that every command line may name, and those of the case."""
    valid = {"layer.json": LAYERS["conv2d"], "vta_config.json": VTAConfig().to_dict()}
    for name, data in valid.items():
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    (folder / "good.log").write_text(_record() + "\n", encoding="utf-8")
    (folder / "folder").mkdir()
    for name, text in case.files.items():
        (folder / name).write_bytes(text)
    if case.make is not None:
        case.make(folder)


def corpus() -> list[Case]:
    """All cases, always in the same order."""
    cases = [*_workloads(), *_lists(), *_hardware(), *_files(), *_logs(), *_options()]
    return [*cases, *_presets(), *_words()]


# -- what is valid

SPATIAL: Json = {"batch": 1, "in_channels": 32, "height": 4, "width": 4, "out_channels": 32,
                 "kernel": [3, 3], "stride": [1, 1], "padding": [1, 1]}  # fmt: skip

LAYERS: dict[str, Json] = {
    "conv2d": {"name": "layer", "op": "conv2d", **SPATIAL, "bias": True},
    "group_conv2d": {"name": "layer", "op": "group_conv2d", **SPATIAL, "groups": 2, "bias": False},
    "conv2d_transpose": {
        "name": "layer", "op": "conv2d_transpose", **SPATIAL, "output_padding": [0, 0],
        "bias": False,
    },
    "dense": {
        "name": "layer", "op": "dense", "batch": 1, "in_features": 32, "out_features": 32,
        "bias": False,
    },
}  # fmt: skip

BASES: dict[str, tuple[str, ...]] = {
    "report": ("layer.json",),
    "enumerate": ("layer.json",),
    "sample": ("layer.json", "-n", "1"),
    "check": ("layer.json", "--index", "0"),
    "explain": ("layer.json", "--index", "0"),
    "advise": ("layer.json",),
    "hardware": ("vta_config.json",),
    "program": ("layer.json", "--index", "0"),
    "simulate": ("layer.json", "--best"),
    "best": ("layer.json",),
    "network": ("layer.json",),
    "tune": ("layer.json", "--trials", "1", "--init", "none", "--searcher", "random", "--no-free"),
    "log": ("good.log",),
    "calibrate": ("good.log", "--fit", "clock_hz"),
    "study": ("layer.json", "--seeds", "1", "--part", "validity"),
    "codesign": ("layer.json", "--free", "LOG_INP_BUFF_SIZE=14..15"),
    "compare": ("vta_config.json", "vta_config.json", "layer.json"),
}
"""A valid command line of every command, which the options are added to."""


@cache
def _record() -> str:
    """A line of a log: the first feasible configuration of the layer."""
    layer, machine = workload_from_dict(LAYERS["conv2d"]), VTAConfig()
    config = {"tile_b": 1, "tile_h": 1, "tile_w": 1, "tile_ci": 1, "tile_co": 1}
    config |= {"oc_nthread": 1, "h_nthread": 1}
    result = Result((1e-3,), MeasureErrorNo.NO_ERROR, 2e-3, 1.5e9)
    return Record(Task.of(layer, machine), 0, config, result, layer.name).encode()


# -- values

LONG = "x" * 5000
LITERALS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "[" * 200 + "]" * 200)
"""What is no value of JSON that can be used; the message names the file, not the field."""

SIZES = (None, True, "3", LONG, 1.5, 3.0, [], {}, [3], 0, -1, MAX_SIZE + 1, 2**32, 2**64, 10**30)
PAIRS = (None, False, 3, "33", LONG, [], [3], [3, 3, 3], [[3, 3]], {"h": 3}, ["3", 3], [3, True],
         [3, None], [3, 1.5], [-1, 3], [3, MAX_SIZE + 1], [10**30, 3])  # fmt: skip
FLAGS = (None, 0, 1, "true", LONG, [], {})
NAMES = (None, True, 3, [], {}, "", "x" * (LONGEST_NAME + 1), "a\x1b[31mb", "a\nb", "a\x00b")
OPERATORS = (None, True, 3, [], {}, ["conv2d"], "", "Conv2D", "conv2d ", "pool", LONG, "a\x1b[31m")
LOGS = (None, True, "3", LONG, 3.0, [], {}, -1, MAX_LOG + 1, 10**30)
UNKNOWN = {"dilation": [2, 2], "layout": "NCHW", "dtype": "int4", "activation": "relu",
           "Comment": "", "": 1, LONG: 1, "a\x1b[31m": 1}  # fmt: skip

_MARK = "where the literal goes"


def _text(data: object, literal: str = "") -> bytes:
    return json.dumps(data).replace(json.dumps(_MARK), literal).encode()


def _twice(data: Json, key: str, value: object) -> bytes:
    return (json.dumps(data)[:-1] + f", {json.dumps(key)}: {json.dumps(value)}}}").encode()


def _label(value: object) -> str:
    """A value in the name of a test."""
    text = ascii(value).strip("'")
    return text if len(text) < 40 else f"{text[:20]}..{len(text)}"


def _shown(value: object) -> tuple[str, ...]:
    """How a message begins to show a value; of a pair it may show one of the two."""
    return () if isinstance(value, list) else (shortened(value)[:20],)


def _misspelt(key: str) -> Iterator[str]:
    yield key[:-1]
    yield key[0] + key
    yield key.swapcase()


# -- workloads

_RANGES = {"kernel": PAIRS, "stride": PAIRS, "padding": PAIRS, "output_padding": PAIRS,
           "bias": FLAGS, "name": NAMES, "op": OPERATORS}  # fmt: skip
_MAY_BE_MISSING = ("name", "bias", "stride", "padding", "output_padding")


def _workloads() -> Iterator[Case]:
    for op, valid in LAYERS.items():
        for what, text, words in _broken_workloads(valid):
            yield Case(
                f"workload-{op}-{what}", ("check", "bad.json", "--index", "0"),
                ("bad.json", *words), {"bad.json": text},
            )  # fmt: skip


def _broken_workloads(valid: Json) -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    for key in valid:
        for value in _RANGES.get(key, SIZES):
            yield f"{key}={_label(value)}", _text({**valid, key: value}), (key, *_shown(value))
        for literal in LITERALS:
            text = _text({**valid, key: _MARK}, literal)
            yield f"{key}={literal[:9]}", text, ()
        yield f"{key}-twice", _twice(valid, key, valid[key]), (key, "twice")
        if key not in _MAY_BE_MISSING:
            without = {k: v for k, v in valid.items() if k != key}
            yield f"{key}-missing", _text(without), (f"{key} is missing",)
        for other in _misspelt(key):
            renamed = {other if k == key else k: v for k, v in valid.items()}
            yield f"{key}-as-{other}", _text(renamed), (key if key in NEEDED else other,)
    for key, value in UNKNOWN.items():
        text = _text({**valid, key: value})
        yield (
            f"unknown-{_label(key)}",
            text,
            ("is no key of", key[:10] if key.isprintable() else ""),
        )
    keys = {"groups", "output_padding", "in_features", "kernel"} - set(valid)
    for key in sorted(keys):
        yield f"of-another-{key}", _text({**valid, key: 1}), (key, valid["op"])


NEEDED = {key for valid in LAYERS.values() for key in valid} - set(_MAY_BE_MISSING)


def _lists() -> Iterator[Case]:
    good = LAYERS["conv2d"]
    lists: dict[str, tuple[object, str]] = {
        "empty": ([], "holds no workload"),
        "null": ([None], "workload 1"),
        "nested": ([[good]], "workload 1"),
        "number": ([good, 3], "workload 2"),
        "text": ([good, "resnet18.C8"], "workload 2"),
        "second": ([good, {**good, "name": "b", "height": 0}], "workload 2: b: height"),
        "same-name": ([good, {**good, "width": 8}], "layer is there twice"),
        "same-number": ([{**good, "name": "workload2"}, _unnamed(good)], "workload2"),
        "object-of-lists": ({"layers": [good]}, "op is missing"),
    }
    for command in ("report", "enumerate", "best"):
        for what, (data, word) in lists.items():
            yield Case(
                f"list-{command}-{what}", (command, "bad.json"), ("bad.json", word),
                {"bad.json": _text(data)},
            )  # fmt: skip


def _unnamed(layer: Json) -> Json:
    return {key: value for key, value in layer.items() if key != "name"}


# -- hardware


def _hardware() -> Iterator[Case]:
    for number, (what, text, words) in enumerate(_broken_hardware()):
        commands = (("hardware", "bad.json"), ("report", "layer.json", "--hardware", "bad.json"))
        yield Case(
            f"hardware-{what}", commands[number % 2], ("bad.json", *words), {"bad.json": text}
        )


def _broken_hardware() -> Iterator[tuple[str, bytes, tuple[str, ...]]]:
    valid = VTAConfig().to_dict()
    for key in valid:
        for value in LOGS if key.startswith("LOG_") else NAMES:
            yield f"{key}={_label(value)}", _text({**valid, key: value}), (key, *_shown(value))
        for literal in LITERALS:
            yield f"{key}={literal[:9]}", _text({**valid, key: _MARK}, literal), ()
        yield f"{key}-twice", _twice(valid, key, valid[key]), (key, "twice")
        without = {k: v for k, v in valid.items() if k != key}
        yield f"{key}-missing", _text(without), (f"{key} is missing",)
        for other in _misspelt(key):
            if other.upper().startswith("LOG_") or other.upper() == key:
                yield f"{other}-unknown", _text({**valid, other: valid[key]}), (other,)
            yield f"{key}-as-{other}", _text({**without, other: valid[key]}), (key,)
    for key, value in VTAConfig().derived.items():
        for wrong in (value + 1, str(value), None, True, [value], 10**30):
            yield f"{key}={_label(wrong)}", _text({**valid, key: wrong}), (key,)
    illegal = {"LOG_BLOCK": 0, "LOG_ACC_BUFF_SIZE": 18, "LOG_INP_WIDTH": 2, "LOG_ACC_WIDTH": 4,
               "LOG_WGT_WIDTH": 6, "LOG_BATCH": 8, "LOG_UOP_BUFF_SIZE": 2}  # fmt: skip
    for key, value in illegal.items():
        yield f"{key}-illegal", _text({**valid, key: value}), ()


# -- files

_GOOD = json.dumps(LAYERS["conv2d"]).encode()

_CONTENTS: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t\n",
    "nul": b"\0" * 100,
    "bom": b"\xef\xbb\xbf" + _GOOD,
    "utf-16": _GOOD.decode().encode("utf-16"),
    "utf-32": _GOOD.decode().encode("utf-32"),
    "latin-1": _GOOD.replace(b"layer", b"\xe9t\xe9"),
    "binary": bytes(range(256)),
    "null": b"null",
    "true": b"true",
    "number": b"3",
    "text": b'"resnet18"',
    "nan": b"NaN",
    "list-of-numbers": b"[1, 2]",
    "deep-lists": b"[" * 100_000,
    "deep-closed": b"[" * 50_000 + b"]" * 50_000,
    "deep-objects": b'{"a": ' * 100_000,
    "deep-in-key": _GOOD[:-1] + b', "comment": ' + b"[" * 99 + b"]" * 99 + b"}",
    "surrogate": _GOOD.replace(b"layer", b"\\ud800"),
    "surrogate-in-comment": _GOOD[:-1] + b', "comment": "\\udfff"}',
    "control-in-text": _GOOD.replace(b"layer", b"la\tyer"),
    "comma": _GOOD[:-1] + b",}",
    "two": _GOOD + b"\n" + _GOOD,
    "garbage": _GOOD + b" x",
    "comment": b"// a layer\n" + _GOOD,
    "single-quotes": _GOOD.replace(b'"', b"'"),
    "no-quotes": _GOOD.replace(b'"', b""),
    "python": _GOOD.replace(b"true", b"True"),
    "yaml": b"name: layer\nop: conv2d\n",
    "csv": b"name,op\nlayer,conv2d\n",
    "escape": b"\x1b[2J\x1b[31m",
}


def _too_large(folder: Path) -> None:
    with (folder / "bad.json").open("wb") as file:
        file.truncate(LARGEST + 1)


def _loop(folder: Path) -> None:
    (folder / "bad.json").symlink_to("bad.json")


def _dangling(folder: Path) -> None:
    (folder / "bad.json").symlink_to("absent.json")


def _folder(folder: Path) -> None:
    (folder / "bad.json").mkdir()


def _files() -> Iterator[Case]:
    readers = {
        "workload": ("enumerate", "bad.json"),
        "hardware": ("hardware", "bad.json"),
        "option": ("check", "layer.json", "--index", "0", "--hardware", "bad.json"),
        "preset": ("simulate", "layer.json", "--best", "--preset", "bad.json"),
    }
    for reader, arguments in readers.items():
        contents = dict(_CONTENTS)
        for percent in range(5, 100, 10):
            contents[f"torn-at-{percent}%"] = _GOOD[: len(_GOOD) * percent // 100]
        for what, text in contents.items():
            yield Case(f"file-{reader}-{what}", arguments, ("bad.json",), {"bad.json": text})
        for make in (_too_large, _loop, _dangling, _folder):
            yield Case(f"file-{reader}{make.__name__}", arguments, ("bad.json",), make=make)
        for place in ("/dev/zero", "/dev/full", "absent.json", "absent/layer.json", "", "/",
                      "a" * 300, "layer.json/x", "a\0b", "a\x1b[31m"):  # fmt: skip
            words = (place,) if place.isprintable() and len(place) < 100 else ()
            named = tuple(place if word == "bad.json" else word for word in arguments)
            yield Case(f"file-{reader}-at-{_label(place)}", named, words)
    for place in ("resnet18.", "resnet18.C1", "resnet18.c8", "resnet18.C8.C8", "RESNET18",
                  f"resnet18.{LONG}", "resnet18.\x1b[31m", "resnet 18", "resnet18 "):  # fmt: skip
        yield Case(f"suite-{_label(place)}", ("report", place), ("resnet18",))


# -- logs


def _logs() -> Iterator[Case]:
    tune = ("tune", *BASES["tune"], "--log", "bad.log")
    good = _record().encode()
    for what, line in _broken_records():
        yield Case(f"log-{what}", tune, ("bad.log", "line 1"), {"bad.log": line + b"\n"})
        text = good + b"\n# a comment\n" + line + b"\n" + good + b"\n"
        yield Case(f"log-third-{what}", tune, ("bad.log", "line 3"), {"bad.log": text})
    for place in ("/dev/zero", "/dev/full", "/", "folder", "", "layer.json/x"):
        yield Case(f"log-at-{_label(place)}", (*tune[:-1], place), (place,))
        if place != "/dev/full":
            yield Case(f"log-file-{_label(place)}", ("log", "good.log", place), (place,))
    yield Case("log-absent", ("log", "absent.log"), ("absent.log",))


def _broken_records() -> Iterator[tuple[str, bytes]]:
    valid: Json = json.loads(_record())
    for path in _paths(valid):
        for what, value in _RECORD_VALUES.get(path, {}).items():
            yield f"{_dotted(path)}={what}", _text(_with(valid, path, value))
        if path[0] not in _NOT_READ and path not in _NAN_IS_READ:
            yield f"{_dotted(path)}-nan", _text(_with(valid, path, _MARK), "NaN")
        yield f"{_dotted(path)}-deep", _text(_with(valid, path, _MARK), LITERALS[-1])
    for key in ("input", "config", "result"):
        yield f"{key}-missing", _text({k: v for k, v in valid.items() if k != key})
        yield f"{key}-twice", _twice(valid, key, valid[key])
    for key in ("index", "entity"):
        config = {k: v for k, v in valid["config"].items() if k != key}
        yield f"config.{key}-missing", _text({**valid, "config": config})
    entity = valid["config"]["entity"]
    for what, other in {
        "knob-missing": entity[:-1],
        "knob-twice": [*entity, entity[0]],
        "knob-unknown": [["tile_x", "sp", [-1, 1]], *entity[1:]],
        "no-candidate": [["tile_h", "sp", [-1, 3]] if e[0] == "tile_h" else e for e in entity],
        "of-another-index": [["tile_h", "sp", [-1, 2]] if e[0] == "tile_h" else e for e in entity],
        "of-another-kind": [["tile_h", "an", [-1, 1]] if e[0] == "tile_h" else e for e in entity],
    }.items():
        yield f"entity-{what}", _text({**valid, "config": {**valid["config"], "entity": other}})
    for what, line in {
        "no-json": b"a line", "list": b"[]", "number": b"3", "null": b"null", "text": b'"x"',
        "object": b"{}", "escape": b"\x1b[31m", "not-utf-8": b"\xff\xfe{}", "two": b"{} {}",
        "deep": b"[" * 100_000, "torn": _record().encode()[:-40],
    }.items():  # fmt: skip
        yield what, line


def _paths(value: object, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Of every value inside, down to the third level."""
    if path:
        yield path
    if len(path) < 3 and isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _paths(item, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: object) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = _with(copy[path[0]], path[1:], new)
    return copy


def _dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


_NOT_READ = ("version", "tvm_version", "vtacsp")  # by AutoTVM
_NAN_IS_READ = (("input", 3), ("config", "code_hash"), ("result", 0), ("result", 0, 0))
_ANY = {"null": None, "number": 3, "text": "x", "list": [], "object": {}}
_NO_NUMBER = {"null": None, "text": "x", "list": [], "object": {}, "true": True}
_RECORD_VALUES: dict[tuple[Any, ...], Mapping[str, object]] = {
    ("input",): _ANY,
    ("config",): _ANY,
    ("result",): _ANY,
    ("input", 0): {"null": None, "number": 3, "list": [], "object": {}},
    ("input", 1): {"null": None, "number": 3, "list": [], "object": {}},
    ("input", 2): {"null": None, "number": 3, "text": "x", "object": {}, "dicts": [{}, {}]},
    ("config", "index"): {**_NO_NUMBER, "fraction": 1.5, "negative": -1, "huge": 10**30,
                          "beyond": 10**9, "another": 1},
    ("config", "entity"): {"null": None, "number": 3, "text": "x", "object": {}, "empty": []},
    ("config", "entity", 0): _ANY,
    ("result", 0): {"null": None, "object": {}, "empty": []},  # another cost has failed
    ("result", 1): {**_NO_NUMBER, "fraction": 0.5, "negative": -1, "unknown": 99},
    ("result", 2): _NO_NUMBER,
    ("result", 3): _NO_NUMBER,
}  # fmt: skip


# -- options

_ARGUMENT = {"log": "FILE", "calibrate": "LOG", "codesign": "NETWORK", "compare": "NETWORK"}
_OUTPUTS = (
    "output",
    "html",
    "trace_file",
    "plot_file",
    "merge",
    "log",
    "preset_file",
    "certificate",
    "resume",
)
_PLACES = ("folder", "absent/page", "layer.json/page", "", "/dev/full/x", "a\0b", "a" * 300)
_NO_INTEGERS = ("", "x", "1.5", "1e3", "NaN", "²", "0x10", "--", "9" * 5000, "1 2")


def _options() -> Iterator[Case]:
    """Of every option of every command, by its type, as click knows it."""
    for name, base in BASES.items():
        command = main.commands[name]
        for option in (p for p in command.params if isinstance(p, click.Option)):
            long = option.opts[-1]
            for value in _wrong_values(option):
                yield Case(f"option-{name}{long}={_label(value)}",
                           (name, *_without(base, option), f"{long}={value}"),
                           _named(option, value))  # fmt: skip
            if not option.is_flag:
                yield Case(f"option-{name}{long}-alone", (name, *base, long), (long,))
        for word in ("--nosuch", "--nosuch=3", "-Z"):
            yield Case(f"option-{name}{word}", (name, *base, word), (word.partition("=")[0],))
        if name not in ("study", "log"):
            yield Case(f"argument-{name}", (name, *base, "another"), ("another",))
        if name not in ("study", "hardware"):
            yield Case(f"no-argument-{name}", (name, *base[1:]), (_ARGUMENT.get(name, "WORKLOAD"),))
    for word in ("nosuch", "Report", "--nosuch", "report2"):
        yield Case(f"command-{word}", (word,), (word,))


def _named(option: click.Option, value: str) -> tuple[str, ...]:
    """What a message has to name: the file, or the option (the library says ``index``)."""
    if option.name in (*_OUTPUTS, "hardware_file", "preset"):
        return (value if value.isprintable() and len(value) < 100 else value[:1],)
    return (option.opts[-1].removeprefix("--"),)


def _without(base: tuple[str, ...], option: click.Option) -> tuple[str, ...]:
    """A command line without the option that is given once more."""
    words = list(base)
    for name in option.opts:
        if name in words:
            at = words.index(name)
            del words[at : at + (1 if option.is_flag else 2)]
    return tuple(words)


def _wrong_values(option: click.Option) -> Iterator[str]:
    kind = option.type
    if option.is_flag:
        yield from ("x", "")
    elif isinstance(kind, click.Choice):
        yield from ("", "nosuch", f"{kind.choices[0]} ", str(kind.choices[0]).upper(), LONG)
    elif kind.name.startswith("integer"):
        yield from (*_NO_INTEGERS, "-1", "-9999999999999999999999")
    elif option.name in _OUTPUTS:
        yield from _PLACES
    elif option.name in ("hardware_file", "preset"):
        yield from ("absent.json", "folder", "layer.json", "", "/dev/zero")


# -- words that the library reads

_KNOBS = {"tile_b": 1, "tile_h": 1, "tile_w": 1, "tile_ci": 1, "tile_co": 1,
          "oc_nthread": 1, "h_nthread": 1}  # fmt: skip
_NO_VALUES = ("", "x", "1.5", "²", "-1", "0", "3", "9" * 5000, "1=1")
_NO_KNOBS = ("", "=", "=1", "tile_x=1", "Tile_h=1", f"{LONG}=1", "\x1b[31m=1")
_NO_SIZES = (
    "", "LOG_ACC_BUFF_SIZE", "LOG_ACC_BUFF_SIZE=", "LOG_ACC_BUFF_SIZE=:", "LOG_ACC_BUFF_SIZE=x:y",
    "LOG_ACC_BUFF_SIZE=15:x", "LOG_ACC_BUFF_SIZE=²:15", "LOG_ACC_BUFF_SIZE=-1:15",
    "LOG_ACC_BUFF_SIZE=17:15", "LOG_ACC_BUFF_SIZE=15:99", "LOG_ACC_BUFF_SIZE=1:1000000000",
    f"LOG_ACC_BUFF_SIZE=1:{'9' * 5000}", "LOG_BLOCK=3:4", "LOG_BATCH=0:1", "TARGET=1:2",
    "LOG_ACC_BUF_SIZE=15:17", "log_acc_buff_size=15:17", f"{LONG}=1:2", "=1:2",
)  # fmt: skip
_NO_RANGES = (
    "", "LOG_BLOCK", "LOG_BLOCK=", "LOG_BLOCK=..", "LOG_BLOCK=3..", "LOG_BLOCK=..4",
    "LOG_BLOCK=5..3", "LOG_BLOCK=x..y", "LOG_BLOCK=-1..3", "LOG_BLOCK=²..5", "LOG_BLOCK=3..99",
    "LOG_BLOCK=3...5", "LOG_BLOCK=3-5", f"LOG_BLOCK=3..{'9' * 5000}", "LOG_BUS_WIDTH=5..7",
    "LOG_BUS_WIDTH=8..10", "LOG_INP_WIDTH=3..4", "TARGET=1..2", "log_block=3..4", "=1..2",
    f"{LONG}=1..2",
)  # fmt: skip
_NO_BUDGETS = (
    "", "kib", "kib<=", "kib<600", "kib>=600", "kib=600", "kib<=x", "kib<=-1", "kib<=1.5",
    "kib<=1e3", "kib<=²", f"kib<={'9' * 5000}", "area<=3", "cycles<=3", "KIB<=600", "<=600",
    f"{LONG}<=1",
)  # fmt: skip
_NO_TIMINGS = (
    "", "memory_latency", "memory_latency=", "memory_latency=x", "memory_latency=1.5",
    "memory_latency=²", "memory_latency=-1", "memory_latency=0", f"memory_latency={'9' * 25}",
    f"memory_latency={'9' * 5000}", "memory_latencies=1", "=1", "clock_hz=0", "bus_bytes=0",
    "bus_bytes=3", "burst_beats=0", "queue_entries=0", f"queue_entries={'9' * 15}",
    "read_requests=0", f"{LONG}=1",
)  # fmt: skip


def _presets() -> Iterator[Case]:
    """Timing presets with one thing wrong; the message names it."""
    valid = {"note": "a board", "constants": {"memory_latency": 64}}
    for name in ("note", "constants"):
        without = {key: value for key, value in valid.items() if key != name}
        yield _preset(f"{name}-missing", without, f"{name} is missing")
        yield _preset(f"{name}-misspelt", {**without, f"{name}s": valid[name]}, f"{name}s")
    for value in ("", None, 3, [], {}, "a\x1b[31mb", LONG):
        yield _preset(f"note={_label(value)}", {**valid, "note": value}, "note")
    for value in (None, 3, [], "x", ["memory_latency"]):
        yield _preset(f"constants={_label(value)}", {**valid, "constants": value}, "constants")
    for value in (None, True, "64", 64.0, [], {}, 0, -1, 2**30, 10**30):
        wrong = {"constants": {"memory_latency": value}}
        yield _preset(f"latency={_label(value)}", {**valid, **wrong}, "memory_latency")
    for key in ("note", "Memory_latency", "memory_latencies", "", LONG):
        wrong = {"constants": {key: 1}}
        yield _preset(f"constant={_label(key)}", {**valid, **wrong}, shortened(key)[:20])
    for key in ("rtl", "hardware", "memory_latency", "Comment", LONG):
        yield _preset(f"key={_label(key)}", {**valid, key: 1}, shortened(key)[:20])
    yield _preset("bus", {**valid, "constants": {"bus_bytes": 12}}, "bus_bytes")


def _preset(what: str, data: Json, word: str) -> Case:
    commands = ("best", "layer.json"), ("calibrate", "good.log"), ("tune", "layer.json")
    arguments = commands[len(what) % 3]
    return Case(f"preset-{what}", (*arguments, "--preset=bad.json"), ("bad.json", word),
                {"bad.json": _text(data)})  # fmt: skip


def _words() -> Iterator[Case]:
    for command, options, word in _wrong_words():
        name = "-".join([command, *(_label(o.removeprefix("--")) for o in options)])
        yield Case(name, (command, "layer.json", *options), (word,))


def _wrong_words() -> Iterator[tuple[str, list[str], str]]:
    """A command, what it is told about the layer, and what a message names."""
    all_knobs = [f"--knob={knob}={value}" for knob, value in _KNOBS.items()]
    for command in ("check", "explain", "advise", "simulate"):
        for knob in _KNOBS:
            others = [word for word in all_knobs if f"={knob}=" not in word]
            for value in _NO_VALUES:
                yield command, [f"--knob={knob}={value}", *others], knob
            yield command, others, knob
            yield command, [*all_knobs, f"--knob={knob}=2"], knob
        for word in _NO_KNOBS:
            yield command, [f"--knob={word}", *all_knobs], "knob"
        yield command, ["--index=0", *all_knobs], "--knob"
    for command in ("check", "explain", "program", "simulate", "advise"):
        for value in ("10000000", "9" * 25):
            yield command, [f"--index={value}"], "index"
    for word in _NO_SIZES:
        yield "advise", [f"--free={word}"], word.partition("=")[0][:10]
    for word in _NO_RANGES:
        yield "codesign", [f"--free={word}"], word.partition("=")[0][:10]
    for word in _NO_BUDGETS:
        yield "codesign", [*BASES["codesign"][1:], f"--budget={word}"], word[:3]
    for word in ("", "area", "KIB", LONG):
        yield "codesign", [*BASES["codesign"][1:], f"--cost={word}"], word[:10]
    for place in ("vta_config.json", "folder", "absent.json", "/dev/zero", ""):
        if place != "vta_config.json":
            yield "codesign", [f"--verify={place}"], "--verify"  # and NETWORK
    for place in ("layer.json", "", "a\0b"):
        yield "codesign", [*BASES["codesign"][1:], f"--write={place}"], "--write"
    for value in ("0", "-1", "nan", "-inf"):
        yield "advise", [f"--faster={value}"], "faster"
    for value in ("-1", "nan", "-inf"):
        yield "advise", ["--smallest=INP", f"--slower={value}"], "slower"
    yield "advise", ["--slower=3"], "--slower"
    yield "advise", ["--timing=memory_latency=64"], "--timing"
    yield "advise", ["--faster=3", "--smallest=INP"], "--faster"
    yield "advise", ["--faster=3", "--index=0"], "--faster"
    for value in ("", "OUT", "LOG_INP_WIDTH", LONG):
        yield "advise", [f"--smallest={value}"], value[:10]
    for command in ("simulate", "best", "tune", "codesign"):
        for word in _NO_TIMINGS:
            options = [*BASES[command][1:], f"--timing={word}"]
            yield command, options, word.partition("=")[0][:10]
    for key in ("", "x", "Tile_h", LONG, "\x1b[31m"):
        yield "sample", ["--method=ordered", f"--key={key}"], "--key"
    for word in ("nosuch", "", "Validity", LONG):
        yield "study", [f"--part={word}"], word[:10]
        yield "study", [f"--method={word}"], word[:10]
    for value in ("0", "100000000"):
        yield "study", [f"--seeds={value}"], value
    yield "tune", ["--trials=0"], "trials"
    yield "sample", ["-n", "1000000"], "1000000"
    yield "check", [], "--index"
    yield "simulate", [], "--index"
    yield "simulate", ["--best", "--all"], "--best"
    yield "simulate", ["--best", "--alone"], "--alone"
