"""``finemed split``: any file into train, validation and test, near-duplicates and groups kept together.

::

    found = split_table(open_table("train.parquet"), SplitConfig(), seed=0, group="patient")
    found.parts.split[16], found.parts.component[16]  ->  "test", "train.parquet:3"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import SplitConfig
from finemed.errors import ConfigError
from finemed.records import SPLITS
from finemed.stages.partition import Parts, explain, partition
from finemed.stages.partition import Table as Columns
from finemed.standalone.table import Table


@dataclass(frozen=True)
class TableSplit:
    """A table with the split of every row."""

    table: Table
    parts: Parts
    _frame: pl.DataFrame
    _columns: Columns
    _config: SplitConfig

    def write(self, folder: Path, ending: str) -> dict[str, int]:
        """Writes a file per split that has rows, `train.parquet` and so on; returns their rows."""
        drawn = pl.Series(self.parts.split)
        counts = {split: int((drawn == split).sum()) for split in SPLITS}
        for split, rows in counts.items():
            if rows:
                self.table.write(folder / f"{split}.{ending}", drawn == split)
        return counts

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
) -> TableSplit:
    """Assigns every row to a split.

    Args:
        table: the rows; their text is the question.
        config: shares and thresholds.
        seed: decides which components are drawn.
        answer: column of answers, which must not resemble each other across splits either.
        group: column of documents, patients and the like, which stay together.
        stratify: column along which splits are drawn evenly.

    Raises:
        ConfigError: there is no such column.
    """
    given = {"answer": (answer, "--answer"), "group": (group, "--group"), "stratum": (stratify, "--stratify")}
    named = {field: table.column(name, option) for field, (name, option) in given.items()}
    frame = pl.DataFrame(
        {"id": table.ids, "question": table.texts(whole=False).fill_null("")}
        | {field: column for field, column in named.items() if column is not None}
    )
    columns = Columns(
        question="question",
        key="id",
        **{field: field for field, column in named.items() if column is not None},
    )
    if config.validation + config.test == 0:
        raise ConfigError("validation and test are both 0; nothing is to be split")
    parts = partition(lambda: iter([frame]), columns, config, seed)
    return TableSplit(table, parts, frame, columns, config)
