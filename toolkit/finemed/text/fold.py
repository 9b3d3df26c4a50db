r"""One form for the ways in which Unicode writes the same characters: what every comparison of texts begins with.

::

    fold("ﬁbrosis cafe\u0301 5\u00a0µg non\u2011Hodgkin ２．５ zero\u200bwidth")
    ->  "fibrosis café 5 μg non-Hodgkin 2.5 zerowidth"

Composed (NFC), without characters that nobody sees (zero-width, soft hyphen, marks of direction, variation selectors),
with one dash, one quote and plain blanks, and with the plain characters behind ligatures, full and half width, Roman
numerals, unit signs, subscripts and styled letters. Unlike NFKC it keeps what says something else: 10⁹ is not 109, ½
is not 1/2, and the wide comma of Chinese, which stands between words, does not join two numbers.
*Reference*: Unicode Standard Annex 15, Unicode Normalization Forms.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

_BLANKS = "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_BREAKS = "\u0085\u2028\u2029"
_DASHES = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_QUOTES = "\u2018\u2019\u201b\u02bc\u00b4\u1ffd\uff07"
_DOUBLE_QUOTES = "\u201c\u201d\u201f\uff02"
INVISIBLE = frozenset(
    "\u00ad\u034f\u061c\u180e\u200b\u200c\u200d\u200e\u200f\u2060\u2061\u2062\u2063\u2064\ufeff"
    "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
) | frozenset(map(chr, range(0xFE00, 0xFE10)))
"""Characters that are left out: they do not show, and do not part a word."""
_COMPATIBLE = (
    (0x0132, 0x0134),  # Dutch ij
    (0x2080, 0x208A),  # subscript digits, as in CO₂
    (0x2103, 0x2104), (0x2109, 0x210A), (0x2113, 0x2114), (0x2116, 0x2117),  # ℃ ℉ ℓ №
    (0x2160, 0x2180),  # Roman numerals
    (0x3371, 0x33E0),  # squared units, as in ㎎
    (0xFB00, 0xFB07), (0xFB13, 0xFB18),  # Latin and Armenian ligatures
    (0xFB50, 0xFDFA), (0xFE70, 0xFEFD),  # Arabic forms by place
    (0xFF01, 0xFF5F), (0xFF61, 0xFFBF),  # full and half width
    (0x1D400, 0x1D800),  # styled letters
)  # fmt: skip
"""Ranges of characters of which NFKC gives the plain form, and no other meaning."""
_AS_THEY_ARE = frozenset("\uff0c")


def _swaps() -> dict[str, str]:
    compatible = {chr(code): unicodedata.normalize("NFKC", chr(code)) for span in _COMPATIBLE for code in range(*span)}
    own = {
        **dict.fromkeys(_BLANKS, " "),
        **dict.fromkeys(_BREAKS, "\n"),
        **dict.fromkeys(_DASHES, "-"),
        **dict.fromkeys(_QUOTES, "'"),
        **dict.fromkeys(_DOUBLE_QUOTES, '"'),
        **dict.fromkeys(INVISIBLE, ""),
        "\u00b5": "\u03bc",
        "\u2044": "/",
        "\u2215": "/",
    }
    swaps = {char: plain for char, plain in {**compatible, **own}.items() if plain != char and char not in _AS_THEY_ARE}
    return {char: plain.translate({ord(form): to for form, to in own.items()}) for char, plain in swaps.items()}


SWAPS = _swaps()
"""A character for one or several, or for none."""
_TABLE = str.maketrans(SWAPS)


def fold(text: str) -> str:
    """The one form of a text; folding it again changes nothing."""
    if text.isascii():
        return text
    swapped = text.translate(_TABLE)
    if unicodedata.is_normalized("NFC", swapped):
        return swapped
    return unicodedata.normalize("NFC", swapped).translate(_TABLE)  # Kelvin's sign and its like


class Folded(NamedTuple):
    """A folded text that knows where its characters stood: `starts` and `ends` are None where places are the same."""

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original text of a span that is not empty."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


def fold_in_place(text: str) -> Folded:
    """`fold` with the places of its characters in the original text."""
    if text.isascii():
        return Folded(text)
    folded = fold(text)
    if len(folded) == len(text) and unicodedata.is_normalized("NFC", text) and not _changes_length(text):
        return Folded(folded)
    parts, starts, ends = [], [], []
    for start, end, part in _clusters(text):
        parts.append(part)
        starts += [start] * len(part)
        ends += [end] * len(part)
    return Folded("".join(parts), starts, ends)


def _changes_length(text: str) -> bool:
    return any(len(SWAPS.get(char, char)) != 1 for char in set(text))


def _clusters(text: str) -> Iterator[tuple[int, int, str]]:
    """Start, end and folded form of each piece that is composed by itself."""
    start = 0
    while start < len(text):
        end = start + 1
        while end < len(text) and _joins(text[end]):
            end += 1
        yield start, end, fold(text[start:end])
        start = end


def _joins(char: str) -> bool:
    """Whether a character may compose with, or stand among the marks of, the one before it."""
    if char < "\u0300":
        return False
    return char in INVISIBLE or unicodedata.combining(char) != 0 or SWAPS.get(char, char) in composing()


@cache
def composing() -> frozenset[str]:
    """Characters that can become one with the character before them."""
    found = {chr(code) for code in (*range(0x1161, 0x1176), *range(0x11A8, 0x11C3))}  # Hangul, composed by rule
    for code in range(0xA0, 0x30000):
        parts = unicodedata.decomposition(chr(code)).split()
        if len(parts) == 2 and not parts[0].startswith("<") and unicodedata.is_normalized("NFC", chr(code)):
            found.add(chr(int(parts[1], 16)))
    return frozenset(found)
