"""Whether a record of anybody's data is a well-formed conversation, pair, or question with its answer.

::

    structure("rows.jsonl:17", "messages", {"messages": [{"role": "user", "content": "Why?"}]}, faults)
    # rows.jsonl:17: it ends with the user, expected the assistant; correct the record, or leave it out

An answer that is missing or holds nothing breaks the rule `empty`; characters are the business of `characters`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from finemed.publish.checks.faults import Faults
from finemed.sources.conversations import pair_sides, read_exchange
from finemed.sources.part_names import is_option, leaf, named_kind, part_kind
from finemed.sources.parts import Part
from finemed.sources.turns import Turn, UnusableError, fold, turns, without_system

MEND = "correct the record, or leave it out"
_MESSAGES = ("messages", "conversations", "conversation", "data")
_SIDES = {"prompt_completion": ("completion",), "preference": ("chosen", "rejected")}
_OF_SCHEMA = ("missing_column", "not_messages", "not_string")
_OF_CHARACTERS = ("nul_byte", "not_utf8")
_ANSWERS = frozenset(("completion", "output", "response", "answer", "chosen", "rejected"))


def structure(
    place: str,
    layout: str,
    values: Mapping[str, Any],
    parts: Sequence[Part],
    unread: str | None,
    faults: Faults,
    *,
    answered: bool = True,
) -> None:
    """The first fault of a record's form, by the rule that it breaks.

    Args:
        place: names the record.
        layout: what its file's records are.
        values: its columns.
        parts: what is read of them.
        unread: why its parts cannot be read, where they cannot.
        faults: where the fault goes.
        answered: whether its file has columns of answers, so that no other column stands for one.
    """
    fault = unread or (_lacking(parts, answered=answered) if layout == "parts" else _fault(layout, values))
    if fault is not None and fault.startswith("no_answer") and _ANSWERS.isdisjoint(map(fold, values)):
        fault = _lacking(parts, answered=answered)  # its answer is in a column that no layout names
    if fault is None or fault.startswith(_OF_CHARACTERS):
        return
    code, remedy = fault.partition(":")[0], MEND
    rule = "schema" if code in _OF_SCHEMA else "messages"
    if code in ("empty_answer", "no_answer"):
        rule, remedy = "empty", "answer it, or leave the record out"
    faults.add(rule, place, plain(fault), remedy, kind=code.replace("_", " "))


def is_verdict(part: Part) -> bool:
    """Whether a label says which answer is right: by its name, or as what stands in a column of answers."""
    name = leaf(part.column)
    return part_kind(name) == "label" or is_option(name) or named_kind(part.column) in ("answer", "label")


def plain(fault: str) -> str:
    """A fault without its code and without advice for a build."""
    return (fault.partition(": ")[2] or fault).partition("; leave it out, or null")[0]


def _lacking(parts: Sequence[Part], *, answered: bool) -> str | None:
    """What a record lacks whose columns are questions and answers by their names."""
    kinds = {part.kind for part in parts if part.kind != "label" or not answered or is_verdict(part)}
    if not kinds & {"answer", "label"}:
        return "no_answer: the question has no answer" if kinds else "empty_record: it has no question and no answer"
    return None if kinds & {"question", "context"} else "empty_question: the answer has no question"


def _fault(layout: str, values: Mapping[str, Any]) -> str | None:
    columns = {fold(name): value for name, value in values.items()}
    try:
        if layout in ("messages", "sharegpt"):
            name = next((name for name in _MESSAGES if columns.get(name) is not None), None)
            if name is None:
                return "missing_column: no `messages` or `conversations`"
            return _order(turns(columns.get(name), name), "user")
        if layout in _SIDES and all(isinstance(columns.get(name), list) for name in ("prompt", *_SIDES[layout])):
            return _sides(columns, _SIDES[layout])
    except UnusableError as error:
        return str(error)
    kept = {name: value for name, value in values.items() if fold(name) != "label"}  # it is no fault to be undesired
    exchange, fault = read_exchange(layout, kept, multi_turn="first")
    if fault is not None and fault.startswith("multi_turn"):  # only a build must cut conversations
        return _long_pair(columns)
    if exchange is not None and exchange.response is None and exchange.chosen is None:
        return "no_answer: the question has no answer"
    return fault


def _sides(columns: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    prompt = turns(columns["prompt"], "prompt")
    sides = [turns(columns[name], name) for name in names]
    if len(sides) == 2 and _words(sides[0]) == _words(sides[1]):
        return "equal_pair: `chosen` and `rejected` are the same"
    facts = [_order(prompt, "user", last="user"), *(_order(side, "assistant") for side in sides)]
    return next((fact for fact in facts if fact is not None), None)


def _long_pair(columns: Mapping[str, Any]) -> str | None:
    """What is wrong with a pair of conversations of several exchanges; its columns are sound."""
    (chosen, rejected), sides = pair_sides(columns)
    facts = [_order(side, "user") for side in sides]
    fact = next((fact for fact in facts if fact is not None), None)
    if fact is None and _words(sides[0])[:1] != _words(sides[1])[:1]:
        fact = f"different_prompts: `{chosen}` and `{rejected}` answer different questions"
    if fact is None and _words(sides[0]) == _words(sides[1]):
        fact = f"equal_pair: `{chosen}` and `{rejected}` are the same"
    return fact


def _words(side: list[Turn]) -> list[Any]:
    return [turn.value.strip() if isinstance(turn.value, str) else turn.value for turn in side]


def _order(conversation: list[Turn], first: str, last: str = "assistant") -> str | None:
    """What is wrong with the messages of a conversation.

    System messages may open it, and between question and answer an assistant may call tools and be answered by them.
    """
    spoken = without_system(conversation)
    if not spoken:
        return "empty_conversation: it holds no message"
    role, called = first, False
    for turn in spoken:
        goes_on = called and turn.role in ("tool", "assistant")
        if turn.role != role and not goes_on:
            return f"bad_roles: `{turn.place}` comes from the {turn.role}, expected the {role}"
        called = (goes_on and turn.role == "tool") or turn.call is not None or fold(turn.stated) == "function_call"
        if not (turn.call and not turn.value):
            if not isinstance(turn.value, str):
                return f"not_string: `{turn.place}` is no text"
            if not turn.value.strip():
                code = "empty_answer" if turn.role == "assistant" else "empty_message"
                return f"{code}: `{turn.place}` holds nothing"
        role = "assistant" if turn.role == "user" else "user"
    return None if spoken[-1].role == last else f"bad_roles: it ends with the {spoken[-1].role}, expected the {last}"
