"""Messages in their usual forms to one exchange: what `sources.conversations` builds its layouts from.

::

    turns([{"from": "human", "value": "What is croup?"}, {"from": "gpt", "value": "A viral ..."}], "conversations")
    ->  [Turn("user", "What is croup?", "conversations[0]"), Turn("assistant", "A viral ...", "conversations[1]")]
    exchange(those)  ->  Exchange("What is croup?", "A viral ...", None)

Nothing here trusts a value: whatever a record holds ends as an exchange or as an `UnusableError` that says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import cycle, dropwhile
from typing import Any, NamedTuple

_ROLES = {
    "human": "user",
    "user": "user",
    "prompter": "user",
    "gpt": "assistant",
    "chatgpt": "assistant",
    "assistant": "assistant",
    "model": "assistant",
    "bot": "assistant",
    "ai": "assistant",
    "function_call": "assistant",
    "system": "system",
    "developer": "system",
    "tool": "tool",
    "tool_response": "tool",
    "function": "tool",
    "ipython": "tool",
    "observation": "tool",
}
_CALLS = ("tool_calls", "function_call")
"""Fields of a message in which an assistant calls a tool."""
_THOUGHTS = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message that hold what a model thought before its answer."""
_HEAD = frozenset(("role", "from", "content", "value"))
_OF_MESSAGES = """
id uuid index idx name speaker author date time timestamp created created_at updated_at model model_name language lang
tool_call_id tool_use_id message_id parent_id conversation_id type url source status end_turn recipient channel
cache_control logprobs token_count tokens usage
"""
_ABOUT = frozenset(_OF_MESSAGES.split())
"""Fields of a message about it, which no trainer sees."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_MARKED = re.compile(r"(?:\A|\n\n)\s*(Human|Assistant):")
_ASKS = re.compile(r"\s*问\s*[:：]\s*")
_REPLIES = re.compile(r"\s*答\s*[:：]\s*")


_NO_ANSWER = "empty_answer: `{}` holds nothing; leave it out, or null, to have the question answered"


class Exchange(NamedTuple):
    """A question with the answers that its dataset brings; of a pair, `response` is the rejected one."""

    instruction: str
    response: str | None
    chosen: str | None

    @property
    def text(self) -> str:
        """All of it as one document: what is filtered, deduplicated, classified and looked through for PHI."""
        return "\n\n".join(part for part in self if part is not None)


class Turn(NamedTuple):
    """A message that nobody has looked into yet; of content in parts, `value` is their text."""

    role: str
    """`user`, `assistant`, `system` or `tool`."""
    value: Any
    place: str
    stated: str = ""
    """The role as the message has it."""
    beside: tuple[tuple[str, Any], ...] = ()
    """Fields beside the content that a trainer may see: the calls of a tool, what a model thought, all others."""
    about: tuple[str, ...] = ()
    """Names of fields that say something of the message, such as its id; they are left out."""

    @property
    def call(self) -> str | None:
        """The field in which the message calls a tool."""
        return next((name for name, _ in self.beside if name in _CALLS), None)


class UnusableError(ValueError):
    """A record's fault: a code and a fact."""


def fold(name: Any) -> str:
    """A column's or a role's name without its case; empty for what is no name."""
    return name.strip().lower() if isinstance(name, str) else ""


def role_of(name: Any) -> str | None:
    """The role that a name of a speaker stands for: `user`, `assistant`, `system`, `tool`, or none."""
    return _ROLES.get(fold(name))


def kind(value: Any) -> str:
    """What a value is, for a fault."""
    return "null" if value is None else type(value).__name__


def items(value: Any, place: str) -> list[Any]:
    """A list, or what a string holds as one in JSON.

    Raises:
        UnusableError: it is neither.
    """
    found = value
    if isinstance(value, str):
        try:
            found = json.loads(value)
        except (ValueError, RecursionError):
            raise UnusableError(f"not_messages: `{place}` is a text, expected a list of messages") from None
    if not isinstance(found, list):
        raise UnusableError(f"not_messages: `{place}` is {kind(found)}, expected a list of messages")
    return found


def holds_messages(text: str) -> bool:
    """Whether a string is a list of messages as JSON."""
    if not text.lstrip().startswith("[") or not text.rstrip().endswith("]"):
        return False
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, list) and any(isinstance(item, dict) and are_said(item) for item in found)


def are_said(item: dict[str, Any]) -> bool:
    """Whether an object is a message: it has a role."""
    return not item.keys().isdisjoint(("role", "from"))


def turns(value: Any, place: str) -> list[Turn]:
    """The messages of a list, or of a string that holds one as JSON.

    Raises:
        UnusableError: it is neither, or a message has no role.
    """
    return [_turn(item, f"{place}[{number}]") for number, item in enumerate(items(value, place))]


def _turn(item: Any, place: str) -> Turn:
    if isinstance(item, str):
        for speaker, mark in (("user", _ASKS), ("assistant", _REPLIES)):
            if found := mark.match(item):
                return Turn(speaker, item[found.end() :], place)
        raise UnusableError(f"bad_roles: `{place}` is a text without a role")
    if not isinstance(item, dict):
        raise UnusableError(f"not_messages: `{place}` is {kind(item)}, expected a message")
    stated = _either(item, "role", "from")
    role = role_of(stated)
    if role is None:
        fact = f"the role {stated[:40]!a}" if isinstance(stated, str) else "no role"
        raise UnusableError(f"bad_roles: `{place}` has {fact}")
    content = _either(item, "content", "value")
    named = tuple((name, item[name]) for name in (*_THOUGHTS, *_CALLS) if item.get(name))
    others = tuple(field for field in _others(item, content) if field[0] not in (*_THOUGHTS, *_CALLS))
    about = tuple(name for name, held in item.items() if fold(name) in _ABOUT and held is not None)
    return Turn(role, _content(content, place), place, stated.strip(), (*named, *others), about)


def _others(item: dict[str, Any], content: Any) -> Iterator[tuple[str, Any]]:
    """The fields of a message, and of the parts of its content, that hold something beside its text."""
    for name, held in item.items():
        if name in _HEAD:
            other = {"content": "value", "value": "content"}.get(name)
            known = held is None or other is None or held == content
            if not known and held != "":
                yield name, held
        elif fold(name) not in _ABOUT and held is not None and held not in ("", [], {}):
            yield str(name), held
    for number, part in enumerate(content if isinstance(content, list) else []):
        for name, held in part.items() if isinstance(part, dict) else ():
            if name != "text" and fold(name) not in _ABOUT and held is not None and held not in ("", [], {}):
                yield (str(name) if len(content) == 1 else f"{name}_{number}"), held


def _either(item: dict[str, Any], name: str, other: str) -> Any:
    """The field that is there; of a Parquet file's rows, both are, and one is null."""
    found = item.get(name)
    return item.get(other) if found is None else found


def _content(value: Any, place: str) -> Any:
    """Content as it stands; where it comes in parts, their texts, one below the other.

    Raises:
        UnusableError: a part is no text.
    """
    if not isinstance(value, list):
        return value
    texts = []
    for number, part in enumerate(value):
        named = part.get("type") if isinstance(part, dict) else None
        text = part.get("text") if isinstance(part, dict) else part
        if named not in (None, "text") or not isinstance(text, str):
            what = f"of type {named[:40]!a}" if isinstance(named, str) and named != "text" else kind(text)
            raise UnusableError(
                f"not_string: part {number + 1} of `{place}` is {what}; only parts of type text are read"
            )
        texts.append(text)
    return "\n".join(texts)


def marked(text: str, place: str) -> list[Turn]:
    """The turns of ``Human: ... Assistant: ...`` in one string; none where the string is not of that form."""
    if not text.lstrip().startswith("Human:"):
        return []
    marks = list(_MARKED.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Turn(_ROLES[mark.group(1).lower()], text[mark.end() : end].strip(), place)
        for mark, end in zip(marks, ends, strict=True)
    ]


def without_system(conversation: list[Turn]) -> list[Turn]:
    """The conversation without the system messages that open it.

    Raises:
        UnusableError: there is one in mid conversation, which the answers behind it may depend on.
    """
    spoken = list(dropwhile(lambda turn: turn.role == "system", conversation))
    for turn in spoken:
        if turn.role == "system":
            raise UnusableError(f"bad_roles: `{turn.place}` is a system message in mid conversation")
    return spoken


def exchange(conversation: list[Turn], *, first: bool = False) -> Exchange:
    """The one exchange of a conversation; with `first`, the first of several.

    Raises:
        UnusableError: roles out of order, several exchanges without `first`, or a text that is empty or no text.
    """
    spoken = without_system(_until_answer(conversation) if first else conversation)
    if not spoken:
        raise UnusableError("empty_question: no message of a user")
    for turn, role in zip(spoken, cycle(("user", "assistant")), strict=False):
        if turn.role == "tool" or turn.call:
            fact = f"has the role {turn.stated[:40]!a}" if turn.role == "tool" else f"calls a tool (`{turn.call}`)"
            raise UnusableError(f"bad_roles: `{turn.place}` {fact}; conversations with tools are left out")
        if turn.role != role:
            raise UnusableError(f"bad_roles: `{turn.place}` comes from the {turn.role}, expected the {role}")
    if len(spoken) > 2:
        raise UnusableError(f"multi_turn: {len(spoken)} messages; `multi_turn: first` keeps the first exchange")
    question = _text(spoken[0], "empty_question: `{}` holds nothing")
    answer = _text(spoken[1], _NO_ANSWER) if len(spoken) > 1 else None
    return Exchange(question, answer, None)


def _until_answer(conversation: list[Turn]) -> list[Turn]:
    """The conversation up to its second message that is none of the system's."""
    ends = [at for at, turn in enumerate(conversation) if turn.role != "system"]
    return conversation[: ends[1] + 1] if len(ends) > 1 else conversation


def unmarked(found: Exchange) -> Exchange:
    """Without ``问：`` and ``答：`` where the question and every answer open with theirs: there they are roles."""
    answers = [None if text is None else _after(_REPLIES, text) for text in found[1:]]
    question = _after(_ASKS, found.instruction)
    if not question or "" in answers or not any(answers):
        return found
    return Exchange(question, *answers)


def _after(mark: re.Pattern[str], text: str) -> str:
    """What follows the mark; empty where the text does not open with it."""
    found = mark.match(text)
    return text[found.end() :] if found else ""


def _text(turn: Turn, empty: str) -> str:
    if not isinstance(turn.value, str):
        raise UnusableError(f"not_string: `{turn.place}` is {kind(turn.value)}")
    text = turn.value
    if not text.strip():
        raise UnusableError(empty.format(turn.place))
    if "\x00" in text:
        raise UnusableError(f"nul_byte: `{turn.place}` holds NUL characters")
    if "\ufffd" in text:
        raise UnusableError(f"not_utf8: `{turn.place}` holds replacement characters")
    if _SURROGATE.search(text):
        raise UnusableError(f"not_utf8: `{turn.place}` holds half of a surrogate pair")
    return text
