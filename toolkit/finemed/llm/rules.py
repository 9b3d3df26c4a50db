"""The embedded backend: deterministic, extractive, free; it needs no model, key or network.

It lets anyone dry-run a configuration on real data, and it is the baseline that a language model is measured against.
Questions are built from the passage's own terms, answers are its own sentences, scores come from named features. What
it writes is marked ``extractive`` and is not for training a medical model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from finemed.llm.base import Completion, Request, silent
from finemed.llm.questions import Outline, build_questions, content_words, extract, is_deictic, rank_sentences
from finemed.llm.structured import format_sections
from finemed.models import profile_for
from finemed.taxonomy import Taxonomy
from finemed.text.cues import CueMatcher
from finemed.text.normalise import words
from finemed.text.quality import is_medical
from finemed.text.segment import sentences

VERSION = 1
_HARD = frozenset(
    """
    mechanism mechanisms differential interpret interpreted distinguish alternatives cause effect connected development
    contraindication interaction pathophysiology outlook urgently resemble findings
    """.split()  # noqa: SIM905 - a word list reads better as text
)


class Rules:
    """Backend without a model."""

    name = f"rules@{VERSION}"
    local = True
    free = True
    extractive = True

    def __init__(self, taxonomy: Taxonomy) -> None:
        self._taxonomy = taxonomy
        self._cues = CueMatcher(taxonomy)
        self.profile = profile_for(None)
        self.say: Callable[[str], None] = silent
        self._tasks: dict[str, Callable[[Mapping[str, Any]], str | None]] = {
            "classify": self._classify,
            "generate": _generate,
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
            text = self._tasks[request.prompt.name](request.inputs)
            if text is None:
                yield Completion(request, "", "refused", detail="too few whole sentences for the rules to work on")
            else:
                yield Completion(request, text, "stop")

    def _classify(self, inputs: Mapping[str, Any]) -> str:
        placement = self._cues.classify(words(inputs["text"]), words(inputs["title"] or ""))
        reply = {
            "department": placement.department,
            "subdepartment": placement.subdepartment,
            "confidence": round(placement.confidence, 4),
        }
        return json.dumps(reply)

    def close(self) -> None:
        """Nothing to release."""


@lru_cache(maxsize=4)
def _outline(title: str | None, text: str) -> Outline:
    return Outline.of(title, text)


def _generate(inputs: Mapping[str, Any]) -> str | None:
    questions = build_questions(_outline(inputs["title"], inputs["text"]))
    if len(questions) < 2:
        return None
    (first, task1), (second, task2) = questions
    return json.dumps({"question1": first, "task_type1": task1, "question2": second, "task_type2": task2})


def _judge(inputs: Mapping[str, Any]) -> str:
    question, text = inputs["instruction"], inputs["text"]
    asked, passage = words(question), words(text)
    content = content_words(question)
    medical = sum(map(is_medical, asked))
    long_words = sum(len(word) >= 10 for word in asked)
    density = 100 * sum(map(is_medical, passage)) / max(1, len(passage))
    covered = len(set(content) & set(passage)) / max(1, len(set(content)))
    deictic = is_deictic(question)
    well_formed = question.rstrip().endswith("?") + (8 <= len(asked) <= 28) + (question[:1].isupper())
    quality = (
        2 + 1.5 * well_formed + 2.5 * covered + min(medical, 3) * 0.5 - 3 * deictic - 0.1 * max(0, len(asked) - 24)
    )
    spread = len(set(passage)) / max(1, len(passage))
    difficulty = (
        1.0
        + 0.6 * min(long_words, 4)
        + 0.6 * min(medical, 4)
        + 1.5 * bool(_HARD & set(asked))
        + 0.12 * min(density, 20)
        + 1.5 * max(0.0, spread - 0.5)
    )
    relevance = 1 + min(2, medical) + (density >= 2) + (density >= 5) + (covered >= 0.5)
    facts = (
        f"{medical} medical terms, {long_words} long words, {density:.1f} medical terms per 100 words of the passage"
    )
    return json.dumps(
        {
            "rationale": f"Rules: {facts}, {covered:.0%} of the question's terms are in the passage.",
            "quality": _clamp(quality, 10),
            "difficulty": _clamp(difficulty, 10),
            "relevance_to_medicine": _clamp(relevance, 6),
            "mention_specific_details": deictic,
        }
    )


def _respond(inputs: Mapping[str, Any]) -> str | None:
    outline = _outline(inputs["title"], inputs["text"])
    ranked = rank_sentences(outline, inputs["instruction"])
    wanted = 2 if inputs["style"] == "concise" else 5
    return extract(outline, ranked[:wanted]) or None


def _reason(inputs: Mapping[str, Any]) -> str | None:
    outline = _outline(inputs["title"], inputs["text"])
    ranked = rank_sentences(outline, inputs["instruction"])
    if len(ranked) < 4:
        return None  # thought and summary would be the same sentences
    return format_sections(extract(outline, ranked[:12]), extract(outline, ranked[:3]))


def _judge_answer(inputs: Mapping[str, Any]) -> str:
    text, answer = inputs["text"], inputs["response"]
    spans = [answer[start:end] for start, end in sentences(answer)]
    grounded = sum(span in text or span.startswith("**") for span in spans) / max(1, len(spans))
    asked, said = set(content_words(inputs["instruction"])), set(words(answer))
    covered = len(asked & said) / max(1, len(asked))
    length = min(1.0, len(said) / 60)
    doses = sum(word in ("mg", "mcg", "ml", "units", "µg") for word in words(answer))
    return json.dumps(
        {
            "rationale": f"Rules: {grounded:.0%} of the sentences stand in the passage, {covered:.0%} of the "
            f"question's terms are taken up, {doses} doses are named.",
            "grounded": _clamp(1 + 9 * grounded, 10),
            "correct": _clamp(2 + 5 * grounded + 3 * covered, 10),
            "complete": _clamp(1 + 5 * covered + 4 * length, 10),
            "safe": _clamp(10 - 1.5 * min(doses, 4), 10),
        }
    )


def _clamp(score: float, top: int) -> int:
    return max(1, min(top, round(score)))
