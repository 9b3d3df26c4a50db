"""What each stage keeps, writes and drops."""

from __future__ import annotations

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError
from rows import (
    FAILURES,
    Script,
    Scripted,
    classified,
    details,
    judged_response,
    question,
    reasoned,
    reasons,
    reply,
    response,
    routed,
    run_shards,
    run_stage,
    scanned,
)

from finemed.config import (
    ClassifyConfig,
    Columns,
    GenerateConfig,
    IngestConfig,
    JudgeAnswersConfig,
    JudgeConfig,
    RankConfig,
    ReasonConfig,
    RespondConfig,
    SourceConfig,
)
from finemed.llm.base import Completion, Request
from finemed.llm.rules import Rules
from finemed.llm.structured import format_sections
from finemed.records import (
    DIFFICULTIES,
    TASK_TYPES,
    ClassifiedPassage,
    Instruction,
    JudgedResponse,
    ReasonedInstruction,
    Response,
    RoutedInstruction,
    ScannedPassage,
)
from finemed.sources.records import find_files, record_batches
from finemed.stages.base import Outcome
from finemed.stages.classify import ClassifyStage
from finemed.stages.generate import GenerateStage, offered_types, target_difficulty
from finemed.stages.ingest import IngestStage
from finemed.stages.judge import JudgeStage
from finemed.stages.judge_answers import JudgeAnswersStage
from finemed.stages.rank import RankStage
from finemed.stages.reason import ReasonStage
from finemed.stages.respond import RespondStage
from finemed.taxonomy import load_taxonomy

STATES = tuple(FAILURES)


def ids(outcome: Outcome) -> list[str]:
    return outcome.kept[:, "instruction_id"].to_list()


# --- ingest ----------------------------------------------------------------------------------------------------------


def ingest(folder: Path, *lines: dict[str, Any] | str, **settings: Any) -> Outcome:
    """Writes the lines as JSONL, reads them back and ingests them."""
    source = {"name": "web", "path": "web.jsonl", **settings.pop("source", {})}
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / "web.jsonl").write_text(text, "utf-8")
    ((_, records),) = record_batches(find_files(SourceConfig(**source), folder), 1000)
    return run_shards(IngestStage(IngestConfig(**settings)), [records]).outcome()


def test_a_short_record_is_one_passage_whose_span_leaves_out_the_blanks_around_it(tmp_path: Path) -> None:
    (row,) = ingest(tmp_path, {"text": "  Croup barks.\n"}).kept.to_dicts()
    assert (row["span_start"], row["span_end"], row["text"]) == (2, 14, "Croup barks.")


def test_spans_of_a_long_record_find_each_passage_in_the_raw_text(tmp_path: Path) -> None:
    raw = " ".join(f"Sentence number {n} says   that drug {n} helps in disease {n}." for n in range(40))
    rows = ingest(tmp_path, {"text": raw}, max_tokens=100, min_tokens=10).kept.to_dicts()
    assert len(rows) > 3
    spans = [(row["span_start"], row["span_end"]) for row in rows]
    assert all(end <= start for (_, end), (start, _) in pairwise(spans))
    for row, (start, end) in zip(rows, spans, strict=True):
        assert row["text"] == " ".join(raw[start:end].split())
    assert " ".join(row["text"] for row in rows) == " ".join(raw.split())


def test_ids_come_from_content_and_survive_reordering_and_company(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = [{"text": f"Disease {n} has a cause."} for n in range(5)]
    first = ingest(tmp_path, *lines).kept
    later = ingest(tmp_path, {"text": "A new record."}, "broken", *reversed(lines)).kept
    known = dict(first.select("text", "passage_id").iter_rows())
    again = dict(later.select("text", "passage_id").iter_rows())
    assert len(set(known.values())) == 5
    assert {text: again[text] for text in known} == known
    assert first["record_id"].to_list()[0] == "web/web.jsonl:1"
    assert later["record_id"].to_list()[-1] == "web/web.jsonl:7"


def test_ids_tell_sources_and_mapped_ids_apart(tmp_path: Path) -> None:
    line = {"key": "7", "text": "Croup barks."}
    found = {
        ingest(tmp_path, line, source=source).kept["document_id"].item()
        for source in ({}, {"name": "book"}, {"columns": Columns(id="key")})
    }
    assert len(found) == 3


def test_faults_pass_through_as_reasons(tmp_path: Path) -> None:
    outcome = ingest(
        tmp_path,
        {"text": "Croup barks."},
        "{not json",
        "[1, 2]",
        {"title": "no text"},
        {"text": "   "},
        {"text": 5},
        {"text": "Croup barks."},
        {"text": "\x07\x08"},
    )
    assert outcome.kept.height == 1
    assert reasons(outcome) == {
        "web/web.jsonl:2": "not_json",
        "web/web.jsonl:3": "not_an_object",
        "web/web.jsonl:4": "missing_column",
        "web/web.jsonl:5": "empty_text",
        "web/web.jsonl:6": "text_not_string",
        "web/web.jsonl:7": "repeated_record",
        "web/web.jsonl:8": "empty_text",
    }
    assert details(outcome)["web/web.jsonl:3"] == "the line holds list"


def test_licence_attribution_and_url_of_the_row_win_over_those_of_the_source(tmp_path: Path) -> None:
    own = {"text": "A barks.", "l": "CC-BY-4.0", "a": "Ann", "u": "https://a.example"}
    columns = Columns(license="l", attribution="a", url="u")
    source = {"columns": columns, "license": "CC0-1.0", "attribution": "Web", "url": "https://web.example"}
    rows = ingest(tmp_path, own, {"text": "B barks."}, source=source).kept
    assert rows.select("license", "attribution", "url").rows() == [
        ("CC-BY-4.0", "Ann", "https://a.example"),
        ("CC0-1.0", "Web", "https://web.example"),
    ]


def test_an_unknown_licence_stays_null(tmp_path: Path) -> None:
    (row,) = ingest(tmp_path, {"text": "Croup barks."}).kept.to_dicts()
    assert (row["license"], row["attribution"], row["url"], row["language"]) == (None, None, None, None)


# --- classify --------------------------------------------------------------------------------------------------------


def classify(script: Script, max_reasks: int = 1) -> tuple[Outcome, Scripted]:
    backend = Scripted(script)
    stage = ClassifyStage(ClassifyConfig(max_reasks=max_reasks), backend, load_taxonomy())
    return run_stage(stage, ScannedPassage, [scanned()]), backend


def placed(department: str, subdepartment: str) -> Script:
    return reply(department=department, subdepartment=subdepartment, confidence=0.8)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("Surgery", "Urology"), ("Surgery", "Urology")),
        (("Surgery", "none"), ("Surgery", "none")),
        (("none", "none"), ("none", "none")),
        (("none", "Urology"), ("none", "none")),
    ],
)
def test_a_place_in_the_tree_is_written_down(given: tuple[str, str], expected: tuple[str, str]) -> None:
    outcome, backend = classify(placed(*given))
    (row,) = outcome.kept.to_dicts()
    assert (row["department"], row["subdepartment"]) == expected
    assert (row["department_confidence"], row["classify_model"]) == (0.8, "scripted")
    assert len(backend.asked) == 1


@pytest.mark.parametrize(
    ("given", "fact"),
    [
        (("Astrology", "none"), "`department`: 'Astrology' is not in the tree"),
        (("Urology", "none"), "`department`: 'Urology' is not in the tree"),
        (("Surgery", "Cardiology"), "`subdepartment`: 'Cardiology' is not in Surgery"),
    ],
)
def test_a_label_outside_the_tree_is_asked_again_and_ends_unparsable(given: tuple[str, str], fact: str) -> None:
    outcome, backend = classify(placed(*given), max_reasks=2)
    assert reasons(outcome) == {"p1": "classify_unparsable"}
    assert details(outcome) == {"p1": f"{fact} (asked 3 times)"}
    assert [request.reask for request in backend.asked] == [0, 1, 2]


def test_a_second_reply_inside_the_tree_is_taken() -> None:
    good, bad = placed("Surgery", "Urology"), placed("Astrology", "none")
    outcome, _ = classify(lambda request: (good if request.reask else bad)(request))
    assert outcome.kept["subdepartment"].to_list() == ["Urology"]


@pytest.mark.parametrize("state", STATES)
def test_a_passage_that_could_not_be_classified_is_not_called_none(state: str) -> None:
    outcome, _ = classify(FAILURES[state])
    assert (outcome.kept.height, reasons(outcome)) == (0, {"p1": f"classify_{state}"})


def test_the_prompt_offers_every_label_of_the_tree() -> None:
    _, backend = classify(placed("none", "none"))
    content = backend.asked[0].messages()[-1]["content"]
    assert all(label in content for pair in load_taxonomy().labels() for label in pair if label is not None)


# --- generate --------------------------------------------------------------------------------------------------------


def generate(script: Script, *rows: dict[str, Any], **settings: Any) -> Outcome:
    config = GenerateConfig.model_validate({"max_reasks": 1, **settings})
    return run_stage(GenerateStage(config, Scripted(script)), ClassifiedPassage, list(rows) or [classified()])


def two(first: str, second: str, task1: str = "mechanism", task2: str = "treatment") -> Script:
    return reply(question1=first, task_type1=task1, question2=second, task_type2=task2)


def test_two_questions_become_two_rows_with_their_ancestors() -> None:
    rows = generate(two("Why does croup bark?", "How is croup treated?")).kept
    assert rows.select("instruction", "task_type").rows() == [
        ("Why does croup bark?", "mechanism"),
        ("How is croup treated?", "treatment"),
    ]
    assert rows["instruction_id"].n_unique() == 2
    assert rows.select(list(classified())).rows() == [tuple(classified().values())] * 2
    assert rows.select("instruction_model", "instruction_prompt").unique().rows() == [("scripted", "generate@2")]
    assert set(rows["target_difficulty"]) == {target_difficulty("p1", GenerateConfig().difficulty)}


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        (two("Why does croup bark?", " why does CROUP bark ?"), "`question2` repeats `question1` (asked 2 times)"),
        (
            two("Why?", "How?", "Next step", "next_step "),
            "`task_type1` and `task_type2` are both 'next_step' (asked 2 times)",
        ),
        (two("Why?", "How?", "poetry", "poetry"), "`task_type1` and `task_type2` are both 'poetry' (asked 2 times)"),
        (two("Why?", "  "), "`question2`: String should have at least 1 character (asked 2 times)"),
    ],
)
def test_asking_the_same_thing_twice_is_asked_for_again_then_dropped(script: Script, detail: str) -> None:
    outcome = generate(script)
    assert reasons(outcome) == {"p1": "generate_unparsable"}
    assert details(outcome) == {"p1": detail}


def test_a_second_try_that_asks_two_things_counts() -> None:
    tries = iter([two("Why?", "Why?"), two("Why?", "How?")])
    assert generate(lambda request: str(next(tries)(request))).kept["instruction"].to_list() == ["Why?", "How?"]


def test_a_question_that_points_at_the_text_is_left_to_the_judge() -> None:
    assert generate(two("What does the passage say?", "How is croup treated?")).kept.height == 2


def test_task_types_are_named_as_the_rows_name_them() -> None:
    kept = generate(two("Why?", "How?", " Differential diagnosis", "poetry")).kept
    assert kept["task_type"].to_list() == ["differential_diagnosis", "other"]


def test_a_known_type_that_was_not_offered_keeps_its_name() -> None:
    kept = generate(two("Why?", "How?", "prevention", "treatment"), task_types=["treatment", "mechanism"]).kept
    assert kept["task_type"].to_list() == ["prevention", "treatment"]


def test_question_ids_depend_on_passage_and_question_alone() -> None:
    stage = GenerateStage(GenerateConfig(), Scripted(two("Why?", "How?")))
    rows = [classified(passage_id="p1"), classified(passage_id="p2")]
    kept = run_stage(stage, ClassifiedPassage, rows).kept
    assert kept["instruction_id"].n_unique() == 4
    swapped = generate(two("How?", "Why?", "poetry", "prose")).kept
    ours = set(kept.filter(pl.col("passage_id") == "p1")["instruction_id"])
    assert set(swapped["instruction_id"]) == ours


@pytest.mark.parametrize("state", STATES)
def test_a_passage_without_questions_is_dropped_under_its_state(state: str) -> None:
    assert reasons(generate(FAILURES[state])) == {"p1": f"generate_{state}"}


def test_the_prompt_states_department_difficulty_language_and_each_offered_type() -> None:
    backend = Scripted(two("Why?", "How?"))
    config = GenerateConfig(task_types=["treatment", "prevention"], difficulty={"advanced": 1})
    row = classified(language="es", department="Surgery", subdepartment="none")
    run_stage(GenerateStage(config, backend), ClassifiedPassage, [row])
    told = backend.asked[0].messages()[1]["content"]
    first, second = offered_types("p1", ["treatment", "prevention"])
    assert told.index(f"  - {first}: ") < told.index(f"  - {second}: ")
    assert "mechanism" not in told
    assert "Both are advanced: findings have to be weighed" in told
    assert "belongs to: Surgery. Ask" in told
    assert "in the language of the text (es)" in told


@pytest.mark.parametrize("language", [None, "und"])
def test_an_unknown_language_and_department_are_not_named(language: str | None) -> None:
    backend = Scripted(two("Why?", "How?"))
    row = classified(language=language, department="none", subdepartment="none")
    run_stage(GenerateStage(GenerateConfig(), backend), ClassifiedPassage, [row])
    told = backend.asked[0].messages()[1]["content"]
    assert "in the language of the text. Vary" in told
    assert "belongs to" not in told


def test_every_task_type_and_level_is_explained_in_the_prompt() -> None:
    for level in DIFFICULTIES:
        backend = Scripted(two("Why?", "How?"))
        run_stage(GenerateStage(GenerateConfig(difficulty={level: 1}), backend), ClassifiedPassage, [classified()])
        told = backend.asked[0].messages()[1]["content"]
        assert re.search(rf"Both are {level}: \w+", told)
        assert set(re.findall(r"^  - (\w+): \w+", told, re.MULTILINE)) == set(TASK_TYPES)


def test_types_are_offered_in_every_order_equally_often_and_levels_by_their_weight() -> None:
    ids = [f"p{number}" for number in range(4000)]
    for place in (0, 1, 9):
        counts = Counter(offered_types(row_id, TASK_TYPES)[place] for row_id in ids)
        assert set(counts) == set(TASK_TYPES)
        assert max(counts.values()) < 1.2 * 400
        assert min(counts.values()) > 0.8 * 400
    levels = Counter(target_difficulty(row_id, {"basic": 1, "advanced": 3}) for row_id in ids)
    assert set(levels) == {"basic", "advanced"}
    assert 900 < levels["basic"] < 1100
    assert offered_types("p1", TASK_TYPES) == offered_types("p1", TASK_TYPES[::-1])


@pytest.mark.parametrize(
    "settings",
    [
        {"task_types": ["treatment"]},
        {"task_types": ["treatment", "treatment"]},
        {"task_types": ["treatment", "poetry"]},
        {"difficulty": {}},
        {"difficulty": {"basic": 0}},
        {"difficulty": {"basic": -1}},
        {"difficulty": {"heavy": 1}},
        {"difficulty": {"basic": float("inf")}},
    ],
)
def test_settings_that_leave_nothing_to_ask_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        GenerateConfig.model_validate(settings)


def test_a_given_question_is_taken_as_it_is_without_a_call() -> None:
    def script(request: Request) -> str:
        raise AssertionError("no call is needed")

    row = classified(given_instruction="How is croup treated?", given_response="With dexamethasone.")
    kept = generate(script, row).kept
    columns = ("instruction", "task_type", "target_difficulty", "instruction_model", "instruction_prompt")
    assert kept.select(columns).rows() == [("How is croup treated?", "treatment", None, "given", "given")]
    assert kept.select(list(row)).rows() == [tuple(row.values())]


@pytest.mark.parametrize(
    ("question", "task"),
    [
        ("Which symptoms does a child with croup show?", "presentation"),
        ("How can measles be prevented?", "prevention"),
        ("如何治疗肺炎？", "other"),
        ("Tell me about croup.", "other"),
    ],
)
def test_the_task_of_a_given_question_is_guessed_from_its_words(question: str, task: str) -> None:
    rows = [classified(given_instruction=question), classified(passage_id="p2")]
    kept = generate(two("Why?", "How?"), *rows).kept
    assert kept.filter(pl.col("passage_id") == "p1")["task_type"].to_list() == [task]
    assert kept.height == 3


def test_an_answer_cut_from_the_passage_carries_its_offsets() -> None:
    backend = Rules(load_taxonomy(None))
    text = (
        "Croup is a viral infection of the larynx in children. A barking cough and stridor are its typical symptoms. "
        "Croup is treated with a single dose of dexamethasone. Most children with croup recover within a few days."
    )
    asked = {"text": text, "instruction": "How is croup treated with dexamethasone?", "route": "complex"}
    long = run_stage(ReasonStage(ReasonConfig(), backend), RoutedInstruction, [routed(**asked)]).kept
    rows = run_stage(RespondStage(RespondConfig(), backend), ReasonedInstruction, long.to_dicts()).kept
    ordinary = rows.filter(pl.col("kind") == "ordinary")
    assert ordinary.height == 2
    for answer, spans in ordinary.select("response", "answer_spans").iter_rows():
        assert answer == " ".join(text[span["start"] : span["end"]] for span in spans)
    (answer, spans) = rows.filter(pl.col("kind") == "reasoning").select("response", "answer_spans").row(0)
    turn = next(at for at in range(1, len(spans)) if spans[at]["start"] <= spans[at - 1]["start"])
    parts = [" ".join(text[span["start"] : span["end"]] for span in part) for part in (spans[:turn], spans[turn:])]
    assert answer == format_sections(*parts)
    written = run_stage(RespondStage(RespondConfig(), Scripted(lambda _: "Rest.")), ReasonedInstruction, [reasoned()])
    assert written.kept["answer_spans"].to_list() == [None, None]


# --- judge -----------------------------------------------------------------------------------------------------------

SCORES: dict[str, Any] = {
    "rationale": "Fine.",
    "quality": 8,
    "difficulty": 6,
    "relevance_to_medicine": 5,
    "mention_specific_details": True,
}


def judge(script: Script, rows: list[dict[str, Any]] | None = None) -> Outcome:
    return run_stage(JudgeStage(JudgeConfig(max_reasks=1), Scripted(script)), Instruction, rows or [question()])


def test_a_judgement_is_written_as_published() -> None:
    (row,) = judge(reply(**SCORES)).kept.to_dicts()
    assert row == {
        **question(),
        "quality": 8,
        "complexity": 6,
        "relevance": 5,
        "mentions_details": True,
        "rationale": "Fine.",
        "judge_model": "scripted",
        "judge_prompt": "judge@2",
    }


@pytest.mark.parametrize("state", STATES)
def test_a_question_whose_judgement_failed_is_held_apart_and_never_scored(state: str) -> None:
    outcome = judge(FAILURES[state])
    assert outcome.kept.height == 0
    assert reasons(outcome) == {"i1": "judge_failed"}
    assert details(outcome)["i1"].startswith(f"{state}: ")


@pytest.mark.parametrize(
    "fault",
    [
        {"quality": 11},
        {"quality": 0},
        {"quality": 8.5},
        {"quality": None},
        {"quality": True},
        {"difficulty": "hard"},
        {"relevance_to_medicine": 7},
        {"mention_specific_details": "perhaps"},
    ],
    ids=str,
)
def test_a_score_that_was_not_given_is_not_made_up(fault: dict[str, Any]) -> None:
    outcome = judge(reply(**(SCORES | fault)))
    assert reasons(outcome) == {"i1": "judge_failed"}
    (name,) = fault
    assert f"unparsable: `{name}`" in details(outcome)["i1"]


@pytest.mark.parametrize("name", [name for name in SCORES if name != "rationale"])
def test_a_missing_score_fails_the_judgement(name: str) -> None:
    assert reasons(judge(reply(**{key: value for key, value in SCORES.items() if key != name}))) == {
        "i1": "judge_failed"
    }


def test_one_failure_does_not_touch_the_other_question() -> None:
    def script(request: Request) -> str | Completion:
        return FAILURES["refused"](request) if request.owner[0] == "i1" else json.dumps(SCORES)

    outcome = judge(script, [question(), question(instruction_id="i2")])
    assert (ids(outcome), reasons(outcome)) == (["i2"], {"i1": "judge_failed"})


# --- reason ----------------------------------------------------------------------------------------------------------


def think(script: Script, **row: Any) -> tuple[Outcome, Scripted]:
    backend = Scripted(script)
    stage = ReasonStage(ReasonConfig(max_reasks=1), backend)
    return run_stage(stage, RoutedInstruction, [routed(**row)]), backend


@pytest.mark.parametrize(
    "text",
    [
        "**Thought**\nA bark.\n\n**Summarization**\nCroup.",
        "## Thought\nA bark.\n## Summarization:\nCroup.",
        "Thought:\nA bark.\nSummarisation\nCroup.",
        "<think>hm</think>Thought\nA bark.\nSummarization\nCroup.",
    ],
)
def test_a_long_answer_is_stored_in_one_form(text: str) -> None:
    outcome, _ = think(lambda request: text, route="complex")
    written = outcome.kept.select("reasoning", "reasoning_model", "reasoning_prompt", "reasoning_extractive").row(0)
    assert written == ("**Thought**\nA bark.\n\n**Summarization**\nCroup.", "scripted", "reason@2", False)


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("**Summarization**\nCroup.", "no `Thought` section"),
        ("**Thought**\nA bark.", "no `Summarization` section"),
        ("**Thought**\n\n**Summarization**\nCroup.", "the `Thought` section is empty"),
        ("**Thought**\nA bark.\n**Summarization**\n ", "the `Summarization` section is empty"),
        ("**Summarization**\nCroup.\n**Thought**\nA bark.", "`Summarization` comes before `Thought`"),
        ("A bark means croup.", "no `Thought` section"),
    ],
)
def test_a_long_answer_without_its_sections_is_dropped(text: str, fact: str) -> None:
    outcome, backend = think(lambda request: text, route="complex")
    assert (outcome.kept.height, reasons(outcome)) == (0, {"i1": "reason_unparsable"})
    assert details(outcome)["i1"] == f"{fact} (asked 2 times)"
    assert len(backend.asked) == 2


@pytest.mark.parametrize("state", STATES)
def test_a_complex_question_without_a_long_answer_is_dropped_under_its_state(state: str) -> None:
    assert reasons(think(FAILURES[state], route="complex")[0]) == {"i1": f"reason_{state}"}


def test_a_cut_off_long_answer_is_dropped_even_with_both_sections() -> None:
    text = "**Thought**\nA bark.\n\n**Summarization**\nCroup is"
    outcome, _ = think(lambda request: Completion(request, text, "length"), route="complex")
    assert reasons(outcome) == {"i1": "reason_truncated"}


def test_common_questions_pass_untouched_and_unasked() -> None:
    outcome, backend = think(FAILURES["error"])
    empty = dict.fromkeys(set(reasoned()) - set(routed()))
    assert outcome.kept.to_dicts() == [{**routed(), **empty}]
    assert backend.asked == []


# --- respond ---------------------------------------------------------------------------------------------------------


def answer(script: Script, **row: Any) -> Outcome:
    return run_stage(
        RespondStage(RespondConfig(max_reasks=1), Scripted(script)), ReasonedInstruction, [reasoned(**row)]
    )


def style_of(request: Request) -> str:
    return str(request.inputs["style"])


def answers(outcome: Outcome) -> list[tuple[str, ...]]:
    return outcome.kept.select("kind", "style", "response", "response_model").rows()


def test_two_answers_in_two_styles() -> None:
    outcome = answer(lambda request: f"In {style_of(request)} words.")
    assert answers(outcome) == [
        ("ordinary", "concise", "In concise words.", "scripted"),
        ("ordinary", "explanatory", "In explanatory words.", "scripted"),
    ]
    assert outcome.kept["response_id"].n_unique() == 2


def test_equal_answers_in_both_styles_are_two_rows() -> None:
    assert answer(lambda request: "The same.").kept["response_id"].n_unique() == 2


@pytest.mark.parametrize("failing", ["concise", "explanatory"])
@pytest.mark.parametrize("state", STATES[1:])
def test_one_failing_style_leaves_the_other(failing: str, state: str) -> None:
    def script(request: Request) -> str | Completion:
        return FAILURES[state](request) if style_of(request) == failing else "Fine."

    (other,) = {"concise", "explanatory"} - {failing}
    outcome = answer(script)
    assert answers(outcome) == [("ordinary", other, "Fine.", "scripted")]
    assert reasons(outcome) == {}
    (missing,) = outcome.kept["missing_answer"]
    assert missing.startswith(f"{failing}: {state}: ")


@pytest.mark.parametrize("state", STATES[1:])
def test_a_question_without_any_answer_is_dropped_with_its_long_one(state: str) -> None:
    outcome = answer(FAILURES[state], route="complex", reasoning="**Thought** ...")
    assert (outcome.kept.height, reasons(outcome)) == (0, {"i1": f"respond_{state}"})


def test_two_failing_styles_are_dropped_under_the_first_ones_state() -> None:
    outcome = answer(lambda request: FAILURES["refused" if style_of(request) == "concise" else "error"](request))
    assert (reasons(outcome), details(outcome)) == ({"i1": "respond_refused"}, {"i1": "content filter"})


def test_nothing_is_missing_where_both_styles_came_back() -> None:
    assert answer(lambda request: "Fine.").kept["missing_answer"].to_list() == [None, None]


def test_an_empty_answer_is_none() -> None:
    assert reasons(answer(lambda request: "  ")) == {"i1": "respond_unparsable"}


def test_a_long_answer_becomes_a_row_of_its_own_with_its_own_origin() -> None:
    outcome = answer(
        lambda request: "Short.",
        route="complex",
        reasoning="Long.",
        reasoning_model="thinker",
        reasoning_prompt="reason@1",
        reasoning_extractive=True,
    )
    assert answers(outcome)[2] == ("reasoning", "reasoning", "Long.", "thinker")
    assert outcome.kept.select("response_prompt", "extractive").rows() == [
        ("respond@2", False),
        ("respond@2", False),
        ("reason@1", True),
    ]


# --- judge_answers ---------------------------------------------------------------------------------------------------


def judge_answer(script: Script) -> Outcome:
    return run_stage(JudgeAnswersStage(JudgeAnswersConfig(max_reasks=1), Scripted(script)), Response, [response()])


def test_an_answers_score_is_the_mean_of_four() -> None:
    (row,) = judge_answer(reply(rationale="Ok.", grounded=10, correct=9, complete=4, safe=7)).kept.to_dicts()
    assert {name: row[name] for name in ("grounded", "correct", "complete", "safe")} == {
        "grounded": 10,
        "correct": 9,
        "complete": 4,
        "safe": 7,
    }
    assert (row["response_score"], row["response_rationale"], row["answer_judge_model"]) == (7.5, "Ok.", "scripted")


@pytest.mark.parametrize("state", STATES)
def test_an_answer_whose_judgement_failed_is_held_apart(state: str) -> None:
    outcome = judge_answer(FAILURES[state])
    assert (outcome.kept.height, reasons(outcome)) == (0, {"r1": "judge_failed"})
    assert details(outcome)["r1"].startswith(f"{state}: ")


def test_an_answer_with_three_scores_is_not_scored() -> None:
    assert reasons(judge_answer(reply(rationale="", grounded=9, correct=9, complete=9))) == {"r1": "judge_failed"}


# --- rank ------------------------------------------------------------------------------------------------------------


def graded(name: str, score: float, **row: Any) -> dict[str, Any]:
    return judged_response(response_id=name, response=f"Answer {name}.", response_score=score, **row)


def long_answer(name: str = "rL", score: float = 8.0, **row: Any) -> dict[str, Any]:
    return graded(name, score, kind="reasoning", style="reasoning", route="complex", response_model="thinker", **row)


def ranked(*rows: dict[str, Any], **settings: Any) -> Outcome:
    return run_stage(RankStage(RankConfig(**settings)), JudgedResponse, list(rows))


def test_the_better_answer_wins() -> None:
    for rows in ([graded("r1", 6.5), graded("r2", 7.0)], [graded("r2", 7.0), graded("r1", 6.5)]):
        outcome = ranked(*rows)
        assert outcome.kept.select("response_id", "response", "response_score").rows() == [("r2", "Answer r2.", 7.0)]
        assert reasons(outcome) == {"r1": "lower_ranked"}
        assert details(outcome) == {"r1": "6.50 against 7.00 of r2"}


def test_a_tie_goes_to_the_smaller_id() -> None:
    assert ranked(graded("r2", 7.0), graded("r1", 7.0)).kept["response_id"].to_list() == ["r1"]


def test_an_answer_below_the_minimum_is_dropped_and_one_at_it_stays() -> None:
    outcome = ranked(graded("r1", 6.99), graded("r2", 7.0), min_score=7)
    assert outcome.kept["response_id"].to_list() == ["r2"]
    assert reasons(outcome) == {"r1": "below_min_score"}
    assert details(outcome) == {"r1": "6.99 < 7.0"}


def test_a_question_all_of_whose_answers_are_below_the_minimum_goes() -> None:
    outcome = ranked(graded("r1", 3), graded("r2", 4), min_score=7)
    assert (outcome.kept.height, set(reasons(outcome).values())) == (0, {"below_min_score"})


def test_a_complex_question_keeps_both_kinds_side_by_side() -> None:
    outcome = ranked(graded("r1", 6, route="complex"), graded("r2", 7, route="complex"), long_answer(extractive=True))
    (row,) = outcome.kept.to_dicts()
    assert (row["response_id"], row["model_name"]) == ("r2", "fake")
    assert (row["reasoning_id"], row["reasoning"], row["reasoning_model"]) == ("rL", "Answer rL.", "thinker")
    assert (row["reasoning_score"], row["extractive"]) == (8.0, True)
    assert reasons(outcome) == {"r1": "lower_ranked"}


def test_a_common_question_has_no_long_answer() -> None:
    (row,) = ranked(graded("r1", 6)).kept.to_dicts()
    assert {row[name] for name in row if name.startswith("reasoning")} == {None}
    assert row["extractive"] is False


def test_a_complex_question_that_lost_its_long_answer_goes() -> None:
    outcome = ranked(graded("r1", 6, route="complex"), graded("r2", 7, route="complex"))
    assert outcome.kept.height == 0
    assert reasons(outcome) == {"r1": "no_reasoning_answer", "r2": "no_reasoning_answer"}


def test_a_complex_question_that_lost_its_ordinary_answers_goes() -> None:
    assert reasons(ranked(long_answer())) == {"rL": "no_ordinary_answer"}


def test_a_long_answer_below_the_minimum_takes_its_question_along() -> None:
    outcome = ranked(graded("r1", 9, route="complex"), long_answer(score=5.0), min_score=7)
    assert reasons(outcome) == {"rL": "below_min_score", "r1": "no_reasoning_answer"}


def test_every_answer_of_many_questions_is_counted_once() -> None:
    rows = [graded(f"r{q}{a}", 5 + (q + a) % 3, instruction_id=f"i{q}") for q in range(10) for a in range(2)]
    outcome = ranked(*rows)
    assert (outcome.kept.height, outcome.dropped.height) == (10, 10)
    assert set(outcome.kept["response_id"]) | set(outcome.dropped["row_id"]) == {row["response_id"] for row in rows}
