"""Two versions of one build: the later one holds the rows of the earlier, without what was retracted since.

::

    check_same_build(shipped, previous, faults)
    # sft/train: the row 's6478...' of 1.0.0 is gone, and no tombstone names it; ...

A retraction publishes the last version again; where all stages are those of the version before, no other row can have
come, gone or changed.
"""

from __future__ import annotations

import polars as pl

from finemed.errors import FineMedError
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.recount import REMEDY
from finemed.publish.checks.shipped import Shipped
from finemed.publish.pools import pool_of
from finemed.publish.versions.folder import columns_of
from finemed.publish.versions.tombstones import COLUMNS, Tombstones
from finemed.records.manifest import Manifest

_SHOWN = 10


def check_same_build(shipped: Shipped, previous: Shipped, stones: Tombstones, faults: Faults) -> None:
    """`retracted`: rows against those of the version before, where both are of one build.

    Args:
        shipped: the release.
        previous: the version before it.
        stones: what was retracted.
        faults: where what differs goes.
    """
    now, then = shipped.whole, previous.whole
    if now is None or then is None or not _of_one_build(now, then):
        return
    if shipped.spoilt or previous.spoilt:
        return
    try:
        found, before = _rows(shipped, stones), _rows(previous, stones)
        columns = found.columns == before.columns and set(_names(shipped)) == set(_names(previous))
    except (FineMedError, OSError, pl.exceptions.PolarsError):
        return  # rows that cannot be read are named by `schema`
    faults.apply("retracted")
    gone = before.filter(~pl.col("retracted")).join(found, on=("place", "id"), how="anti")
    new = found.join(before, on=("place", "id"), how="anti")
    other = found.join(before, on=("place", "id"), suffix="_before").filter(pl.col("row") != pl.col("row_before"))
    version = then.version or "the version before"
    for rows, fact in (
        (gone, f"of {version} is gone, and no tombstone names it"),
        (new, f"is not in {version}, which is of the same build"),
        (other if columns else other.clear(), f"is another than in {version}, which is of the same build"),
    ):
        for place, row_id in rows.select("place", "id").sort("place", "id").head(_SHOWN).iter_rows():
            faults.add("retracted", place, f"the row {str(row_id)[:60]!a} {fact}", REMEDY)
        if rows.height > _SHOWN:
            faults.add("retracted", "", f"{rows.height - _SHOWN} more", "", count=rows.height - _SHOWN)


def _of_one_build(now: Manifest, then: Manifest) -> bool:
    """Whether the last stage gave the same rows, or every stage had the same settings and input."""
    split, before = now.stage("split"), then.stage("split")
    if split is not None and before is not None and split.files and split.files == before.files:
        return True
    return [report.fingerprint for report in now.stages] == [report.fingerprint for report in then.stages]


def _names(shipped: Shipped) -> list[str]:
    return [column for path in shipped.data.values() for column in columns_of(path)]


def _rows(shipped: Shipped, stones: Tombstones) -> pl.DataFrame:
    """Place, id and hash of every row of the pools, and whether it is retracted."""
    kinds = [name for names in COLUMNS.values() for name in names]
    found = []
    for (config, split), path in shipped.data.items():
        if pool_of(config) == config:
            rows = pl.read_parquet(path, glob=False)
            known = rows.select(name for name in kinds if name in rows.columns)
            found.append(
                rows.select("id").with_columns(
                    pl.lit(f"{config}/{split}").alias("place"),
                    rows.hash_rows().alias("row"),
                    known.select(stones.mask(known.columns)).to_series().alias("retracted")
                    if len(stones)
                    else pl.lit(value=False).alias("retracted"),
                )
            )
    return pl.concat(found) if found else pl.DataFrame(schema={"id": pl.String, "place": pl.String, "row": pl.UInt64})
