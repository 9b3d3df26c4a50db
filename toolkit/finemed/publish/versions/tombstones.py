"""What was retracted and must never come back: ``tombstones.jsonl``.

::

    {"kind": "document", "reason": "a patient is named", "value": "d7d0...", "version": "1.1.1"}
    {"kind": "source", "reason": "licence withdrawn", "value": "openstax", "version": "1.2.1"}

A row is held back if one of its ids, or its source, is named here. Whoever retracts a row or an answer retracts its
question with it, and with that every pool row of the question.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import polars as pl

from finemed.errors import StoreError
from finemed.store.atomic import read_plain, write_atomic

FILE = "tombstones.jsonl"
COLUMNS: dict[str, tuple[str, ...]] = {
    "row": ("id",),
    "response": ("response_id", "chosen_id", "rejected_id"),
    "instruction": ("instruction_id",),
    "passage": ("passage_id",),
    "document": ("document_id",),
    "source": ("source",),
}
"""Kind of tombstone -> columns of a published row that may hold such a value; from the narrowest to the widest."""


@dataclass(frozen=True, order=True)
class Tombstone:
    """One id or source that was taken out."""

    kind: str
    value: str
    reason: str = field(compare=False)
    """The curator's words."""
    version: str = field(compare=False)
    """The version that took it out."""


class Tombstones:
    """All that was retracted so far; each value once, with its first reason."""

    def __init__(self, entries: Iterable[Tombstone] = ()) -> None:
        self._entries: dict[tuple[str, str], Tombstone] = {}
        for entry in entries:
            self._entries.setdefault((entry.kind, entry.value), entry)

    @classmethod
    def read(cls, folder: Path) -> Tombstones:
        """The tombstones of a release; none where it has no such file.

        Raises:
            StoreError: the file is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return cls()
        entries = []
        lines = read_plain(path).decode("utf-8").split("\n")  # `splitlines` would part a reason at U+2028
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                entry = Tombstone(**json.loads(line))
                if entry.kind not in COLUMNS or not all(isinstance(value, str) for value in asdict(entry).values()):
                    raise ValueError(f"`kind` is {entry.kind!r}")
            except (ValueError, TypeError) as error:
                raise StoreError(
                    f"{path}:{number}: damaged ({error}); retracted rows could come back: restore the file from the "
                    "last good version"
                ) from None
            entries.append(entry)
        return cls(entries)

    def write(self, folder: Path) -> None:
        """Writes the file in order of kind and value; none where nothing was retracted."""
        if self._entries:
            write_atomic(folder / FILE, self.text())

    def text(self) -> bytes:
        """The file's content."""
        lines = (json.dumps(asdict(entry), sort_keys=True, ensure_ascii=False) + "\n" for entry in self)
        return "".join(lines).encode("utf-8", "replace")

    def __iter__(self) -> Iterator[Tombstone]:
        return iter(sorted(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, kind: str, value: str) -> Tombstone | None:
        return self._entries.get((kind, value))

    def values(self, kind: str) -> list[str]:
        """What is retracted of a kind, sorted."""
        return sorted(value for of, value in self._entries if of == kind)

    def plus(self, more: Iterable[Tombstone]) -> Tombstones:
        """These and more; what is there already keeps its reason and version."""
        return Tombstones([*self, *more])

    def mask(self, columns: Iterable[str]) -> pl.Expr:
        """A column `retracted` that is true for the retracted rows of a table with these columns."""
        present = set(columns)
        tests = [
            pl.col(column).is_in(pl.Series(values, dtype=pl.String()).implode()).fill_null(value=False)
            for kind, names in COLUMNS.items()
            if (values := self.values(kind))
            for column in names
            if column in present
        ]
        return pl.any_horizontal(tests or [pl.lit(value=False)]).alias("retracted")
