"""The parts of a record that a trainer would see, each by itself: what the stand-alone commands compare.

::

    read_parts({"instruction": "Summarise.", "input": "Fever for 3 days.", "output": "Influenza.", "id": 7})
    ->  [Part("instruction", "question", "Summarise."), Part("input", "question", "Fever for 3 days."),
         Part("output", "answer", "Influenza.")]
    read_parts({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Rest."}]})
    ->  [Part("messages[0]", "question", "Why?"), Part("messages[1]", "answer", "Rest.")]

A label (`cop`, `final_decision`, `label`, a number as an answer) is a part of the kind `label`: no text, but rows are
only the same if theirs is. A column that is absent, null or blank is no part. Options and lists of texts are one part,
their texts one per line. Of a conversation each message is a part, and what an assistant calls or thinks beside its
answer another, `messages[1].tool_calls`. Conversations, options and answers are read from JSON in a string too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from finemed.sources.part_names import ONLY_SPOKEN, SPOKEN, Kind, chosen_kind, leaf, part_kind
from finemed.sources.paths import value_at
from finemed.sources.turns import Turn, UnusableError, are_said, kind, marked, role_of, turns

_SPEAKERS: dict[str, Kind] = {"user": "question", "assistant": "answer", "system": "system", "tool": "context"}
_TEXTS = ("text", "value", "content")
"""Of these an object's text is the first that it has."""
_SURROGATE = re.compile("[\ud800-\udfff]")
_DEEP = 40


class Part(NamedTuple):
    """One text of a record: its column, with the number of the turn in a conversation, and what it is."""

    name: str
    kind: Kind
    text: str

    @property
    def column(self) -> str:
        """The column that the text is in."""
        return column_of(self.name)


_TURN = re.compile(r"\[\d+\](?:\.\w+)?\Z")


def column_of(name: str) -> str:
    """The column of a part's name: `messages` of `messages[1].tool_calls`."""
    return _TURN.sub("", name)


def read_parts(values: Mapping[str, Any], on: Sequence[str] = ()) -> list[Part]:
    """The parts of a record in the order of its columns.

    Args:
        values: the record's columns.
        on: columns to look at instead of those of `COLUMN_KINDS`, by their exact names, or paths into them
            (`fields.prompt`).

    Raises:
        UnusableError: a column holds what is no text, no list of texts and no conversation, with the column's name.
    """
    found: list[Part] = []
    only_labels = all(part_kind(name) == "label" for name in on)
    for name, value in values.items():
        if value is None:
            continue
        below = [path for path in on if path.startswith(f"{name}.") and path not in values]
        for path in below:
            found += _column(path, chosen_kind(path, only_labels), value_at(_whole(value), path[len(name) + 1 :]), on)
        of = part_kind(name) if not on else chosen_kind(name, only_labels) if name in on else None
        if of is not None:
            found += _column(name, of, value, on)
    return found


def _whole(value: Any) -> Any:
    """What a string holds as JSON, or the value itself."""
    opened = _opened(value) if isinstance(value, str) and value[:1] in ("[", "{") and value else None
    return value if opened is None else opened


def _column(name: str, of: Kind, value: Any, on: Sequence[str]) -> list[Part]:
    """The parts of one column."""
    if value is None:
        return []
    if of == "label" or (of == "answer" and isinstance(value, bool | int | float) and len(on) != 1):
        text = _label(value, name)
        return [Part(name, "label", text)] if text else []
    if isinstance(value, Mapping) and leaf(name) in ONLY_SPOKEN and name not in on:
        return _one_exchange(name, value)
    if type(value) is str and not _is_more(value, name):
        text = _checked(value, name)
        return [Part(name, of, text)] if text else []
    return _read(name, of, value)


def _one_exchange(name: str, value: Mapping[str, Any]) -> list[Part]:
    """An object where a conversation should be: its one message or exchange, or no part; `data` may hold anything."""
    listed = [dict(value)]
    return list(_said(name, listed)) if _are_messages(listed) else list(_by_speaker(name, listed))


def _label(value: Any, place: str) -> str:
    """A label as text, whatever its type: `true`, `2`, `yes`; lists and objects as JSON."""
    if isinstance(value, str):
        return _checked(value, place)
    if isinstance(value, bytes):
        return value.hex()
    try:
        told = json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    except RecursionError:
        raise UnusableError(f"too_deep: `{place}` holds lists within lists without an end") from None
    return _checked(told, place)


def _is_more(value: str, name: str) -> bool:
    """Whether a string may hold several texts: as JSON, or as turns behind ``Human:`` and ``Assistant:``."""
    if value[:1] in ("[", "{"):
        return value.rstrip()[-1:] in ("]", "}") and part_kind(leaf(name)) is not None
    return value.lstrip()[:6] == "Human:" and leaf(name) in SPOKEN


def _checked(text: str, place: str) -> str:
    """The text; empty where it is blank.

    Raises:
        UnusableError: it cannot be written as UTF-8.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise UnusableError(f"not_utf8: `{place}` holds half of a surrogate pair")
    return "" if text.isspace() else text


def _read(name: str, of: Kind, value: Any) -> list[Part]:
    """The parts of a column that is more than a plain string."""
    if isinstance(value, str):
        opened = _opened(value)
        if opened is None:
            whole = _checked(value, name)
            spoken = [Part(turn.place, _SPEAKERS[turn.role], turn.value) for turn in _numbered(marked(whole, name))]
            return [part for part in spoken if part.text] or ([Part(name, of, whole)] if whole else [])
        value = opened
    if leaf(name) in SPOKEN and isinstance(value, list):
        if leaf(name) == "history":
            return list(_earlier(name, value))
        if _are_messages(value):
            return list(_said(name, value))
        if spoken := list(_by_speaker(name, value)):
            return spoken
    text = _checked("\n".join(_texts(value, name)), name)
    return [Part(name, of, text)] if text else []


def _numbered(spoken: list[Turn]) -> list[Turn]:
    return [turn._replace(place=f"{turn.place}[{at}]") for at, turn in enumerate(spoken)]


def _opened(value: str) -> list[Any] | dict[str, Any] | None:
    try:
        opened = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return opened if isinstance(opened, list | dict) else None


def _are_messages(value: list[Any]) -> bool:
    """Whether a list holds messages: objects with a role, or texts that all open with a mark of one."""
    if any(isinstance(item, dict) for item in value):
        return any(isinstance(item, dict) and are_said(item) for item in value)
    try:
        return bool(value) and all(isinstance(item, str) for item in value) and bool(turns(value, ""))
    except UnusableError:
        return False


def _said(name: str, value: list[Any]) -> Iterator[Part]:
    """Each message of a conversation, and what stands beside it."""
    for turn in turns(value, name):
        for field, held in turn.beside:
            told = held if isinstance(held, str) else json.dumps(held, ensure_ascii=False)
            if text := _checked(told, turn.place):
                yield Part(f"{turn.place}.{field}", _SPEAKERS[turn.role], text)
        if turn.value is None:
            continue
        if not isinstance(turn.value, str):
            raise UnusableError(f"not_string: `{turn.place}` is {kind(turn.value)}")
        if text := _checked(turn.value, turn.place):
            yield Part(turn.place, _SPEAKERS[turn.role], text)


def _by_speaker(name: str, value: list[Any]) -> Iterator[Part]:
    """Exchanges as objects whose keys are the speakers, as in ``{"human": "Why?", "assistant": "Rest."}``."""
    objects = [item for item in value if isinstance(item, dict)]
    speakers = {key: role_of(key) for item in objects for key in item}
    if len(objects) < len(value) or "user" not in speakers.values():
        return
    for at, item in enumerate(objects):
        for key, held in item.items():
            role = speakers[key]
            if role is not None and (text := _checked("\n".join(_texts(held, name)), name)):
                yield Part(f"{name}[{at}].{key}", _SPEAKERS[role], text)


def _earlier(name: str, value: list[Any]) -> Iterator[Part]:
    """Earlier exchanges: pairs of question and answer, or messages."""
    if _are_messages(value):
        yield from _said(name, value)
        return
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        raise UnusableError(f"not_messages: `{name}` holds {kind(value[0])}, expected pairs of question and answer")
    for at, pair in enumerate(value):
        sides: tuple[Kind, Kind] = ("question", "answer")
        for side, (of, held) in enumerate(zip(sides, pair, strict=True)):
            if text := _checked("\n".join(_texts(held, name)), name):
                yield Part(f"{name}[{2 * at + side}]", of, text)


def _texts(value: Any, place: str, depth: int = 0) -> Iterator[str]:
    """The texts of options and lists, in their order; numbers as they are written."""
    if depth > _DEEP:
        raise UnusableError(f"too_deep: `{place}` holds lists within lists, more than {_DEEP} of them")
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        held = next((value[key] for key in _TEXTS if value.get(key) is not None), None)
        if held is not None:
            yield from _texts(held, place, depth + 1)
        else:
            for item in value.values():
                yield from _texts(item, place, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, place, depth + 1)
    elif isinstance(value, bytes):
        raise UnusableError(f"not_string: `{place}` is {kind(value)}")
    elif value is not None:
        yield str(value)
