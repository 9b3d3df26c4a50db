"""Writes a finished run as a release: the very folder that the Hub would get.

::

    release/README.md            the dataset card
            manifest.json        how it was made: inputs, settings, counts, hashes
            ledger.parquet       every dropped row and why
            notes.parquet        remarks on rows that were kept
            data/sft/train.parquet ...

The folder appears whole or not at all, and its bytes follow from the run alone.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finemed.config import CardConfig, stable_hash
from finemed.errors import StoreError
from finemed.pipeline.plan import STAGES, stage_folder
from finemed.pipeline.run import RunResult
from finemed.publish.cards.card import card_hash, render_card, renderer_hash
from finemed.publish.cards.card_facts import column_types
from finemed.publish.cards.samples import examples, totals
from finemed.publish.contract import ReleaseContract
from finemed.publish.figures import Figures, contamination
from finemed.publish.pools import PoolFiles, arrow_schema, config_names, placed_rows, split_order
from finemed.publish.separation import check_separation
from finemed.publish.versions.identity import release_hash
from finemed.records import POOLS, PooledSample, frame_schema
from finemed.records.manifest import FORMAT, HUB_FILES, Manifest
from finemed.store.atomic import (
    TEMPORARY,
    NoFileError,
    file_hash,
    read_json,
    remove_temporaries,
    replace_folder,
    write_atomic,
    write_json,
)
from finemed.store.shards import ShardFolder
from finemed.taxonomy import Taxonomy


@dataclass(frozen=True)
class Release:
    """A release on disk."""

    path: Path
    manifest: dict[str, Any]
    written: bool
    """False where the folder already held exactly this release."""


def write_release(result: RunResult, taxonomy: Taxonomy, card: CardConfig) -> Release:
    """Writes ``<run>/release`` from the split stage's rows.

    Raises:
        StoreError: the run is not finished.
        StageError: the rows break the release's contract.
    """
    if not result.complete:
        raise StoreError(f"{result.run}: stage `{STAGES[-1]}` is not finished; run `finemed build` without --until")
    target = result.run / "release"
    settings = card.model_dump(mode="json")
    made_of = {**result.manifest, "format": FORMAT, "card": settings, "renderer": renderer_hash()}
    if (target / "manifest.json").exists():
        existing = read_json(target / "manifest.json", "files")
        if _made_of(existing, made_of) and _intact(target, existing):
            return Release(target, existing, written=False)
    building = target.with_name("release.new" + TEMPORARY)
    remove_temporaries(result.run, ("release.new", "release.old"))
    building.mkdir()
    manifest = {**made_of, **_write_data(result, taxonomy, building)}
    manifest["content"] = {
        config: stable_hash([file_hash(building / "data" / config / f"{split}.parquet") for split in splits])
        for config, splits in manifest["configs"].items()
    }
    data = {
        config: {split: building / "data" / config / f"{split}.parquet" for split in splits}
        for config, splits in manifest["configs"].items()
    }
    manifest |= {"totals": totals(data), "examples": examples(data)}
    for name in ("ledger.parquet", "notes.parquet"):
        shutil.copyfile(result.run / name, building / name)
    manifest["card_text"] = card_hash(manifest)
    manifest["release_hash"] = release_hash(building, manifest)
    write_atomic(building / "README.md", render_card(manifest, settings).encode("utf-8", "replace"))
    manifest["files"] = {name: file_hash(building / name) for name in _names(building)}
    manifest = Manifest.of(manifest).plain()
    write_json(building / "manifest.json", manifest)
    replace_folder(building, target)
    return Release(target, manifest, written=True)


def _made_of(existing: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a release was made of this run with these settings."""
    plain = json.loads(json.dumps(wanted))
    return all(existing.get(key) == value for key, value in plain.items())


def _write_data(result: RunResult, taxonomy: Taxonomy, building: Path) -> dict[str, Any]:
    folder = ShardFolder(stage_folder(result.run, "split"), frame_schema(PooledSample))
    (split,) = [stage for stage in result.manifest["stages"] if stage["stage"] == "split"]
    settings = split["settings"]
    contract = ReleaseContract(whole_documents=settings["whole_documents"])
    figures, extra = Figures(), result.manifest.get("extra_columns", {})
    with PoolFiles(building / "data", extra) as files:
        for config, split, rows in placed_rows((rows for _, rows in folder.frames()), taxonomy, extra):
            contract.check(config, split, rows)
            figures.add(config, files.write(config, split, rows))
    contract.finish()
    separation = check_separation(
        building / "data",
        questions=settings["component_threshold"],
        answers=settings["answer_threshold"],
    )
    run = result.manifest
    return {
        "configs": {
            config: {split: files.rows[config][split] for split in split_order(files.rows[config])}
            for config in config_names(taxonomy)
            if config in files.rows
        },
        "columns": {pool: column_types(arrow_schema(pool, extra)) for pool in POOLS if pool in files.rows},
        "figures": figures.plain(),
        "separation": separation,
        "contamination": contamination(result.run, run["benchmarks"]),
        "extractive": figures.extractive > 0
        or any(model.startswith("rules@") for model in figures.models["questions"]),
        "decontaminated": bool(run["benchmarks"]),
    }


def release_intact(target: Path) -> bool:
    """Whether a folder holds a whole release and nothing else."""
    path = target / "manifest.json"
    return path.exists() and _intact(target, read_json(path, "files"))


def _intact(target: Path, manifest: dict[str, Any]) -> bool:
    """Whether a folder holds the files of its manifest as they were, and no other."""
    files = manifest.get("files", {})
    if not isinstance(files, dict) or set(_names(target)) - {"manifest.json"} != set(files):
        return False
    try:
        return all(file_hash(target / name) == expected for name, expected in files.items())
    except (NoFileError, FileNotFoundError):  # a pipe, or a link to nothing
        return False


def _names(folder: Path) -> list[str]:
    """Every file and link below a folder but the Hub's own."""
    found = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    names = (path.relative_to(folder).as_posix() for path in found)
    return sorted(name for name in names if not HUB_FILES.fullmatch(name))
