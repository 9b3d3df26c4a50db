"""A passage as questions see it: its topic, what answers which task type, and the phrases to ask about.

::

    passage = Passage(outline, topic, terms)
    passage.entries("treatment")[0].unit   ->  the sentence that says most about treatment
    passage.phrases(unit)[0]               ->  the most telling phrase in it beside the topic
"""

from __future__ import annotations

from functools import cached_property
from operator import itemgetter
from typing import NamedTuple

import xxhash

from finemed.llm.rules.frames import FINDINGS, RESEARCH
from finemed.llm.rules.outline import Outline, Unit
from finemed.llm.rules.phrases import Phrase, find_phrases
from finemed.llm.rules.pieces import LIST, POINTER
from finemed.llm.rules.tasks import SUPPORTED
from finemed.llm.rules.terms import Terms
from finemed.llm.rules.topics import Topic
from finemed.text.normalise import words

SCANNED = 160
"""Characters of a sentence that are searched for phrases; it is cut there at a comma."""
_RANK = itemgetter(0, 1)
_ALWAYS_FINDINGS = frozenset({"explanation", "differential_diagnosis", "presentation"})
"""Task types on which a list of findings always has something to say."""


class Entry(NamedTuple):
    """A unit that can answer questions of one task type; the smallest `rank` is the best."""

    rank: int
    position: int
    weight: int
    unit: Unit


class Passage:
    """An outline with its topic; evidence and phrases are worked out as they are asked for."""

    def __init__(self, outline: Outline, topic: Topic, terms: Terms) -> None:
        self.outline = outline
        self.topic = topic
        self._terms = terms
        self._units = [
            (unit, place_of(unit), 3 * (not topic.words.isdisjoint(unit.distinct)) - min(position, 9))
            for position, unit in enumerate(outline.answering())
        ]
        self._entries: dict[str, list[Entry]] = {}
        self._phrases: dict[int, list[Phrase]] = {}

    @cached_property
    def supported(self) -> frozenset[str]:
        """The task types that a unit has good evidence for."""
        tasks = {task for unit, _, _ in self._units for task, weight in unit.tasks.items() if weight >= SUPPORTED}
        tasks |= {
            task
            for unit, _, _ in self._units
            for task in unit.context
            if task not in tasks and unit.evidence(task) >= SUPPORTED
        }
        return frozenset(tasks | {"presentation"} if any(place == FINDINGS for _, place, _ in self._units) else tasks)

    @cached_property
    def seed(self) -> int:
        """What the choice among equal wordings hangs on: the text alone."""
        return xxhash.xxh64_intdigest(self.outline.text.encode("utf-8", "surrogatepass"))

    def entries(self, task: str) -> list[Entry]:
        """The units with evidence for a task type, best first."""
        if task not in self._entries:
            found = []
            for position, (unit, place, bonus) in enumerate(self._units):
                weight = unit.evidence(task)
                if place == FINDINGS and task in _ALWAYS_FINDINGS:
                    weight += SUPPORTED if task == "presentation" else 1
                if weight:
                    found.append(Entry(-4 * min(weight, 8) - bonus, position, weight, unit))
            found.sort(key=_RANK)
            self._entries[task] = found
        return self._entries[task]

    def every_unit(self) -> list[Entry]:
        """All units that can answer anything, in order."""
        return [Entry(0, position, 0, unit) for position, (unit, _, _) in enumerate(self._units)]

    def phrases(self, unit: Unit) -> list[Phrase]:
        """The unit's phrases that can be asked about beside the topic, the most telling first."""
        if unit.start not in self._phrases:
            text, start, end = self.outline.text, unit.start, unit.end
            if end - start > SCANNED:
                cut = text.rfind(",", start, start + SCANNED)
                end = end if cut == -1 else cut
            found = [
                (-self._telling(phrase), phrase.place, phrase)
                for phrase in find_phrases(text, start, end)
                if not self._names_topic(phrase)
            ]
            found.sort(key=_RANK)
            self._phrases[unit.start] = [phrase for _, _, phrase in found]
        return self._phrases[unit.start]

    @cached_property
    def _topic_forms(self) -> frozenset[str]:
        own = self.topic.words
        return own.union([word + "s" for word in own], [word.removesuffix("s") for word in own])

    @cached_property
    def _initials(self) -> str:
        return "".join([word[0] for word in words(self.topic.phrase.text)])

    def _names_topic(self, phrase: Phrase) -> bool:
        """Whether the phrase is the topic over again, in other words or by its initials."""
        if 2 * len(phrase.specific & self._topic_forms) >= len(phrase.specific) or self.topic.words <= phrase.words:
            return True
        return phrase.text.isupper() and phrase.text.lower().startswith(self._initials[:2])

    def _telling(self, phrase: Phrase) -> float:
        """How much a phrase says: medical and specific words, neither one word alone nor a long row of them."""
        medical = phrase.medical or not phrase.specific.isdisjoint(self._terms.words)
        length = len(phrase.words)
        score = min(len(phrase.specific), 3) + 2 * medical - 2 * len(phrase.words & self.topic.words)
        return score - (1.5 if length == 1 else 0.7 * max(0, length - 4))


def place_of(unit: Unit) -> str:
    """`FINDINGS`, `RESEARCH` or nothing: what sort of place a unit is."""
    if unit.kind == LIST and "presentation" in unit.context:
        return FINDINGS
    return RESEARCH if unit.kind == POINTER and "research" in unit.distinct else ""
