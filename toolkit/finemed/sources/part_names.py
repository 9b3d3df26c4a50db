"""Names of columns, and what is in them: questions, contexts, answers, or labels.

::

    part_kind("Complex_CoT"), part_kind("cop"), part_kind("url")   ->  "answer", "label", None
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

from finemed.sources.turns import fold

Kind = Literal["system", "question", "context", "answer", "label"]
"""What a part is; a label is no text, but rows are only the same if theirs is equal."""
_NAMES: dict[Kind, str] = {
    "system": "system system_prompt system_message",
    "question": (
        "text instruction instructions input inputs question query prompt human sent1 sent2 "
        "messages conversations conversation dialogue dialog history data"
    ),
    "context": (
        "context contexts background passage passages document documents article abstract note knowledge options "
        "choices opa opb opc opd ending0 ending1 ending2 ending3"
    ),
    "answer": (
        "reasoning rationale thinking thought cot complex_cot explanation exp response responses output outputs answer "
        "answers long_answer final_answer completion completions target targets solution assistant chosen rejected "
        "response_chosen response_rejected"
    ),
    "label": (
        "label labels gold_label gold gold_index cop correct correct_option correct_options correct_index correct_idx "
        "correct_choice correct_label correct_answer_idx is_correct final_decision decision answer_idx answer_index "
        "answer_key answerkey answer_label answer_letter answer_choice kto_tag preference preferred winner"
    ),
}
COLUMN_KINDS: dict[str, Kind] = {name: each for each, names in _NAMES.items() for name in names.split()}
"""Columns whose texts a trainer would see, by their lower-case names; of a conversation each turn has its own kind."""
SPOKEN = frozenset(
    (
        "messages",
        "conversations",
        "conversation",
        "dialogue",
        "dialog",
        "data",
        "history",
        "prompt",
        "chosen",
        "rejected",
    )
)
"""Columns that may hold messages."""
ONLY_SPOKEN = SPOKEN - {"prompt", "chosen", "rejected"}
"""Columns that hold messages or nothing that a trainer would see."""
_GIVEN = frozenset(
    [
        "annotations",
        "annotation",
        "predictions",
        "result",
        "results",
        "completions",
        "responses",
        "answers",
        "suggestions",
    ]
)
"""Texts inside of these are answers, whatever their own name."""


def leaf(name: str) -> str:
    """The last name of a path, in lower case: `prompt` of `fields.Prompt`."""
    return fold(name.rpartition(".")[2])


@lru_cache(maxsize=4096)
def part_kind(name: str) -> Kind | None:
    """What a column's texts are; None where it is none that a trainer would see."""
    return COLUMN_KINDS.get(fold(name))


@lru_cache(maxsize=4096)
def chosen_kind(name: str, only_labels: bool = False) -> Kind:
    """What the texts of a column are that somebody named; where only labels were named, they are the texts."""
    *outer, last = name.split(".")
    found = COLUMN_KINDS.get(fold(name)) or COLUMN_KINDS.get(fold(last), "question")
    if found == "question" and not _GIVEN.isdisjoint(map(fold, outer)):
        found = "answer"
    return "question" if only_labels and found == "label" else found


@lru_cache(maxsize=4096)
def text_kind(name: str) -> Kind | None:
    """What a column's texts are; None where it holds none that a trainer would see, or is a label."""
    found = part_kind(name)
    return None if found == "label" else found
