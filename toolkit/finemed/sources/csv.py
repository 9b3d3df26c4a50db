r"""Rows of a CSV file with a header; damage from a broken quote ends with its line.

::

    text,title                      (1, 2, {"text": "Croup barks.", "title": "Croup"}, None)
    Croup barks.,Croup              (2, 3, {}, "broken_quotes: a quote opens here and is not closed ...")
    "Asthma wheezes.,Asthma         (3, 4, {"text": "Gout hurts.", "title": "Gout"}, None)
    Gout hurts.,Gout

A row may span lines inside quotes. Where such a row cannot end well, only its first line is given up, and the lines
after it are read anew.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator

from finemed.sources.files import MAX_RECORD, InputFile, Raw, duplicate_column
from finemed.sources.streams import BreakError, Line, lines, too_large


def read_csv(file: InputFile) -> Raw:
    """Rows by the names of the header."""
    csv.field_size_limit(MAX_RECORD)
    rows = _rows(_Source(lines(file)))
    header: list[str] = []
    number, line = 0, 0
    try:
        for line, row, fault in rows:
            if not header and fault is None:
                header = row
                doubled = duplicate_column(file, header)
                continue
            number += 1
            if fault is None and len(row) != len(header):
                fault = (
                    f"{'extra' if len(row) > len(header) else 'fewer'}_fields: {len(row)}, the header has {len(header)}"
                )
            fault = fault or doubled
            yield number, line, {} if fault else dict(zip(header, row, strict=True)), fault
    except BreakError as broken:
        yield number + 1, line + 1, {}, str(broken)


class _Source:
    """Lines as text, which can be given back; knows those that were taken since it was last asked."""

    def __init__(self, stream: Iterator[Line]) -> None:
        self._stream = stream
        self._again: deque[Line] = deque()
        self.taken: list[Line] = []
        self.size = 0

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._stream)
        while not line.whole:  # what a break left of a row is no row
            line = next(self._stream)
        self.taken.append(line)
        self.size += line.size
        if self.size > MAX_RECORD:
            raise csv.Error("the row is too large")
        return line.data.removeprefix(b"\xef\xbb\xbf" if line.number == 1 else b"").decode("utf-8", "surrogateescape")

    def begin(self) -> None:
        """Forgets what was taken."""
        self.taken, self.size = [], 0

    def give_back(self) -> Line:
        """Keeps the first of the lines taken and gives back the others."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        return first


def _rows(source: _Source) -> Iterator[tuple[int, list[str], str | None]]:
    """First line, fields and fault of each row; blank lines are no rows."""
    reader = csv.reader(source, strict=True)
    while True:
        source.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = source.taken[-1].number
            first = source.give_back()
            reader = csv.reader(source, strict=True)
            yield first.number, [], _fault(first, last, error)
        else:
            if row:
                yield source.taken[0].number, row, None


def _fault(first: Line, last: int, error: csv.Error) -> str:
    if first.size > MAX_RECORD:
        return too_large(first.size)
    if first.number == last and "expected after" in str(error):
        return "broken_quotes: text follows a closing quote; quotes inside a field are doubled"
    return f"broken_quotes: a quote opens here and is not closed by line {last}"
