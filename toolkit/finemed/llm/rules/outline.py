r"""What the rules know about a passage: its sentences, what kind each is, and which questions it can answer.

::

    outline = Outline.of("Symptoms\nCroup makes a barking cough. Smith AB, Jones C. J Pediatr 2001;12:1-9.")
    [unit.kind for unit in outline.units]  ->  ["heading", "prose", "reference"]

A unit is a sentence, or a stretch of list items with what leads into it; its offsets are those of the text as given, so
an answer can be made of verbatim pieces. Headings, references, table rows and questions are recognised and answer
nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from finemed.llm.rules.lexicon import FINITE
from finemed.llm.rules.pieces import (
    FRAGMENT,
    HEADING,
    LIST,
    POINTER,
    PROSE,
    QUESTION,
    REFERENCE,
    TABLE,
    pieces,
    references,
)
from finemed.llm.rules.tasks import STRONG, task_cues
from finemed.llm.rules.wordlists import word_set, word_table
from finemed.text.normalise import words

ANSWERING = frozenset({PROSE, LIST})
SPARE = frozenset({FRAGMENT, POINTER})
"""A piece without a verb, a remark about the page: they answer where a passage has nothing better."""
MIN_WORDS = 4
CONTEXT = 2
"""What the heading or question above a unit adds to its evidence for a task type."""

_POINTING = word_set("remarks", "words")
_POINTING_PHRASES = {
    head: tuple(f" {phrase} " for phrase in phrases) for head, phrases in word_table("remarks")["phrases"].items()
}
_POINTING_HEADS = _POINTING | frozenset(_POINTING_PHRASES)
_DIGIT = re.compile(r"[0-9]")
_ASCII_WORD = re.compile(r"[a-z0-9]+(?:[.,][0-9]+)*")
"""What `words` finds in a text of this sort, without a copy of each sentence."""
_ASKING = frozenset({QUESTION, HEADING})
_TELLING = ANSWERING | _ASKING
"""Kinds whose cues are looked at; those of the others only where they have to answer."""
_NO_CONTEXT: frozenset[str] = frozenset()
_NOTHING: dict[str, int] = {}
_EXPLANATION = frozenset({"explanation"})
_WHAT_IS = (("what", "is"), ("what", "are"))


class Unit(NamedTuple):
    """A sentence or a stretch of a list: where it stands, its words, and the evidence for each task type."""

    start: int
    end: int
    kind: str
    words: Sequence[str]
    distinct: frozenset[str]
    tasks: Mapping[str, int]
    context: frozenset[str]
    """Task types that the heading or question above it asks for."""

    def evidence(self, task: str) -> int:
        """How well it answers questions of this type, by its words and by the heading above it."""
        return self.tasks.get(task, 0) + (CONTEXT if task in self.context else 0)


@dataclass(frozen=True, slots=True)
class Outline:
    """The units of a passage in order."""

    text: str
    units: tuple[Unit, ...]

    @classmethod
    def of(cls, text: str) -> Outline:
        spans = pieces(text)
        low = text.lower() if text.isascii() else ""
        cited = references(text, spans)
        units: list[Unit] = []
        context = _NO_CONTEXT
        for at, (start, end, kind) in enumerate(spans):
            tokens = _ASCII_WORD.findall(low, start, end) if low else words(text[start:end])
            distinct = frozenset(tokens)
            if kind == LIST and text[end - 1] == "?":
                kind = QUESTION
            kind = REFERENCE if at in cited else kind or _kind(text, start, end, tokens, distinct)
            tasks = task_cues(tokens, distinct) if kind in _TELLING else _NOTHING
            if kind in _ASKING:
                context = _asked_for(tokens, tasks)
            units.append(Unit(start, end, kind, tokens, distinct, tasks, context))
        return cls(text, tuple(units))

    def answering(self) -> list[Unit]:
        """The units that can answer; a spare one only where there is no better."""
        able = [unit for unit in self.units if unit.kind in ANSWERING]
        if able:
            return able
        spare = [unit for unit in self.units if unit.kind in SPARE and len(unit.words) >= MIN_WORDS]
        return [unit._replace(tasks=task_cues(unit.words, unit.distinct)) for unit in spare]

    def lacking(self) -> str:
        """Why nothing here can answer."""
        counts = Counter(unit.kind for unit in self.units)
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        return f"no whole sentence to work on ({kinds or 'no text'})"

    def cut(self, unit: Unit) -> str:
        """The unit's characters."""
        return self.text[unit.start : unit.end]


def _asked_for(tokens: Sequence[str], tasks: Mapping[str, int]) -> frozenset[str]:
    strong = frozenset(task for task, weight in tasks.items() if weight >= STRONG)
    return strong or (_EXPLANATION if tuple(tokens[:2]) in _WHAT_IS else strong)


def _kind(text: str, start: int, end: int, tokens: Sequence[str], distinct: frozenset[str]) -> str:
    last = text[end - 1]
    if last == "?":
        return QUESTION
    if last == ":":
        return HEADING
    if text.find(" | ", start, end) != -1:
        return TABLE
    if _DIGIT.search(text, start, end) and sum([token[0].isdigit() for token in tokens]) * 3 > len(tokens):
        return TABLE
    if (";" in text or "\n" in text) and _is_row(text[start:end], tokens):
        return TABLE
    if len(tokens) < MIN_WORDS:
        return FRAGMENT
    if not distinct.isdisjoint(_POINTING_HEADS) and _points(tokens, distinct & _POINTING_HEADS):
        return POINTER
    if text[start].islower():
        return FRAGMENT
    if not distinct.isdisjoint(FINITE):
        return PROSE
    return PROSE if last in ".!" and len(tokens) >= 6 and text[start].isupper() else FRAGMENT


def _is_row(chunk: str, tokens: Sequence[str]) -> bool:
    """Whether a piece is made of many short lines, or lists names with their affiliations."""
    lines = chunk.count("\n")
    if lines > 5 and len(tokens) < 6 * lines:
        return True
    if chunk.count(";") < 3:
        return False
    return sum(token[0].isupper() for token in chunk.split()) * 2 > len(tokens)


def _points(tokens: Sequence[str], heads: frozenset[str]) -> bool:
    if not heads.isdisjoint(_POINTING):
        return True
    line = f" {' '.join(tokens)} "
    for head in heads:
        for phrase in _POINTING_PHRASES[head]:
            if phrase in line:
                return True
    return False
