"""Scores from named features; docs/rules.md says what each measures and what it weighs.

::

    judge_question("How is croup treated?", outline)
    ->  {"rationale": "Rules: answerable 1.00, evidence 0.75, ...", "quality": 8, "difficulty": 3, ...}

Every feature lies between 0 and 1. A score is the weighted mean of its features, stretched to its scale; the weights of
a score add up to 1. The rules know nothing of medicine: they look at how question, answer and passage hang together.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from finemed.llm.rules.answers import ANAPHORA, content_words, rank_units
from finemed.llm.rules.lexicon import GENERIC
from finemed.llm.rules.outline import Outline, Unit
from finemed.llm.rules.questions import is_deictic
from finemed.llm.rules.tasks import asked_tasks, task_cues
from finemed.llm.rules.wordlists import word_set
from finemed.text.normalise import words
from finemed.text.quality import is_medical
from finemed.text.segment import sentences

QUALITY: Mapping[str, float] = {"answerable": 0.35, "evidence": 0.2, "central": 0.2, "specific": 0.15, "form": 0.1}
DIFFICULTY: Mapping[str, float] = {"reasoning": 0.3, "technical": 0.3, "spread": 0.2, "dense": 0.2}
RELEVANCE: Mapping[str, float] = {"medical": 0.5, "dense": 0.5}
GROUNDED: Mapping[str, float] = {"verbatim": 0.3, "supported": 0.5, "whole": 0.2}
CORRECT: Mapping[str, float] = {"verbatim": 0.2, "evidence": 0.35, "focused": 0.45}
COMPLETE: Mapping[str, float] = {"covered": 0.5, "evidence": 0.2, "length": 0.3}
SAFE: Mapping[str, float] = {"doses": 0.25, "hazards": 0.3, "cautious": 0.25, "referred": 0.2}
WEIGHTS = {
    "quality": QUALITY,
    "difficulty": DIFFICULTY,
    "relevance": RELEVANCE,
    "grounded": GROUNDED,
    "correct": CORRECT,
    "complete": COMPLETE,
    "safe": SAFE,
}
DEICTIC_COST = 4
"""Points of quality that a question loses which points at something unseen."""

_REASONING = word_set("questions", "reasoning")
_DOSE_UNITS = word_set("questions", "dose_units")
_HAZARDS = word_set("questions", "hazards")
_CAUTIOUS = word_set("questions", "cautious")
_REFERRED = word_set("questions", "referred")
_SECTION = re.compile(r"\*\*(?:Thought|Summarization)\*\*\n")
_ENDS = frozenset(".!?")
_QUESTION_WORDS = (
    "what",
    "which",
    "how",
    "why",
    "when",
    "who",
    "whom",
    "where",
    "in",
    "can",
    "is",
    "are",
    "do",
    "does",
)


def judge_question(question: str, outline: Outline) -> dict[str, Any]:
    """The fields of a `JudgementReply`."""
    features = question_features(question, outline)
    deictic = is_deictic(question)
    quality = 1 + 9 * _mean(QUALITY, features) - DEICTIC_COST * deictic
    return {
        "rationale": f"Rules: {_listed(features)}{', points at something unseen' if deictic else ''}.",
        "quality": _clamp(quality, 10),
        "difficulty": _clamp(1 + 9 * _mean(DIFFICULTY, features), 10),
        "relevance_to_medicine": _clamp(1 + 5 * _mean(RELEVANCE, features), 6),
        "mention_specific_details": deictic,
    }


def question_features(question: str, outline: Outline) -> dict[str, float]:
    """The features of a question beside its passage."""
    asked = words(question)
    content = frozenset(content_words(question))
    ranked = rank_units(outline, question)
    best = [unit for _, unit in ranked[:2]]
    held = [unit.distinct & content for _, unit in ranked]
    passage = [word for unit in outline.units for word in unit.words]
    medical = sum(map(is_medical, asked))
    counts = Counter(word for one in held for word in one)
    return {
        "answerable": _share(frozenset[str]().union(*held[:2]), content),
        "evidence": _evidence(question, best),
        "central": max(counts.values(), default=0) / max(1, len(ranked)),
        "specific": min(1.0, len(content) / 6),
        "form": _form(question, asked),
        "reasoning": min(1.0, sum(word in _REASONING for word in asked) / 3),
        "technical": min(1.0, (medical + sum(len(word) > 9 for word in content)) / 6),
        "spread": min(1.0, sum(bool(one) for one in held) / 8),
        "medical": min(1.0, medical / 4),
        "dense": min(1.0, 5 * sum(map(is_medical, passage)) / max(1, len(passage))),
    }


def _form(question: str, asked: Sequence[str]) -> float:
    """Ends as a question, begins as one, and is neither curt nor rambling."""
    opens = asked[0] in _QUESTION_WORDS if asked else False
    return (question.rstrip().endswith(("?", "？")) + (opens and question[0].isupper()) + (6 <= len(asked) <= 22)) / 3


def judge_answer(question: str, answer: str, outline: Outline) -> dict[str, Any]:
    """The fields of an `AnswerJudgementReply`."""
    features = answer_features(question, answer, outline)
    scores = {
        name: _clamp(1 + 9 * _mean(WEIGHTS[name], features), 10) for name in ("grounded", "correct", "complete", "safe")
    }
    return {"rationale": f"Rules: {_listed(features)}.", **scores}


def answer_features(question: str, answer: str, outline: Outline) -> dict[str, float]:
    """The features of an answer beside its question and its passage."""
    answer = _SECTION.sub("", answer)
    said = [frozenset(words(answer[start:end])) for start, end in sentences(answer)] or [frozenset[str]()]
    tokens = words(answer)
    distinct = frozenset(tokens)
    asked = frozenset(content_words(question))
    naming = [word for word in distinct if len(word) > 3 and word not in GENERIC]
    counts = Counter(word for unit in outline.units for word in unit.distinct)
    tasks = asked_tasks(question)
    cues = task_cues(tokens, distinct)
    evidence = max((cues.get(task, 0) for task in tasks), default=4)
    return {
        "verbatim": _verbatim(answer, outline),
        "supported": sum(counts[word] > 1 for word in naming) / max(1, len(naming)),
        "whole": 1 - 0.5 * (tokens[:1] != [] and tokens[0] in ANAPHORA) - 0.5 * (answer.rstrip()[-1:] not in _ENDS),
        "evidence": evidence / (evidence + 8),
        "focused": sum(min(3, len(asked & one)) for one in said) / (3 * len(said)),
        "covered": _share(distinct & asked, asked),
        "length": min(1.0, len(tokens) / 90),
        "doses": 1 - min(1.0, sum(token in _DOSE_UNITS for token in tokens) / 3),
        "hazards": 1 - min(1.0, len(distinct & _HAZARDS) / 4),
        "cautious": min(1.0, len(distinct & _CAUTIOUS) / 3),
        "referred": min(1.0, len(distinct & _REFERRED) / 2),
    }


def _verbatim(answer: str, outline: Outline) -> float:
    """Share of the answer's characters that are whole units of the passage."""
    pieces = {outline.cut(unit) for unit in outline.units if len(unit.words) > 2}
    held = sum(answer.count(piece) * (len(piece) + 1) for piece in pieces)
    return min(1.0, held / max(1, len(answer.strip())))


def _evidence(question: str, units: Sequence[Unit]) -> float:
    tasks = asked_tasks(question)
    if not tasks:
        return 0.5
    return min(1.0, max((unit.evidence(task) for unit in units for task in tasks), default=0) / 8)


def _share(part: frozenset[str], whole: frozenset[str]) -> float:
    return len(part) / max(1, len(whole))


def _mean(weights: Mapping[str, float], features: Mapping[str, float]) -> float:
    return sum(weight * features[name] for name, weight in weights.items())


def _listed(features: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f}" for name, value in features.items())


def _clamp(score: float, top: int) -> int:
    return max(1, min(top, round(score)))
