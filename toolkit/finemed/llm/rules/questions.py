"""Builds two questions of different task type from a passage's own terms; no model involved.

::

    build_questions(passage, offered=("treatment", "mechanism", ...), difficulty="intermediate")
    ->  [Question("How is croup treated, and what role does stridor have?", "treatment"), ...]

A task type is taken up where a sentence has evidence for it, in the order in which the types are offered. The two
questions share at most half of their words; where that cannot be had, the passage is refused rather than asked twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import islice
from typing import NamedTuple

import xxhash

from finemed.llm.rules.frames import FINDINGS, TIERS, Frame, frames_for
from finemed.llm.rules.outline import Unit
from finemed.llm.rules.passages import Entry, Passage, place_of
from finemed.llm.rules.phrases import Phrase
from finemed.llm.rules.tasks import asked_tasks
from finemed.llm.rules.wordlists import word_set
from finemed.records import OTHER_TASK
from finemed.text.normalise import words

MAX_SHARED = 0.5
"""Jaccard similarity of the words of a passage's two questions."""
MAX_QUESTION_WORDS = 40
_UNITS = 3
"""Sentences per task type that are tried."""
_DRAFTS = 12
"""Questions per task type that are tried beside those before."""
_STAFF = word_set("questions", "staff")
_UNFIT: Mapping[str, frozenset[str]] = {
    "mechanism": _STAFF,
    "next_step": frozenset({"inheritance"}),
    "counselling": frozenset({"inheritance"}),
    "presentation": _STAFF | word_set("questions", "no_finding"),
}
_UNFIT_ELSEWHERE = _STAFF | {"inheritance"}
"""Words of phrases that a task type cannot be asked about; a drug is no symptom."""
_DEICTIC = re.compile(
    r"\b(?:the|this|that|these) (?:passage|text|article|study|studies|paper|document|excerpt|table|figure|report|page|authors?|case)\b"
    r"|\b(?:above|below|aforementioned|mentioned (?:above|earlier)|given (?:text|information))\b|\bfigure \d|\btable \d"
    r"|\baccording to (?:the|this)\b|\bthis patient\b",
    re.IGNORECASE,
)


_POINTERS = word_set("questions", "pointers")


class Question(NamedTuple):
    """A question and what it asks for."""

    text: str
    task: str


class NoQuestionsError(ValueError):
    """The passage cannot be asked about; the message says why."""


class _Draft(NamedTuple):
    question: Question
    words: frozenset[str]


def is_deictic(question: str) -> bool:
    """Whether a question points at something that its reader cannot see."""
    return _DEICTIC.search(question) is not None


def shared(one: frozenset[str], other: frozenset[str]) -> float:
    """Jaccard similarity."""
    common = len(one & other)
    return common / max(1, len(one) + len(other) - common)


def guess_task(question: str) -> str:
    """The task type that a question's own words point to most clearly, else `other`."""
    leading = asked_tasks(question)
    return leading[0] if len(leading) == 1 else OTHER_TASK


def build_questions(passage: Passage, offered: Sequence[str], difficulty: str) -> tuple[Question, Question]:
    """Two questions of different type that share at most half of their words.

    Args:
        passage: what the questions are about.
        offered: task types in the order in which they are wanted.
        difficulty: one of `TIERS`; where a sentence has no second phrase to ask about, the question is an easier one.

    Raises:
        NoQuestionsError: the passage has no two things to ask, or no two ways to ask them.
    """
    earlier: list[_Draft] = []
    closest = 1.0
    for task, drafts in _wanted(passage, offered, TIERS.index(difficulty)):
        rivals = [draft for draft in earlier if draft.question.task != task]
        first = None
        for draft in islice(drafts, _DRAFTS if rivals else 1):
            first = first or draft
            for other in rivals:
                common = shared(draft.words, other.words)
                if common <= MAX_SHARED:
                    return other.question, draft.question
                closest = min(closest, common)
        if first is not None:
            earlier.append(first)
    tasks = sorted({draft.question.task for draft in earlier})
    if len(tasks) < 2:
        raise NoQuestionsError(f"only one thing to ask about ({''.join(tasks) or 'none'})")
    raise NoQuestionsError(f"its questions share too many words (Jaccard {closest:.2f} at least)")


def _wanted(passage: Passage, offered: Sequence[str], tier: int) -> Iterator[tuple[str, Iterator[_Draft]]]:
    """Task types with their drafts in the order offered: those with good evidence, then those with some.

    Where the evidence is poor, a question on a phrase of the sentence is surer of an answer than a sweeping one.
    """
    rest = []
    for task in offered:
        if task in passage.supported:
            yield task, _drafts(passage, task, tier, passage.entries(task))
        else:
            rest.append(task)
    for task in rest:
        yield task, _drafts(passage, task, tier, passage.entries(task), narrow=True)
    if "explanation" in offered:
        yield "explanation", _drafts(passage, "explanation", max(tier, 1), passage.every_unit())
    for task in rest:
        yield task, _drafts(passage, task, tier, passage.entries(task))


def _drafts(
    passage: Passage, task: str, tier: int, entries: Sequence[Entry], *, narrow: bool = False
) -> Iterator[_Draft]:
    """The questions of one task type, each a template filled with phrases of one unit.

    Args:
        passage: what they are about.
        task: what they ask for.
        tier: the hardest level of templates to use.
        entries: the units that can answer, best first.
        narrow: leave out templates that name nothing but the topic.
    """
    turn = xxhash.xxh64_intdigest(task.encode(), passage.seed)
    for level in range(tier, -1, -1):
        for entry in entries[:_UNITS]:
            place = place_of(entry.unit)
            for frame in frames_for(passage.topic.kind, task):
                if _fits(frame, entry.unit, place):
                    templates = frame.templates[level]
                    turned = _turned(templates, turn % len(templates), (turn >> 32) % 3 == 0)
                    yield from _of_frame(passage, frame, entry.unit, turned, narrow)


def _fits(frame: Frame, unit: Unit, place: str) -> bool:
    if frame.needs and frame.needs.isdisjoint(unit.distinct):
        return False
    if frame.place == place:
        return True
    named = bool(frame.needs) and frame.task in ("mechanism", "complications")
    return not frame.place and place == FINDINGS and (named or frame.task == "presentation")


@cache
def _turned(templates: tuple[str, ...], start: int, sweeping_first: bool) -> tuple[str, ...]:
    """The templates from another beginning, those that name a phrase last or first."""
    ordered = [*templates[start:], *templates[:start]]
    return tuple(sorted(ordered, key=lambda template: ("{f" in template) == sweeping_first))


def _of_frame(passage: Passage, frame: Frame, unit: Unit, templates: Sequence[str], narrow: bool) -> Iterator[_Draft]:
    able: Sequence[Phrase] | None = None
    firsts: Sequence[Phrase] = ()
    for template in templates:
        if "{f" not in template:
            if not narrow and not frame.rate:
                yield from _filled(template, passage, frame.task, (), ())
            continue
        if able is None:
            able = _askable(passage, frame, unit)
            firsts = [phrase for phrase in able if phrase.rate] if frame.rate else able
        if firsts:
            yield from _filled(template, passage, frame.task, firsts, able)


def _askable(passage: Passage, frame: Frame, unit: Unit) -> Sequence[Phrase]:
    """The unit's phrases that can be asked about in this frame."""
    if frame.needs and place_of(unit) == FINDINGS:
        return ()  # the other findings have nothing to do with what the frame asks
    unfit = _UNFIT.get(frame.task, _UNFIT_ELSEWHERE)
    return [
        phrase
        for phrase in passage.phrases(unit)
        if unfit.isdisjoint(phrase.words) and frame.needs.isdisjoint(phrase.words)
    ]


def _filled(
    template: str, passage: Passage, task: str, firsts: Sequence[Phrase], able: Sequence[Phrase]
) -> Iterator[_Draft]:
    """The template with the first phrases that repeat neither its words nor each other's, if it makes a question."""
    own = _words_of(template)
    pair: list[Phrase] = []
    for name, choice in (("{f", firsts), ("{g", able)):
        if name in template:
            taken = own | pair[0].specific if pair else own
            found = next((phrase for phrase in choice if taken.isdisjoint(phrase.specific)), None)
            if found is None:
                return
            pair.append(found)
    first, second = (*pair, None, None)[:2]
    text = template.format(t=passage.topic.phrase, f=first, g=second)
    asked = frozenset(words(text))
    if text.count(" ") < MAX_QUESTION_WORDS and (asked.isdisjoint(_POINTERS) or not is_deictic(text)):
        yield _Draft(Question(text, task), asked)


@cache
def _words_of(template: str) -> frozenset[str]:
    return frozenset(words(template))
