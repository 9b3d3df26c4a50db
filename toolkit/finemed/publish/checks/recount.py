"""The figures of a manifest, counted again from the rows, the ledger and the notes.

::

    check_figures(shipped, recounted, faults)
    # manifest.json: `figures.quality.8` says 41, the rows give 40; ...

What is counted here is counted by the code that wrote it: a figure that was edited afterwards differs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import stable_hash
from finemed.publish.cards.card_facts import column_types
from finemed.publish.cards.samples import examples, totals
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.figures import Figures, contamination
from finemed.publish.pools import pool_of, split_order
from finemed.publish.versions.compose import RETRACTED
from finemed.records.manifest import Manifest
from finemed.stages.contamination import REASON, benchmark_of

REMEDY = "an edited manifest: run `finemed build` or `finemed publish` again, or get the release from where it was made"
NO_FORM = "the manifest has not the form of a release's"
_MOST = 10
"""Differences of one part that are told."""


def check_figures(shipped: Shipped, counted: Figures | str, faults: Faults) -> None:
    """`figures` and `licence`: what the manifest counts.

    Args:
        shipped: the release.
        counted: of all rows, or why they could not be counted.
        faults: where what differs goes.
    """
    manifest = shipped.whole
    if manifest is None:
        faults.skip("figures", NO_FORM)
        return
    try:
        found = {} if isinstance(counted, str) else counted.plain()
    except Exception as error:  # rows that break the schema can make a count fail in any way
        counted = type(error).__name__
    if isinstance(counted, str):
        if not faults.counts:
            faults.add("figures", "data", f"the rows cannot be counted: {counted}", REMEDY)
        faults.skip("figures", f"the rows cannot be counted: {counted}")
        return
    faults.apply("figures")
    licences = ("licences",)
    tell("figures", "figures", _without(manifest.figures, licences), _without(found, licences), faults)
    tell("licence", "figures.licences", manifest.figures.get("licences"), found["licences"], faults)
    extracted = counted.extractive > 0 or any(model.startswith("rules@") for model in counted.models["questions"])
    tell("figures", "extractive", manifest.extractive, extracted, faults)
    tell("figures", "columns", shipped.raw["columns"], _columns(shipped), faults)
    tell("figures", "content", manifest.content, _content(shipped, manifest), faults)
    _samples(shipped, manifest, faults)
    _contamination(shipped, manifest, faults)
    stones = shipped.path / "tombstones.jsonl"
    lines = sum(1 for line in stones.read_text("utf-8", "replace").split("\n") if line) if stones.is_file() else 0
    told = manifest.retracted.tombstones if manifest.retracted else 0
    tell("figures", "retracted.tombstones", told, lines, faults, of="tombstones.jsonl")


def _samples(shipped: Shipped, manifest: Manifest, faults: Faults) -> None:
    """Totals and examples, where the manifest has them, from files whose columns have their types."""
    if faults.counts["schema"]:
        return  # which breaks the release already
    data: dict[str, dict[str, Path]] = {}
    for (config, split), path in shipped.data.items():
        data.setdefault(config, {})[split] = path
    if manifest.totals is not None:
        tell("figures", "totals", shipped.raw["totals"], totals(data), faults)
    if manifest.examples is not None:
        tell("figures", "examples", manifest.examples, examples(data), faults)


def _without(figures: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in figures.items() if key not in names}


def _columns(shipped: Shipped) -> dict[str, Any]:
    import pyarrow.parquet as pq

    first = {config: path for (config, _), path in reversed(shipped.data.items()) if pool_of(config) == config}
    try:
        return {config: column_types(pq.read_schema(path)) for config, path in sorted(first.items())}
    except Exception as error:  # a damaged footer can make pyarrow raise nearly anything; `schema` tells of the file
        return {"cannot be read": type(error).__name__}


def _content(shipped: Shipped, manifest: Manifest) -> dict[str, str]:
    return {
        config: stable_hash(
            [shipped.hashes.get(f"data/{config}/{split}.parquet") for split in split_order(dict(splits))]
        )
        for config, splits in manifest.configs.items()
    }


def _contamination(shipped: Shipped, manifest: Manifest, faults: Faults) -> None:
    """Hits by benchmark against ledger and notes; details of rows that were retracted since no longer name theirs."""
    tell("figures", "decontaminated", manifest.decontaminated, bool(manifest.benchmarks), faults, of="its benchmarks")
    stated = [hits.model_dump() for hits in manifest.contamination]
    if sorted(hits["benchmark"] for hits in stated) != sorted(manifest.benchmarks):
        fact = "`contamination` and `benchmarks` do not name the same benchmarks"
        faults.add("figures", MANIFEST, fact, REMEDY)
        return
    try:
        counted = contamination(shipped.path, manifest.benchmarks)
        unnamed, retracted = _unnamed(shipped, manifest)
    except (OSError, pl.exceptions.PolarsError) as error:
        faults.add("figures", "ledger.parquet", f"cannot be read: {type(error).__name__}", REMEDY)
        return
    pairs = list(zip(sorted(stated, key=lambda hits: str(hits["benchmark"])), counted, strict=True))
    missing = [told[key] - found[key] for told, found in pairs for key in _HITS]
    if min(missing, default=0) < 0 or sum(missing) != retracted or not all(a["items"] == b["items"] for a, b in pairs):
        tell("figures", "contamination", [told for told, _ in pairs], counted, faults, of="ledger and notes")
    if unnamed:
        fact = f"{unnamed} rows repeat an item of no benchmark that the manifest names"
        faults.add("figures", "ledger.parquet", fact, REMEDY)


_HITS = ("questions_dropped", "questions_marked", "answers_dropped", "answers_marked")


def _unnamed(shipped: Shipped, manifest: Manifest) -> tuple[int, int]:
    """Contaminated rows of ledger and notes that name no benchmark, and those that were retracted since."""
    unnamed = retracted = 0
    for file, column in (("ledger.parquet", "drop_reason"), ("notes.parquet", "remark")):
        details = pl.read_parquet(shipped.path / file, glob=False).filter(pl.col(column) == REASON)["detail"]
        gone = int((details == RETRACTED).sum()) if manifest.retracted else 0
        retracted += gone
        unnamed += len(details) - gone - sum(benchmark_of(each, manifest.benchmarks) is not None for each in details)
    return unnamed, retracted


# --- differences -----------------------------------------------------------------------------------------------------


def tell(rule: str, name: str, stated: Any, counted: Any, faults: Faults, *, of: str = "the rows") -> None:
    """Tells of each place where two JSON values differ."""
    found = list(differing(stated, counted, name))
    for place, told, right in found[:_MOST]:
        faults.add(rule, MANIFEST, f"`{place}` is {_short(told)}; from {of} follows {_short(right)}", REMEDY)
    if len(found) > _MOST:
        faults.add(
            rule, MANIFEST, f"{len(found) - _MOST} more differences in `{name}`", REMEDY, count=len(found) - _MOST
        )


def differing(stated: Any, counted: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """The smallest parts in which two JSON values differ: place, here, there; None where one lacks it."""
    if isinstance(stated, dict) and isinstance(counted, dict):
        for key in sorted(stated.keys() | counted.keys(), key=str):
            yield from differing(stated.get(key), counted.get(key), f"{name}.{key}" if name else str(key))
    elif isinstance(stated, list) and isinstance(counted, list) and len(stated) == len(counted):
        for number, (one, other) in enumerate(zip(stated, counted, strict=True)):
            yield from differing(one, other, f"{name}[{number}]")
    elif not _same(stated, counted):
        yield name, stated, counted


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, bool) != isinstance(other, bool):
        return False
    return bool(one == other or (one != one and other != other))


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return f"{len(value)} entries"
    return f"{value!a}"[:80] if isinstance(value, str) else str(value)
