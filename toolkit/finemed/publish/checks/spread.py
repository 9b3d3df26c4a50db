"""Ids, components, questions and documents over all files of a release: what is twice, is spread, or disagrees.

::

    spread = Spread(whole_documents=True)
    spread.add(Batch("sft", "train", 0, table), faults)
    spread.finish(faults, read)       # sft/test:3, id 's9a1...': its component 'i77...' is also in ttt/train:8; ...

Of each row some 100 bytes are held: hashes of its keys, and where it stands. What collides is told only where the keys
themselves, read again from their files, are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from finemed.publish.checks.agreement import MARKS, differing_columns, disagreements, marks
from finemed.publish.checks.faults import KEPT, Faults
from finemed.publish.checks.rules import REBUILD, RETRACT, Batch
from finemed.publish.pools import pool_of

Reader = Callable[[str, str, int, str], str | None]
"""Config, split, row and column -> the value in the file."""
RowReader = Callable[[str, str, int], dict[str, Any]]
"""Config, split and row -> the whole row."""
_KEYS = {
    "id": "id",
    "component": "component_id",
    "question": "instruction_id",
    "document": "document_id",
    "passage": "passage_id",
}
_SPLIT_STAGE = f"the split stage is faulty: remove its folder in the run and build again, or {RETRACT}"
_LEVELS = {"answer": "question"}
_CHANGED = f"the row was changed after the build: {RETRACT}, or {REBUILD}"
_VIEW = f"the view is faulty: {REBUILD}"


@dataclass(frozen=True)
class Components:
    """The near-duplicate components of all rows."""

    count: int
    strangers: int
    """Those that are named after a question of no row."""


@dataclass
class Spread:
    """Gathers the keys of all rows."""

    whole_documents: bool = True
    """Whether a document may not be in two splits, nor in `ttt` and another pool."""
    pairs: str = "all"
    """Whether `dpo` has `all` questions of `sft_reasoning`, or a `subset`."""
    views: dict[str, str] | None = None
    """View -> label of its department; None where the manifest does not say."""
    questions: int | None = None
    """Different questions of all pools, once all rows are known; None where some file lacks their ids."""
    components: Components | None = None
    """Those of all pools, once all rows are known; None where some file lacks their ids."""
    _frames: list[pl.DataFrame] = field(default_factory=list)
    _lacking: dict[str, str] = field(default_factory=dict)
    """Keys that some file lacks, and that file."""

    def add(self, batch: Batch, faults: Faults) -> None:
        """Takes the keys of some rows; tells of ids that are missing."""
        frame = batch.frame
        if batch.has(faults, "ids", "id"):
            for row in (frame["id"].is_null() | (frame["id"].str.strip_chars() == "")).arg_true():
                faults.add("ids", batch.place(row), "the row has no id", REBUILD)
        keys = []
        for name, column in {**_KEYS, "department": "department"}.items():
            if column in frame.columns:
                value = pl.col(column)
                keys.append(pl.when(value.is_not_null()).then(value.hash()).alias(name))
            else:
                self._lacking.setdefault(name, f"{batch.config}/{batch.split}")
                keys.append(pl.lit(None, pl.UInt64()).alias(name))
        if frame.width:
            hashed = frame.with_columns(frame.hash_rows().alias("whole"))
        else:  # a file without one column of ours, such as a ledger under a data file's name
            hashed = pl.DataFrame({"whole": pl.Series([0] * batch.table.num_rows, dtype=pl.UInt64())})
        hashed = hashed.with_columns(marks(batch))
        self._frames.append(
            hashed.select(
                *keys,
                *("whole", *MARKS),
                pl.lit(batch.config).cast(pl.Categorical()).alias("config"),
                pl.lit(batch.split).cast(pl.Categorical()).alias("split"),
                pl.int_range(batch.first, batch.first + pl.len(), dtype=pl.UInt32()).alias("row"),
            )
        )

    def finish(self, faults: Faults, read: Reader, row_of: RowReader) -> None:
        """Tells of what stands twice, is spread or disagrees, now that all rows are known."""
        if not self._frames:
            return
        where = pl.col("split").to_physical().cast(pl.UInt16()) * 2 + (pl.col("config") == "ttt")
        rows = pl.concat(self._frames).with_columns(where=where)
        self._frames.clear()
        self._collisions(faults, read, "id", rows, ["config", "id"], pl.int_range(pl.len()).over("config", "id") > 0)
        faults.apply("pools")
        for name, file in self._lacking.items():
            faults.skip("pools", f"{file} has no usable column {_KEYS.get(name, name)}")
        own = rows.filter(pl.col("config").cast(pl.String()).is_in(self._pools(rows)))
        elsewhere = pl.col("where") != pl.col("where").first()
        if "question" not in self._lacking:
            self.questions = own["question"].n_unique()
        if not {"question", "component"} & set(self._lacking):
            self._components(faults, read, own)
        for name in ("component", "question", "document"):
            if name != "document" or self.whole_documents:
                self._collisions(faults, read, name, own, [name], elsewhere.over(name))
        self._pairs(faults, read, rows)
        self._views(faults, read, rows)
        self._agreement(faults, read, row_of, own)

    def _components(self, faults: Faults, read: Reader, own: pl.DataFrame) -> None:
        """A component is named after one of its questions, and holds whole questions and, where asked, documents."""
        strangers = own.join(own, left_on="component", right_on="question", how="anti")
        self.components = Components(own["component"].n_unique(), strangers["component"].n_unique())
        for key in ("question", *(("document",) if self.whole_documents and "document" not in self._lacking else ())):
            low, high = (pl.col("component").min(), pl.col("component").max())
            several = (
                own.group_by(key).agg(low.alias("low"), high.alias("high")).filter(pl.col("low") != pl.col("high"))
            )
            rows = own.join(several, on=key, how="semi")
            self._alone(faults, read, rows, f"its {key} lies in two components")

    def _agreement(self, faults: Faults, read: Reader, row_of: RowReader, own: pl.DataFrame) -> None:
        """Rows of one document, passage or question say the same of it; a passage has one question."""
        more = 0
        for found in disagreements(own):
            if more or len(faults.kept.get(("pools", ""), ())) >= KEPT:
                more += 1
                continue
            where = f"{found.other[0]}/{found.other[1]}:{found.other[2] + 1}"
            if found.level == "questions":
                fact = f"its passage has another question in {where}"
            elif names := differing_columns(found.level, row_of(*found.one), row_of(*found.other)):
                listed, what = ", ".join(f"`{name[:60]}`" for name in names[:6]), _LEVELS.get(found.level, found.level)
                fact = f"{listed} differ{'s' if len(names) < 2 else ''} from {where}, a row of the same {what}"
            else:
                continue  # equal values of other types, which `schema` tells of
            faults.add("pools", place_of(read, *found.one), fact, _CHANGED)
        if more:
            faults.add(
                "pools", "", f"{more} more rows differ from others of their question or document", "", count=more
            )

    @staticmethod
    def _pools(rows: pl.DataFrame) -> list[str]:
        return [config for config in rows["config"].cast(pl.String()).unique() if pool_of(config) == config]

    def _collisions(
        self, faults: Faults, read: Reader, name: str, rows: pl.DataFrame, keys: list[str], wrong: pl.Expr
    ) -> None:
        """Tells of rows that share a key with an earlier one where they must not."""
        known = rows.filter(pl.col(name).is_not_null())
        low, high = pl.col("where").min().alias("low"), pl.col("where").max().alias("high")
        groups = known.group_by(keys).agg(pl.len().alias("rows"), low, high)
        colliding = groups.filter(pl.col("rows") > 1 if name == "id" else pl.col("low") != pl.col("high"))
        if colliding.is_empty():
            return
        shared = known.join(colliding, on=keys, how="semi", maintain_order="left")
        first = [pl.col(column).first().over(keys).alias(f"first_{column}") for column in ("config", "split", "row")]
        found = shared.with_columns(*first, wrong=wrong).filter("wrong")
        rule, column = ("ids", "id") if name == "id" else ("pools", _KEYS[name])
        places = ("config", "split", "row", "first_config", "first_split", "first_row")
        for config, split, row, *there in found.head(KEPT).select(places).iter_rows():
            value = read(config, split, row, column)
            if value != read(there[0], there[1], there[2], column):
                continue  # two keys with one hash
            where = f"{there[0]}/{there[1]}:{there[2] + 1}"
            if name == "id":
                fact, remedy = f"its id is also that of {where}", f"keep one of the rows: {REBUILD}"
            else:
                fact, remedy = f"its {name} {str(value)[:40]!a} is also in {where}", _SPLIT_STAGE
            faults.add(rule, place_of(read, config, split, row), fact, remedy)
        if found.height > KEPT:
            faults.add(rule, "", f"{found.height - KEPT} more", "", count=found.height - KEPT)

    def _pairs(self, faults: Faults, read: Reader, rows: pl.DataFrame) -> None:
        """`dpo` and `sft_reasoning` ask the same."""
        if "question" in self._lacking:
            return
        pairs, long = (rows.filter(pl.col("config") == pool) for pool in ("dpo", "sft_reasoning"))
        self._alone(faults, read, pairs.join(long, on="question", how="anti"), "its question is not in sft_reasoning")
        if self.pairs == "all":
            self._alone(faults, read, long.join(pairs, on="question", how="anti"), "its question is not in dpo")

    def _views(self, faults: Faults, read: Reader, rows: pl.DataFrame) -> None:
        """A view holds the very rows of `sft` of its departments."""
        if {"id", "department"} & set(self._lacking):
            return
        pools = self._pools(rows)
        for (config, split), view in rows.group_by("config", "split", maintain_order=True):
            if config in pools:
                continue
            own = rows.filter((pl.col("config") == "sft") & (pl.col("split") == split))
            strange = view.join(own, on=["id", "whole"], how="anti")
            self._alone(faults, read, strange, f"is not the row of sft/{split} with its id", _VIEW)
            missing = own.join(view, on="department", how="semi").join(view, on="id", how="anti")
            self._alone(faults, read, missing, f"is not in {config}/{split}, the view of its department", _VIEW)
            self._foreign(faults, read, str(config), view)
        self._without_view(faults, rows)

    def _without_view(self, faults: Faults, rows: pl.DataFrame) -> None:
        """Departments whose rows of `sft` are in no view."""
        files = rows.select(pl.col("config", "split").cast(pl.String()), "department")
        there = set(files.select("config", "split").unique().iter_rows())
        own = files.filter(pl.col("config") == "sft")
        for view, label in sorted((self.views or {}).items()):
            department = pl.DataFrame({"department": [label]}).select(pl.col("department").hash())
            counts = own.join(department, on="department", how="semi").group_by("split").len().sort("split")
            for split, count in counts.iter_rows():
                if (view, split) not in there:
                    fact = f"there is no such file, and sft/{split} has {count:,} rows of {label[:40]}"
                    faults.add("pools", f"{view}/{split}", fact, _VIEW)

    def _foreign(self, faults: Faults, read: Reader, config: str, view: pl.DataFrame) -> None:
        """Rows of a view that are of another department than its name says."""
        if self.views is None:
            faults.skip("pools", "the manifest does not say which department a view is of")
        elif config not in self.views:
            faults.add("pools", config, "is neither a pool nor the view of a department", _VIEW)
        else:
            label = self.views[config]
            own = pl.DataFrame({"department": [label]}).select(pl.col("department").hash())
            strange = view.join(own, on="department", how="anti")
            self._alone(faults, read, strange, f"is not of {label[:40]}, the department of {config}", _VIEW)

    def _alone(self, faults: Faults, read: Reader, rows: pl.DataFrame, fact: str, remedy: str = _SPLIT_STAGE) -> None:
        ordered = rows.sort("config", "split", "row")
        for config, split, row in ordered.head(KEPT).select("config", "split", "row").iter_rows():
            faults.add("pools", place_of(read, config, split, row), fact, remedy)
        if rows.height > KEPT:
            faults.add("pools", "", f"{rows.height - KEPT} more", "", count=rows.height - KEPT)


def place_of(read: Reader, config: str, split: str, row: int) -> str:
    """Config, split, number of the row in its file, counted from 1, and its id."""
    known = read(config, split, row, "id")
    return f"{config}/{split}:{row + 1}" + (f", id {known[:60]!a}" if known else "")
