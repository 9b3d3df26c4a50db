"""The request journal: every reply of a paid backend, stored before anything parses it.

A reply's key is the content of its request (model, messages, sampling parameters, reply schema, sample index, re-ask
number), so rows added, removed or reordered invalidate nothing. SQLite in WAL mode: a killed process loses no reply
whose `put` returned; a power cut may lose the last commits, but never damages what was there before. Several processes
may use one journal at once; the first reply stored under a key counts for all.

::

    journal = Journal(Path("run/journal.sqlite"))
    journal.put(key, task="judge@2", model="openai:m", reply={"text": "{...}", "finish": "stop", ...})  ->  True
    journal.get(key)["text"]
"""

from __future__ import annotations

import json
import sqlite3
import time
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.errors import InputError, StoreError

FORMAT = 2
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY,
    task TEXT NOT NULL,
    model TEXT NOT NULL,
    reply TEXT NOT NULL,
    prompt_tokens INTEGER,
    completion_tokens INTEGER,
    crc INTEGER,
    stored_at TEXT
) WITHOUT ROWID
"""
_FIELDS = ("text", "finish", "reasoning", "usage", "detail")


@dataclass(frozen=True)
class Fault:
    """A stored reply that is not what was stored."""

    key: str
    fact: str


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
                self._add_columns()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{path}: not a usable journal ({error}); move it aside, it may still be repaired"
            ) from None

    @classmethod
    def of(cls, run: Path) -> Journal:
        """The journal of a run that has one.

        Raises:
            InputError: the folder holds none.
        """
        path = run / "journal.sqlite"
        if not path.is_file():
            raise InputError(f"{run}: holds no journal; one is made when a stage first asks a paid backend")
        return cls(path)

    def _add_columns(self) -> None:
        """Brings a journal of format 1 up to date; its replies stay as they are, without checksum and time."""
        present = {row[1] for row in self._db.execute("PRAGMA table_info(replies)")}
        for name, kind in (("crc", "INTEGER"), ("stored_at", "TEXT")):
            if name not in present:
                self._db.execute(f"ALTER TABLE replies ADD COLUMN {name} {kind}")

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored reply, or None."""
        found = self._execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        return None if found is None else dict(json.loads(found[0]))

    def put(self, key: str, *, task: str, model: str, reply: dict[str, Any]) -> bool:
        """Stores a reply durably; the first one stored under a key stays. False where there was one."""
        usage = reply.get("usage") or {}
        text = json.dumps(reply, sort_keys=True)  # escaped: a reply may hold half of a surrogate pair
        values = (key, task, model, text, usage.get("prompt_tokens"), usage.get("completion_tokens"))
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        written = self._execute(
            "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*values, zlib.crc32(text.encode()), now)
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

    def entries(self, *, task: str | None = None, model: str | None = None) -> Iterator[dict[str, Any]]:
        """The stored replies in the order of their keys, with what is known about each.

        Args:
            task: prompt with version (``judge@2``), or without one for all its versions.
            model: as rows carry it, such as ``openai:m``.
        """
        where, values = _choice(task, model, None)
        rows = self._execute(f"SELECT key, task, model, stored_at, reply FROM replies{where} ORDER BY key", values)  # noqa: S608
        for key, kind, name, stored_at, reply in rows:
            yield {"key": key, "task": kind, "model": name, "stored_at": stored_at, **json.loads(reply)}

    def verify(self) -> tuple[int, list[Fault]]:
        """How many replies there are, and those that are damaged: SQLite's own check, then every reply's checksum."""
        said = [str(row[0]) for row in self._execute("PRAGMA integrity_check")]
        faults = [Fault("", fact) for fact in said if fact != "ok"]
        count = 0
        for key, reply, crc in self._execute("SELECT key, reply, crc FROM replies ORDER BY key"):
            count += 1
            fact = _damage(reply, crc)
            if fact is not None:
                faults.append(Fault(key, fact))
        return count, faults

    def count(self, *, task: str | None = None, model: str | None = None, before: str | None = None) -> tuple[int, int]:
        """Replies of this choice, and the tokens that they cost."""
        where, values = _choice(task, model, before)
        row = self._execute(
            f"SELECT COUNT(*), SUM(COALESCE(prompt_tokens, 0) + COALESCE(completion_tokens, 0)) FROM replies{where}",  # noqa: S608
            values,
        ).fetchone()
        return int(row[0]), int(row[1] or 0)

    def prune(self, *, task: str | None = None, model: str | None = None, before: str | None = None) -> int:
        """Removes the replies of this choice for good and gives their space back; returns how many."""
        where, values = _choice(task, model, before)
        removed = self._execute(f"DELETE FROM replies{where}", values).rowcount  # noqa: S608
        self._execute("VACUUM")
        return removed

    def discard(self, keys: Collection[str]) -> int:
        """Removes the replies under these keys; returns how many there were."""
        removed = sum(self._execute("DELETE FROM replies WHERE key = ?", (key,)).rowcount for key in sorted(keys))
        return removed

    def close(self) -> None:
        """Closes the database; stored replies stay."""
        self._db.close()


def _choice(task: str | None, model: str | None, before: str | None) -> tuple[str, tuple[str, ...]]:
    """The WHERE clause of a choice, and its values."""
    clauses, values = [], []
    if task is not None:
        clauses.append("task = ?" if "@" in task else "(task = ? OR task LIKE ? || '@%')")
        values += [task] if "@" in task else [task, task]
    if model is not None:
        clauses.append("model = ?")
        values.append(model)
    if before is not None:
        clauses.append("stored_at < ?")
        values.append(before)
    return (" WHERE " + " AND ".join(clauses) if clauses else ""), tuple(values)


def _damage(reply: Any, crc: int | None) -> str | None:
    if not isinstance(reply, str):
        return "the reply is no text"
    if crc is not None and zlib.crc32(reply.encode("utf-8", "surrogatepass")) != crc:
        return "the checksum does not fit the reply"
    try:
        value = json.loads(reply)
    except ValueError:
        return "the reply is no JSON"
    missing = [name for name in _FIELDS if not isinstance(value, dict) or name not in value]
    return f"the reply lacks {', '.join(missing)}" if missing else None
