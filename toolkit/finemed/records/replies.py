"""The structured replies that a language model is asked for::

QuestionsReply.model_validate({"question1": "...", "task_type1": "mechanism", "question2": "...", "task_type2": "..."})
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("true and false are no scores")
    return value


Score10 = Annotated[int, Field(ge=1, le=10), BeforeValidator(_number)]
Score6 = Annotated[int, Field(ge=1, le=6), BeforeValidator(_number)]
Text = Annotated[str, Field(min_length=1)]


class Reply(BaseModel):
    """Base of structured replies; unknown keys are ignored, since models add some."""

    model_config = ConfigDict(frozen=True, extra="ignore", str_strip_whitespace=True)


class ClassificationReply(Reply):
    """Place in the department tree; `none` is allowed at both levels."""

    department: Text
    subdepartment: Text
    confidence: Annotated[float, Field(ge=0, le=1)]


class QuestionsReply(Reply):
    """Two questions of different task type."""

    question1: Text
    task_type1: Text
    question2: Text
    task_type2: Text


class JudgementReply(Reply):
    """Scores of one question."""

    rationale: str
    quality: Score10
    difficulty: Score10
    relevance_to_medicine: Score6
    mention_specific_details: bool


class AnswerJudgementReply(Reply):
    """Scores of one answer."""

    rationale: str
    grounded: Score10
    correct: Score10
    complete: Score10
    safe: Score10
