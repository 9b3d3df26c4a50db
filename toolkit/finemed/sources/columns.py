"""Looks whether the columns that a configuration names are there at all, before anything is read in full.

A row without a column is quarantined by itself; a column that no file of a source has is a mistake in the
configuration, and for a licence or an id one that would go unseen.
"""

from __future__ import annotations

from collections.abc import Iterator

from finemed.config import SourceConfig
from finemed.errors import InputError
from finemed.sources.files import FIELDS, MAX_RECORD, UNKNOWN, InputFile, writable
from finemed.sources.parquet import schema_names
from finemed.sources.raw import LOOKED_AT, sample

RECORDS = 200


def check_columns(source: SourceConfig, files: list[InputFile]) -> None:
    """Looks at the schemas, headers or first records of a source's first files, until all columns are found.

    Raises:
        InputError: a mapped column, or one of `where`, is in none of them.
    """
    texts = any(file.format == "text" for file in files)
    mapped = {f"columns.{field}": getattr(source.columns, field) for field in FIELDS}
    if files[0].layout != "documents":
        del mapped["columns.text"]  # an exchange has columns of its own
    wanted = dict.fromkeys(source.where, "where")
    wanted |= {told.column or name: f"columns.extra.{name}" for name, told in source.columns.extra.items()}
    if not texts:
        wanted |= {column: setting for setting, column in mapped.items() if column is not None}
    present: set[str] = set()
    for file in [file for file in files if file.format not in ("text", UNKNOWN)][:LOOKED_AT]:
        for names in _names(file):
            present |= names
            if wanted.keys() <= present:
                return
    if not present and not texts:
        return  # unreadable or empty: reading says so row by row
    missing = [f"`{column}` ({setting})" for column, setting in wanted.items() if column not in present]
    if missing:
        held = ", ".join(sorted(present))[:300] or "text files, which have no columns"
        raise InputError(
            f"source `{source.name}`: no column {writable(', '.join(missing))} in {files[0].name}; it has "
            f"{writable(held)}; set `sources[].columns` or `sources[].where`"
        )


def _names(file: InputFile) -> Iterator[set[str]]:
    """Columns of a file: its schema's, or those of one record after the other."""
    if file.format == "parquet":
        yield {*schema_names(file), *file.partitions}
        return
    looked_at = 0
    for values in sample(file, RECORDS):
        yield set(map(str, values))
        looked_at += sum(len(value) for value in values.values() if isinstance(value, str))
        if looked_at > MAX_RECORD:
            return
