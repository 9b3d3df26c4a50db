"""Small published datasets for the tests: runs of the demo, a folder of versions, what a version holds.

::

    put(build_small(tmp_path / "one"), tmp_path / "releases")      # releases/1.0.0
    put(build(tmp_path / "two"), tmp_path / "releases")            # releases/1.1.0
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import yaml

from finemed.assets import demo_file
from finemed.config import load_config
from finemed.pipeline.plan import stage_folder
from finemed.publish.build import build_release
from finemed.publish.demo import FILES
from finemed.publish.targets.target import open_target
from finemed.publish.versions.folder import ReleaseFolder
from finemed.publish.versions.identity import release_hash
from finemed.publish.versions.previous import opened_plan
from finemed.publish.versions.publish import Publication, publish
from finemed.records import PooledSample, frame_schema
from finemed.store.atomic import file_hash, write_json
from finemed.store.shards import ShardFolder

DAY = "2026-11-20"


def build(folder: Path, *, previous: Path | None = None, **changed: Any) -> Path:
    """Builds the demo with changed settings, its splits held against what `previous` holds; the run's folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copy(demo_file(name), folder)
    settings = yaml.safe_load(demo_file("finemed.yaml").read_text("utf-8"))
    (folder / "finemed.yaml").write_text(yaml.safe_dump({**settings, **changed}, allow_unicode=True), "utf-8")
    with opened_plan(load_config(folder / "finemed.yaml"), folder, [str(previous)] if previous else []) as plan:
        build_release(plan, folder / "run")
    return folder / "run"


def build_small(folder: Path, *, previous: Path | None = None) -> Path:
    """The demo without its guide, which is the second source."""
    settings = yaml.safe_load(demo_file("finemed.yaml").read_text("utf-8"))
    return build(folder, previous=previous, sources=settings["sources"][:1])


def put(run: Path, to: Path, **options: Any) -> Publication:
    """Publishes a run's release in a folder of versions."""
    return publish(run / "release", open_target(str(to)), **{"date": DAY, **options})


def plant(run: Path, index: int, rows: pl.DataFrame) -> None:
    """Puts other rows into a shard of the split stage, as if the stage had written them."""
    folder = ShardFolder(stage_folder(run, "split"), frame_schema(PooledSample))
    report = folder.report()
    folder.write(index, rows, folder.dropped(index))
    folder.finish({name: value for name, value in report.items() if name != "files"})


def contents(folder: Path) -> dict[str, bytes]:
    """All files below a folder but hidden ones."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def manifest_of(release: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((release / "manifest.json").read_text("utf-8"))
    return found


def rows_of(release: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Config -> id -> row with its split."""
    return {
        config: {
            row["id"]: row | {"split": split}
            for split, path in splits.items()
            for row in pq.read_table(path).to_pylist()
        }
        for config, splits in ReleaseFolder.open(release).data.items()
    }


def drop_column(release: Path, name: str) -> None:
    """Takes a column out of every data file, as if an older toolkit had written them; the manifest fits again."""
    manifest = manifest_of(release)
    for path in sorted((release / "data").rglob("*.parquet")):
        pq.write_table(pq.read_table(path).drop_columns([name]), path)
        manifest["files"][path.relative_to(release).as_posix()] = file_hash(path)
    manifest["release_hash"] = release_hash(release, manifest)
    write_json(release / "manifest.json", manifest)
