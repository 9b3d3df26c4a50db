"""Personal data in anybody's data, column by column; what the detector cannot read is named with its share of rows.

::

    scan = PhiScan()
    scan.look(batch, faults)      # rows.jsonl:17: `context` holds date_of_birth 0.95, name 0.95; ...
    scan.finish(faults)           # not checked: language zh in `instruction`, `response`

The detector reads English. All texts go through it, for a number with its check digit is one in every language; but
only a text that is English, or too short to tell, counts as checked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.publish.checks.exposure import phi_in, sure_of
from finemed.publish.checks.faults import KEPT, Faults
from finemed.publish.checks.foreign_rows import Column, Rows
from finemed.sources.turns import fold
from finemed.text.language import UNKNOWN, same_code
from finemed.text.language_codes import known_code
from finemed.text.phi import LANGUAGES, scan_all
from finemed.text.signals import Words
from finemed.text.vocabulary import Vocabulary

MASK = "remove or mask the column"
REMEDY = "remove it, or leave the record out"
LANGUAGE_COLUMNS = frozenset(("language", "lang", "language_code", "lang_code", "languages"))
HEAD = 2000
"""Characters of a text that its language is told by."""
SHORT = 8
"""Words below which a text in Latin letters is too short to be called another language than English."""
_NAMES = re.compile(
    r"(?:\A|[._ ])(?:(?:patient|person|subject|user|customer|client|contact|emergency_contact|home|guardian)_?)?"
    r"(?P<what>(?:full|first|last|middle|given|family|sur|maiden|patient|mother|father)_?names?|sur_?name|mrn|"
    r"medical_?record(?:_?(?:number|no|num|id))?|(?:hospital|chart)_?(?:number|no)|ssn|social_?security(?:_?(?:number|no))?|"
    r"nhs_?(?:number|no)|dob|date_?of_?birth|birth_?(?:date|day)|(?:street_?|postal_?|mailing_?)?address|"
    r"(?:tele|cell_?|mobile_?)?phones?(?:_?(?:number|no))?|telephone|mobile|fax(?:_?(?:number|no))?|e_?mails?(?:_?address)?|"
    r"passport(?:_?(?:number|no))?|insurance_?(?:id|number|no)|policy_?(?:number|no)|national_?id|"
    r"driver'?s?_?licen[cs]e(?:_?(?:number|no))?|ip_?addr(?:ess)?|zip(?:_?code)?|post(?:al)?_?code|license_?plate|"
    r"credit_?card(?:_?(?:number|no))?|iban|account_?number|dni|cpf|nif|aadhaar|nino)\Z"
)
_OF_PATIENT = re.compile(
    r"(?:patient|person|guardian|next_of_kin)[._](?:name|age_and_name|contact)\Z|subject[._]contact\Z"
)
_SUBJECT = re.compile(r"(?:\A|[._])subject[._]?name\Z")
"""A name of a person, or of what an item of a test is about."""
_BESIDE_PATIENT = re.compile(r"(?:\A|[._])(?:patient|age|sex|gender)(?:\Z|[._])")
_BESIDE_TEST = frozenset(("topic_name", "opa", "cop", "options", "choices", "choice_type"))
_MOST_VALUES = 100_000
"""Different values of a column that are counted."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MASKED = re.compile(
    r"\s*(?:|[\W_]*|[xX*#0_\-. ()/+]+|\W*(?:redacted|removed|masked|anonymi[sz]ed|de-?identified|deidentified|hidden|"
    r"withheld|confidential|unknown|none|null|nan|n/?a|not available|not (?:known|stated|given|provided)|private)\W*|"
    r"[\[<{(][^\]>})]{1,60}[\]>})]|[0-9a-f]{32,128}|true|false)\s*\Z",
    re.IGNORECASE,
)


def personal_column(path: str) -> bool:
    """Whether a column's name says that it holds personal data."""
    name = _plain(path)
    return _NAMES.search(name) is not None or _OF_PATIENT.search(name) is not None


def _plain(path: str) -> str:
    return fold(_CAMEL.sub("_", path)).replace("-", "_").replace(" ", "_")


@dataclass
class _Subjects:
    """A column `subject_name` that nothing beside it explains: of persons where its values mostly differ."""

    places: list[str] = field(default_factory=list)
    """The first, as many as findings keep."""
    rows: int = 0
    counted: int = 0
    values: set[int] = field(default_factory=set)

    def add(self, place: str, value: str) -> None:
        """Takes in one row's value."""
        self.rows += 1
        if len(self.places) < KEPT:
            self.places.append(place)
        if len(self.values) < _MOST_VALUES:
            self.counted += 1
            self.values.add(hash(value))

    def are_persons(self) -> bool:
        """Whether more than half of the values differ."""
        return 2 * len(self.values) > self.counted


@dataclass
class PhiScan:
    """The scan of all rows; holds what could not be checked, by language."""

    rows: dict[str, list[int]] = field(default_factory=dict)
    """Language -> numbers of the rows with a text in it."""
    columns: dict[str, Counter[str]] = field(default_factory=dict)
    opaque: Counter[str] = field(default_factory=Counter)
    vocabulary: Vocabulary = field(default_factory=Vocabulary)
    subjects: dict[str, _Subjects] = field(default_factory=dict)

    def look(self, batch: Rows, faults: Faults) -> None:
        """Scans every column of a batch."""
        stated = [_stated(values) for values in batch.values]
        found: set[int] = set()
        weak: set[int] = set()
        missed: dict[str, set[int]] = {}
        for name, column in batch.columns.items():
            for code, rows in self._unknown(column, stated).items():
                missed.setdefault(code, set()).update(batch.numbers[row] for row in rows)
                self.columns.setdefault(code, Counter())[name] += len(set(rows))
            sure, rows_of_weak = _scan(column)
            weak |= rows_of_weak
            for row, fact in sorted(sure.items()):
                found.add(row)
                kind = f"in `{name}`"
                faults.add("phi", batch.places[row], f"`{name}` holds {fact}", REMEDY, kind=kind)
        for name, rows in batch.opaque.items():
            code = "bytes"
            missed.setdefault(code, set()).update(batch.numbers[row] for row in rows)
            self.columns.setdefault(code, Counter())[name] += len(set(rows))
        for code, numbers in missed.items():
            self.rows.setdefault(code, []).extend(sorted(numbers))
        _together(batch, weak - found, faults)
        self._by_name(batch, faults)

    def _by_name(self, batch: Rows, faults: Faults) -> None:
        """Columns whose names say that they hold personal data, wherever they hold some."""
        for row, values in enumerate(batch.values):
            personal, subjects, names = [], [], set()
            for name, value in _leaves(values):
                names.add(name)
                if value is None or isinstance(value, bool) or _MASKED.match(str(value)[:200]):
                    continue
                if _is_personal(name):
                    personal.append(name)
                elif _SUBJECT.search(_plain(name)):
                    subjects.append((name, str(value)))
            if subjects:
                others = {_plain(name) for name in names}
                if personal or any(map(_BESIDE_PATIENT.search, others)):
                    personal += [name for name, _ in subjects]
                elif _BESIDE_TEST.isdisjoint(others):
                    for name, value in subjects:
                        self.subjects.setdefault(name, _Subjects()).add(batch.places[row], value)
            for name in personal:
                faults.add("phi", batch.places[row], _by_its_name(name), MASK, kind=f"column `{name}`")

    def _unknown(self, column: Column, stated: list[str | None]) -> dict[str, list[int]]:
        """The rows whose text is in a language that the detector does not know, by language."""
        texts = column.series()
        frame = pl.DataFrame({"text": texts})
        counted = frame.select(
            letters=pl.col("text").str.count_matches(r"\p{L}"),
            latin=pl.col("text").str.count_matches(r"\p{Latin}"),
            blanks=pl.col("text").str.count_matches(r"\s+"),
        )
        foreign = (counted["letters"] > 1) & (counted["latin"] * 10 < counted["letters"] * 7)
        long = counted["blanks"] + 1 >= SHORT
        asked = (foreign | long).arg_true()
        if not len(asked):
            return {}
        heads = texts.gather(asked).str.slice(0, HEAD)
        codes = Words(heads, self.vocabulary).languages(pl.Series([None] * len(asked), dtype=pl.String()))
        self.vocabulary.trim()
        missed: dict[str, list[int]] = {}
        for at, code in zip(asked.to_list(), codes, strict=True):
            said = stated[column.rows[at]]
            if foreign[at]:
                code = (
                    code if code not in (UNKNOWN, *LANGUAGES) else said if said not in (None, *LANGUAGES) else "other"
                )
            elif code == UNKNOWN:
                code = said or LANGUAGES[0]
            if code not in LANGUAGES:
                missed.setdefault(str(code), []).append(column.rows[at])
        return missed

    def finish(self, faults: Faults) -> None:
        """Names what was not checked, and what only all rows together say."""
        for name, found in self.subjects.items():
            if found.are_persons():
                for place in found.places:
                    faults.add("phi", place, _by_its_name(name), MASK, kind=f"column `{name}`")
                if found.rows > len(found.places):
                    faults.more("phi", f"column `{name}`", found.rows - len(found.places))
        for code, rows in sorted(self.rows.items(), key=lambda item: (-len(item[1]), item[0])):
            columns = self.columns[code].most_common(6)
            more = len(self.columns[code]) - len(columns)
            names = ", ".join(f"`{name}`" for name, _ in columns) + (f" and {more} more columns" if more else "")
            what = {"other": "a script of another language", "bytes": "bytes"}.get(code, f"language {code}")
            faults.unchecked("phi", f"{what} in {names}", rows)


def _scan(column: Column) -> tuple[dict[int, str], set[int]]:
    """What is surely personal in a column, by the batch's row, and the rows with something less sure."""
    texts = column.series()
    unique = texts.unique(maintain_order=True)
    findings = {unique[at]: found for at, found in scan_all(unique).items()}
    if not findings:
        return {}, set()
    sure: dict[int, str] = {}
    weak: set[int] = set()
    for at in texts.is_in(pl.Series(list(findings), dtype=pl.String()).implode()).arg_true():
        fact = sure_of(findings[texts[at]])
        if fact is None:
            weak.add(column.rows[at])
        else:
            sure.setdefault(column.rows[at], fact)
    return sure, weak


def _together(batch: Rows, rows: set[int], faults: Faults) -> None:
    """What only all parts together make sure: a name in the question, a birth date in the answer."""
    several = [at for at in sorted(rows) if len(batch.parts[at]) > 1]
    texts = pl.Series(["\n".join(part.text for part in batch.parts[at]) for at in several], dtype=pl.String())
    for place, fact in sorted(phi_in(texts).items()):
        at = several[place]
        names = ", ".join(dict.fromkeys(f"`{part.column}`" for part in batch.parts[at]))
        faults.add("phi", batch.places[at], f"{names} together hold {fact}", REMEDY, kind="in all parts together")


def _by_its_name(name: str) -> str:
    return f"`{name}` has a value, and its name says personal data"


_known: dict[str, bool] = {}


def _is_personal(name: str) -> bool:
    if name not in _known:
        if len(_known) > 10_000:
            _known.clear()
        _known[name] = personal_column(name)
    return _known[name]


def _leaves(values: Any) -> Iterable[tuple[str, Any]]:
    """Every scalar outside of messages, with its path."""
    waiting: list[tuple[str, Any]] = [("", values)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend((f"{path}.{name}" if path else str(name), value) for name, value in item.items())
        elif isinstance(item, list | tuple):
            waiting.extend((path, value) for value in item[:100])
        else:
            yield path, item


def _stated(values: Any) -> str | None:
    """The language that a row states, where it is one code that exists."""
    for name, value in values.items():
        if fold(name) in LANGUAGE_COLUMNS and isinstance(value, str) and known_code(value):
            return same_code(value)
    return None
