"""Dates of birth, other dates of a patient, and ages over 89.

::

    "DOB: 04/12/1956, admitted on 3 March 2021"  ->  date_of_birth "04/12/1956" 0.95, date "3 March 2021" 0.50

45 CFR 164.514(b)(2)(i)(C) counts all parts of a date but the year, and all ages over 89. A date of birth points to one
person; a day of admission or an age of 93 does so only together with more, and keeps a low confidence.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from finemed.text.phi.findings import Candidate, Cue, Read

_MONTH = r"(?i:jan|feb|mar|apr|may|june?|july?|aug|sept?|oct|nov|dec)(?i:uary|ruary|ch|il|ust|ember|ober)?\.?"
_DAY = r"[0-9]{1,2}(?i:st|nd|rd|th)?"
_NUMERIC = "|".join(
    rf"[0-9]{{1,2}} ?{mark} ?[0-9]{{1,2}} ?{mark} ?(?:[0-9]{{4}}|[0-9]{{2}})" for mark in ("/", r"\.", "-")
)
_FULL = (
    r"(?:19|20)[0-9]{2}[-/.][0-9]{1,2}[-/.][0-9]{1,2}|"
    rf"{_NUMERIC}|{_DAY}[ -](?:of )?{_MONTH},?[ -][0-9]{{2,4}}|{_MONTH} {_DAY},? [0-9]{{4}}"
)
_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|seventeen|eighteen|"
    "nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|and|"
    "first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|"
    "sixteenth|seventeenth|eighteenth|nineteenth|twentieth|thirtieth"
)
_READABLE = re.compile(rf"(?:{_FULL})(?![0-9])")
_SCANNED = re.compile(r"[0-9OolI]{1,2} ?[/.-] ?[0-9OolI]{1,2} ?[/.-] ?(?:[0-9OolI]{4}|[0-9OolI]{2})(?![0-9A-Za-z])")
_COMPACT = re.compile(r"(?:19|20)[0-9]{6}(?![0-9])")
_YEARLESS = re.compile(rf"(?:{_MONTH} {_DAY}|{_DAY} {_MONTH})(?![A-Za-z0-9])")
_SPOKEN = re.compile(
    rf"(?:(?i:january|february|march|april|may|june|july|august|september|october|november|december) )?"
    rf"(?i:{_NUMBERS})(?:[ -](?i:{_NUMBERS})\b){{2,7}}"
)


def _birth(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After "DOB" and its like; the date may stand some words further on, as the answer to a question."""
    end = match.end()
    spoken = _SPOKEN.match(text, end + len(text[end : end + 6]) - len(text[end : end + 6].lstrip(" :=.")))
    if spoken:
        yield Candidate("date_of_birth", *spoken.span(), 0.9, 0.9)
        return
    for start in range(end, min(len(text), end + 60)):
        if text[start].isalnum() and (start == end or not text[start - 1].isalnum()):
            found = next(filter(None, (form.match(text, start) for form in _FORMS)), None)
            if found and not re.search(r"[Ee]xample|(?<![0-9])1[0-8][0-9]{2}|1900", text[end : found.end()]):
                surely = 0.95 if start - end < 20 else 0.8
                yield Candidate("date_of_birth", start, found.end(), surely, 0.95)
                return


_FORMS = (_READABLE, _SCANNED, _COMPACT)


_LONG_AGO = re.compile(r"\b(?:1[0-8][0-9]|19[0-2])[0-9]\b")


def _born(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """After "born": of a patient, a baby, or somebody in a biography."""
    found = _READABLE.match(text, match.start("date")) or _YEARLESS.match(text, match.start("date"))
    if found and not _LONG_AGO.search(found.group()):
        yield Candidate("date_of_birth", *found.span(), 0.5, 0.9)


def _event(alone: float) -> Read:
    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        found = _READABLE.match(text, match.start("date"))
        if found and not _LONG_AGO.search(found.group()):
            yield Candidate("date", *found.span(), alone, max(alone, 0.6))

    return read


def _any(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    edge = text[match.start("date") - 1] if match.start("date") else " "
    if not edge.isalnum() and edge not in "/=.-" and not _LONG_AGO.search(match.group("date")):
        yield Candidate("date", *match.span("date"), 0.0, 0.5)


_AFTERWARDS = re.compile(r"[^.;]{0,3}(?:or|and|years? (?:or|and)|\+) ?(?:older|over|above|more|up)|\+|-year-olds|%")
_BEFOREHAND = re.compile(r"(?:over|than|to|least|until|under|below|and|through|[-<>\u2265\u2264\u2013]) ?$")


def _age(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    start, end = match.span()
    number = re.search(r"[0-9]{2,3}", match.group())
    if number is None or (start and (text[start - 1].isalnum() or text[start - 1] in ".-/")):
        return
    if (
        text[end : end + 1].isalpha()
        or _AFTERWARDS.match(text, end)
        or _BEFOREHAND.search(text[max(0, start - 8) : start])
    ):
        return
    yield Candidate("age_over_89", start, end, 0.5, 0.8)


def _spelled_age(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    if not re.match(
        r" ?(?:percent|per cent|%|to|times|[a-z]*minutes|days|degrees|or|and)", text[match.end() : match.end() + 12]
    ):
        yield Candidate("age_over_89", *match.span(), 0.4, 0.8)


_START = rf"(?P<date>[0-9]|{_MONTH})"
_OLD = r"(?:9[0-9]|1[01][0-9])"

DATE_CUES = (
    Cue(r"\b(?i:d\.? ?[o0]\.? ?b\b\.?|date of b[i1l]rth|birth ?-?date|birthday|birth date)", _birth),
    Cue(rf"\b(?i:born)(?i: on)?[ :,(]{{1,3}}{_START}", _born),
    Cue(
        r"\b(?i:admit(?:ted)?|admission|discharged?|date of (?:service|surgery|procedure|exam|death|operation)|dos|"
        r"exam(?: date)?|collected|died|deceased|pronounced|visit date|seen|delivered a[a-z ]{0,15}|"
        rf"signed)(?i: date| time| on)?(?:[:,(]| on)? ?{_START}",
        _event(0.5),
    ),
    Cue(rf"\b{_OLD}[- ]{{0,2}}(?i:years?[- ]old|yrs?[- ]old|year[- ]old|y/?o\b|y\.o\.|years? of age)", _age),
    Cue(rf"\b(?i:aged?)[:, ]{{1,3}}{_OLD}\b", _age),
    Cue(
        r"\b(?i:(?:is|was|aged?|turned) ninety(?:[- ](?:one|two|three|four|five|six|seven|eight|nine))?)\b",
        _spelled_age,
    ),
)
DATE_NOTE_CUES = (
    Cue(rf"(?P<date>{_FULL})", _any),
    Cue(
        r"\b(?i:on|visit|seen|since|dated?)[: ]{1,2}"
        rf"(?P<date>{_MONTH} {_DAY}|{_DAY} {_MONTH}|[0-9]{{1,2}}/[0-9]{{1,2}})",
        _any,
    ),
)
