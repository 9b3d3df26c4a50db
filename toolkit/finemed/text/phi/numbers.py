"""Numbers that name a person: record and account numbers by their label, national ids by check digit or label.

::

    "MRN: 12345678, NHS number 401 023 2137"  ->  record_number "12345678" 0.90, national_id "401 023 2137" 0.95

A number without a label counts only where its form says what it is: a Social Security number, a Medicare id, the id of
a Chinese resident. Doses, laboratory values, codes, DOIs and trial numbers have neither.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from finemed.text.phi.findings import Candidate, Cue, Read

_VALUE = re.compile(
    r"[#:.= ]{0,4}(?:is |was )?((?:[A-Z]{1,5}[- ]?)?[0-9][A-Z0-9]*(?:[-/. ]?[A-Z0-9]*[0-9][A-Z0-9]*)*)(?![a-z])"
)
_ARCHIVE = re.compile(r"(?:[A-Z]{1,2}[0-9]{5,6}|[A-Z]{2}_[0-9]+|[A-Z]{3,6}[0-9]{5,12})(?:\.[0-9])?$")
_DATE = re.compile(
    r"(?:(?:[0-2]?[0-9]|3[01])[/.-](?:[0-2]?[0-9]|3[01])[/.-][0-9]{2,4}|(?:19|20)[0-9]{2}[-/][01][0-9][-/][0-3][0-9]|"
    r"(?:19|20)[0-9]{2}-(?:19|20)?[0-9]{2})$"
)
"""A date or a range of years."""
_LONGEST = 24
_OTHER_NUMBER = re.compile(r"\b(?:contract|grant|rfp|order|catalog\w*|publication|award|model|part)\b", re.IGNORECASE)


def _value(text: str, at: int, fewest: int) -> tuple[int, int] | None:
    """The span of the number that a label is followed by."""
    match = _VALUE.match(text, at, at + 60)
    if match is None:
        return None
    start, end = match.span(1)
    value = text[start:end]
    date = re.search(r" (?=[0-9]{1,2}[/.-][0-9]{1,2}[/.-]|[0-9]+[A-Z]?$)", value)
    if date and (value[date.end() :].count("/") or len(value) > _LONGEST):
        end = start + date.start()
        value = text[start:end]
    if sum(map(str.isdigit, value)) < fewest or len(value) > _LONGEST or _DATE.match(value):
        return None
    return start, end


def _record(alone: float, fewest: int = 4, kind: str = "record_number") -> Read:
    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        span = _value(text, match.start("value") if "value" in match.re.groupindex else match.end(), fewest)
        if span is None:
            return
        if "ccession" in match.group() and _ARCHIVE.match(text[slice(*span)]):
            return  # of a sequence archive
        yield Candidate(kind, *span, alone, max(alone, 0.8))

    return read


def _weighted(digits: str, weights: Iterable[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def is_nhs(digits: str) -> bool:
    """NHS number of England, Wales and the Isle of Man: ten digits, the last of which is a check modulo 11."""
    check = 11 - _weighted(digits, (10, 9, 8, 7, 6, 5, 4, 3, 2)) % 11
    return len(digits) == 10 and len(set(digits)) > 1 and digits[9] == ("0" if check == 11 else str(check))


def is_ssn(digits: str) -> bool:
    """US Social Security number that can have been given out."""
    return (
        len(digits) == 9
        and digits[:3] not in ("000", "666")
        and digits[0] != "9"
        and digits[3:5] != "00"
        and digits[5:] != "0000"
        and digits != "123456789"
    )


def is_luhn(digits: str) -> bool:
    """Check by the Luhn algorithm: Canadian social insurance numbers, payment cards."""
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return len(set(digits)) > 1 and sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def is_spanish(value: str) -> bool:
    """Spanish DNI or NIE: eight digits (or X, Y, Z and seven) and a check letter modulo 23."""
    digits = value[:-1].translate(str.maketrans("XYZ", "012"))
    return len(value) == 9 and digits.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(digits) % 23] == value[-1]


def is_chinese(value: str) -> bool:
    """Chinese resident id: 17 digits with a date of birth, and a check modulo 11, X for ten."""
    born = value[6:14]
    if len(value) != 18 or not (
        "1900" <= born[:4] <= "2099" and "01" <= born[4:6] <= "12" and "01" <= born[6:] <= "31"
    ):
        return False
    return "10X98765432"[_weighted(value, (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)) % 11] == value[17]


def is_brazilian(digits: str) -> bool:
    """Brazilian CPF: nine digits and two checks modulo 11."""
    first = _weighted(digits[:9], range(10, 1, -1)) * 10 % 11 % 10
    second = _weighted(digits[:10], range(11, 1, -1)) * 10 % 11 % 10
    return len(digits) == 11 and len(set(digits)) > 1 and digits[9:] == f"{first}{second}"


def is_french(digits: str) -> bool:
    """French social security number: 13 digits and a check modulo 97."""
    return len(digits) == 15 and digits[0] in "12" and 97 - int(digits[:13]) % 97 == int(digits[13:])


def _checked(check: Callable[[str], bool], alone: float, *, labelled: str = "", in_note: float = 0.85) -> Read:
    """Reads an id by its form; with its own label near it the confidence is 0.95."""

    def read(text: str, match: re.Match[str]) -> Iterator[Candidate]:
        start, end = match.span("id")
        around = (text[start - 1] if start else " ") + (text[end] if end < len(text) else " ")
        if any(char.isalnum() or char in "-_" for char in around) or (
            around[0] in "./" and text[start - 2 : start - 1].isdigit()
        ):
            return
        if check(re.sub(r"[^0-9A-Za-z]", "", match.group("id")).upper()):
            before = text[max(0, start - 40) : start]
            if labelled and re.search(labelled, before, re.IGNORECASE):
                yield Candidate("national_id", start, end, 0.95, 0.95)
            elif not _OTHER_NUMBER.search(before):
                yield Candidate("national_id", start, end, alone, max(alone, in_note))

    return read


def _always(value: str) -> bool:
    return len(set(value)) > 2


_NO = r"(?i: ?(?:n[o0]s?\b|number|num\b|nr\b|id\b|#))"
_A = "[AC-HJKMNP-RT-Y]"
_AN = "[AC-HJKMNP-RT-Y0-9]"
_MEDICARE = rf"[1-9]{_A}{_AN}[0-9]-?{_A}{_AN}[0-9]-?{_A}{_A}[0-9][0-9]"

NUMBER_CUES = (
    Cue(r"\b(?:(?i:mrn\b|m\.r\.n\.?|mr ?#|mr n[o0]\b)|MRN)", _record(0.9)),
    Cue(rf"\b(?i:med(?:ical|\.)? ?rec(?:ord|\.)?s?|unit|chart|hosp(?:ital|\.)?){_NO}", _record(0.9)),
    Cue(
        r"\b(?i:patient|pt|client|resident) ?(?i:id(?:entifier)?\b|account\b|number|n[o0]\b|#)"
        r"(?i: number| n[o0]\b| is)?",
        _record(0.85, 4),
    ),
    Cue(
        r"\b(?i:member|subscriber|policy|beneficiary|medicaid|insurance|health ?plan|health ?card|account|acct|payroll|"
        rf"student|employee|enrollee|certificate)\.?{_NO}(?i: is)?",
        _record(0.85, 5),
    ),
    Cue(
        r"\b(?i:policy|account|acct|payroll|claim|health ?card|encounter|specimen|accession|acc|auth|"
        r"authorization|run)[ :#]{1,3}(?P<value>[A-Z]{0,4}-?[0-9])",
        _record(0.5, 5),
    ),
    Cue(
        r"\b(?i:accession|specimen|lab|claim|visit|encounter|rx|prescription|case|order|reference|sample|csn|fin)"
        rf"(?:{_NO}|:| ?#)",
        _record(0.5, 5),
    ),
    Cue(r"\b(?:Rx|RX)\b", _record(0.4, 6)),
    Cue(r"(?m:^|  |\()(?:ID|Id)[:#]", _record(0.5, 6)),
    Cue(
        r"\b(?i:serial)(?i: (?:numbers?|nos?|#)\.?)?|\b(?i:device|implant) (?i:number|no|id|#)\.?|"
        r"\b(?i:s/n|imei|udi)\b",
        _record(0.5, 5, "device_id"),
    ),
    Cue(
        r"\b(?i:driver'?s'? licen[cs]e|driving licen[cs]e|licen[cs]e plate|registration plate|vin|number plate)"
        r"(?i: number| no\.?| of[a-z ]{0,30})?",
        _record(0.8, 3, "licence"),
    ),
    Cue(r"\b(?i:licen[cs]e)(?i: number| no\.?)?[ :]{1,2}(?P<value>[A-Z0-9]{0,6}[0-9])", _record(0.5, 5, "licence")),
    Cue(r"(?P<id>[0-9]{3}-[0-9]{2}-[0-9]{4})", _checked(is_ssn, 0.85, labelled=r"ssn|social sec")),
    Cue(
        r"\b(?i:ssn|social security(?: n[o0]\.?| number| #)?|soc\.? sec\.?)[:#. ]{0,4}(?i:is |ending (?:in )?)?"
        r"(?P<id>[0-9]{3}[- ]?[0-9]{2}[- ]?[0-9]{4}|(?:[xX*]{3}-?[xX*]{2}-?)?[0-9]{4})",
        _checked(_always, 0.9),
    ),
    Cue(
        r"\b(?i:nhs)(?i: n[o0]\.?| number| #)?[:. ]{1,3}(?P<id>[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{4})",
        _checked(_always, 0.9),
    ),
    Cue(r"(?P<id>[0-9]{3} [0-9]{3} [0-9]{4})", _checked(is_nhs, 0.3, labelled=r"\bnhs\b", in_note=0.5)),
    Cue(
        r"\b(?i:sin|social insurance)\b(?i:[a-z ]{0,20})[:#. ]{0,3}(?P<id>[0-9]{3}[- ]?[0-9]{3}[- ]?[0-9]{3})",
        _checked(is_luhn, 0.95),
    ),
    Cue(rf"(?P<id>{_MEDICARE})", _checked(_always, 0.85, labelled="medicare|mbi")),
    Cue(r"(?P<id>[0-9]{17}[0-9Xx])", _checked(is_chinese, 0.9, labelled=r"\bid\b")),
    Cue(r"(?P<id>[XYZ0-9]-?[0-9]{7}-?[A-Z])", _checked(is_spanish, 0.6, labelled=r"\b(?:dni|nie|nif)\b")),
    Cue(r"(?P<id>[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2})", _checked(is_brazilian, 0.9, labelled="cpf")),
    Cue(r"(?P<id>[12] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{3} ?[0-9]{3} ?[0-9]{2})", _checked(is_french, 0.85)),
    Cue(
        r"(?P<id>[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D])",
        _checked(_always, 0.7, labelled=r"\bni\b|national ins"),
    ),
    Cue(
        r"\b(?i:passport|nhi\b|aadhaar|national id(?:entity)?(?: card)?|id card|curp|personnummer|bsn)"
        r"(?i: number| no\.?)?",
        _record(0.85, 6, "national_id"),
    ),
)


def _mixed(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    start, end = match.span()
    around = (text[start - 1] if start else " ") + (text[end] if end < len(text) else " ")
    if not any(char.isalnum() or char in "-_/." for char in around[0] + around[1].replace(".", " ")):
        yield Candidate("record_number", start, end, 0.0, 0.6)


NUMBER_NOTE_CUES = (Cue(r"[A-Z]{1,4}-?[0-9]{5,9}|[0-9]{3,5}[A-Z][0-9]{3,6}|[0-9]{2}-[0-9]{5,8}", _mixed),)
"""Numbers that in a note are somebody's, though no label says so."""
