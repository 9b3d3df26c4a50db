"""Units of medical text: how they are written, what they measure, and how they convert.

::

    UNITS["micrograms"]  ->  Unit("µg", "mass", Fraction(1, 1000))       # in milligrams
    UNITS["°F"]          ->  Unit("°F", "temperature", ...)              # `celsius` knows the offset

Symbols are told apart by case (``mL``, ``g``, ``°C``); words are not. A unit counts as imperial where its conversion is
rounded in practice, so that "100 °F" and "38 °C" are one fact.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

Kind = Literal["dose", "lab", "percentage", "ratio", "frequency", "duration", "measure"]


@dataclass(frozen=True)
class Unit:
    """One unit; equal amounts have equal `factor * number` within a dimension."""

    symbol: str
    dimension: str
    factor: Fraction = Fraction(1)
    imperial: bool = False


# dimension, symbol, factor, symbols as written (case matters), words (any case) with their plural where it is not "s"
_TABLE: tuple[tuple[str, str, str, str, str], ...] = (
    ("mass", "kg", "1000000", "kg kgs Kg KG", "kilogram kilo kilogramme"),
    ("mass", "g", "1000", "g gm gms", "gram gramme"),
    ("mass", "mg", "1", "mg mgs MG Mg", "milligram milligramme"),
    ("mass", "µg", "1/1000", "µg ug mcg MCG", "microgram microgramme"),
    ("mass", "ng", "1/1000000", "ng", "nanogram"),
    ("mass", "pg", "1/1000000000", "pg", "picogram"),
    ("mass", "lb", "45359237/100", "lb lbs", "pound"),
    ("mass", "oz", "28349523125/1000000", "oz", "ounce"),
    ("volume", "L", "1000", "L l", "liter litre"),
    ("volume", "dL", "100", "dL dl", "deciliter decilitre"),
    ("volume", "mL", "1", "mL ml ML mls cc", "milliliter millilitre"),
    ("volume", "µL", "1/1000", "µL µl uL ul", "microliter microlitre"),
    ("volume", "mm³", "1/1000", "mm3 mm³ cmm", "cubic_millimeter cubic_millimetre"),
    ("volume", "cm³", "1", "cm3 cm³", "cubic_centimeter cubic_centimetre"),
    ("volume", "tsp", "492892/100000", "tsp", "teaspoon teaspoonful"),
    ("volume", "tbsp", "1478676/100000", "tbsp", "tablespoon tablespoonful"),
    ("volume", "fl oz", "2957353/100000", "fl_oz", "fluid_ounce"),
    ("volume", "cup", "2365882/10000", "", "cup cupful"),
    ("volume", "pint", "473176/1000", "", "pint"),
    ("volume", "quart", "946353/1000", "", "quart"),
    ("volume", "gallon", "3785412/1000", "", "gallon"),
    ("area", "m²", "1", "m2 m²", "square_meter square_metre"),
    ("length", "km", "1000000", "km", "kilometer kilometre"),
    ("length", "m", "1000", "m", "meter metre"),
    ("length", "cm", "10", "cm", "centimeter centimetre"),
    ("length", "mm", "1", "mm", "millimeter millimetre"),
    ("length", "µm", "1/1000", "µm um", "micrometer micrometre micron"),
    ("length", "nm", "1/1000000", "nm", "nanometer nanometre"),
    ("length", "inch", "254/10", "", "inch:inches"),
    ("length", "ft", "3048/10", "ft", "foot:feet"),
    ("length", "mile", "1609344", "", "mile"),
    ("energy", "kcal", "1", "kcal Kcal cal", "calorie kilocalorie"),
    ("energy", "kJ", "1000/4184", "kJ", "kilojoule"),
    ("activity", "IU", "1", "IU IUs iu I.U. U", "unit international_unit"),
    ("activity", "mIU", "1/1000", "mIU mU", "milliunit"),
    ("activity", "µIU", "1/1000000", "µIU uIU µU", ""),
    ("amount", "mol", "1000", "mol", "mole"),
    ("amount", "mmol", "1", "mmol mmols", "millimole"),
    ("amount", "µmol", "1/1000", "µmol umol", "micromole"),
    ("amount", "nmol", "1/1000000", "nmol", "nanomole"),
    ("amount", "pmol", "1/1000000000", "pmol", "picomole"),
    ("equivalents", "mEq", "1", "mEq meq MEQ", "milliequivalent"),
    ("osmoles", "mOsm", "1", "mOsm mosm", "milliosmole"),
    ("pressure", "mmHg", "1", "mmHg mm_Hg mmhg mm_hg Torr", "millimeters_of_mercury: mm_of_mercury:"),
    ("pressure", "cmH2O", "7356/10000", "cmH2O cm_H2O cmH20", ""),
    ("pressure", "kPa", "75006/10000", "kPa", "kilopascal"),
    ("temperature", "°C", "1", "°C ºC °_C", "degrees_celsius: degrees_c: degrees_centigrade: degree_celsius: celsius:"),
    ("temperature", "°F", "1", "°F ºF °_F", "degrees_fahrenheit: degrees_f: degree_fahrenheit: fahrenheit:"),
    ("angle", "°", "1", "° º", "degree"),
    ("radiation", "Gy", "1", "Gy", "gray"),
    ("radiation", "cGy", "1/100", "cGy", "rad"),
    ("radiation dose", "mSv", "1", "mSv", "millisievert"),
    ("radioactivity", "mCi", "37", "mCi", "millicurie"),
    ("radioactivity", "MBq", "1", "MBq", "megabecquerel"),
    ("frequency of waves", "Hz", "1", "Hz", "hertz:"),
    ("frequency of waves", "kHz", "1000", "kHz", "kilohertz"),
    ("frequency of waves", "MHz", "1000000", "MHz", "megahertz"),
    ("loudness", "dB", "1", "dB", "decibel"),
    ("current", "mA", "1", "mA", "milliampere"),
    ("count", "cells", "1", "", "cell copy:copies platelet colony:colonies lymphocyte leukocyte leucocyte"),
    (
        "per minute",
        "/min",
        "1",
        "bpm beats/min breaths/min",
        "beats_per_minute: beats_a_minute: breaths_per_minute: breaths_a_minute:",
    ),
    ("pills", "tablet", "1", "", "tablet pill capsule caplet lozenge"),
    ("puffs", "puff", "1", "", "puff inhalation spray"),
    ("drops", "drop", "1", "", "drop"),
    ("patches", "patch", "1", "", "patch:patches"),
    ("doses", "dose", "1", "", "dose shot injection"),
    ("glasses", "glass", "1", "", "glass:glasses"),
    ("servings", "serving", "1", "", "serving portion"),
    ("drinks", "drink", "1", "", "drink"),
    ("fold", "-fold", "1", "", "fold:"),
    ("share", "%", "1/100", "%", "percent: per_cent: pct: percentage_point"),
    ("days", "second", "1/86400", "", "second"),
    ("days", "minute", "1/1440", "min mins", "minute"),
    ("days", "hour", "1/24", "hr hrs", "hour"),
    ("days", "day", "1", "", "day"),
    ("days", "week", "7", "", "week"),
    ("months", "month", "1", "", "month"),
    ("months", "year", "12", "", "year"),
)
_IMPERIAL = frozenset(
    (
        "lb",
        "oz",
        "tsp",
        "tbsp",
        "fl oz",
        "cup",
        "pint",
        "quart",
        "gallon",
        "inch",
        "ft",
        "mile",
        "°F",
        "kJ",
        "kPa",
        "cmH2O",
    )
)
PERIODS = ("second", "minute", "hour", "day", "week", "month", "year")
SHORT_PERIODS = {"s": "second", "min": "minute", "h": "hour", "hr": "hour", "d": "day", "wk": "week"}
"""Units of time as they follow a slash."""

_KINDS: dict[str, Kind] = {
    "share": "percentage",
    "days": "duration",
    "months": "duration",
    "pressure": "lab",
    "temperature": "lab",
    "per minute": "lab",
    "osmoles": "lab",
    "length": "measure",
    "area": "measure",
    "energy": "measure",
    "angle": "measure",
    "frequency of waves": "measure",
    "loudness": "measure",
    "current": "measure",
    "glasses": "measure",
    "servings": "measure",
    "drinks": "measure",
    "fold": "ratio",
}


def _spellings() -> tuple[dict[str, Unit], set[str]]:
    known: dict[str, Unit] = {}
    words: set[str] = set()
    for dimension, symbol, factor, symbols, names in _TABLE:
        unit = Unit(symbol, dimension, Fraction(factor), symbol in _IMPERIAL)
        known |= {written.replace("_", " "): unit for written in symbols.split()}
        for name in names.split():
            one, irregular, many = name.replace("_", " ").partition(":")
            forms = {one, many or one} if irregular else {one, one + "s"}
            known |= dict.fromkeys(forms, unit)
            words |= forms
    return known, words


UNITS, WORDS = _spellings()
"""Units by spelling, symbols as they are and words in lower case; and which spellings are words."""


def find_unit(written: str) -> Unit:
    """The unit of a spelling that the patterns found."""
    written = " ".join(written.split())
    return UNITS.get(written) or UNITS.get(f"°{written}") or UNITS[written.lower()]


def kind_of(dimension: str) -> Kind:
    """What a quantity of this dimension (``mass``, ``mass/volume``) is in medical text."""
    what, _, per = dimension.partition("/")
    if "volume" in per or "area" in per:
        return "lab"
    return _KINDS.get(what, "dose")


def celsius(number: Fraction, unit: Unit) -> Fraction:
    """A temperature in degrees Celsius."""
    return (number - 32) * Fraction(5, 9) if unit.symbol == "°F" else number
