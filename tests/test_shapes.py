"""Anybody's files in more than twenty shapes through the stand-alone commands: rows in = rows out + rows named."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

ROOT = Path(__file__).resolve().parents[1]
PAIRS = [
    ("What keeps the airway open in croup?", "Cool air and a single dose of dexamethasone usually ease the swelling."),
    ("How is iron deficiency confirmed?", "A low ferritin together with small pale red cells confirms it."),
    ("Why does gout flare at night?", "Lower temperature and less water in the joint let urate crystals form."),
    ("When is a lumbar puncture unsafe?", "Raised pressure inside the skull makes herniation of the brain possible."),
    ("Which vitamin protects against rickets?", "Vitamin D lets the bowel take up calcium, so that bones harden."),
    ("What does a wide pulse pressure suggest?", "It points to a leaking aortic valve or a stiff great artery."),
    ("How long is chickenpox catching?", "From two days before the rash until every blister has crusted over."),
    ("What is the first sign of compartment syndrome?", "Pain out of proportion that grows when the toes are moved."),
    ("Why are beta blockers tapered?", "Stopping them at once may bring angina and a racing heart back."),
    ("Which test screens for coeliac disease?", "Antibodies against tissue transglutaminase, while gluten is eaten."),
    ("How does heparin act?", "It speeds up antithrombin, which switches off thrombin and factor Xa."),
]
ITEM = {
    "id": "item-1",
    "question": "A 54-year-old gardener has fever, a swollen left knee and crystals that rotate polarised light. "
    "Which finding in the joint fluid settles the diagnosis of pseudogout?",
    "options": {"A": "Rhomboid crystals of calcium pyrophosphate", "B": "Needles of urate", "C": "Cocci", "D": "Fat"},
    "answer": "A",
}
ROWS = [*PAIRS, (str(ITEM["question"]), "Rhomboid crystals of calcium pyrophosphate settle it."), PAIRS[0]]
"""Thirteen rows: the twelfth is the benchmark's item, the last one repeats the first."""


class Shape(NamedTuple):
    """A file or folder, and what must come out of it."""

    path: Path
    rows: int = len(ROWS)
    """Rows that can be read."""
    bad: int = 0
    """Records that must be named and left out."""
    repeats: int = 1
    hits: int = 1
    pairs: bool = True
    """Whether its records are questions with answers, which `validate` needs."""


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
    return path


def chat(question: str, answer: str, role: str = "role", text: str = "content", names: str = "user assistant") -> Any:
    return [{role: name, text: said} for name, said in zip(names.split(), (question, answer), strict=True)]


def parquet(path: Path, table: pa.Table, **settings: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **settings)
    return path


def alpaca(folder: Path) -> Shape:
    rows = [{"instruction": "Answer the question.", "input": q, "output": a} for q, a in ROWS]
    return Shape(jsonl(folder / "alpaca.jsonl", rows))


def sharegpt_array(folder: Path) -> Shape:
    path = folder / "sharegpt.json"
    rows = [{"id": str(n), "conversations": chat(*pair, "from", "value", "human gpt")} for n, pair in enumerate(ROWS)]
    path.write_text(json.dumps(rows, indent=1), "utf-8")
    return Shape(path)


def long_chats(folder: Path) -> Shape:
    opening = [{"role": "system", "content": "You are a careful doctor. " * 30}]
    rows = [{"messages": [*opening, *chat("Hello.", "How can I help?"), *chat(q, a)]} for q, a in ROWS]
    return Shape(jsonl(folder / "chats.jsonl", rows))


def prompt_completion(folder: Path) -> Shape:
    return Shape(jsonl(folder / "pc.jsonl", [{"prompt": q, "completion": a} for q, a in ROWS]))


def preference_strings(folder: Path) -> Shape:
    rows = [{"prompt": q, "chosen": a, "rejected": f"I would guess: {a[:20]}"} for q, a in ROWS]
    return Shape(jsonl(folder / "pref.jsonl", rows))


def preference_messages(folder: Path) -> Shape:
    rows = [
        {"prompt": chat(q, a)[:1], "chosen": chat(q, a)[1:], "rejected": chat(q, f"No idea about {q[5:15]}")[1:]}
        for q, a in ROWS
    ]
    return Shape(parquet(folder / "pref.parquet", pa.Table.from_pylist(rows)))


def csv_with_breaks(folder: Path) -> Shape:
    import csv

    path = folder / "qa.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "answer", "note"])
        writer.writerows([q, a.replace(", ", ",\n"), 'said "so"'] for q, a in ROWS)
    return Shape(path)


def messages_as_json(folder: Path) -> Shape:
    return Shape(jsonl(folder / "text.jsonl", [{"messages": json.dumps(chat(q, f"é {a}"))} for q, a in ROWS]))


def class_labels(folder: Path) -> Shape:
    features = {"info": {"features": {"dept": {"names": ["paediatrics", "surgery"], "_type": "ClassLabel"}}}}
    table = pa.table({"question": [q for q, _ in ROWS], "answer": [a for _, a in ROWS], "dept": [0, 1] * 6 + [0]})
    table = table.replace_schema_metadata({"huggingface": json.dumps(features)})
    return Shape(parquet(folder / "labels.parquet", table))


def dictionary_text(folder: Path) -> Shape:
    texts = pa.array([f"{q} {a}" for q, a in ROWS]).dictionary_encode()
    return Shape(parquet(folder / "dict.parquet", pa.table({"text": texts})), pairs=False)


def hive(folder: Path) -> Shape:
    for name, part in (("en", ROWS[:6]), ("zh", ROWS[6:])):
        table = pa.table({"question": [q for q, _ in part], "answer": [a for _, a in part]})
        parquet(folder / "hive" / f"lang={name}" / "part-0.parquet", table)
    return Shape(folder / "hive")


def compressed(folder: Path) -> Shape:
    path = folder / "qa.jsonl.gz"
    path.write_bytes(gzip.compress("".join(json.dumps({"question": q, "answer": a}) + "\n" for q, a in ROWS).encode()))
    return Shape(path)


def hub_clone(folder: Path) -> Shape:
    clone = folder / "clone"
    jsonl(clone / "data" / "train.jsonl", [{"messages": chat(q, a)} for q, a in ROWS[:9]])
    jsonl(clone / "data" / "test.jsonl", [{"messages": chat(q, a)} for q, a in ROWS[9:]])
    (clone / "README.md").write_text("---\nlicense: mit\n---\n# A dataset\n\nQuestions and answers.\n", "utf-8")
    (clone / "LICENSE").write_text("MIT\n", "utf-8")
    (clone / ".gitattributes").write_text("*.parquet filter=lfs\n", "utf-8")
    return Shape(clone)


def content_parts(folder: Path) -> Shape:
    rows = [{"messages": chat(q, a)} for q, a in ROWS]
    for row in rows:
        for turn in row["messages"]:
            turn["content"] = [{"type": "text", "text": turn["content"]}]
    return Shape(jsonl(folder / "parts.jsonl", rows))


def any_case(folder: Path) -> Shape:
    rows = [
        {"messages": chat(q, a, names="User Assistant" if n % 2 else "user ASSISTANT")} for n, (q, a) in enumerate(ROWS)
    ]
    return Shape(jsonl(folder / "case.jsonl", rows))


def broken_lines(folder: Path) -> Shape:
    lines = [json.dumps({"question": q, "answer": a}) for q, a in ROWS]
    lines[3:3] = ['{"question": "cut off']
    lines[8:8] = ["[1, 2]"]
    path = folder / "broken.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join(lines).encode() + b"\r\n")
    return Shape(path, bad=2)


def unicode_forms(folder: Path) -> Shape:
    rows = [{"question": q, "answer": a} for q, a in ROWS]
    rows[-1] = {
        "question": ROWS[-1][0].replace("open", "o\u00adpen"),
        "answer": ROWS[-1][1].replace("ease", "e\u200base"),
    }
    return Shape(jsonl(folder / "forms.jsonl", rows))


def wide_numbers(folder: Path) -> Shape:
    rows = [
        {"question": q, "answer": a, "meta": {"n": 2**60 + n} if n % 2 else {"who": "x", "deep": {"k": [n]}}}
        for n, (q, a) in enumerate(ROWS)
    ]
    rows[-1]["meta"] = {"n": 1.5}
    return Shape(jsonl(folder / "wide.jsonl", rows))


def listed_answers(folder: Path) -> Shape:
    rows = [
        {"question": q, "answers": [a, f"In short: {a[:25]}"], "options": {"A": a[:9], "B": q[:9]}} for q, a in ROWS
    ]
    return Shape(jsonl(folder / "listed.jsonl", rows))


def context_and_system(folder: Path) -> Shape:
    rows = [
        {"system": "Be brief.", "context": f"Ward round, bed {n}. {q} {a}", "question": q, "answer": a}
        for n, (q, a) in enumerate(ROWS)
    ]
    rows[-1] = dict(rows[0])
    return Shape(jsonl(folder / "context.jsonl", rows))


def small_row_groups(folder: Path) -> Shape:
    table = pa.table({"question": [q for q, _ in ROWS], "answer": [a for _, a in ROWS], "empty": pa.nulls(len(ROWS))})
    return Shape(parquet(folder / "groups.parquet", table, row_group_size=2, compression="zstd"))


def history(folder: Path) -> Shape:
    rows = [{"instruction": q, "input": "", "output": a, "history": [["Hi.", "Hello."]]} for q, a in ROWS]
    return Shape(jsonl(folder / "history.jsonl", rows))


def wrapped_array(folder: Path) -> Shape:
    path = folder / "wrapped.json"
    path.write_text(json.dumps({"version": "1.0", "data": [{"question": q, "answer": a} for q, a in ROWS]}), "utf-8")
    return Shape(path)


SHAPES: list[Callable[[Path], Shape]] = [
    alpaca, sharegpt_array, long_chats, prompt_completion, preference_strings, preference_messages, csv_with_breaks,
    messages_as_json, class_labels, dictionary_text, hive, compressed, hub_clone, content_parts, any_case, broken_lines,
    unicode_forms, wide_numbers, listed_answers, context_and_system, small_row_groups, history, wrapped_array,
]  # fmt: skip


def run(*arguments: str | Path) -> dict[str, Any]:
    """Runs a command that must not fail; its JSON."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "toolkit"), "HF_HUB_OFFLINE": "1", "FINEMED_TRACEBACK": "1"}
    command = [sys.executable, "-m", "finemed", *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    return dict(json.loads(done.stdout))


def lines(path: Path) -> list[bytes]:
    """The rows of a JSONL file that was written."""
    return path.read_bytes().splitlines() if path.exists() else []


@pytest.mark.parametrize("make", SHAPES, ids=lambda make: make.__name__)
def test_rows_in_are_rows_out_and_rows_named(tmp_path: Path, make: Callable[[Path], Shape]) -> None:
    (tmp_path / "in").mkdir()
    shape = make(tmp_path / "in")
    bench = tmp_path / "bench.json"
    bench.write_text(json.dumps([ITEM]), "utf-8")
    out, gone = tmp_path / "out.jsonl", tmp_path / "gone.jsonl"

    told = run("dedup", shape.path, "--out", out, "--dropped", gone)
    rows = shape.rows + shape.bad
    assert (told["rows"], told["kept"], told["quarantined"]) == (rows, shape.rows - shape.repeats, shape.bad)
    assert told["dropped"] == {"exact_duplicate": shape.repeats}
    assert (len(lines(out)), len(lines(gone))) == (shape.rows - shape.repeats, shape.repeats + shape.bad)
    if shape.path.suffix == ".jsonl":
        given = [line.strip() for line in shape.path.read_bytes().removeprefix(b"\xef\xbb\xbf").splitlines()]
        assert all(line.strip() in given for line in lines(out))

    marked, hits = tmp_path / "clean.jsonl", tmp_path / "hits.jsonl"
    told = run("decontaminate", shape.path, "-b", bench, "--out", marked, "--dropped", hits)
    assert (told["rows"], told["contaminated"], told["quarantined"]) == (rows, shape.hits, shape.bad)
    assert len(lines(marked)) == shape.rows - shape.hits

    parts = tmp_path / "parts"
    told = run("split", shape.path, "--out", parts, "--format", "jsonl")
    assert (told["rows"], told["kept"], told["quarantined"]) == (rows, shape.rows, shape.bad)
    assert sum(told["splits"].values()) == shape.rows
    assert sum(len(lines(path)) for path in parts.glob("*.jsonl")) == shape.rows

    if shape.pairs:
        assert run("validate", shape.path)["rows"] == rows
