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

from finemed.sources.files import MAX_RECORD, InputFile, Raw
from finemed.sources.streams import BreakError, Line, chunks, lines, too_large

_BOM = codecs.BOM_UTF8
_GAP = re.compile(r"[\s\ufeff]*")
_BETWEEN = re.compile(r"[\s,]*")


def read_jsonl(file: InputFile) -> Raw:
    """One JSON object per line; blank lines are no records."""
    number = 0
    line = Line(0, b"", 0, True)
    try:
        for line in lines(file):
            data = line.data.removeprefix(_BOM)
            if line.size <= MAX_RECORD and (not data or data.isspace()):
                continue
            values, fault = _of_line(data, line.size)
            if fault and line.number == 1 and data.startswith(b"["):
                fault = f"{fault}; `format: json` reads a file that is one array"
            if line.whole or fault is None:
                number += 1
                yield number, line.number, values, fault
    except BreakError as broken:
        yield number + 1, line.number + line.whole, {}, str(broken)


def _of_line(data: bytes, size: int) -> tuple[dict[str, Any], str | None]:
    if size > MAX_RECORD:
        return {}, too_large(size)
    try:
        value = json.loads(data.rstrip().decode())
    except UnicodeDecodeError as error:
        return {}, f"not_utf8: byte {error.start} of the line"
    except (ValueError, RecursionError) as error:
        return {}, "nul_byte: the line holds NUL bytes" if b"\0" in data else _not_json(error)
    return _object(value, "the line holds {}")


def _not_json(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not_json: {error.msg.removesuffix(' at')} at character {error.pos}"
    return f"not_json: {error}"


def _object(value: Any, told: str) -> tuple[dict[str, Any], str | None]:
    if isinstance(value, dict):
        return value, None
    return {}, f"not_an_object: {told.format(type(value).__name__)}"


def read_json(file: InputFile) -> Raw:
    """The objects of one array, or a file that is one object; JSON Lines under this ending are told apart.

    An array is read piece by piece, so its size does not matter; a single object has to fit into one record.
    """
    text = _Text(file)
    try:
        text.more()
        text.at = _GAP.match(text.buffer).end()  # type: ignore[union-attr]  # matches the empty string too
        opening = text.buffer[text.at : text.at + 1]
        if opening != "[":
            yield from read_jsonl(file) if _first_line_is_whole(text) else _single(text)
            return
        text.at += 1
        yield from _elements(text)
    except BreakError as broken:
        yield text.number + 1, text.line(), {}, str(broken)


class _Text:
    """A window on a file's text; bytes that are not UTF-8 come as halves of surrogate pairs."""

    def __init__(self, file: InputFile) -> None:
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

    def line(self) -> int:
        """Line that the window's place is on."""
        self._line += self.buffer.count("\n", self._counted, self.at)
        self._counted = self.at
        return self._line


def _first_line_is_whole(text: _Text) -> bool:
    """Whether the file is JSON Lines: its first line that is not blank looks like an object, or it has none."""
    while "\n" not in text.buffer[text.at :] and len(text.buffer) <= MAX_RECORD and text.more():
        pass
    first = text.buffer[text.at :].split("\n", 1)[0].strip()
    return not first or (first.startswith("{") and first.endswith("}"))


def _single(text: _Text) -> Raw:
    """The file as one record."""
    while len(text.buffer) <= MAX_RECORD and text.more():
        pass
    if len(text.buffer) > MAX_RECORD:
        yield 1, None, {}, too_large(len(text.buffer))
        return
    try:
        values, fault = _object(json.loads(text.buffer[text.at :]), "the file holds {}")
    except (ValueError, RecursionError) as error:
        values, fault = {}, _not_json(error)
    yield 1, None, values, fault


_DECODER = json.JSONDecoder()


def _elements(text: _Text) -> Iterator[tuple[int, int | None, dict[str, Any], str | None]]:
    """The elements of the array; behind a broken one, reading goes on at the next line that opens as the first did."""
    margin: str | None = None
    for text.number in itertools.count():
        while (gap := _BETWEEN.match(text.buffer, text.at)) and (end := gap.end()) == len(text.buffer):
            text.at = end
            if not text.more() and not text.buffer:
                yield text.number + 1, text.line(), {}, "not_json: the array is not closed; the file may be cut off"
                return
        text.at = end
        if text.buffer[end] == "]":
            yield from _behind(text)
            return
        start = text.buffer.rfind("\n", 0, end) + 1
        if margin is None and not text.buffer[start:end].strip():
            margin = text.buffer[start:end]
        line = text.line()
        value, fault = _element(text)
        if fault is None:
            yield text.number + 1, line, *_object(value, "the element is {}")
            continue
        if margin is None:
            yield text.number + 1, line, {}, f"{fault}; the rest of the array cannot be told apart"
            return
        yield text.number + 1, line, {}, fault
        if not _next_element(text, f"\n{margin}{{"):
            return


def _behind(text: _Text) -> Raw:
    """A fault where something follows the array."""
    text.at += 1
    while (gap := _GAP.match(text.buffer, text.at)) and gap.end() == len(text.buffer) and text.more():
        pass
    if gap and gap.end() < len(text.buffer):
        text.at = gap.end()
        yield text.number + 1, text.line(), {}, "not_json: more text behind the end of the array; it is not read"


def _element(text: _Text) -> tuple[Any, str | None]:
    """The element at the window's place, and the place behind it; where it is broken, the place stays."""
    while True:
        try:
            value, end = _DECODER.raw_decode(text.buffer, text.at)
        except json.JSONDecodeError as error:
            cut_off = error.pos >= len(text.buffer) - 16 or error.msg.startswith("Unterminated string")
            told = error.msg.removesuffix(" at")
            fault = f"not_json: {told} at character {error.pos - text.at} of the element"
        except RecursionError as error:
            return None, f"not_json: {error}"
        else:
            if end < len(text.buffer) or text.ended:
                text.at = end
                return value, None
            cut_off, fault = True, ""  # a number may go on
        if not cut_off:
            return None, fault
        if len(text.buffer) - text.at > MAX_RECORD:
            return None, too_large(len(text.buffer) - text.at)
        if text.ended:
            return None, fault
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
