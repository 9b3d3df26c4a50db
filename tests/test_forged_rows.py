"""Rows of a release that were edited one by one, and versions that rewrite their past: each is named.

As in `test_forged`, the forger makes counts, hashes, card and plots follow from every edit.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest
from published import change, edit, manifest_of, mend, published, reseal, rows_of

from finemed.config import load_config
from finemed.pipeline.plan import Plan
from finemed.publish.checks.faults import Faults
from finemed.publish.checks.ledger import KINDS
from finemed.publish.checks.rules import Batch
from finemed.publish.checks.settings import Settings
from finemed.publish.checks.validate import validate
from finemed.publish.targets.target import open_target
from finemed.publish.versions.retract import retract
from finemed.records import content_id
from finemed.store.shards import write_parquet


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1.0.0, and 1.0.1 without one of its questions."""
    first = published(tmp_path_factory.mktemp("rows"))
    question = rows_of(first, "sft", "train")[3]["instruction_id"]
    done = retract(open_target(str(first.parent)), ids=[question], reason="a dose was wrong", date="2026-11-21")
    assert str(done.publication.version) == "1.0.1"
    return first.parent


@pytest.fixture
def first(target: Path, tmp_path: Path) -> Path:
    return shutil.copytree(target / "1.0.0", tmp_path / "1.0.0")


@pytest.fixture
def second(target: Path, tmp_path: Path) -> Path:
    return shutil.copytree(target / "1.0.1", tmp_path / "1.0.1")


# --- rows ------------------------------------------------------------------------------------------------------------


def one(config: str, **values: Any) -> Callable[[Path], None]:
    """Other values for the first training row of a pool."""
    return lambda folder: change(folder, config, "train", 0, **values)


def every(config: str, **values: Any) -> Callable[[Path], None]:
    """Other values for every row of a pool and what shows it."""

    def forge(folder: Path) -> None:
        for path in (folder / "data" / config).glob("*.parquet"):
            edit(folder, config, path.stem, lambda rows: [{**row, **values} for row in rows])

    return forge


def reworded(config: str, column: str) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        text = rows_of(folder, config, "train")[0][column][0]
        change(folder, config, "train", 0, **{column: [{**text, "content": text["content"] + " Always."}]})

    return forge


def dose(folder: Path) -> None:
    """Another answer in every column that shows it, under the same ids."""
    row = rows_of(folder, "sft", "train")[0]
    text = row["response"] + " Give 500 mg."
    turn = {"role": "assistant", "content": text}
    change(folder, "sft", "train", 0, response=text, completion=[turn], messages=[*row["prompt"], turn])


def scored(folder: Path) -> None:
    """A threshold that the rows do not reach, with fingerprints that follow."""
    manifest = manifest_of(folder)
    for stage in manifest["stages"]:
        if stage["stage"] == "rank":
            stage["settings"]["min_score"] = 9.0
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def drawn_more(folder: Path) -> None:
    manifest = manifest_of(folder)
    (quota,) = [stage for stage in manifest["stages"] if stage["stage"] == "quota"]
    next(node for node in quota["facts"]["nodes"] if node["id"] == "surgery")["drawn"] += 900
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def limited(folder: Path) -> None:
    manifest = manifest_of(folder)
    for stage in manifest["stages"]:
        settings = stage["settings"].get("split", stage["settings"])
        if "max_rows" in settings:
            settings["max_rows"] = {"sft": 3}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")


def stuffed(folder: Path) -> None:
    """Text between the last column of a file and its footer."""
    path = folder / "data" / "ttt" / "test.parquet"
    data = path.read_bytes()
    footer = int.from_bytes(data[-8:-4], "little") + 8
    path.unlink()
    path.write_bytes(data[:-footer] + b"SSN 123-45-6789" + data[-footer:])


def listed_drop(name: str, row: Callable[[Path], dict[str, str]]) -> Callable[[Path], None]:
    """Another id in a row of the ledger."""

    def forge(folder: Path) -> None:
        table = pl.read_parquet(folder / "ledger.parquet")
        stage = (table["stage"] == name).arg_true()[0]
        rows = [{**old, **(row(folder) if at == stage else {})} for at, old in enumerate(table.iter_rows(named=True))]
        (folder / "ledger.parquet").unlink()
        write_parquet(folder / "ledger.parquet", pl.DataFrame(rows, schema=table.schema))

    return forge


def published_passage(folder: Path) -> dict[str, str]:
    return {"row_id": rows_of(folder, "sft", "train")[0]["passage_id"]}


def second_drop(folder: Path) -> dict[str, str]:
    table = pl.read_parquet(folder / "ledger.parquet").filter(pl.col("stage") == "filter")
    return {"row_id": table["row_id"][1]}


def two_questions(folder: Path) -> None:
    """A row of another question of the same passage, with ids that follow."""

    def asked(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        text = "Which of these findings should a clinician act on first?"
        row, turn = rows[0], {"role": "user", "content": text}
        question = content_id("instruction", rows[1]["passage_id"], text)
        answer = content_id("response", question, "ordinary", "concise", row["response"])
        shared = {name: rows[1][name] for name in ("document_id", "passage_id", "span_start", "span_end")}
        own = {"instruction": text, "instruction_id": question, "component_id": question, "response_id": answer}
        messages = {"prompt": [turn], "messages": [turn, *row["completion"]]}
        rows[0] = {**row, **shared, **own, **messages, "id": content_id("row", "sft", answer, "")}
        return rows

    edit(folder, "sft", "train", asked)


ROWS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "an answer under another's id": (dose, "ids", "`response_id` does not follow from question and answer"),
    "a row id": (one("sft", id="s" + "0" * 20), "ids", "`id` does not follow from pool and answers"),
    "a question of dpo alone": (reworded("dpo", "prompt"), "ids", "`instruction_id` does not follow"),
    "a chosen answer of dpo alone": (reworded("dpo", "chosen"), "pools", "`chosen` differs from dpo/train:1"),
    "a rejected answer": (reworded("dpo", "rejected"), "ids", "`rejected_id` does not follow"),
    "a span": (one("sft", span_end=9), "ids", "`passage_id` does not follow from document and span"),
    "a department of dpo alone": (every("dpo", department="Pediatrics"), "pools", "`department` differs from dpo/"),
    "a licence of dpo alone": (every("dpo", license="MIT"), "pools", "`license` differs from dpo/"),
    "an address of dpo alone": (one("dpo", url="https://example.org/x"), "pools", "`url` differs from dpo/train:1"),
    "a source's id of dpo alone": (one("dpo", source_id="17"), "pools", "`source_id` differs from dpo/train:1"),
    "scores of dpo alone": (every("dpo", quality=10), "pools", "`quality` differs from dpo/"),
    "a score of a chosen answer": (one("dpo", chosen_score=10.0), "pools", "`chosen_score` differs from dpo/train:1"),
    "a model of a chosen answer": (one("dpo", chosen_model="rules@9"), "pools", "`chosen_model` differs from dpo"),
    "a score of no four": (every("ttt", response_score=9.123), "judge", "is 9.123, not the mean of four whole scores"),
    "a place in the passage": (
        one("sft", answer_spans=[{"start": 5, "end": 10**6}]),
        "schema",
        "`answer_spans` are no places in the passage",
    ),
    "nothing extractive": (every("sft", extractive=False, notice=None), "schema", "`extractive` is false of an answer"),
    "no notice": (every("ttt", notice=None), "schema", "`notice` is not what `extractive` demands"),
    "a document's id in words": (one("ttt", document_id="FDA approved"), "ids", "`document_id` has not the form"),
    "a row's id in words": (one("ttt", id="call 555"), "ids", "`id` has not the form of an id"),
    "a span before the text": (one("ttt", span_start=-5), "schema", "are no span"),
    "another source": (every("ttt", source="NEJM"), "stages", "`source` is 'NEJM', from the manifest follows demo"),
    "a judge of renown": (every("ttt", judge_model="openai:gpt-9"), "stages", "`judge_model` is 'openai:gpt-9'"),
    "a prompt of renown": (every("ttt", judge_prompt="board_panel@1"), "stages", "`judge_prompt` is 'board_panel@1'"),
    "more passages drawn": (drawn_more, "stages", "rows, its departments have"),
    "fewer rows allowed": (limited, "stages", "stage `split` was told `max_rows` 3 of `sft`"),
    "bytes between the columns": (stuffed, "schema", "bytes that belong to no column"),
    "a department that is none": (every("ttt", department="Wizardry"), "stages", "'Wizardry / "),
    "more questions than passages": (
        every("ttt", department="Pediatrics", subdepartment="Pediatric Surgery"),
        "stages",
        "for which the stage `quota` drew",
    ),
    "a language that is none": (every("ttt", language="qq"), "schema", "`language` is 'qq', no code of a language"),
    "a language that the filter drops": (every("ttt", language="fr"), "stages", "the stage `filter` lets en pass"),
    "a mark where marked rows are dropped": (
        one("ttt", contamination="instruction: finemed_demo/1: stem"),
        "stages",
        "such rows are dropped, not marked",
    ),
    "a threshold above the scores": (scored, "stages", "below `min_score` 9 of `rank`"),
    "a document in two components": (two_questions, "pools", "its document lies in two components"),
    "two questions of a passage": (two_questions, "pools", "its passage has another question in sft/train:1"),
    "a drop that is published": (
        listed_drop("filter", published_passage),
        "stages",
        "is dropped by `filter`, and a row of the pools has it",
    ),
    "a drop of nothing": (listed_drop("filter", lambda _: {"row_id": "x"}), "stages", "'x' is no id of a passage"),
    "a drop twice": (listed_drop("filter", second_drop), "stages", "is dropped 2 times by `filter`"),
}


def test_untouched_versions_have_no_fault(target: Path) -> None:
    for folder, previous in ((target / "1.0.0", None), (target / "1.0.1", target / "1.0.0")):
        report = validate(folder, previous=previous)
        assert (report.ok, report.faults) == (True, [])


@pytest.mark.parametrize("name", ROWS)
def test_an_edited_row_is_named(first: Path, name: str) -> None:
    forge, rule, fact = ROWS[name]
    forge(first)
    mend(first)
    faults = validate(first).faults
    assert any(fact in str(fault) for fault in faults if fault.rule == rule), [str(fault) for fault in faults]


def test_the_ledger_names_rows_by_the_key_of_each_stage(target: Path) -> None:
    plan = Plan(load_config(target.parent / "finemed.yaml"), target.parent)
    keys = {stage.contract.name: stage.contract.key_in for stage in plan.stages()}
    assert keys == {stage: f"{kind}_id" for stage, kind in KINDS.items()}


def test_rows_without_a_department_need_no_view(first: Path) -> None:
    """Real corpora have them; they stand in `sft` alone."""
    for path in (first / "data" / "sft").glob("*.parquet"):
        edit(
            first,
            "sft",
            path.stem,
            lambda rows: [
                {**row, "department": "none", "subdepartment": "none"} if row["department"] == "Surgery" else row
                for row in rows
            ],
        )
    shutil.rmtree(first / "data" / "sft_surgery")
    manifest = manifest_of(first)
    for key in ("configs", "content"):
        del manifest[key]["sft_surgery"]
    (first / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    mend(first)
    assert {fault.rule for fault in validate(first).faults} == {"stages"}  # `quota` drew no such passage


def test_a_value_in_the_own_column_of_another_source_is_named() -> None:
    table = pa.table({"id": ["s1", "s2"], "source": ["wards", "web"], "ward": ["3", "4"]})
    faults = Faults()
    Settings(own={"ward": frozenset({"wards"})}).check(Batch("sft", "train", 0, table.to_batches()[0]), faults)
    (fault,) = faults.kept["schema", ""]
    assert str(fault).startswith("sft/train:2, id 's2': `ward` has a value, and is no column of the source 'web'")


# --- versions --------------------------------------------------------------------------------------------------------


def stones(edited: Callable[[list[dict[str, str]]], list[dict[str, str]]]) -> Callable[[Path], None]:
    """Other tombstones, counted again."""

    def forge(folder: Path) -> None:
        path = folder / "tombstones.jsonl"
        rows = edited([json.loads(line) for line in path.read_text("utf-8").splitlines()])
        path.unlink()
        path.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows), "utf-8")
        manifest = manifest_of(folder)
        manifest["retracted"]["tombstones"] = len(rows)
        reseal(folder, manifest)

    return forge


def told(old: str, new: str) -> Callable[[Path], None]:
    """Other words in the changelog, and in the manifest's copy of the newest entry."""

    def forge(folder: Path) -> None:
        text = (folder / "CHANGELOG.md").read_text("utf-8")
        assert old in text
        (folder / "CHANGELOG.md").unlink()
        (folder / "CHANGELOG.md").write_text(text.replace(old, new), "utf-8")
        manifest = manifest_of(folder)
        reseal(folder, {**manifest, "changelog": manifest["changelog"].replace(old, new)})

    return forge


def also(*forges: Callable[[Path], None]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        for each in forges:
            each(folder)

    return forge


def changed(**values: Callable[[Any], Any]) -> Callable[[Path], None]:
    def forge(folder: Path) -> None:
        manifest = manifest_of(folder)
        reseal(folder, {**manifest, **{name: edited(manifest[name]) for name, edited in values.items()}})

    return forge


def lineage(edited: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    return changed(dataset=lambda dataset: {**dataset, "lineage": edited(dataset["lineage"])})


def put_back(folder: Path) -> None:
    """The retracted row again, and neither a tombstone nor a word about it."""
    before = folder.parent / "before"
    for path in (before / "data").glob("*/*.parquet"):
        copy = folder / "data" / path.relative_to(before / "data")
        copy.unlink(missing_ok=True)
        shutil.copy(path, copy)
    (folder / "tombstones.jsonl").unlink()
    manifest = {key: value for key, value in manifest_of(folder).items() if key != "retracted"}
    (folder / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    mend(folder)


def one_less(folder: Path) -> None:
    """A row less, counted as retracted."""
    pools = manifest_of(folder)["stages"][-1]["facts"]["pools"]
    stages = manifest_of(folder)["stages"]
    edit(folder, "ttt", "train", lambda rows: rows[1:])
    mend(folder)
    manifest = manifest_of(folder)
    manifest["retracted"]["rows"]["ttt"] = 1
    assert pools["ttt"] == stages[-1]["facts"]["pools"]["ttt"]
    reseal(folder, {**manifest, "stages": stages})


VERSIONS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a tombstone less": (stones(lambda rows: []), "retracted", "lacks the instruction"),
    "another reason": (
        stones(lambda rows: [{**row, "reason": "a typo"} for row in rows]),
        "retracted",
        "gives another reason for the instruction",
    ),
    "a retracted row back": (put_back, "retracted", "lacks the instruction"),
    "a row less": (one_less, "retracted", "of 1.0.0 is gone, and no tombstone names it"),
    "another row": (
        also(one("ttt", rationale="Very good indeed."), mend),
        "retracted",
        "is another than in 1.0.0, which is of the same build",
    ),
    "no lineage": (lineage(lambda _: []), "manifest", "`dataset.lineage` does not end with the parent"),
    "another lineage": (lineage(lambda _: ["0" * 64]), "manifest", "`dataset.lineage` lacks release"),
    "a release twice": (lineage(lambda found: found * 2), "manifest", "`dataset.lineage` names a release twice"),
    "another dataset": (
        changed(dataset=lambda dataset: {**dataset, "id": "0" * 20}),
        "manifest",
        "`dataset.id` is '00000000000000000000', that of 1.0.0 is",
    ),
    "other judges": (
        changed(comparison=lambda found: {**found, "judges": "other"}),
        "manifest",
        "`comparison.judges` is 'other'; from both versions follows 'same'",
    ),
    "a bigger step": (
        changed(comparison=lambda found: {**found, "change": "major"}),
        "manifest",
        "`comparison.change` is 'major', from 1.0.0 to 1.0.1 is a patch",
    ),
    "other rows in both": (
        changed(comparison=lambda found: {**found, "splits": [{**row, "now": 7} for row in found["splits"]]}),
        "manifest",
        "`comparison` counts other rows of sft/validation than there are",
    ),
    "no comparison": (
        lambda f: reseal(f, {key: value for key, value in manifest_of(f).items() if key != "comparison"}),
        "manifest",
        "`parent` and `comparison` stand without each other",
    ),
    "the past in other words": (
        told("First release.", "First release, clinically validated."),
        "manifest",
        "does not repeat that of 1.0.0 to the letter",
    ),
    "reshuffled splits": (
        lambda f: reseal(f, {**manifest_of(f), "splits_since": "1.0.1"}),
        "manifest",
        "says that no version reshuffled the splits",
    ),
    "an older format": (
        lambda f: reseal(f, {**manifest_of(f), "format": 1}),
        "manifest",
        "is there since 2",
    ),
}


@pytest.mark.parametrize("name", VERSIONS)
def test_a_version_that_rewrites_its_past_is_named(target: Path, second: Path, name: str) -> None:
    forge, rule, fact = VERSIONS[name]
    shutil.copytree(target / "1.0.0", second.parent / "before")
    forge(second)
    faults = validate(second, previous=second.parent / "before").faults
    assert any(fact in str(fault) for fault in faults if fault.rule == rule), [str(fault) for fault in faults]
