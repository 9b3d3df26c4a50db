"""Rows of a Parquet file: only the columns that are needed, and only the rows that `where` asks for.

::

    (2001, None, {"text": "Croup ...", "domain": "medical"}, None)    # the numbers are those of the file

Of a row group without a row that `where` asks for, only the columns that it names are read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from finemed.errors import FineMedError
from finemed.sources.conversations import columns_of
from finemed.sources.files import EMPTY, InputFile, Raw, duplicate_column, missing_column
from finemed.sources.streams import unreadable
from finemed.sources.where import Where, keeps

BATCH_ROWS = 1000
BATCH_BYTES = 16_000_000
_SPARING: dict[str, Any] = {"buffer_size": 1 << 18, "pre_buffer": False}
"""Read a column as it is asked for, instead of a whole row group's at once."""


def read_parquet(file: InputFile, where: Where, *, at_once: int = BATCH_ROWS) -> Raw:
    """Rows with their columns as Python values, `at_once` of them in memory."""
    import pyarrow.parquet as pq

    try:
        with file.place.open() as stream, pq.ParquetFile(stream, **_SPARING) as parquet:
            yield from _groups(file, where, parquet, at_once)
    except FineMedError:
        raise
    except Exception as error:  # a damaged footer can make pyarrow raise nearly anything
        yield 1, None, {}, unreadable(file, error)


def schema_names(file: InputFile) -> list[str]:
    """The columns of a Parquet file; none where it cannot be read."""
    import pyarrow.parquet as pq

    try:
        with file.place.open() as stream:
            return list(pq.read_schema(stream).names)
    except FineMedError:
        raise
    except Exception:
        return []


def _groups(file: InputFile, where: Where, parquet: Any, at_once: int) -> Raw:
    if parquet.metadata.num_rows == 0:
        yield 1, None, {}, EMPTY
    names = parquet.schema_arrow.names
    wanted = file.wanted() | set(() if file.layout == "documents" else columns_of(names))
    fault, text = duplicate_column(file, names), file.source.columns.text
    if fault is None and file.layout == "documents" and text not in names:
        fault = missing_column(text, names)
    columns = [] if fault else sorted(wanted & set(names))
    before = 0
    for group in range(parquet.num_row_groups):
        done, height = 0, parquet.metadata.row_group(group).num_rows
        try:
            for done, values, broken in _rows(where, parquet, group, columns, at_once):
                yield before + done, None, values, fault or broken
        except FineMedError:
            raise
        except Exception as error:  # as above; the row groups behind this one may be sound
            lost = f"rows {before + done + 1} to {before + height} are lost"
            yield before + done + 1, None, {}, f"{unreadable(file, error)}; {lost}"
        before += height


def _rows(
    where: Where, parquet: Any, group: int, columns: list[str], at_once: int
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Number within the row group, columns and fault of each row that `where` asks for."""
    kept = _kept(where, parquet, group)
    if kept is not None and not any(kept):
        return
    meta = parquet.metadata.row_group(group)
    size = max(1, min(at_once, meta.num_rows * BATCH_BYTES // max(1, meta.total_byte_size)))
    before = 0
    for batch in parquet.iter_batches(batch_size=size, row_groups=[group], columns=columns):
        height = batch.num_rows
        picked = range(height) if kept is None else [row for row in range(height) if kept[before + row]]
        if len(picked) < height:
            batch = batch.take(list(picked))
        for row, (values, broken) in zip(picked, _values(batch), strict=True):
            yield before + row + 1, values, broken
        before += height


def _kept(where: Where, parquet: Any, group: int) -> list[bool] | None:
    """Which rows `where` asks for; None where it asks for all."""
    if not where:
        return None
    columns = sorted(set(where) & set(parquet.schema_arrow.names))
    return list(map(keeps(where), parquet.read_row_group(group, columns=columns).to_pylist()))


def _values(batch: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
    """The batch's rows; where one holds text that is no text, that one alone is broken."""
    try:
        rows = batch.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        yield from (_value(batch.slice(number, 1)) for number in range(batch.num_rows))
    else:
        yield from ((values, None) for values in rows)


def _value(row: Any) -> tuple[dict[str, Any], str | None]:
    try:
        return row.to_pylist()[0], None
    except UnicodeDecodeError as error:
        return {}, f"not_utf8: byte {error.start} of a value"
    except (ValueError, OverflowError) as error:
        return {}, f"bad_value: {' '.join(str(error).split())[:200]}"
