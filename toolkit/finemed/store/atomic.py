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
import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from finemed.errors import StoreError

TEMPORARY = ".tmp"


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file and renames it to `path`."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(temporary)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        flush(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path}: cannot be written ({error.strerror or error}); free space or mend the permissions, then run the "
            "same command again"
        ) from None


def write_atomic(path: Path, data: bytes) -> None:
    """Writes bytes to `path`, whole or not at all."""
    write_with(path, lambda temporary: _dump(temporary, data))


def _dump(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def write_json(path: Path, value: Any) -> None:
    """Writes canonical, readable JSON: sorted keys, two spaces, one final newline."""
    text = json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
    write_atomic(path, text.encode("utf-8", "surrogatepass"))


def read_json(path: Path, *keys: str) -> dict[str, Any]:
    """Reads a JSON object that this package wrote and that has these keys.

    Raises:
        StoreError: the file is damaged.
    """
    try:
        value = json.loads(path.read_text("utf-8"))
        if not isinstance(value, dict) or not set(keys) <= set(value):
            raise ValueError(f"not an object with {', '.join(keys)}")
    except (ValueError, OSError, RecursionError) as error:
        raise StoreError(f"{path}: damaged ({error}); remove it and run the same command again") from None
    return value


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
    flush(target.parent)
    if old.exists():
        shutil.rmtree(old)


def remove_temporaries(folder: Path, names: Iterable[str]) -> None:
    """Removes what an interrupted write of the named files or folders left behind; nothing else is touched."""
    for name in names:
        remove(folder / (name + TEMPORARY))


def remove(path: Path) -> None:
    """Removes a file, a link or a whole folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def remove_leftovers(run: Path) -> None:
    """Removes every temporary file that an interrupted command left in a run, whatever it was to become.

    Ours are ``NAME.json.tmp``, ``NAME.parquet.tmp`` and ``NAME.sqlite.tmp`` in the run and its stages, and the release
    that was being written. A release that was being replaced goes only where the new one stands.
    """
    ours = re.compile(r".+\.(json|parquet|sqlite)" + re.escape(TEMPORARY))
    for folder in (run, *(run / "stages").glob("*")):
        for path in folder.glob("*" + TEMPORARY) if folder.is_dir() else ():
            if ours.fullmatch(path.name):
                remove(path)
    remove(run / ("release.new" + TEMPORARY))
    if (run / "release").is_dir():
        remove(run / ("release.old" + TEMPORARY))


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
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("a")
    except OSError as error:
        raise StoreError(f"{folder}: cannot hold a run ({error.strerror or error}); name another folder") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StoreError(f"{folder}: another finemed process works on this run; wait for it or stop it") from None
        yield


def flush(path: Path) -> None:
    """Flushes a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
