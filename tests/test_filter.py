"""The filter: what each rule drops, what the table and the explanations say, and the command."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from rows import details, passage, reasons, run_stage

from finemed.cli.main import cli
from finemed.config import FilterConfig
from finemed.errors import ConfigError, FineMedError, InputError
from finemed.publish.inspect.explain import Check, explain
from finemed.publish.inspect.filter import RuleCount, filter_files, filter_run, open_targets, write_kept
from finemed.records import Passage, frame
from finemed.stages.base import Outcome
from finemed.stages.filter import ALL, RULES, FilterStage, verdicts

ROOT = Path(__file__).resolve().parents[1]
LABELLED = [
    json.loads(line) for line in (ROOT / "benchmarks/labels/medical_gate.jsonl").read_text("utf-8").splitlines()
]
OPEN: dict[str, Any] = {
    "min_words": 0,
    "max_words": 9999,
    "max_mojibake": 99,
    "languages": [],
    "min_letter_share": 0,
    "max_symbol_ratio": 99,
    "max_number_share": 1,
    "max_words_per_sentence": 9999,
    "max_repeated_share": 1,
    "max_repeated_line_share": 1,
    "max_spam_cues": 99,
    "max_boilerplate_share": 1,
    "allow_truncated": True,
    "max_reference_density": 999,
    "min_medical_density": 0,
    "min_medical_terms": 0,
}
TEN = "amber basil cedar daisy elder fir grass hazel iris jute"
FEVER = "Fever is a response of the body to an infection and it may be treated with fluids and rest."
FIEBRE = "La fiebre es una respuesta del cuerpo a una infección y no se trata por lo general."


def filtered(text: str, language: str | None = "en", *, row: dict[str, Any] | None = None, **settings: Any) -> Outcome:
    config = FilterConfig(**(OPEN | settings))
    return run_stage(FilterStage(config), Passage, [passage(text=text, language=language, **(row or {}))])


# --- rules -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "settings", "kept", "dropped", "detail"),
    [
        ("too_short", {"min_words": 10}, TEN, TEN[:-5], "9 words, minimum 10"),
        ("too_long", {"max_words": 10}, TEN, TEN + " kale", "11 words, maximum 10"),
        (
            "mojibake",
            {"max_mojibake": 1},
            "fiÃ¨vre et toux",
            "fiÃ¨vre et douleur Ã©levÃ©e",
            "3 broken character sequences, maximum 1",
        ),
        (
            "spam",
            {"max_spam_cues": 2},
            "Buy now or click here for relief.",
            "Buy now or click here for a miracle.",
            "3 advertising phrases, maximum 2",
        ),
        (
            "boilerplate",
            {"max_boilerplate_share": 0.5},
            "Croup barks. Accept all cookies.",
            "Croup barks. Accept all cookies. Sign in.",
            "0.67 of the sentences, maximum 0.5",
        ),
        (
            "truncated",
            {"allow_truncated": False},
            "Croup barks at night ... and stops.",
            "Croup barks at night. Read more »",
            "ends in an ellipsis or in a link to the rest",
        ),
        (
            "references",
            {"max_reference_density": 20},
            "As Lee et al. showed, croup is viral.",  # 1 in 8
            "Lee AB, Roe CD. Croup. J Voice 2010;16(2):17-28.",  # 2 authors, 1 year with volume, 1 page range in 12
            "33.3 marks of references per 100 words, maximum 20.0",
        ),
        (
            "repetition",
            {"max_repeated_share": 0.4},
            f"{TEN} {TEN}",  # 6 of 16 sequences of five words are repeated
            f"{TEN} {TEN} amber",  # 7 of 17
            "0.41 of the 5-word sequences repeat, maximum 0.4",
        ),
        (
            "repeated_lines",
            {"max_repeated_line_share": 0.4},
            "Croup barks.\nIt stops.\nIt stops.",  # 9 of 32 characters
            "Croup barks.\nCroup barks.",  # 12 of 25
            "0.48 of the characters are in repeated lines, maximum 0.4",
        ),
        (
            "numbers",
            {"max_number_share": 0.5},
            "pulse 84 pressure 120",
            "pulse 84 92 5.1",
            "0.75 of the words are numbers, maximum 0.5",
        ),
        (
            "few_letters",
            {"min_letter_share": 0.6},
            "abcdef 1234",
            "abcde 12345",
            "0.50 of the characters are letters, minimum 0.6",
        ),
        (
            "symbols",
            {"max_symbol_ratio": 0.5},
            "# croup barks",
            "| croup | barks |",
            "1.50 symbols per word, maximum 0.5",
        ),
        (
            "no_sentences",
            {"max_words_per_sentence": 10},
            f"{TEN}. {TEN}.",
            f"{TEN} {TEN}",
            "20 words per sentence, maximum 10",
        ),
        ("language", {"languages": ["en", "de"]}, FEVER, FIEBRE, "es, kept are en, de"),
        (
            "not_medical",
            {"min_medical_density": 10},
            "the fever " + TEN[:-11],
            "then the fever " + TEN[:-5],
            "8.3 medical terms per 100 words, 1 different",
        ),
        (
            "not_medical",
            {"min_medical_terms": 2},
            "fever and cough",
            "fever and fever",
            "66.7 medical terms per 100 words, 1 different",
        ),
    ],
)
def test_a_rule_drops_just_beyond_its_threshold(
    reason: str, settings: dict[str, Any], kept: str, dropped: str, detail: str
) -> None:
    language = None if reason == "language" else "en"
    assert filtered(kept, language, **settings).kept.height == 1
    outcome = filtered(dropped, language, **settings)
    assert (reasons(outcome), details(outcome)) == ({"p1": reason}, {"p1": detail})


def test_languages_are_those_stated_or_else_identified() -> None:
    assert filtered(FEVER, None, languages=["en"]).kept["language"].item() == "en"
    assert filtered(FEVER, "fr", languages=["fr"]).kept["language"].item() == "fr"
    assert filtered(FEVER, "en-GB", languages=["en"]).kept["language"].item() == "en"
    assert details(filtered(FIEBRE, None, languages=["en", "fr"])) == {"p1": "es, kept are en, fr"}
    assert reasons(filtered(FEVER, "fr", languages=["en"])) == {"p1": "language"}
    assert filtered(FIEBRE, None, languages=[]).kept["language"].item() == "es"


def test_spanish_and_chinese_are_kept_or_dropped_on_purpose() -> None:
    chinese = "肺炎是肺部的感染。患者常有发热、咳嗽和呼吸困难，需要抗生素治疗。"
    for text, code in ((FIEBRE, "es"), (chinese, "zh")):
        assert filtered(text, None, languages=["en", code], min_medical_terms=1).kept["language"].item() == code
        assert reasons(filtered(text, None, languages=["en"])) == {"p1": "language"}
    assert filtered(chinese, None, min_words=25).kept.height == 1  # a character is a word


def test_the_medical_gate_judges_only_languages_that_it_knows() -> None:
    assert filtered(TEN, "de", min_medical_terms=1).kept.height == 1
    for code in ("en", "es", "zh"):
        assert reasons(filtered(TEN, code, min_medical_terms=1)) == {"p1": "not_medical"}


def test_rows_with_their_own_question_are_exempt_from_the_rules_of_length_alone() -> None:
    own = {"given_instruction": "What is croup?", "given_response": "A viral infection."}
    strict: dict[str, Any] = {"min_words": 100, "max_words": 1}
    assert reasons(filtered("Croup?", row=own, **strict)) == {}
    assert reasons(filtered("Croup?", **strict)) == {"p1": "too_short"}
    assert reasons(filtered("Buy now!", row=own, max_spam_cues=0, **strict)) == {"p1": "spam"}


def test_the_first_rule_that_fails_names_the_drop() -> None:
    text = f"Buy now 7 # cookies.\n{TEN} {TEN}\n{TEN} {TEN}\nÃ© et al ..."
    strict: dict[str, dict[str, Any]] = {
        "too_short": {"min_words": 1000},
        "too_long": {"max_words": 1},
        "mojibake": {"max_mojibake": 0},
        "spam": {"max_spam_cues": 0},
        "boilerplate": {"max_boilerplate_share": 0},
        "truncated": {"allow_truncated": False},
        "references": {"max_reference_density": 0},
        "repetition": {"max_repeated_share": 0},
        "repeated_lines": {"max_repeated_line_share": 0},
        "numbers": {"max_number_share": 0},
        "few_letters": {"min_letter_share": 1},
        "symbols": {"max_symbol_ratio": 0},
        "no_sentences": {"max_words_per_sentence": 1},
        "language": {"languages": ["de"]},
        "not_medical": {"min_medical_terms": 9},
    }
    assert tuple(strict) == RULES
    for position, rule in enumerate(RULES):
        settings = {key: value for name in RULES[position:] for key, value in strict[name].items()}
        assert reasons(filtered(text, **settings)) == {"p1": rule}
    everything = {key: value for own in strict.values() for key, value in own.items()}
    judged = verdicts(frame(Passage, [passage(text=text, language="en")]), FilterConfig(**everything))
    assert judged.select(rule.column for rule in ALL).row(0) == (True,) * len(ALL)


def test_every_rule_has_a_setting_and_every_setting_a_rule() -> None:
    named = {rule.setting for rule in ALL}
    assert set(FilterConfig.model_fields) - named == {"min_medical_terms"}
    assert named <= set(FilterConfig.model_fields)
    assert RULES[0] == "too_short"
    assert len(set(RULES)) == len(RULES)


# --- the medical gate ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "medical", "least"), [("en", True, 0.95), ("en", False, 0.95), ("es", True, 0.95)])
def test_the_gate_tells_our_own_paragraphs_apart(code: str, medical: bool, least: float) -> None:
    own = [row for row in LABELLED if row["language"] == code and row["medical"] == medical]
    rows = [passage(passage_id=row["id"], text=row["text"], language=None) for row in own]
    judged = verdicts(frame(Passage, rows), FilterConfig())
    wrong = judged.filter(pl.col("fails_not_medical") == medical)["passage_id"].to_list()
    assert len(own) >= 20
    assert judged["language"].unique().to_list() == [code]
    assert 1 - len(wrong) / len(own) >= least, wrong


@pytest.mark.parametrize(("code", "medical"), [("es", False), ("zh", True), ("zh", False)])
def test_the_gate_tells_all_spanish_and_chinese_paragraphs_apart(code: str, medical: bool) -> None:
    own = [row for row in LABELLED if row["language"] == code and row["medical"] == medical]
    rows = [passage(passage_id=row["id"], text=row["text"], language=None) for row in own]
    judged = verdicts(frame(Passage, rows), FilterConfig())
    assert judged.filter(pl.col("fails_not_medical") == medical)["passage_id"].to_list() == []


# --- the table -------------------------------------------------------------------------------------------------------

SPAM = "Buy now! Order now! A miracle cure, risk-free. " + FEVER
SHORT = "Fever and cough."
ROWS = [
    {"id": "a", "text": FEVER + " " + FEVER.replace("Fever", "Cough") + " The nurse gives the patient medicine."},
    {"id": "b", "text": SPAM + " The nurse gives the patient medicine."},
    {"id": "c", "text": SHORT + " Buy now! Order now! A miracle!"},
    {"id": "d", "text": SHORT},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    path = tmp_path / "Web pages.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS) + "not json\n", "utf-8")
    return path


@pytest.fixture
def run(corpus: Path) -> Path:
    config = corpus.parent / "finemed.yaml"
    source = {"name": "web", "path": corpus.name, "columns": {"id": "id"}}
    config.write_text(json.dumps({"name": "t", "sources": [source], "filter": {"min_words": 20}}), "utf-8")
    invoke("build", "-c", config, "--until", "filter")
    return corpus.parent / "run"


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit | FineMedError):
        raise result.exception
    return result


def test_the_table_counts_who_fails_who_is_dropped_and_who_fails_nothing_else(corpus: Path) -> None:
    found = filter_files([corpus], FilterConfig(min_words=20))
    ((name, count),) = found.table.items()
    assert (name, count.rows, count.kept) == ("web-pages", 4, 1)
    assert count.rules["too_short"] == RuleCount(fails=2, dropped=2, alone=1)
    assert count.rules["spam"] == RuleCount(fails=2, dropped=1, alone=1)
    assert sum(own.dropped for own in count.rules.values()) == count.rows - count.kept
    assert dict(found.faults) == {"not_json": 1}


def test_a_run_is_judged_with_its_own_settings_and_comes_to_the_same(run: Path) -> None:
    found = filter_run(run)
    assert found.config.min_words == 20
    assert found.note is None
    report = json.loads((run / "stages" / "02-filter" / "stage.json").read_text())
    count = found.table["web"]
    assert {name: own.dropped for name, own in count.rules.items() if own.dropped} == report["drops"]
    assert (count.rows, count.kept) == (report["counts"]["rows_in"], report["counts"]["rows_kept"])
    assert filter_run(run, FilterConfig(min_words=1)).table["web"].rules["too_short"].fails == 0


def test_a_run_of_other_rules_says_so(run: Path) -> None:
    path = run / "stages" / "02-filter" / "stage.json"
    report = json.loads(path.read_text())
    report["version"] = 1
    del report["checksum"]  # as a run from before the checksums
    del report["settings"]["max_mojibake"]
    path.write_text(json.dumps(report | {"settings": report["settings"] | {"gone": 3}}))
    found = filter_run(run)
    assert found.note == "the run was filtered by version 1 of the rules; shown is what version 2 does"
    assert found.config == FilterConfig(min_words=20)


def test_the_rows_that_stay_can_be_read_by_a_build(corpus: Path) -> None:
    out = corpus.parent / "kept.parquet"
    assert write_kept(filter_files([corpus], FilterConfig(min_words=20)), out) == 1
    again = filter_files([out])
    assert again.table["kept"].kept == 1
    assert pl.read_parquet(out).select("text", "language").row(0) == (ROWS[0]["text"], "en")
    with pytest.raises(InputError, match=r"no row passes every rule, so .*none\.parquet was not written"):
        write_kept(filter_files([corpus], FilterConfig(min_words=999)), corpus.parent / "none.parquet")
    assert not (corpus.parent / "none.parquet").exists()


def test_files_of_other_kinds_and_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'body,n\n"{FEVER}",1\n', "utf-8")
    pl.DataFrame({"body": [FEVER, FIEBRE]}).write_parquet(tmp_path / "a.parquet")
    found = filter_files([tmp_path / "a.csv", tmp_path / "a.parquet"], FilterConfig(min_words=5), "body")
    assert {name: (count.rows, count.kept) for name, count in found.table.items()} == {"a": (1, 1), "a-2": (2, 1)}
    with pytest.raises(ConfigError, match="`text`"):
        filter_files([tmp_path / "a.csv"], None, "text")


def test_questions_of_an_instruction_dataset_are_exempt_from_length(tmp_path: Path) -> None:
    path = tmp_path / "sft.jsonl"
    path.write_text(json.dumps({"instruction": "What eases a fever?", "output": "Fluids and a cool room."}) + "\n")
    (count,) = filter_files([path]).table.values()
    assert count.rules["too_short"].fails == 0
    assert count.rows == 1


@pytest.mark.parametrize(
    ("arguments", "error", "fact"),
    [
        (["."], InputError, "holds no run; give the folder that `finemed build` made, or a file"),
        (["run", "a.csv"], ConfigError, "name one run, or files"),
        (["run", "--text", "body"], ConfigError, "--text is for files"),
        (["a.csv", "--set", "filter.min_words=1"], ConfigError, "name it with -c"),
    ],
)
def test_what_cannot_be_asked(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], error: type[Exception], fact: str
) -> None:
    (tmp_path / "a.csv").write_text("text\nx\n")
    monkeypatch.chdir(tmp_path)
    result = invoke("filter", *arguments)
    assert isinstance(result.exception, error)
    assert fact in str(result.exception)


def test_a_run_whose_filter_is_not_finished_needs_settings(run: Path) -> None:
    (run / "stages" / "02-filter" / "stage.json").unlink()
    with pytest.raises(InputError, match="its filter stage is not finished; run `finemed build --until filter`"):
        filter_run(run)
    assert open_targets([run], run.parent / "finemed.yaml", ["filter.min_words=3"], None).config.min_words == 3


# --- explanations ----------------------------------------------------------------------------------------------------


def checks(text: str, **settings: Any) -> dict[str, Check]:
    folder = settings.pop("folder")
    (folder / "one.jsonl").write_text(json.dumps({"text": text}) + "\n", "utf-8")
    (item,) = explain(filter_files([folder / "one.jsonl"], FilterConfig(**settings)), "one/one.jsonl:1")
    return {check.rule: check for check in item.checks}


def test_an_explanation_names_value_threshold_verdict_and_evidence(tmp_path: Path) -> None:
    text = f"Buy now! Sign in. A fever, a fever. The parliament votes.\n{TEN}\n{TEN}\n# Lee et al. Ã© Read more"
    found = checks(text, folder=tmp_path)
    assert tuple(found) == RULES
    assert found["spam"] == Check("spam", 1, 2, False, ["buy now"])
    assert found["too_short"].fails is False
    assert found["boilerplate"].evidence == ["sign in", "read more"]
    assert found["truncated"] == Check("truncated", True, False, True, ["Read more"])
    assert found["references"].evidence == ["et al"]
    assert found["repeated_lines"].evidence == [TEN]
    assert found["repetition"].evidence[0] == " ".join(TEN.split()[:5])
    assert found["mojibake"].evidence == ["Ã©"]
    assert found["symbols"].evidence == ["#"]
    assert found["not_medical"].evidence == [
        "1 different terms, minimum 2",
        "+1.0 fever (2)",
        "-0.5 parliament",
        "-0.5 votes",
    ]


def test_long_evidence_is_cut_short(tmp_path: Path) -> None:
    stems = ["neur", "gastr", "nephr", "arthr", "derm", "col", "cyst", "oste", "phleb", "rhin", "sinus", "uve", "vagin"]
    text = " ".join(f"{stem}itis" for stem in stems)
    evidence = checks(text, folder=tmp_path)["not_medical"].evidence
    assert evidence[0] == "13 different terms, minimum 2"
    assert (len(evidence), evidence[-1]) == (14, "and 1 more")


def test_the_language_is_explained_by_source_script_or_points(tmp_path: Path) -> None:
    assert checks(FEVER, folder=tmp_path)["language"].evidence[0].startswith("en ")
    assert checks("肺炎是感染。", folder=tmp_path)["language"].evidence == ["han script 5 words"]
    stated = tmp_path / "s.jsonl"
    stated.write_text(json.dumps({"text": FEVER, "language": "de"}) + "\n")
    (item,) = explain(filter_files([stated], FilterConfig()), "s/s.jsonl:1")
    evidence = {check.rule: check.evidence for check in item.checks}
    assert item.reason in RULES
    assert evidence["language"][0].startswith("en ")  # no column is mapped to the language


def test_what_is_not_judged_says_so(tmp_path: Path) -> None:
    german = "Fieber ist eine Antwort des Körpers auf die Infektion und wird mit Ruhe behandelt."
    found = checks(german, folder=tmp_path, languages=[])
    assert found["not_medical"].evidence == ["not judged: there is no lexicon for `de`"]
    assert found["not_medical"].fails is False
    path = tmp_path / "sft.jsonl"
    path.write_text(json.dumps({"instruction": "What eases a fever?", "output": "Fluids."}) + "\n")
    (item,) = explain(filter_files([path]), "sft/sft.jsonl:1")
    assert item.checks[0].evidence == ["exempt: the row brings its own question"]


def test_a_document_is_explained_by_all_its_passages(run: Path) -> None:
    rows = pl.read_parquet(run / "stages" / "01-ingest" / "kept-*.parquet")
    found = filter_run(run)
    for column in ("passage_id", "document_id", "record_id"):
        (item,) = explain(found, rows[column][1])
        assert (item.record_id, item.reason) == (rows["record_id"][1], "spam")
    with pytest.raises(InputError, match="no passage has the passage, document or record id nothing"):
        explain(found, "nothing")


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_prints_a_table(run: Path) -> None:
    lines = invoke("filter", run).stdout.splitlines()
    assert lines[0] == "web: 4 passages, 1 kept"
    assert lines[1].split("  ") != []
    assert [line.split() for line in lines[2:4]] == [["too_short", "2", "2", "1"], ["spam", "2", "1", "1"]]
    as_json = json.loads(invoke("filter", run, "--json").stdout)
    assert as_json["sources"]["web"]["rules"]["spam"] == {"fails": 2, "dropped": 1, "alone": 1}


def test_the_command_says_what_it_could_not_read_and_what_it_wrote(corpus: Path, tmp_path: Path) -> None:
    config = tmp_path / "f.yaml"
    config.write_text(json.dumps({"name": "t", "sources": [{"name": "a", "path": "x"}], "filter": {"min_words": 20}}))
    result = invoke("filter", corpus, "-c", config, "-o", tmp_path / "kept.parquet")
    assert result.stderr.splitlines() == ["not read: not_json 1", f"1 row written to {tmp_path / 'kept.parquet'}"]
    assert pl.read_parquet(tmp_path / "kept.parquet").height == 1


def test_text_of_a_corpus_cannot_steer_a_terminal(tmp_path: Path) -> None:
    path = tmp_path / "evil.jsonl"
    path.write_text(json.dumps({"text": "Buy now \x1b]0;owned\x07\u202e Sign\x9b2J in " + FEVER}) + "\n", "utf-8")
    shown = invoke("filter", path, "--explain", "evil/evil.jsonl:1").stdout
    assert "Buy now" in shown
    assert not re.search(r"[^\n\x20-\x7e\u00a1-\uffff]|\u202e", shown)
    (item,) = json.loads(invoke("filter", path, "--explain", "evil/evil.jsonl:1", "--json").stdout)["passages"]
    assert item["checks"][0]["rule"] == "too_short"
