"""Files: caps, JSON that is refused with its reason, whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vtacsp.errors import HardwareError, LogError
from vtacsp.files import (
    DEEPEST,
    check_writable,
    decode_json,
    parse_json,
    read_json,
    read_text,
    replacing,
    write_text,
)

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_python_writes_is_read(value: object) -> None:
    assert decode_json(json.dumps(value)) == value
    assert decode_json(json.dumps(value, ensure_ascii=False)) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "Expecting value"),
        ("{", "Expecting property name"),
        ("[1, NaN]", "NaN is no number"),
        ("-Infinity", "-Infinity is no number"),
        ("1e400", "1e400 is too large"),
        ("[" + "1" * 401 + "]", "401 digits"),
        ("1" * 5000, "5000 digits"),
        ('{"a": 1, "b": [{"key": 1, "key": 2}]}', "the key 'key' is there twice"),
        ('{"a": "\\ud800"}', "half of a surrogate pair"),
        ('{"\\uDC00": 1}', "half of a surrogate pair"),
        ("[" * 100_000, "levels"),
        ("[" * (DEEPEST + 1) + "]" * (DEEPEST + 1), "levels"),
        ('{"a":' * (DEEPEST + 1) + "1" + "}" * (DEEPEST + 1), "levels"),
    ],
)
def test_what_is_no_json_says_why(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as failure:
        decode_json(text)
    assert len(str(failure.value)) < 200
    with pytest.raises(HardwareError, match=f"^here is not JSON.*{reason}"):
        parse_json(text, "here", HardwareError)


def test_what_is_close_to_the_limits_is_read() -> None:
    assert decode_json("[" * DEEPEST + "]" * DEEPEST)
    assert decode_json("[" + "[]," * 1000 + "[]]") == [[]] * 1001
    assert decode_json("9" * 300) == 10**300 - 1
    assert decode_json('"\\ud83d\\ude00"') == "\U0001f600"
    assert decode_json('"' + "1" * 400 + '"') == "1" * 400


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full", "/dev/urandom"])
def test_devices_are_not_read(device: str) -> None:
    with pytest.raises(LogError, match=f"cannot read {device}: it is a device"):
        read_text(device, LogError)


def test_what_cannot_be_read_is_one_error(tmp_path: Path) -> None:
    assert read_text(os.devnull) == ""
    (tmp_path / "large").write_text("x" * 11)
    (tmp_path / "latin").write_bytes(b"caf\xe9")
    cases = {
        "large": "more than 10 bytes",
        "latin": "byte 3",
        "": "folder",
        "none": "No such file",
        "x" * 300: "name too long",
        "a\0b": "null byte",
    }
    for name, reason in cases.items():
        with pytest.raises(HardwareError, match=reason) as failure:
            read_text(tmp_path / name, HardwareError, limit=10)
        assert "\n" not in str(failure.value)
        assert len(str(failure.value)) < 250


def test_a_pipe_is_read(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.write(writer, b'{"a": 1}')
    os.close(writer)
    assert read_json(f"/proc/self/fd/{reader}") == {"a": 1}
    os.close(reader)


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_text(path, "old")
    path.chmod(0o640)
    with pytest.raises(RuntimeError), replacing(path) as file:  # noqa: PT012
        file.write(b"half")
        raise RuntimeError
    with pytest.raises(LogError, match="surrogate"):
        write_text(path, "\ud800", LogError)
    assert path.read_text() == "old"
    write_text(path, "new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["page.html"]


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "theirs").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "theirs").stat().st_mode


def test_links_stay_and_streams_are_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("new")
    write_text(tmp_path / "link", "text")
    write_text(tmp_path / "dangling", "more")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "text"
    assert (tmp_path / "new").read_text() == "more"
    reader, writer = os.pipe()
    write_text(f"/proc/self/fd/{writer}", "piped")
    assert os.read(reader, 9) == b"piped"
    os.close(reader)
    os.close(writer)
    with (tmp_path / "real").open("wb") as file:  # as a shell redirects
        write_text(f"/proc/self/fd/{file.fileno()}", "first ")
        file.seek(0, os.SEEK_END)
        file.write(b"second")
    assert (tmp_path / "real").read_text() == "first second"
    write_text(os.devnull, "gone")
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)
    with pytest.raises(LogError, match="No space left"):
        write_text("/dev/full", "text", LogError)


def test_what_cannot_be_written_is_said_before(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "loop").symlink_to("loop")
    cases = {
        "": "a folder",
        "none/page.html": "there is no folder",
        "file/x": "Not a directory",
        "x" * 300: "name too long",
        "a\0b": "null byte",
        "loop": "symbolic links",
    }
    for name, reason in cases.items():
        for attempt in (check_writable, lambda path, error: write_text(path, "", error)):
            with pytest.raises(LogError, match=reason):
                attempt(tmp_path / name, LogError)
    with pytest.raises(LogError, match="without a name"):
        check_writable("", LogError)
    assert sorted(os.listdir(tmp_path)) == ["file", "loop"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_permissions_hold(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "file").chmod(0o400)
    with pytest.raises(LogError, match="no permission"):
        write_text(tmp_path / "file", "new", LogError)
    tmp_path.chmod(0o500)
    with pytest.raises(LogError, match="no permission in its folder"):
        check_writable(tmp_path / "new", LogError)
    tmp_path.chmod(0o700)
