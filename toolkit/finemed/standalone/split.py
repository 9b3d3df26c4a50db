"""``finemed split``: any file into train, validation and test, near-duplicates and groups kept together.

::

    found = split_table(open_table("train.parquet"), SplitConfig(), seed=0, group="patient")
    found.parts.split[16], found.parts.component[16]  ->  "test", "train.parquet:3"

One question that resembles one of another row joins the two, and so does one answer or one passage; which texts say too
little for that is told by `standalone.telling`.
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
from finemed.records import SPLITS, LedgerRow, frame
from finemed.stages.partition import Parts, explain, partition
from finemed.stages.partition import Table as Columns
from finemed.standalone.earlier import EarlierTables
from finemed.standalone.reading import open_parts, quarantined, read_summary
from finemed.standalone.table import Table
from finemed.standalone.telling import telling
from finemed.store.earlier import Earlier

BRIDGES = "bridges_splits"
"""Why a row lies in no split: it is like earlier rows of two."""
_ROW, _ID, _GROUP, _STRATUM = "#row", "#id", "#group", "#stratum"


@dataclass(frozen=True)
class TableSplit:
    """A table with the split of every row."""

    table: Table
    parts: Parts
    shared: dict[str, dict[str, int]]
    """What joins nothing, by part: texts, and rows that have them."""
    _frame: pl.DataFrame
    _columns: Columns
    _config: SplitConfig
    _group: str | None

    def write(self, folder: Path, ending: str) -> dict[str, int]:
        """Writes a file per split that has rows, `train.parquet` and so on; returns their rows."""
        counts = {}
        for split in (*SPLITS, *([BRIDGES] if self.parts.gone else [])):
            mask = pl.Series(self.parts.split) == split
            counts[split] = int(mask.sum())
            if counts[split]:
                self.table.write(folder / f"{split}.{ending}", mask)
        return counts

    def summary(self) -> dict[str, Any]:
        """Counts as JSON values: `rows` came in, `splits` has those that stay."""
        report = dict(self.parts.report)
        splits = report.pop("rows")
        gone = {BRIDGES: len(self.parts.gone)} if self.parts.gone else {}
        counts = {"kept": sum(splits.values()), "dropped": gone, "splits": splits}
        return {**read_summary(self.table), **counts, **report, "shared_texts": self.shared}

    def ledger(self) -> pl.DataFrame:
        """The rows that lie in no split, in their order, as in a run's ledger; then what could not be read."""
        rows = [
            {"row_id": row_id, "drop_reason": BRIDGES, "detail": self.parts.gone[row_id], "stage": "split"}
            for row_id in self.table.ids
            if row_id in self.parts.gone
        ]
        return frame(LedgerRow, rows + quarantined(self.table, "split"))

    def explain(self, row_id: str) -> dict[str, Any]:
        """The component of a row, its members, and what joins it to them.

        Raises:
            InputError: no row has this id.
        """
        self.table.number(row_id)
        told = explain(lambda: iter([self._frame]), self._columns, self._config, self.parts, row_id)
        for edge in told["edges"]:
            if edge["column"] == _GROUP:
                edge["column"] = self._group
        return told


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
        table: the rows with their parts.
        config: shares and thresholds.
        seed: decides which components are drawn.
        answer: one of the table's columns whose texts are answers, whatever its name says.
        group: column of documents, patients and the like, which stay together.
        stratify: column along which splits are drawn evenly.
        earlier: rows of earlier versions, whose splits are held; see `earlier_tables`.

    Raises:
        ConfigError: there is no such column.
    """
    if config.validation + config.test == 0:
        raise ConfigError("validation and test are both 0; nothing is to be split")
    guessed = _untold(table, answer)
    table = table.set_aside([name for name in (group, stratify) if name != answer]).unlabelled(answer)
    parts, shared = telling(table.parts, table.height, answer, guessed)
    frame = pl.DataFrame({_ROW: pl.Series(range(table.height), dtype=pl.UInt32()), _ID: table.ids})
    for name, column in ((_GROUP, table.column(group, "--group")), (_STRATUM, table.column(stratify, "--stratify"))):
        if column is not None:
            frame = frame.with_columns(column.alias(name))
    if parts.height:
        wide = parts.rename({"row": _ROW}).pivot(on="part", index=_ROW, values="text", aggregate_function="first")
        frame = frame.join(wide, on=_ROW, how="left", maintain_order="left")
    names = {
        kind: tuple(parts.filter(parts["kind"] == kind)["part"].unique(maintain_order=True))
        for kind in ("question", "answer", "context")
    }
    columns = Columns(
        question=names["question"],
        answer=names["answer"],
        context=names["context"],
        key=_ID,
        group=None if group is None else _GROUP,
        stratum=None if stratify is None else _STRATUM,
    )
    placed = partition(lambda: iter([frame]), columns, config, seed, earlier)
    return TableSplit(table, placed, shared, frame, columns, config, group)


def _untold(table: Table, answer: str | None) -> list[str]:
    """Columns whose texts are neither questions nor answers as far as anything tells."""
    return [name for name, kind in table.guessed.items() if kind == "context" and name != answer]


def earlier_tables(
    name: str, *, on: Sequence[str] = (), answer: str | None = None, group: str | None = None
) -> EarlierTables | None:
    """The earlier splits in a folder, read as the new table is; None where it has no file named after a split.

    Args:
        name: folder of `train`, `validation` and `test` files, or of such folders.
        on: parts to compare.
        answer: column of answers.
        group: column of groups.
    """

    def read(path: Path) -> dict[str, pl.DataFrame]:
        whole = open_parts(str(path), on=on, also=answer)
        table = whole.set_aside([group if group != answer else None]).unlabelled(answer)
        parts, _ = telling(table.parts, table.height, answer, _untold(whole, answer))
        found = {
            kind: parts.filter(parts["kind"] == kind).select(pl.col("text").alias("value"), "row")
            for kind in ("question", "answer", "context")
        }
        if group is not None and (own := table.column(group, "--group")) is not None:
            rows = pl.Series("row", range(table.height), dtype=pl.UInt32())
            found["_group"] = pl.DataFrame({"value": "group " + own, "row": rows})
        return found

    return EarlierTables.find(name, cache(read))
