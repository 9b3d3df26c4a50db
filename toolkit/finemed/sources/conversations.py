r"""Records of instruction and preference datasets as one question with its answers.

::

    detect({"instruction", "input", "output"}, [])  ->  "alpaca"
    read_exchange("alpaca", {"instruction": "Explain.", "input": "Croup", "output": "A viral ..."}, multi_turn="drop")
    ->  (Exchange("Explain.\n\nCroup", "A viral ...", None), None)

================== ===================================================================================================
layout             columns (upper and lower case are the same)
================== ===================================================================================================
alpaca             `instruction` and/or `input`, `output`; earlier turns in `history` as pairs
sharegpt           `conversations` (or `conversation`, `data`): messages of `from` and `value`
messages           `messages` (or `conversations`): messages of `role` and `content`
prompt_completion  `prompt`, `completion`: strings or messages; rows with `label: false` are refused
question_answer    `instruction`, `question` or `query`; `response`, `answer` or `output`
preference         `chosen`, `rejected` and a question of any form above, or the question inside both; or an `output`
                   that lists the chosen and the rejected answer
================== ===================================================================================================

System messages are left out. Texts are taken as they are, but for role marks: ``Human:``/``Assistant:`` inside one
string, and ``问：``/``答：`` where the question and all its answers open with theirs.

What published datasets look like, from their cards (their files could not be opened here): AquilaMed-Instruct
(BAAI) is `alpaca` with the marks ``问:``/``答:``, one JSON array; how it stores the earlier turns of its multi-turn
rows its card does not show, `history` is assumed. AquilaMed-RL is `preference` with `output: [chosen, rejected]`.
HuatuoGPT2-SFT-GPT4-140K (FreedomIntelligence) is `sharegpt` with the columns `idx` and `conversations`, one JSON array;
its first edition and HuatuoGPT-sft-data-v1 are `sharegpt` with `data`, a list of strings that open with ``问：`` or
``答：`` in turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from finemed.sources.turns import (
    Exchange,
    Turn,
    UnusableError,
    exchange,
    fold,
    holds_messages,
    items,
    kind,
    marked,
    turns,
    unmarked,
    without_system,
)

__all__ = ["COLUMNS", "Exchange", "columns_of", "detect", "pair_sides", "read_exchange"]

_MESSAGES = ("messages", "conversations", "conversation", "data")
_QUESTIONS = ("instruction", "question", "query", "prompt")
_ANSWERS = ("completion", "output", "response", "answer")
_MESSAGE = ({"role", "content"}, {"from", "value"})
_SIDES = (("chosen", "rejected"), ("response_chosen", "response_rejected"))
_CHOICES = frozenset(("options", "choices", "opa"))
"""With these a question is an item of a test, and its answer a letter."""
COLUMNS = frozenset(
    (*_MESSAGES, *_QUESTIONS, *_ANSWERS, *(name for pair in _SIDES for name in pair), "input", "history", "label")
)
"""Every column that some layout reads, in lower case."""


def detect(names: set[str], sample: list[dict[str, Any]]) -> str:
    """The layout of a source, from its column names and its first records; `documents` where no other fits.

    A `text` column makes documents of everything that has no complete question and answer beside it.
    """
    known = {fold(name) for name in names}
    rows = [_folded(row) for row in sample]
    if any({chosen, rejected} <= known for chosen, rejected in _SIDES):
        return "preference"
    for name in _MESSAGES:
        layout = _layout_of_messages(name, rows) if name in known else None
        if layout is not None:
            return layout
    if {"instruction", "output"} <= known and any(_is_pair(row.get("output")) for row in rows):
        return "preference"
    if "output" in known and not known.isdisjoint(("instruction", "input")):
        return "alpaca"
    if {"instruction", "input", "response"} <= known:
        return "alpaca"
    asked = next((name for name in _QUESTIONS if name in known), None)
    if asked is None or not known.isdisjoint(_CHOICES) or ("text" in known and known.isdisjoint(_ANSWERS)):
        return "documents"
    return "prompt_completion" if asked == "prompt" or {"prompt", "completion"} <= known else "question_answer"


def read_exchange(layout: str, values: Mapping[str, Any], *, multi_turn: str) -> tuple[Exchange | None, str | None]:
    """The exchange of a record, or its fault as ``code: fact``.

    Args:
        layout: one that holds exchanges, so neither `auto` nor `documents`.
        values: the record's columns.
        multi_turn: `first` takes the first exchange of a longer conversation; `drop` makes it a fault.
    """
    try:
        return unmarked(_READERS[layout](_folded(values), multi_turn == "first")), None
    except UnusableError as fault:
        return None, str(fault)


def columns_of(names: Iterable[str]) -> list[str]:
    """Those of a file's columns that an exchange can be in; the others need not be read."""
    return [name for name in names if fold(name) in COLUMNS]


def _folded(values: Mapping[str, Any]) -> dict[str, Any]:
    """Columns by their lower-case names; where two become one, the one that was lower case wins."""
    named = [(name, value) for name, value in values.items() if isinstance(name, str)]
    return {fold(name): value for name, value in sorted(named, key=lambda item: item[0] == fold(item[0]))}


# --- the layouts -----------------------------------------------------------------------------------------------------


def _alpaca(columns: dict[str, Any], first: bool) -> Exchange:
    return exchange([*_history(columns), *_asked(columns), *_answered(columns, ("output", "response"))], first=first)


def _conversation(columns: dict[str, Any], first: bool) -> Exchange:
    held = [name for name in _MESSAGES if columns.get(name) is not None]
    if not held:
        raise _missing(_MESSAGES, columns)
    name = next((name for name in held if isinstance(columns[name], list)), held[0])
    return exchange(turns(columns[name], name), first=first)


def _prompt_completion(columns: dict[str, Any], first: bool) -> Exchange:
    if columns.get("label") is False or fold(columns.get("label")) == "false":
        raise UnusableError("undesired_answer: `label` is false; only desired answers are taken")
    if columns.get("prompt") is None:
        raise _missing(("prompt",), columns)
    answer = _first(columns, _ANSWERS)
    side = [] if answer is None else _side(columns[answer], answer)
    return exchange([*_prompt(columns["prompt"], "prompt"), *side], first=first)


def _question_answer(columns: dict[str, Any], first: bool) -> Exchange:
    question = _first(columns, _QUESTIONS)
    if question is None:
        raise _missing(_QUESTIONS, columns)
    asked = Turn("user", columns[question], question)
    return exchange([*_history(columns), asked, *_answered(columns, _ANSWERS)], first=first)


def _preference(columns: dict[str, Any], _: bool) -> Exchange:
    """Of a longer conversation no first exchange can be taken: what is preferred is the last answer."""
    names, sides = pair_sides(columns)
    longest = max(map(len, sides))
    if longest > 2:
        raise UnusableError(
            f"multi_turn: {longest} messages; the preference is about the last, so none can be left out"
        )
    chosen, rejected = map(exchange, sides)
    if chosen.response is None or rejected.response is None:
        raise UnusableError(f"bad_roles: `{names[chosen.response is not None]}` holds a question alone")
    if chosen.instruction != rejected.instruction:
        raise UnusableError(f"different_prompts: `{names[0]}` and `{names[1]}` answer different questions")
    if chosen.response.strip() == rejected.response.strip():
        raise UnusableError(f"equal_pair: `{names[0]}` and `{names[1]}` are the same answer")
    return Exchange(chosen.instruction, rejected.response, chosen.response)


def pair_sides(columns: Mapping[str, Any]) -> tuple[tuple[str, str], list[list[Turn]]]:
    """The columns of a pair, and the whole conversation of each without system messages.

    Args:
        columns: by their names as `fold` gives them.

    Raises:
        UnusableError: there is no pair, or no question.
    """
    if _is_pair(columns.get("output")):
        columns = {**columns} | {"chosen": columns["output"][0], "rejected": columns["output"][1]}
    names = next((pair for pair in _SIDES if all(columns.get(name) is not None for name in pair)), None)
    if names is None:
        raise _missing(_SIDES[0], columns)
    prompt = [*_history(columns), *_asked_of_pair(columns)]
    sides = []
    for name in names:
        own = _side(columns[name], name)
        whole = own if any(turn.role == "user" for turn in own) else [*prompt, *own]
        if not any(turn.role == "user" for turn in whole):
            raise _missing(("prompt", *_QUESTIONS[:-1]), columns)
        sides.append(without_system(whole))
    return names, sides


_READERS: dict[str, Callable[[dict[str, Any], bool], Exchange]] = {
    "alpaca": _alpaca,
    "sharegpt": _conversation,
    "messages": _conversation,
    "prompt_completion": _prompt_completion,
    "question_answer": _question_answer,
    "preference": _preference,
}


# --- columns to turns ------------------------------------------------------------------------------------------------


def _first(columns: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The first of the columns that holds something."""
    return next((name for name in names if columns.get(name) is not None), None)


def _asked(columns: Mapping[str, Any]) -> list[Turn]:
    """Instruction, blank line, input; one of them may be empty."""
    names = [name for name in ("instruction", "input") if columns.get(name) is not None]
    if not names:
        raise _missing(("instruction", "input"), columns)
    odd = next((name for name in names if not isinstance(columns[name], str)), None)
    if odd is not None:
        return [Turn("user", columns[odd], odd)]
    parts = [columns[name] for name in names if columns[name].strip()]
    return [Turn("user", "\n\n".join(parts), names[0])]


def _asked_of_pair(columns: Mapping[str, Any]) -> list[Turn]:
    """The question beside a pair; none where the sides bring it themselves."""
    name = _first(columns, ("prompt", "instruction", "input", "question", "query"))
    if name in ("instruction", "input"):
        return _asked(columns)
    return [] if name is None else _prompt(columns[name], name)


def _answered(columns: Mapping[str, Any], names: Iterable[str]) -> list[Turn]:
    name = _first(columns, names)
    return [] if name is None else [Turn("assistant", columns[name], name)]


def _history(columns: Mapping[str, Any]) -> list[Turn]:
    """Earlier exchanges, as pairs of question and answer."""
    pairs = columns.get("history")
    if pairs is None or (isinstance(pairs, str | list) and not pairs):
        return []
    if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
        raise UnusableError(f"not_messages: `history` is {kind(pairs)}, expected a list of question and answer pairs")
    return [
        Turn(role, text, "history") for pair in pairs for role, text in zip(("user", "assistant"), pair, strict=True)
    ]


def _prompt(value: Any, place: str) -> list[Turn]:
    """A question as a string, a marked string or messages."""
    if not isinstance(value, str) or holds_messages(value):
        return turns(value, place)
    found = marked(value, place) or [Turn("user", value, place)]
    return found[:-1] if len(found) > 1 and found[-1].value == "" else found  # ends with "Assistant:"


def _side(value: Any, place: str) -> list[Turn]:
    """An answer as a string, a marked conversation or messages."""
    if not isinstance(value, str) or holds_messages(value):
        return turns(value, place)
    return marked(value, place) or [Turn("assistant", value, place)]


def _missing(wanted: Iterable[str], columns: Mapping[str, Any]) -> UnusableError:
    names = " or ".join(f"`{name}`" for name in wanted)
    found = ", ".join(sorted(name for name, value in columns.items() if value is not None))
    return UnusableError(f"missing_column: no {names} among {ascii(found[:120])[1:-1]}")


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(item, str) for item in value)


def _layout_of_messages(name: str, rows: list[dict[str, Any]]) -> str | None:
    """What the messages of a column look like; by its name where there is no row to look at."""
    if not rows:
        return {"messages": "messages", "data": None}.get(name, "sharegpt")
    seen = None
    for row in rows:
        try:
            spoken = items(row.get(name), name)
            first = spoken[0] if spoken else None
            if isinstance(first, dict) and any(pair <= first.keys() for pair in _MESSAGE):
                seen = seen or ("messages" if "role" in first else "sharegpt")  # whoever speaks in them
            if turns(row[name], name):
                return "messages" if isinstance(first, dict) and "role" in first else "sharegpt"
        except UnusableError:
            continue
    return seen
