"""Columns that no list of names knows: what they hold decides, and the four commands say the same of them."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from finemed.cli.main import cli
from finemed.errors import InputError
from finemed.sources.content import Tally
from finemed.sources.part_names import is_metadata, named_kind
from finemed.sources.parts import read_parts
from finemed.standalone.table import open_table

ASKED = "How is otitis media in a toddler of two years treated by a family doctor?"
REST = "Rest, fluids and paracetamol are usually enough for this."
PILLS = "Amoxicillin for five days is the first choice in this case."
ITEM = "A boy of five limps three days after a vaccination in the left buttock; which nerve was hit?"
TEXTS = [REST, PILLS, ITEM]
Row = dict[str, Any]


def write(folder: Path, rows: list[Row], name: str = "r.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def run(command: str, *arguments: object) -> Result:
    return CliRunner().invoke(cli, [command, *map(str, arguments)])


def told(command: str, *arguments: object) -> dict[str, Any]:
    result = run(command, *arguments, "--json")
    assert result.exception is None or result.exit_code == 1, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def bench(folder: Path) -> Path:
    path = folder / "bench.json"
    item = {"question": ITEM, "options": ["Superior gluteal", "Femoral", "Sciatic", "Obturator"], "answer": "A"}
    path.write_text(json.dumps([item]), "utf-8")
    return path


def said(role: str, text: Any, **beside: Any) -> Row:
    return {"role": role, "content": text, **beside}


SHAPES: dict[str, Any] = {
    "glaive": lambda x: {"system": "SYSTEM: Be kind.", "chat": f"USER: {ASKED}\n\n\nASSISTANT: {x} <|endoftext|>"},
    "distilabel": lambda x: {"instruction": ASKED, "generation": x},
    "arena": lambda x: {"prompt": ASKED, "response_a": REST, "response_b": x},
    "truthful": lambda x: {"question": ASKED, "best_answer": REST, "incorrect_answers": ["No.", x]},
    "named": lambda x: {"Question_text": x, "Answer": "Yes."},
    "letters": lambda x: {"question": ASKED, "A": x, "B": "Iron", "C": "Zinc", "answer": "A"},
    "bioasq": lambda x: {"body": x, "documents": ["http://x/1"], "ideal_answer": ["Yes."], "type": "yesno"},
    "german": lambda x: {"question": ASKED, "hinweis": x},
    "nested": lambda x: {"question": ASKED, "context": {"title": x, "content": "See above."}, "answer": "It works."},
    "aliases": lambda x: {"question": ASKED, "answer": {"value": "Rest", "aliases": [x]}},
    "critique": lambda x: {"prompt": ASKED, "completions": [{"text": "Rest.", "critique": x, "score": 1}]},
    "thought": lambda x: {"messages": [said("user", ASKED), said("assistant", "See above.", thought=x)]},
    "context": lambda x: {"messages": [said("user", ASKED, context=x), said("assistant", "See above.")]},
    "annotation": lambda x: {
        "messages": [
            said("user", [{"type": "text", "text": ASKED, "annotation": x}]),
            said("assistant", "See above."),
        ]
    },
    "tools": lambda x: {
        "messages": [said("user", ASKED), said("assistant", "See above.")],
        "tools": [{"name": "f", "description": x}],
    },
    "argilla": lambda x: {"fields": {"instruction": ASKED, "generation-0": x}, "status": "submitted"},
    "unnamed": lambda x: {"question": ASKED, "": x},
    "soap": lambda x: {"dialogue": f"Patient: {ASKED}\nDoctor: Rest.", "soap_note": x},
    "columns": lambda x: {"Patient": ASKED, "Doctor": x},
}


@pytest.mark.parametrize("shape", SHAPES)
def test_what_no_list_of_names_knows_is_compared_and_looked_through(tmp_path: Path, shape: str) -> None:
    make = SHAPES[shape]
    path = write(tmp_path, [make(text) for text in TEXTS])
    assert (told("dedup", path)["kept"], told("dedup", path)["left_out"]) == (
        3,
        {"bioasq": ["documents", "type"], "critique": [], "argilla": ["status"]}.get(shape, []),
    )
    index = bench(tmp_path)
    assert told("decontaminate", path, "-b", index)["contaminated"] == 1
    if shape not in ("german", "unnamed"):  # a question without an answer is no instruction
        rule = told("validate", path, "-b", index)["rules"]["contamination"]
        assert (rule["state"], rule["count"]) == ("failed", 1)
    again = write(tmp_path, [*(make(text) for text in TEXTS), make(PILLS)], "again.jsonl")
    assert told("dedup", again)["dropped"] == {"exact_duplicate": 1}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"options": [{"text": "A", "is_correct": True}, {"text": "C", "is_correct": False}]},
         {"options": [{"text": "A", "is_correct": False}, {"text": "C", "is_correct": True}]}),
        ({"options": [{"key": "A", "value": "Iron"}, {"key": "B", "value": "Zinc"}], "answer_idx": "A"},
         {"options": [{"key": "B", "value": "Iron"}, {"key": "A", "value": "Zinc"}], "answer_idx": "A"}),
        ({"options": {"right": "Iron", "wrong": "Zinc"}}, {"options": {"wrong": "Iron", "right": "Zinc"}}),
        ({"answer": REST, "verdict": "good"}, {"answer": REST, "verdict": "bad"}),
        ({"answer": REST, "category": "ENT"}, {"answer": REST, "category": "surgery"}),
        ({"answer": REST, "rewards": [0.9, 0.1]}, {"answer": REST, "rewards": [0.1, 0.9]}),
        ({"answer": "No.", "image": "img/001.png"}, {"answer": "No.", "image": "img/002.png"}),
        ({"answers": [REST, f"{PILLS} {REST} So it is said in every book that we have."]},
         {"answers": [REST, f"{PILLS} {REST} So it is said in no book that we know of."]}),
    ],
)  # fmt: skip
def test_rows_that_differ_in_a_flag_a_key_or_a_label_stay(tmp_path: Path, first: Row, second: Row) -> None:
    rows = [{"question": ASKED, **first}, {"question": ASKED, **second}, {"question": ASKED, **first}]
    assert told("dedup", write(tmp_path, rows))["dropped"] == {"exact_duplicate": 1}


def test_facts_about_a_row_hide_no_repeat(tmp_path: Path) -> None:
    rows = [
        {
            "question": ASKED,
            "answer": REST,
            "id": n,
            "source_url": f"https://a.b/{n}",
            "index": n,
            "Nr": f"{n:05d}",
            "created_at": 1700000000 + n,
            "seen": f"2024-01-0{n + 1}T10:00:00Z",
            "model_name": ["gpt-4", "claude", "llama"][n],
            "source": ["a", "b", "c"][n],
            "checksum": f"{n + 10:032x}",
            "counter": n + 7,
        }
        for n in range(3)
    ]
    found = told("dedup", write(tmp_path, rows))
    assert (found["dropped"], found["comparing"]) == ({"exact_duplicate": 2}, ["question", "answer"])
    assert set(found["left_out"]) == rows[0].keys() - {"id", "question", "answer"}


def test_numbers_that_never_repeat_hide_no_repeat(tmp_path: Path) -> None:
    draw = random.Random(1)
    asked = ["croup", "gout", "asthma", "rickets", "scurvy", "mumps", "lupus", "measles"]
    rows = [{"question": f"What is {asked[n % 8]}?", "answer": REST, "quality": draw.random()} for n in range(16)]
    assert told("dedup", write(tmp_path, rows))["dropped"] == {"exact_duplicate": 8}
    scale = [{**row, "quality": n // 8} for n, row in enumerate(rows)]
    assert told("dedup", write(tmp_path, scale))["dropped"] == {}, "a mark on a scale may be what is trained on"


def test_pictures_keep_rows_apart(tmp_path: Path) -> None:
    rows = [{"question": "Is there a fracture?", "answer": "No.", "image": {"bytes": each, "path": f"{n}.png"}}
            for n, each in enumerate((b"one", b"two", b"one"))]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    found = told("dedup", tmp_path / "r.parquet")
    assert (found["dropped"], found["comparing"]) == ({"exact_duplicate": 1}, ["question", "answer", "image"])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["Rest is enough.", "Take the pills.", "See a surgeon."], "context"),
        (["good", "bad", "good"], "label"),
        (["休息和补液即可，不必用药。", "阿莫西林五天，每天三次。", "今天请外科会诊。"], "context"),
        (["The same words again."] * 3, None),
        ([f"The same long words again, eight of them at least, {'and more' * 3}."] * 3, "context"),
        (["https://a.b/c", "https://a.b/d", "https://a.b/e"], None),
        (["12 March 2024", "March 13, 2024", "2024-03-14 10:00"], None),
        (["data/a/one.txt", "data/a/two.txt", "data/b/one.txt"], None),
        (["d41d8cd98f00b204e9800998ecf8427e", "d41d8cd98f00b204e9800998ecf8427f", "0" * 32], None),
        ([1, 2, 3], None),
        ([3, 1, 3], "label"),
        ([True, False, True], "label"),
        ([[0.5] * 99, [0.25] * 99, [0.75] * 99], None),
        (["J45.901", "J45.901", "E11.9"], "label"),
    ],
)
def test_the_values_of_a_column_tell_what_it_is(values: list[Any], kind: str | None) -> None:
    tally = Tally()
    for value in values:
        tally.add(value if isinstance(value, str) else "", value)
    assert tally.kind("x_y", len(values)) == kind
    assert tally.kind("page_url", len(values)) is None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("Question_text", "question"),
        ("response_a", "answer"),
        ("Output_2", "answer"),
        ("generation-0", "answer"),
        ("bestAnswer", "answer"),
        ("option_c", "context"),
        ("问题", "question"),
        ("winner_model_a", "label"),
        ("response_time", None),
        ("question_id", None),
        ("prompt_tokens", None),
        ("finding", None),
    ],
)
def test_the_words_of_a_name_tell_what_its_column_is(name: str, kind: str | None) -> None:
    assert named_kind(name) == kind
    assert is_metadata(name) == (kind is None and name != "finding")


def test_plain_texts_in_a_conversation_are_turns(tmp_path: Path) -> None:
    rows = [{"id": str(n), "data": [ASKED, text]} for n, text in enumerate(TEXTS)]
    assert [part.name for part in read_parts(rows[0])] == ["data[0]", "data[1]"]
    assert [part.kind for part in read_parts({"history": [ASKED, REST]})] == ["question", "answer"]
    assert told("split", write(tmp_path, rows))["components"] == 1, "one question in three rows is one component"
    marked = [{"dialogue": f"Patient: {ASKED}\nDoctor: {text}"} for text in TEXTS]
    assert told("split", write(tmp_path, marked))["components"] == 1
    assert [part.text for part in read_parts({"utterances": [f"patient: {ASKED}", f"doctor: {REST}"]})] == [ASKED, REST]


def test_texts_that_no_name_tells_join_rows_but_not_where_many_share_them(tmp_path: Path) -> None:
    def words(number: int) -> str:
        draw = random.Random(number)
        return " ".join("".join(draw.choices("abcdefghij", k=6)) for _ in range(12))

    rows = [{"question": words(n), "hinweis": words(100 + n // 2)} for n in range(40)]
    assert told("split", write(tmp_path, rows))["components"] == 20
    shared = [{"question": words(n), "hinweis": words(100 + n % 2)} for n in range(60)]
    assert told("split", write(tmp_path, shared))["components"] == 60
    asked = [{"question": words(n % 4), "hinweis": words(100 + n)} for n in range(100)]
    assert told("split", write(tmp_path, asked))["components"] == 4, "what a row asks joins whatever stands beside it"


def test_naming_the_answers_leaves_labels_what_they_are(tmp_path: Path) -> None:
    rows = [
        {"question": f"{text} {n}", "category": "ab"[n % 2], "urls": f"See page {n}."} for n, text in enumerate(TEXTS)
    ]
    found = told("split", write(tmp_path, rows), "--answer", "urls")
    assert (found["comparing"], found["components"]) == (["question", "urls"], 3)
    assert "category" in found["left_out"]
    assert "there is no column `nothing`" in str(run("split", tmp_path / "r.jsonl", "--answer", "nothing").exception)


def test_the_line_names_fields_that_are_not_read(tmp_path: Path) -> None:
    row = {
        "messages": [said("user", ASKED, name="Ann"), said("assistant", REST, id=7)],
        "options": [{"text": "Iron", "url": "http://x"}],
        "": "",
    }
    assert told("dedup", write(tmp_path, [row]))["left_out"] == ["messages[].id", "messages[].name", "options[].url"]


def test_a_column_without_a_name_is_compared_and_named(tmp_path: Path) -> None:
    path = tmp_path / "noname.csv"
    lines = [
        "Question,",
        "What is croup?,A viral illness.",
        "What is croup?,Something else again.",
        "And gout?,Crystals.",
    ]
    path.write_text("\n".join(lines))
    assert run("dedup", path).stdout.startswith("comparing: Question, (no name); left out: nothing\n3 rows, 3 kept")


@pytest.mark.parametrize(
    "content",
    [
        "Answers,\nQuestion,Answer\nWhat is croup?,A cough.\n",
        "Question bank 2024\n\nQuestion,Answer\nWhat is croup?,A cough.\n",
        "FAQ, export of 12.02.2024;;\n;;\nNr;Question;Answer\n1;What is croup?;A cough.\n",
    ],
)
def test_a_title_above_the_header_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "title.csv"
    path.write_text(content)
    result = run("dedup", path)
    assert isinstance(result.exception, InputError)
    assert "remove the lines above the header" in str(result.exception)


def test_a_file_that_breaks_off_ends_with_bad_input_after_writing(tmp_path: Path) -> None:
    lines = "".join(json.dumps({"question": f"{ASKED} {n * n}", "answer": f"{n} {REST}"}) + "\n" for n in range(4000))
    path, out = tmp_path / "r.jsonl.gz", tmp_path / "out.jsonl"
    path.write_bytes(gzip.compress(lines.encode())[:-3000])
    for command, arguments in (("dedup", ("--out", out)), ("decontaminate", ("-b", bench(tmp_path))), ("split", ())):
        result = run(command, path, *arguments, "--json")
        assert isinstance(result.exception, InputError), "which is exit code 4"
        found = json.loads(result.stdout)
        assert found["cut_off"] == [f"r.jsonl.gz:{found['rows']}"]
        assert "how many rows follow is unknown" in str(result.exception)
    assert len(out.read_text().splitlines()) == found["rows"] - 1
    assert "breaks off, and what follows is unknown" in run("dedup", path).stdout


def test_files_without_rows_and_files_without_texts_are_named_and_no_rows(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    rows = [{"question": ASKED, "answer": text} for text in TEXTS]
    write(folder, rows, "train.jsonl")
    (folder / "validation.jsonl").write_text("")
    (folder / "stats.csv").write_text("split,n\ntrain,13\ntest,4\n")
    (folder / "notes.txt").write_text("Ask Ann about the third row, it looks odd.\n")
    pq.write_table(pa.Table.from_pylist(rows).slice(0, 0), folder / "empty.parquet")
    found = told("dedup", folder, "--out", tmp_path / "out.jsonl", "--dropped", tmp_path / "why.jsonl")
    assert (found["rows"], found["kept"], found["quarantined"]) == (3, 3, 0)
    assert sorted(found["passed_over"]) == ["notes.txt", "stats.csv", "validation.jsonl"]
    assert (tmp_path / "why.jsonl").read_text() == ""
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == rows
    checked = told("validate", folder)
    assert checked["rows"] == 3
    assert all(name in checked["rules"]["schema"]["why"] for name in ("notes.txt", "stats.csv", "validation.jsonl"))


def test_what_nobody_takes_for_an_answer_is_named_with_its_share(tmp_path: Path) -> None:
    rows: list[Row] = [{"question": f"{ASKED} {n}", "answer": f"{n} {REST}"} for n in range(4)]
    for row, text in zip(rows, TEXTS, strict=False):
        row["hinweis"] = text
    found = told("validate", write(tmp_path, rows), "-b", bench(tmp_path))["rules"]
    assert found["refusal"]["why"] == "columns `hinweis` (75% of rows), beside the questions and answers"
    assert found["contamination"]["count"] == 1
    assert found["repeats"]["state"] == "ok"
    same = write(tmp_path, [{**rows[0], "hinweis": text} for text in TEXTS])
    kinds = [each["kind"] for each in told("validate", same)["rules"]["repeats"]["findings"]]
    assert kinds == ["question and answer alike"]


def test_an_index_knows_its_rows_by_the_labels_that_both_have(tmp_path: Path) -> None:
    index = tmp_path / "index"
    row = {"question": ASKED, "answer": REST, "kind": "x"}
    write(tmp_path, [row])
    assert told("dedup", tmp_path / "r.jsonl", "--index", index)["kept"] == 1
    more = [row, {**row, "kind": "y"}, {"question": PILLS, "answer": REST, "kind": "x"}]
    found = told("dedup", write(tmp_path, more, "more.jsonl"), "--index", index)
    assert (found["kept"], found["dropped"]) == (2, {"exact_duplicate": 1})


def test_archives_say_that_they_have_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl.bz2").write_bytes(b"BZh9")
    assert "decompress it" in str(run("dedup", tmp_path / "r.jsonl.bz2").exception)


def test_objects_by_name_with_a_name_twice_are_refused_like_those_without(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('{"7": {"question": "Why?"}, "8": {"question": "How?"}, "7": {"question": "When?"}}')
    assert "write it as JSON Lines (`7` stands twice)" in str(run("dedup", path).exception)


NOTE = (
    "A 54 year old man came to the clinic with cough and fever of three days. He smokes and works as a teacher. The "
    "chest was clear on both sides, the heart sounds were normal, the abdomen was soft and there was no swelling of "
    "the legs. He takes no drugs and has no allergies at all."
)
ASKS = ["Does he smoke?", "Has he fever?", "Is it bacterial?"]
FIELDS: dict[str, Any] = {
    "object": lambda note, asked: {"input": {"note": note, "question": asked}, "output": "Yes"},
    "json": lambda note, asked: {"input": json.dumps({"note": note, "question": asked}), "output": "Yes"},
    "list": lambda note, asked: {"prompt": [note, asked], "response": "Yes"},
    "deep": lambda note, asked: {"prompt": {"case": {"note": note, "asked": {"question": asked}}}, "response": "Yes"},
    "user": lambda note, asked: {"prompt": {"system": note, "user": asked}, "response": "Yes"},
    "both": lambda note, asked: {"prompt": {"system": note, "user": asked}, "response": {"text": "Yes"}},
    "history": lambda note, asked: {
        "input": {"history": [said("user", "And?"), said("assistant", note)], "question": asked},
        "target": "Yes",
    },
    "unnamed": lambda note, asked: {"doc": {"note": note, "question": asked}, "target": "Yes"},
    "data": lambda note, asked: {"data": {"note": note, "question": asked}, "target": "Yes"},
}


@pytest.mark.parametrize("shape", FIELDS)
def test_fields_of_an_object_are_parts_each_by_itself(tmp_path: Path, shape: str) -> None:
    make = FIELDS[shape]
    rows = [make(NOTE, ASKS[0]), make(NOTE, ASKS[1]), make("Croup is caused by viruses.", ASKS[2])]
    found = told("dedup", write(tmp_path, [*rows, rows[1]]))
    assert (found["kept"], found["dropped"]) == (3, {"exact_duplicate": 1})
    checked = told("validate", tmp_path / "r.jsonl")["rules"]
    assert (checked["repeats"]["count"], checked["conflicts"]["count"]) == (1, 0)


def test_names_of_fields_tell_what_their_texts_are() -> None:
    row = {"input": {"note": NOTE, "question": "Why?", "id": 7, "options": ["Iron", "Zinc"], "cop": 1, "user": "ann"}}
    skipped: set[str] = set()
    assert [part[:2] for part in read_parts(row, (), skipped)] == [
        ("input.note", "context"),
        ("input.question", "question"),
        ("input.options", "context"),
        ("input.cop", "label"),
    ]
    assert skipped == {"input.id", "input.user"}
    assert [part[:2] for part in read_parts({"prompt": {"system": "Be kind.", "user": "Why?"}})] == [
        ("prompt.system", "system"),
        ("prompt.user", "question"),
    ]
    answers = {"answer": {"text": "Rest", "question": "Why?", "score": 1}}
    assert [part[:2] for part in read_parts(answers)] == [
        ("answer.text", "answer"),
        ("answer.question", "answer"),
        ("answer.score", "label"),
    ]


def test_the_line_names_columns_and_the_fields_that_are_left_out(tmp_path: Path) -> None:
    row = {"input": {"note": NOTE, "question": "Why?", "url": "http://x"}, "output": "Rest."}
    found = told("dedup", write(tmp_path, [row]))
    assert (found["comparing"], found["left_out"]) == (["input", "output"], ["input.url"])
    named = told("dedup", tmp_path / "r.jsonl", "--on", "input.question,output")
    assert named["comparing"] == ["output", "input.question"]
    assert told("dedup", tmp_path / "r.jsonl", "--on", "input")["comparing"] == ["input"]


def test_an_object_whose_name_tells_nothing_is_split_like_one_that_stands_alone(tmp_path: Path) -> None:
    case = "A 54-year-old woman with long-standing diabetes has numbness in both feet; which drug is the first to try"
    rows = [
        {"doc": {"question": f"{case} {end}?", "options": options, "answer": "A"}, "target": "A"}
        for end, options in (("now", ["Iron", "Zinc"]), ("here", ["Gabapentin and nothing else", "Morphine"]))
    ]
    assert told("split", write(tmp_path, rows))["components"] == 1


def test_objects_within_objects_end(tmp_path: Path) -> None:
    deep: Any = {"question": "Why?", "note": "x"}
    for _ in range(60):
        deep = {"question": "Why?", "deeper": deep}
    found = told("dedup", write(tmp_path, [{"input": deep, "output": "Rest."}, {"input": "Why?", "output": "Rest."}]))
    assert found["quarantined_places"][0]["reason"].startswith(("too_deep", "not_string"))


def pair(question: str, answer: Any, **beside: Any) -> Row:
    return {"question": question, "answer": answer, **beside}


LONG = "What would cure diphtheria in young children who fell ill a week ago?"
LISTS: list[tuple[Row, Row]] = [
    ({"qa_pairs": [pair(ASKED, REST), pair(LONG, None)]}, {"qa_pairs": [pair(ASKED, None), pair(LONG, REST)]}),
    ({"qa_pairs": [pair(ASKED, [REST, PILLS]), pair(LONG, [ITEM])]},
     {"qa_pairs": [pair(ASKED, [REST]), pair(LONG, [PILLS, ITEM])]}),
    ({"qa_pairs": [pair(ASKED, REST, sure=True), pair(LONG, PILLS, sure=False)]},
     {"qa_pairs": [pair(ASKED, REST, sure=False), pair(LONG, PILLS, sure=True)]}),
    ({"qa_pairs": [pair(ASKED, REST, hinweis=PILLS), pair(LONG, PILLS)]},
     {"qa_pairs": [pair(ASKED, REST, hinweis=ITEM), pair(LONG, PILLS)]}),
    ({"paragraphs": [{"context": REST, "qas": [{"question": ASKED, "answers": [{"text": "so"}]},
                                               {"question": LONG, "answers": []}]}]},
     {"paragraphs": [{"context": REST, "qas": [{"question": ASKED, "answers": []},
                                               {"question": LONG, "answers": [{"text": "so"}]}]}]}),
    ({"context": REST, "question": ASKED, "answers": [{"text": "are", "answer_start": 0}]},
     {"context": REST, "question": ASKED, "answers": [{"text": "are", "answer_start": 1}]}),
    ({"context": REST, "question": ASKED, "answers": {"text": ["are"], "answer_start": [7]}},
     {"context": REST, "question": ASKED, "answers": {"text": ["are"], "answer_start": [46]}}),
]  # fmt: skip


@pytest.mark.parametrize(("first", "second"), LISTS)
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_lists_of_questions_keep_which_answer_is_whose(tmp_path: Path, first: Row, second: Row, ending: str) -> None:
    path = write(tmp_path, [first, second, first])
    if ending == "parquet":
        path = tmp_path / "r.parquet"
        pq.write_table(pa.Table.from_pylist([first, second, first]), path)
    found = told("dedup", path)
    assert (found["kept"], found["dropped"]) == (2, {"exact_duplicate": 1})
    assert not [name for name in (*found["left_out"], *told("split", path)["left_out"]) if name.endswith("[]")]


@pytest.mark.parametrize(
    "names",
    [("question", "final_answer"), ("inputs", "targets"), ("Question_text", "Doctor_reply"), ("question", "answer")],
)
def test_a_label_beside_a_blank_answer_is_no_answer(tmp_path: Path, names: tuple[str, str]) -> None:
    asked, answer = names
    rows = [
        {asked: ASKED, answer: "", "difficulty": "easy"},
        {asked: LONG, answer: REST, "difficulty": "hard"},
        {asked: f"{LONG} And how?", "difficulty": "easy"},
    ]
    found = told("validate", write(tmp_path, rows))["rules"]["empty"]
    assert (found["state"], found["count"]) == ("failed", 2)


@pytest.mark.parametrize(
    "label", [{"cop": 1, "exp": ""}, {"grade": "good", "rationale": ""}, {"answer": True, "exp": ""}]
)
def test_a_label_is_an_answer_where_its_name_says_so_or_there_is_no_other(tmp_path: Path, label: Row) -> None:
    rows = [{"question": ASKED, "options": ["Iron", "Zinc"], **label},
            {"question": LONG, "options": ["Rest", "Pills"], **label, "grade": "bad", "rationale": REST}]  # fmt: skip
    assert told("validate", write(tmp_path, rows))["rules"]["empty"]["count"] == 0


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_items_in_what_is_left_out_are_found_by_both_commands(tmp_path: Path, ending: str) -> None:
    rows = [
        {"question": ASKED, "answer": REST, "n": 1, "meta": {"note": f"{ITEM} Superior gluteal Femoral Sciatic"}},
        {"question": LONG, "answer": PILLS, "n": 2, "meta": {"note": "Nothing of the kind is said here."}},
    ]
    path, index, out = write(tmp_path, rows), bench(tmp_path), tmp_path / f"out.{ending}"
    if ending == "parquet":
        path = tmp_path / "r.parquet"
        pq.write_table(pa.Table.from_pylist(rows), path)
    found = told("decontaminate", path, "-b", index, "--out", out)
    assert (found["contaminated"], found["parts"], found["searched_too"]) == (1, {"meta.note": 1}, ["meta.note"])
    assert told("validate", out, "-b", index)["rules"]["contamination"]["count"] == 0
    assert "searched for items too: meta.note" in run("decontaminate", path, "-b", index).stdout
    assert "of meta.note" in run("decontaminate", path, "-b", index, "--explain", f"r.{ending}:1").stdout
    assert told("decontaminate", path, "-b", index, "--on", "question,answer")["contaminated"] == 0


def test_a_placeholder_among_the_right_answers_is_one_of_them(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"question": ASKED, "best_answer": REST, "correct_answers": ["None"]},
        {"question": LONG, "best_answer": PILLS, "correct_answers": ["None", "Nothing at all."]},
        {"question": f"{LONG} Why?", "best_answer": "N/A", "correct_answers": ["None"]},
        {"question": f"{LONG} How?", "best_answer": "None", "correct_answers": ["It may be so."]},
    ]
    found = told("validate", write(tmp_path, rows))["rules"]["empty"]
    assert [example["place"] for example in found["examples"]] == ["r.jsonl:3", "r.jsonl:3", "r.jsonl:4"]


def test_files_of_answers_alone_are_named_with_their_columns(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "answers.csv").write_text(f"ans_id,content\n1,{PILLS}\n2,{REST}\n")
    choice = {"index": 0, "message": {"role": "assistant", "content": REST}}
    write(folder, [{"id": "1", "response": {"body": {"choices": [choice], "model": "m"}}}], "batch.jsonl")
    said = str(run("validate", folder).exception)
    assert "answers.csv has `ans_id`, `content`; batch.jsonl has `id`, `response`" in said
    assert "such as `question` and `answer`" in said


def test_objects_with_values_as_keys_are_compared_by_place(tmp_path: Path) -> None:
    names = ["".join(random.Random(n).choices("abcdefghij", k=9)) for n in range(240)]
    rows = [{"question": f"{ASKED} {name}", "context": {name: REST, "note": f"{PILLS} {name}"}} for name in names]
    other = {**rows[0], "context": {names[1]: REST, "note": f"{PILLS} {names[0]}"}}
    table = open_table(str(write(tmp_path, [*rows, rows[0], other])))
    assert set(table.parts["part"]) == {"question", "context[0]", "context[1]", "context[].keys"}
    assert told("dedup", tmp_path / "r.jsonl", "--text", "context")["dropped"] == {"exact_duplicate": 1}
