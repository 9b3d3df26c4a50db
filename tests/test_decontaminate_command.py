"""``finemed decontaminate`` on files of any kind, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from finemed.cli.main import cli
from finemed.errors import ConfigError, FineMedError

STEM = "A boy of four wakes at night with a barking cough and a harsh noise on breathing in after days of a runny nose."
ITEM = {
    "id": "7",
    "benchmark": "nightshift",
    "question": f"{STEM} Which virus is the most likely cause of his illness?",
    "options": {"A": "Parainfluenza virus", "B": "Rotavirus", "C": "Varicella zoster virus"},
}
OTHER = {
    "id": "8",
    "benchmark": "dayshift",
    "question": "Which enzyme does allopurinol inhibit when it lowers the uric acid of a woman with gouty joints?",
    "options": ["Xanthine oxidase", "Urease"],
}
ROWS: list[dict[str, Any]] = [
    {"key": "clean", "instruction": "How is asthma told from croup?", "response": "Asthma wheezes on breathing out."},
    {"key": "asked", "instruction": ITEM["question"], "response": "Parainfluenza virus."},
    {
        "key": "answered",
        "instruction": "Tell me of a night shift.",
        "response": f"It began like this. {ITEM['question']} We knew.",
    },
]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    rows, exam = tmp_path / "r.jsonl", tmp_path / "exam.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    exam.write_text("".join(json.dumps(item) + "\n" for item in (ITEM, OTHER)))
    return rows, exam


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["decontaminate", *map(str, arguments)])


def test_questions_and_answers_are_looked_at(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files
    out, hits = tmp_path / "clean.parquet", tmp_path / "hits.jsonl"
    told = json.loads(run(rows, "-b", exam, "--id", "key", "--out", out, "--hits", hits, "--json").stdout)
    assert told == {
        "rows": 3,
        "quarantined": 0,
        "quarantined_places": [],
        "comparing": ["instruction", "response"],
        "left_out": [],
        "passed_over": [],
        "cut_off": [],
        "searched_too": [],
        "parts": {"instruction": 1, "response": 1},
        "contaminated": 2,
        "benchmarks": {"nightshift": {"items": 1, "rows": 2}, "dayshift": {"items": 1, "rows": 0}},
        "unmatchable_items": 0,
    }
    assert pl.read_parquet(out)["key"].to_list() == ["clean"]
    found = [json.loads(line) for line in hits.read_text().splitlines()]
    assert [hit["row_id"] for hit in found] == ["asked", "answered"]
    assert all(hit["detail"].startswith("nightshift/7: ") for hit in found)
    assert [hit["detail"].rpartition(" of ")[2] for hit in found] == ["instruction", "response"]
    again = tmp_path / "again.jsonl"
    run(rows, "-b", exam, "--id", "key", "--dropped", again)
    assert again.read_bytes() == hits.read_bytes(), "--hits is the same as --dropped"


def test_rows_can_be_marked_instead(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files
    out = tmp_path / "marked.jsonl"
    run(rows, "-b", exam, "--mark", "--out", out)
    marks = [json.loads(line)["contamination"] for line in out.read_text().splitlines()]
    assert marks[0] is None
    assert all(mark.startswith("nightshift/7: ") for mark in marks[1:])


def test_all_turns_of_a_conversation_are_looked_at(files: tuple[Path, Path], tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Quiz me."}, {"role": "assistant", "content": ITEM["question"]}]
    path = tmp_path / "chat.jsonl"
    path.write_text(json.dumps({"messages": turns}) + "\n")
    assert json.loads(run(path, "-b", files[1], "--json").stdout)["contaminated"] == 1


@pytest.mark.parametrize(
    ("row", "part"),
    [
        ({"instruction": "Answer.", "input": ITEM["question"], "output": "A"}, "input"),
        ({"prompt": "Quiz me.", "chosen": "No.", "rejected": ITEM["question"]}, "rejected"),
        ({"system": ITEM["question"], "question": "Well?", "answer": "Hm."}, "system"),
        ({"context": ITEM["question"], "question": "Well?", "answer": "Hm."}, "context"),
        ({"question": "Well?", "answers": ["Hm.", ITEM["question"]]}, "answers[1]"),
        ({"messages": json.dumps([{"role": "user", "content": ITEM["question"]}])}, "messages[0]"),
        (
            {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": ITEM["question"]}]},
            "conversations[1]",
        ),
    ],
)
def test_an_item_is_found_in_any_part(files: tuple[Path, Path], tmp_path: Path, row: dict[str, Any], part: str) -> None:
    path, why = tmp_path / "any.jsonl", tmp_path / "why.jsonl"
    path.write_text(json.dumps(row) + "\n")
    told = json.loads(run(path, "-b", files[1], "--dropped", why, "--json").stdout)
    assert (told["contaminated"], told["parts"]) == (1, {part: 1})
    assert json.loads(why.read_text())["detail"].endswith(f" of {part}")


def test_options_in_a_column_of_their_own_belong_to_the_question(files: tuple[Path, Path], tmp_path: Path) -> None:
    exam, path = tmp_path / "short.jsonl", tmp_path / "own.jsonl"
    options = ["Hypokalaemia", "Myxoedema", "Haemochromatosis", "Sarcoidosis"]
    exam.write_text(json.dumps({"question": "Which one is it?", "options": options}) + "\n")
    path.write_text(json.dumps({"question": "Which one is it?", "options": options, "answer": "A"}) + "\n")
    assert json.loads(run(path, "-b", exam, "--json").stdout)["contaminated"] == 1
    assert json.loads(run(path, "-b", exam, "--on", "question,answer", "--json").stdout)["contaminated"] == 0


def test_rows_in_are_rows_kept_dropped_or_quarantined(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files
    rows.write_text(rows.read_text() + '{"instruction": "\\ud800"}\n{broken\n')
    out, why = tmp_path / "out.jsonl", tmp_path / "why.jsonl"
    told = json.loads(run(rows, "-b", exam, "--out", out, "--dropped", why, "--json").stdout)
    left, gone = out.read_text().splitlines(), [json.loads(line) for line in why.read_text().splitlines()]
    assert told["rows"] == 5 == len(left) + len(gone)
    assert (told["contaminated"], told["quarantined"]) == (2, 2)
    assert [row["row_id"] for row in gone] == ["r.jsonl:2", "r.jsonl:3", "r.jsonl:4", "r.jsonl:5"]


def test_a_row_is_explained(files: tuple[Path, Path]) -> None:
    rows, exam = files
    told = json.loads(run(rows, "-b", exam, "--id", "key", "--explain", "answered", "--json").stdout)
    best = told["candidates"][0]
    assert (best["item"], best["flagged"]) == ("nightshift/7", True)
    assert "barking cough" in best["stretch"]
    assert best["question"] == ITEM["question"]
    shown = run(rows, "-b", exam, "--id", "key", "--explain", "asked").stdout
    assert shown.startswith("asked: nightshift/7: ")
    assert run(rows, "-b", exam, "--id", "key", "--explain", "clean").stdout.startswith("clean: clean\n")


def test_the_configuration_names_benchmarks_too(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, _ = files
    text = "name: demo\nsources: [{name: a, path: p}]\ndecontaminate: {benchmarks: [exam.jsonl]}\n"
    (tmp_path / "finemed.yaml").write_text(text)
    assert json.loads(run(rows, "-c", tmp_path / "finemed.yaml", "--json").stdout)["contaminated"] == 2


def test_mistakes_are_named(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files

    def failure(*arguments: object) -> str:
        result = run(*arguments)
        assert isinstance(result.exception, FineMedError), result.output
        return str(result.exception)

    assert "no benchmark to look for; name some with --benchmark" in failure(rows)
    assert "nowhere.jsonl" in failure(rows, "-b", tmp_path / "nowhere.jsonl")
    assert "ends in neither" in failure(rows, "-b", exam, "--out", "x.csv")
    exam.write_text(exam.read_text() + '{"question": 5}\n')
    assert "exam.jsonl:3" in failure(rows, "-b", exam)


def test_a_column_of_that_name_is_not_written_over(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files
    out, again = tmp_path / "marked.jsonl", tmp_path / "again.jsonl"
    assert run(rows, "-b", exam, "--mark", "--out", out).exit_code == 0
    assert run(out, "-b", exam, "--mark", "--out", again).exit_code == 0
    assert again.read_bytes() == out.read_bytes()
    for own in ("none known", {"by": "Li"}, 0):
        rows.write_text(
            json.dumps({**ROWS[0], "contamination": None}) + "\n" + json.dumps({**ROWS[1], "contamination": own})
        )
        refused = run(rows, "-b", exam, "--mark", "--out", tmp_path / "no.jsonl")
        assert isinstance(refused.exception, ConfigError)
        assert "r.jsonl:2, which would be lost; rename it" in str(refused.exception)
        assert not (tmp_path / "no.jsonl").exists()


def test_numbers_beside_a_mark_keep_their_text(files: tuple[Path, Path], tmp_path: Path) -> None:
    rows, exam = files
    line = '{"text": "Croup.", "contamination" : null,  "x": 0.12345678901234567890123, "y":1.10e2, "u": "\\u00e9"}\n'
    rows.write_text(line)
    assert run(rows, "-b", exam, "--mark", "--out", tmp_path / "out.jsonl").exit_code == 0
    assert (tmp_path / "out.jsonl").read_text() == line
