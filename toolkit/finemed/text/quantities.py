"""Finds quantities in medical text: doses, laboratory values, percentages, ratios, frequencies, durations, measures.

::

    [found.value for found in quantities("Give 5-10 mg/kg twice a day; 1 in 5 relapses within two weeks.")]
    ->  ["5-10 mg/kg", "2 times/day", "1 in 5", "2 week"]

A quantity is a number with a unit, a ratio of two numbers, or a labelled value such as a pH. Ages, years, dates and
the numbers of lists, sections, types and genes are none. Read as `ground`, a text also gives every number of an
enumeration the unit that closes it ("5, 10 and 20 mg"), and counts years: what another text may rest on, rather than
what it claims.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from finemed.text.numerals import PLAIN, read_number, show_number
from finemed.text.quantity_patterns import AGED, IDIOMS, NUMBERS, OLD, PATTERNS, PER
from finemed.text.units import PERIODS, SHORT_PERIODS, WORDS, Kind, Unit, celsius, find_unit, kind_of


class Amount(NamedTuple):
    """One number with its unit, in the base unit of its dimension."""

    number: Fraction
    dimension: str
    """Such as ``mass`` or ``mass/volume``."""
    period: str
    """Unit of time that it is told for, such as ``day`` in mg/day; empty without one."""
    rounded: bool
    """Whether its unit is one that conversions round."""


@dataclass(frozen=True)
class Quantity:
    """One quantity of a text."""

    kind: Kind
    text: str
    """As it stands in the text."""
    start: int
    end: int
    value: str
    """Normalised: ``5 mg``, ``40 %``, ``5-10 mg/kg``, ``1 in 5``, ``2 times/day``, ``2 weeks``, ``pH 7.4``."""
    amounts: tuple[Amount, ...]
    """Its numbers: one, or the ends of a range."""


_YEAR = re.compile(r"(?:19|20)\d\d(?![\d,.])")
_MANY = {"a": 1, "one": 1, "ten": 10, "hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9}
_TIMES = {"once": Fraction(1), "twice": Fraction(2), "thrice": Fraction(3)}
_BODY_PARTS = ("foot", "feet")
_DEGREES = (Fraction(10), Fraction(130))
"""Numbers that a bare ``C`` or ``F`` makes a temperature."""


# --- reading ---------------------------------------------------------------------------------------------------------


def quantities(text: str, *, ground: bool = False) -> list[Quantity]:
    """The quantities of a text, in order.

    Args:
        text: any text.
        ground: read as what another text may rest on.
    """
    plain = text.translate(PLAIN)
    left, found = plain, []
    for name, pattern in PATTERNS.items():
        rest, position = [], 0
        for match in pattern.finditer(left):
            read = _read(name, match, plain, ground)
            if read is not None:
                start, kind, value, amounts = read
                found.append(Quantity(kind, text[start : match.end()], start, match.end(), value, amounts))
                rest += [left[position:start], "\0" * (match.end() - start)]
                position = match.end()
        left = "".join([*rest, left[position:]])
    return sorted(found, key=lambda quantity: quantity.start)


_Read = tuple[int, Kind, str, tuple[Amount, ...]]


def _read(name: str, match: re.Match[str], plain: str, ground: bool) -> _Read | None:
    if name in ("one in", "per many", "colon"):
        return _ratio(name, match)
    if name == "times" and match["once"]:
        period = _period(match["period"])
        number = _TIMES[match["once"].lower()]
        return match.start(), "frequency", f"{number} times/{period}", (Amount(number, "times", period, False),)
    start, numbers, shown = _enumerated(match, plain, ground)
    if name == "times":
        period = _period(match["period"])
        return start, "frequency", f"{shown} times/{period}", _amounts(numbers, "times", period)
    if name == "labelled":
        label = {"b": "BMI", "a": "Apgar"}.get(match["label"][0].lower(), match["label"])
        dimension = "mass/area" if label == "BMI" else label
        factor = 10**6 if label == "BMI" else 1
        return match.start(), "lab", f"{label} {shown}", _amounts([number * factor for number in numbers], dimension)
    if name == "pressure":
        return _pressure(match)
    if name == "rate":
        if match["unit"].startswith("min"):
            return start, "lab", f"{shown}/min", _amounts(numbers, "per minute")
        unit = find_unit(match["unit"])
        return start, "lab", f"{shown}/{unit.symbol}", _amounts([n / unit.factor for n in numbers], "count/volume")
    return _measured(match, plain, ground, start, numbers, shown)


def _amounts(numbers: list[Fraction], dimension: str, period: str = "", rounded: bool = False) -> tuple[Amount, ...]:
    return tuple(Amount(number, dimension, period, rounded) for number in numbers)


def _enumerated(match: re.Match[str], plain: str, ground: bool) -> tuple[int, list[Fraction], str]:
    """Where the numbers that the unit belongs to begin, their values, and how they are shown.

    A claim takes ranges and alternatives ("5 to 10", "5/10", "5 or 10", "between 5 and 10"), a ground the whole
    enumeration.
    """
    parts = [
        (part.start(), read_number(part["number"]), " ".join((part["join"] or "").lower().split()))
        for part in NUMBERS.finditer(plain, match.start("top"), match.end("top"))
    ]
    first = len(parts) - 1
    while first > 0:
        join = parts[first - 1][2]
        between = join == "and" and re.search(
            r"\b(?:between|from)\s+$", plain[: parts[first - 1][0]][-20:], re.IGNORECASE
        )
        if not (ground or between or join in ("-", "/", "to", "or", "through", "up to")):
            break
        first -= 1
    kept = _share_scale(parts[first:], plain[: match.end("top")])
    shown = ""
    for _, number, join in kept:
        shown += show_number(number) + {"/": "/", "or": " or ", ",": ", "}.get(join, "-")
    return kept[0][0], [number for _, number, _ in kept], shown.rstrip(" -/,or")


def _share_scale(parts: list[tuple[int, Fraction, str]], plain: str) -> list[tuple[int, Fraction, str]]:
    """Gives the scale of the last number to those before it: "5 to 10 million", "4.5-11 x 10^9"."""
    start, last, _ = parts[-1]
    scale = re.search(r"\s*x\s*10\S+$|(?:[ -]?(?i:hundred|thousand|million|billion))+$", plain[start:])
    if scale is None or len(parts) == 1:
        return parts
    factor = last / read_number(plain[start : start + scale.start()])
    return [(place, number * factor if number < factor else number, join) for place, number, join in parts[:-1]] + [
        parts[-1]
    ]


def _ratio(name: str, match: re.Match[str]) -> _Read | None:
    tops = _numbers(match["top"])
    belows = [_many(match["below"])] if name == "per many" else _numbers(match["below"])
    if not all(belows):
        return None
    if name == "colon" and (_is_clock(match["top"], match["below"]) or _YEAR.match(match["top"])):
        return None
    if name == "one in" and (max(tops) >= min(belows) or (_YEAR.match(match["below"]) and tops != [1])):
        return None
    join = {"one in": " in ", "per many": " per ", "colon": ":"}[name]
    shown = join.join("-".join(map(show_number, numbers)) for numbers in (tops, belows))
    shares = [top / below for top in tops for below in belows]
    return match.start(), "ratio", shown, _amounts(shares, "share", rounded=True)


def _numbers(written: str) -> list[Fraction]:
    return [read_number(part["number"]) for part in NUMBERS.finditer(written)]


def _many(written: str) -> Fraction:
    """The value of "100,000", "a hundred thousand" or "million"."""
    if written[-1].isdigit():
        return read_number(written)
    value = Fraction(1)
    for word in written.lower().split():
        value *= read_number(word) if word[0].isdigit() else _MANY[word]
    return value


def _is_clock(hours: str, minutes: str) -> bool:
    return len(minutes) == 2 and int(hours) < 24 and int(minutes) < 60 and (minutes[0] == "0" or int(hours) > 3)


def _pressure(match: re.Match[str]) -> _Read | None:
    upper, lower = (Fraction(number) for number in re.findall("[0-9]+", match["top"]))
    if not (70 <= upper <= 260 and 30 <= lower <= 160 and upper > lower):
        return None
    return match.start(), "lab", f"{upper}/{lower} mmHg", _amounts([upper, lower], "pressure")


def _period(written: str) -> str:
    adverbs = {"daily": "day", "nightly": "day", "night": "day", "weekly": "week", "monthly": "month", "hourly": "hour"}
    return adverbs.get(written.lower(), written.lower())


def _measured(
    match: re.Match[str], plain: str, ground: bool, start: int, numbers: list[Fraction], shown: str
) -> _Read | None:
    unit = find_unit(match["unit"])
    if _is_no_unit(match, plain, start, numbers):
        return None
    if not ground and unit.dimension in ("days", "months") and _is_no_duration(match, plain, start, unit):
        return None
    per, period, told = _told_per(match["per"])
    dimension = "/".join([unit.dimension, *(below.dimension for below in per)])
    factor = unit.factor / math.prod(below.factor for below in per)
    rounded = unit.imperial or any(below.imperial for below in per)
    values = [celsius(number, unit) if unit.dimension == "temperature" else number * factor for number in numbers]
    space = "" if unit.symbol[0] in "-/" else " "
    return start, kind_of(dimension), f"{shown}{space}{unit.symbol}{told}", _amounts(values, dimension, period, rounded)


def _told_per(written: str) -> tuple[list[Unit], str, str]:
    """What an amount is told for ("/kg per day"): the units that divide it, the unit of time, and how it is shown."""
    per, period, shown = [], "", ""
    for part in re.findall(PER, written):
        name = re.sub(r"^(?:/|per\s|an?\s|each\s|every\s)\s?(?:1\.73\s?)?", "", part.strip(), flags=re.IGNORECASE)
        short = _period(SHORT_PERIODS.get(name, name))
        unit = find_unit(short if short in PERIODS else name)
        if unit.dimension in ("days", "months", "doses"):
            period = period or unit.symbol
        else:
            per.append(unit)
        shown += f"/{unit.symbol}"
    return per, period, shown


def _is_no_unit(match: re.Match[str], plain: str, start: int, numbers: list[Fraction]) -> bool:
    """Letters that are a unit after other numbers: "one m", "two feet", "2 C", "two second-line drugs"."""
    written = " ".join(match["unit"].lower().split())
    spelled = not re.search(r"[0-9½¼¾⅓⅔⅛⅕⅙]", plain[start : match.end("top")])
    if match["unit"] in ("C", "F"):
        return spelled or not all(_DEGREES[0] <= number <= _DEGREES[1] for number in numbers)
    if spelled and written != "%" and (written not in WORDS or written in _BODY_PARTS):
        return True
    return written == "second" and plain[match.start("unit") - 1] != "-"


def _is_no_duration(match: re.Match[str], plain: str, start: int, unit: Unit) -> bool:
    """Years, ages and turns of phrase."""
    idiom = IDIOMS.fullmatch(plain, start, match.end())
    aged = OLD.match(plain, match.end()) or AGED.search(plain[max(0, start - 60) : start])
    return bool(unit.symbol == "year" or idiom or aged)
