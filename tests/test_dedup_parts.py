"""``finemed dedup`` on rows of several parts: a row repeats another only if every part of it does."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner

from finemed.cli.main import cli
from finemed.config import DedupConfig
from finemed.stages import dedup as stage
from finemed.standalone.dedup import TableDedup, dedup_table
from finemed.standalone.dedup_explain import explain
from finemed.standalone.reading import open_parts

Row = dict[str, Any]
SYSTEM = " ".join(f"Rule {n}: be kind, be brief and name your sources whenever you can." for n in range(17))
WORDS = [f"{first}{second}" for first in ("pla", "mor", "ten", "vis", "kol") for second in ("bra", "dun", "fel", "gos")]


def text(number: int, words: int = 60) -> str:
    """A text of its own in made-up words."""
    draw = random.Random(number)
    return " ".join(f"{draw.choice(WORDS)}{draw.choice(WORDS)}" for _ in range(words))


def near(text: str) -> str:
    """The text with one word changed."""
    words = text.split()
    words[len(words) // 2] = "the"
    return " ".join(words)


def alpaca(question: str, first: str, second: str, third: str) -> Row:
    return {"instruction": question, "input": first, "output": second, "source": third}


def sharegpt(question: str, first: str, second: str, third: str) -> Row:
    said = (("system", SYSTEM), ("human", question), ("gpt", first), ("human", second), ("gpt", third))
    return {"conversations": [{"from": name, "value": value} for name, value in said]}


def messages(question: str, first: str, second: str, third: str) -> Row:
    said = (("user", question), ("assistant", first), ("user", second), ("assistant", third))
    return {"messages": [{"role": name, "content": value} for name, value in said]}


def pair(question: str, first: str, second: str, third: str) -> Row:
    return {"prompt": question, "chosen": first, "rejected": second, "topic": third}


def answers(question: str, first: str, second: str, third: str) -> Row:
    return {"question": question, "answers": [first, second], "topic": third}


def options(question: str, first: str, second: str, third: str) -> Row:
    return {"question": question, "options": {"A": first, "B": second}, "answer": third}


def context(question: str, first: str, second: str, third: str) -> Row:
    return {"system": SYSTEM, "context": first, "question": question, "answer": second, "topic": third}


LAYOUTS = [alpaca, sharegpt, messages, pair, answers, options, context]
LATER = {
    "alpaca": "output",
    "sharegpt": "conversations[4]",
    "messages": "messages[3]",
    "pair": "rejected",
    "answers": "answers",
    "options": "options",
    "context": "context",
}


def write(folder: Path, rows: list[Row], name: str = "r.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def found(folder: Path, rows: list[Row], *on: str, **settings: Any) -> TableDedup:
    return dedup_table(open_parts(str(write(folder, rows)), on=on), DedupConfig(**settings))


def drops(of: TableDedup) -> dict[str, str]:
    """Number of each dropped row -> reason and keeper's number."""
    number = {row_id: row_id.rpartition(":")[2] for row_id in of.table.ids}
    return {number[row]: f"{drop.reason} {number[drop.keeper]}" for row, drop in of.result.dropped.items()}


def base(number: int) -> tuple[str, str, str, str]:
    return (text(4 * number, 50), text(4 * number + 1), text(4 * number + 2), text(4 * number + 3))


@pytest.mark.parametrize("compiled_from", [10**9, 0])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_repeat_is_found_in_every_layout_and_a_row_with_another_part_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, layout: Callable[..., Row], compiled_from: int
) -> None:
    monkeypatch.setattr(stage, "COMPILED_FROM", compiled_from)
    rows = [layout(*base(number)) for number in range(30)]
    question, first, second, third = base(4)
    other = text(999)
    rows += [
        layout(*base(1)),  # 31: equal
        layout(*map(near, base(2))),  # 32: a word changed in each part
        layout(other, first, second, third),  # 33 to 35: another question, or another later part
        layout(question, other, second, third),
        layout(question, first, second if layout in (options, sharegpt, messages) else other, other),
    ]
    told = found(tmp_path, rows)
    assert drops(told) == {"31": "exact_duplicate 2", "32": "near_duplicate 3"}
    assert 0.8 <= told.result.dropped["r.jsonl:32"].similarity < 1


def test_one_instruction_over_many_inputs_is_no_repeat(tmp_path: Path) -> None:
    rows = [alpaca("Summarise the following consultation.", text(n), text(900 + n), "web") for n in range(500)]
    told = found(tmp_path, [*rows, rows[3], alpaca("Translate the following consultation.", *base(3)[1:])])
    assert drops(told) == {"501": "exact_duplicate 4"}
    assert told.summary()["shared_texts"] == {"instruction": {"texts": 1, "rows": 500}}
    assert (told.summary()["comparing"], told.summary()["left_out"]) == (["instruction", "input", "output"], ["source"])
    assert told.result.compared < 1000


def test_a_long_system_prompt_is_never_joined_to_the_question(tmp_path: Path) -> None:
    """Joined, these are near-duplicates of each other, one and all."""
    rows = [{"system": SYSTEM, "question": text(n, 10), "answer": text(9000 + n, 10)} for n in range(300)]
    assert found(tmp_path, rows).result.dropped == {}


def test_the_same_question_with_another_answer_stays(tmp_path: Path) -> None:
    rows = [{"question": text(n // 2), "answer": text(100 + n)} for n in range(60)]
    assert found(tmp_path, rows).result.dropped == {}
    assert len(found(tmp_path, rows, "question").result.dropped) == 30


def test_a_shared_text_that_differs_makes_rows_differ(tmp_path: Path) -> None:
    rows = [{"system": SYSTEM, "question": text(n), "answer": "Yes."} for n in range(30)]
    rows += [{"system": text(77), "question": text(n), "answer": "Yes."} for n in range(30)]
    assert found(tmp_path, rows).result.dropped == {}


def test_rows_of_nothing_but_shared_texts_repeat_only_if_they_are_equal(tmp_path: Path) -> None:
    rows = [{"question": text(n // 30), "answer": f"{text(n % 30)}"} for n in range(900)]
    told = found(tmp_path, [*rows, rows[5], {key: value.upper() + "!" for key, value in rows[8].items()}])
    assert drops(told) == {"901": "exact_duplicate 6", "902": "exact_duplicate 9"}
    assert set(told.repeats.shared) == {"question", "answer"}


def test_a_row_whose_best_part_is_shared_meets_one_that_words_it_anew(tmp_path: Path) -> None:
    refusal = text(5000, 80)
    rows = [{"question": text(n), "answer": refusal if n < 40 else text(2000 + n)} for n in range(80)]
    rows.append({"question": rows[0]["question"], "answer": near(refusal)})
    assert drops(found(tmp_path, rows)) == {"81": "near_duplicate 1"}


def test_rows_that_lack_different_parts_are_no_repeats(tmp_path: Path) -> None:
    same = text(1)
    rows = [{"question": same, "answer": None}, {"question": same, "answer": " "}, {"question": same, "answer": "Yes."}]
    rows += [{"question": None, "answer": same}, {"question": "", "answer": None}, {"question": None, "answer": None}]
    told = found(tmp_path, rows)
    assert drops(told) == {"2": "exact_duplicate 1"}
    assert "it has no text to compare" in explain(told, "r.jsonl:6").verdict


def test_the_guard_looks_at_every_part(tmp_path: Path) -> None:
    dose = "Give the child {} of dexamethasone by mouth once and watch it for two hours before it goes home again."
    rows = [{"question": text(1), "answer": dose.format("1 mg")}, {"question": text(1), "answer": dose.format("2 mg")}]
    told = found(tmp_path, rows, threshold=0.5)
    assert told.result.dropped == {}
    assert told.result.variants["r.jsonl:2"].difference.startswith("answer: ")
    assert "2 mg" in told.result.variants["r.jsonl:2"].difference
    assert len(found(tmp_path, rows, threshold=0.5, guard=False).result.dropped) == 1


def test_the_least_similar_part_is_what_is_told(tmp_path: Path) -> None:
    rows = [{"question": text(1), "answer": text(2)}, {"question": near(text(1)), "answer": text(2)}]
    (drop,) = found(tmp_path, rows).result.dropped.values()
    assert drop.similarity == pytest.approx(51 / 61)
    assert drops(found(tmp_path, rows)) == {"2": "near_duplicate 1"}


def test_a_third_equal_row_names_the_kept_one(tmp_path: Path) -> None:
    one, two = messages(*base(1)), messages(*map(near, base(1)))
    assert drops(found(tmp_path, [one, two, two])) == {"2": "near_duplicate 1", "3": "near_duplicate 1"}
    assert drops(found(tmp_path, [one, one, one])) == {"2": "exact_duplicate 1", "3": "exact_duplicate 1"}


@pytest.mark.parametrize("guard", [True, False])
def test_compiled_kernels_and_the_definition_give_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, guard: bool
) -> None:
    draw = random.Random(3)
    rows: list[Row] = []
    for number in range(120):
        parts = [near(text(draw.randrange(12))) if draw.random() < 0.3 else text(draw.randrange(12)) for _ in range(3)]
        rows.append(dict(zip(("instruction", "input", "output"), parts, strict=True)))
        if draw.random() < 0.2:
            rows[-1]["input"] = None
        if number % 3 == 0:
            rows.append(dict(rows[draw.randrange(len(rows))]))
    told = []
    for compiled_from in (10**9, 0):
        monkeypatch.setattr(stage, "COMPILED_FROM", compiled_from)
        of = found(tmp_path, rows, guard=guard)
        told.append((of.result.dropped, of.result.variants, of.summary()))
    assert told[0] == told[1]
    assert len(told[0][0]) >= 40


def test_one_part_gives_what_a_build_gives(tmp_path: Path) -> None:
    import polars as pl

    draw = random.Random(4)
    texts = [near(text(n % 40)) if draw.random() < 0.5 else text(n % 60) for n in range(150)]
    path = write(tmp_path, [{"id": f"r{n:03d}", "text": each} for n, each in enumerate(texts)])
    alone = dedup_table(open_parts(str(path)), DedupConfig())
    blank = dict.fromkeys(("title", "language", "source", "node"))
    frame = pl.DataFrame(
        [{**blank, "id": f"r{n:03d}", "text": each, "quality": 0} for n, each in enumerate(texts)], schema=stage.COLUMNS
    )
    built = stage.dedup(frame, DedupConfig())
    assert (alone.result.dropped, alone.result.variants) == (built.dropped, built.variants)
    assert len(built.dropped) >= 50


def test_a_row_is_explained_part_by_part(tmp_path: Path) -> None:
    rows = [alpaca("Summarise the consultation.", text(n), text(900 + n), "web") for n in range(25)]
    rows.append(alpaca("Summarise the consultation.", text(3), near(text(903)), "web"))
    path = write(tmp_path, [row | {"id": f"r{number:02d}"} for number, row in enumerate(rows, 1)])
    told = explain(dedup_table(open_parts(str(path)), DedupConfig()), "r26")
    assert [(part.part, part.rows) for part in told.parts] == [("instruction", 26), ("input", 2), ("output", 1)]
    assert told.nearest[0].row_id == "r04"
    assert told.nearest[0].parts == {"input": 1.0, "instruction": 1.0, "output": round(51 / 61, 4)}
    assert told.nearest[1].similarity == 0
    shown = CliRunner().invoke(cli, ["dedup", str(path), "--explain", "r26"]).stdout
    assert shown.startswith("r26: dropped: near_duplicate of r04, Jaccard 0.8361\n")
    assert "  instruction (26 rows have it): Summarise the consultation.\n" in shown
    assert "input 1.0000, instruction 1.0000, output 0.8361" in shown


LABELS: list[tuple[str, Any, Any]] = [
    ("label", True, False),
    ("cop", 1, 2),
    ("final_decision", "yes", "no"),
    ("answer_idx", "A", "B"),
    ("correct_option", 0, 1),
    ("kto_tag", True, False),
    ("answer", -1, 1),
]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize(("name", "first", "second"), LABELS)
def test_rows_with_other_labels_are_no_repeats(tmp_path: Path, suffix: str, name: str, first: Any, second: Any) -> None:
    rows = [{"prompt": text(1), "completion": text(2), name: first}]
    rows += [{**rows[0], name: second}, {**rows[0], "prompt": near(text(1))}, {**rows[0]}]
    path = write(tmp_path, rows)
    if suffix == "parquet":
        path = tmp_path / "r.parquet"
        pl.DataFrame(rows).write_parquet(path)
    told = dedup_table(open_parts(str(path)), DedupConfig())
    assert drops(told) == {"3": "near_duplicate 1", "4": "exact_duplicate 1"}
    assert told.summary()["comparing"] == ["prompt", "completion", name]


def test_a_label_alone_makes_no_repeat(tmp_path: Path) -> None:
    rows = [{"prompt": "Why?", "label": 1}, {"prompt": None, "label": 1}, {"prompt": "", "label": 1}]
    assert drops(found(tmp_path, rows)) == {}
    assert drops(found(tmp_path, rows, "label")) == {"2": "exact_duplicate 1", "3": "exact_duplicate 1"}


def test_a_label_is_told_when_a_row_is_explained(tmp_path: Path) -> None:
    rows = [{"prompt": text(1), "label": True}, {"prompt": text(1), "label": False}]
    nearest = explain(found(tmp_path, rows), "r.jsonl:1").nearest
    assert [(row.row_id, row.difference) for row in nearest] == [("r.jsonl:2", "label: true against false")]


def test_an_index_from_before_labels_still_knows_its_rows(tmp_path: Path) -> None:
    rows = [{"id": "a", "prompt": text(1), "completion": text(2)}]
    index = {"index": str(tmp_path / "index")}
    dedup_table(open_parts(str(write(tmp_path, rows))), DedupConfig(**index), update=True)
    rows = [{**rows[0], "label": True}, {"id": "b", "prompt": text(1), "completion": text(2), "label": False}]
    again = dedup_table(open_parts(str(write(tmp_path, rows))), DedupConfig(**index), update=True)
    assert (again.there, drops(again)) == ({"a"}, {})


def test_validate_calls_rows_that_differ_in_a_label_a_conflict(tmp_path: Path) -> None:
    for name, first, second in LABELS:
        rows = [
            {"prompt": "Why rest in flu?", "completion": "It helps recovery.", name: value} for value in (first, second)
        ]
        result = CliRunner().invoke(cli, ["validate", str(write(tmp_path, rows)), "--json"])
        rules = json.loads(result.stdout)["rules"]
        assert (rules["repeats"]["state"], rules["conflicts"]["state"]) == ("ok", "failed"), name
