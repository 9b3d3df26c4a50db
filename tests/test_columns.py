"""The columns that a configuration names are held against the files before anything is read."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from test_cli import copy_demo, invoke

from finemed.config import SourceConfig
from finemed.errors import ConfigError
from finemed.sources.columns import column_faults
from finemed.sources.records import find_files

ROW: dict[str, Any] = {
    "text": "Croup barks.",
    "year": 2020,
    "share": 0.5,
    "seen": True,
    "tags": ["child", "airway"],
    "meta": {"a": 1},
    "none": None,
}


def written(folder: Path, ending: str, rows: list[dict[str, Any]] | None = None) -> str:
    rows = [ROW] if rows is None else rows
    if ending == "parquet":
        pl.DataFrame([*rows]).write_parquet(folder / "a.parquet")
    else:
        (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return f"a.{ending}"


def faults(folder: Path, path: str, **settings: Any) -> list[str]:
    source = SourceConfig(name="web", path=path, **settings)
    return column_faults(source, find_files(source, folder))


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("where", "fact"),
    [
        ({"year": ["abc"]}, "`year` (where) holds integers in a.{0}, so `abc` matches nothing"),
        ({"year": [2020, "n/a", True]}, "so `n/a`, `True` matches nothing"),
        ({"share": ["half"]}, "`share` (where) holds numbers"),
        ({"seen": ["yes"]}, "`seen` (where) holds true and false"),
        ({"meta": ["x"]}, "`meta` (where) holds sections"),
        ({"yaer": [2020]}, "no column `yaer` (where) in a.{0}"),
        ({"Year": [2020]}, "(did you mean `year`?)"),
        ({"year": ["2020", 2021]}, None),
        ({"share": ["0.5", 1]}, None),
        ({"seen": ["true", False]}, None),
        ({"tags": ["child"]}, None),
        ({"text": [3, "x", True]}, None),
        ({"none": ["x"]}, None),
    ],
)
def test_what_where_wants_is_held_against_the_columns(
    ending: str, where: dict[str, Any], fact: str | None, tmp_path: Path
) -> None:
    found = faults(tmp_path, written(tmp_path, ending), where=where)
    assert [fact is not None and fact.format(ending) in fault for fault in found] == [True] * (fact is not None)
    assert all(fault.startswith("source `web`: ") for fault in found)


@pytest.mark.parametrize("ending", ["parquet", "jsonl"])
@pytest.mark.parametrize(
    ("columns", "fact"),
    [
        ({"text": "year"}, "`year` (columns.text) holds integers"),
        ({"text": "tags"}, "`tags` (columns.text) holds lists of text"),
        ({"title": "meta"}, "`meta` (columns.title) holds sections in a.{0}, expected a text or a number"),
        ({"license": "licence"}, "no column `licence` (columns.license)"),
        ({"id": "year", "title": "tags", "url": "none"}, None),
    ],
)
def test_what_a_field_needs_is_held_against_the_columns(
    ending: str, columns: dict[str, Any], fact: str | None, tmp_path: Path
) -> None:
    found = faults(tmp_path, written(tmp_path, ending), columns=columns)
    assert [fact is not None and fact.format(ending) in fault for fault in found] == [True] * (fact is not None)


def test_dates_of_parquet_are_no_values_for_where(tmp_path: Path) -> None:
    pl.DataFrame({"text": ["Croup."], "day": [date(2020, 1, 1)]}).write_parquet(tmp_path / "a.parquet")
    (fault,) = faults(tmp_path, "a.parquet", where={"day": ["2020-01-01"]})
    assert "`day` (where) holds dates in a.parquet" in fault


def test_a_type_that_one_of_several_files_has_is_enough(tmp_path: Path) -> None:
    pl.DataFrame({"text": [1], "year": [2020]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"text": ["Croup."], "year": ["2020a"]}).write_parquet(tmp_path / "b.parquet")
    assert faults(tmp_path, ".", where={"year": ["2020a"]}) == []
    assert faults(tmp_path, "a.parquet", where={"year": ["2020a"]}) != []


def test_dictionaries_are_what_they_hold(tmp_path: Path) -> None:
    pl.DataFrame({"text": pl.Series(["Croup."], dtype=pl.Categorical), "n": [1]}).write_parquet(tmp_path / "a.parquet")
    assert faults(tmp_path, "a.parquet", where={"text": ["Croup."]}) == []


def test_a_build_names_all_faults_of_all_sources_and_runs_nothing(tmp_path: Path) -> None:
    config = copy_demo(tmp_path)
    settings = yaml.safe_load(config.read_text())
    settings["sources"][0]["where"] = {"nope": ["a"]}
    settings["sources"][0]["columns"] = {"text": "text", "title": "nada"}
    settings["sources"].append({"name": "more", "path": "benchmark.jsonl", "columns": {"text": "q"}})
    config.write_text(yaml.safe_dump(settings))
    for more in ([], ["--dry-run"]):
        refused = invoke("build", "-c", config, *more)
        assert isinstance(refused.exception, ConfigError)
        told = str(refused.exception)
        assert "`nope` (where)" in told
        assert "`nada` (columns.title)" in told
        assert "source `more`: no column `q` (columns.text)" in told
        assert not (tmp_path / "run" / "stages").exists()
