"""``finemed split`` on files of any kind, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result

from finemed.cli.main import cli
from finemed.errors import FineMedError

PARTS = ("lung", "heart", "liver", "kidney", "skin", "bone", "brain", "eye", "ear", "nose")
SIGNS = ("pain", "swelling", "bleeding", "itching", "weakness", "fever", "stiffness", "burning", "numbness", "cramps")


def rows() -> list[dict[str, Any]]:
    """A hundred questions in pairs that differ in one word, of fifty patients."""
    found = []
    for number, part in enumerate(PARTS):
        for place, sign in enumerate(SIGNS[::2]):
            for wording in ("a physician", "a doctor"):
                case = f"{sign} of the {part} with {SIGNS[number]} that came {place} nights ago in bed and went by noon"
                text = f"What would {wording} ask first about {case}?"
                found.append({"id": f"q{len(found):03d}", "text": text, "patient": f"{part}{place}", "kind": sign})
    return found


def write(folder: Path, given: list[dict[str, Any]]) -> Path:
    path = folder / "r.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["split", *map(str, arguments)])


def read(folder: Path) -> dict[str, pl.DataFrame]:
    return {path.stem: pl.read_parquet(path) for path in sorted(folder.iterdir())}


def test_every_row_lies_in_one_split_and_near_duplicates_together(tmp_path: Path) -> None:
    path, out = write(tmp_path, rows()), tmp_path / "out"
    told = json.loads(run(path, "--out", out, "--set", "test=0.2", "--set", "validation=0.2", "--json").stdout)
    parts = read(out)
    assert {name: part.height for name, part in parts.items()} == told["splits"]
    assert sorted(row for part in parts.values() for row in part["id"]) == [row["id"] for row in rows()]
    assert parts["test"].height >= 10
    assert parts["validation"].height >= 10
    where = {row: name for name, part in parts.items() for row in part["id"]}
    for number in range(0, 100, 2):
        assert where[f"q{number:03d}"] == where[f"q{number + 1:03d}"]


def test_groups_stay_together(tmp_path: Path) -> None:
    path, out = write(tmp_path, rows()), tmp_path / "out"
    run(path, "--out", out, "--group", "patient", "--set", "test=0.4", "--set", "validation=0")
    patients = [set(part["patient"]) for part in read(out).values()]
    assert [len(some) for some in patients] == [20, 30]
    assert not patients[0] & patients[1]


def test_a_split_that_stays_empty_is_said(tmp_path: Path) -> None:
    path = write(tmp_path, [row | {"patient": row["kind"]} for row in rows()])
    result = run(path, "--group", "patient", "--set", "validation=0")
    assert "test has no row: no component is small enough" in result.stderr


def test_strata_are_drawn_evenly(tmp_path: Path) -> None:
    path, out = write(tmp_path, rows()), tmp_path / "out"
    run(path, "--out", out, "--stratify", "kind", "--set", "test=0.2", "--set", "validation=0")
    counts = read(out)["test"]["kind"].value_counts()["count"].to_list()
    assert len(counts) == 5
    assert max(counts) - min(counts) <= 2


def test_equal_seeds_give_equal_bytes(tmp_path: Path) -> None:
    path = write(tmp_path, rows())
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert (
            run(path, "--out", tmp_path / name, "--seed", seed, "--set", "test=0.3", "--format", "jsonl").exit_code == 0
        )
    a, b, c = ({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in "abc")
    assert a == b != c


def test_a_row_is_explained(tmp_path: Path) -> None:
    told = json.loads(run(write(tmp_path, rows()), "--explain", "q003", "--json").stdout)
    assert told["row_id"] == "q003"
    assert told["members"] == ["q002", "q003"]
    assert [edge["to"] for edge in told["edges"]] == ["q002"]
    assert "q002" in run(write(tmp_path, rows()), "--explain", "q003").stdout


def test_mistakes_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, rows())

    def failure(*arguments: object) -> str:
        result = run(path, *arguments)
        assert isinstance(result.exception, FineMedError), result.output
        return str(result.exception)

    assert "--group: there is no column `ward`" in failure("--group", "ward")
    assert "no row has the id nobody" in failure("--explain", "nobody")
    assert "both 0" in failure("--set", "test=0", "--set", "validation=0")
    assert "`test`" in failure("--set", "test=7")


def words(number: int, count: int = 20) -> str:
    return " ".join(f"w{number}x{place}" for place in range(count))


def chat(number: int, second: str | None = None, *, last: str | None = None) -> dict[str, Any]:
    turns = [words(4 * number), words(4 * number + 1), second or words(4 * number + 2), last or words(4 * number + 3)]
    said = [{"role": ("user", "assistant")[at % 2], "content": text} for at, text in enumerate(turns)]
    return {"messages": [{"role": "system", "content": "Be kind, be brief and name your sources."}, *said]}


def components(folder: Path, given: list[dict[str, Any]], *options: str) -> dict[str, Any]:
    result = run(write(folder, given), "--json", *options)
    assert result.exception is None, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def test_one_similar_part_is_enough_to_join_two_rows(tmp_path: Path) -> None:
    def row(number: int, **parts: Any) -> dict[str, Any]:
        own = {"instruction": words(10 * number), "input": words(10 * number + 1), "context": words(10 * number + 2)}
        return own | {"chosen": words(10 * number + 3), "rejected": words(10 * number + 4)} | parts

    def joined(**parts: Any) -> bool:
        return components(tmp_path, [*map(row, range(9)), row(9, **parts)])["components"] == 9

    assert not joined()
    assert joined(instruction=words(0) + " today")
    assert joined(input=words(10)), "a question like another row's instruction is like it all the same"
    assert joined(context=words(32) + " today")
    assert joined(chosen=words(44))
    assert joined(rejected=words(3) + " today")
    assert not joined(context=words(3)), "a passage is no answer"
    told = json.loads(run(tmp_path / "r.jsonl", "--explain", "r.jsonl:10", "--json").stdout)
    assert told["edges"] == []


def test_later_turns_join_rows_and_their_edges_name_the_turns(tmp_path: Path) -> None:
    given = [*map(chat, range(8)), chat(8, words(0)), chat(9, last=words(5))]
    told = components(tmp_path, given)
    assert told["components"] == 8
    edges = json.loads(run(tmp_path / "r.jsonl", "--explain", "r.jsonl:9", "--json").stdout)["edges"]
    assert edges == [{"to": "r.jsonl:1", "column": "messages[3], messages[1]", "similarity": 1.0}]


def test_what_very_many_rows_share_joins_nothing_and_is_counted(tmp_path: Path) -> None:
    given = [
        chat(n, "And at night?" if n % 2 else None, last="Drink, rest and call us again if it gets worse.")
        for n in range(60)
    ]
    told = components(tmp_path, given)
    assert told["components"] == 60
    assert told["shared_texts"] == {
        "messages[0]": {"texts": 1, "rows": 60},
        "messages[3]": {"texts": 1, "rows": 30},
        "messages[4]": {"texts": 1, "rows": 60},
    }
    alpaca = [
        {
            "instruction": f"Read the note of patient {n} on our ward and say what it is.",
            "input": words(n),
            "output": "Yes.",
        }
        for n in range(60)
    ]
    told = components(tmp_path, alpaca)
    assert (told["components"], told["shared_texts"]) == (
        60,
        {"instruction": {"texts": 1, "rows": 60}, "output": {"texts": 1, "rows": 60}},
    )
    shown = run(tmp_path / "r.jsonl").stdout
    assert shown.startswith("comparing: instruction, input, output; left out: nothing\n")
    assert "say too little to join rows: instruction (1 text in 60 rows), output (1 text in 60 rows)\n" in shown


def test_a_question_that_is_all_that_a_row_asks_joins_however_many_share_it(tmp_path: Path) -> None:
    given = [{"question": words(n % 4), "answer": words(100 + n)} for n in range(100)]
    assert components(tmp_path, given)["components"] == 4
    given = [{"instruction": words(n % 4), "input": words(7 + n % 2), "output": words(100 + n)} for n in range(100)]
    assert components(tmp_path, given)["components"] == 4, "of two that are shared, the one that fewer rows share"
    short = [{"messages": [{"role": "user", "content": "What is croup?"}, *chat(n)["messages"][2:]]} for n in range(9)]
    assert components(tmp_path, short)["components"] == 1, "a first question may be short"


def test_a_column_of_answers_can_be_named(tmp_path: Path) -> None:
    given = [{"question": words(n), "finding": f"{words(50 + n // 2)} and no more"} for n in range(20)]
    assert components(tmp_path, given)["components"] == 20
    told = components(tmp_path, given, "--answer", "finding")
    assert (told["components"], told["comparing"]) == (10, ["question", "finding"])
    assert components(tmp_path, given, "--text", "question")["left_out"] == ["finding"]
    assert components(tmp_path, given, "--text", "question", "--answer", "finding")["components"] == 10


def test_rows_come_out_as_they_went_in_and_the_rest_is_counted(tmp_path: Path) -> None:
    path, out = write(tmp_path, [chat(n) for n in range(20)]), tmp_path / "out"
    path.write_text(path.read_text() + "{broken\n")
    told = json.loads(run(path, "--out", out, "--format", "jsonl", "--json", "--set", "test=0.5").stdout)
    written = [line for file in out.iterdir() for line in file.read_text().splitlines()]
    assert sorted(written) == sorted(path.read_text().splitlines()[:20])
    assert (told["rows"], told["quarantined"], sum(told["splits"].values())) == (21, 1, 20)


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_the_threshold_decides_what_belongs_together(tmp_path: Path, threshold: float) -> None:
    told = json.loads(run(write(tmp_path, rows()), "--set", f"component_threshold={threshold}", "--json").stdout)
    assert (told["components"] == 100) is (threshold == 1.0)


def test_labels_join_nothing(tmp_path: Path) -> None:
    told = json.loads(run(write(tmp_path, [{**row, "label": "certainly so"} for row in rows()]), "--json").stdout)
    assert (told["comparing"], told["components"]) == (["text"], 50)
    assert "label" in told["left_out"]


def test_what_lies_in_no_split_is_listed(tmp_path: Path) -> None:
    path, why = write(tmp_path, rows()), tmp_path / "why.jsonl"
    path.write_text(path.read_text() + "{broken\n")
    assert run(path, "--dropped", why).exit_code == 0
    (line,) = map(json.loads, why.read_text().splitlines())
    assert (line["row_id"], line["drop_reason"], line["stage"]) == ("r.jsonl:101", "not_json", "split")
    early = tmp_path / "early"
    early.mkdir()
    one, other = rows()[0], rows()[2]
    for name, row in (("train", one), ("test", other)):
        (early / f"{name}.jsonl").write_text(json.dumps(row) + "\n")
    both = [{"id": "bridge", "text": one["text"], "patient": "x"}, {"id": "to", "text": other["text"], "patient": "x"}]
    group = ["--group", "patient", "--dropped", why]
    told = json.loads(run(write(tmp_path, both), "--previous", early, *group, "--json").stdout)
    lines = [json.loads(each) for each in why.read_text().splitlines()]
    assert len(lines) == told["dropped"]["bridges_splits"] > 0
    assert {each["drop_reason"] for each in lines} == {"bridges_splits"}
    assert isinstance(run(path, "--dropped", tmp_path / "why.txt").exception, FineMedError)
