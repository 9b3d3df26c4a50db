"""Files that are either whole or absent.

``write_atomic(path, data)`` writes beside the target, flushes to the disk and renames; a kill at any moment leaves the
old file or the new one, and at most a ``.tmp`` neighbour that the next run removes.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from finemed.errors import StoreError

TEMPORARY = ".tmp"


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file and renames it to `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def write_atomic(path: Path, data: bytes) -> None:
    """Writes bytes to `path`, whole or not at all."""
    write_with(path, lambda temporary: _dump(temporary, data))


def _dump(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Writes canonical, readable JSON: sorted keys, two spaces, one final newline."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode("utf-8", "surrogatepass"))


def read_json(path: Path) -> Any:
    """Reads JSON that this package wrote.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        return json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove it and run the same command again") from None


def replace_folder(new: Path, target: Path) -> None:
    """Puts a finished folder in the place of an old one.

    A kill between the two renames leaves no target, never half of one.
    """
    old = target.with_name(target.name + ".old" + TEMPORARY)
    if target.exists():
        if old.exists():
            shutil.rmtree(old)
        os.replace(target, old)
    os.replace(new, target)
    _sync_folder(target.parent)
    if old.exists():
        shutil.rmtree(old)


def remove_temporaries(folder: Path) -> None:
    """Removes what an interrupted write left behind, here and below."""
    for path in sorted(folder.rglob("*" + TEMPORARY), reverse=True):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def file_hash(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one process; the lock ends with the process, however it ends.

    Raises:
        StoreError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"{folder}: another finemed process works on this run; wait for it or stop it") from None
        yield


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
