"""The request journal: every reply of a paid backend, stored before anything parses it.

A reply's key is the content of its request (model, messages, sampling parameters, reply schema, sample index, re-ask
number), so rows added, removed or reordered invalidate nothing. SQLite in WAL mode: a killed process loses no reply
whose `put` returned; a power cut may lose the last commits, but never damages what was there before. Several processes
may use one journal at once; the first reply stored under a key counts for all.

Every reply is held against its checksum when it is read. One that is not what was stored counts as absent, goes to the
table `damaged` with what is wrong with it, and is asked for again. A file that SQLite itself cannot follow is refused,
and ``finemed journal salvage`` takes out of it what can be read.

::

    journal = Journal(Path("run/journal.sqlite"))
    journal.put(key, task="judge@2", model="openai:m", reply={"text": "{...}", "finish": "stop", ...})  ->  True
    journal.get(key)["text"]
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.errors import InputError, StoreError
from finemed.store.journal_file import DAMAGED, check_plain, make, use_wal
from finemed.store.reply import COLUMNS, Record, fault, sealed
from finemed.store.shards import Say, unheard
from finemed.store.wal import lost_frames

FORMAT = 3
_NAMES = ", ".join(COLUMNS)
_BROKEN = {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT}
"""What SQLite answers where the file is not what it wrote: of tables, pages, or as a whole."""


@dataclass(frozen=True)
class Fault:
    """A stored reply that is not what was stored."""

    key: str
    fact: str


def _lenient(raw: bytes) -> str:
    """Text as it lies on disk; what is no UTF-8 stays recognisable and never ends in an exception."""
    return raw.decode("utf-8", "surrogateescape")


class Journal:
    """A durable map from request key to raw reply; `say` is told of replies that are found damaged."""

    def __init__(self, path: Path, say: Say = unheard) -> None:
        self._path = path
        self._say = say
        make(path)
        check_plain(path)
        try:
            lost = lost_frames(path.with_name(path.name + "-wal"))  # before SQLite sees it, and cuts it off there
            if lost:
                raise sqlite3.DatabaseError(f"{lost} pages of its write-ahead log cannot be followed")
            if path.stat().st_size == 0:
                raise sqlite3.DatabaseError("the file is empty")
            self._db = sqlite3.connect(path, timeout=60, isolation_level=None)
            self._db.text_factory = _lenient
            try:
                use_wal(self._db)
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._bring_up_to_date()
            except BaseException:
                self._db.close()
                raise
        except sqlite3.Error as error:
            raise self._error(error) from None

    @classmethod
    def of(cls, run: Path, say: Say = unheard) -> Journal:
        """The journal of a run that has one.

        Raises:
            InputError: the folder holds none.
        """
        path = run / "journal.sqlite"
        if not path.exists():
            raise InputError(f"{run}: holds no journal; one is made when a stage first asks a paid backend")
        return cls(path, say)

    def _bring_up_to_date(self) -> None:
        """Adds the columns that format 1 and 2 lack; their replies stay as they are."""
        tables = {row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "replies" not in tables or not tables <= {"replies", "damaged"}:
            raise sqlite3.DatabaseError(f"it holds the tables {', '.join(sorted(map(_shown, tables))) or 'none'}")
        present = {row[1]: row[2] for row in self._db.execute("PRAGMA table_info(replies)")}
        if not present.items() <= COLUMNS.items() or list(present) != list(COLUMNS)[: len(present)]:
            raise sqlite3.DatabaseError(f"it holds the columns {', '.join(map(_shown, present))}")
        for name, kind in list(COLUMNS.items())[len(present) :]:
            try:
                self._db.execute(f"ALTER TABLE replies ADD COLUMN {name} {kind}")
            except sqlite3.OperationalError as error:
                if "duplicate column" not in str(error):  # another process was quicker
                    raise
        self._db.execute(DAMAGED)

    # --- replies -----------------------------------------------------------------------------------------------------

    def get(self, key: str) -> dict[str, Any] | None:
        """The stored reply, or None; also None for one that is damaged, which goes to the table `damaged`."""
        row = next(self._rows(f"SELECT {_NAMES} FROM replies WHERE key = ?", (key,)), None)  # noqa: S608
        if row is None:
            return None
        record = Record(*row)
        fact = fault(record)
        if fact is not None:
            self._set_aside([(record.key, fact)])
            return None
        return dict(json.loads(record.reply))

    def put(self, key: str, *, task: str, model: str, reply: dict[str, Any]) -> bool:
        """Stores a reply durably; the first one stored under a key stays. False where there was one."""
        usage = reply.get("usage") or {}
        text = json.dumps(reply, sort_keys=True)  # escaped: a reply may hold half of a surrogate pair
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        tokens = [_tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens")]
        record = Record(key, task, model, text, *tokens)
        if self.insert(sealed(record._replace(stored_at=now))):
            return True
        return self.get(key) is None and self.insert(sealed(record._replace(stored_at=now)))

    def insert(self, record: Record) -> bool:
        """Stores a record as it is; the first one under a key stays. False where there was one."""
        places = ", ".join("?" * len(COLUMNS))
        return self._execute(f"INSERT OR IGNORE INTO replies ({_NAMES}) VALUES ({places})", record).rowcount == 1  # noqa: S608

    def entries(self, *, task: str | None = None, model: str | None = None) -> Iterator[dict[str, Any]]:
        """The stored replies in the order of their keys, with what is known about each; damaged ones are set aside.

        Args:
            task: prompt with version (``judge@2``), or without one for all its versions.
            model: as rows carry it, such as ``openai:m``.
        """
        where, values = _choice(task, model, None)
        faults = []
        for row in self._rows(f"SELECT {_NAMES} FROM replies{where} ORDER BY key", values):  # noqa: S608
            record = Record(*row)
            fact = fault(record)
            if fact is not None:
                faults.append((record.key, fact))
                continue
            told = {"key": record.key, "task": record.task, "model": record.model, "stored_at": record.stored_at}
            yield {**told, **json.loads(record.reply)}
        self._set_aside(faults)

    def begin(self) -> None:
        """What is inserted until `commit` is stored together."""
        self._execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        """Stores what was inserted since `begin`."""
        self._execute("COMMIT")

    # --- soundness ---------------------------------------------------------------------------------------------------

    def check(self) -> int:
        """Looks at every page and every reply; damaged replies are set aside and said. Returns how many.

        Raises:
            StoreError: the file itself is damaged.
        """
        for (fact,) in self._rows("PRAGMA quick_check(1)"):
            if fact != "ok":
                raise self._error(sqlite3.DatabaseError(_shown(fact)))
        faults, last = [], ""
        for record, fact in self._examined():
            if isinstance(record.key, str):
                if record.key <= last:
                    raise self._error(sqlite3.DatabaseError("its replies are not in the order of their keys"))
                last = record.key
            if fact is not None:
                faults.append((record.key, fact))
        self._set_aside(faults)
        return len(faults)

    def verify(self) -> tuple[int, list[Fault]]:
        """How many replies there are, and those that are damaged: SQLite's own check, then every reply's checksum."""
        said = [_shown(row[0]) for row in self._rows("PRAGMA integrity_check")]
        faults = [Fault("", fact) for fact in said if fact != "ok"]
        count = 0
        for record, fact in self._examined():
            count += 1
            if fact is not None:
                faults.append(Fault(_shown(record.key), fact))
        return count, faults

    def _examined(self) -> Iterator[tuple[Record, str | None]]:
        for row in self._rows(f"SELECT {_NAMES} FROM replies ORDER BY key"):  # noqa: S608
            record = Record(*row)
            yield record, fault(record)

    def _set_aside(self, faults: Collection[tuple[Any, str]]) -> None:
        """Moves damaged replies to the table `damaged`, so that they count as absent, and says so."""
        if not faults:
            return
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._execute("BEGIN IMMEDIATE")
        try:
            for key, fact in faults:
                raw = key.encode("utf-8", "surrogateescape") if isinstance(key, str) else key
                same = "key = CAST(? AS TEXT)" if isinstance(key, str) else "key IS ?"
                self._execute(f"INSERT INTO damaged SELECT {_NAMES}, ?, ? FROM replies WHERE {same}", (fact, now, raw))  # noqa: S608
                if self._execute(f"DELETE FROM replies WHERE {same}", (raw,)).rowcount != 1:  # noqa: S608
                    raise self._error(sqlite3.DatabaseError(f"the reply {_shown(key)} is damaged and cannot be moved"))
            self._execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
            raise
        facts = ", ".join(sorted({fact for _, fact in faults}))
        which = "1 stored reply is" if len(faults) == 1 else f"{len(faults):,} stored replies are"
        self._say(
            f"{self._path}: {which} damaged ({facts}); set aside in its table `damaged`, counted as absent, and asked "
            "for again where needed"
        )

    # --- counts and choices ------------------------------------------------------------------------------------------

    def stats(self) -> list[dict[str, Any]]:
        """Replies and tokens by task and model."""
        tokens = "SUM(CASE WHEN typeof({0}) = 'integer' AND {0} BETWEEN 0 AND 1000000000 THEN {0} END)"
        rows = self._rows(
            f"SELECT task, model, COUNT(*), {tokens.format('prompt_tokens')}, {tokens.format('completion_tokens')}"  # noqa: S608
            " FROM replies GROUP BY task, model ORDER BY task, model"
        )
        return [
            {
                "task": _shown(task),
                "model": _shown(model),
                "replies": count,
                "prompt_tokens": prompt,
                "completion_tokens": completion,
            }
            for task, model, count, prompt, completion in rows
        ]

    def count(self, *, task: str | None = None, model: str | None = None, before: str | None = None) -> tuple[int, int]:
        """Replies of this choice, and the tokens that they cost."""
        where, values = _choice(task, model, before)
        row = next(
            self._rows(
                f"SELECT COUNT(*), TOTAL(prompt_tokens) + TOTAL(completion_tokens) FROM replies{where}",  # noqa: S608
                values,
            )
        )
        return int(row[0]), int(row[1] or 0)

    def prune(self, *, task: str | None = None, model: str | None = None, before: str | None = None) -> int:
        """Removes the replies of this choice for good and gives their space back; returns how many."""
        where, values = _choice(task, model, before)
        removed = self._execute(f"DELETE FROM replies{where}", values).rowcount  # noqa: S608
        self._compact()
        return removed

    def discard(self, keys: Collection[str]) -> int:
        """Removes the replies under these keys; returns how many there were."""
        return sum(self._execute("DELETE FROM replies WHERE key = ?", (key,)).rowcount for key in sorted(keys))

    def discard_damaged(self) -> int:
        """Removes all damaged replies for good, those that were set aside before as well; returns how many."""
        self._set_aside([(record.key, fact) for record, fact in self._examined() if fact is not None])
        removed = self._execute("DELETE FROM damaged").rowcount
        self._compact()
        return removed

    def damaged(self) -> int:
        """How many replies were set aside."""
        return int(next(self._rows("SELECT COUNT(*) FROM damaged"))[0])

    def _compact(self) -> None:
        """Gives back the space of what was removed, in the log, too, so that nothing of it can be read any more."""
        self._execute("VACUUM")
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    # --- SQLite ------------------------------------------------------------------------------------------------------

    def _execute(self, statement: str, values: Collection[Any] = ()) -> sqlite3.Cursor:
        try:
            return self._db.execute(statement, tuple(values))
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _rows(self, statement: str, values: Collection[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query; a file may turn out damaged at any of them."""
        try:
            yield from self._db.execute(statement, tuple(values))
        except sqlite3.Error as error:
            raise self._error(error) from None

    def _error(self, error: sqlite3.Error) -> StoreError:
        """What a fault of SQLite's means, and what to do; a wrong call of ours is let through."""
        if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError | sqlite3.NotSupportedError):
            raise error
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT) & 0xFF
        if code in _BROKEN:
            return StoreError(
                f"{self._path}: not a usable journal ({error}); `finemed journal salvage {self._path.parent}` takes out"
                " of it every reply that can be read and keeps the old file"
            )
        return StoreError(
            f"{self._path}: {error}; free space or mend the permissions, then run the same command again; stored "
            "replies are kept"
        )

    def close(self) -> None:
        """Closes the database; stored replies stay."""
        self._db.close()


def _tokens(value: Any) -> int | None:
    """A server's count of tokens, where it is one that a database can hold."""
    return value if isinstance(value, int) and 0 <= value < 2**62 else None


def _shown(value: Any) -> str:
    """Any value of a damaged file as text that can be printed."""
    text = value if isinstance(value, str) else repr(value)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


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
