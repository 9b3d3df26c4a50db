"""Reads a text into sentences of tokens that can be compared: amounts in base units, folded words.

::

    sentences("Take 0.5 g twice a day. Don't stop.")
    ->  [([("#500|mass", "0.5 g"), ...]), ...]       # what is compared, and as it is written

Markup, links, numbers of lists and of references are left out.
"""

from __future__ import annotations

import html
import re
import unicodedata
from fractions import Fraction
from functools import lru_cache

from finemed.text import fold as forms
from finemed.text.guard.lists import LETTERED
from finemed.text.guard.words import LETTER, REMEMBERED, fold
from finemed.text.normalise import HAN, KANA, MARKS
from finemed.text.numerals import PLAIN, read_number
from finemed.text.quantity_patterns import UNIT
from finemed.text.units import Unit, celsius, find_unit

Token = tuple[str, str]
"""What is compared, and as it is written. Amounts begin with ``#``, what they are told for with ``/``."""

LONGEST_WORD = 200
"""Characters of a word that are looked at."""
_LOOSE = str.maketrans(
    {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3", "…": "."}
    | {raised: f"^{digit}" for digit, raised in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")}
)
_MARKUP = re.compile(
    r"<!--.{0,2000}?-->|</?[A-Za-z][^<>]{0,300}>|\[[0-9]{1,3}(?:\s?[,-]\s?[0-9]{1,3}){0,8}\]|\]\([^()\s]{1,300}\)"
    r"|(?i:\(?\b(?:see\s)?(?:figure|fig\.|table|box|chapter|section)\s[0-9]{1,3}(?:\.[0-9]{1,3})?[a-z]?\b\)?)"
    r"|(?:https?://|www\.)\S+|[\w.+-]{1,64}@[\w-]{1,64}\.\S+",
    re.DOTALL,
)
_BULLET = re.compile(r"(?m)^[ \t]*(?:\(?[0-9]{1,2}[.)](?=\s)|[-*•#>|]+(?=\s))[ \t]*")
_COUNTED = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen twenty"
)
_TENS = "thirty forty fifty sixty seventy eighty ninety"
_SPELLED = {name: str(value) for value, name in enumerate(_COUNTED.split(), 1)}
_SPELLED |= {name: f"{value}0" for value, name in enumerate(_TENS.split(), 3)}
_ADVERBS = {"daily": "day", "nightly": "day", "weekly": "week", "monthly": "month", "hourly": "hour", "yearly": "year",
            "annually": "year", "night": "day", "d": "day", "wk": "week", "h": "hour", "hr": "hour", "min": "minute",
            "yr": "year", "qd": "day", "od": "day"}  # fmt: skip
_TIMES = {"twice": "2", "thrice": "3"}
_LATIN = {"bid": "2", "b.i.d": "2", "bd": "2", "tid": "3", "t.i.d": "3", "tds": "3", "qid": "4", "q.i.d": "4"}
_ROMAN = {
    "i": "1",
    "ii": "2",
    "iii": "3",
    "iv": "4",
    "v": "5",
    "vi": "6",
    "vii": "7",
    "viii": "8",
    "ix": "9",
    "x": "10",
}
_NUMBERED = "type|stage|grade|class|phase|factor|level|category|tipo|grado|nerve"
_TIME = r"(?:days?|nights?|weeks?|months?|hours?|years?|minutes?)"
_SIGNS = {
    "less than or equal to": "≤", "greater than or equal to": "≥", "more than or equal to": "≥", "no more than": "≤",
    "not more than": "≤", "at most": "≤", "up to": "≤", "at least": "≥", "no less than": "≥", "not less than": "≥",
    "less than": "<", "fewer than": "<", "lower than": "<", "under": "<", "below": "<", "more than": ">",
    "greater than": ">", "higher than": ">", "over": ">", "above": ">", "exceeding": ">", "minus": "-",
    "plus or minus": "±", "<=": "≤", ">=": "≥", "=<": "≤", "=>": "≥", "+/-": "±", "≦": "≤", "≧": "≥", "⩽": "≤",
    "⩾": "≥", "＜": "<", "＞": ">",
}  # fmt: skip
_SIGN_WORDS = "|".join(sorted((name for name in _SIGNS if name[0].isalpha()), key=len, reverse=True)).replace(
    " ", r"\s"
)
_SCALE = r"(?:[ -](?i:hundred|thousand|million|billion)\b){0,2}"
_WORDED = rf"(?:{'|'.join(_TENS.split())}|twenty)[ -](?:{'|'.join(_COUNTED.split()[:9])})|{'|'.join(_SPELLED)}"
_DIGITS = r"(?>[0-9]+(?:[.,][0-9]+)*|(?<![0-9])\.[0-9]+)"
_TOKEN = re.compile(
    rf"(?P<latin>(?i:\b(?:b\.?i\.?d|t\.?i\.?d|q\.?i\.?d|tds|bd|qd|od)\b))"
    rf"|\b[qQ]\.?\s?(?P<hours>[0-9]{{1,2}})\s?(?:h|hr|hrs|hours)\b"
    rf"|(?P<period>(?i:(?:\b(?:once\s)?(?:per|an?|each|every)\s)(?:day|night|week|month|hour|year|minute)\b"
    rf"|\b(?:once\s)?(?:daily|nightly|weekly|monthly|hourly|yearly|annually)\b)|/\s?(?:d|day|wk|week|h|hr|hour|month|min|minute|yr|year)\b)"
    rf"|(?P<per>(?:/\s?|\b(?i:per)\s)(?:{UNIT}))"
    rf"|(?P<symbol>\b[A-Za-z]{{0,4}}[A-Z][A-Za-z]{{0,3}}-?[0-9]+[A-Za-z0-9]*\b)"
    rf"|(?:(?P<sign>(?i:\b(?:{_SIGN_WORDS})\s)|[<>]=|=[<>]|\+/-|[<>≤≥±≦≧⩽⩾]|(?<![\w.)%\]-])(?<![0-9%]\s)-(?=[0-9.]))\s?)?"
    rf"(?P<number>{_DIGITS}{_SCALE}|\b(?i:(?:{_WORDED}){_SCALE}|twice|thrice)\b)"
    rf"(?:(?:\s|-)?(?P<unit>{UNIT})|(?![A-Za-wyz]))"
    rf"|(?i:\b(?P<numbered>{_NUMBERED}))\s(?P<roman>[IVX]{{1,4}}|[ivx]{{2,4}})\b"
    rf"|(?P<han>[{HAN}{KANA}])"
    rf"|(?P<word>[^\W_{HAN}{KANA}]+(?:[{MARKS}'’]+[^\W_{HAN}{KANA}]+)*)"
    r"|(?P<end>[.!?](?=[\s\"'”’)\]*<]|$)|[。！？；]|\n\s*\n|\n(?=[ \t]*[^a-z\s]))"
)
_ASCII_PIECE = re.compile(
    r"(?P<word>(?>[A-Za-z]{1,64})(?>(?:'(?>[A-Za-z]{1,64})){0,4})(?![0-9A-Za-z]|-[0-9]))|[A-Za-z0-9<>+=/.!?\n-]"
)
_LETTER = rf"[^\W\d_{HAN}{KANA}]"
_PIECE = re.compile(
    rf"(?P<word>(?>{_LETTER}{{1,64}})(?>(?:(?>[{MARKS}'’]{{1,4}})(?>{_LETTER}{{1,64}})){{0,8}})(?![\w{MARKS}]|-[0-9]))"
    r"|\w|[<>≤≥±≦≧⩽⩾+=/.!?。！？；\n-]"
)
_TRIGGERS = frozenset(
    (
        *_LATIN, *_ADVERBS, *_SPELLED, *_NUMBERED.split("|"), *(name.split()[0] for name in _SIGNS),
        *["twice", "thrice", "per", "a", "an", "each", "every", "once", "b", "t", "q", "qd", "od", "bd", "tds"],
    )
)  # fmt: skip
"""Words that may begin an amount, a sign or a frequency; all others are taken as they are."""
_JOINS = frozenset({"-", "/", ",", "to", "or", "and", "a", "o", "y"})
_NOT = re.compile(
    r"(?i)^(ca|wo|sha|are|is|was|were|do|does|did|have|has|had|could|should|would|must|need|might)n['’]?t$"
)
_CONTRACTED = {"ca": "can", "wo": "will", "sha": "shall"}


_HAN_UNITS = {"毫克": "mg", "微克": "µg", "千克": "kg", "公斤": "kg", "毫升": "mL", "克": "g",
              "升": "L", "小时": "hours", "分钟": "minutes", "个月": "months", "周": "weeks", "年": "years",
              "天": "days", "日": "days"}  # fmt: skip
_HAN_UNIT = re.compile(rf"(?<=[0-9])\s?({'|'.join(_HAN_UNITS)})")


def sentences(text: str) -> list[list[Token]]:
    """The sentences of a text that hold anything."""
    if "&" in text:
        text = html.unescape(text)
    ascii_only = text.isascii()
    if not ascii_only:
        text = unicodedata.normalize("NFKC", forms.fold(text).translate(_LOOSE))
        text = text.translate(PLAIN).replace("\u039cG", "µg")
        text = _HAN_UNIT.sub(lambda match: f" {_HAN_UNITS[match[1]]} ", text)
    text = _BULLET.sub("", _MARKUP.sub(" ", text))
    found: list[list[Token]] = [[]]
    behind = last_end = 0
    for piece in (_ASCII_PIECE if ascii_only else _PIECE).finditer(text):
        start = piece.start()
        if start < behind:
            continue
        written = piece["word"]
        if written and (written.lower() not in _TRIGGERS or (len(written) == 1 and written.isupper())):
            _append_word(found[-1], written)
            behind = last_end = piece.end()
            continue
        match = _TOKEN.match(text, start)
        if match is None:
            continue
        behind = match.end()
        if match["end"]:
            if found[-1]:
                found.append([])
            continue
        if match["unit"]:
            _share_unit(found[-1], match["unit"], text[last_end:start].strip())
        _read(found[-1], match)
        last_end = behind
    return found if found[-1] else found[:-1]


def _read(tokens: list[Token], match: re.Match[str]) -> None:
    if match["number"]:
        tokens.append(_amount(match["sign"] or "", match["number"], match["unit"] or ""))
    elif match["word"]:
        _append_word(tokens, match["word"])
    elif match["han"]:
        tokens.append((match["han"], match["han"]))
    else:
        tokens.extend(_other(match))


def _append_word(tokens: list[Token], written: str) -> None:
    written = written[:LONGEST_WORD]
    if negated := _NOT.fullmatch(written):
        stem = negated[1].lower()
        tokens += [(fold(_CONTRACTED.get(stem, stem)), written), ("not", "not")]
    elif written.lower() == "cannot":
        tokens += [("can", written), ("not", "not")]
    elif len(written) == 1 and tokens and tokens[-1][0] in LETTERED:
        tokens.append((LETTER + written.lower(), written))
    else:
        tokens.append((fold(written), written))


def _other(match: re.Match[str]) -> list[Token]:
    written = " ".join(match.group().split())
    if match["symbol"]:
        return [(written.replace("-", "").lower(), written)]
    if match["hours"]:
        return [_amount("", match["hours"], "hours")]
    if match["latin"]:
        times = _LATIN.get(match["latin"].lower().replace(".", ""))
        return [*([(f"#{times}", written)] if times else []), ("/day", written)]
    if match["period"]:
        last = re.split(r"[\s/]+", match["period"].lower())[-1]
        return [(f"/{_ADVERBS.get(last, last)}", written)]
    if match["per"]:
        name = re.sub(r"^/\s?|^per\s", "", match["per"], flags=re.IGNORECASE)
        unit = _unit(name)
        return [("/" + (unit.symbol if unit else fold(name)).replace(" ", "_"), written)]
    return [
        (fold(match["numbered"]), match["numbered"]),
        (f"#{_ROMAN.get(match['roman'].lower(), match['roman'])}", match["roman"]),
    ]


@lru_cache(REMEMBERED)
def _amount(sign: str, number: str, unit: str) -> Token:
    """An amount in the base unit of its dimension, so that 0.5 g is 500 mg."""
    sign = " ".join(sign.lower().split())
    sign = _SIGNS.get(sign, sign)
    written = f"{sign}{number} {unit}".strip()
    plain = _SPELLED.get(number.lower()) or _TIMES.get(number.lower()) or number
    try:
        value = read_number(plain)
    except (ValueError, KeyError):
        return f"#{sign}{plain}|{fold(unit)}".replace(" ", "_"), written
    if not unit:
        return f"#{sign}{value}", written
    found = _unit(unit)
    if found is None:
        return f"#{sign}{value}|{fold(unit)}".replace(" ", "_"), written
    value = celsius(value, found) if found.dimension == "temperature" else value * found.factor
    value = Fraction(round(value * 10**9), 10**9) if found.imperial else value
    return f"#{sign}{value}|{found.dimension.replace(' ', '_')}", written


def _unit(written: str) -> Unit | None:
    """The unit of a spelling; None for a letter that only looks alike, such as a Turkish dotless i."""
    try:
        return find_unit(written)
    except KeyError:
        return None


def _share_unit(tokens: list[Token], unit: str, between: str) -> None:
    """Gives the unit behind a range or a list to the bare number before it: "5-10 mg", "5 to 10 mg"."""
    worded = not between and len(tokens) > 1 and tokens[-1][0] in _JOINS
    place = len(tokens) - (2 if worded else 1)
    if place < 0 or not (worded or between in _JOINS):
        return
    code, written = tokens[place]
    if code[0] == "#" and "|" not in code and code[1:2].isdigit():
        tokens[place] = _amount("", written, unit)
