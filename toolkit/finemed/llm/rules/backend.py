"""The rules as a backend: each task's inputs to its reply.

::

    Rules(load_taxonomy()).complete([Request(..., load_prompt("generate"), inputs, ...)])
    ->  Completion(text='{"question1": "How is croup treated, ...', finish="stop")
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from finemed.llm.base import Completion, Request, silent
from finemed.llm.rules.answers import ANYTHING, Extract, choose, extract
from finemed.llm.rules.outline import Outline
from finemed.llm.rules.passages import Passage
from finemed.llm.rules.questions import NoQuestionsError, build_questions
from finemed.llm.rules.scores import judge_answer, judge_question
from finemed.llm.rules.terms import Terms
from finemed.llm.rules.topics import find_topic
from finemed.llm.structured import format_sections
from finemed.models import profile_for
from finemed.taxonomy import NONE_LABEL, Taxonomy
from finemed.text.cues import CueMatcher, Placement
from finemed.text.normalise import words

VERSION = 3
ENGLISH = frozenset({"en", "und", None})
CONCISE, EXPLANATORY, THOUGHT, SUMMARY = 2, 5, 12, 3
"""Sentences of each kind of answer."""
MIN_REASONED = 4
"""With fewer sentences the thought and the summary would be the same."""


class _RefusedError(ValueError):
    """The rules cannot do this; the message says why."""


class Rules:
    """Backend without a model."""

    name = f"rules@{VERSION}"
    local = True
    free = True
    extractive = True

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._cues = CueMatcher(taxonomy)
        self._own = {node.label: node.cues for node in taxonomy.nodes()}
        common: dict[str, int] = {}
        for cues in self._own.values():
            for term, weight in cues.items():
                common[term] = max(weight, common.get(term, 0))
        self._terms = Terms(common)
        self._places: dict[tuple[str, str], Terms] = {}
        self.profile = profile_for(None)
        self.say: Callable[[str], None] = silent
        self._tasks: dict[str, Callable[[Mapping[str, Any]], str | Extract]] = {
            "classify": self._classify,
            "generate": self._generate,
            "judge": _judge,
            "respond": _respond,
            "reason": _reason,
            "judge_answer": _judge_answer,
        }

    def identity(self) -> dict[str, Any]:
        return {"type": "rules", "version": VERSION}

    def ready(self) -> None:
        """Always."""

    def probe(self) -> None:
        """Nothing to learn."""

    def probed(self, completion: Completion) -> None:
        """Never called."""

    def complete(self, requests: Iterable[Request]) -> Iterator[Completion]:
        for request in requests:
            try:
                reply = self._tasks[request.prompt.name](request.inputs)
            except _RefusedError as reason:
                yield Completion(request, "", "refused", detail=str(reason))
                continue
            if isinstance(reply, Extract):
                yield Completion(request, reply.text, "stop", spans=reply.spans)
            else:
                yield Completion(request, reply, "stop")

    def _classify(self, inputs: Mapping[str, Any]) -> str:
        if inputs.get("language") in ENGLISH:
            placement = self._cues.classify(words(inputs["text"]), words(inputs["title"] or ""))
        else:  # the cues are English; what little of them another language shares says nothing
            placement = Placement(NONE_LABEL, NONE_LABEL, 0.0)
        reply = {
            "department": placement.department,
            "subdepartment": placement.subdepartment,
            "confidence": round(placement.confidence, 4),
        }
        return json.dumps(reply)

    def _generate(self, inputs: Mapping[str, Any]) -> str:
        language = inputs["language"]
        if language not in ENGLISH:
            raise _RefusedError(f"the rules write English questions only; the passage is {language}")
        terms = self._terms_of(inputs["department"], inputs["subdepartment"])
        outline = _outline(inputs["text"])
        if not outline.answering():
            raise _RefusedError(outline.lacking())
        topic = find_topic(inputs["title"], outline, terms)
        if topic is None:
            raise _RefusedError("no title and no repeated medical term that names a subject")
        try:
            first, second = build_questions(Passage(outline, topic, terms), inputs["task_types"], inputs["difficulty"])
        except NoQuestionsError as error:
            raise _RefusedError(str(error)) from None
        return json.dumps(
            {"question1": first.text, "task_type1": first.task, "question2": second.text, "task_type2": second.task}
        )

    def _terms_of(self, department: str, subdepartment: str) -> Terms:
        """The words that name subjects, those of this place in the tree counting more."""
        place = (department, subdepartment)
        if place not in self._places:
            own = (*self._own.get(department, ()), *self._own.get(subdepartment, ()))
            self._places[place] = self._terms.at(own)
        return self._places[place]

    def close(self) -> None:
        """Nothing to release."""


@lru_cache(maxsize=8)
def _outline(text: str) -> Outline:
    """The outline of a passage; the calls about it follow each other, so few have to be kept."""
    return Outline.of(text)


def _judge(inputs: Mapping[str, Any]) -> str:
    return json.dumps(judge_question(inputs["instruction"], _outline(inputs["text"])))


def _judge_answer(inputs: Mapping[str, Any]) -> str:
    return json.dumps(judge_answer(inputs["instruction"], inputs["response"], _outline(inputs["text"])))


def _respond(inputs: Mapping[str, Any]) -> Extract:
    outline = _outline(inputs["text"])
    if inputs["style"] == "concise":
        chosen = choose(outline, inputs["instruction"], CONCISE)
    else:
        chosen = choose(outline, inputs["instruction"], EXPLANATORY, relevant=ANYTHING)
    if not chosen:
        raise _RefusedError(outline.lacking())
    return extract(outline, chosen)


def _reason(inputs: Mapping[str, Any]) -> Extract:
    outline = _outline(inputs["text"])
    thought = choose(outline, inputs["instruction"], THOUGHT, relevant=ANYTHING)
    if len(thought) < MIN_REASONED:
        raise _RefusedError(f"{len(thought)} sentences on the question; a long answer takes {MIN_REASONED}")
    summary = choose(outline, inputs["instruction"], SUMMARY)
    parts = extract(outline, thought), extract(outline, summary)
    return Extract(format_sections(parts[0].text, parts[1].text), parts[0].spans + parts[1].spans)
