"""Takes out of a damaged journal every reply that can be read.

::

    result = salvage(Path("run"))
    result  ->  Salvaged(recovered=5120, bad=2, unreadable=3, kept=Path("run/journal.damaged-1.sqlite"))

The old file is never written to: it is kept under another name, with its log, and a new journal of the readable replies
takes its place. A reply is recovered only if it is what was stored, as its checksum says; SQLite is not asked, since it
gives up at the first page that it cannot follow.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from finemed.errors import InputError, StoreError
from finemed.store.atomic import TEMPORARY, flush, locked, remove
from finemed.store.journal import Journal
from finemed.store.journal_file import check_plain
from finemed.store.pages import INTERIOR, LEAF, OTHER_TREES, Found, Image, carve
from finemed.store.reply import COLUMNS, Record, fault
from finemed.store.wal import frames

LEAST_COLUMNS = 6
"""Columns of a record of format 1."""


@dataclass(frozen=True)
class Salvaged:
    """What came of a salvage."""

    recovered: int
    """Replies in the new journal."""
    bad: int
    """Replies that were found and are not what was stored, or cannot be put together."""
    unreadable: int
    """Pages that hold nothing readable: zeroed, cut off, or with the rest of a lost reply."""
    kept: Path | None
    """The old file; None where the journal was sound and nothing was done."""

    def plain(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {**asdict(self), "kept": None if self.kept is None else str(self.kept)}


def salvage(run: Path) -> Salvaged:
    """Puts a journal of the readable replies in the place of a damaged one.

    Raises:
        InputError: the run has no journal.
        StoreError: another process works on the run, or files cannot be read or written.
    """
    path = run / "journal.sqlite"
    check_plain(path)
    if not path.is_file():
        raise InputError(f"{run}: holds no journal; there is nothing to salvage")
    with locked(run):
        count = _sound(path)
        if count is not None:
            return Salvaged(count, 0, 0, None)
        new = path.with_name(f"journal.salvaged.sqlite{TEMPORARY}")
        _remove(new)
        try:
            bad, unreadable = _fill(new, path)
            recovered = _count(new)
            kept = _exchange(path, new)
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be salvaged ({error.strerror or error}); free space or mend the permissions, then run "
                "the same command again; the old file is as it was"
            ) from None
        finally:
            _remove(new)
    return Salvaged(recovered, bad, unreadable, kept)


def _sound(path: Path) -> int | None:
    """How many replies a sound journal holds; None for a damaged one."""
    try:
        journal = Journal(path)
    except StoreError:
        return None
    try:
        count, faults = journal.verify()
    except StoreError:
        return None
    finally:
        journal.close()
    return None if faults else count


def _fill(new: Path, path: Path) -> tuple[int, int]:
    """Writes what can be read into a new journal; counts bad replies and unreadable pages."""
    log_path = path.with_name(path.name + "-wal")
    log = log_path.read_bytes() if log_path.exists() else b""
    journal = Journal(new)
    keys: set[str] = set()
    try:
        journal.begin()
        with path.open("rb") as file:
            data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if path.stat().st_size else b""
            best = max(
                (_Carved(data, log, size, journal, keys) for size in _page_sizes(data)), key=lambda one: one.good
            )
        journal.commit()
    finally:
        journal.close()
    return len(best.bad - keys) + best.lost, best.unreadable


def _page_sizes(data: Any) -> list[int]:
    """The size that the header states, if it can be one, and SQLite's usual one."""
    stated = struct.unpack(">H", data[16:18])[0] if len(data) >= 18 else 4096
    size = 65536 if stated == 1 else stated
    return list(dict.fromkeys([size, 4096])) if size >= 512 and size & (size - 1) == 0 else [4096]


class _Carved:
    """What one reading of the file gave; sound replies went into the journal."""

    def __init__(self, data: Any, log: bytes, size: int, journal: Journal, keys: set[str]) -> None:
        self.bad: set[str] = set()
        self.lost = self.good = 0
        self._journal, self._keys = journal, keys
        logged = frames(log)
        most = len(data) // size + len(logged) + 1
        listed = [frame for frame in logged if frame.size == size and 0 < frame.page <= most]
        sound = {frame.page: log[frame.start : frame.start + size] for frame in listed if frame.sound}
        every = {frame.page: log[frame.start : frame.start + size] for frame in listed}
        current = Image(data, sound, size)
        for found in carve(current):
            self._take(found, counts=True)
        for image in [Image(data, {}, size), Image(data, every, size)] if listed else []:
            for found in carve(image):
                self._take(found, counts=False)
        self.unreadable = _unreadable(current)

    def _take(self, found: Found, *, counts: bool) -> None:
        """Stores a sound reply; one that only an older state of the file has is taken just the same."""
        values = found.values
        if values is None:
            self.lost += counts
            return
        if not LEAST_COLUMNS <= len(values) <= len(COLUMNS):
            return
        record = Record(*values)
        if fault(record) is None and not _foreign(record):
            self._journal.insert(record)
            self._keys.add(record.key)
            self.good += 1
        elif found.certain and counts:
            self.bad.add(repr(record.key) if not isinstance(record.key, str) else record.key)


def _foreign(record: Record) -> bool:
    """Whether a record that no checksum vouches for has values that no reply has."""
    tokens = (record.prompt_tokens, record.completion_tokens)
    return not all(value is None or isinstance(value, int) for value in tokens) or not all(
        _printable(value) for value in (record.key, record.task, record.model)
    )


def _printable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _unreadable(image: Image) -> int:
    """Pages that are no tree's, no found record's and not on the list of free ones."""
    known = image.used | set(_free_pages(image))
    count = 0
    for number in range(2, image.count + 1):
        if number not in known and image.page(number)[0] not in (LEAF, INTERIOR, *OTHER_TREES):
            count += 1
    stated = struct.unpack(">I", bytes(image.data[28:32]))[0] if len(image.data) >= 32 else 0
    cut_off = stated - image.count
    return count + (cut_off if 0 < cut_off < 2**24 else 0) + (image.count == 0)


def _free_pages(image: Image) -> Iterator[int]:
    """The pages on the list of free ones, as far as it can be followed."""
    trunk = struct.unpack_from(">I", image.page(1), 32)[0] if image.count else 0
    seen: set[int] = set()
    while 1 < trunk <= image.count and trunk not in seen:
        seen.add(trunk)
        page = image.page(trunk)
        following, leaves = struct.unpack_from(">II", page)
        yield trunk
        for place in range(min(leaves, image.size // 4 - 2)):
            yield struct.unpack_from(">I", page, 8 + 4 * place)[0]
        trunk = following


def _count(new: Path) -> int:
    journal = Journal(new)
    try:
        return journal.count()[0]
    finally:
        journal.close()


def _exchange(path: Path, new: Path) -> Path:
    """Keeps the old file and its log under another name, then gives the new one its place."""
    number = 1
    while path.with_name(f"journal.damaged-{number}.sqlite").exists():
        number += 1
    kept = path.with_name(f"journal.damaged-{number}.sqlite")
    for ending in ("-wal", ""):
        old = path.with_name(path.name + ending)
        if old.exists():
            _same_file(old, kept.with_name(kept.name + ending))
    flush(path.parent)
    for ending in ("-wal", "-shm"):  # they belong to the old file
        remove(path.with_name(path.name + ending))
    flush(new)
    os.replace(new, path)
    flush(path.parent)
    return kept


def _same_file(old: Path, name: Path) -> None:
    try:
        os.link(old, name)
    except OSError:  # a file system without links
        name.write_bytes(old.read_bytes())
        flush(name)


def _remove(new: Path) -> None:
    for ending in ("", "-wal", "-shm", "-journal"):
        remove(new.with_name(new.name + ending))
