"""Names of columns, and what is in them: questions, contexts, answers, labels, or facts about the row.

::

    part_kind("Complex_CoT"), part_kind("cop"), part_kind("url")   ->  "answer", "label", None
    named_kind("Question_text"), named_kind("response_a"), named_kind("response_time")  ->  "question", "answer", None
    is_metadata("source_url"), is_metadata("note_1")               ->  True, False

`part_kind` knows whole names only; `named_kind` also looks at the words of a name. What no name tells is told by the
values of a column (`sources.content`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from finemed.sources.name_words import (
    ANYWHERE,
    COUNTED,
    HINTS,
    JUDGED,
    MEDIA,
    METADATA,
    NEVER,
    TAILS,
    WORDS,
    name_words,
)
from finemed.sources.turns import fold, role_of

Kind = Literal["system", "question", "context", "answer", "label"]
"""What a part is; a label is no text, but rows are only the same if theirs is equal."""
SPEAKERS: dict[str, Kind] = {"user": "question", "assistant": "answer", "system": "system", "tool": "context"}
"""What those say who have these roles."""
_NAMES: dict[Kind, str] = {
    "system": "system system_prompt system_message tools functions",
    "question": (
        "text instruction instructions input inputs question query prompt human sent1 sent2 "
        "messages conversations conversation dialogue dialog dialogues dialogs chat chats turns utterances history data"
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
        "answer_key answerkey answer_label answer_letter answer_choice kto_tag preference preferred winner "
        "answer_start answer_starts answer_end answer_ends"
    ),
}
_KINDS: tuple[Kind, ...] = ("system", "question", "context", "answer", "label")
COLUMN_KINDS: dict[str, Kind] = {name: each for each, names in _NAMES.items() for name in names.split()}
"""Columns whose texts a trainer would see, by their lower-case names; of a conversation each turn has its own kind."""
SPOKEN = frozenset(
    (
        "messages",
        "conversations",
        "conversation",
        "dialogue",
        "dialog",
        "dialogs",
        "dialogues",
        "chat",
        "chats",
        "turns",
        "utterances",
        "data",
        "history",
        "prompt",
        "chosen",
        "rejected",
    )
)
"""Columns that may hold messages."""
_SIDES = frozenset(("prompt", "chosen", "rejected"))
_SPOKEN_WORDS = SPOKEN - {"data", "history", "turns"}
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


OPTIONS = frozenset(("options", "choices", "opa", "opb", "opc", "opd", "ending0", "ending1", "ending2", "ending3"))
"""Columns of options, which belong to the question beside them."""
_LETTERS = (tuple("abcdefgh"), tuple("12345678"))


@lru_cache(maxsize=4096)
def is_metadata(name: str) -> bool:
    """Whether a name says that its column is about the row, not of it: ids, addresses, sources, dates, counts."""
    words = name_words(name)
    if not words or part_kind(name) is not None or not (JUDGED | MEDIA).isdisjoint(words):
        return False
    if fold(name).startswith(COUNTED):
        return True
    while len(words) > 1 and words[-1] in TAILS:
        words = words[:-1]
    return words[-1] in METADATA or not ANYWHERE.isdisjoint(words)


@lru_cache(maxsize=4096)
def is_media(name: str) -> bool:
    """Whether a name says that its column tells which picture or recording a row is about."""
    return not MEDIA.isdisjoint(name_words(name))


@lru_cache(maxsize=4096)
def is_strict_metadata(name: str) -> bool:
    """Whether a name says so of a column that never holds text, such as an address or a licence."""
    words = name_words(name)
    return is_metadata(name) and (words[-1] in NEVER or not ANYWHERE.isdisjoint(words))


@lru_cache(maxsize=4096)
def is_spoken(name: str) -> bool:
    """Whether a column may hold messages."""
    return leaf(name) in SPOKEN or (
        named_kind(leaf(name)) is not None and not _SPOKEN_WORDS.isdisjoint(name_words(name))
    )


@lru_cache(maxsize=4096)
def is_talk(name: str) -> bool:
    """Whether a column holds a whole conversation, so that plain texts in it are its turns."""
    return is_spoken(name) and _SIDES.isdisjoint((leaf(name), *name_words(leaf(name))))


@lru_cache(maxsize=4096)
def named_kind(name: str) -> Kind | None:
    """What the name of a column says that its texts are; None where it does not say."""
    known = part_kind(name)
    if known is not None or is_metadata(name):
        return known
    for word in reversed(name_words(name)):
        for kind in _KINDS:
            if word in WORDS[kind]:
                return kind
    return None


@lru_cache(maxsize=4096)
def hinted_kind(name: str) -> Kind:
    """What the texts of a column are whose values read like text; a context where nothing tells."""
    told = [HINTS[word] for word in name_words(name) if word in HINTS]
    return "context" if not told else "question" if told[-1] == "question" else "answer"


def is_option(name: str) -> bool:
    """Whether a column holds options of a question beside it, all of them or one."""
    folded = fold(name)
    return folded in OPTIONS or "option" in name_words(name) or "choice" in name_words(name) or len(folded) == 1


def letter_options(names: Iterable[str]) -> frozenset[str]:
    """Columns `A`, `B` ... or `1`, `2` ... of the options of a question that stands beside them."""
    short = {fold(name): name for name in names if isinstance(name, str) and len(name) == 1}
    if len(short) < 2:
        return frozenset()
    for letters in _LETTERS:
        own = [short[letter] for letter in letters if letter in short]
        if len(own) >= 2 and own == [short[letter] for letter in letters[: len(own)] if letter in short]:
            return frozenset(own)
    return frozenset()


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
    role = role_of(last) if outer else None
    found = SPEAKERS[role] if role else named_kind(name) or named_kind(last) or "question"
    if found == "question" and not _GIVEN.isdisjoint(map(fold, outer)):
        found = "answer"
    return "question" if only_labels and found == "label" else found


@lru_cache(maxsize=4096)
def text_kind(name: str) -> Kind | None:
    """What a column's texts are; None where it holds none that a trainer would see, or is a label."""
    found = part_kind(name)
    return None if found == "label" else found
