"""``finemed split``: any file into train, validation and test, near-duplicates and groups kept together.

::

    found = split_table(open_table("train.parquet"), SplitConfig(), seed=0, group="patient")
    found.parts.split[16], found.parts.component[16]  ->  "test", "train.parquet:3"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import SplitConfig
from finemed.errors import ConfigError
from finemed.records import SPLITS
from finemed.stages.partition import Parts, explain, partition
from finemed.stages.partition import Table as Columns
from finemed.standalone.earlier import EarlierTables
from finemed.standalone.table import Table, open_table, write_table
from finemed.store.earlier import Earlier


@dataclass(frozen=True)
class TableSplit:
    """A table with the split of every row."""

    table: Table
    parts: Parts
    _frame: pl.DataFrame
    _columns: Columns
    _config: SplitConfig

    def rows(self, split: str) -> pl.DataFrame:
        """The rows of a split with all their columns, in their order."""
        return self.table.rows.filter(pl.Series(self.parts.split) == split)

    def write(self, folder: Path, ending: str) -> dict[str, int]:
        """Writes a file per split that has rows, `train.parquet` and so on; returns their rows."""
        counts = {split: self.rows(split) for split in (*SPLITS, *(["bridges_splits"] if self.parts.gone else []))}
        for split, rows in counts.items():
            if rows.height:
                write_table(folder / f"{split}.{ending}", rows)
        return {split: rows.height for split, rows in counts.items()}

    def explain(self, row_id: str) -> dict[str, Any]:
        """The component of a row, its members, and what joins it to them.

        Raises:
            InputError: no row has this id.
        """
        self.table.number(row_id)
        return explain(lambda: iter([self._frame]), self._columns, self._config, self.parts, row_id)


def split_table(
    table: Table,
    config: SplitConfig,
    seed: int,
    *,
    answer: str | None = None,
    group: str | None = None,
    stratify: str | None = None,
    earlier: Earlier | None = None,
) -> TableSplit:
    """Assigns every row to a split.

    Args:
        table: the rows; their text is the question.
        config: shares and thresholds.
        seed: decides which components are drawn.
        answer: column of answers, which must not resemble each other across splits either.
        group: column of documents, patients and the like, which stay together.
        stratify: column along which splits are drawn evenly.
        earlier: rows of earlier versions, whose splits are held; see `earlier_tables`.

    Raises:
        ConfigError: there is no such column.
    """
    given = {"answer": (answer, "--answer"), "group": (group, "--group"), "stratum": (stratify, "--stratify")}
    named = {field: table.column(name, option) for field, (name, option) in given.items()}
    frame = pl.DataFrame(
        {"id": table.ids, "question": table.texts.fill_null("")}
        | {field: column for field, column in named.items() if column is not None}
    )
    columns = Columns(
        question="question",
        key="id",
        **{field: field for field, column in named.items() if column is not None},
    )
    if config.validation + config.test == 0:
        raise ConfigError("validation and test are both 0; nothing is to be split")
    parts = partition(lambda: iter([frame]), columns, config, seed, earlier)
    return TableSplit(table, parts, frame, columns, config)


def earlier_tables(
    name: str, *, text: Sequence[str] = (), answer: str | None = None, group: str | None = None
) -> EarlierTables | None:
    """The earlier splits in a folder, read as the new table is; None where it has no file named after a split.

    Args:
        name: folder of `train`, `validation` and `test` files, or of such folders.
        text: columns of the question.
        answer: column of answers.
        group: column of groups.
    """

    def read(path: Path) -> dict[str, pl.Series]:
        table = open_table(str(path), text=text)
        found = {"question": table.texts.fill_null("")}
        if answer is not None and (own := table.column(answer, "--answer")) is not None:
            found["answer"] = own.fill_null("")
        if group is not None and (own := table.column(group, "--group")) is not None:
            found["_group"] = "group " + own
        return found

    return EarlierTables.find(name, cache(read))
