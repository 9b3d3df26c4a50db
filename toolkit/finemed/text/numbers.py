"""Numbers of an answer that its passage does not hold: doses, laboratory values, percentages, ratios, durations.

::

    found = ungrounded_numbers("Take 400 mg three times a day.", "The usual dose is 0.2 g, three times daily.")
    [(each.kind, each.text, each.value) for each in found]  ->  [("dose", "400 mg", "400 mg")]

A number counts as held where passage or question has the same amount: in another unit (0.4 g for 400 mg, 104 °F for
40 °C, 20% for 1 in 5), in another spelling, as an end of a range or in an enumeration. ``5 mg`` is not held by
``5 mg/kg``, nor 7 mg by 5 to 10 mg.
"""

from __future__ import annotations

import re
from collections import defaultdict
from fractions import Fraction
from functools import cached_property

from finemed.text.numerals import NUMBER, PLAIN
from finemed.text.quantities import Amount, Quantity, quantities
from finemed.text.quantity_patterns import UNIT

ROUNDING = Fraction(1, 40)
"""By how much an amount may differ where units were converted that are rounded in practice."""
DEGREES = Fraction(35, 100)
SHARE, SMALL = Fraction(1, 200), Fraction(1, 20)
"""By how much a percentage may differ from a ratio (a third is 33%), and the share from which it may."""
TABLE_REACH = 300
"""Characters between a unit that stands alone, as tables have it, and a number without one."""

_FRACTIONS = {
    r"half|halves": Fraction(1, 2),
    r"(?:one|a)[\s-]third": Fraction(1, 3),
    r"two[\s-]thirds": Fraction(2, 3),
    r"(?:one|a)[\s-](?:quarter|fourth)": Fraction(1, 4),
    r"three[\s-](?:quarters|fourths)": Fraction(3, 4),
    r"(?:one|a)[\s-]fifth": Fraction(1, 5),
    r"(?:one|a)[\s-]tenth": Fraction(1, 10),
}
_FOLDS = {"double[ds]?|doubling": Fraction(2), "triple[ds]?|tripling": Fraction(3)}
_LATIN = {r"q\.?d|daily|nightly": 1, r"b\.?i\.?d": 2, r"t\.?i\.?d": 3, r"q\.?i\.?d": 4}
_EVERY_HOURS = re.compile(r"\bq\.?\s?([0-9]{1,2})\s?h(?:r|rs|ours)?\b")
_HEAD = re.compile(rf"(?<=[(\[,\t])\s?(?:in\s)?(?P<unit>{UNIT}(?:/{UNIT})?)(?=\s?[)\]])")
_NUMBER = re.compile(rf"(?<![\w.,/:-])(?=[0-9.]){NUMBER}(?![\w%/]|[.,][0-9])")


def ungrounded_numbers(answer: str, passage: str, question: str = "") -> list[Quantity]:
    """The quantities of an answer that neither passage nor question holds, in the answer's order."""
    claimed = quantities(answer)
    if not claimed:
        return []
    ground = _Ground(f"{passage}\n\n{question}")
    return [each for each in claimed if not all(ground.holds(amount) for amount in each.amounts)]


class _Ground:
    """What a text holds."""

    def __init__(self, text: str) -> None:
        self._plain = text.translate(PLAIN)
        self._quantities = quantities(text, ground=True)
        self._held: dict[str, list[Amount]] = defaultdict(list)
        for quantity in self._quantities:
            for amount in quantity.amounts:
                self._hold(amount)
        for pattern, share in _FRACTIONS.items():
            if re.search(rf"\b(?:{pattern})\b", self._plain, re.IGNORECASE):
                self._hold(Amount(share, "share", "", rounded=True))
        for pattern, fold in _FOLDS.items():
            if re.search(rf"\b(?:{pattern})\b", self._plain, re.IGNORECASE):
                self._hold(Amount(fold, "fold", "", rounded=False))
        for pattern, times in _LATIN.items():
            if re.search(rf"\b(?:{pattern})\b", self._plain, re.IGNORECASE):
                self._hold(Amount(Fraction(times), "times", "day", rounded=False))
        for match in _EVERY_HOURS.finditer(self._plain):
            self._hold(Amount(Fraction(int(match.group(1)), 24), "days", "", rounded=False))

    def _hold(self, amount: Amount) -> None:
        self._held[amount.dimension].append(amount)

    def holds(self, amount: Amount) -> bool:
        """Whether the text has this amount."""
        if any(_same(amount, held) for held in self._held[amount.dimension]):
            return True
        if amount.dimension == "times" and amount.number == 1:  # "once a week" for "weekly", "a week", "each week"
            return re.search(rf"\b{amount.period}|\bdaily\b", self._plain, re.IGNORECASE) is not None
        if amount.dimension in ("temperature", "angle") and self._holds_degrees(amount):
            return True
        return any(_same(amount, held) for held in self._table if held.dimension == amount.dimension)

    def _holds_degrees(self, amount: Amount) -> bool:
        """Whether the number stands with degrees of no scale, such as "101 degrees"."""
        other = "angle" if amount.dimension == "temperature" else "temperature"
        scales = {amount.number, amount.number * Fraction(9, 5) + 32, (amount.number - 32) * Fraction(5, 9)}
        return any(abs(scale - held.number) <= DEGREES for scale in scales for held in self._held[other])

    @cached_property
    def _table(self) -> list[Amount]:
        """Numbers without a unit after a unit without a number, as in a column with its head."""
        spans = [(quantity.start, quantity.end) for quantity in self._quantities]
        rest = _without(self._plain, spans)
        heads = list(_HEAD.finditer(rest))
        if not heads:
            return []
        found: list[Amount] = []
        place = 0
        for match in _NUMBER.finditer(_without(rest, [head.span() for head in heads])):
            while place + 1 < len(heads) and heads[place + 1].end() <= match.start():
                place += 1
            if 0 <= match.start() - heads[place].end() <= TABLE_REACH:
                for read in quantities(f"{match.group()} {heads[place]['unit']}", ground=True)[:1]:
                    found += read.amounts
        return found


def _without(text: str, spans: list[tuple[int, int]]) -> str:
    parts, position = [], 0
    for start, end in spans:
        parts += [text[position:start], "\0" * (end - start)]
        position = end
    return "".join([*parts, text[position:]])


def _same(claimed: Amount, held: Amount) -> bool:
    if claimed.period and held.period and claimed.period != held.period:
        return False
    if claimed.number == held.number:
        return True
    difference = abs(claimed.number - held.number)
    if claimed.dimension == "temperature":
        return difference <= DEGREES and claimed.rounded != held.rounded
    if claimed.dimension == "share":
        return difference <= SHARE and held.number >= SMALL and claimed.rounded != held.rounded
    return claimed.rounded != held.rounded and difference <= ROUNDING * held.number
