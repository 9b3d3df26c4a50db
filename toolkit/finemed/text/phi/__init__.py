"""Finds protected health information in English text.

::

    scan("Patient: Jane Doe, DOB 04/12/1956")
    # [Finding(kind="name", start=9, end=17, confidence=0.95), Finding(kind="date_of_birth", start=23, end=33, ...)]

A confidence of 0.8 or more says that the text is, very likely, about a patient who can be identified; a phone of an
institution, a clinician or an author stays far below. Where one such finding stands in a text, the weaker ones beside
it (a phone, a date, a first name) are taken for the same person's. To find nothing proves nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import polars as pl

from finemed.text.fold import Folded
from finemed.text.phi.contact import CONTACT_CUES, CONTACT_NOTE_CUES
from finemed.text.phi.dates import DATE_CUES, DATE_NOTE_CUES
from finemed.text.phi.findings import Candidate, Cue, Finding, settle
from finemed.text.phi.fold import fold, fold_all
from finemed.text.phi.names import CLINICIAN_CUES, NAME_CUES, NOTE_CUES, in_notes, without_clinicians
from finemed.text.phi.numbers import NUMBER_CUES, NUMBER_NOTE_CUES

__all__ = ["IDENTIFYING", "LANGUAGES", "Finding", "scan", "scan_all"]

LANGUAGES = ("en",)
"""Languages that the rules know, as ISO 639-1 codes."""
IDENTIFYING = 0.8
"""Confidence from which a finding makes its text one about an identified patient."""

_HL7 = re.compile(
    r"\|(?:(?P<record>[A-Z0-9-]{4,20})\^\^\^|(?:(?P<name>[A-Za-z'-]{2,}\^[A-Za-z'-]+(?:\^[A-Za-z'-]*)*)|"
    r"(?P<birth>(?:19|20)[0-9]{6})|(?P<address>[0-9]+ [^|^\n]{3,40}\^[^|\n]{2,60})|(?P<phone>[0-9()+-]{10,16}))"
    r"(?=\||$))",
    re.MULTILINE,
)
_HL7_KINDS = {"record": "record_number", "birth": "date_of_birth"}


def _segment(text: str, match: re.Match[str]) -> Iterator[Candidate]:
    """A patient identification segment of an HL7 message."""
    segment = text[match.start() : match.start() + 1000].partition("\n")[0]
    for field in _HL7.finditer(text, match.end() - 1, match.start() + len(segment)):
        kind = field.lastgroup or ""
        yield Candidate(_HL7_KINDS.get(kind, kind), *field.span(kind), 0.95, 0.95)


GROUPS: tuple[tuple[Cue, ...], ...] = (
    tuple(cue for cue in NAME_CUES if "<cue>" in cue.pattern),  # apart from the next: an automaton of both is slow
    tuple(cue for cue in NAME_CUES if "<cue>" not in cue.pattern),
    (*CLINICIAN_CUES, *DATE_CUES, Cue(r"(?m:^)PID\|", _segment)),
    NUMBER_CUES,
    CONTACT_CUES,
)
CUES = tuple(cue for group in GROUPS for cue in group)


def scan(text: str) -> list[Finding]:
    """The findings in order of the text; they do not overlap."""
    return _scan(fold(text), CUES)


def scan_all(texts: pl.Series) -> dict[int, list[Finding]]:
    """What `scan` finds in many texts, by position; texts without a finding are left out.

    The cues are first looked for in Rust, a group of them at a time and all texts at once; only the few texts with a
    cue are read in Python, and there only by the groups that have one.
    """
    folded = fold_all(texts).alias("text")
    hits = pl.DataFrame(folded).select(
        pl.col("text").str.contains(pattern).alias(str(place)) for place, pattern in enumerate(_UNIONS)
    )
    found = {}
    for at, *flags in hits.with_row_index("at").filter(pl.any_horizontal(pl.exclude("at"))).iter_rows():
        cues = (cue for group, flag in zip(GROUPS, flags, strict=True) if flag for cue in group)
        findings = _scan(fold(texts[at]), cues)
        if findings:
            found[at] = findings
    return found


_UNIONS = ["|".join(re.sub(r"\(\?P<\w+>", "(?:", cue.in_rust()) for cue in group) for group in GROUPS]


def _scan(folded: Folded, cues: Iterable[Cue]) -> list[Finding]:
    text = folded.text
    candidates = [candidate for cue in cues for candidate in cue.candidates(text)]
    in_note = _about_patient(text, candidates)
    if in_note:
        for cue in (*NOTE_CUES, *DATE_NOTE_CUES, *NUMBER_NOTE_CUES, *CONTACT_NOTE_CUES):
            candidates.extend(cue.candidates(text))
        people = [(one.start, one.end) for one in candidates if one.kind == "name" and one.alone >= 0.6]
        candidates.extend(in_notes(text, people))
    return [
        Finding(one.kind, *folded.original(one.start, one.end), one.confidence)
        for one in settle(without_clinicians(candidates), in_note=in_note)
    ]


def _about_patient(text: str, candidates: Iterable[Candidate]) -> bool:
    """Whether one candidate alone says so, or two kinds together, or a name in what reads like a note."""
    candidates = [one for one in candidates if one.alone >= 0.5 and one.kind != "date"]
    return (
        any(one.alone >= IDENTIFYING for one in candidates)
        or len({one.kind for one in candidates}) > 1
        or (
            any(one.kind == "name" for one in candidates)
            and len({match.group().lower() for match in _CHARTING.finditer(text)}) >= _CHARTED
        )
    )


_CHARTING = re.compile(
    r"\b(?:c/o|hx|h/o|s/p|f/u|r/o|a&ox\d|hpi|pmh|pt|bp|hr|spo2|sats|wt|fx|dx|bid|tid|prn|po|iv|q\d+h|\d+ ?mg|"
    r"x ?\d{1,2} ?(?:d|wk|h)|\d{2,3}/\d{2,3}|assessment|allergies|meds|discharged|admitted|follow[- ]?up|vitals|denies|"
    r"today|yesterday|tomorrow|next (?:visit|appointment)|last visit|recheck|rtc|complains|you were|nurse|ward|bedside|"
    r"afebrile|exam|labs|clinic|gp|pcp|family meeting)\b",
    re.IGNORECASE,
)
_CHARTED = 3
"""Different words of charting from which a text reads like a note."""
