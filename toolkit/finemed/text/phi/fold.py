r"""Evens out characters that hide an identifier from a plain expression: no-break blanks, typographic dashes, quotes.

::

    fold("020\u00a07946\u20110112").text  ->  "020 7946-0112"
"""

from __future__ import annotations

from typing import NamedTuple

_BLANKS = "\t\r\x0b\x0c\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_DASHES = "\u00ad\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
_BREAKS = "\u2014\u2015\ufe58"
_QUOTES = "\u2018\u2019\u201b\u02bc\u00b4\uff07"
_WIDE = {0xFF01 + offset: chr(0x21 + offset) for offset in range(94)}

SWAPS: dict[str, str] = (
    {chr(code): plain for code, plain in _WIDE.items()}
    | dict.fromkeys(_BLANKS, " ")
    | dict.fromkeys("\u2028\u2029\x85", "\n")
    | dict.fromkeys(_DASHES, "-")
    | dict.fromkeys(_BREAKS, ",")
    | dict.fromkeys(_QUOTES, "'")
)
"""One character for one, so that places in the text stay where they are."""
INVISIBLE = "\u200b\u200c\u200d\u2060\ufeff"
"""Characters that are left out."""

_TABLE = str.maketrans(SWAPS)


class Folded(NamedTuple):
    """The folded text; `places` maps its characters to those of the original where some were left out."""

    text: str
    places: list[int] | None

    def original(self, start: int, end: int) -> tuple[int, int]:
        """The span in the original text."""
        if self.places is None:
            return start, end
        return self.places[start], self.places[end - 1] + 1


def fold(text: str) -> Folded:
    """Folds a text."""
    if text.isascii():
        return Folded(text.translate(_TABLE) if any(blank in text for blank in "\t\r\x0b\x0c") else text, None)
    swapped = text.translate(_TABLE)
    if not any(char in swapped for char in INVISIBLE):
        return Folded(swapped, None)
    places = [place for place, char in enumerate(swapped) if char not in INVISIBLE]
    return Folded("".join(swapped[place] for place in places), places)
