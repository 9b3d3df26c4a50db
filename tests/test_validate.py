"""Each rule of the contract is broken once and alone: refused with place and remedy; what is sound passes."""

from __future__ import annotations

import io
import json
import os
import shutil
import string
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hub_client import environment
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from loopback_hub import Hub
from published import (
    Rows,
    change,
    edit,
    manifest_of,
    mend,
    published,
    rehash,
    rewrite_card,
    rows_of,
    set_manifest,
    write_rows,
)

from finemed.cli.main import cli
from finemed.config import load_config
from finemed.errors import ConfigError, FineMedError, InputError
from finemed.pipeline.plan import Plan
from finemed.publish.checks.endings import unfinished
from finemed.publish.checks.faults import CONTENT_RULES, KEPT, RULES
from finemed.publish.checks.secrets import kinds, redact, secret_rows
from finemed.publish.checks.validate import validate, validate_address
from finemed.publish.pools import pool_of
from finemed.records import content_id

TOKEN = "hf_" + "Q7x2" * 9
SECRETS = {
    "Hugging Face token": TOKEN,
    "OpenAI or like key": "sk-proj-" + "a1B2" * 8,
    "Anthropic key": "sk-ant-api03-" + "Zz9" * 10,
    "AWS key id": "AKIA" + "Q4RS" * 4,
    "AWS secret key": "aws_secret_access_key = " + "q7/W" * 10,
    "Google key": "AIza" + "Sy8_x" * 7,
    "GitHub token": "ghp_" + "a1B2" * 9,
    "Slack token": "xoxb-123456789012-abcdefABCDEF",
    "Stripe key": "sk_live_" + "4eC3" * 6,
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7\n-----END RSA PRIVATE KEY-----",
    "password in a URL": "postgres://ann:tr0ub4dor@db.example.org/rows",
    "JSON web token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmN",
    "authorization header": "Authorization: Bearer 0123456789abcdef0123",
    "assigned key": 'api_key: "9f8e7d6c5b4a39281706"',
}


def turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo, published; tests that change it take `copy`."""
    return published(tmp_path_factory.mktemp("published"))


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return shutil.copytree(release, tmp_path / "1.0.0")


def broken(folder: Path, **more: Any) -> dict[str, int]:
    """Rules that are broken, and how often."""
    return {rule: number for rule, number in validate(folder, **more).counts.items() if number}


# --- what is sound ---------------------------------------------------------------------------------------------------


def test_a_published_release_passes_every_rule(release: Path) -> None:
    report = validate(release, previous=release)
    assert (report.ok, report.faults, report.kind, report.rows) == (True, [], "release", 92)
    assert set(report.counts) | set(report.skipped) == set(RULES)
    assert report.skipped == {"retracted": "nothing was retracted"}


def test_a_built_release_passes_before_it_is_published(release: Path) -> None:
    report = validate(release.parents[1] / "run" / "release")
    assert report.ok
    assert set(report.skipped) == {"croissant", "features", "held_splits", "plots", "retracted"}


def test_validation_changes_nothing(copy: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in (copy, *copy.rglob("*"))}
    validate(copy)
    assert {path: path.stat().st_mtime_ns for path in (copy, *copy.rglob("*"))} == before


# --- each rule broken once -------------------------------------------------------------------------------------------


def answer(text: str) -> dict[str, Any]:
    """Columns of a row with another answer."""
    return {"response": text, "completion": [turn("assistant", text)]}


def reply(folder: Path, text: str) -> None:
    """Gives the first row of sft/train another answer, in all columns that show it, and the ids that follow."""
    row = rows_of(folder, "sft", "train")[0]
    response = content_id("response", row["instruction_id"], "ordinary", "concise", text)
    ids = {"response_id": response, "id": content_id("row", "sft", response, "")}
    change(folder, "sft", "train", 0, **answer(text), **ids, messages=[*row["prompt"], turn("assistant", text)])


def break_schema_type(folder: Path) -> None:
    path = folder / "data" / "dpo" / "test.parquet"
    table = pq.read_table(path)
    table = table.set_column(table.column_names.index("complexity"), "complexity", table["complexity"].cast("double"))
    path.unlink()
    pq.write_table(table, path)


def break_pools(column: str) -> Callable[[Path], None]:
    def spread(folder: Path) -> None:
        change(folder, "ttt", "train", 0, **{column: rows_of(folder, "sft", "train")[0][column]})

    return spread


def break_split(folder: Path) -> None:
    change(folder, "sft", "test", 0, component_id=rows_of(folder, "sft", "train")[0]["component_id"])


def break_pairs(folder: Path) -> None:
    edit(folder, "dpo", "train", lambda rows: rows[1:])


def break_view(folder: Path) -> None:
    rows = rows_of(folder, "sft_surgery", "train")
    write_rows(folder, "sft_surgery", "train", [{**rows[0], "url": "https://example.org/other"}, *rows[1:]])


def short_view(folder: Path) -> None:
    write_rows(folder, "sft_surgery", "train", rows_of(folder, "sft_surgery", "train")[1:])


def double(rows: Rows) -> None:
    rows[1]["id"] = rows[0]["id"]


def set_turns(config: str, **columns: Any) -> Callable[[Path], None]:
    return lambda folder: change(folder, config, "train", 0, **columns)


def cut_off(config: str, cut: Callable[[str], str]) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        row = rows_of(folder, config, "train")[0]
        name = "chosen" if config == "dpo" else "completion"
        text = cut(row[name][0]["content"])
        values: dict[str, Any] = {name: [turn("assistant", text)], "chosen_spans": None, "answer_spans": None}
        values = {column: value for column, value in values.items() if column in row}
        if config != "dpo":
            values |= {"response": text, "messages": [*row["prompt"], turn("assistant", text)]}
        change(folder, config, "train", 0, **values)

    return spoil


def unpublished_model(folder: Path) -> None:
    change(folder, "sft", "train", 0, model_name="openai:gpt-9")
    set_manifest(folder, backends={**manifest_of(folder)["backends"], "openai:gpt-9": {"license": None}})


def same_answers(folder: Path) -> None:
    row = rows_of(folder, "dpo", "train")[0]
    change(folder, "dpo", "train", 0, rejected=row["chosen"])


def tombstone(folder: Path) -> None:
    stone = {"kind": "row", "reason": "a test", "value": rows_of(folder, "ttt", "test")[0]["id"], "version": "1.0.0"}
    (folder / "tombstones.jsonl").write_text(json.dumps(stone) + "\n", "utf-8")


Breach = tuple[str, Callable[[Path], object], str, str]
BREACHES: dict[str, Breach] = {
    "a column is missing": (
        "schema",
        lambda f: _without_column(f / "data" / "ttt" / "test.parquet", "url"),
        "ttt/test",
        "the column `url` is missing",
    ),
    "a type differs": ("schema", break_schema_type, "dpo/test", "`complexity` is double, expected int64"),
    "a null where none may be": (
        "schema",
        lambda f: change(f, "ttt", "train", 2, passage_id=None),
        "ttt/train:3, id 's",
        "`passage_id` is null",
    ),
    "a value that the schema does not know": (
        "schema",
        lambda f: change(f, "ttt", "train", 2, phi_state="maybe"),
        "ttt/train:3, id 's",
        "not one of found, none_found, not_scanned",
    ),
    "an id twice": ("ids", lambda f: edit(f, "ttt", "train", double), "ttt/train:2, id 's", "also that of ttt/train:1"),
    "no id": ("ids", lambda f: change(f, "ttt", "train", 0, id=None), "ttt/train:1", "the row has no id"),
    "an empty message": ("messages", lambda f: reply(f, " \n\u200b"), "sft/train:1, id 's", "message 2 is empty"),
    "roles that do not alternate": (
        "messages",
        lambda f: change(
            f, "ttt", "train", 0, prompt=[turn("assistant", rows_of(f, "ttt", "train")[0]["instruction"])]
        ),
        "ttt/train:1, id 's",
        "comes from the assistant, expected the user",
    ),
    "no message": ("messages", set_turns("dpo", chosen=[]), "dpo/train:1, id 's", "`chosen`: holds no message"),
    "a null for messages": ("messages", set_turns("dpo", rejected=None), "dpo/train:1", "`rejected`: holds no message"),
    "an answer that ends with the user": (
        "messages",
        set_turns("dpo", rejected=[turn("assistant", "Yes."), turn("user", "Why?")]),
        "dpo/train:1, id 's",
        "ends with the user, expected the assistant",
    ),
    "a pair of equals": ("messages", same_answers, "dpo/train:1, id 's", "`chosen` and `rejected` are the same answer"),
    "columns that say different things": (
        "messages",
        set_turns("ttt", response="Something else."),
        "ttt/train:1, id 's",
        "`response` is not the text of `completion`",
    ),
    "a component of ttt in sft": ("pools", break_pools("component_id"), "ttt/train:1, id 's", "is also in sft/train:1"),
    "a question of ttt in sft": ("pools", break_pools("instruction_id"), "ttt/train:1, id 's", "its question 'i"),
    "a document of ttt in sft": ("pools", break_pools("document_id"), "ttt/train:1, id 's", "its document 'd"),
    "a component in two splits": ("pools", break_split, "sft/train:1, id 's", "is also in sft/test:1"),
    "dpo lacks a question": ("pools", break_pairs, "sft_reasoning/train:1, id 's", "its question is not in dpo"),
    "a view with another row": ("pools", break_view, "sft_surgery/train:1, id 's", "is not the row of sft/train"),
    "a view without a row": ("pools", short_view, "sft/train:", "is not in sft_surgery/train"),
    "a score out of range": (
        "judge",
        set_turns("ttt", quality=11),
        "ttt/train:1, id 's",
        "`quality` is 11, outside 1 to 10",
    ),
    "a score of zero for a failure": (
        "judge",
        set_turns("ttt", response_score=0.0),
        "ttt/train:1",
        "is 0.0, outside 1 to 10",
    ),
    "no score": ("judge", set_turns("dpo", chosen_score=None), "dpo/train:1, id 's", "`chosen_score` is missing"),
    "a score that is no number": (
        "judge",
        set_turns("ttt", response_score=float("nan")),
        "ttt/train:1",
        "is nan, outside",
    ),
    "no reason for a score": ("judge", set_turns("dpo", rationale=" "), "dpo/train:1, id 's", "`rationale` is missing"),
    "a reasoning answer without its second half": (
        "cut_off",
        cut_off("ttt", lambda text: text[: len(text) // 3]),
        "ttt/train:1, id 's",
        "no `Summarization` section",
    ),
    "a chosen answer that breaks off": (
        "cut_off",
        cut_off("dpo", lambda text: text.rstrip(" .!?:;*")),
        "dpo/train:1, id 's",
        "the answer in `chosen` ends without an end mark",
    ),
    "a patient in a message": (
        "phi",
        lambda f: reply(f, "Patient: Jane Doe, DOB 04/12/1956, MRN 4711234, came with a barking cough."),
        "sft/train:1, id 's",
        "`prompt` and `completion` hold date_of_birth 0.95, name 0.95, record_number 0.90",
    ),
    "a patient in the passage": (
        "phi",
        set_turns("ttt", phi_state="found", phi_kinds="name 0.95, date 0.50"),
        "ttt/train:1, id 's",
        "`phi_kinds` of its passage says 'name 0.95, date 0.50'",
    ),
    "no licence": (
        "licence",
        set_turns("ttt", license=None),
        "ttt/train:1, id 's",
        "no licence is stated for the source",
    ),
    "no attribution": ("licence", set_turns("dpo", attribution="  "), "dpo/train:1", "no attribution is stated for"),
    "a licence that says nothing": (
        "licence",
        set_turns("ttt", license="Unknown"),
        "ttt/train:1",
        "no licence is stated",
    ),
    "a model without a licence": (
        "model_licence",
        unpublished_model,
        "manifest.json: `model_name` of sft/train:1, id 's",
        "no licence is stated for the outputs of `openai:gpt-9`",
    ),
    "a model that the manifest does not know": (
        "model_licence",
        set_turns("ttt", answer_judge_model="vllm:elsewhere"),
        "manifest.json: `answer_judge_model` of ttt/train:1",
        "no licence is stated for the outputs of `vllm:elsewhere`",
    ),
    "a retracted row": ("retracted", tombstone, "ttt/test:1, id 's", "the row was retracted"),
}


_ALSO: list[tuple[set[str], tuple[str, ...]]] = [
    (
        {"ids"},
        (
            *("a null where none may be", "a null for messages", "a pair of equals"),
            *("an answer that ends with the user", "a document of ttt in sft"),
        ),
    ),
    ({"ids", "pools"}, ("no message",)),
    ({"ids", "stages"}, ("a component of ttt in sft", "a question of ttt in sft", "a component in two splits")),
    ({"stages"}, ("a score of zero for a failure", "a model that the manifest does not know")),
    ({"pools"}, ("no score", "no reason for a score", "no attribution")),
    ({"ids", "schema"}, ("a reasoning answer without its second half",)),
    ({"ids", "schema", "pools"}, ("a chosen answer that breaks off",)),
    ({"schema"}, ("a model without a licence",)),
]
ALSO = {name: rules for rules, names in _ALSO for name in names}
"""Rules that such a row breaks too: its ids no longer follow from its text, or a row of another pool says otherwise."""


def _without_column(path: Path, name: str) -> None:
    table = pq.read_table(path).drop_columns([name])
    path.unlink()
    pq.write_table(table, path)


@pytest.mark.parametrize("name", BREACHES)
def test_each_rule_broken_once_is_refused_with_place_and_remedy(copy: Path, name: str) -> None:
    rule, spoil, place, fact = BREACHES[name]
    spoil(copy)
    mend(copy)
    report = validate(copy)
    assert {fault.rule for fault in report.faults} == {rule} | ALSO.get(name, set())
    assert any(fault.place.startswith(place) and fact in fault.fact for fault in report.faults), report.faults
    assert all(len(fault.remedy.split()) > 3 for fault in report.faults)


def test_names_that_are_no_text_are_told(copy: Path) -> None:
    odd = copy / "data" / "sft" / os.fsdecode(b"\xff\xfe.parquet")
    odd.write_bytes(b"x")
    faults = validate(copy).faults
    assert {fault.rule for fault in faults} <= {"files", "hash", "card", "croissant"}, faults
    assert any("is not in the manifest" in fault.fact for fault in faults)
    odd.unlink()
    folder = copy.rename(copy.parent / os.fsdecode(b"x\xff"))
    with pytest.raises(InputError, match="no text in UTF-8; rename it"):
        validate(folder)


def test_a_table_of_other_columns_in_the_place_of_rows_is_a_fault(copy: Path) -> None:
    path = copy / "data" / "sft" / "train.parquet"
    path.unlink()
    shutil.copy(copy / "ledger.parquet", path)
    rehash(copy)
    assert "sft/train: the column `answer_judge_model` is missing" in "\n".join(map(str, validate(copy).faults))


def add_rows(folder: Path) -> None:
    shutil.copy(folder / "data" / "ttt" / "test.parquet", folder / "data" / "more.parquet")
    rehash(folder)


def _spoil_croissant(folder: Path) -> None:
    found = json.loads((folder / "croissant.json").read_text("utf-8"))
    data = next(file for file in found["distribution"] if file["contentUrl"].startswith("data/"))
    data["sha256"] = "0" * 64
    (folder / "croissant.json").write_text(json.dumps(found), "utf-8")
    rehash(folder)


FOLDER_BREACHES: dict[str, Breach] = {
    "a changed file": (
        "files",
        lambda f: change(f, "ttt", "train", 0, rationale="Another reason."),
        "data/ttt/train.parquet",
        "SHA-256",
    ),
    "a missing file": (
        "files",
        lambda f: (f / "data/ttt/test.parquet").unlink(),
        "data/ttt/test.parquet",
        "not in the folder",
    ),
    "one file too many": ("files", lambda f: (f / "notes.txt").write_text("x"), "notes.txt", "not in the manifest"),
    "a damaged manifest": ("files", lambda f: (f / "manifest.json").write_text("{"), "manifest.json", "cannot be read"),
    "a manifest of other types": ("files", lambda f: set_manifest(f, configs=[1]), "manifest.json", "`configs`"),
    "no front matter": ("card", lambda f: rewrite_card(f, r"^---\n", "# "), "README.md", "front matter cannot be read"),
    "front matter that is no YAML": (
        "card",
        lambda f: rewrite_card(f, "pretty_name: ", "x: ["),
        "README.md",
        "cannot be read",
    ),
    "a config that the card leaves out": (
        "card",
        lambda f: rewrite_card(f, r"- config_name: ttt\n(?:  .*\n)*", ""),
        "README.md: configs",
        "`ttt` is not in the card",
    ),
    "content of another release": (
        "card",
        lambda f: rewrite_card(f, r"description: content [0-9a-f]{16}", "description: content 0000000000000000"),
        "README.md: configs",
        "names other content than its files",
    ),
    "a split that the card places elsewhere": (
        "splits",
        lambda f: rewrite_card(f, r"path: data/ttt/test\.parquet", "path: data/sft/test.parquet"),
        "README.md: ttt",
        "differ in the split `test`",
    ),
    "another number of rows": (
        "splits",
        lambda f: set_manifest(
            f, configs={**manifest_of(f)["configs"], "ttt": {"train": 1, "validation": 1, "test": 1}}
        ),
        "ttt/train",
        "has 9 rows, the manifest says 1",
    ),
    "rows that are no split": (
        "splits",
        add_rows,
        "data/more.parquet",
        "no split that the manifest counts",
    ),
    "a hash of another file in croissant.json": (
        "croissant",
        _spoil_croissant,
        "croissant.json",
        "is not in it with its SHA-256",
    ),
}


FOLLOWING = {"hash", "card", "croissant", "figures", "separation"}
"""Rules about what is made of the files, which hold no longer where those are other files."""


@pytest.mark.parametrize("name", FOLDER_BREACHES)
def test_each_rule_about_the_folder_broken_once(copy: Path, name: str) -> None:
    rule, spoil, place, fact = FOLDER_BREACHES[name]
    spoil(copy)
    report = validate(copy)
    rules = {fault.rule for fault in report.faults}
    assert rule in rules
    assert rules - {rule} <= FOLLOWING, report.faults
    assert any(fault.place == place and fact in fault.fact for fault in report.faults), report.faults


def test_columns_may_change_with_a_major_version_alone(release: Path, copy: Path) -> None:
    for path in (copy / "data").glob("*/*.parquet"):
        _without_column(path, "url")
    mend(copy)
    set_manifest(copy, version="1.1.0")
    found = [fault for fault in validate(release, previous=copy).faults if fault.rule == "features"]
    assert str(found[0]).startswith("dpo/test: `url` is string, was not there in 1.1.0; publish it as the next major")
    assert broken(release, previous=copy) == {"features": len(list((copy / "data").rglob("*.parquet")))}
    set_manifest(copy, version="0.9.0")
    report = validate(release, previous=copy)
    assert report.ok
    assert report.skipped["features"] == "1.0.0 is a new major version after 0.9.0"


def test_an_answer_that_rules_cut_from_its_passage_may_end_as_the_passage_does(copy: Path) -> None:
    spans = rows_of(copy, "dpo", "train")[0]["chosen_spans"]
    cut_off("dpo", lambda text: text[:-12])(copy)
    change(copy, "dpo", "train", 0, chosen_spans=spans)
    mend(copy)
    assert broken(copy) == {"ids": 1, "pools": 1}  # such an answer has another id, and stands in sft_reasoning


def test_a_manifest_may_say_that_dpo_has_a_subset_of_the_questions(copy: Path) -> None:
    break_pairs(copy)
    set_manifest(copy, dpo_questions="subset")
    mend(copy)
    assert validate(copy).ok
    edit(copy, "sft_reasoning", "train", lambda rows: rows[:-1])
    mend(copy)
    assert broken(copy) == {"pools": 1}


def test_documents_may_be_spread_where_the_split_was_told_so(copy: Path) -> None:
    break_pools("document_id")(copy)
    stages = manifest_of(copy)["stages"]
    for told in (stages[-1]["settings"], next(x for x in stages if x["stage"] == "route")["settings"]["split"]):
        told["whole_documents"] = False
    set_manifest(copy, stages=stages)
    mend(copy)
    faults = validate(copy).faults  # its passage is of another document, whose rows have another `source_id`
    assert {fault.rule for fault in faults} == {"ids", "pools"}
    assert not any("its document" in fault.fact for fault in faults)


def test_many_faults_are_counted_and_few_are_kept(copy: Path) -> None:
    def spoil(rows: Rows) -> None:
        for row in rows:
            row["quality"] = None

    edit(copy, "sft", "train", spoil)
    mend(copy)
    report = validate(copy)
    rows = {name: splits["train"] for name, splits in manifest_of(copy)["configs"].items() if "train" in splits}
    assert report.counts["judge"] == sum(count for name, count in rows.items() if pool_of(name) == "sft")
    assert len(report.faults) == KEPT


# --- secrets ---------------------------------------------------------------------------------------------------------


def leaves_no_trace(folder: Path, secret: str) -> bool:
    runs = [CliRunner().invoke(cli, ["validate", str(folder), *more, "--limit", "9"]) for more in ([], ["--json"])]
    return all(run.exit_code == 1 and secret not in run.output and secret[8:] not in run.output for run in runs)


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_in_a_message_is_named_by_kind_and_place(copy: Path, kind: str) -> None:
    reply(copy, f"Croup is viral. {SECRETS[kind]} A barking cough gives it away.")
    mend(copy)
    report = validate(copy)
    assert {fault.rule for fault in report.faults} == {"secrets"}
    assert report.faults[0].place.startswith("sft/train:1, id 's")
    assert f"{kind} in `" in report.faults[0].fact
    assert SECRETS[kind] not in str(report.plain()) + "".join(map(str, report.faults))


def put_into_ledger(folder: Path) -> None:
    path = folder / "ledger.parquet"
    rows = pl.read_parquet(path)
    path.unlink()
    table = pa.Table.from_pylist([{**rows.row(3, named=True), "detail": TOKEN}], schema=rows.to_arrow().schema)
    pq.write_table(pa.concat_tables([rows.to_arrow(), table]), path)


@pytest.mark.parametrize(
    ("spoil", "place"),
    [
        (lambda f: rewrite_card(f, r"\n\n", f"\n\nSee {TOKEN}.\n\n"), "README.md:"),
        (lambda f: (f / "CHANGELOG.md").write_text(f"# Changelog\n\n- {TOKEN}\n"), "CHANGELOG.md:3"),
        (lambda f: set_manifest(f, changelog=f"- {TOKEN}\n"), "manifest.json:"),
        (put_into_ledger, "ledger.parquet:"),
        (lambda f: change(f, "ttt", "train", 1, url=f"https://example.org/?t={TOKEN}"), "ttt/train:2, id 's"),
        (lambda f: change(f, "ttt", "train", 1, id=TOKEN), "ttt/train:2, id '[Hugging Face token]'"),
    ],
)
def test_a_secret_is_found_wherever_it_is(copy: Path, spoil: Callable[[Path], object], place: str) -> None:
    spoil(copy)
    if place.startswith("ttt"):
        mend(copy)
    else:
        rehash(copy)
    report = validate(copy)
    rules = {fault.rule for fault in report.faults}
    assert "secrets" in rules
    assert rules - {"secrets"} <= {"card", "manifest", "hash", "stages", "croissant", "ids"}, (
        report.faults
    )  # what was made of the rest
    assert any(fault.rule == "secrets" and fault.place.startswith(place) for fault in report.faults)
    assert leaves_no_trace(copy, TOKEN)


@pytest.mark.parametrize(
    "text",
    [
        "A risk-benefit-analysis-of-the-drug was made.",
        "The task-force-on-hypertension-in-pregnancy met.",
        "See https://example.org:8080/a@b and mail ann@example.org.",
        "sk-learn-is-a-library-of-many-words",
        "Passwords: none. The secretion of insulin rises.",
        "Interleukin receptor kinase hf_kinase",
    ],
)
def test_words_are_no_secrets(text: str) -> None:
    assert kinds(text) == []
    assert secret_rows(pl.Series([text])) == {}


@given(st.text(max_size=40), st.sampled_from(sorted(SECRETS)), st.text(max_size=40))
def test_no_text_around_a_secret_keeps_it_in_a_message(before: str, kind: str, behind: str) -> None:
    secret = SECRETS[kind]
    assert secret not in redact(f"{before} {secret} {behind}")
    assert secret_rows(pl.Series([f"{before} {secret} {behind}"])) != {}


# --- ends ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "fact"),
    [
        ("It is croup.", None),
        ("Give dexamethasone:\n- once\n- by mouth", None),
        ("The answer is B", None),
        ("More about the care of children with croup is told at https://example.org/croup", None),
        ("| dose | 5 mg |\n|---|---|", None),
        ("**Answer: C**", None),
        ("应给予治疗。", None),
        ("It is croup, and", "ends in the middle of a sentence"),
        ("Watch the child closely for signs of stri", "ends without an end mark"),
        ("处理如下：", "ends in the middle of a sentence"),
        ("```\ndose = 5", "ends inside a block of code"),
        ("", "the `Summarization` section is empty"),
    ],
)
def test_answers_that_break_off_are_told_from_those_that_end_without_a_full_stop(end: str, fact: str | None) -> None:
    text = f"**Thought**\nA barking cough.\n\n**Summarization**\n{end}"
    assert unfinished(pl.Series([None, text])) == ({} if fact is None else {1: fact})


# --- anybody's data --------------------------------------------------------------------------------------------------


def conversation(*contents: str, roles: str = "ua") -> list[dict[str, str]]:
    names = {"u": "user", "a": "assistant", "s": "system", "t": "tool"}
    return [turn(names[role], content) for role, content in zip(roles, contents, strict=True)]


GOOD: dict[str, Rows] = {
    "messages": [{"messages": conversation("Be brief.", "What is croup?", "A cold.", "And?", "No.", roles="suaua")}],
    "sharegpt": [{"conversations": [{"from": "human", "value": "What?"}, {"from": "gpt", "value": "Croup."}]}],
    "prompt and completion": [{"prompt": "What is croup?", "completion": "A viral infection."}],
    "conversational prompts": [
        {"prompt": conversation("What?", roles="u"), "completion": conversation("Croup.", roles="a")}
    ],
    "preference": [{"prompt": "What is croup?", "chosen": "A viral infection.", "rejected": "A fracture."}],
    "conversational preference": [
        {
            "prompt": conversation("What?", "It?", "Is it?", roles="uau"),
            "chosen": conversation("Croup.", roles="a"),
            "rejected": conversation("A fracture.", roles="a"),
        }
    ],
}


def write(folder: Path, rows: Rows, format: str) -> Path:
    path = folder / f"rows.{format}"
    if format == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    else:
        pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
@pytest.mark.parametrize("layout", GOOD)
def test_anybodys_data_passes_the_rules_that_apply_to_it(tmp_path: Path, layout: str, format: str) -> None:
    rows = [{**row, "id": number, "license": "MIT"} for number, row in enumerate(GOOD[layout])]
    report = validate(write(tmp_path, rows, format))
    assert (report.ok, report.kind, report.rows) == (True, "dataset", 1), report.faults
    named = "files manifest hash card splits figures stages features pools separation held_splits retracted judge"
    of_a_release = {*named.split(), "addresses", "model_licence", "croissant", "plots"}
    assert set(report.skipped) == {*of_a_release, "language", "contamination"}
    assert set(report.counts) == {*RULES, *CONTENT_RULES} - set(report.skipped)
    assert report.skipped["pools"] == "the dataset has no pools of ours"


NOTE = "Patient: Jane Doe, DOB 04/12/1956, MRN 4711234."
THOUGHT = "**Thought**\nA barking cough.\n\n**Summarization**\nIt is croup, and"
BAD: dict[str, tuple[str, dict[str, Any], str]] = {
    "an empty answer": ("empty", {"messages": conversation("What?", " ")}, "`messages[1]` holds nothing"),
    "two questions": ("messages", {"messages": conversation("What?", "Why?", roles="uu")}, "expected the assistant"),
    "no answer": ("messages", {"messages": conversation("What?", roles="u")}, "ends with the user"),
    "a tool": ("messages", {"messages": conversation("What?", "x", roles="ut")}, "comes from the tool, expected the"),
    "no messages": ("schema", {"text": "Croup."}, "no `messages`"),
    "a text for messages": ("schema", {"messages": "Croup."}, "is a text, expected a list of messages"),
    "a patient": ("phi", {"messages": conversation("Who?", NOTE)}, "date_of_birth 0.95"),
    "a secret in another column": (
        "secrets",
        {"messages": conversation("What?", "Croup."), "meta": {"by": [f"x {TOKEN}"]}},
        "`meta.by` holds Hugging Face token",
    ),
    "an answer that breaks off": (
        "cut_off",
        {"messages": conversation("What?", THOUGHT)},
        "in the middle of a sentence",
    ),
    "an id twice": ("ids", {"messages": conversation("What?", "Croup."), "id": 1}, "its `id` occurs before"),
    "no licence": ("licence", {"messages": conversation("What?", "Croup."), "license": "?"}, "`license` says nothing"),
}


@pytest.mark.parametrize("name", BAD)
def test_faults_of_anybodys_data_have_their_line(tmp_path: Path, name: str) -> None:
    rule, row, fact = BAD[name]
    good = {**GOOD["messages"][0], "license": "MIT", **({"id": 1} if "id" in row else {})}
    report = validate(write(tmp_path, [good, {"license": "MIT", **row}], "jsonl"))
    (fault,) = report.faults
    assert (fault.rule, fault.place) == (rule, "rows.jsonl:2")
    assert fact in fault.fact
    assert fault.remedy


def test_a_pair_of_equals_is_a_fault(tmp_path: Path) -> None:
    pair = {**GOOD["conversational preference"][0], "license": "MIT"}
    (fault,) = validate(write(tmp_path, [{**pair, "rejected": pair["chosen"]}], "jsonl")).faults
    assert fault.fact == "`chosen` and `rejected` are the same"


def test_a_folder_with_a_card_beside_its_data(tmp_path: Path) -> None:
    write(tmp_path, GOOD["messages"], "jsonl")
    (tmp_path / "README.md").write_text("---\nlicense: mit\n---\n# Rows\n", "utf-8")
    assert validate(tmp_path).ok


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_lists_all_rules_and_exits_with_1_where_one_is_broken(release: Path, copy: Path) -> None:
    sound = CliRunner().invoke(cli, ["validate", str(release)])
    assert sound.exit_code == 0
    lines = sound.output.splitlines()[1:]
    assert [line.partition(":")[0] for line in lines[: len(RULES)]] == list(RULES)
    assert lines[len(RULES)] == "stated, not checked:"
    assert any(line.startswith(f"release_hash: {manifest_of(release)['release_hash']}") for line in lines)
    assert "cannot be seen from inside" in lines[-1]
    for number in range(5):
        change(copy, "ttt", "train", number, quality=0)
    mend(copy)
    spoilt = CliRunner().invoke(cli, ["validate", str(copy), "--limit", "2"])
    assert spoilt.exit_code == 1
    assert "judge: failed, 5 findings" in spoilt.output
    assert spoilt.output.count("`quality` is 0") == 2
    assert "  - 3 more" in spoilt.output
    as_json = json.loads(CliRunner().invoke(cli, ["validate", str(copy), "--json"]).output)
    judge = as_json["rules"]["judge"]
    assert (as_json["ok"], judge["state"], judge["count"], len(judge["examples"])) == (False, "failed", 5, 3)
    assert {"place", "fact", "next_step"} < set(judge["examples"][0])


def _link(folder: Path) -> Path:
    (folder / "data.jsonl").symlink_to(folder / "nowhere")
    return folder


NOTHING: dict[str, Callable[[Path], Path | str]] = {
    "no such path": lambda folder: folder / "absent",
    "an empty folder": lambda folder: folder,
    "a text": lambda folder: _written(folder / "notes.txt", b"Croup."),
    "documents": lambda folder: _written(folder / "rows.jsonl", b'{"text": "Croup."}\n'),
    "no name of a dataset": lambda folder: "hf://owner",
    "an empty file": lambda folder: _written(folder / "rows.jsonl", b""),
    "a link to nothing": _link,
}


def _written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("name", NOTHING)
def test_what_cannot_be_validated_is_told_without_a_traceback(tmp_path: Path, name: str) -> None:
    with pytest.raises(FineMedError, match=r"; |check"):
        validate_address(str(NOTHING[name](tmp_path)))


def test_a_run_points_to_its_release(release: Path) -> None:
    with pytest.raises(InputError, match="is a run; validate its release, "):
        validate(release.parents[1] / "run")


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "nothing": lambda data: b"",
    "no Parquet": lambda data: b"PAR1 nothing PAR1",
    "half of it": lambda data: data[: len(data) // 2],
    "other bytes in its middle": lambda data: data[:200] + bytes(2000) + data[2200:],
    "other bytes in its footer": lambda data: data[:-200] + os.urandom(100) + data[-100:],
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damaged_files_are_faults(copy: Path, name: str) -> None:
    for path in (copy / "data/ttt/train.parquet", copy / "ledger.parquet"):
        damaged = DAMAGE[name](path.read_bytes())
        path.unlink()
        path.write_bytes(damaged)
    rules = {fault.rule for fault in validate(copy).faults}
    assert "files" in rules
    rehash(copy)
    assert validate(copy).counts["schema"]


def test_bytes_that_are_no_text_are_faults(copy: Path) -> None:
    path = copy / "data/ttt/train.parquet"
    table = pq.read_table(path)
    raw = pa.array([b"\xff\xfe croup"] * table.num_rows, pa.binary())
    spoilt = pa.StringArray.from_buffers(len(raw), *raw.buffers()[1:])
    path.unlink()
    pq.write_table(table.set_column(table.column_names.index("url"), "url", spoilt), path)
    mend(copy)
    report = validate(copy)
    assert report.faults[0].place == "ttt/train"
    assert "cannot be read: " in report.faults[0].fact


# --- anything at all -------------------------------------------------------------------------------------------------

_SCALARS = st.none() | st.booleans() | st.integers(-5, 12) | st.floats(width=32) | st.text(max_size=8)
_TURN = st.none() | st.fixed_dictionaries(
    {
        "role": st.none() | st.sampled_from(["user", "assistant", "system", "tool"]),
        "content": st.none() | st.text(max_size=8),
    }
)
_MAPPING = st.dictionaries(st.sampled_from(["role", "content", "from", "value", "x"]), _SCALARS, max_size=3)
_ANYTHING = _SCALARS | _MAPPING | st.lists(_SCALARS | _MAPPING | st.lists(_SCALARS, max_size=2), max_size=3)
_NAMES = st.sampled_from(
    [
        "messages",
        "conversations",
        "prompt",
        "completion",
        "chosen",
        "rejected",
        "id",
        "license",
        "language",
        "output",
        "text",
    ]
)
CALM = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@CALM
@given(st.lists(st.dictionaries(_NAMES, _ANYTHING, max_size=5), min_size=1, max_size=4))
def test_validation_never_fails_on_any_records(rows: Rows) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "rows.jsonl")
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
        try:
            report = validate(path)
        except InputError:
            return
    assert report.rows == len(rows)
    assert json.dumps(report.plain())


@CALM
@given(data=st.data())
def test_validation_never_fails_on_any_rows_of_a_release(release: Path, data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        (copy / "data" / "dpo").mkdir(parents=True)
        for name in ("data/dpo/test.parquet", "manifest.json", "README.md"):
            shutil.copy(release / name, copy / name)
        rows = rows_of(copy, "dpo", "test")
        changed = data.draw(
            st.fixed_dictionaries(
                {},
                optional={
                    **{name: st.none() | st.lists(_TURN, max_size=3) for name in ("prompt", "chosen", "rejected")},
                    **{name: st.none() | st.floats() for name in ("chosen_score", "rejected_score")},
                    **{name: st.none() | st.integers(-1, 20) for name in ("quality", "relevance")},
                    **{
                        name: st.none() | st.text(max_size=9)
                        for name in ("id", "phi_kinds", "phi_state", "license", "source", "language", "chosen_model")
                    },
                },
            )
        )
        write_rows(copy, "dpo", "test", [rows[0] | changed, *rows[1:]])
        rehash(copy)
        report = validate(copy)
    assert json.dumps(report.plain())
    assert (report.counts["messages"] > 0) or all(changed.get(name, [{}]) for name in ("prompt", "chosen", "rejected"))


@CALM
@given(st.dictionaries(st.sampled_from([*"abc", "configs", "files", "content", "stages", "version"]), _ANYTHING))
def test_validation_never_fails_on_any_manifest(release: Path, found: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        (copy / "data" / "ttt").mkdir(parents=True)
        shutil.copy(release / "data" / "ttt" / "test.parquet", copy / "data" / "ttt")
        manifest = {**manifest_of(release), **found}
        buffer = io.StringIO()
        json.dump(manifest, buffer)
        (copy / "manifest.json").write_text(buffer.getvalue(), "utf-8")
        (copy / "README.md").write_text(f"---\n{json.dumps(found)}\n---\n{string.printable}", "utf-8")
        report = validate(copy)
    assert not report.ok
    assert json.dumps(report.plain())


# --- on the Hub ------------------------------------------------------------------------------------------------------


@pytest.fixture
def hub(release: Path) -> Iterator[Hub]:
    """A loopback Hub with the release, with somebody's data, and with a release that leads out of its folder."""
    files = {path.relative_to(release).as_posix(): path for path in release.rglob("*") if path.is_file()}
    contents = {name: path.read_bytes() for name, path in files.items()} | {".gitattributes": b"*.parquet lfs\n"}
    rows = "".join(json.dumps(row) + "\n" for row in (*GOOD["messages"], BAD["two questions"][1])).encode()
    card = b"---\nlicense: mit\n---\n"
    server = Hub(
        {
            "example/release": contents,
            "example/rows": {"README.md": card, "data/rows.jsonl": rows},
            "example/hostile": {**contents, "../escaped.txt": b"x"},
        }
    )
    server.branches["example/release@v1.0.0"] = server.commit("example/release")
    yield server
    server.stop()


def ask(hub: Hub, address: str, home: Path) -> tuple[int, str, str]:
    """The command in a process of its own: exit code, stdout, stderr."""
    env = environment(hub, home, HF_TOKEN=TOKEN)
    env |= {"PYTHONPATH": str(Path(__file__).resolve().parents[1] / "toolkit"), "TMPDIR": str(home)}
    command = [sys.executable, "-m", "finemed", "validate", address, "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert TOKEN not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout, done.stderr


def test_a_release_on_the_hub_is_downloaded_checked_and_removed_again(hub: Hub, tmp_path: Path) -> None:
    code, said, _ = ask(hub, "hf://example/release@v1.0.0", tmp_path)
    report = json.loads(said)
    assert (code, report["kind"], report["path"], report["rows"]) == (0, "release", "hf://example/release@v1.0.0", 92)
    assert list(tmp_path.glob("finemed-validate-*")) == []


def test_anybodys_dataset_on_the_hub_is_read_as_it_comes(hub: Hub, tmp_path: Path) -> None:
    code, said, _ = ask(hub, "hf://example/rows", tmp_path)
    report = json.loads(said)
    assert (code, report["kind"], report["rows"]) == (1, "dataset", 2)
    failed = {rule: result["examples"] for rule, result in report["rules"].items() if result["state"] == "failed"}
    assert {rule: [each["place"] for each in examples] for rule, examples in failed.items()} == {
        "messages": ["data/rows.jsonl:2"]
    }
    assert report["rules"]["licence"]["state"] == "ok"  # its card has one


@pytest.mark.parametrize(
    ("address", "fact"),
    [
        ("hf://example/absent", "example/absent"),
        ("hf://example/release@v9.9.9", "v9.9.9"),
        ("hf://example/hostile", "lies outside the dataset; do not use it"),
    ],
)
def test_what_the_hub_does_not_have_is_told(hub: Hub, tmp_path: Path, address: str, fact: str) -> None:
    code, said, told = ask(hub, address, tmp_path / "home")
    assert (code, said) == (4, "")
    assert fact in told
    assert not (tmp_path / "escaped.txt").exists()


# --- licences of models ----------------------------------------------------------------------------------------------


def licences(folder: Path, backend: dict[str, Any], **sections: Any) -> dict[str, Any]:
    """What a build with this backend writes into its manifest."""
    given = {"name": "n", "sources": [{"name": "a", "path": "a.jsonl"}], "backends": {"main": backend}, **sections}
    (folder / "finemed.yaml").write_text(json.dumps(given), "utf-8")
    plan = Plan(load_config(folder / "finemed.yaml"), folder)
    try:
        return plan.licences()
    finally:
        plan.close()


def test_a_backends_licence_holds_for_its_own_model_alone(tmp_path: Path) -> None:
    backend = {
        "type": "openai",
        "model": "m",
        "base_url": "http://localhost:1/v1",
        "api_key_env": None,
        "license": "MIT",
    }
    asks = {"judge": {"backend": "main"}, "reason": {"backend": "main", "model": "other"}}
    found = licences(tmp_path, backend, **asks)
    assert found == {
        "rules@3": {"license": "Apache-2.0"},
        "openai:m": {"license": "MIT"},
        "openai:other": {"license": None},
    }


def test_one_model_cannot_have_two_licences(tmp_path: Path) -> None:
    address = {"type": "openai", "model": "m", "base_url": "http://localhost:1/v1", "api_key_env": None}
    backends = {"main": {**address, "license": "MIT"}, "second": {**address, "license": "Apache-2.0"}}
    with pytest.raises(ConfigError, match="two licences for openai:m; rows name it alone"):
        licences(tmp_path, {}, backends=backends, judge={"backend": "main"}, reason={"backend": "second"})


def test_the_manifest_of_a_run_and_its_release_name_the_licences(release: Path) -> None:
    known = {"rules@3": {"license": "Apache-2.0"}}
    assert manifest_of(release)["backends"] == manifest_of(release.parents[1] / "run")["backends"] == known
