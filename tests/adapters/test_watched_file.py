"""A watched file: every change is seen, and what cannot be read is a fault that ends with it."""

import os
from pathlib import Path

import pytest

from bridge.adapters.watched_file import WatchedFile

MAX_BYTES = 100


def number(content: bytes) -> int:
    return int(content)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "number"


@pytest.fixture
def file(path: Path) -> WatchedFile[int]:
    path.write_text("1")
    return WatchedFile(path, number, max_bytes=MAX_BYTES)


def test_the_same_object_is_returned_until_the_content_changes(path: Path, file: WatchedFile[int]) -> None:
    first = file.read()
    assert (first.value, first.fault) == (1, None)
    os.utime(path, (0, 0))
    assert file.read() is first
    path.write_text("2")
    assert file.read().value == 2


def test_a_write_of_equal_size_within_one_tick_is_seen(path: Path, file: WatchedFile[int]) -> None:
    file.read()
    before = path.stat()
    path.write_text("2")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_ino, path.stat().st_mtime_ns) == (1, before.st_ino, before.st_mtime_ns)
    assert file.read().value == 2


def test_another_file_behind_a_link_is_seen(path: Path, tmp_path: Path) -> None:
    for text in ("1", "2"):
        (tmp_path / text).write_text(text)
    path.symlink_to(tmp_path / "1")
    file = WatchedFile(path, number, max_bytes=MAX_BYTES)
    assert file.read().value == 1
    fresh = tmp_path / "fresh"
    fresh.symlink_to(tmp_path / "2")
    fresh.replace(path)
    assert file.read().value == 2


def test_invalid_content_is_a_fault_until_it_is_valid_again(path: Path, file: WatchedFile[int]) -> None:
    path.write_text("half")
    faulty = file.read()
    assert (faulty.value, faulty.fault) == (None, "invalid literal for int() with base 10: b'half'")
    assert file.read() is faulty
    path.write_text("3")
    assert (file.read().value, file.read().fault) == (3, None)


def test_a_file_that_is_gone_is_a_fault_and_what_comes_then_is_read(path: Path, file: WatchedFile[int]) -> None:
    first = file.read()
    path.unlink()
    missing = file.read()
    assert (missing.value, missing.fault) == (None, "No such file or directory")
    assert file.read() is missing
    path.write_text("1")
    assert file.read() == first


def test_what_is_no_regular_file_or_too_large_is_a_fault_and_blocks_nobody(path: Path) -> None:
    file = WatchedFile(path, number, max_bytes=MAX_BYTES)
    os.mkfifo(path)
    assert file.read().fault == "not a regular file"
    path.unlink()
    path.mkdir()
    assert file.read().fault in {"not a regular file", "Is a directory"}
    path.rmdir()
    path.write_text("1" * MAX_BYTES)
    assert file.read().value is not None
    path.write_text("1" * (MAX_BYTES + 1))
    assert file.read().fault == "larger than 100 bytes"
    path.unlink()
    path.symlink_to("/dev/zero")
    assert file.read().fault == "not a regular file"
