"""Columns of a source's own that its rows carry into every pool, beside those of ours.

::

    packed, fault = pack({"year": 2019, "reviewed": None}, {"year": "integer", "reviewed": "boolean"})
    packed                                          '{"year":2019}', the column `extra` of every row between stages
    unpack(packed, ["reviewed", "year"])            {"reviewed": None, "year": 2019}, as the pools hold them

Between the stages they travel as one JSON text, so that a row class need not know them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal

ExtraType = Literal["string", "integer", "number", "boolean"]
_LARGEST = 2**63 - 1
_EXACT = 2**53
"""Up to this size a floating-point number holds every integer."""
_NAMES = {bool: "a boolean", int: "an integer", float: "a number", str: "a string", list: "a list", dict: "a mapping"}


def pack(values: Mapping[str, Any], types: Mapping[str, ExtraType], *, texts: bool = False) -> tuple[str | None, str]:
    """The values of a record as one text, and what is wrong with the first that has another type; "" where none is.

    Args:
        values: by name; what is missing, or not a number, is null.
        types: the declared type of each name.
        texts: the file knows texts alone (CSV), so that numbers and booleans are read from them and an empty one is
            null.
    """
    packed: dict[str, Any] = {}
    for name in sorted(types):
        value = values.get(name)
        if texts and isinstance(value, str):
            value = _read(value, types[name])
        if value is None or (isinstance(value, float) and math.isnan(value)):
            continue
        sound = _typed(value, types[name])
        if sound is None:
            found = _NAMES.get(type(value), type(value).__name__)
            return None, f"`{name}` is {found}, expected {_NAMES_OF[types[name]]}"
        packed[name] = sound
    return json.dumps(packed, ensure_ascii=False, separators=(",", ":")) if packed else None, ""


def unpack(packed: str | None, names: Iterable[str]) -> dict[str, Any]:
    """The values of a row by name; null where it has none."""
    found: dict[str, Any] = json.loads(packed) if packed else {}
    return {name: found.get(name) for name in names}


def as_text(packed: str | None) -> str | None:
    """The values as a person reads them, a line each, for the scan for personal data: ``patient name: Jane Doe``."""
    if packed is None:
        return None
    return "\n".join(f"{name.replace('_', ' ')}: {value}" for name, value in json.loads(packed).items())


_NAMES_OF: dict[ExtraType, str] = {
    "string": "a string",
    "integer": "an integer of at most 63 bits",
    "number": "a finite number",
    "boolean": "a boolean",
}


def _typed(value: Any, kind: ExtraType) -> Any:
    """The value in its declared type; None where it is of another."""
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if kind == "integer":
        if isinstance(value, float):  # as pandas writes integers with gaps
            return int(value) if value.is_integer() and abs(value) <= _EXACT else None
        return value if abs(value) <= _LARGEST else None
    if isinstance(value, int):
        return float(value) if abs(value) <= _EXACT else None
    return value if math.isfinite(value) else None


def _read(text: str, kind: ExtraType) -> Any:
    """What a text of a file without types says; itself where it is not of the declared type."""
    if kind == "string":
        return text or None
    flat = text.strip()
    if not flat:
        return None
    if kind == "boolean":
        return {"true": True, "false": False}.get(flat.lower(), text)
    try:
        return int(flat) if kind == "integer" else float(flat)
    except ValueError:
        return text
