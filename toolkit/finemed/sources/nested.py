"""Texts inside of lists and objects: options, answers, contexts; and what tells them apart: keys, flags, numbers.

::

    found = Inner("options")
    found.take([{"key": "B", "text": "Iron", "is_correct": True, "id": 7}])
    found.texts, found.labels(), found.skipped
    ->  ["Iron"], [("options[].key", '["B"]'), ("options[].is_correct", "[true]")], {"options[].id"}

Keys in their usual order (`A`, `B`, `C`) tell nothing and are no label.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from finemed.sources.part_names import SPEAKERS, Kind, is_metadata, is_strict_metadata, named_kind
from finemed.sources.turns import UnusableError, fold, kind, role_of

DEEP = 40
_PLAIN = frozenset(("text", "value", "content"))
_MARK_NAMES = "key keys label labels letter letters option_key option_label option_id choice_id id"
_MARKS = frozenset(_MARK_NAMES.split())
"""Fields that name an option, where something else in the object is its text."""
_PLACES = frozenset(("answer_start", "answer_starts", "answer_end", "answer_ends"))
"""Fields that say where in a passage an answer stands."""
_SEQUENCES = (tuple("abcdefghijklmnopqrstuvwxyz"), tuple(map(str, range(100))), tuple(map(str, range(1, 100))))
_ADDRESS = re.compile(r"\s*(?:https?|ftp|s3|gs|hf)://\S+\s*|\s*www\.\S+\s*", re.IGNORECASE)
_LONG = 8
_SHORT = 3
_WORDS = 3
_MANY = 64
"""Fields of an object; one with more of them is no record but a list under names."""
_WORD = re.compile(r"(?!\w*\d{3})[^\W\d]\w{0,39}")
"""The name of a field; others, such as ids, are values that stand as keys."""


def is_address(text: str) -> bool:
    """Whether a text is nothing but an address."""
    return _ADDRESS.fullmatch(text) is not None


class Inner:
    """What a value holds."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.texts: list[str] = []
        self.skipped: set[str] = set()
        """Paths of fields that are not looked at."""
        self._labels: dict[str, list[Any]] = {}
        self._keys: list[tuple[str, ...]] = []

    def take(self, value: Any) -> None:
        """Looks through a value.

        Raises:
            UnusableError: it is nested without an end, or holds bytes.
        """
        self._take(value, "", 0, plain=True)

    def labels(self) -> list[tuple[str, str]]:
        """Name and value of what is no text and yet tells two values apart."""
        keys = list(dict.fromkeys(self._keys)) if len(set(self._keys)) == 1 else self._keys
        told = dict(self._labels)
        if keys:
            told["keys"] = [*told.get("keys", []), *(list(names) for names in keys)]
        return [
            (f"{self.place}[].{path}", json.dumps(values, ensure_ascii=False, default=str))
            for path, values in told.items()
            if not (fold(path.rpartition(".")[2]) in _MARKS and _in_order(values))
        ]

    def _take(self, value: Any, path: str, depth: int, *, plain: bool) -> None:
        if depth > DEEP:
            raise UnusableError(f"too_deep: `{self.place}` holds lists within lists, more than {DEEP} of them")
        if value is None:
            return
        if isinstance(value, str):
            self.texts.append(value)
        elif isinstance(value, Mapping):
            self._object(value, path, depth)
        elif isinstance(value, list | tuple):
            for item in value:
                self._take(item, path, depth + 1, plain=plain)
        elif isinstance(value, bytes):
            raise UnusableError(f"not_string: `{self.place}` is {kind(value)}")
        elif isinstance(value, bool) or not plain:
            self._labels.setdefault(path or "flags", []).append(value)
        else:
            self.texts.append(str(value))

    def _object(self, value: Mapping[Any, Any], path: str, depth: int) -> None:
        held = {str(key): item for key, item in value.items() if item is not None}
        letters = bool(held) and all(len(key) == 1 for key in held)
        names = []
        for key, item in held.items():
            below = f"{path}.{key}" if path else key
            if (fold(key) in _MARKS and len(held) > 1 and _is_mark(item)) or (fold(key) in _PLACES and is_held(item)):
                self._labels.setdefault(below, []).extend(item if isinstance(item, list) else [item])
            elif is_left_out(key, item):
                if is_held(item):
                    self.skipped.add(f"{self.place}[].{below}")
            else:
                names.append(key)
                self._take(item, below, depth + 1, plain=letters or fold(key) in _PLAIN)
        if not (len(names) == 1 and fold(names[0]) in _PLAIN) and names and not (letters and _in_order(names)):
            self._keys.append(tuple(names))


def is_left_out(name: str, value: Any) -> bool:
    """Whether a field says something about its object: by its name, or since it is an address; long texts are read."""
    if isinstance(value, str):
        if is_address(value):
            return True
        long = not is_strict_metadata(name) and len(value.split(None, _LONG)) >= _LONG
        return is_metadata(name) and not long
    return is_metadata(name)


def field_kind(key: str, value: Any, of: Kind | None, beside: Collection[str]) -> Kind | None:
    """What a field of an object is; None for a fact about the object.

    Args:
        key: its name.
        value: what it holds.
        of: what the column is; inside of answers there are answers and labels only.
        beside: the names of all fields of the object.
    """
    role = role_of(key)
    if role is not None and _speaks(key, value, beside):
        return SPEAKERS[role]
    if fold(key) in _MARKS and not is_strict_metadata(key) and _is_mark(value):
        return "label"
    if is_left_out(key, value):
        return None
    found = None if fold(key) in _PLAIN else named_kind(key)
    return of if found is None or (of == "answer" and found != "label") else found


def _speaks(key: str, value: Any, beside: Collection[str]) -> bool:
    """Whether a field holds what somebody says: `user` and `model` may also be the names of one."""
    if not is_metadata(key):
        return True
    if role_of(key) == "user":
        asked = any(named_kind(other) == "question" for other in beside)
        return not asked or (isinstance(value, str) and len(value.split(None, _WORDS)) >= _WORDS)
    return any(role_of(other) == "user" for other in beside)


def has_fields(value: Mapping[Any, Any]) -> bool:
    """Whether an object holds texts of different kinds, each a part: not the options by letter, nor one plain text."""
    keys = [key for key, held in value.items() if is_held(held)]
    if not all(isinstance(key, str) and _WORD.fullmatch(key) for key in keys) or len(keys) > _MANY:
        return False
    if all(len(key) == 1 for key in keys):
        return False
    texts = [key for key in keys if field_kind(key, value[key], "context", keys) not in (None, "label")]
    texts = [key for key in texts if isinstance(value[key], str | list | tuple | Mapping)]
    return not (len(texts) == 1 and fold(texts[0]) in _PLAIN)


def _is_mark(value: Any) -> bool:
    items = value if isinstance(value, list) else [value]
    return bool(items) and all(
        isinstance(item, int) or (isinstance(item, str) and len(item.strip()) <= _SHORT) for item in items
    )


def _in_order(values: list[Any]) -> bool:
    """Whether these are the first letters or numbers, in their order."""
    if any(isinstance(value, bool | list) for value in values):
        return False
    folded = tuple(fold(value) if isinstance(value, str) else str(value) for value in values)
    return any(folded == each[: len(folded)] for each in _SEQUENCES)


def is_held(value: Any) -> bool:
    """Whether a value is anything, looking no deeper."""
    return value is not None and value != "" and value != [] and value != {}
