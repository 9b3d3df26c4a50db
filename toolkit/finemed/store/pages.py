"""The records of a damaged SQLite file, read page by page without SQLite.

::

    for found in carve(Image(data, {})):
        found.values  ->  ["9f3c...", "judge@2", "openai:m", "{...}", 412, 96, ...]      or None where they are lost

Only pages of the kind that a table WITHOUT ROWID has are looked at, each for itself: whatever happened to the pages
above one, what it holds itself and in its overflow pages is found. https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LEAF, INTERIOR = 0x0A, 0x02
OTHER_TREES = (0x05, 0x0D)
_INTEGERS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}
LARGEST = 64 * 2**20
"""Bytes of the largest record that is believed."""


class LostError(Exception):
    """A record's bytes lead nowhere."""


@dataclass
class Image:
    """A database file as bytes, with newer pages from its log laid over it."""

    data: Any
    """Bytes, or anything that can be sliced as bytes."""
    newer: Mapping[int, bytes]
    size: int = 4096
    used: set[int] = field(default_factory=set)
    """Numbers of the pages that hold the overflow of a record."""

    @property
    def count(self) -> int:
        """Number of the last page; the first is 1."""
        return max(-(-len(self.data) // self.size), *self.newer, 0) if self.newer else -(-len(self.data) // self.size)

    def page(self, number: int) -> bytes:
        """A page; what is cut off reads as zeros."""
        if number in self.newer:
            return self.newer[number]
        start = (number - 1) * self.size
        return bytes(self.data[start : start + self.size]).ljust(self.size, b"\0")

    @property
    def usable(self) -> int:
        """Bytes of a page that hold content."""
        reserved = self.data[20] if len(self.data) > 20 else 0
        return self.size - (reserved if reserved < 32 else 0)


@dataclass(frozen=True)
class Found:
    """A place where a record stands or stood."""

    page: int
    values: list[Any] | None
    """None where the record cannot be put together."""
    certain: bool
    """The page says itself that a record stands here; otherwise it is a guess, and a failure means nothing."""


def carve(image: Image) -> Iterator[Found]:
    """Every record of every page: first of those that say what they are, then of what else is no part of a record."""
    others = []
    for number in range(1, image.count + 1):
        page = image.page(number)
        kind = page[0]
        if kind in (LEAF, INTERIOR):
            yield from _carve_page(image, number, page, known=True)
        elif number > 1 and kind not in OTHER_TREES and any(page):
            others.append(number)
    for number in others:
        if number not in image.used:
            yield from _carve_page(image, number, image.page(number), known=False)


def _carve_page(image: Image, number: int, page: bytes, *, known: bool) -> Iterator[Found]:
    """The records that a page points at, and those that it may have pointed at."""
    interior = page[0] == INTERIOR
    cells, content = struct.unpack_from(">HH", page, 3)
    array = 12 if interior else 8
    slots = (min(content or image.size, image.size) - array) // 2
    for slot in range(min(max(slots, cells if known else 0), (image.size - array) // 2)):
        place = struct.unpack_from(">H", page, array + 2 * slot)[0]
        certain = known and slot < cells
        try:
            yield Found(number, _record(image, page, place + (4 if interior else 0)), certain)
        except (LostError, struct.error, IndexError):
            if certain:
                yield Found(number, None, certain)


def _record(image: Image, page: bytes, place: int) -> list[Any]:
    length, start = _varint(page, place)
    if not 0 < length <= LARGEST:
        raise LostError
    usable = image.usable
    most = (usable - 12) * 64 // 255 - 23
    local = length
    if length > most:
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= most else least
    payload = page[start : start + local]
    if len(payload) < local:
        raise LostError
    chain: list[int] = []
    if local < length:
        first = struct.unpack_from(">I", page, start + local)[0]
        rest, chain = _overflow(image, first, length - local)
        payload += rest
    values = _values(payload)
    image.used.update(chain)
    return values


def _overflow(image: Image, number: int, wanted: int) -> tuple[bytes, list[int]]:
    """The rest of a record, and the pages that it fills."""
    parts: list[bytes] = []
    chain: list[int] = []
    while wanted > 0:
        if not 1 < number <= image.count or number in chain[-64:]:
            raise LostError
        page = image.page(number)
        part = page[4 : min(image.usable, 4 + wanted)]
        parts.append(part)
        chain.append(number)
        wanted -= len(part)
        number = struct.unpack_from(">I", page)[0]
    return b"".join(parts), chain


def _values(payload: bytes) -> list[Any]:
    """The columns of a record; text as SQLite keeps it, what is no UTF-8 left recognisable."""
    header, place = _varint(payload, 0)
    if not 1 < header <= min(len(payload), 256):
        raise LostError
    kinds = []
    while place < header:
        kind, place = _varint(payload, place)
        kinds.append(kind)
    values: list[Any] = []
    at = header
    for kind in kinds:
        if kind in (0, 8, 9):
            values.append(None if kind == 0 else kind - 8)
            continue
        size = _INTEGERS.get(kind, 8 if kind == 7 else (kind - 12) // 2)
        raw = payload[at : at + size]
        if size < 0 or len(raw) < size:
            raise LostError
        at += size
        values.append(_value(kind, raw))
    if at != len(payload):
        raise LostError
    return values


def _value(kind: int, raw: bytes) -> Any:
    if kind in _INTEGERS:
        return int.from_bytes(raw, "big", signed=True)
    if kind == 7:
        return struct.unpack(">d", raw)[0]
    return raw.decode("utf-8", "surrogateescape") if kind % 2 else raw


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """A number of SQLite's and the place behind it."""
    value = 0
    for count in range(9):
        byte = data[place + count]
        if count == 8:
            return (value << 8) | byte, place + 9
        value = (value << 7) | (byte & 0x7F)
        if byte < 0x80:
            return value, place + count + 1
    raise LostError
