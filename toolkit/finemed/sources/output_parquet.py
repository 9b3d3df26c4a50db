"""Rows of files written as Parquet, with the types and the metadata of those that are Parquet.

::

    write_parquet_rows(path, [Columns(...), Lines(...)], mask, {"contamination": [None, "mmlu/17: stem ..."]})

What Parquet has no form for is refused by place, never changed: objects with different keys, which it would pad with
nulls, integers beyond 64 bits, columns of mixed types. A column that a row does not have is null.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finemed.errors import InputError
from finemed.sources.files import writable
from finemed.sources.rows import Columns, Lines, Rows

GROUP_ROWS = 50_000
_SAMPLE = 20_000
_KEEP = "write .jsonl, which keeps every row as it is"
_LABELS = b"huggingface"


def write_parquet_rows(path: Path, files: Sequence[Rows], mask: Any, extra: dict[str, list[Any]]) -> None:
    """Writes the rows that the mask keeps.

    Raises:
        InputError: files have different types, or values of a column no common one.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    added = {name: pa.array(values) for name, values in extra.items()}
    before, kept = 0, []
    for rows in files:
        kept.append((rows, mask[before : before + rows.height], before))
        before += rows.height
    schema = _common([rows for rows in files if isinstance(rows, Columns)])
    tables = {id(rows): None for rows in files}
    lines = [(rows, chosen) for rows, chosen, _ in kept if isinstance(rows, Lines)]
    if lines:
        schema, made = _typed(lines, schema)
        tables |= {id(rows): table for (rows, _), table in zip(lines, made, strict=True)}
    for name, values in added.items():
        of = pa.field(name, values.type)
        at = schema.get_field_index(name)
        schema = schema.append(of) if at < 0 else schema.set(at, of)
    with pq.ParquetWriter(path, schema, compression="zstd", compression_level=3) as writer:
        held, size = [], 0
        for batch in _batches(kept, tables, schema, added):
            held.append(batch)
            size += batch.num_rows
            if size >= GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(held, schema))
                held, size = [], 0
        if held:
            writer.write_table(pa.Table.from_batches(held, schema))


def _batches(kept: list[Any], tables: dict[int, Any], schema: Any, added: dict[str, Any]) -> Iterator[Any]:
    """The kept rows with the columns of the schema."""
    import numpy as np
    import pyarrow as pa

    for rows, chosen, before in kept:
        numbers, done = pa.array(np.flatnonzero(chosen) + before), 0
        table = tables[id(rows)]
        for batch in rows.batches(chosen) if table is None else table.to_batches(max_chunksize=_SAMPLE):
            if not batch.num_rows:
                continue
            own = numbers.slice(done, batch.num_rows)
            done += batch.num_rows
            columns = []
            for field in schema:
                at = batch.schema.get_field_index(field.name)
                if field.name in added:
                    column = added[field.name].take(own)
                elif at < 0:
                    column = pa.nulls(batch.num_rows, field.type)
                else:
                    column = batch.column(at)
                    if column.type != field.type:
                        column = _cast(rows.file.name, field, column)
                columns.append(column)
            yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _cast(place: str, field: Any, column: Any) -> Any:
    import pyarrow as pa

    try:
        return column.cast(field.type)
    except pa.lib.ArrowException as error:
        raise InputError(
            f"{place}: `{writable(field.name)}` cannot become {field.type} without loss ({_short(error)}); {_KEEP}"
        ) from None


# --- types of Parquet files ------------------------------------------------------------------------------------------


def _common(files: list[Columns]) -> Any:
    """The schema of all files: every column with a type that holds the values of all, and what metadata they share.

    Raises:
        InputError: there is no such type, or the files have label names of their own.
    """
    import pyarrow as pa

    found = None
    for rows in files:
        own = rows.schema
        for name in rows.file.partitions:
            if name not in own.names:
                own = own.append(pa.field(name, pa.string()))
        found = own if found is None else _united(found, own, files[0].file.name, rows.file.name)
    return pa.schema([]) if found is None else found


def _united(one: Any, other: Any, first: str, place: str) -> Any:
    import pyarrow as pa

    fields = {field.name: field for field in one}
    for field in other:
        held = fields.get(field.name)
        if held is None or held.equals(field, check_metadata=True):
            fields.setdefault(field.name, field)
            continue
        if not _alike(held.type, field.type):
            raise InputError(
                f"{place}: `{writable(field.name)}` is {field.type}, in {first} it is {held.type}; {_KEEP}, or work on "
                "the files one by one"
            )
        united = pa.unify_schemas([pa.schema([held]), pa.schema([field])], promote_options="permissive")
        fields[field.name] = united.field(0)
    mine, yours = one.metadata or {}, other.metadata or {}
    if mine.get(_LABELS) != yours.get(_LABELS):
        raise InputError(
            f"{place}: has other HuggingFace features than {first}, such as the names of labels; work on the files one "
            "by one"
        )
    shared = {key: value for key, value in mine.items() if yours.get(key) == value}
    return pa.schema(list(fields.values()), shared or None)


def _alike(one: Any, other: Any) -> bool:
    """Whether the values of both fit into one type without a change."""
    import pyarrow.types as types

    if one == other or types.is_null(one) or types.is_null(other):
        return True
    kinds = (
        types.is_integer,
        types.is_floating,
        types.is_timestamp,
        lambda t: types.is_string(t) or types.is_large_string(t),
    )
    return any(test(one) and test(other) for test in kinds)


# --- types of JSON lines ---------------------------------------------------------------------------------------------


def _typed(lines: list[tuple[Lines, Any]], schema: Any) -> tuple[Any, list[Any]]:
    """Rows of JSON as Arrow tables, and the schema with their columns; a column that is there keeps its type."""
    import pyarrow as pa

    names = list(dict.fromkeys(name for rows, _ in lines for name in rows.names))
    values: dict[str, list[Any]] = {name: [] for name in names}
    places: list[str] = []
    for rows, chosen in lines:
        for number, (place, row) in enumerate(zip(rows.places, rows.values(), strict=True)):
            if chosen[number]:
                places.append(place)
                for name in names:
                    values[name].append(row.get(name))
    columns = []
    for name in names:
        at = schema.get_field_index(name)
        column = _column(name, values.pop(name), places, schema.field(at).type if at >= 0 else None)
        columns.append(column)
        if at < 0:
            schema = schema.append(pa.field(name, column.type))
    whole = pa.table(columns, names=names)
    heights = [int(chosen.sum()) for _, chosen in lines]
    starts = [sum(heights[:number]) for number in range(len(heights))]
    return schema, [whole.slice(start, height) for start, height in zip(starts, heights, strict=True)]


def _column(name: str, values: list[Any], places: list[str], of: Any) -> Any:
    """One column's values as Arrow holds them.

    Raises:
        InputError: Arrow has no type for them, or would change one; with the place of the first.
    """
    import pyarrow as pa

    try:
        column = _array(values, of)
    except (pa.lib.ArrowException, OverflowError, UnicodeEncodeError, TypeError) as error:
        raise InputError(f"{_odd(name, values, places, error)}; {_KEEP}") from None
    if _has_no_field(column.type):
        raise InputError(
            f"{places[0]}: `{writable(name)}` holds an empty object, which Parquet has no form for; {_KEEP}"
        )
    for start in range(0, len(values), _SAMPLE):
        piece = values[start : start + _SAMPLE]
        held = column.slice(start, len(piece)).to_pylist()
        if held == piece:
            continue
        at = next((at for at, pair in enumerate(zip(piece, held, strict=True)) if not _same(*pair)), None)
        if at is not None:
            fact = "has other keys than the objects of other rows, which Parquet would fill with nulls"
            if not isinstance(piece[at], dict | list):
                fact = f"would become {str(held[at])[:40]!a}"
            raise InputError(f"{places[start + at]}: `{writable(name)}` {fact}; {_KEEP}")
    return column


def _array(values: list[Any], of: Any) -> Any:
    import pyarrow as pa

    if of is not None:
        return pa.array(values, of)
    try:
        return pa.array(values)
    except (pa.lib.ArrowException, OverflowError):
        if all(value is None or (type(value) is int and value >= 0) for value in values):
            return pa.array(values, pa.uint64())
        raise


def _same(value: Any, held: Any) -> bool:
    """Whether nothing was changed; NaN equals itself here, and true is no 1."""
    if isinstance(value, dict) and isinstance(held, dict):
        return value.keys() == held.keys() and all(_same(item, held[key]) for key, item in value.items())
    if isinstance(value, list) and isinstance(held, list):
        return len(value) == len(held) and all(map(_same, value, held))
    if isinstance(value, bool) is not isinstance(held, bool):
        return False
    return bool(value == held) or (value != value and held != held)


def _odd(name: str, values: list[Any], places: list[str], error: Exception) -> str:
    """What keeps a column from having a type, with the place of the first value that does not fit."""
    shown = writable(name)
    first = None
    for place, value in zip(places, values, strict=True):
        if isinstance(value, int) and not -(2**63) <= value < 2**64:
            return f"{place}: `{shown}` is an integer of more than 64 bits"
        if value is None:
            continue
        of = "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
        if first is None:
            first = (of, place)
        elif of != first[0]:
            return f"{place}: `{shown}` is {of}, in {first[1]} it is {first[0]}"
    return f"{places[0]}: the values of `{shown}` have no common type ({_short(error)})"


def _has_no_field(of: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(of) and not of.num_fields:
        return True
    return types.is_nested(of) and any(_has_no_field(of.field(number).type) for number in range(of.num_fields))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
