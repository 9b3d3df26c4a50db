"""The forms of a text that other kernels compare: tidy, words.

::

    words("IgA-mediated: 5 mg/kg.")  ->  ["iga", "mediated", "5", "mg", "kg"]
    words("肺炎 2.5 mg")              ->  ["肺", "炎", "2.5", "mg"]
"""

from __future__ import annotations

import re
from functools import cache

import polars as pl

from finemed.text.fold import SWAPS, composing, fold

HAN = "\u3005-\u3007\u3021-\u3029\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufad9\U00020000-\U0002a6df\U0002a700-\U0002ebe0"
"""Chinese characters, as the inside of a character class."""
KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d"
"""Japanese syllables, as the inside of a character class."""
MARKS = (
    "\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u0610-\u061a\u064b-\u065f\u0670\u0900-\u0903\u093a-\u093c\u093e-\u094f"
    "\u0951-\u0957\u0962\u0963\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
)
"""Marks that belong to the letter before them: accents, Hebrew and Arabic points, Hindi and Thai vowels."""

_SOLID = rf"[^\W_{HAN}{KANA}]"
WORD = re.compile(rf"[{HAN}{KANA}]|{_SOLID}+(?:[{MARKS}]+{_SOLID}*)*(?:[.,]\d+)*")
"""A word of folded text in lower case."""
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:[.,][0-9]+)*")
_INDENT = re.compile(r"[ \t\u00a0]+")
_LINES = re.compile(r" ?\n ?")
_PARAGRAPHS = re.compile(r"\n{3,}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")

RUST_WORD = (
    rf"[{HAN}{KANA}]|[\p{{L}}\p{{N}}--[{HAN}{KANA}]]+(?:[{MARKS}]+[\p{{L}}\p{{N}}--[{HAN}{KANA}]]*)*(?:[.,]\p{{Nd}}+)*"
)
"""The same words as `words`, of folded text in lower case, for polars."""


def words(text: str) -> list[str]:
    """Lower-case words in order: runs of letters and digits; decimal numbers such as 2.5 stay whole.

    Chinese and Japanese, which are written without blanks, give one word per character, so that lengths, n-grams and
    shingles mean something there too. How Unicode writes a character makes no difference (`text.fold`).
    """
    lower = fold(text).lower()
    return (_ASCII_WORD if lower.isascii() else WORD).findall(lower)


@cache
def _changing() -> str:
    """A character class, for polars, of what `fold` makes other words of."""
    changing = set(composing())
    for char, plain in SWAPS.items():
        if not plain or any(map(str.isalnum, (char, *plain))):
            changing.add(char)
    return "[" + "".join(f"\\x{{{ord(char):x}}}" for char in sorted(changing)) + "]"


def folded(texts: pl.Series) -> pl.Series:
    """The texts of a column, folded where that changes their words; nulls stay."""
    rows = texts.str.contains(_changing()).fill_null(value=False).arg_true()
    return texts.clone().scatter(rows, [fold(text) for text in texts.gather(rows)]) if len(rows) else texts


def letters(word: str) -> int:
    """How many letters and marks a word has: its characters without digits and the points between them."""
    if word.isascii():
        return len(word) if word.isalpha() else sum(map(str.isalpha, word))
    return sum(char not in ".," and (char.isalpha() or not char.isnumeric()) for char in word)


def tidy(text: str) -> str:
    """The text as a reader wants it: no control characters, runs of blanks and indentation collapsed, lines kept."""
    text = _CONTROL.sub(" ", text.replace("\r\n", "\n").replace("\r", "\n"))
    text = _LINES.sub("\n", _INDENT.sub(" ", text))
    return _PARAGRAPHS.sub("\n\n", text).strip()
