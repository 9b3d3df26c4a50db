"""Composes the folder that will be published, beside the release that a run built; the run is only read.

::

    composed = compose(ReleaseFolder.open(Path("run/release")), tombstones, work / "release")
    composed.taken_out                  {"sft": 3, "sft_pediatrics": 3}
    finish(composed, about)             adds version, changelog, card, plots, Croissant metadata, hashes

Data files that hold no retracted row are linked, or copied where a link cannot be; the others are written anew without
those rows, and the figures of the card are counted again.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from finemed.config import stable_hash
from finemed.errors import PublishError
from finemed.publish.cards.card import card_hash, render_card, renderer_hash
from finemed.publish.cards.card_facts import column_types
from finemed.publish.cards.samples import examples, totals
from finemed.publish.figures import Figures
from finemed.publish.pools import pool_of
from finemed.publish.separation import check_separation
from finemed.publish.targets.target import PublishedVersion
from finemed.publish.versions.changelog import FILE as CHANGELOG
from finemed.publish.versions.changelog import prepend
from finemed.publish.versions.dataset import Dataset
from finemed.publish.versions.folder import ReleaseFolder, batches, columns_of, footer
from finemed.publish.versions.identity import facts_of, release_hash, written_anew
from finemed.publish.versions.lineage import related_ids
from finemed.publish.versions.tombstones import FILE as TOMBSTONES
from finemed.publish.versions.tombstones import Tombstones
from finemed.publish.versions.version import Version
from finemed.records.manifest import FORMAT, RELEASE_FILES
from finemed.store.atomic import file_hash, write_atomic, write_json
from finemed.store.shards import read_parquet, write_parquet

RECORDS = ("ledger.parquet", "notes.parquet")
RETRACTED = "retracted"
"""What stands in place of a detail about a retracted row."""


@dataclass(frozen=True)
class Composed:
    """A release without its version yet."""

    folder: Path
    facts: dict[str, Any]
    """The manifest without what publishing adds."""
    release_hash: str
    taken_out: dict[str, int]
    """Config -> rows that were held back because of tombstones."""

    @property
    def release(self) -> ReleaseFolder:
        """The folder as a release, with what its manifest will say about its rows."""
        return ReleaseFolder(self.folder, self.facts)


@dataclass(frozen=True)
class About:
    """What makes a composed release this version."""

    version: Version
    parent: PublishedVersion | None
    date: str
    entry: str
    """The version's part of the changelog."""
    earlier: str
    """The parent's whole changelog; empty for the first release."""
    dataset: Dataset
    """The dataset that it is a version of, with all versions before it."""
    comparison: dict[str, Any] | None = None
    """What the card says about comparing it with its parent."""
    repo: str | None = None
    """Id on the Hub, where it goes there."""
    splits_since: str | None = None
    """The version that last reshuffled the splits, where one did."""


def compose(source: ReleaseFolder, tombstones: Tombstones, folder: Path) -> Composed:
    """Fills an absent folder with the data of a release, without what was retracted.

    Raises:
        PublishError: nothing is left.
        StoreError: a file of the source is damaged.
    """
    folder.mkdir(parents=True)
    ids = related_ids(source, tombstones)
    taken_out: dict[str, int] = {}
    for listed in sorted(source.manifest["files"]):
        name = PurePosixPath(listed)
        path = source.path / name
        if written_anew(listed) or listed == TOMBSTONES:
            continue
        if not RELEASE_FILES.fullmatch(listed) or ".." in name.parts or path.is_symlink() or not path.is_file():
            raise PublishError(f"{path}: is listed, but no file that a release can have; run `finemed build` again")
        if name.parts[0] == "data" and path.suffix == ".parquet":
            if gone := _copy_rows(path, folder / name, tombstones):
                taken_out[name.parts[1]] = taken_out.get(name.parts[1], 0) + gone
        elif name.as_posix() in RECORDS:
            _copy_records(path, folder / name, ids, tombstones.values("source"))
        else:
            _link(path, folder / name)
    tombstones.write(folder)
    kept = ReleaseFolder(folder, source.manifest)
    if not kept.data:
        raise PublishError(
            f"{source.path}: no row is left after what was retracted; an empty version would load nowhere: build from "
            "other sources, or delete the published dataset"
        )
    facts = _facts(kept, taken_out, tombstones)
    return Composed(folder, facts, release_hash(folder, facts), taken_out)


def finish(composed: Composed, about: About) -> dict[str, Any]:
    """Adds all that names the version, the manifest last; the manifest."""
    from finemed.publish.cards.canvas import drawn_with
    from finemed.publish.cards.croissant import croissant
    from finemed.publish.cards.plots import write_plots

    folder = composed.folder
    parent = about.parent
    manifest: dict[str, Any] = {
        **composed.facts,
        "release_hash": composed.release_hash,
        "version": str(about.version),
        "date": about.date,
        "dataset": about.dataset.plain(),
        **({"repo": about.repo} if about.repo else {}),
        **({"splits_since": about.splits_since} if about.splits_since else {}),
        "changelog": about.entry,
        **({"comparison": about.comparison} if about.comparison else {}),
        "parent": parent
        and {"version": str(parent.version), "release_hash": parent.release_hash, "commit": parent.commit},
        "renderer": renderer_hash(),
        "drawn_with": drawn_with(),
    }
    write_atomic(folder / CHANGELOG, prepend(about.entry, about.earlier).encode("utf-8", "replace"))
    manifest["plots"] = write_plots(manifest, folder)
    manifest["files"] = _hashes(folder)
    write_json(folder / "croissant.json", croissant(manifest, folder))
    write_atomic(folder / "README.md", render_card(manifest, manifest["card"]).encode("utf-8", "replace"))
    manifest["files"] = _hashes(folder)
    write_json(folder / "manifest.json", manifest)
    return manifest


def _copy_rows(path: Path, copy: Path, tombstones: Tombstones) -> int:
    """Copies a data file without retracted rows, row group by row group; how many there were."""
    columns = columns_of(path)
    mask = tombstones.mask(columns)
    wanted = [name for name in columns if name in mask.meta.root_names()]
    gone = sum(int(part.select(mask)["retracted"].sum()) for part in batches(path, wanted)) if wanted else 0
    if not gone:
        _link(path, copy)
        return 0
    with pq.ParquetFile(path) as file:
        if gone < file.metadata.num_rows:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with pq.ParquetWriter(copy, file.schema_arrow, compression="zstd") as writer:
                for group in range(file.num_row_groups):
                    rows = file.read_row_group(group)
                    retracted = pl.DataFrame(pl.from_arrow(rows.select(wanted))).select(mask)["retracted"]
                    kept = rows.filter(pa.array((~retracted).to_list(), pa.bool_()))
                    if kept.num_rows:
                        writer.write_table(kept)
    return gone


def _copy_records(path: Path, copy: Path, ids: set[str], sources: list[str]) -> None:
    """Copies ledger or notes; of retracted rows that they name only the counts stay, not the details."""
    rows = read_parquet(path)
    about = pl.col("row_id").is_in(pl.Series(sorted(ids), dtype=pl.String()).implode())
    for source in sources:
        about |= pl.col("row_id").str.starts_with(f"{source}/")
    if ids:
        about |= pl.col("detail").str.contains_any(sorted(ids))
    about &= pl.col("detail") != RETRACTED
    if not rows.filter(about).height:
        _link(path, copy)
        return
    detail = pl.when(about).then(pl.lit(RETRACTED)).otherwise(pl.col("detail")).alias("detail")
    write_parquet(copy, rows.with_columns(detail))


def _link(path: Path, copy: Path) -> None:
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(path, copy)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(path, copy)


def _facts(kept: ReleaseFolder, taken_out: dict[str, int], tombstones: Tombstones) -> dict[str, Any]:
    """The manifest's facts for the rows that are there."""
    facts = facts_of(kept.manifest)
    facts["configs"] = kept.counts()
    facts["columns"] = {
        config: column_types(footer(next(iter(splits.values()))).schema.to_arrow_schema())
        for config, splits in kept.data.items()
        if pool_of(config) == config
    }
    facts["content"] = {
        config: stable_hash([file_hash(path) for path in splits.values()]) for config, splits in kept.data.items()
    }
    if taken_out or not {"totals", "examples"} <= facts.keys():
        facts |= {"totals": totals(kept.data), "examples": examples(kept.data)}
    if taken_out:
        figures = counted(kept)
        facts["figures"] = figures.plain()
        facts["extractive"] = figures.extractive > 0 or any(
            model.startswith("rules@") for model in figures.models["questions"]
        )
    if len(tombstones):
        rows = Counter(facts.get("retracted", {}).get("rows", {}))
        rows.update({name: gone for name, gone in taken_out.items() if pool_of(name) == name})
        facts["retracted"] = {"tombstones": len(tombstones), "rows": dict(sorted(rows.items()))}
    if taken_out and "separation" in facts:
        apart = facts["separation"]
        facts["separation"] = check_separation(
            kept.path / "data", questions=apart["questions"]["threshold"], answers=apart["answers"]["threshold"]
        )
    return _in_format(facts)


def _in_format(facts: dict[str, Any]) -> dict[str, Any]:
    """The facts as they are written now, also where the source's manifest is an older one."""
    facts["format"] = FORMAT
    facts.pop("card_text", None)
    text = card_hash(facts)
    return facts if text is None else facts | {"card_text": text}


def counted(kept: ReleaseFolder) -> Figures:
    """The figures of a release's pools."""
    figures = Figures()
    for config, splits in kept.data.items():
        if pool_of(config) == config:
            for path in splits.values():
                for part in batches(path, [name for name in columns_of(path) if name != "messages"]):
                    figures.add(config, part)
    return figures


def _hashes(folder: Path) -> dict[str, str]:
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return {name: file_hash(folder / name) for name in names if name != "manifest.json"}
