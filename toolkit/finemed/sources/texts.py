"""Every text of a record with its path, whatever its column is called.

::

    list(texts_of({"meta": {"by": ["J. Doe", "K. Roe"]}, "n": 1}))  ->  [("meta.by", "J. Doe"), ("meta.by", "K. Roe")]

JSON inside a string is looked into.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from finemed.sources.files import writable

_LONGEST_JSON = 4_000_000


def texts_of(values: Any) -> Iterator[tuple[str, str | bytes]]:
    """Every text of a record with its path, however deep, in order; bytes too."""
    waiting: list[tuple[str, Any]] = [("", values)]
    while waiting:
        path, item = waiting.pop()
        if isinstance(item, str):
            held = json_in(item)
            if held is None:
                yield path, item
            else:
                waiting.append((path, held))
        elif isinstance(item, bytes):
            yield path, item
        elif isinstance(item, Mapping):
            below = [(f"{path}.{shown(name)}" if path else shown(name), value) for name, value in item.items()]
            waiting.extend(reversed(below))
        elif isinstance(item, list | tuple):
            waiting.extend((path, value) for value in reversed(item))


def shown(name: Any) -> str:
    """A key as it stands in a path."""
    return writable(str(name))[:80]


def json_in(text: str) -> Any:
    """The list or object that a string holds as JSON; None where it holds none."""
    if text[:1] not in "[{" or not text or len(text) > _LONGEST_JSON or text.rstrip()[-1:] not in "]}":
        return None
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(held, list | dict) and held else None
