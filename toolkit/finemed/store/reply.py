"""One stored reply: the columns of its record, its checksum, and what may be wrong with it.

A record of format 3 carries a digest of all its fields, so that two replies exchanged on disk are noticed, too. One of
format 2 has a checksum of the reply alone; one of format 1 has none, and only its structure can be looked at.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any, NamedTuple

COLUMNS = {
    "key": "TEXT",
    "task": "TEXT",
    "model": "TEXT",
    "reply": "TEXT",
    "prompt_tokens": "INTEGER",
    "completion_tokens": "INTEGER",
    "crc": "INTEGER",
    "stored_at": "TEXT",
    "digest": "TEXT",
}
"""Names and types in the order in which the formats added them."""

_FIELDS = {"text": str, "finish": str, "reasoning": str, "usage": dict, "detail": str}


class Record(NamedTuple):
    """A row of the journal as SQLite gives it: after damage, of any type."""

    key: Any
    task: Any
    model: Any
    reply: Any
    prompt_tokens: Any = None
    completion_tokens: Any = None
    crc: Any = None
    stored_at: Any = None
    digest: Any = None


def checksum(reply: str) -> int:
    """The checksum that formats 2 and 3 keep of the reply alone."""
    return zlib.crc32(reply.encode("utf-8", "surrogateescape"))


def digest(record: Record) -> str:
    """The checksum of all that a record says."""
    text = json.dumps(record[:-1])  # escaped, so any string that SQLite gave can be hashed
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def sealed(record: Record) -> Record:
    """The record with its checksums."""
    plain = record._replace(crc=checksum(record.reply))
    return plain._replace(digest=digest(plain))


def fault(record: Record) -> str | None:
    """What is wrong with a record; None where it is what was stored, as far as its format can tell."""
    if not isinstance(record.reply, str):
        return "the reply is no text"
    if not all(isinstance(value, str) for value in (record.key, record.task, record.model)):
        return "its key, prompt or model is no text"
    if record.digest is not None:
        return None if record.digest == _digest_of(record) else "its digest does not fit the record"
    if record.crc is not None and checksum(record.reply) != record.crc:
        return "the checksum does not fit the reply"
    return _structural_fault(record.reply)


def _digest_of(record: Record) -> str | None:
    try:
        return digest(record)
    except (TypeError, ValueError):  # a field became bytes
        return None


def _structural_fault(reply: str) -> str | None:
    """What a reply lacks, where no digest vouches for it."""
    try:
        value = json.loads(reply)
    except (ValueError, RecursionError):
        return "the reply is no JSON"
    if not isinstance(value, dict):
        return f"the reply lacks {', '.join(_FIELDS)}"
    missing = [name for name in _FIELDS if name not in value]
    if missing:
        return f"the reply lacks {', '.join(missing)}"
    odd = [name for name, kind in _FIELDS.items() if not isinstance(value[name], kind)]
    return f"the reply's {', '.join(odd)} is of another type" if odd else None
