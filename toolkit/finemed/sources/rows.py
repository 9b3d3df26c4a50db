"""The rows of one file, held so that each can be written again as it came in.

::

    rows = Lines.read(file, see)          # calls see(number, place, values) for every sound row
    rows.height, rows.places[16]   ->  500, "r.jsonl:17"

`Lines` holds a JSON line per row in memory; `Columns` leaves a Parquet file where it is and reads it again for writing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from finemed.errors import InputError
from finemed.sources.columnar import batches, opened, picked, row_values
from finemed.sources.files import EMPTY, InputFile, Quarantined, duplicate_column
from finemed.sources.jsonl import holds_list
from finemed.sources.streams import BreakError
from finemed.sources.written import written

See = Callable[[dict[str, Any]], str | None]
"""Takes the values of a row; returns its fault if it cannot be used."""


class Placing(NamedTuple):
    """How the records of a file are named: `r.jsonl:17` by the line, `r.json[16]` by the place in a list, from 0."""

    name: str
    listed: bool

    @classmethod
    def of(cls, file: InputFile) -> Placing:
        return cls(file.name, file.format == "json" and holds_list(file))

    def place(self, number: int, line: int | None) -> str:
        """Names a record by its number, from 1, or by the line that it begins on."""
        return self.at(number - 1) if self.listed and line is not None else f"{self.name}:{line or number}"

    def at(self, number: int) -> str:
        """Names what `number_of` gave."""
        return f"{self.name}[{number}]" if self.listed else f"{self.name}:{number}"

    @staticmethod
    def number_of(place: str) -> int:
        """The number at the end of a place."""
        return int(_LAST_NUMBER.findall(place)[-1])


_LAST_NUMBER = re.compile(r"\d+")


@dataclass
class Lines:
    """Rows as JSON lines, each with its line end."""

    file: InputFile
    places: list[str] = field(default_factory=list)
    """`r.jsonl:17` by the line that a row begins on; `r.json[16]` by its place in a list, counted from 0."""
    data: list[bytes] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    """All columns, in the order in which they turn up."""
    quarantined: list[Quarantined] = field(default_factory=list)

    @property
    def height(self) -> int:
        return len(self.data)

    @classmethod
    def read(cls, file: InputFile, see: See) -> Lines:
        """Reads a file whole; what `see` finds a fault in is quarantined with what is broken."""
        found = cls(file)
        added = {name: value for name, value in file.partitions.items() if value is not None}
        placing = Placing.of(file)
        for number, line, values, fault, data in written(file):
            if fault == EMPTY:
                break
            place = placing.place(number, line)
            if fault is None:
                if added and not added.keys() <= values.keys():
                    data = joined(data, {name: added[name] for name in added if name not in values})
                    values = {**values, **{name: added[name] for name in added if name not in values}}
                fault = see(values) or _no_utf8(data)
            if fault is not None:
                found.quarantined.append(Quarantined(place, fault))
                continue
            found.places.append(place)
            found.data.append(data)
            if not values.keys() <= found.names.keys():
                found.names.update(dict.fromkeys(values))
        return found

    def values(self, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows' columns, those of `names` or all."""
        for data in self.data:
            held: dict[str, Any] = json.loads(data)
            yield held if names is None else {name: held.get(name) for name in names}


@dataclass
class Columns:
    """Rows of a Parquet file that is read again when they are needed."""

    file: InputFile
    schema: Any
    metadata: Any
    numbers: list[int] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)

    @property
    def height(self) -> int:
        return len(self.numbers)

    @property
    def places(self) -> list[str]:
        """File and number of each row."""
        return [f"{self.file.name}:{number}" for number in self.numbers]

    @property
    def names(self) -> dict[str, None]:
        """All columns, those of the folders that the file is in last."""
        return dict.fromkeys([*self.schema.names, *self.file.partitions])

    @classmethod
    def read(cls, file: InputFile, wanted: Callable[[Any], list[str]], see: See) -> Columns:
        """Reads those columns of a file that `wanted` picks by its schema.

        Raises:
            BreakError: it cannot be opened.
        """
        with opened(file) as parquet:
            found = cls(file, parquet.schema_arrow, parquet.metadata)
            names = found.schema.names
            twice = duplicate_column(file, names)
            if twice is not None:
                found.quarantined.append(Quarantined(f"{file.name}:1", twice, parquet.metadata.num_rows))
                return found
            for batch in batches(parquet, file, wanted(found.schema)):
                if batch.fault is not None:
                    found.quarantined.append(Quarantined(f"{file.name}:{batch.first + 1}", batch.fault, batch.height))
                    continue
                for number, (values, fault) in enumerate(row_values(batch.rows), batch.first + 1):
                    fault = fault or see({**file.partitions, **values})
                    if fault is None:
                        found.numbers.append(number)
                    else:
                        found.quarantined.append(Quarantined(f"{file.name}:{number}", fault))
        return found

    def batches(self, kept: Any, names: Sequence[str] | None = None) -> Iterator[Any]:
        """The rows that a mask keeps as record batches, with the columns of the folders.

        Raises:
            InputError: the file is another one by now.
        """
        import numpy as np
        import pyarrow as pa

        wanted = np.zeros(self.metadata.num_rows, dtype=bool)
        wanted[np.asarray(self.numbers, dtype=np.int64)[kept] - 1] = True
        columns = None if names is None else [name for name in names if name in self.schema.names]
        added = {
            name: value
            for name, value in self.file.partitions.items()
            if name not in self.schema.names and (names is None or name in names)
        }
        try:
            with opened(self.file) as parquet:
                if not parquet.metadata.equals(self.metadata):
                    raise InputError(f"{self.file.name}: changed while it was read; run the same command again")
                for batch in batches(parquet, self.file, columns):
                    if batch.fault is not None:
                        if wanted[batch.first : batch.first + batch.height].any():
                            raise InputError(
                                f"{self.file.name}:{batch.first + 1}: {batch.fault}; convert or fetch the file again"
                            )
                        continue
                    for rows in picked(batch.rows, wanted[batch.first : batch.first + batch.height]):
                        for name, value in added.items():
                            rows = rows.append_column(name, pa.array([value] * rows.num_rows, pa.string()))
                        yield rows
        except BreakError as broken:
            raise InputError(f"{self.file.name}: {broken}") from None

    def values(self, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
        """The rows' columns, those of `names` or all, as Python values."""
        import numpy as np

        for batch in self.batches(np.ones(self.height, dtype=bool), names):
            for values, fault in row_values(batch):
                if fault is not None:
                    raise InputError(f"{self.file.name}: {fault}; leave the column out, or mend it")
                yield values if names is None else {name: values.get(name) for name in names}


Rows = Lines | Columns


def _no_utf8(data: bytes) -> str | None:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        return f"not_utf8: byte {error.start} of the record"
    return None


_DECODER = json.JSONDecoder()
_BETWEEN = re.compile(r"[\s,:]*")


def joined(line: bytes, added: dict[str, Any]) -> bytes:
    """An object's line with further keys at its end, or with other values of keys that it has; nothing else changes."""
    if any(json.dumps(name, ensure_ascii=False).encode() in line or b"\\u" in line for name in added):
        line, added = _replaced(line.decode(), added)
        if not added:
            return line
    body = line.rstrip()
    end = line[len(body) :]
    opening = body[:-1].rstrip()
    told = json.dumps(added, ensure_ascii=False).encode()[1:]
    return opening + (b"" if opening.endswith(b"{") else b", ") + told + end


def _replaced(text: str, added: dict[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """The line with new values of the keys that its object has, and the keys that it has not."""
    left, pieces, written = dict(added), [], 0
    at = _gap(text, text.index("{") + 1)
    while text[at] != "}":
        name, at = _DECODER.raw_decode(text, at)
        start = _gap(text, at)
        _, at = _DECODER.raw_decode(text, start)
        if name in left:
            pieces += [text[written:start], json.dumps(left.pop(name), ensure_ascii=False)]
            written = at
        at = _gap(text, at)
    return "".join([*pieces, text[written:]]).encode(), left


def _gap(text: str, at: int) -> int:
    return _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string too
