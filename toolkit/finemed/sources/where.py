"""Which records of a file belong to a source: those whose columns hold one of the values that `where` names.

::

    keeps({"domain": ["medical"], "language": ["en"]})({"domain": "medical", "language": "en", "text": "..."})  ->  True
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

Where = Mapping[str, Sequence[str | int | bool]]


def keeps(where: Where) -> Callable[[Mapping[str, Any]], bool]:
    """The test of a record; a column that holds a list is tested by its elements."""
    wanted = {column: frozenset(map(plain, values)) for column, values in where.items()}

    def kept(values: Mapping[str, Any]) -> bool:
        return all(_holds(values.get(column), accepted) for column, accepted in wanted.items())

    return kept


def _holds(value: Any, accepted: frozenset[str | None]) -> bool:
    if isinstance(value, list):
        return any(plain(item) in accepted for item in value)
    return value is not None and plain(value) in accepted


def plain(value: Any) -> str | None:
    """A value as text, so that `2020` of a CSV file and 2020 are equal, and `True` and true."""
    if isinstance(value, str):
        return value.lower() if value.lower() in ("true", "false") else value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value) if isinstance(value, int | float) else None
