r"""Cuts a passage into sentences, headings and stretches of lists, always as spans of the text as given.

::

    pieces("Signs may include - cough - fever")  ->  [(0, 33, "list")]
    pieces("Symptoms\nCroup barks.[1] It is viral.")
    ->  [(0, 8, "heading"), (9, 21, ""), (26, 38, "")]
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from finemed.llm.rules.lexicon import FINITE
from finemed.text.normalise import words
from finemed.text.segment import sentences

PROSE, LIST, FRAGMENT, POINTER = "prose", "list", "fragment", "pointer"
QUESTION, HEADING, TABLE, REFERENCE = "question", "heading", "table", "reference"
LIST_WORDS = 40
"""A longer list is cut into several units."""
MIN_LIST = 12
"""Characters below which nothing is a list."""

_BULLET = re.compile(r"[-\u2013\u2022\u25cf*\u00b7%](?:(?<=\d%)\s+(?=[A-Z])|(?<!\S.)(?<!%)\s+)")
_MARK = re.compile(
    r"[.!?](?<=[a-z)].)(?:((?:\[[\d, \u2013-]+\])+|\d{1,2}(?:[,\u2013-]\d{1,2})*)(?=\s+[A-Z])|(?=[A-Z][a-z]+ [a-z])|(?<=[a-z]{4}.)(?=\n[a-z]))"
)
_LAST_MARK = re.compile(r"(?<=[.!?])(?:(?:\[[\d, \u2013-]+\])+|\d{1,2}(?:[,\u2013-]\d{1,2})*)$")
_OPENERS = (
    "The A An If Some Many Most People Your You When In There It This These They For Although Because As Doctors After "
    "Before Several Other All Both One Two Three Treatment Patients Children Women Men Symptoms Signs Researchers"
)
_RUN_IN = re.compile(
    r"(?:[A-Z][\w'\u2019-]*\s+)(?:(?:[A-Z][\w'\u2019-]*|of|and|the|for|to|in|with|or|a|an|on|\d+)\s+){0,6}"
    rf"(?=(?:{_OPENERS.replace(' ', '|')})\s+[a-z])|(\w{{4,}}\s+)(?=\1[a-z])"
)
_ENDS = ".!?;,"
_SMALL = frozenset("a an and as at by for from in of on or the to vs with".split())  # noqa: SIM905
_MAY_MARK = re.compile(r"[.!?](?<=[a-z)].)[\[\dA-Z\n]")
_MAY_LIST = (" - ", "\n- ", "\u2022", "\u25cf", " \u2013 ", " * ", "\n* ", "% ")
_DASHES = ("-", "*")
_MARK_ENDS = frozenset("]0123456789")
_NOWHERE: frozenset[int] = frozenset()
_YEAR = re.compile(r"[12][90]\d\d")
_REFERENCE = re.compile(
    r"\bdoi\b|doi\.org|\bPubMed|\bPMID|\bISBN|\b(?:19|20)\d\d\s?;\s?\d|\d\(\d+\)\s?[:,]\s?\w?\d|, \d+, \d+\u2013\d+"
    r"|\b[A-Z]\.,? (?:&|and) [A-Z]\w+, [A-Z]\.|\b[A-Z]\., [A-Z]\w+, [A-Z]\.|\b[A-Z]\w+ [A-Z]{1,3}, [A-Z]\w+ [A-Z]{1,3}[,.;:]"
    r"|, [A-Z]\. \((?:19|20)\d\d|; (?:19|20)\d\d\. (?:Available|http)|(?:Available|Accessed|Retrieved) (?:at|from|on|[A-Z])"
)
_WEAK_REFERENCE = re.compile(r"https?:|\((?:19|20)\d\d[a-z]?\)|\b(?:19|20)\d\d\.|\bet al\b|\b\d+:\d+")


def pieces(text: str) -> list[tuple[int, int, str]]:
    """(start, end, kind as far as the cut tells it) of every unit."""
    found: list[tuple[int, int, str]] = []
    spans = sentences(text)
    if _MAY_MARK.search(text):
        spans = [piece for start, end in spans for piece in _at_marks(text, start, end)]
    bullets = text[:1] in _DASHES or any(map(text.__contains__, _MAY_LIST))
    lines = "\n" in text
    for start, end in spans:
        several = lines and text.find("\n", start, end) != -1
        if several or text[end - 1] not in _ENDS or _RUN_IN.match(text, start, end):
            for stop in _headings(text, start, end):
                found.append((start, stop, HEADING))
                start = _skip_blanks(text, stop, end)
        if start < end:
            places = _bullets(text, start, end) if bullets else ()
            if len(places) > 1:
                found.extend(_list_items(text, start, end, places))
            else:
                found.append((start, end, ""))
    return found


def _bullets(text: str, start: int, end: int) -> list[re.Match[str]]:
    return list(_BULLET.finditer(text, start, end)) if end - start > MIN_LIST else []


def _at_marks(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts where a footnote's number, or a forgotten blank, hid the end of a sentence; the number is left out."""
    for match in _MARK.finditer(text, start, end):
        yield start, match.start() + 1
        start = _skip_blanks(text, match.end(), end)
    last = _LAST_MARK.search(text, start, end) if text[end - 1] in _MARK_ENDS else None
    if start < end:
        yield start, last.start() if last and last.start() > start else end


def _skip_blanks(text: str, start: int, end: int) -> int:
    while start < end and text[start].isspace():
        start += 1
    return start


def _headings(text: str, start: int, end: int) -> list[int]:
    """Ends of the headings that the piece opens with: short lines of their own, or a title run into the sentence."""
    found: list[int] = []
    line = text.find("\n", start, end)
    while line != -1 and _is_heading(text, start, line):
        after = _skip_blanks(text, line, end)
        if text[after].islower():  # a line that was wrapped
            break
        found.append(start + len(text[start:line].rstrip()))
        start = after
        line = text.find("\n", start, end)
    run_in = _RUN_IN.match(text, start, end)
    if run_in:
        found.append(start + len(text[start : run_in.end()].rstrip()))
    elif _is_heading(text, start, end):
        found.append(end)
    return found


def _is_heading(text: str, start: int, end: int) -> bool:
    """A short line without an end mark whose words are mostly capitalised, or that is very short."""
    if end - start > 90 or text[end - 1] in _ENDS:
        return False
    tokens = text[start:end].split()
    if len(tokens) > 12 or not tokens[0][0].isupper() or tokens[-1].lower() in _SMALL:
        return False
    large = [token for token in tokens if token.lower() not in _SMALL]
    capital = sum(token[0].isupper() or not token[0].isalpha() for token in large)
    return capital * 3 >= len(large) * 2 or (len(tokens) <= 3 and text[end - 1] != ":")


def _list_items(text: str, start: int, end: int, places: Sequence[re.Match[str]]) -> Iterator[tuple[int, int, str]]:
    """Whole sentences among the items by themselves, short items in stretches, the first with what leads into it."""
    stops = [place.start() + (text[place.start()] == "%") for place in places]
    cuts = zip((start, *(place.end() for place in places)), (*stops, end), strict=True)
    lead = text[start : places[0].start()].rstrip()
    able = "" if "able to" not in lead else HEADING  # what a chapter promises to teach
    begin = stop = count = 0  # the stretch that is being gathered, and its words
    for first, last in cuts:
        item = text[first:last].rstrip()
        if not item:
            continue
        last = first + len(item)
        if first == start and ")" in item:  # a table's head ends in a bracket
            after = _skip_blanks(text, first + item.rindex(")") + 1, last)
            first = after if text[after:last][:1].isupper() or text[after:last][:1].isdigit() else first
            item = text[first:last]
        size = item.count(" ") + 1
        alone = size > 5 and _is_sentence(item)
        if alone or item.endswith(" inheritance"):  # the one finding that answers a question of its own
            if count:
                yield begin, stop, HEADING if text[stop - 1] == ":" else able or LIST
            yield first, last, able or ("" if alone else LIST)
            count = 0
            continue
        if count and count + size > LIST_WORDS:
            yield begin, stop, able or LIST
            count = 0
        begin, stop, count = begin if count else first, last, count + size
    if count:
        yield begin, stop, able or LIST


def _is_sentence(item: str) -> bool:
    """An item that stands for itself, of six words or more."""
    if not item[0].isupper() or item[-1] in ":%":
        return False
    return item[-1] in ".!?" or (item.count(" ") > 8 and not FINITE.isdisjoint(words(item)))


def references(text: str, spans: list[tuple[int, int, str]]) -> frozenset[int]:
    """Which of the pieces are entries of a bibliography, or scraps between them that their abbreviations cut off."""
    if not ("http" in text or "doi" in text or _YEAR.search(text)):
        return _NOWHERE
    sure = [_REFERENCE.search(text, start, end) is not None for start, end, _ in spans]
    if not any(sure):
        return _NOWHERE
    found = set()
    for at, (start, end, _) in enumerate(spans):
        before, after = sure[max(0, at - 2) : at], sure[at + 1 : at + 3]
        beside = any(before[-1:]) or any(after[:1])
        scrap = any(before) and any(after) and end - start < 90
        if sure[at] or scrap or (beside and _WEAK_REFERENCE.search(text, start, end)):
            found.add(at)
    return frozenset(found)
