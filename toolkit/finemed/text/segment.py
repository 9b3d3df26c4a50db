"""Cuts text into sentences and passages, always as character spans of the text that was given.

::

    sentences("Croup is viral. It barks.")   ->  [(0, 15), (16, 25)]
    sentences("肺炎是感染。患者发热！")         ->  [(0, 6), (6, 11)]
"""

from __future__ import annotations

import re

from finemed.text.normalise import HAN, KANA

_CLOSING = "\"')\\]\u201d\u2019\u00bb"
_CLOSING_WIDE = '\u300d\u300f\u201d\u2019\uff09\u300b\u3011\u3015"'
_OPENING = "\"'(\\[\u201c\u2018\u00ab\u2014"
# What can begin a sentence: capitals of the scripts that have them, any letter of the others, digits, ¿ and ¡.
_BEGINS = (
    "A-Z0-9\u00c0-\u00d6\u00d8-\u00de\u00bf\u00a1ĄĆČĎĐĘĚĞİŁŃŇŐŒŘŚŞŠŤŮŰŹŻŽȘȚ\u0386-\u03ab\u0400-\u042f"
    f"\u05d0-\u05ea\u0620-\u064a\u0904-\u0939\uac00-\ud7a3{HAN}{KANA}"
)
# A sentence ends at ., ! or ? (with closing quotes or brackets) before a blank and what can begin one; at the full
# stops of Chinese, Japanese, Hindi and Arabic (before と a quotation goes on); between Chinese characters also at . ! ?
_FULL_STOPS = "\u3002\uff01\uff1f\uff61\u0964\u061f\u06d4"
_END = re.compile(  # one class of characters first: the expression is tried only where one of them stands
    rf"[.!?\u2026{_FULL_STOPS}\n](?:"
    rf"(?<=[.!?\u2026])(?<![.!?\u2026].)(?>[.!?\u2026]*)(?>[{_CLOSING}]*)(?=\s+[{_OPENING}]{{0,2}}[{_BEGINS}])"
    rf"|(?<=[{_FULL_STOPS}])(?>[{_FULL_STOPS}]*)(?![{_CLOSING_WIDE}]+と)(?>[{_CLOSING_WIDE}]*)"
    rf"|(?<=[{HAN}{KANA}][.!?])[.!?]*(?=[{HAN}{KANA}])"
    r"|(?<=\n)\s*\n)"
)
_ABBREVIATION = re.compile(
    r"(?:\b(?:Drs?|Mr|Mrs|Ms|Prof|St|vs|etc|e\.g|i\.e|cf|[Ff]igs?|Nos?|approx|al|Inc|Jr|Sr|Vol|pp|ca|U\.S|Ph\.D|M\.D"
    r"|Dra|Sra|Srta|Uds?|Lic|Ing|[Nn]úms?|[Pp]ágs?|aprox|[Pp]\. ?ej|EE|UU|Nr|bzw|z\. ?B|Mme)|\b[A-Z])\.$"
)
_UNSPACED = re.compile(f"[{HAN}{KANA}\uac00-\ud7a3]")
_CLAUSE = "\uff0c\u3001\uff1b\uff1a,;:"
TOKENS_PER_WORD = 1.3


def sentences(text: str) -> list[tuple[int, int]]:
    """Spans of the sentences, without the blanks between them; together they cover all other characters."""
    spans: list[tuple[int, int]] = []
    start = 0
    for match in _END.finditer(text):
        if match.group().startswith(".") and _ABBREVIATION.search(
            text, max(start, match.start() - 8), match.start() + 1
        ):
            continue
        _append(spans, text, start, match.end())
        start = match.end()
    _append(spans, text, start, len(text))
    return spans


def _append(spans: list[tuple[int, int]], text: str, start: int, end: int) -> None:
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if end > start:
        spans.append((start, end))


def estimate_tokens(text: str) -> int:
    """Tokens of a typical subword tokenizer: 1.3 per word, and one per character of unspaced scripts."""
    return int(_tokens(text))


def _tokens(text: str) -> float:
    """The estimate before rounding, so that the parts of a text add up to no less than the whole."""
    unspaced = 0 if text.isascii() else sum(1 for _ in _UNSPACED.finditer(text))
    return len(text.split()) * TOKENS_PER_WORD + unspaced


def passages(text: str, max_tokens: int, min_tokens: int) -> list[tuple[int, int]]:
    """Spans of passages of at most `max_tokens`, cut between sentences and, where one is near, before a heading.

    A sentence longer than the budget is cut between words, or where there are no blanks after a comma, or else between
    characters. A last piece below `min_tokens` joins its predecessor, which may then exceed the budget by that much.
    """
    if estimate_tokens(text) <= max_tokens:
        return [(start, end)] if (start := len(text) - len(text.lstrip())) < (end := len(text.rstrip())) else []
    pieces = [piece for span in sentences(text) for piece in _fit(text, span, max_tokens)]
    spans: list[tuple[int, int]] = []
    sizes: list[float] = []
    for start, end in pieces:
        size = _tokens(text[start:end])
        heading = _is_heading(text, start, end) and sizes and sizes[-1] >= max_tokens // 2
        if spans and not heading and sizes[-1] + size <= max_tokens:
            spans[-1] = (spans[-1][0], end)
            sizes[-1] += size
        else:
            spans.append((start, end))
            sizes.append(size)
    if len(spans) > 1 and sizes[-1] < min_tokens:
        (_, end) = spans.pop()
        spans[-1] = (spans[-1][0], end)
    return spans


def _is_heading(text: str, start: int, end: int) -> bool:
    first = text[start:end].split("\n", 1)[0]
    opens_line = start == 0 or "\n" in text[max(0, start - 2) : start]
    return opens_line and 0 < len(first) <= 80 and not first.rstrip().endswith((".", "!", "?", ";", ","))


def _fit(text: str, span: tuple[int, int], max_tokens: int) -> list[tuple[int, int]]:
    start, end = span
    if estimate_tokens(text[start:end]) <= max_tokens:
        return [span]
    pieces: list[tuple[int, int]] = []
    middle = (start + end) // 2
    cut = next((place for place in range(middle - 1, start, -1) if text[place].isspace()), None)
    if cut is None:
        cut = next((place for place in range(middle, start, -1) if text[place - 1] in _CLAUSE), middle)
    for part in ((start, cut), (cut, end)):
        trimmed: list[tuple[int, int]] = []
        _append(trimmed, text, *part)
        for inner in trimmed:
            pieces.extend(_fit(text, inner, max_tokens))
    return pieces
