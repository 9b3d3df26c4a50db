"""Files that are either whole or absent.

``write_atomic(path, data)`` writes beside the target, flushes to the disk and renames; a kill at any moment leaves the
old file or the new one, and at most a ``.tmp`` neighbour that the next run removes.

What is ours is read through ``read_plain(path)`` and ``plain(path)``, which refuse what is no regular file: a named
pipe that lies in a run's folder would be waited for forever.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from typing import IO, Any

from finemed.errors import StoreError

TEMPORARY = ".tmp"
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


class NoFileError(OSError):
    """What lies where one of our files should be is no regular file."""

    def __init__(self, path: Path, kind: str) -> None:
        super().__init__(errno.EISDIR if kind == "a folder" else errno.EINVAL, f"it is {kind}, no file", str(path))


def kind_of(path: Path) -> str | None:
    """What a path names, behind all links, where it is no regular file; None for a file, and where nothing is."""
    try:
        return _KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except OSError:
        return None


def is_special(path: Path) -> bool:
    """Whether a path names what must not be opened: a pipe, a socket or a device."""
    return kind_of(path) not in (None, "a folder")


def plain(path: Path) -> Path:
    """The path of a regular file, for a library that opens it by name.

    Raises:
        NoFileError: it is something else, which could be waited for forever.
    """
    if (kind := kind_of(path)) is not None:
        raise NoFileError(path, kind)
    return path


def open_plain(path: Path) -> BufferedReader:
    """Opens a regular file for reading, and never waits for one.

    Raises:
        OSError: there is none; `NoFileError` where it is something else.
    """
    file = os.fdopen(os.open(plain(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    if (kind := _KINDS.get(stat.S_IFMT(os.fstat(file.fileno()).st_mode))) is not None:  # another since `plain`
        file.close()
        raise NoFileError(path, kind)
    return file


def read_plain(path: Path) -> bytes:
    """All bytes of a regular file.

    Raises:
        OSError: it cannot be read; `NoFileError` where it is something else.
    """
    with open_plain(path) as file:
        return file.read()


def open_lock(path: Path) -> IO[str]:
    """Opens the file that a lock is held on, and makes it where there is none.

    Raises:
        OSError: it cannot be written, or is no regular file.
    """
    return plain(path).open("a")


def write_with(path: Path, write: Callable[[Path], None]) -> None:
    """Lets `write` fill a temporary file and renames it to `path`."""
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if is_special(temporary) or temporary.is_symlink():
            temporary.unlink()
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
        value = json.loads(read_plain(path).decode("utf-8"))
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
    if target.exists() or target.is_symlink():
        remove(old)
        os.replace(target, old)
    os.replace(new, target)
    flush(target.parent)
    remove(old)


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
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds the folder for one process; the lock ends with the process, however it ends.

    Raises:
        StoreError: another process holds it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = open_lock(folder / ".lock")
    except OSError as error:
        if isinstance(error, NoFileError):
            raise StoreError(
                f"{folder / '.lock'}: {error.strerror}; remove it and run the same command again"
            ) from None
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
