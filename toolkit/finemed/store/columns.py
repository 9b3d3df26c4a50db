"""Looks whether the columns that a configuration names are there at all, before anything is read in full.

A row without a column is quarantined by itself; a column that no file of a source has is a mistake in the
configuration, and for a licence or an id one that would go unseen.
"""

from __future__ import annotations

import csv
import itertools
import json

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.store.formats import FIELDS, InputFile, writable

FILES = 20
LINES = 200


def check_columns(source: SourceConfig, files: list[InputFile]) -> None:
    """Looks at the schemas, headers or first lines of a source's first files.

    Raises:
        InputError: a mapped column is in none of them.
    """
    if any(file.format == "text" for file in files):
        return
    seen = [names for file in files[:FILES] if (names := _names(file)) is not None]
    present = set().union(*seen)
    if not present:
        return  # unreadable or empty: reading says so row by row
    mapped = {field: getattr(source.columns, field) for field in FIELDS}
    missing = [
        f"`{column}` ({field})" for field, column in mapped.items() if column is not None and column not in present
    ]
    if missing:
        raise InputError(
            f"source `{source.name}`: no column {', '.join(missing)} in {files[0].name}; it has "
            f"{', '.join(sorted(map(str, present)))[:300]}; set `sources[].columns`"
        )


def _names(file: InputFile) -> set[str] | None:
    """Column names of a file, or None where it cannot be read that way."""
    try:
        if file.format == "parquet":
            import pyarrow.parquet as pq

            return set(pq.read_schema(file.path).names)
        if file.format == "csv":
            with file.path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
                return set(next(csv.reader(lines), []))
        with file.path.open("rb") as lines:
            return {name for line in itertools.islice(lines, LINES) for name in _keys(line)}
    except (OSError, ValueError, csv.Error):
        return None


def _keys(line: bytes) -> list[str]:
    try:
        value = json.loads(line.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return []
    return [writable(str(key)) for key in value] if isinstance(value, dict) else []
