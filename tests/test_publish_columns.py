"""The sources' own columns and record ids: declared, typed, scanned, carried to every pool, told on the card."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import yaml
from loopback import Server
from pydantic import ValidationError
from releases import DAY, manifest_of
from releases import build as build_demo
from rows import passage, run_stage
from test_given import GOUT, STROKE, play, write_own_data
from test_given import build as build_own

from finemed.assets import demo_file
from finemed.config import BuildConfig, Columns, PhiConfig, SourceConfig
from finemed.errors import ConfigError
from finemed.publish.checks.validate import validate
from finemed.publish.targets.target import open_target
from finemed.publish.versions.publish import Publication, publish
from finemed.records import Passage
from finemed.records.extra import pack, unpack
from finemed.sources.columns import check_columns
from finemed.sources.records import find_files, read_records
from finemed.stages.phi import PhiStage
from finemed.store.atomic import write_json
from finemed.store.shards import read_parquet, write_parquet

OWN: dict[str, Any] = {
    "evidence_level": "string",
    "year": {"type": "integer", "column": "Publication Year", "description": "Year | of `print` <b>."},
    "weight": "number",
    "reviewed": "boolean",
}
COLUMNS = {"evidence_level": "string", "reviewed": "bool", "weight": "double", "year": "int64"}


def write_corpus(folder: Path, **changed: Any) -> None:
    """The demo's corpus with columns of its own; every seventh record has none of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "own.jsonl").open("w", encoding="utf-8") as corpus:
        for number, line in enumerate(demo_file("corpus.jsonl").read_bytes().splitlines()):
            row: Any = None
            with contextlib.suppress(ValueError):
                row = json.loads(line)
            if not isinstance(row, dict):
                continue
            own = {"evidence_level": f"{number % 3}a", "Publication Year": 1990 + number % 30, "weight": 0.5}
            corpus.write(json.dumps({**row, **({} if number % 7 == 0 else own | {"reviewed": True}), **changed}) + "\n")


def build(folder: Path, own: dict[str, Any] | None) -> Path:
    """The demo over that corpus."""
    columns = {"id": "id", "title": "title", **({"extra": own} if own else {})}
    source = {"name": "demo", "path": "own.jsonl", "columns": columns, "license": "CC0-1.0", "attribution": "Ann"}
    least = dict.fromkeys(("sft", "sft_reasoning", "dpo", "ttt"), 1)
    split = {"validation": 0.1, "test": 0.1, "min_rows": least}
    return build_demo(folder, sources=[source], split=split)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("columns")
    write_corpus(folder)
    return build(folder, OWN)


@pytest.fixture(scope="module")
def release(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("published")
    put(run, folder / "releases")
    return folder / "releases" / "1.0.0"


def put(run: Path, to: Path) -> Publication:
    return publish(run / "release", open_target(str(to)), date=DAY)


def tables(release: Path) -> dict[str, pl.DataFrame]:
    return {folder.name: pl.read_parquet(folder / "*.parquet") for folder in sorted((release / "data").iterdir())}


# --- through the build -----------------------------------------------------------------------------------------------


def test_every_pool_and_view_has_the_columns_with_their_types_and_values(run: Path, release: Path) -> None:
    corpus = [json.loads(line) for line in (run.parent / "own.jsonl").read_text("utf-8").splitlines()]
    by_id = {str(row["id"]): row for row in reversed(corpus)}  # of a repeated record the first is read
    found = tables(release)
    assert {"sft", "sft_reasoning", "dpo", "ttt"} <= found.keys()
    for config, rows in found.items():
        path = next((release / "data" / config).iterdir())
        schema = pq.read_schema(path)
        assert {name: str(schema.field(name).type) for name in COLUMNS} == COLUMNS
        assert schema.names[-4:] == sorted(COLUMNS)
        assert rows["source_id"].null_count() == 0
        for row in rows.select("source_id", *COLUMNS).iter_rows(named=True):
            told = by_id[row["source_id"]]
            assert row["year"] == told.get("Publication Year")
            assert all(row[name] == told.get(name) for name in ("evidence_level", "weight", "reviewed"))
    assert 0 < found["sft"]["year"].null_count() < found["sft"].height


def test_card_croissant_and_manifest_tell_the_columns(release: Path) -> None:
    manifest = manifest_of(release)
    assert {name: told["type"] for name, told in manifest["extra_columns"].items()} == {
        name: told if isinstance(told, str) else told["type"] for name, told in OWN.items()
    }
    card = (release / "README.md").read_text("utf-8")
    assert "| year | int64 | Year \\| of \\`print\\` &lt;b\\>. Column of the source demo. |" in card
    assert "| source\\_id | string | The record's own id in its source" in card
    assert "The passages and the sources' own columns were scanned" in card
    (record_set,) = [
        found
        for found in json.loads((release / "croissant.json").read_text("utf-8"))["recordSet"]
        if found["@id"] == "dpo/train"
    ]
    fields = {field["name"].rpartition("/")[2]: field for field in record_set["field"]}
    assert (fields["year"]["dataType"], fields["reviewed"]["dataType"]) == ("cr:Int64", "sc:Boolean")
    assert fields["year"]["description"].endswith("Column of the sources demo.")


def test_datasets_loads_them(release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    found = datasets.load_dataset(str(release), "dpo", cache_dir=str(tmp_path))
    assert found["train"].features["year"].dtype == "int64"
    assert set(found["train"].column_names) >= {"source_id", *COLUMNS}


def test_a_column_that_is_not_declared_is_a_fault_and_so_is_one_that_is_missing(release: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(release, tmp_path / "copy")
    manifest = manifest_of(copy)
    left = {name: told for name, told in manifest["extra_columns"].items() if name != "year"}
    write_json(copy / "manifest.json", {**manifest, "extra_columns": left})
    assert any("`year` is none of docs/columns.md" in fault.fact for fault in validate(copy).faults)
    more = {**manifest["extra_columns"], "dose": {"type": "number", "sources": ["demo"], "description": None}}
    write_json(copy / "manifest.json", {**manifest, "extra_columns": more})
    assert any("the column `dose` is missing" in fault.fact for fault in validate(copy).faults)


def test_a_column_added_later_is_a_major_version_and_rows_keep_their_ids(tmp_path: Path, release: Path) -> None:
    write_corpus(tmp_path)
    plain = build(tmp_path, None)
    put(plain, tmp_path / "releases")
    before = tables(tmp_path / "releases" / "1.0.0")
    done = put(build(tmp_path, OWN), tmp_path / "releases")
    assert (str(done.version), done.change) == ("2.0.0", "major")
    assert "column `year` added (int64)" in done.entry
    after = tables(tmp_path / "releases" / "2.0.0")
    assert {config: set(rows["id"]) for config, rows in after.items()} == {
        config: set(rows["id"]) for config, rows in before.items()
    }
    assert after["sft"].equals(tables(release)["sft"])


def test_own_data_brings_its_columns_and_ids_too(tmp_path: Path) -> None:
    write_own_data(tmp_path)
    for name in ("alpaca", "pairs"):
        lines = (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()
        rows = [json.dumps({**json.loads(line), "nr": 7, "grade": "B"}) for line in lines if line.startswith('{"')]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(rows) + "\n", "utf-8")
    columns = {"id": "nr", "extra": {"grade": "string"}}
    sources = [
        {"name": name, "path": f"{name}.jsonl", "license": "CC0-1.0", "columns": columns}
        for name in ("alpaca", "pairs")
    ]
    sources.append({"name": "sharegpt", "path": "sharegpt.jsonl", "license": "CC0-1.0"})
    outcome = build_own(tmp_path, sources=sources)
    assert outcome.release is not None
    found = tables(outcome.release.path)
    told = {row["instruction"]: (row["source_id"], row["grade"]) for row in found["sft"].to_dicts()}
    assert told[GOUT[0]] == ("7", "B")
    assert {pair for question, pair in told.items() if "bronchodilator" in question} == {(None, None)}
    assert set(found["dpo"].select("source_id", "grade").iter_rows()) == {("7", "B")}
    assert STROKE[0] in {row["prompt"][0]["content"] for row in found["dpo"].to_dicts()}


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    running.answer = play
    yield running
    running.stop()


def test_columns_that_are_added_to_a_finished_run_cost_no_call(tmp_path: Path, server: Server) -> None:
    write_own_data(tmp_path)
    main = {"type": "openai", "model": "played", "base_url": server.url, "api_key_env": None}
    names = ("classify", "generate", "judge", "reason", "respond", "judge_answers")
    sections = {name: {"backend": "main"} for name in names}
    source = {"name": "answers", "path": "answers.jsonl", "license": "CC0-1.0"}
    least = {"split": {"min_rows": {"sft_reasoning": 0, "dpo": 0, "ttt": 0}, "validation": 0, "test": 0}}
    build_own(tmp_path, sources=[source], backends={"main": main}, **sections, **least)
    asked = len(server.calls)
    assert asked
    own = {**source, "columns": {"extra": {"by": "string"}}}
    outcome = build_own(tmp_path, sources=[own], backends={"main": main}, **sections, **least)
    assert len(server.calls) == asked
    assert outcome.release is not None
    assert tables(outcome.release.path)["sft"]["by"].to_list() == ["Ann"]


# --- record by record ------------------------------------------------------------------------------------------------


def read(folder: Path, name: str, text: str, **extra: Any) -> list[dict[str, Any]]:
    (folder / name).write_text(text, "utf-8")
    source = SourceConfig(name="own", path=name, columns=Columns(extra=extra))
    return [record for file in find_files(source, folder) for record in read_records(file)]


@pytest.mark.parametrize(
    ("kind", "value", "told"),
    [
        ("string", 3, "an integer, expected a string"),
        ("string", ["a"], "a list, expected a string"),
        ("integer", "3", "a string, expected an integer"),
        ("integer", 3.5, "a number, expected an integer"),
        ("integer", True, "a boolean, expected an integer"),
        ("integer", 2**63, "an integer, expected an integer of at most 63 bits"),
        ("number", "x", "a string, expected a finite number"),
        ("number", 2**60 + 1, "an integer, expected a finite number"),
        ("boolean", 1, "an integer, expected a boolean"),
        ("boolean", "true", "a string, expected a boolean"),
    ],
)
def test_a_value_of_another_type_quarantines_its_record_alone(tmp_path: Path, kind: str, value: Any, told: str) -> None:
    lines = [{"text": "Croup barks.", "own": value}, {"text": "Asthma wheezes.", "own": None}, {"text": "Gout hurts."}]
    bad, *good = read(tmp_path, "a.jsonl", "".join(json.dumps(line) + "\n" for line in lines), own=kind)
    assert bad["fault"].startswith("extra_type: `own` is ")
    assert told in bad["fault"]
    assert [(record["fault"], record["extra"]) for record in good] == [(None, None), (None, None)]


def test_values_of_files_without_types_are_read(tmp_path: Path) -> None:
    rows = "text,a,b,c,d\nCroup barks.,1,2.5,TRUE,\nGout hurts.,x,,,\n"
    kinds = {"a": "integer", "b": "number", "c": "boolean", "d": "string"}
    good, bad = read(tmp_path, "a.csv", rows, **kinds)
    assert unpack(good["extra"], kinds) == {"a": 1, "b": 2.5, "c": True, "d": None}
    assert bad["fault"].startswith("extra_type: `a` is a string")


def test_integers_stay_exact_and_gaps_of_pandas_are_no_fault() -> None:
    big = 2**53 + 1
    assert unpack(pack({"a": big}, {"a": "integer"})[0], "a") == {"a": big}
    assert unpack(pack({"a": 2015.0}, {"a": "integer"})[0], "a") == {"a": 2015}
    assert pack({"a": float("nan")}, {"a": "integer"}) == (None, "")
    assert pack({"a": float("inf")}, {"a": "number"})[1]


@pytest.mark.parametrize(("value", "told"), [("a\x00b", "nul_byte"), ("a\ud800b", "not_utf8")])
def test_what_is_no_text_is_a_fault(tmp_path: Path, value: str, told: str) -> None:
    (record,) = read(tmp_path, "a.jsonl", json.dumps({"text": "Croup barks.", "own": value}), own="string")
    assert record["fault"].startswith(told)


def test_a_column_that_no_file_has_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", '{"text": "Croup."}'), ("a.txt", "Croup.")):
        (tmp_path / name).write_text(text)
        source = SourceConfig(name="own", path=name, columns=Columns(extra={"grade": "string"}))
        with pytest.raises(ConfigError, match=r"no column `grade` \(columns.extra.grade\)"):
            check_columns(source, find_files(source, tmp_path))


def test_a_finding_in_an_own_column_counts() -> None:
    rows = [
        passage(passage_id="p1", extra='{"patient_name":"John Smith","note":"MRN 48211973"}'),
        passage(passage_id="p2", extra='{"grade":"B","year":2019}'),
        passage(passage_id="p3", extra='{"mail":"jane.doe@example.com"}'),
    ]
    kept = run_stage(PhiStage(PhiConfig()), Passage, rows).kept
    assert kept["phi_state"].to_list() == ["found", "none_found", "found"]
    dropped = run_stage(PhiStage(PhiConfig(drop=True)), Passage, rows).dropped
    assert dropped["row_id"].to_list() == ["p1"]


def test_shards_of_earlier_runs_have_nulls_there(tmp_path: Path) -> None:
    from finemed.records import frame, frame_schema

    rows = frame(Passage, [passage()])
    write_parquet(tmp_path / "kept.parquet", rows.drop("source_id", "extra"))
    found = read_parquet(tmp_path / "kept.parquet", frame_schema(Passage))
    assert found.select("source_id", "extra").row(0) == (None, None)
    assert found.drop("source_id", "extra").equals(rows.drop("source_id", "extra"))


# --- the configuration -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        ({"quality": "integer"}, r"`quality` is a column that every published row has already.*own_quality"),
        ({"Messages": "string"}, "every published row has already"),
        ({"split": "string"}, "every published row has already"),
        ({"source_id": "string"}, "every published row has already"),
        ({"grade": "string", "Grade": "string"}, "only in blanks or upper case"),
        ({"grade": "text"}, "'string', 'integer', 'number' or 'boolean'"),
        ({"a/b": "string"}, "should match pattern"),
        ({"1st": "string"}, "should match pattern"),
        ({"": "string"}, "should match pattern"),
        ({"a\nb": "string"}, "should match pattern"),
        (["grade"], "valid dictionary"),
    ],
)
def test_names_and_types_that_do_not_do_are_refused(extra: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        Columns.model_validate({"extra": extra})


def test_two_sources_may_share_a_column_of_one_type_only() -> None:
    def config(kind: str) -> BuildConfig:
        sources = [
            {"name": name, "path": "a.jsonl", "columns": {"extra": {"year": told}}}
            for name, told in (("a", "integer"), ("b", kind))
        ]
        return BuildConfig.model_validate({"name": "own", "sources": sources})

    assert config("integer").extra_columns()["year"]["sources"] == ["a", "b"]
    with pytest.raises(ValidationError, match="of source `b` is string, and `year` of `a` is integer"):
        config("string")


def test_yaml_takes_the_short_and_the_long_form() -> None:
    told = yaml.safe_load("{year: integer, level: {type: string, column: Evidence Level}}")
    found = Columns.model_validate({"extra": told}).extra
    assert (found["year"].type, found["year"].column) == ("integer", None)
    assert (found["level"].type, found["level"].column) == ("string", "Evidence Level")
