r"""Rows of a CSV file with a header; damage from a broken quote ends with its line.

::

    text,title                      (1, 2, {"text": "Croup barks.", "title": "Croup"}, None)
    Croup barks.,Croup              (2, 3, {}, "broken_quotes: a quote opens here and is not closed ...")
    "Asthma wheezes.,Asthma         (3, 4, {"text": "Gout hurts.", "title": "Gout"}, None)
    Gout hurts.,Gout

A row may span lines inside quotes. Where such a row cannot end well, only its first line is given up, and the lines
after it are read anew.

Between fields stand commas, in .tsv and .tab files tabs; what a first line ``sep=;`` says; or ``;``, a tab or ``|``
where a header of one column holds it and most of the first rows have as many fields by it as the header. Where a
spreadsheet put quotes around whole lines, ``"text;title"``, the line inside them is what is read.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections import deque
from collections.abc import Iterator, Sequence

from finemed.sources.conversations import columns_of
from finemed.sources.files import MAX_RECORD, InputFile, Raw, duplicate_column, is_tabbed, writable
from finemed.sources.part_names import is_metadata, named_kind
from finemed.sources.streams import BreakError, Line, lines, too_large

_TITLE_LINES = 5
"""Lines below a title in which the header may stand."""
_NAME = 40
FIRST = 50
"""Lines that the mark between fields is told by."""
_MARKS = {";": "`;`", "\t": "tab", "|": "`|`"}
_STATED = re.compile(r"\"?sep=([^\"\r\n])\"?[\r\n]*", re.IGNORECASE)
_ESCAPED = re.compile("[\udc80-\udcff]")


def read_csv(file: InputFile) -> Raw:
    """Rows by the names of the header."""
    csv.field_size_limit(MAX_RECORD)
    source = _Source(lines(file))
    mark, wrapped, refused = _mark(file, source)
    if refused is not None:
        yield 1, None, {}, refused
        return
    rows = _unwrapped(_rows(source, mark), mark) if wrapped else _rows(source, mark)
    header: list[str] = []
    number, line = 0, 0
    try:
        for line, row, fault in rows:
            if not header and fault is None:
                header = row
                doubled = duplicate_column(file, header)
                read = _read(file, header)
                continue
            number += 1
            if fault is None and len(row) != len(header):
                fault = (
                    f"{'extra' if len(row) > len(header) else 'fewer'}_fields: {len(row)}, the header has {len(header)}"
                )
            fault = fault or doubled or _not_utf8(header, row, read)
            yield number, line, {} if fault else dict(zip(header, row, strict=True)), fault
    except BreakError as broken:
        yield number + 1, line + 1, {}, str(broken)


def _mark(file: InputFile, source: _Source) -> tuple[str, bool, str | None]:
    """What stands between the fields of a file, and whether whole lines are quoted; or why that cannot be told."""
    head = source.peek(FIRST)
    mark = "\t" if is_tabbed(file.name) else ","
    if head and (stated := _STATED.fullmatch(head[0])):
        mark, head = stated[1], head[1:]
        source.skip()
    titled = next(filter(None, (_title(_parsed(head, each)) for each in dict.fromkeys((mark, *_MARKS)))), None)
    if titled is not None or _widths(head, mark)[:1] != [1]:
        return mark, False, titled
    quoted = [other for other in dict.fromkeys((mark, *_MARKS)) if _are_wrapped(head, other)]
    if len(quoted) == 1:
        return quoted[0], True, None
    fitting, possible = [], []
    for other in _MARKS:
        header, *rows = _widths(head, other) or [1]
        if header > 1:
            possible.append(other)
            if not rows or 2 * rows.count(header) > len(rows):
                fitting.append(other)
    if not possible or len(fitting) == 1:
        return fitting[0] if fitting else mark, False, None
    held = " and ".join(_MARKS[each] for each in possible)
    refused = (
        f"delimiter: the header is one column that holds {held}, and the first rows do not have as many fields; write "
        "it with commas, and quotes around fields that hold some"
    )
    return mark, False, refused


def _title(rows: list[list[str]]) -> str | None:
    """The fault of a file whose first line is a title: it lacks names for columns, and a line below has them all."""
    for number, row in enumerate(rows[1 : 1 + _TITLE_LINES], 1):
        header = rows[0]
        lacks = any(not name.strip() for name in header) or (len(header) == 1 and len(row) > 1)
        if lacks and len(row) >= len(header) and _are_names(row):
            named = writable(", ".join(row))[:80]
            return (
                f"title: the first line is no header, row {number + 1} is ({named}); remove the lines above the header"
            )
    return None


def _are_names(row: Sequence[str]) -> bool:
    """Whether the fields of a row are names of columns: all there, short, and half of them known."""
    names = [name.strip() for name in row]
    short = all(name and len(name) <= _NAME and name[-1] not in ".?!:;" for name in names)
    known = sum(named_kind(name) is not None or is_metadata(name) for name in names)
    return short and len(names) > 1 and 2 * known >= len(names)


def _widths(head: Sequence[str], mark: str) -> list[int]:
    """The number of fields of the first rows, up to one that is broken or goes on."""
    return list(map(len, _parsed(head, mark)))


def _parsed(head: Sequence[str], mark: str) -> list[list[str]]:
    found: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        found.extend(row for row in csv.reader(head, strict=True, delimiter=mark) if row)
    return found


def _are_wrapped(head: Sequence[str], mark: str) -> bool:
    """Whether whole lines stand in quotes, all of them or those where a quote or a comma made a program do so."""
    rows = _parsed(head, mark)
    inside = [len(_inside(row, mark) or row) for row in rows]
    (width, *others), wrapped = inside or [1], sum(len(row) < held for row, held in zip(rows, inside, strict=True))
    if width < 2 or not others:
        return False
    alike = others.count(width)
    if len(rows[0]) > 1 or mark == ",":  # less sure: the header is not quoted, or the mark is in any text
        return wrapped > 1 and alike == len(others)
    return 2 * alike > len(others)


def _inside(row: list[str], mark: str) -> list[str] | None:
    """The fields of a row whose whole line was quoted; None where it holds a broken quote."""
    if len(row) != 1:
        return row
    found = _parsed(row, mark)
    return found[0] if len(found) == 1 else None


def _unwrapped(
    rows: Iterator[tuple[int, list[str], str | None]], mark: str
) -> Iterator[tuple[int, list[str], str | None]]:
    """The rows of a file that has quotes around whole lines."""
    for line, row, fault in rows:
        held = row if fault else _inside(row, mark)
        fault = "broken_quotes: a quote inside the quoted line is not closed" if held is None else fault
        yield line, held or [], fault


def _read(file: InputFile, header: Sequence[str]) -> set[str]:
    """The columns that are read, those of an exchange included."""
    if file.whole:
        return set(header)
    own = set() if file.layout in ("documents", "auto") else set(columns_of(header))
    return own | (file.wanted() & set(header))


def _not_utf8(header: Sequence[str], row: Sequence[str], read: set[str]) -> str | None:
    """The fault of a row with a byte that is not UTF-8 in a column that is read, or in such a column's name."""
    for name, text in zip(header, row, strict=True):
        known = name in read and not (name.isascii() and text.isascii())
        if known and (found := _ESCAPED.search(text) or _ESCAPED.search(name)):
            column, byte = writable(_ESCAPED.sub("?", name)), ord(found.group()) - 0xDC00
            return (
                f"not_utf8: `{column}` holds the byte 0x{byte:02X}, a byte that is not UTF-8; the file is likely "
                "Windows-1252, as Excel writes it: save it as `CSV UTF-8`, or convert it with "
                "`iconv -f WINDOWS-1252 -t UTF-8`"
            )
    return None


class _Source:
    """Lines as text, which can be given back; knows those that were taken since it was last asked."""

    def __init__(self, stream: Iterator[Line]) -> None:
        self._stream = stream
        self._again: deque[Line] = deque()
        self._broken: BreakError | None = None
        self.taken: list[Line] = []
        self.size = 0

    def __iter__(self) -> _Source:
        return self

    def __next__(self) -> str:
        line = self._next()
        while not line.whole:  # what a break left of a row is no row
            line = self._next()
        self.taken.append(line)
        self.size += line.size
        if self.size > MAX_RECORD:
            raise csv.Error("the row is too large")
        return _text(line)

    def _next(self) -> Line:
        if self._again:
            return self._again.popleft()
        if self._broken is not None:
            raise self._broken
        return next(self._stream)

    def peek(self, most: int) -> list[str]:
        """The first lines, which will come again; a break behind them too."""
        try:
            while len(self._again) < most and (line := next(self._stream, None)) is not None:
                self._again.append(line)
        except BreakError as broken:
            self._broken = broken
        return [_text(line) for line in self._again if line.whole]

    def skip(self) -> None:
        """Leaves out the first of the lines that were looked at."""
        self._again.popleft()

    def begin(self) -> None:
        """Forgets what was taken."""
        self.taken, self.size = [], 0

    def give_back(self) -> Line:
        """Keeps the first of the lines taken and gives back the others."""
        first, *others = self.taken
        self._again.extendleft(reversed(others))
        return first


def _text(line: Line) -> str:
    return line.data.removeprefix(b"\xef\xbb\xbf" if line.number == 1 else b"").decode("utf-8", "surrogateescape")


def _rows(source: _Source, mark: str) -> Iterator[tuple[int, list[str], str | None]]:
    """First line, fields and fault of each row; blank lines are no rows."""
    reader = csv.reader(source, strict=True, delimiter=mark)
    while True:
        source.begin()
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            last = source.taken[-1].number
            first = source.give_back()
            reader = csv.reader(source, strict=True, delimiter=mark)
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
