"""Answers made of a passage's own sentences, verbatim, with their offsets.

::

    extract(outline, "How is croup treated?", 2)
    ->  Extract("A single oral dose ... is the treatment of choice. ...", ((412, 530), (531, 610)))

The text is the pieces ``text[start:end]`` joined by blanks, so anyone can look up where an answer stands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from math import fsum
from operator import itemgetter
from typing import NamedTuple

from finemed.llm.rules.lexicon import FUNCTION_WORDS, GENERIC
from finemed.llm.rules.outline import SPARE, Outline, Unit
from finemed.llm.rules.tasks import asked_tasks
from finemed.text.normalise import words

ANAPHORA = frozenset("it they he she this these those such its their both also however therefore".split())  # noqa: SIM905
"""First words that refer to the sentence before."""
RELEVANT = 0.25
"""Share of the best sentence's score that another one needs to be taken up."""


ANYTHING = float("-inf")
"""Takes sentences up however little they share with the question, as context of the better ones."""


class Extract(NamedTuple):
    """Sentences of a passage and where they stand in its text."""

    text: str
    spans: tuple[tuple[int, int], ...]


def extract(outline: Outline, ranked: Sequence[Unit]) -> Extract:
    """The chosen units verbatim, in the passage's order."""
    spans = tuple(sorted((unit.start, unit.end) for unit in ranked))
    return Extract(" ".join(outline.text[start:end] for start, end in spans), spans)


def rank_units(outline: Outline, question: str) -> list[tuple[float, Unit]]:
    """The units that can answer, each with how much it helps with the question, best first."""
    units = outline.answering()
    asked = words(question)
    forms = _forms(asked)
    tasks = asked_tasks(question)
    held = [frozenset(map(forms.get, unit.distinct & forms.keys())) for unit in units]
    counts = Counter(base for bases in held for base in bases)
    scored = []
    for unit, bases in zip(units, held, strict=True):
        overlap = fsum(1.0 / counts[base] for base in bases)  # exact, so the order of a set is no matter
        evidence = max((min(unit.evidence(task), 8) for task in tasks), default=0)
        spare = 0.5 * (unit.kind in SPARE)
        scored.append((overlap + 0.1 * evidence - spare, unit))
    return sorted(scored, key=lambda entry: (-entry[0], entry[1].start))


def choose(outline: Outline, question: str, most: int, *, relevant: float = RELEVANT) -> list[Unit]:
    """Up to so many units that answer the question, with what the first word of one of them may refer to.

    Args:
        outline: of the passage.
        question: what is asked.
        most: how many units at most.
        relevant: share of the best unit's score that a further one needs.
    """
    ranked = rank_units(outline, question)
    if not ranked:
        return []
    least = relevant if relevant == ANYTHING else relevant * max(0.0, ranked[0][0])
    ordered = sorted((unit for _, unit in ranked), key=itemgetter(0))
    before = {unit.start: earlier for earlier, unit in pairwise(ordered)}
    chosen: list[Unit] = []
    for score, unit in ranked:
        if len(chosen) >= most or (chosen and score < least):
            break
        if any(unit.words == other.words for other in chosen):
            continue
        chosen.append(unit)
        antecedent = before.get(unit.start)
        if antecedent and unit.words[0] in ANAPHORA and antecedent not in chosen and len(chosen) < most:
            chosen.append(antecedent)
    return chosen


def content_words(text: str) -> list[str]:
    """Words that carry meaning: no function words, nothing that names nothing, three letters at least."""
    return [word for word in words(text) if len(word) > 2 and word not in FUNCTION_WORDS and word not in GENERIC]


def _forms(asked: Sequence[str]) -> dict[str, str]:
    """The content words in singular and plural, each with its singular."""
    forms = {}
    for word in asked:
        if len(word) > 2 and word not in FUNCTION_WORDS and not word[0].isdigit():
            base = word[:-1] if word[-1] == "s" and len(word) > 3 and word[-2] not in "su" else word
            forms[base] = forms[base + "s"] = base
    return forms
