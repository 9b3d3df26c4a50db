r"""Reads replies: JSON in whatever wrapping a model puts around it, and the two-section reasoning answer.

::

    parse_json('Sure! ```json\n{"quality": "8", ...}\n```', JudgementReply)  ->  JudgementReply(quality=8, ...)
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

MAX_OBJECTS = 1000
M = TypeVar("M", bound=BaseModel)

_THOUGHT = re.compile(r"^[\s#*_]*thoughts?[\s*_]*:?[\s*_]*$", re.IGNORECASE | re.MULTILINE)
_SUMMARY = re.compile(r"^[\s#*_]*summari[sz]ation[\s*_]*:?[\s*_]*$", re.IGNORECASE | re.MULTILINE)


class UnparsableError(ValueError):
    """The reply does not have the form that was asked for; the message says why."""


def parse_json(text: str, schema: type[M]) -> M:
    """The last JSON object in the text that fits the schema.

    Raises:
        UnparsableError: there is none.
    """
    problem = "no JSON object in the reply"
    for candidate in reversed(_objects(text)):
        try:
            return schema.model_validate(candidate)
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"`{'.'.join(map(str, first['loc']))}`: {first['msg']}"
    raise UnparsableError(problem)


def _objects(text: str) -> list[Any]:
    decoder = json.JSONDecoder(strict=False)
    found: list[Any] = []
    tries = 0
    position = text.find("{")
    while position != -1 and len(found) + tries < MAX_OBJECTS:
        tries += 1
        try:
            value, end = decoder.raw_decode(text, position)
        except (ValueError, RecursionError):
            end = position + 1
        else:
            found.append(value)
        position = text.find("{", end)
    return found


def parse_sections(text: str) -> tuple[str, str]:
    """The Thought and the Summarization of a reasoning answer.

    Raises:
        UnparsableError: a section is missing, empty, repeated or out of order.
    """
    thoughts, summaries = list(_THOUGHT.finditer(text)), list(_SUMMARY.finditer(text))
    if not thoughts or not summaries:
        missing = "Thought" if not thoughts else "Summarization"
        raise UnparsableError(f"no `{missing}` section")
    for name, found in (("Thought", thoughts), ("Summarization", summaries)):
        if len(found) > 1:
            raise UnparsableError(f"`{name}` occurs more than once")
    opening, closing = thoughts[0], summaries[0]
    if closing.start() < opening.end():
        raise UnparsableError("`Summarization` comes before `Thought`")
    thought, summary = text[opening.end() : closing.start()].strip(), text[closing.end() :].strip()
    if not thought or not summary:
        raise UnparsableError(f"the `{'Thought' if not thought else 'Summarization'}` section is empty")
    return thought, summary


def format_sections(thought: str, summary: str) -> str:
    """The one form in which reasoning answers are stored and trained on."""
    return f"**Thought**\n{thought}\n\n**Summarization**\n{summary}"
