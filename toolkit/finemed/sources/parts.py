"""The parts of a record that a trainer would see, each by itself: what the stand-alone commands compare.

::

    read_parts({"instruction": "Summarise.", "input": "Fever for 3 days.", "output": "Influenza.", "id": 7})
    ->  [Part("instruction", "question", "Summarise."), Part("input", "question", "Fever for 3 days."),
         Part("output", "answer", "Influenza.")]
    read_parts({"messages": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "Rest."}]})
    ->  [Part("messages[0]", "question", "Why?"), Part("messages[1]", "answer", "Rest.")]

A column is read where its name tells what it is (`part_names.named_kind`); of others, `sources.content` tells by their
values. A label (`cop`, `final_decision`, `label`, a number as an answer) is a part of the kind `label`: no text, but
rows are only the same if theirs is. A column that is absent, null or blank is no part. Several texts in a list are a
part each, `answers[1]`, and so are the fields of an object, `input.question`, each of the kind that its name tells;
options are one part, their texts one per line, and their keys and flags labels, `options[].is_correct`. Of a
conversation each message is a part, and each field beside its text another, `messages[1].tool_calls`. Conversations,
objects, options and answers are read from JSON in a string too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from finemed.sources.nested import DEEP, Inner, field_kind, has_fields, is_address, is_held
from finemed.sources.part_names import (
    ONLY_SPOKEN,
    SPEAKERS,
    Kind,
    chosen_kind,
    is_option,
    is_spoken,
    is_talk,
    leaf,
    letter_options,
    named_kind,
    part_kind,
)
from finemed.sources.paths import pattern_at, value_at
from finemed.sources.turns import Turn, UnusableError, are_said, kind, marked, role_of, turns

_SURROGATE = re.compile("[\ud800-\udfff]")
_LISTED = 64
"""Texts of a list that are a part each; those beyond are one more part."""
_SPEAKER = re.compile(
    r"(?:\A|\n)[ \t]*[*#]{0,3}[ \t]*(system|user|human|patient|student|client|question|q|assistant|doctor|physician|"
    r"therapist|gpt|bot|ai|answer|a|function response|患者|病人|医生|问|答)[*]{0,2}[ \t]*[:：][*]{0,2}",
    re.IGNORECASE,
)
"""What opens a turn of a conversation that is one text."""
_ASKING = frozenset(("user", "human", "patient", "student", "client", "question", "q", "患者", "病人", "问"))


class Part(NamedTuple):
    """One text of a record: its column, with the number of the turn in a conversation, and what it is."""

    name: str
    kind: Kind
    text: str

    @property
    def column(self) -> str:
        """The column that the text is in."""
        return column_of(self.name)


_TURN_OF = re.compile(r"\[\d+\](?=\[|\.|\Z)(?:\[\])?")
_TURN = re.compile(r"\[\d*\](?:\.[^\[\]]*)?\Z")


def column_of(name: str) -> str:
    """The column of a part's name: `messages` of `messages[1].tool_calls`."""
    return _TURN.sub("", name)


def read_parts(values: Mapping[str, Any], on: Sequence[str] = (), skipped: set[str] | None = None) -> list[Part]:
    """The parts of a record in the order of its columns.

    Args:
        values: the record's columns.
        on: columns to look at instead of those whose names tell what they are, by their exact names, or paths into
            them (`fields.prompt`).
        skipped: gets the paths of fields inside of the columns that are not looked at, `messages[].name`.

    Raises:
        UnusableError: a column holds what is no text, no list of texts and no conversation, with the column's name.
    """
    found: list[Part] = []
    skipped = set() if skipped is None else skipped
    only_labels = all(part_kind(name) == "label" for name in on)
    letters = () if on else letter_options(values)
    for name, value in values.items():
        if value is None:
            continue
        below = [path for path in on if path.startswith(f"{name}.") and path not in values]
        for path in below:
            whole, rest = _whole(value), path[len(name) + 1 :]
            held = column_parts(
                path, chosen_kind(path, only_labels), value_at(whole, rest), skipped, alone=len(on) == 1
            )
            if held and (pattern := pattern_at(whole, rest)) is not None:  # of a list, which objects have it
                held.append(Part(f"{path}[]", "label", json.dumps(pattern)))
            found += held
        of = named_kind(name) if not on else chosen_kind(name, only_labels) if name in on else None
        if name in letters and any(named_kind(other) == "question" for other in values):
            of = "context"
        if of is not None:
            found += column_parts(name, of, value, skipped, chosen=bool(on), alone=len(on) == 1)
    return found


def _whole(value: Any) -> Any:
    """What a string holds as JSON, or the value itself."""
    opened = _opened(value) if isinstance(value, str) and value[:1] in ("[", "{") and value else None
    return value if opened is None else opened


def column_parts(
    name: str,
    of: Kind,
    value: Any,
    skipped: set[str] | None = None,
    *,
    chosen: bool = False,
    alone: bool = False,
    depth: int = 0,
) -> list[Part]:
    """The parts of one column.

    Args:
        name: the column's name, or the path of what lies inside of one.
        of: what its texts are.
        value: a record's value.
        skipped: as for `read_parts`.
        chosen: somebody named it.
        alone: nothing else is looked at, so that a number is a text.
        depth: how many objects it lies in.

    Raises:
        UnusableError: as for `read_parts`; or objects lie within objects without an end.
    """
    if value is None:
        return []
    if of == "label" or (of == "answer" and isinstance(value, bool | int | float) and not alone):
        text = label_text(value, name)
        return [Part(name, "label", text)] if text else []
    if isinstance(value, Mapping) and leaf(name) in ONLY_SPOKEN and not chosen:
        return _one_exchange(name, value, set() if skipped is None else skipped, depth)
    if type(value) is str and not _is_more(value, name):
        text = _checked(value, name)
        return [Part(name, of, text)] if text and not (of == "context" and is_address(text)) else []
    if of == "system" and not isinstance(value, str):
        text = label_text(value, name) if value else ""
        return [Part(name, of, text)] if text else []
    return _read(name, of, value, set() if skipped is None else skipped, depth)


def _one_exchange(name: str, value: Mapping[str, Any], skipped: set[str], depth: int) -> list[Part]:
    """An object where a conversation should be: its one message or exchange, or the fields whose names tell."""
    listed = [dict(value)]
    if _are_messages(listed):
        return list(_said(name, listed, skipped))
    if spoken := list(_by_speaker(name, listed, skipped)):
        return spoken
    about: set[str] = set()
    if found := _fields(name, None, value, about, depth):
        skipped |= about
    return found


def _fields(name: str, of: Kind | None, value: Mapping[str, Any], skipped: set[str], depth: int) -> list[Part]:
    """The parts of an object, those of each field by themselves: `input.question`.

    Args:
        name: the column.
        of: what fields are whose names do not tell; None leaves them out.
        value: the object.
        skipped: as for `read_parts`.
        depth: how many objects it lies in.
    """
    if depth > DEEP:
        raise UnusableError(f"too_deep: `{name[:200]}` holds objects within objects, more than {DEEP} of them")
    found: list[Part] = []
    letters = letter_options(value)
    for key, held in value.items():
        if not is_held(held):
            continue
        place = f"{name}.{key}"
        kind_of: Kind | None = "context" if key in letters else field_kind(key, held, of, value)
        if kind_of is None:
            skipped.add(_TURN_OF.sub("[]", place))
        elif isinstance(held, bool | int | float) and kind_of != "label":
            found.append(Part(place, "label", label_text(held, place)))
        else:
            found += column_parts(place, kind_of, held, skipped, chosen=of is not None, depth=depth + 1)
    return found


def label_text(value: Any, place: str) -> str:
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
        return value.rstrip()[-1:] in ("]", "}") and named_kind(leaf(name)) is not None
    return is_spoken(name) and (value.lstrip()[:6] == "Human:" or (is_talk(name) and _SPEAKER.match(value) is not None))


def _checked(text: str, place: str) -> str:
    """The text; empty where it is blank.

    Raises:
        UnusableError: it cannot be written as UTF-8.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise UnusableError(f"not_utf8: `{place}` holds half of a surrogate pair")
    return "" if text.isspace() else text


def _read(name: str, of: Kind, value: Any, skipped: set[str], depth: int) -> list[Part]:
    """The parts of a column that is more than a plain string."""
    if isinstance(value, str):
        opened = _opened(value)
        if opened is None:
            whole = _checked(value, name)
            spoken = [Part(turn.place, SPEAKERS[turn.role], turn.value) for turn in _numbered(marked(whole, name))]
            spoken = [part for part in spoken or _by_marks(name, whole) if part.text]
            return spoken or ([Part(name, of, whole)] if whole else [])
        value = opened
    if is_spoken(name) and isinstance(value, list):
        if leaf(name) == "history":
            return list(_earlier(name, value, skipped))
        if _are_messages(value):
            return list(_said(name, value, skipped))
        if spoken := list(_by_speaker(name, value, skipped)):
            return spoken
        if is_talk(name) and value and all(isinstance(item, str) for item in value):
            return list(_in_turn(name, value))
    if is_option(leaf(name)):
        return _inner(name, of, value, skipped)
    if isinstance(value, list) and sum(_holds_text(item) or _is_record(item) for item in value) > 1:
        pieces = [(f"{name}[{at}]", item) for at, item in enumerate(value[:_LISTED])]
        pieces += [(f"{name}[{_LISTED}]", value[_LISTED:])] if len(value) > _LISTED else []
        return [part for place, item in pieces for part in _item(place, of, item, skipped, depth)]
    if isinstance(value, list) and len(value) == 1:
        return _item(f"{name}[0]" if _is_record(value[0]) else name, of, value[0], skipped, depth)
    return _item(name, of, value, skipped, depth)


def _is_record(value: Any) -> bool:
    return isinstance(value, Mapping) and has_fields(value)


def _item(name: str, of: Kind, value: Any, skipped: set[str], depth: int) -> list[Part]:
    """The parts of what stands in a column, or in a list in one."""
    return _fields(name, of, value, skipped, depth) if _is_record(value) else _inner(name, of, value, skipped)


def _inner(name: str, of: Kind, value: Any, skipped: set[str]) -> list[Part]:
    """The texts of a list or an object as one part, and what tells them apart as labels."""
    inner = Inner(name)
    inner.take(value)
    skipped |= {_TURN_OF.sub("[]", path) for path in inner.skipped}
    texts = inner.texts if of != "context" else [text for text in inner.texts if not is_address(text)]
    text = _checked("\n".join(texts), name)
    found = [Part(name, of, text)] if text else []
    return [*found, *(Part(place, "label", _checked(told, place)) for place, told in inner.labels())]


def _holds_text(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value) and not value.isspace() and not is_address(value)
    return isinstance(value, list | Mapping) and bool(value)


def _in_turn(name: str, value: list[str]) -> Iterator[Part]:
    """Plain texts that a user and an assistant say in turn."""
    sides: tuple[Kind, Kind] = ("question", "answer")
    marks = [_SPEAKER.match(item) for item in value]
    for at, (item, mark) in enumerate(zip(value, marks, strict=True)):
        of = _kind_of_mark(mark[1]) if mark is not None and all(marks) else sides[at % 2]
        if text := _checked(item[mark.end() :] if mark is not None and all(marks) else item, f"{name}[{at}]"):
            yield Part(f"{name}[{at}]", of, text.strip())


def _by_marks(name: str, text: str) -> list[Part]:
    """The turns of a conversation that is one text, as in ``Patient: Why? Doctor: Rest.`` on lines of their own."""
    if not is_talk(name) or _SPEAKER.match(text) is None:
        return []
    marks = list(_SPEAKER.finditer(text))
    kinds = [_kind_of_mark(mark[1]) for mark in marks]
    if not {"question", "answer"} <= set(kinds):
        return []
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    return [
        Part(f"{name}[{at}]", of, text[mark.end() : end].strip())
        for at, (mark, end, of) in enumerate(zip(marks, ends, kinds, strict=True))
    ]


def _kind_of_mark(mark: str) -> Kind:
    said = mark.lower()
    if said in _ASKING:
        return "question"
    return "system" if said == "system" else "context" if said.startswith("function") else "answer"


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


def _said(name: str, value: list[Any], skipped: set[str]) -> Iterator[Part]:
    """Each message of a conversation, and what stands beside it."""
    for turn in turns(value, name):
        skipped |= {f"{name}[].{field}" for field in turn.about}
        for field, held in turn.beside:
            told = held if isinstance(held, str) else json.dumps(held, ensure_ascii=False, default=str)
            of: Kind = "label" if isinstance(held, bool | int | float) else SPEAKERS[turn.role]
            if text := _checked(told, turn.place):
                yield Part(f"{turn.place}.{field}", of, text)
        if turn.value is None:
            continue
        if not isinstance(turn.value, str):
            raise UnusableError(f"not_string: `{turn.place}` is {kind(turn.value)}")
        if text := _checked(turn.value, turn.place):
            yield Part(turn.place, SPEAKERS[turn.role], text)


def _by_speaker(name: str, value: list[Any], skipped: set[str]) -> Iterator[Part]:
    """Exchanges as objects whose keys are the speakers, as in ``{"human": "Why?", "assistant": "Rest."}``."""
    objects = [item for item in value if isinstance(item, dict)]
    speakers = {key: role_of(key) for item in objects for key in item}
    if len(objects) < len(value) or "user" not in speakers.values():
        return
    for at, item in enumerate(objects):
        for key, held in item.items():
            role = speakers[key]
            of = named_kind(key) if role is None else SPEAKERS[role]
            if of is not None:
                yield from (part._replace(name=f"{name}[{at}].{key}") for part in _inner(name, of, held, skipped))
            elif held is not None:
                skipped.add(f"{name}[].{key}")


def _earlier(name: str, value: list[Any], skipped: set[str]) -> Iterator[Part]:
    """Earlier exchanges: pairs of question and answer, messages, or texts in turn."""
    if _are_messages(value):
        yield from _said(name, value, skipped)
        return
    if value and all(isinstance(item, str) for item in value):
        yield from _in_turn(name, value)
        return
    if spoken := list(_by_speaker(name, value, skipped)):
        yield from spoken
        return
    if not all(isinstance(pair, list | tuple) and len(pair) == 2 for pair in value):
        raise UnusableError(f"not_messages: `{name}` holds {kind(value[0])}, expected pairs of question and answer")
    for at, pair in enumerate(value):
        sides: tuple[Kind, Kind] = ("question", "answer")
        for side, (of, held) in enumerate(zip(sides, pair, strict=True)):
            yield from _inner(f"{name}[{2 * at + side}]", of, held, skipped)
