"""Looks whether the columns that a configuration names are there and can hold what it wants, before anything is read.

::

    check_columns(source, files)
    ConfigError: source `web`: `year` (where) holds integers in a.parquet, so `abc` matches nothing; ...

A row without a column is quarantined by itself; a column that no file of a source has, or whose type no row can mend,
is a mistake in the configuration, and for a licence or an id one that would go unseen. Of Parquet files the schema
tells, of others the first records.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from finemed.config import SourceConfig
from finemed.errors import ConfigError
from finemed.sources.files import FIELDS, MAX_RECORD, UNKNOWN, InputFile, writable
from finemed.sources.kinds import NULL, TEXT, kinds_of_schema, kinds_of_values, may_equal, scalar
from finemed.sources.raw import LOOKED_AT, sample

RECORDS = 200
"""First records of a file that are looked at."""

Found = dict[str, dict[str, str]]
"""Column -> kind of its values -> first file that holds it so."""


def check_columns(source: SourceConfig, files: list[InputFile]) -> None:
    """Refuses a source whose columns are not as its settings say.

    Raises:
        ConfigError: with every fault.
    """
    faults = column_faults(source, files)
    if faults:
        raise ConfigError("\n".join(faults))


def column_faults(source: SourceConfig, files: list[InputFile]) -> list[str]:
    """What is wrong with the columns that a source's settings name, given its first files."""
    texts = any(file.format == "text" for file in files)
    settings = _named(source, files[0].layout)
    if texts:
        settings = [entry for entry in settings if entry[1] == "where" or entry[1].startswith("columns.extra.")]
    columns = {column for column, _ in settings}
    found: Found = {}
    for file in [file for file in files if file.format not in ("text", UNKNOWN)][:LOOKED_AT]:
        for column, kinds in _kinds(file).items():
            held = found.setdefault(column, {})
            for kind in kinds:
                held.setdefault(kind, file.name)
        if columns <= found.keys() and not _wrong_kinds(source, settings, found):
            return []
    if not found and not texts:
        return []  # unreadable or empty: reading says so row by row
    missing = [f"`{column}` ({setting})" for column, setting in settings if column not in found]
    faults = []
    if missing:
        present = ", ".join(sorted(found))[:300] or "text files, which have no columns"
        faults.append(
            f"no column {writable(', '.join(missing))} in {files[0].name}; it has {writable(present)}"
            f"{_meant(settings, found)}; set `sources[].columns` or `sources[].where`"
        )
    faults += _wrong_kinds(source, settings, found)
    return [f"source `{source.name}`: {fault}" for fault in faults]


def _named(source: SourceConfig, layout: str) -> list[tuple[str, str]]:
    """Every column that the settings name, with the setting."""
    named = [(column, "where") for column in source.where]
    extra: dict[str, Any] = getattr(source.columns, "extra", {})
    named += [(told.column or name, f"columns.extra.{name}") for name, told in extra.items()]
    mapped = ((getattr(source.columns, field), f"columns.{field}") for field in FIELDS)
    named += [(column, setting) for column, setting in mapped if column is not None]
    return [entry for entry in named if layout == "documents" or entry[1] != "columns.text"]


def _meant(settings: list[tuple[str, str]], found: Found) -> str:
    """A hint where a column's name is nearly right."""
    spelt = {column.lower(): column for column in found}
    for column, _ in settings:
        near = get_close_matches(column.lower(), spelt, n=1, cutoff=0.8)
        if column not in found and near:
            return f" (did you mean `{writable(spelt[near[0]])}`?)"
    return ""


def _wrong_kinds(source: SourceConfig, settings: list[tuple[str, str]], found: Found) -> list[str]:
    named = (entry for entry in settings if entry[0] in found)
    return [fault for column, setting in named for fault in _wrong_kind(source, column, setting, found[column])]


def _wrong_kind(source: SourceConfig, column: str, setting: str, kinds: dict[str, str]) -> Iterator[str]:
    """What a column's values cannot be used for; a column with several kinds has rows that can."""
    shown, name = writable(column), next(iter(kinds.values()), "")
    held = " and ".join(kind for kind in kinds if kind != NULL)
    if not held:
        return
    if setting == "where":
        wanted = source.where[column]
        lost = [value for value in wanted if not any(may_equal(kind, value) for kind in kinds)]
        if lost:
            values = writable(", ".join(f"`{value}`" for value in lost[:5]))
            yield f"`{shown}` (where) holds {held} in {name}, so {values} matches nothing; set `sources[].where`"
    elif setting == "columns.text":
        if TEXT not in kinds:
            yield f"`{shown}` (columns.text) holds {held} in {name}, expected text; set `sources[].columns.text`"
    elif not setting.startswith("columns.extra.") and not any(scalar(kind) for kind in kinds):
        yield f"`{shown}` ({setting}) holds {held} in {name}, expected a text or a number; set `sources[].columns`"


def _kinds(file: InputFile) -> dict[str, list[str]]:
    """Columns of a file, each with the kinds of its values: by its schema, or by its first records."""
    given: dict[str, list[str]] = {name: [TEXT] for name in getattr(file, "partitions", {})}
    if file.format == "parquet":
        return kinds_of_schema(file) | given
    records, looked_at = [], 0
    for values in sample(file, RECORDS):
        records.append(values)
        looked_at += sum(len(value) for value in values.values() if isinstance(value, str))
        if looked_at > MAX_RECORD:
            break
    return kinds_of_values(records) | given
