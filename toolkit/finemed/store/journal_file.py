"""The journal's file: its tables, and how an empty one comes to be, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from finemed.errors import StoreError
from finemed.store.atomic import TEMPORARY, flush, kind_of
from finemed.store.reply import COLUMNS

REPLIES = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    crc INTEGER,
    stored_at TEXT,
    digest TEXT
) WITHOUT ROWID
"""
DAMAGED = f"CREATE TABLE IF NOT EXISTS damaged ({', '.join(COLUMNS)}, fact TEXT, found_at TEXT)"


def use_wal(db: sqlite3.Connection, patience_s: float = 60) -> None:
    """Sets the mode; two processes that open a new file at once do not wait for each other here, so try again."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def check_plain(path: Path) -> None:
    """Refuses a journal that SQLite would wait for: a pipe or the like in the place of one of its files.

    Raises:
        StoreError: one of them is no regular file.
    """
    for end in ("", "-wal", "-shm", "-journal"):
        place = path.with_name(path.name + end)
        if (kind := kind_of(place)) is not None:
            raise StoreError(f"{place}: is {kind}, no file of a journal; move it away and run the same command again")


def make(path: Path) -> None:
    """Makes an empty journal where there is none; whole or not at all, so that an empty file is always damage."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.{os.getpid()}.sqlite{TEMPORARY}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.unlink(missing_ok=True)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode=OFF")
            db.execute(REPLIES)
            db.execute(DAMAGED)
        flush(new)
        with contextlib.suppress(FileExistsError):  # another process was quicker
            _link(new, path)
        flush(path.parent)
    except (OSError, sqlite3.Error) as error:
        raise StoreError(
            f"{path}: cannot be written ({error}); free space or mend the permissions, then run the same command again"
        ) from None
    finally:
        new.unlink(missing_ok=True)


def _link(new: Path, path: Path) -> None:
    """Gives a file its name unless another has it."""
    try:
        os.link(new, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if not path.exists():
            os.replace(new, path)
