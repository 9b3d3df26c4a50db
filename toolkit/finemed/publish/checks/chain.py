"""The stages' counts against each other, the ledger, the notes and the pools.

::

    check_stages(shipped, rows={"sft": 103, "dpo": 33}, questions=158, faults)
    # manifest.json: stage `filter` says 22 rows dropped as ..., ledger.parquet has 0; ...
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl

from finemed.config import stable_hash
from finemed.pipeline.plan import STAGES, output_hash
from finemed.publish.cards.card import renderer_hash
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.ledger import check_ledger
from finemed.publish.checks.recount import NO_FORM, REMEDY
from finemed.publish.checks.shipped import MANIFEST, Shipped
from finemed.publish.checks.spread import Components
from finemed.records.manifest import Manifest, StageReport

THROUGH = frozenset(
    (
        *("filter", "phi", "dedup_passages", "classify", "quota", "judge", "select", "dedup_instructions"),
        *("decontaminate", "route", "decontaminate_answers", "judge_answers"),
    )
)
"""Stages that give the rows that they keep, one for one."""
_TABLES = (("ledger.parquet", "drop_reason", "drops"), ("notes.parquet", "remark", "notes"))


def check_stages(
    shipped: Shipped, rows: Counter[str], questions: int | None, faults: Faults, *, components: Components | None = None
) -> None:
    """`stages`: counts, drops and remarks.

    Args:
        shipped: the release.
        rows: pool -> its rows.
        questions: different questions in all pools; None where rows lack them.
        faults: where what differs goes.
        components: of the rows; None where rows lack their ids.
    """
    manifest = shipped.whole
    if manifest is None:
        faults.skip("stages", NO_FORM)
        return
    faults.apply("stages")
    for fact in _links(manifest):
        faults.add("stages", MANIFEST, fact, REMEDY)
    for name, column, key in _TABLES:
        _table(shipped.path / name, column, key, manifest, faults)
    check_ledger(shipped, faults)
    _pools(manifest, rows, questions, faults)
    if components is not None:
        for fact in _components(manifest, components):
            faults.add("stages", MANIFEST, fact, REMEDY)


def _components(manifest: Manifest, found: Components) -> list[str]:
    """Components of the rows against those that the split stage counted."""
    split = manifest.stage("split")
    stated = split.facts.get("components") if split is not None else None
    if split is None or not isinstance(stated, int):
        return []
    whole = not split.counts.rows_dropped and not (manifest.retracted and sum(manifest.retracted.rows.values()))
    facts = []
    if found.count > stated or (whole and found.count != stated):
        facts.append(f"stage `split` found {stated} components, the rows have {found.count}")
    if whole and found.strangers:
        facts.append(f"{found.strangers} components are named after no question of the pools")
    return facts


def _links(manifest: Manifest) -> list[str]:
    """What does not fit from stage to stage."""
    names = [report.stage for report in manifest.stages]
    if manifest.renderer == renderer_hash() and names != list(STAGES):
        return [f"`stages` are {', '.join(names)[:120]}, not those of a build"]
    if len(set(names)) < len(names) or names[-1:] != ["split"]:
        return ["`stages` names a stage twice, or does not end with `split`"]
    found = [fact for report in manifest.stages for fact in _sums(report)]
    for before, after in zip(manifest.stages, manifest.stages[1:], strict=False):
        if (out := before.counts.rows_out) != after.counts.rows_in:
            found.append(f"stage `{after.stage}` says {after.counts.rows_in} rows in, `{before.stage}` {out} out")
        mark = {"stage": after.stage, "version": after.version, "settings": after.settings}
        if stable_hash({**mark, "input": output_hash(before.model_dump())}) != after.fingerprint:
            found.append(f"stage `{after.stage}`: its fingerprint does not follow from its settings and its input")
    return found + _foreseen(manifest) + _drawn(manifest)


def _drawn(manifest: Manifest) -> list[str]:
    """The departments of the stage `quota` have all of its rows."""
    quota = manifest.stage("quota")
    nodes = quota.facts.get("nodes") if quota is not None else None
    if quota is None or not isinstance(nodes, list):
        return []
    try:
        drawn = sum(int(node["drawn"]) for node in nodes if node["subdepartment"] is None)
    except (KeyError, TypeError, ValueError):
        return ["stage `quota`: `nodes` has not the form of its facts"]
    kept = quota.counts.rows_kept
    return [] if drawn == kept else [f"stage `quota` kept {kept} rows, its departments have {drawn}"]


def _foreseen(manifest: Manifest) -> list[str]:
    """The stage `route` looks ahead at the split: both have one seed and the same settings."""
    route, split = manifest.stage("route"), manifest.stage("split")
    if route is None or split is None or not isinstance(route.settings.get("split"), dict):
        return []
    apart = ("seed", "previous")
    ahead = {**route.settings["split"], **{name: route.settings[name] for name in apart if name in route.settings}}
    return [] if ahead == split.settings else ["stages `route` and `split` were told different things of the split"]


def _sums(report: StageReport) -> list[str]:
    counts, dropped = report.counts, sum(report.drops.values())
    found = []
    if counts.rows_in != counts.rows_kept + counts.rows_dropped:
        found.append(f"{counts.rows_in} rows in are not {counts.rows_kept} kept and {counts.rows_dropped} dropped")
    if counts.rows_dropped != dropped:
        found.append(f"{counts.rows_dropped} rows dropped are not the {dropped} of its reasons")
    if report.stage in THROUGH and counts.rows_out != counts.rows_kept:
        found.append(f"{counts.rows_out} rows out are not the {counts.rows_kept} kept")
    return [f"stage `{report.stage}`: {fact}" for fact in found]


def _table(path: Path, column: str, key: str, manifest: Manifest, faults: Faults) -> None:
    """A table of the ledger's kind, counted by stage and code."""
    try:
        table = pl.read_parquet(path, columns=["stage", column], glob=False)
        found = Counter({(stage, code): n for stage, code, n in table.group_by("stage", column).len().iter_rows()})
    except (OSError, pl.exceptions.PolarsError) as error:
        faults.add("stages", path.name, f"cannot be read or counted: {type(error).__name__}", REMEDY)
        return
    told = Counter[Any]()
    for report in manifest.stages:
        told.update({(report.stage, code): n for code, n in getattr(report, key).items()})
    for stage, code in sorted(told.keys() | found.keys(), key=str):
        stated, counted = told[stage, code], found[stage, code]
        if stated != counted:
            fact = f"stage `{str(stage)[:40]}` says {stated} rows `{str(code)[:40]}`, {path.name} has {counted}"
            faults.add("stages", MANIFEST, fact, REMEDY)


def _pools(manifest: Manifest, rows: Counter[str], questions: int | None, faults: Faults) -> None:
    """What the last stage gave, against the rows that are here and those retracted since."""
    split = manifest.stage("split")
    if split is None:
        return
    gone = Counter(manifest.retracted.rows if manifest.retracted else {})
    told = split.facts.get("pools")
    for pool in sorted(rows.keys() | gone.keys() | (told.keys() if isinstance(told, dict) else set())):
        stated = told.get(pool, 0) if isinstance(told, dict) else None
        if stated is not None and stated != rows[pool] + gone[pool]:
            fact = f"stage `split` gave {stated} rows to `{pool[:40]}`, here are {_with(rows[pool], gone[pool])}"
            faults.add("stages", MANIFEST, fact, REMEDY)
    if split.counts.rows_out != rows.total() + gone.total():
        fact = (
            f"stage `split` says {split.counts.rows_out} rows out, the pools hold {_with(rows.total(), gone.total())}"
        )
        faults.add("stages", MANIFEST, fact, REMEDY)
    for name, wrong in (("max_rows", int.__gt__), ("min_rows", int.__lt__)):
        limits = split.settings.get(name)
        for pool, limit in limits.items() if isinstance(limits, dict) else ():
            count = rows[pool] + gone[pool]
            if isinstance(limit, int) and wrong(count, limit):
                fact = f"stage `split` was told `{name}` {limit} of `{pool[:40]}`, which has {count} rows"
                faults.add("stages", MANIFEST, fact, REMEDY)
    if questions is not None and not gone and split.counts.rows_kept != questions:
        fact = f"stage `split` kept {split.counts.rows_kept} questions, the pools hold {questions}"
        faults.add("stages", MANIFEST, fact, REMEDY)


def _with(rows: int, gone: int) -> str:
    return f"{rows} and {gone} retracted" if gone else str(rows)
