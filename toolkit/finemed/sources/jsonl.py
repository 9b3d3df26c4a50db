"""Records of JSON Lines and of JSON arrays; a broken record is a fault, and the good ones around it are read.

::

    for number, line, values, fault in read_jsonl(file):  # (17, 18, {}, "not_json: Expecting value: ...")
        ...
"""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

from finemed.sources.files import MAX_RECORD, InputFile, Raw, writable
from finemed.sources.part_names import text_kind
from finemed.sources.streams import BreakError, Line, chunks, lines, too_large

_BOM = codecs.BOM_UTF8
_GAP = re.compile(r"[\s\ufeff]*")
_BETWEEN = re.compile(r"[\s,]*")


Written = Iterator[tuple[int, int | None, dict[str, Any], str | None, bytes]]
"""A raw record with the bytes that it has in its file; without them where it is broken."""


def read_jsonl(file: InputFile) -> Raw:
    """One JSON object per line; blank lines are no records."""
    return (record[:4] for record in written_jsonl(file))


def read_json(file: InputFile) -> Raw:
    """The objects of one array, or a file that is one object; JSON Lines under this ending are told apart.

    An array is read piece by piece, so its size does not matter; a single object has to fit into one record. Where it
    holds one list of objects beside its version and the like, those are the records.
    """
    return (record[:4] for record in written_json(file))


def written_jsonl(file: InputFile) -> Written:
    """The records of JSON Lines, each with its line as it stands."""
    number, decoder = 0, _Decoder()
    line = Line(0, b"", 0, True)
    try:
        for line in lines(file):
            data = line.data.removeprefix(_BOM)
            if line.size <= MAX_RECORD and (not data or data.isspace()):
                continue
            values, fault = _of_line(data, line.size, decoder)
            if fault and line.number == 1 and data.startswith(b"["):
                fault = f"{fault}; `format: json` reads a file that is one array"
            if line.whole or fault is None:
                number += 1
                yield number, line.number, values, fault, data
    except BreakError as broken:
        yield number + 1, line.number + line.whole, {}, str(broken), b""


def _of_line(data: bytes, size: int, decoder: _Decoder) -> tuple[dict[str, Any], str | None]:
    if size > MAX_RECORD:
        return {}, too_large(size)
    try:
        decoder.twice.clear()
        value = decoder.decode(data.rstrip().decode())
    except UnicodeDecodeError as error:
        return {}, f"not_utf8: byte {error.start} of the line"
    except (ValueError, RecursionError) as error:
        return {}, "nul_byte: the line holds NUL bytes" if b"\0" in data else _not_json(error)
    return _object(value, decoder.first(), "the line holds {}")


class _Decoder(json.JSONDecoder):
    """Knows which keys stood twice in an object that it decoded: the later value would take the place of the first."""

    def __init__(self) -> None:
        self.twice: list[str] = []
        super().__init__(object_pairs_hook=self._pairs)

    def _pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [name for name, _ in pairs]
            self.twice.append(next(name for name in names if names.count(name) > 1))
        return found

    def first(self) -> str | None:
        """The first key that stood twice since `twice` was cleared."""
        return self.twice[0] if self.twice else None


def _not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not_json: {error.msg.removesuffix(' at')} at character {error.pos}"
    return f"not_json: {error}"


def _object(value: Any, twice: str | None, fact: str) -> tuple[dict[str, Any], str | None]:
    if not isinstance(value, dict):
        return {}, f"not_an_object: {fact.format(type(value).__name__)}"
    if twice is not None:
        return {}, f"duplicate_column: `{writable(twice)[:80]}` stands twice in the record"
    return value, None


def written_json(file: InputFile) -> Written:
    """The objects of a JSON file, each as one line."""
    text = _Text(file)
    try:
        text.more()
        text.at = _GAP.match(text.buffer).end()  # type: ignore[union-attr]  # matches the empty string too
        opening = text.buffer[text.at : text.at + 1]
        if opening != "[":
            yield from written_jsonl(file) if _first_line_is_whole(text) else _single(text)
            return
        text.at += 1
        yield from _elements(text)
    except BreakError as broken:
        yield text.number + 1, text.line(), {}, str(broken), b""


def holds_list(file: InputFile) -> bool:
    """Whether a JSON file is an array or wraps one, so that its records are told by their places in it."""
    text = _Text(file)
    try:
        text.more()
        text.at = _GAP.match(text.buffer).end()  # type: ignore[union-attr]  # as above
        return text.buffer[text.at : text.at + 1] == "[" or not _first_line_is_whole(text)
    except BreakError:
        return False


class _Text:
    """A window on a file's text; bytes that are not UTF-8 come as halves of surrogate pairs."""

    def __init__(self, file: InputFile) -> None:
        self.file = file
        self.decoder = _Decoder()
        self._chunks = chunks(file)
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self.buffer = ""
        self.at = 0
        self.number = 0
        self.ended = False
        self._line, self._counted = 1, 0

    def more(self) -> bool:
        """Adds as much as there is already, at least a chunk; False at the end.

        Raises:
            BreakError: the file cannot be read on.
        """
        self.line()
        pieces, wanted = [self.buffer[self.at :]], max(1, len(self.buffer) - self.at)
        self.at = self._counted = 0
        try:
            while wanted > 0 and not self.ended:
                chunk = next(self._chunks, None)
                self.ended = chunk is None
                pieces.append(self._decoder.decode(chunk or b"", final=self.ended))
                wanted -= len(pieces[-1])
        finally:
            self.buffer = "".join(pieces)
        return not self.ended

    def decoded(self) -> tuple[Any, str | None]:
        """What the rest of the window holds as one value, and a key that stands twice in it."""
        self.decoder.twice.clear()
        return self.decoder.decode(self.buffer[self.at :]), self.decoder.first()

    def line(self) -> int:
        """Line that the window's place is on."""
        self._line += self.buffer.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line


def _first_line_is_whole(text: _Text) -> bool:
    """Whether the file is JSON Lines: its first line that is not blank is an object and more follow, or it has none."""
    while "\n" not in text.buffer[text.at :] and len(text.buffer) <= MAX_RECORD and text.more():
        pass
    first, _, rest = text.buffer[text.at :].partition("\n")
    while not rest.strip() and len(text.buffer) <= MAX_RECORD and text.more():
        rest = text.buffer[text.at :].partition("\n")[2]
    first = first.strip()
    return not first or (first.startswith("{") and first.endswith("}") and bool(rest.strip()))


def _single(text: _Text) -> Written:
    """The file as one record, or the list of records that it wraps."""
    while len(text.buffer) <= MAX_RECORD and text.more():
        pass
    if len(text.buffer) > MAX_RECORD:
        fact = f"{too_large(len(text.buffer))}; where it wraps a list of records, write that list alone"
        yield 1, None, {}, fact, b""
        return
    start = text.at
    try:
        value, twice = text.decoded()
        values, fault = _object(value, twice, "the file holds {}")
        if twice is not None and len(value) > 1 and all(isinstance(held, dict) for held in value.values()):
            fault = f"{objects_by_name(value)} (`{writable(twice)[:80]}` stands twice)"
        wrapped, fault = (None, fault) if fault else _wrapped(values, text.file)
    except (ValueError, RecursionError) as error:
        values, wrapped, fault = {}, None, _not_json(error)
    if wrapped is None:
        yield 1, None, {} if fault else values, fault, b"" if fault else _as_line(text.buffer[start:])
        return
    text.at = start + _place_of(text.buffer[start:], wrapped)
    yield from itertools.takewhile(lambda record: record[3] is None or "array" not in record[3], _elements(text))


def objects_by_name(values: dict[str, Any]) -> str:
    """The fault of a file that is one object of objects."""
    name = writable(next(iter(values)))[:80]
    return f"not_records: the file holds objects by name (`{name}` ...), no list; write it as JSON Lines"


def _wrapped(values: dict[str, Any], file: InputFile) -> tuple[str | None, str | None]:
    """The key of the one list of records that an object wraps, or why it is no record."""
    lists = {name: held for name, held in values.items() if _is_list_of(held, dict)}
    own = {
        name for name, held in values.items() if isinstance(held, str) and (text_kind(name) or name in file.wanted())
    }
    if not lists:
        columns = [name for name, held in values.items() if isinstance(held, list) and len(held) > 1]
        if len(values) < 2 or len(columns) < len(values) or len({len(held) for held in values.values()}) > 1:
            return None, None
        return None, f"not_records: the file holds columns (`{writable(columns[0])[:80]}` ...); write it as JSON Lines"
    if own or any(not held[0].keys().isdisjoint(("role", "from")) for held in lists.values()):
        return None, None
    if len(lists) == 1:
        return next(iter(lists)), None
    named = ", ".join(f"`{writable(name)[:80]}` ({len(held)})" for name, held in lists.items())
    return None, f"several_lists: the file holds {named}; write each into a file of its own"


def is_record(values: dict[str, Any], file: InputFile) -> bool:
    """Whether an object that is a file by itself is a record, or wraps some; a report or a manifest is neither."""
    known = any(text_kind(name) or name in file.wanted() for name in values)
    return known or _wrapped(values, file) != (None, None)


def _is_list_of(value: Any, kind: type) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, kind) for item in value)


def _place_of(text: str, key: str) -> int:
    """Where the first element of the list under a key of an object begins; the object is sound."""
    at = text.index("{") + 1
    while True:
        at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]  # matches the empty string too
        name, at = _PLAIN.raw_decode(text, at)
        at = _GAP.match(text, text.index(":", at) + 1).end()  # type: ignore[union-attr]  # as above
        if name == key:
            return at + 1
        _, at = _PLAIN.raw_decode(text, at)


_PLAIN = json.JSONDecoder()
_BREAKS = re.compile(r"\s*[\r\n]\s*")


def _as_line(text: str) -> bytes:
    """A value's own text on one line: a line break cannot stand inside a string."""
    return _BREAKS.sub(" ", text.strip()).encode("utf-8", "surrogateescape") + b"\n"


def _elements(text: _Text) -> Written:
    """The elements of the array; behind a broken one, reading goes on at the next line that opens as the first did."""
    margin: str | None = None
    for text.number in itertools.count():
        while (gap := _BETWEEN.match(text.buffer, text.at)) and (end := gap.end()) == len(text.buffer):
            text.at = end
            if not text.more() and not text.buffer:
                fact = "not_json: the array is not closed; the file may be cut off"
                yield text.number + 1, text.line(), {}, fact, b""
                return
        text.at = end
        if text.buffer[end] == "]":
            yield from _behind(text)
            return
        start = text.buffer.rfind("\n", 0, end) + 1
        if margin is None and not text.buffer[start:end].strip():
            margin = text.buffer[start:end]
        line = text.line()
        value, twice, length, fault = _element(text)
        if fault is None:
            values, fault = _object(value, twice, "the element is {}")
            held = b"" if fault else _as_line(text.buffer[text.at - length : text.at])
            yield text.number + 1, line, values, fault, held
            continue
        if margin is None:
            yield text.number + 1, line, {}, f"{fault}; the rest of the array cannot be told apart", b""
            return
        yield text.number + 1, line, {}, fault, b""
        if not _next_element(text, f"\n{margin}{{"):
            return


def _behind(text: _Text) -> Written:
    """A fault where something follows the array."""
    text.at += 1
    while (gap := _GAP.match(text.buffer, text.at)) and gap.end() == len(text.buffer) and text.more():
        pass
    if gap and gap.end() < len(text.buffer):
        text.at = gap.end()
        fact = "not_json: more text behind the end of the array; it is not read"
        yield text.number + 1, text.line(), {}, fact, b""


def _element(text: _Text) -> tuple[Any, str | None, int, str | None]:
    """The element at the window's place, a key that it has twice, its length and its fault.

    The place is then behind it; where it is broken, the place stays.
    """
    while True:
        try:
            text.decoder.twice.clear()
            value, end = text.decoder.raw_decode(text.buffer, text.at)
        except json.JSONDecodeError as error:
            cut_off = error.pos >= len(text.buffer) - 16 or error.msg.startswith("Unterminated string")
            told = error.msg.removesuffix(" at")
            fault = f"not_json: {told} at character {error.pos - text.at} of the element"
        except RecursionError as error:
            return None, None, 0, f"not_json: {error}"
        else:
            if end < len(text.buffer) or text.ended:
                length, text.at = end - text.at, end
                return value, text.decoder.first(), length, None
            cut_off, fault = True, ""  # a number may go on
        if not cut_off:
            return None, None, 0, fault
        if len(text.buffer) - text.at > MAX_RECORD:
            return None, None, 0, too_large(len(text.buffer) - text.at)
        if text.ended:
            return None, None, 0, fault
        text.more()


def _next_element(text: _Text, opening: str) -> bool:
    """Goes to the next line that opens an element as the first one did; False where there is none."""
    while (found := text.buffer.find(opening, text.at + 1)) < 0:
        text.at = max(text.at, len(text.buffer) - len(opening))
        if text.ended:
            return False
        text.more()
    text.at = found + len(opening) - 1
    return True
