"""A small published release, and ways to change it without leaving a trace.

::

    folder = published(tmp_path)                            # part of the demo, built and published as 1.0.0
    change(folder, "sft", "train", 0, license=None)         # in its department's view as well
    mend(folder)                                            # counts, hashes, card and Croissant metadata follow
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from finemed.assets import demo_file
from finemed.config import load_config, stable_hash
from finemed.pipeline.plan import Plan, output_hash
from finemed.publish.build import build_release
from finemed.publish.cards.card import card_hash, render_card, renderer_hash
from finemed.publish.cards.card_facts import column_types
from finemed.publish.cards.croissant import croissant
from finemed.publish.cards.plots import pictures
from finemed.publish.cards.samples import examples, totals
from finemed.publish.demo import FILES
from finemed.publish.pools import arrow_schema, split_order
from finemed.publish.separation import check_separation
from finemed.publish.targets.target import open_target
from finemed.publish.versions.compose import counted
from finemed.publish.versions.dataset import Dataset
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.identity import facts_of, release_hash
from finemed.publish.versions.publish import publish
from finemed.records import POOLS
from finemed.store.atomic import file_hash, write_json

Rows = list[dict[str, Any]]
RECORDS = 90
"""Documents of the demo's corpus: enough for every pool and split."""


def published(folder: Path) -> Path:
    """Part of the demo, published as 1.0.0 to a folder beside its run."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(demo_file(name), folder)
    settings = yaml.safe_load(demo_file("finemed.yaml").read_text("utf-8"))
    settings["sources"] = [{**settings["sources"][0], "limit": RECORDS}]
    settings["split"]["min_rows"] = dict.fromkeys(("sft", "sft_reasoning", "dpo", "ttt"), 1)
    (folder / "finemed.yaml").write_text(yaml.safe_dump(settings), "utf-8")
    outcome = build_release(Plan(load_config(folder / "finemed.yaml"), folder), folder / "run")
    assert outcome.release is not None
    publish(outcome.release.path, open_target(str(folder / "releases")), date="2026-11-20")
    mend(folder / "releases" / "1.0.0")
    return folder / "releases" / "1.0.0"


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return found


def set_manifest(folder: Path, **values: Any) -> None:
    write_json(folder / "manifest.json", {**manifest_of(folder), **values})


def rows_of(folder: Path, config: str, split: str) -> Rows:
    rows: Rows = pq.read_table(folder / "data" / config / f"{split}.parquet").to_pylist()
    return rows


def write_rows(folder: Path, config: str, split: str, rows: Rows) -> None:
    path = folder / "data" / config / f"{split}.parquet"
    path.unlink()  # it may be a link to the file of another folder
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema(config)), path)


def edit(folder: Path, config: str, split: str, change_rows: Callable[[Rows], Rows | None]) -> None:
    """Writes a file anew with other rows, and all files that show the same rows."""
    before = rows_of(folder, config, split)
    after = rows_of(folder, config, split)
    after = change_rows(after) or after
    write_rows(folder, config, split, after)
    changed = {row["id"]: new for row, new in zip(before, after, strict=False) if row != new}
    for path in (folder / "data").glob(f"sft_*/{split}.parquet"):
        view = path.parent.name
        if config == "sft" and view != "sft_reasoning":
            own = rows_of(folder, view, split)
            if any(row["id"] in changed for row in own):
                write_rows(folder, view, split, [changed.get(row["id"], row) for row in own])


def change(folder: Path, config: str, split: str, number: int, **values: Any) -> None:
    """Gives one row other values."""

    def set_values(rows: Rows) -> None:
        rows[number] |= values

    edit(folder, config, split, set_values)


def mend(folder: Path) -> None:
    """Makes manifest, card, plots and Croissant metadata say what the rows are, as if the build had made them."""
    manifest = manifest_of(folder)
    data = {(path.parent.name, path.stem): path for path in (folder / "data").glob("*/*.parquet")}
    manifest["configs"] = {
        config: {split: pq.read_metadata(data[config, split]).num_rows for split in splits if (config, split) in data}
        for config, splits in manifest["configs"].items()
    }
    manifest["content"] = {
        config: stable_hash([file_hash(data[config, split]) for split in split_order(splits)])
        for config, splits in manifest["configs"].items()
    }
    first = {config: path for (config, _), path in sorted(data.items(), reverse=True) if config in POOLS}
    manifest["columns"] = {config: column_types(pq.read_schema(path)) for config, path in sorted(first.items())}
    with contextlib.suppress(Exception):  # rows of broken columns cannot be counted
        figures = counted(ReleaseFolder(folder, manifest))
        manifest["figures"] = figures.plain()
    with contextlib.suppress(Exception):
        by_split: dict[str, dict[str, Path]] = {}
        for (config, split), path in sorted(data.items()):
            by_split.setdefault(config, {})[split] = path
        manifest |= {"totals": totals(by_split), "examples": examples(by_split)}
    with contextlib.suppress(Exception):
        thresholds = {what: manifest["separation"][what]["threshold"] for what in ("questions", "answers")}
        manifest["separation"] = check_separation(folder / "data", **thresholds)
    stones = folder / "tombstones.jsonl"
    if stones.exists():
        manifest.setdefault("retracted", {"rows": {}})["tombstones"] = len(stones.read_text("utf-8").splitlines())
    mend_stages(folder, manifest)
    reseal(folder, manifest)


def mend_stages(folder: Path, manifest: dict[str, Any]) -> None:
    """Makes the last stages give the rows that are there, and every fingerprint follow from its stage."""
    pools = {name: sum(splits.values()) for name, splits in manifest["configs"].items() if name in POOLS}
    files = [path for name in pools for path in sorted((folder / "data" / name).glob("*.parquet"))]
    questions = pl.concat([pl.read_parquet(path, columns=["instruction_id"]) for path in files]).n_unique()
    *_, rank, split = manifest["stages"]
    split["facts"]["pools"] = pools
    split["counts"] |= {"rows_in": questions, "rows_kept": questions, "rows_out": sum(pools.values())}
    rank["counts"]["rows_out"] = questions
    for before, after in pairwise(manifest["stages"]):
        mark = {name: after[name] for name in ("stage", "version", "settings")}
        after["fingerprint"] = stable_hash({**mark, "input": output_hash(before)})


def reseal(folder: Path, manifest: dict[str, Any]) -> None:
    """Writes all that is made from a manifest anew, so that hashes, card, plots and metadata agree with it."""
    manifest = {**manifest, "renderer": renderer_hash()}
    if "version" in manifest:
        with contextlib.suppress(Exception):  # figures that cannot be drawn keep their plots
            for name, data in pictures(manifest).items():
                _replace(folder / name, data)
    manifest["card_text"] = card_hash(facts_of(manifest))
    manifest["release_hash"] = release_hash(folder, manifest)
    if "dataset" in manifest and not manifest["dataset"]["lineage"]:
        manifest["dataset"] = Dataset.begin(manifest["dataset"]["name"], manifest["release_hash"]).plain()
    _replace(folder / "README.md", render_card(manifest, manifest["card"]).encode("utf-8", "replace"))
    rehash(folder, manifest, metadata=True)


def _replace(path: Path, data: bytes) -> None:
    """Gives a file other bytes; it may be a link to the file of another folder."""
    if path.exists() and path.read_bytes() == data:
        return
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def rehash(folder: Path, manifest: dict[str, Any] | None = None, *, metadata: bool = False) -> None:
    """Writes the hashes of all files into the manifest."""
    manifest = manifest or manifest_of(folder)
    names = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    manifest["files"] = {name: file_hash(folder / name) for name in sorted(names) if name != "manifest.json"}
    if metadata and (folder / "croissant.json").exists():
        write_json(folder / "croissant.json", croissant(manifest, folder))
        manifest["files"]["croissant.json"] = file_hash(folder / "croissant.json")
    write_json(folder / "manifest.json", manifest)


def rewrite_card(folder: Path, pattern: str, replacement: str) -> None:
    """Changes the first place in the card that fits, and the card's hash."""
    text = (folder / "README.md").read_text("utf-8")
    changed = re.sub(pattern, replacement, text, count=1)
    assert changed != text
    (folder / "README.md").write_text(changed, "utf-8")
    rehash(folder)
