"""What a column holds that no name tells, by all of its values: text, labels, or facts about the row.

::

    tally = Tally()
    for value in ("Rest and fluids are enough.", "Amoxicillin for five days."):
        tally.add(value, value)
    tally.kind("reply_de", rows=2)      ->  "context"      # reads like text
    # "label" for `good`, `bad`; None for ids, addresses, dates, hashes, embeddings and what is always the same

Read like text: most values have three words or more, and they vary or are long. What is short and varies is a label,
which keeps rows apart, unless its values are numbers, codes, addresses or dates that are never the same twice. A tally
takes one value after the other and keeps hashes of the different ones, so that any reader can count along.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from finemed.sources.nested import is_address
from finemed.sources.part_names import Kind, hinted_kind, is_media, is_metadata, is_strict_metadata, named_kind
from finemed.sources.parts import Part, column_parts
from finemed.sources.turns import UnusableError

FEW_WORDS, MANY_WORDS = 3, 8
UNIQUE_FROM = 10
"""Rows from which on numbers or codes that never repeat are ids."""
FEW_ROWS = 3
"""Rows from which on whole numbers that rise from row to row count the rows."""
_UNIQUE = 0.98
_VARIED = 0.1
_COUNTED = 200_000
"""Different values that are counted; a column with more of them varies."""
_NUMBERS = 16
"""Numbers in a list; a longer one is a vector."""
_HEAD = 400
_DIGEST = "sha256"
_SHORT = 40
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3\u0e00-\u0e7f]")
_LETTER = re.compile(r"[^\W\d_]")
_NUMBER = re.compile(r"\s*[-+]?(?:\d[\d.,]*|\.\d+)(?:[eE][-+]?\d+)?\s*%?\s*")
_DATE = re.compile(
    r"\s*(?:[a-z]{3,9}\.?,?\s+)?(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}(?:st|nd|rd|th)?\.?\s+[a-z]{3,9}\.?,?\s+\d{4}|"
    r"[a-z]{3,9}\.?\s+\d{1,2}(?:st|nd|rd|th)?,?\s+\d{4}|\d{4}年\d{1,2}月\d{1,2}日)"
    r"[\sT,]*(?:\d{1,2}:\d{2}[\d:.,]*)?\s*(?:[ap]\.?m\.?)?\s*(?:Z|UTC|GMT|[-+]\d{2}:?\d{2})?\s*",
    re.IGNORECASE,
)
_CODE = re.compile(r"(?=\S*\d)[\w.:#+=-]{6,}")
_PLACE = re.compile(
    r"[0-9a-f]{16,}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|(?:[\w.~-]*/){2,}[\w.-]*|"
    r"[\w./-]+\.(?:jsonl?|txt|pdf|csv|html?|parquet|png|jpe?g)",
    re.IGNORECASE,
)
_ENDS = tuple(".?!。？！؟।:")


@dataclass
class Tally:
    """Counts over the values of one column."""

    rows: int = 0
    """Rows in which the column holds something."""
    worded: int = 0
    long: int = 0
    sentences: int = 0
    numbers: int = 0
    codes: int = 0
    """Words with digits in them, such as ids and codes of diseases."""
    places: int = 0
    """Addresses, paths, hashes, dates: facts about a row whatever their column is called."""
    vectors: int = 0
    rising: int = 0
    """Whole numbers that are greater than the one before."""
    last: int | None = None
    distinct: set[int] = field(default_factory=set)

    def add(self, text: str, value: Any) -> None:
        """Takes in a row's value, and its texts as one.

        Args:
            text: the value's texts; empty where it holds none, such as a number.
            value: the value itself.
        """
        self.rows += 1
        if len(self.distinct) < _COUNTED:
            self.distinct.add(hash(text or repr(value)))
        if not text or (isinstance(value, Mapping) and value.keys() == {_DIGEST}):
            self._add_other(value)
            return
        head = text[:_HEAD].strip()
        count = len(head.split(None, MANY_WORDS))
        if count < FEW_WORDS or len(head) < _SHORT:
            if _NUMBER.fullmatch(head):
                self._count(int(head) if head.isdecimal() and len(head) < _SHORT else None)
                return
            if _DATE.fullmatch(head) or (count == 1 and (is_address(head) or _PLACE.fullmatch(head))):
                self.places += 1
                return
            self.codes += count == 1 and _CODE.fullmatch(head) is not None
        if not head.isascii():
            count += len(_CJK.findall(head)) // 2
        if count >= FEW_WORDS and 2 * len(_LETTER.findall(head)) > len(head) - head.count(" "):
            self.worded += 1
            self.long += count >= MANY_WORDS
            self.sentences += head.endswith(_ENDS) or len(text) > _HEAD

    def _add_other(self, value: Any) -> None:
        """Takes in a value without a text."""
        if isinstance(value, Mapping) and value.keys() == {_DIGEST}:
            self.codes += 1
        elif isinstance(value, list | tuple) and len(value) > _NUMBERS:
            self.vectors += 1
        elif isinstance(value, date):
            self.places += 1
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            self._count(value if isinstance(value, int) else None)
        elif not isinstance(value, bool):
            self.codes += 1

    def _count(self, number: int | None) -> None:
        self.numbers += 1
        if number is not None:
            self.rising += self.last is None or number > self.last
            self.last = number

    def is_constant(self, rows: int) -> bool:
        """Whether every row has the same value, of whatever kind."""
        return len(self.distinct) == 1 and self.rows == rows

    def kind(self, name: str, rows: int) -> Kind | None:
        """What the column is; None where it tells no two rows apart that a trainer would see.

        Args:
            name: the column's name.
            rows: how many rows the table has.
        """
        if not self.rows or is_strict_metadata(name):
            return None
        if is_media(name) and not self._is_text(about=False):
            return None if self.is_constant(rows) else "label"
        about = is_metadata(name)
        if self._is_text(about):
            return hinted_kind(name)
        return "label" if not about and self._is_label(rows) else None

    def _is_text(self, about: bool) -> bool:
        if 2 * self.worded <= self.rows:
            return False
        if about:
            return 2 * max(self.sentences, self.long) > self.rows and self._varies()
        return 2 * self.long > self.rows or self._varies()

    def _varies(self) -> bool:
        """Whether values are not always the same few: a tenth of them differ, or there are many different ones."""
        different = len(self.distinct)
        return different > 1 and (different >= _VARIED * self.rows or different >= _COUNTED)

    def _is_label(self, rows: int) -> bool:
        different = len(self.distinct)
        if 2 * (self.vectors + self.places) > self.rows or self.is_constant(rows):
            return False
        if self.rows >= FEW_ROWS and self.rising == self.rows:
            return False
        unique = self.rows >= UNIQUE_FROM and different >= _UNIQUE * self.rows
        return not (unique and 2 * (self.numbers + self.codes) > self.rows)


class Untold:
    """The tallies of all columns whose names do not tell what they hold."""

    def __init__(self, on: Sequence[str] = ()) -> None:
        """Starts without a value; columns of `on`, or that its paths lead into, are told."""
        self.tallies: dict[str, Tally] = {}
        self._on = {*on, *(path.partition(".")[0] for path in on)}
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        """Whether values have to tell what a column is."""
        if name not in self._known:
            told = name in self._on if self._on else named_kind(name) is not None
            self._known[name] = not told and not is_strict_metadata(name)
        return self._known[name]

    def add(self, name: str, value: Any) -> bool:
        """Takes in a row's value; whether it holds anything."""
        if value is None or value == "" or not holds(value):
            return False
        if name not in self.tallies:
            self.tallies[name] = Tally()
        self.tallies[name].add(_text(name, value), value)
        return True

    def kinds(self, rows: int) -> dict[str, Kind]:
        """What each column is that is compared, of a table of so many rows."""
        told = {name: named_kind(name) for name in self.tallies if "." in name}  # inside of a column
        found = {name: told.get(name) or tally.kind(name, rows) for name, tally in self.tallies.items()}
        return {name: kind for name, kind in found.items() if kind is not None}


def guessed_parts(name: str, kind: Kind, value: Any, skipped: set[str]) -> list[Part]:
    """The parts of a value whose column `Untold` told; what cannot be read is a label, so that it keeps rows apart."""
    if value is None:
        return []
    try:
        return column_parts(name, kind, without_bytes(value), skipped)
    except UnusableError:
        return [Part(name, "label", str(value).encode("utf-8", "backslashreplace").decode())]


def without_bytes(value: Any) -> Any:
    """A value in which a hash stands for bytes, such as those of a picture; the path beside them is left out."""
    held = list(_bytes_in(value))
    if not held:
        return value
    digest = hashlib.sha256()
    for each in held:
        digest.update(len(each).to_bytes(8, "big") + each)
    return {_DIGEST: digest.hexdigest()}


def _bytes_in(value: Any) -> Iterator[bytes]:
    if isinstance(value, bytes):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _bytes_in(item)
    elif isinstance(value, list | tuple) and not isinstance(value[:1] and value[0], int | float | str):
        for item in value:
            yield from _bytes_in(item)


def holds(value: Any) -> bool:
    """Whether a value is more than blanks, however deep."""
    if isinstance(value, dict):
        return any(map(holds, value.values()))
    if isinstance(value, list):
        return any(map(holds, value))
    return value is not None and not (isinstance(value, str) and (not value or value.isspace()))


def _text(name: str, value: Any) -> str:
    """The texts of a value as one; empty where it holds none or cannot be read."""
    if type(value) is str:
        return value
    if isinstance(value, bool | int | float | bytes):
        return ""
    try:
        return "\n".join(part.text for part in column_parts(name, "context", value) if part.kind != "label")
    except UnusableError:
        return ""
