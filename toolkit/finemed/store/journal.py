"""The request journal: every reply of a paid backend, stored before anything parses it.

A reply's key is the content of its request (model, messages, sampling parameters, reply schema, sample index, re-ask
number), so rows added, removed or reordered invalidate nothing. SQLite in WAL mode: a killed process loses no reply
whose `put` returned; a power cut may lose the last commits, but never damages what was there before.
"""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

from finemed.errors import StoreError

_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER
) WITHOUT ROWID
"""


def _use_wal(db: sqlite3.Connection, patience_s: float = 60) -> None:
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


class Journal:
    """A durable map from request key to raw reply."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        try:
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            try:
                _use_wal(self._db)
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.execute(_TABLE)
            except BaseException:
                self._db.close()
                raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path}: not a usable journal ({error}); move it aside, it may still be repaired"
            ) from None

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored reply, or None."""
        found = self._execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def put(self, key: str, *, task: str, model: str, reply: dict[str, Any]) -> bool:
        """Stores a reply durably; the first one stored under a key stays. False where there was one."""
        usage = reply.get("usage") or {}
        written = self._execute(
            "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?)",
            (
                key,
                task,
                model,
                json.dumps(reply, sort_keys=True),  # escaped: a reply may hold half of a surrogate pair
                usage.get("prompt_tokens"),
                usage.get("completion_tokens"),
            ),
        )
        return written.rowcount == 1

    def _execute(self, statement: str, values: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise StoreError(
                f"{self._path}: {error}; free space or mend the permissions, then run the same command again; stored "
                "replies are kept"
            ) from None

    def stats(self) -> list[dict[str, Any]]:
        """Replies and tokens by task and model."""
        rows = self._execute(
            "SELECT task, model, COUNT(*), SUM(prompt_tokens), SUM(completion_tokens) FROM replies"
            " GROUP BY task, model ORDER BY task, model"
        )
        names = ("task", "model", "replies", "prompt_tokens", "completion_tokens")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def close(self) -> None:
        """Closes the database; stored replies stay."""
        self._db.close()
