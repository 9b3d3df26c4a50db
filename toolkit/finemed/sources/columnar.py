"""Rows of a Parquet file as Arrow batches, some columns or all of them; what cannot be decoded is lost by name.

::

    with opened(file) as parquet:
        for batch in batches(parquet, file, ["text"]):   # Batch(first=0, rows=<RecordBatch of 1,000 rows>, fault=None)
            ...

Only the calls that decode are guarded, so that a fault of ours is never taken for a damaged file. Everything is decoded
in the thread that asks: a thread of Arrow's that reads from a Python file when the interpreter ends would abort it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from finemed.sources.files import InputFile
from finemed.sources.streams import BreakError, head_fault, unreadable

BATCH_ROWS = 1000
BATCH_BYTES = 16_000_000
_SPARING: dict[str, Any] = {"buffer_size": 1 << 18, "pre_buffer": False}
"""Read a column as it is asked for, instead of a whole row group's at once."""


class Batch(NamedTuple):
    """Rows that follow each other in a file, or as many that cannot be read."""

    first: int
    """Rows before them."""
    height: int
    rows: Any
    """A record batch; None where `fault` says why there is none."""
    fault: str | None


def decoding_errors() -> tuple[type[Exception], ...]:
    """What Arrow raises over a damaged file."""
    import pyarrow as pa

    return (pa.lib.ArrowException, OSError, UnicodeDecodeError, OverflowError, MemoryError)


def footer_errors() -> tuple[type[Exception], ...]:
    """The same, of a footer, whose own metadata may be anything."""
    return (*decoding_errors(), ValueError, TypeError)


@contextmanager
def opened(file: InputFile) -> Iterator[Any]:
    """The file as Arrow opens it, with its footer read.

    Raises:
        BreakError: it is no Parquet file, or its footer is damaged.
    """
    import pyarrow.parquet as pq

    try:
        stream = file.place.open()
    except OSError as error:
        raise BreakError(unreadable(file, error)) from None
    with stream:
        try:
            parquet = pq.ParquetFile(stream, **_SPARING)
            names = parquet.schema_arrow.names
        except footer_errors() as error:
            raise BreakError(head_fault(file) or unreadable(file, error)) from None
        del names
        with parquet:
            yield parquet


def batches(parquet: Any, file: InputFile, columns: Sequence[str] | None, at_once: int = BATCH_ROWS) -> Iterator[Batch]:
    """All rows in order; of a row group that cannot be read to its end, the rest is one batch with a fault."""
    before = 0
    for group in range(parquet.num_row_groups):
        yield from group_batches(parquet, file, group, before, columns, at_once)
        before += parquet.metadata.row_group(group).num_rows


def group_batches(
    parquet: Any, file: InputFile, group: int, before: int, columns: Sequence[str] | None, at_once: int = BATCH_ROWS
) -> Generator[Batch]:
    """The rows of one row group; `before` rows stand before it."""
    meta = parquet.metadata.row_group(group)
    size = max(1, min(at_once, meta.num_rows * BATCH_BYTES // max(1, meta.total_byte_size)))
    done = 0
    wanted = None if columns is None else list(columns)
    rows = parquet.iter_batches(batch_size=size, row_groups=[group], columns=wanted, use_threads=False)
    while done < meta.num_rows:
        try:
            batch = next(rows, None)
            if batch is None:
                break
        except decoding_errors() as error:
            first, last = before + done + 1, before + meta.num_rows
            fault = f"{unreadable(file, error)}; rows {first} to {last} are lost"
            yield Batch(before + done, meta.num_rows - done, None, fault)
            return
        yield Batch(before + done, batch.num_rows, batch, None)
        done += batch.num_rows


def picked(batch: Any, mask: Any) -> Iterator[Any]:
    """The rows of a batch that a mask of booleans keeps; as several batches where Arrow cannot pick from a type."""
    import numpy as np
    import pyarrow as pa

    if any(_is_view(column.type) for column in batch.schema):
        edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(mask, dtype=np.int8), [0]))))
        for start, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            yield batch.slice(start, end - start)
    else:
        yield batch.filter(pa.array(mask, pa.bool_()))


def _is_view(of: Any) -> bool:
    import pyarrow.types as types

    if types.is_nested(of):
        return "view" in str(of) or any(_is_view(of.field(number).type) for number in range(of.num_fields))
    return bool(types.is_string_view(of) or types.is_binary_view(of))


def row_values(batch: Any) -> Iterator[tuple[dict[str, Any], str | None]]:
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
