"""The kinds of values that a column holds, in plain words: what `columns` and `where` can use.

::

    kinds_of_values([{"year": 2020}, {"year": "n/a"}])  ->  {"year": ["integers", "text"]}
    may_equal("integers", "2020"), may_equal("integers", "abc")  ->  True, False
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from finemed.errors import FineMedError
from finemed.sources.files import InputFile
from finemed.sources.where import plain

TEXT, INTEGERS, NUMBERS, BOOLEANS, NULL = "text", "integers", "numbers", "true and false", "nothing"
LISTS = "lists of "
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|nan|inf|-inf")


def scalar(kind: str) -> bool:
    """Whether a value is a text or a number, or a list of texts, which reading joins."""
    return kind in (TEXT, INTEGERS, NUMBERS, BOOLEANS, NULL, "dates", "decimals", f"{LISTS}{TEXT}")


def may_equal(kind: str, wanted: str | int | bool) -> bool:
    """Whether a value of this kind can be what `where` wants; a list is tested by its elements."""
    kind = kind.removeprefix(LISTS)
    said = plain(wanted)
    if said is None or kind == NULL:
        return kind == NULL
    if kind == INTEGERS:
        return re.fullmatch(r"-?\d+", said) is not None
    if kind == NUMBERS:
        return _NUMBER.fullmatch(said) is not None
    if kind == BOOLEANS:
        return said in ("true", "false")
    return kind == TEXT


def kinds_of_values(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Column -> the kinds of its values in these records, in their order."""
    found: dict[str, dict[str, None]] = {}
    for values in records:
        for name, value in values.items():
            found.setdefault(str(name), {})[_of_value(value)] = None
    return {name: list(kinds) for name, kinds in found.items()}


def _of_value(value: Any) -> str:
    if isinstance(value, list):
        inner = {_of_value(item) for item in value[:20]} - {NULL}
        return f"{LISTS}{inner.pop()}" if len(inner) == 1 else NULL if not inner else f"{LISTS}values"
    for kind, of in ((NULL, type(None)), (TEXT, str), (BOOLEANS, bool), (INTEGERS, int), (NUMBERS, float)):
        if isinstance(value, of):
            return kind
    return "sections" if isinstance(value, dict) else type(value).__name__


def kinds_of_schema(file: InputFile) -> dict[str, list[str]]:
    """The same by the schema of a Parquet file; nothing where it cannot be read, which reading then says."""
    import pyarrow.parquet as pq

    try:
        with file.place.open() as stream:
            schema = pq.read_schema(stream)
    except FineMedError:
        raise
    except Exception:  # a damaged footer can make pyarrow raise nearly anything
        return {}
    found: dict[str, list[str]] = {}
    for field in schema:
        found.setdefault(field.name, []).append(_of_type(field.type))
    return found


def _of_type(kind: Any) -> str:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _of_type(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        inner = _of_type(kind.value_type)
        return NULL if inner == NULL else f"{LISTS}{inner}"
    tests = (
        (NULL, (types.is_null,)),
        (TEXT, (types.is_string, types.is_large_string, getattr(types, "is_string_view", types.is_string))),
        (BOOLEANS, (types.is_boolean,)),
        (INTEGERS, (types.is_integer,)),
        (NUMBERS, (types.is_floating,)),
        ("decimals", (types.is_decimal,)),
        ("dates", (types.is_temporal,)),
        ("sections", (types.is_struct, types.is_map)),
    )
    return next((name for name, checks in tests if any(check(kind) for check in checks)), "binary data")
