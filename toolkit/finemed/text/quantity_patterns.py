"""How quantities are written: the patterns that `finemed.text.quantities` reads by.

::

    PATTERNS["measured"].search("Give 5 to 10 mg/kg daily.")["top"]  ->  "5 to 10"

Repetition is possessive and bounded throughout, so that no text costs more than its length.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from finemed.text.numerals import NUMBER
from finemed.text.units import PERIODS, SHORT_PERIODS, UNITS, WORDS


def _any_of(spellings: Iterable[str]) -> str:
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return "|".join(re.escape(spelling).replace(r"\ ", r"\s") for spelling in longest_first)


# --- units -----------------------------------------------------------------------------------------------------------

_WORD = rf"(?i:{_any_of(WORDS)})(?![A-Za-z0-9])"
_SYMBOL = rf"(?:{_any_of(set(UNITS) - WORDS)})(?![A-Za-z0-9²³])"
UNIT = rf"(?:{_WORD}|{_SYMBOL}|[CF](?=[\s,.;:)]|$))"
_PERIODS = "|".join(PERIODS)
_PERIOD = rf"(?i:{_PERIODS})\b"
_SHORT = rf"(?:{_any_of(SHORT_PERIODS)})(?![A-Za-z0-9])"
PER = (
    rf"(?:\s?/\s?(?:1\.73\s?)?(?:{UNIT}|{_PERIOD}|{_SHORT})|\s(?i:per)\s(?:{UNIT}|{_PERIOD})"
    rf"|\s(?i:a|an|each|every)\s{_PERIOD}|\s(?i:daily|weekly|monthly|hourly|nightly)\b)"
)
"""What an amount is told for: ``/kg``, ``per day``, ``daily``."""
_VOLUME = r"(?:µL|uL|ul|mm3|mm³|mL|ml|L|(?i:microliter|milliliter|cubic\smillimeter|liter)s?)(?![A-Za-z0-9])"

# --- numbers ---------------------------------------------------------------------------------------------------------

_LEFT = r"(?<![\w.,/:])(?<![A-Za-z0-9][-'’])"
"""Not inside a word, a date, a reference or a name such as ``IL-6``."""
_JOIN = r"(?:\s?-\s?|\s?/\s?|\s(?i:to|or|and|through|up\sto)\s|,\s?(?:(?i:and|or)\s)?)"
NUMBERS = re.compile(rf"(?P<number>{NUMBER})(?P<join>{_JOIN})?")
"""One number of several and what joins it to the next."""
_TOP = rf"(?P<top>{NUMBER}(?>(?:{_JOIN}{NUMBER}){{0,8}}))"
_PLAIN = r"[0-9]+(?:\.[0-9]+)?"
_MANY = (
    r"(?:(?:10{0,2}(?:[,\u00a0]?000)+|100)(?![0-9]|,[0-9])"
    r"|(?i:(?:(?:1|one|a|10|ten|100|hundred)\s){0,2}(?:thousand|million|billion))\b)"
)
"""What rates are told for: 100, 1,000, 100,000, a hundred thousand, million."""

# --- quantities ------------------------------------------------------------------------------------------------------

_EVERY = r"(?:in|out\sof|(?:in|of|for|from|among)\severy)"
_ONE_IN = (
    rf"{_LEFT}(?P<top>{NUMBER}(?:(?:-|\sto\s){NUMBER})?)\s(?i:{_EVERY})\s(?:(?i:about|approximately|every)\s)?"
    rf"(?P<below>{NUMBER}(?:(?:\s?-\s?|\s(?:to|and)\s){NUMBER})?)"
    rf"(?![\w%]|[.,:][0-9]|\s?-?\s?{UNIT}|\s?-?\s?{_PERIOD}|\s?/)"
)
_PER_MANY = (
    rf"{_LEFT}{_TOP}(?:\s[a-z][a-z-]*){{0,4}}?\s?(?:per|/|for\severy|out\sof|in\severy)\s?(?P<below>{_MANY})"
    rf"(?!\s?-?{UNIT})"
)
_LABEL = r"(?P<label>pH|INR|BMI|[Bb]ody\s[Mm]ass\s[Ii]ndex|GCS|T-score|Apgar(?:\sscore)?)(?:\s\((?:BMI|INR)\))?"
_LABELLED = (
    rf"\b{_LABEL}(?:\s(?:level|score|values?|range|of|is|was|at|or|above|below|over|under|between|less|greater|more|higher"
    rf"|lower|than|from|about)){{0,5}}\s?[<>≥≤=]?\s?-?(?P<top>{_PLAIN}(?:{_JOIN}{_PLAIN})?)(?![\w%]|[.,/][0-9])"
)
_PRESSURE = rf"{_LEFT}(?P<top>[0-9]{{2,3}}(?:/|\sover\s)[0-9]{{2,3}})(?:\s?mm\s?[Hh]g)?(?![\w/%]|[.,][0-9])"
_TIMES = (
    rf"(?:{_LEFT}{_TOP}(?:\s|-)?(?i:times|time|x)|\b(?P<once>(?i:once|twice|thrice)))(?:\s|-)?"
    rf"(?:(?i:a|an|per|each|every)\s|/\s?)?(?P<period>(?i:daily|weekly|monthly|hourly|nightly|night|{_PERIODS}))\b"
)
_MEASURED = rf"{_LEFT}{_TOP}(?:\s|-)?(?P<unit>{UNIT})(?P<per>(?>{PER}{{0,3}}))"
_RATE = rf"{_LEFT}{_TOP}(?:\s?/\s?|\sper\s)(?P<unit>{_VOLUME}|min(?:ute)?(?![A-Za-z0-9]))"
_COLON = (
    r"(?<![\w.,:;/-])(?P<top>[0-9]{1,4})\s?:\s?(?P<below>[0-9]{1,7}(?:,[0-9]{3}){0,2})"
    r"(?![\w:%]|[.,][0-9]|-|\s?[ap]\.?m\b)"
)

PATTERNS: dict[str, re.Pattern[str]] = {
    "one in": re.compile(_ONE_IN),
    "per many": re.compile(_PER_MANY),
    "labelled": re.compile(_LABELLED),
    "pressure": re.compile(_PRESSURE),
    "times": re.compile(_TIMES),
    "measured": re.compile(_MEASURED),
    "rate": re.compile(_RATE),
    "colon": re.compile(_COLON),
}
"""In the order in which they take text: what one has taken, a later one does not read again."""

# --- what looks like a duration and is none --------------------------------------------------------------------------

OLD = re.compile(r"[\s-]*(?:old\b|of\s+age\b|of\s+life\b)", re.IGNORECASE)
AGED = re.compile(
    r"\b(?:age[ds]?|(?:older|younger)\s+than|(?:infants?|bab(?:y|ies)|children|child|toddlers?|newborns?)\s+(?:\w+\s+){0,2}?"
    r"(?:under|over|below|above|from|between|who\s+are))\W*(?:\w+\s+){0,2}$",
    re.IGNORECASE,
)
"""Text before an age."""
IDIOMS = re.compile(
    r"(?:24|twenty[- ]four)[- ]hours?[- ](?:a|per)[- ]day|(?:7|seven)[- ]days[- ](?:a|per)[- ]week"
    r"|one (?:day|minute|second)",
    re.IGNORECASE,
)
