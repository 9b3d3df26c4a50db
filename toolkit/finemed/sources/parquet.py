"""Rows of a Parquet file: only the columns that are needed, and only the rows that `where` asks for.

::

    (2001, None, {"text": "Croup ...", "domain": "medical"}, None)    # the numbers are those of the file

Of a row group without a row that `where` asks for, only the columns that it names are read.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from finemed.sources.columnar import BATCH_ROWS, Batch, group_batches, opened, picked, row_values
from finemed.sources.conversations import columns_of
from finemed.sources.files import EMPTY, InputFile, Raw, duplicate_column, missing_column
from finemed.sources.streams import BreakError
from finemed.sources.where import Where, keeps


def read_parquet(file: InputFile, where: Where, *, at_once: int = BATCH_ROWS) -> Raw:
    """Rows with their columns as Python values, `at_once` of them in memory."""
    try:
        with opened(file) as parquet:
            yield from _groups(file, where, parquet, at_once)
    except BreakError as broken:
        yield 1, None, {}, str(broken)


def schema_names(file: InputFile) -> list[str]:
    """The columns of a Parquet file; none where it cannot be read."""
    try:
        with opened(file) as parquet:
            return list(parquet.schema_arrow.names)
    except BreakError:
        return []


def _groups(file: InputFile, where: Where, parquet: Any, at_once: int) -> Raw:
    if parquet.metadata.num_rows == 0:
        yield 1, None, {}, EMPTY
    names = parquet.schema_arrow.names
    wanted = file.wanted() | set(() if file.layout == "documents" else columns_of(names))
    fault, text = duplicate_column(file, names), file.source.columns.text
    if fault is None and file.layout == "documents" and text not in (*names, *file.partitions):
        fault = missing_column(text, names)
    columns = [] if fault else list(names) if file.whole else sorted(wanted & set(names))
    before = 0
    for group in range(parquet.num_row_groups):
        for number, values, broken in _rows(file, where, parquet, group, before, columns, at_once):
            yield number, None, values, broken or fault
        before += parquet.metadata.row_group(group).num_rows


def _rows(
    file: InputFile, where: Where, parquet: Any, group: int, before: int, columns: list[str], at_once: int
) -> Iterator[tuple[int, dict[str, Any], str | None]]:
    """Number in the file, columns and fault of each row of a row group that `where` asks for."""
    kept, broken = _kept(file, where, parquet, group, before)
    if broken is not None:
        yield broken.first + 1, {}, broken.fault
    if kept is not None and not any(kept):
        return
    with closing(group_batches(parquet, file, group, before, columns, at_once)) as found:
        for batch in found:
            if batch.fault is not None:
                if broken is None:
                    yield batch.first + 1, {}, batch.fault
                return
            at = batch.first - before
            mask = None if kept is None else kept[at : at + batch.height]
            numbers = [number for number in range(batch.height) if mask is None or mask[number]]
            pieces = (batch.rows,) if mask is None else picked(batch.rows, mask)
            rows = itertools.chain.from_iterable(map(row_values, pieces))
            for number, (values, fault) in zip(numbers, rows, strict=True):
                yield batch.first + number + 1, values, fault


def _kept(
    file: InputFile, where: Where, parquet: Any, group: int, before: int
) -> tuple[list[bool] | None, Batch | None]:
    """Which rows `where` asks for, None where it asks for all; and what of its columns cannot be read."""
    if not where:
        return None, None
    height, added = parquet.metadata.row_group(group).num_rows, file.partitions
    columns, test = sorted(set(where) & set(parquet.schema_arrow.names)), keeps(where)
    if not columns:
        return [test(added)] * height, None
    kept: list[bool] = []
    with closing(group_batches(parquet, file, group, before, columns)) as found:
        for batch in found:
            if batch.fault is not None:
                return kept + [False] * (height - len(kept)), batch
            kept += [fault is not None or test(added | values) for values, fault in row_values(batch.rows)]
    return kept, None
