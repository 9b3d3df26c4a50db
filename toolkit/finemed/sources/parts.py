"""The parts of a record that a trainer would see, each by itself: what the stand-alone commands compare.

::

    read_parts({"instruction": "Summarise.", "input": "Fever for 3 days.", "output": "Influenza.", "id": 7})
    ->  [Part("instruction", "question", "Summarise."), Part("input", "question", "Fever for 3 days."),
         Part("output", "answer", "Influenza.")]
    read_parts({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Rest."}]})
    ->  [Part("messages[0]", "question", "Why?"), Part("messages[1]", "answer", "Rest.")]

A column that is absent, null or blank is no part. Lists of texts and options are one part, their texts one per line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from finemed.sources.turns import fold, turns

Kind = Literal["system", "question", "context", "answer"]
COLUMN_KINDS: dict[str, Kind] = {
    "system": "system",
    "system_prompt": "system",
    "text": "question",
    "instruction": "question",
    "input": "question",
    "question": "question",
    "query": "question",
    "prompt": "question",
    "messages": "question",
    "conversations": "question",
    "conversation": "question",
    "history": "question",
    "context": "context",
    "options": "context",
    "choices": "context",
    "reasoning": "answer",
    "rationale": "answer",
    "response": "answer",
    "output": "answer",
    "answer": "answer",
    "answers": "answer",
    "completion": "answer",
    "chosen": "answer",
    "rejected": "answer",
}
"""Columns whose texts a trainer would see, by their lower-case names; of a conversation each turn has its own kind."""
_SPEAKERS: dict[str, Kind] = {"user": "question", "assistant": "answer", "system": "system"}


class Part(NamedTuple):
    """One text of a record: its column, with the number of the turn in a conversation, and what it is."""

    name: str
    kind: Kind
    text: str


def read_parts(values: Mapping[str, Any], on: Sequence[str] = ()) -> list[Part]:
    """The parts of a record in the order of its columns.

    Args:
        values: the record's columns.
        on: columns to look at instead of those of `COLUMN_KINDS`.

    Raises:
        UnusableError: a column holds what is no text, no list of texts and no conversation.
    """
    found: list[Part] = []
    for name, value in values.items():
        kind = COLUMN_KINDS.get(fold(name)) if not on else COLUMN_KINDS.get(fold(name), "question")
        if kind is None or value is None or (on and name not in on):
            continue
        if isinstance(value, list) and any(isinstance(item, dict) for item in value):
            spoken = turns(value, name)
            found += [Part(f"{name}[{at}]", _SPEAKERS[turn.role], str(turn.value)) for at, turn in enumerate(spoken)]
        elif isinstance(value, list):
            found.append(Part(name, kind, "\n".join(str(item) for item in value)))
        elif isinstance(value, dict):
            found.append(Part(name, kind, "\n".join(str(item) for item in value.values() if item is not None)))
        else:
            found.append(Part(name, kind, str(value)))
    return [part for part in found if part.text.strip()]
