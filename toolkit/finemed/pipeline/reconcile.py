"""Accounts for every row: in = kept + dropped by reason, no id lost, doubled or changed.

::

    reconcile(contract, rows, outcome)   # raises ReconcileError that names the stage and the ids
"""

from __future__ import annotations

import polars as pl

from finemed.errors import ReconcileError
from finemed.records.counts import how_many
from finemed.stages.base import Contract, Outcome
from finemed.store.shards import DROP_SCHEMA, ShardFolder


def reconcile(contract: Contract, rows: pl.DataFrame, outcome: Outcome) -> None:
    """Checks one shard's outcome against its input.

    Raises:
        ReconcileError: rows were lost, invented, doubled, both kept and dropped, or have the wrong schema.
    """
    name = contract.name
    if outcome.kept.schema != contract.schema:
        differing = set(outcome.kept.schema.items()) ^ set(contract.schema.items())
        raise ReconcileError(f"{name}: wrong columns {sorted({key for key, _ in differing})}; the stage is faulty")
    if outcome.dropped.schema != DROP_SCHEMA:
        raise ReconcileError(f"{name}: drops have the columns {list(outcome.dropped.schema)}; the stage is faulty")
    given = rows[contract.key_in]
    kept = kept_inputs(contract, outcome.kept)
    dropped = outcome.dropped["row_id"]
    _refuse(name, "entered twice", given.filter(given.is_duplicated()))
    orphans = outcome.kept.filter(pl.all_horizontal(pl.col(column).is_null() for column in contract.parents))
    _refuse(name, "came out without a parent", orphans[contract.key_out])
    _refuse(name, "dropped twice", dropped.filter(dropped.is_duplicated()))
    _refuse(name, "both kept and dropped", dropped.filter(dropped.is_in(kept.implode())))
    accounted = pl.concat([kept, dropped])
    _refuse(name, "lost", given.filter(~given.is_in(accounted.implode())))
    _refuse(name, "left that never entered", accounted.filter(~accounted.is_in(given.implode())))
    produced = outcome.kept[contract.key_out]
    _refuse(name, "came out twice", produced.filter(produced.is_duplicated() | produced.is_null()))
    if outcome.noted is not None:
        if outcome.noted.schema != DROP_SCHEMA:
            raise ReconcileError(f"{name}: remarks have the columns {list(outcome.noted.schema)}; the stage is faulty")
        remarked = outcome.noted["row_id"]
        _refuse(name, "remarked on but not kept", remarked.filter(~remarked.is_in(kept.implode())))
    blank = outcome.dropped.filter(pl.col("drop_reason") == "")
    _refuse(name, "dropped without a reason", blank["row_id"])


def kept_inputs(contract: Contract, kept: pl.DataFrame) -> pl.Series:
    """Ids of the input rows that the kept rows come from, each once, in order."""
    parts = [kept[column] for column in contract.parents]
    return pl.concat([part.rename("row_id") for part in parts]).drop_nulls().unique(maintain_order=True)


def reconcile_totals(contract: Contract, folder: ShardFolder, rows_in: int | None) -> dict[str, int]:
    """Counts a finished stage and checks the sums and that ids are unique over all shards.

    Args:
        contract: the stage's.
        folder: its output.
        rows_in: rows that entered; None where nobody counted them (an ingest that is not run again).

    Returns:
        `rows_in`, `rows_kept` (input rows that live on), `rows_dropped`, `rows_out` (output rows).

    Raises:
        ReconcileError: the sums differ or an id came out of two shards.
    """
    kept_total = dropped_total = out_total = 0
    produced: list[pl.Series] = []
    columns = list(dict.fromkeys((*contract.parents, contract.key_out)))
    for index in folder.indices():
        part = folder.kept(index, columns)
        kept_total += kept_inputs(contract, part).len()
        out_total += part.height
        dropped_total += folder.dropped(index).height
        produced.append(part[contract.key_out].hash(seed=7))
    if rows_in is None:
        rows_in = kept_total + dropped_total
    if rows_in != kept_total + dropped_total:
        raise ReconcileError(
            f"{contract.name}: {rows_in} rows in, but {kept_total} kept + {dropped_total} dropped; "
            f"remove {folder.path} and run the same command again"
        )
    if produced and (ids := pl.concat(produced)).n_unique() != ids.len():
        twice = ids.filter(ids.is_duplicated()).implode()
        frames = (frame[contract.key_out] for _, frame in folder.frames())
        shown = sorted({row_id for part in frames for row_id in part.filter(part.hash(seed=7).is_in(twice))})
        raise ReconcileError(
            f"{contract.name}: {len(shown)} ids came out of two shards: {', '.join(shown[:5])}; the stage is faulty"
        )
    return {"rows_in": rows_in, "rows_kept": kept_total, "rows_dropped": dropped_total, "rows_out": out_total}


def _refuse(stage: str, what: str, ids: pl.Series) -> None:
    if ids.len():
        shown = ", ".join(str(value) for value in ids.unique(maintain_order=True).head(5))
        raise ReconcileError(
            f"{stage}: {how_many(ids.len(), 'row')} {what}: {shown}; nothing of this shard was written"
        )
