"""Numbers as medical text writes them, and their values.

::

    read_number("1,250.5")  ->  Fraction(2501, 2)        read_number("two and a half")  ->  Fraction(5, 2)
    read_number("2,5")      ->  Fraction(5, 2)           read_number("4.5 x 10^9")      ->  Fraction(4500000000)
"""

from __future__ import annotations

import re
from fractions import Fraction

_ONES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
_TEENS = ["ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SPELLED = {word: Fraction(value) for value, word in enumerate(_ONES + _TEENS, 1)}
_SPELLED |= {word: Fraction(10 * value) for value, word in enumerate(_TENS, 2)}
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_GLYPHS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅕": "1/5", "⅙": "1/6"}
_PARTS = {"half": Fraction(1, 2), "three": Fraction(3, 4), "quart": Fraction(1, 4), "fourt": Fraction(1, 4)}
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹", "0123456789")
PLAIN = str.maketrans(
    dict.fromkeys("–—−‐‑‒―", "-")
    | dict.fromkeys("\u202f\u2009\u2007", "\u00a0")
    | {"μ": "µ", "∕": "/", "⁄": "/", "×": "x"}
)
"""Character for character, so that places stay."""

_GLYPH = f"[{''.join(_GLYPHS)}]"
_SCALE = rf"(?:[ -]?(?i:{'|'.join(_SCALES)})\b){{0,3}}"
_POWER = r"(?:\s*x\s*10(?:\^\s?[0-9]{1,2}|[⁰¹²³⁴⁵⁶⁷⁸⁹]+|[0-9]{1,2}(?=\s*/)))?"
_DECIMALS = r"[0-9]{1,12}(?![0-9])"
_GROUPED = rf"[1-9][0-9]{{0,2}}(?:[,\u00a0][0-9]{{3}}){{1,4}}(?![0-9])(?:\.{_DECIMALS})?"
_COMMA = r"(?:0,[0-9]{1,12}|[0-9]{1,12},[0-9]{1,2})(?![0-9]|,[0-9])"
_DIGITS = rf"(?:{_GROUPED}|{_COMMA}|{_DECIMALS}(?:\.{_DECIMALS})?|(?<!\w)\.{_DECIMALS})"
_PART = rf"(?:\s?{_GLYPH}|[ -][1-3]/[2-8](?![0-9/])|\s+and\s+(?:a|one)(?:\s+|-)half\b)?"
_HALF = r"(?:(?:(?:one|a)[ -])?half|(?:one|a)[ -](?:quarter|fourth)|three[ -](?:quarters|fourths))(?: (?:of )?an?)?\b"
_COUNTED = rf"(?:{'|'.join(_TENS)})(?:[ -](?:{'|'.join(_ONES)}))?|{'|'.join(_TEENS)}|{'|'.join(_ONES)}"
_WORDED = rf"(?i:(?:{_HALF}|{_COUNTED})(?:\b|(?=fold)))"
NUMBER = rf"(?>[1-3]/[2-8](?![0-9/.])|{_DIGITS}{_PART}{_POWER}{_SCALE}|{_GLYPH}|{_WORDED}{_SCALE})"
"""Atomic: what was read as one number is not taken apart again, so a list of numbers costs no more than its length."""


def read_number(written: str) -> Fraction:
    """The value of a number as the patterns find it: digits, groups, decimals with point or comma, fractions, words."""
    text = written.lower().replace("\u00a0", ",").strip()
    factor = Fraction(1)
    while text.endswith(tuple(_SCALES)):
        scale = next(name for name in _SCALES if text.endswith(name))
        factor *= _SCALES[scale]
        text = text.removesuffix(scale).rstrip(" -")
    if power := re.search(r"\s*x\s*10\^?\s?([0-9⁰¹²³⁴⁵⁶⁷⁸⁹]+)$", text):
        factor *= Fraction(10) ** int(power.group(1).translate(_RAISED))
        text = text[: power.start()]
    if half := re.search(r"\s+and\s+(?:a|one)[\s-]+half$", text):
        return (read_number(text[: half.start()]) + Fraction(1, 2)) * factor
    if text[-1:] in _GLYPHS:
        whole = text[:-1].strip(" -")
        return ((read_number(whole) if whole else Fraction(0)) + Fraction(_GLYPHS[text[-1]])) * factor
    if part := re.search(r"(?:^|[ -])([1-3]/[2-8])$", text):
        whole = text[: part.start()]
        return ((read_number(whole) if whole else Fraction(0)) + Fraction(part.group(1))) * factor
    if share := re.search(r"half|three[ -](?:quarters|fourths)|quarter|fourth", text):
        return _PARTS[share.group()[:5]] * factor
    if text[:1].isalpha():
        return sum((_SPELLED[word] for word in re.split(r"[ -]+", text)), Fraction(0)) * factor
    grouped = re.fullmatch(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(\.[0-9]+)?", text)
    return Fraction(text.replace(",", "" if grouped else ".")) * factor


def show_number(number: Fraction) -> str:
    """Decimal, without needless zeros."""
    whole, rest = divmod(number, 1)
    return f"{whole}" if not rest else f"{float(number):.6g}"
