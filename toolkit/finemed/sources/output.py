"""Rows of files written as JSON Lines: a line of JSON Lines has its own bytes again.

::

    write_jsonl(path, [Lines(...), Columns(...)], mask, {"contamination": [None, "mmlu/17: stem ..."]})

What a Parquet file holds that JSON has no form for (bytes, times, NaN) is refused by place, never changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from finemed.errors import InputError
from finemed.sources.columnar import row_values
from finemed.sources.files import writable
from finemed.sources.rows import Columns, Lines, Rows, joined
from finemed.sources.written import json_line

_PARQUET = "write .parquet, which keeps its type"


def write_jsonl(path: Path, files: Sequence[Rows], mask: Any, extra: dict[str, list[Any]]) -> None:
    """Writes the rows that the mask keeps, one JSON object a line.

    Raises:
        InputError: a value of a Parquet file has no form in JSON.
    """
    for rows in files:
        if isinstance(rows, Columns):
            _check_json(rows)
    with path.open("wb") as out:
        before = 0
        for rows in files:
            kept = mask[before : before + rows.height]
            numbers = [number for number in range(rows.height) if kept[number]]
            lines = _own_lines(rows, numbers) if isinstance(rows, Lines) else _new_lines(rows, kept)
            for number, line in zip(numbers, lines, strict=True):
                if extra:
                    line = joined(line, {name: values[before + number] for name, values in extra.items()})
                out.write(line)
            before += rows.height


def _own_lines(rows: Lines, numbers: list[int]) -> Iterator[bytes]:
    for number in numbers:
        line = rows.data[number]
        yield line if line.endswith((b"\n", b"\r")) else line + b"\n"


def _new_lines(rows: Columns, kept: Any) -> Iterator[bytes]:
    numbers = iter([rows.numbers[at] for at in range(rows.height) if kept[at]])
    for batch in rows.batches(kept):
        for values, fault in row_values(batch):
            number = next(numbers)
            try:
                if fault is not None:
                    raise ValueError(fault.partition(": ")[2])
                line = json_line(values)
            except ValueError as error:
                raise InputError(f"{rows.file.name}:{number}: has no form in JSON ({error}); {_PARQUET}") from None
            yield line


def _check_json(rows: Columns) -> None:
    for column in rows.schema:
        odd = _not_json(column.type)
        if odd is not None:
            raise InputError(
                f"{rows.file.name}: `{writable(column.name)}` is {odd}, for which JSON has no form; {_PARQUET}"
            )


def _not_json(column: Any) -> str | None:
    """A type within this one that JSON has no form for."""
    import pyarrow.types as types

    if types.is_dictionary(column):
        return _not_json(column.value_type)
    if types.is_map(column):
        return str(column)
    if types.is_nested(column):
        inner = (_not_json(column.field(number).type) for number in range(column.num_fields))
        return next((odd for odd in inner if odd is not None), None)
    plain = (types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_boolean)
    fits = types.is_null(column) or any(test(column) for test in plain) or types.is_floating(column)
    return None if fits else str(column)
