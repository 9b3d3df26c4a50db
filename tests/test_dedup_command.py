"""``finemed dedup`` on files of any kind, as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from click.testing import CliRunner, Result
from hub_client import environment
from loopback_hub import Hub

from finemed.cli.main import cli
from finemed.config import DedupConfig
from finemed.errors import FineMedError
from finemed.stages.dedup import index_at

DOSE = "Give children with croup {} of dexamethasone by mouth once and watch them for two hours before they go home."
ROWS: list[dict[str, Any]] = [
    {"key": "a", "text": DOSE.format("1 mg"), "kind": "x", "n": 1},
    {"key": "b", "text": DOSE.format("1 mg").upper(), "kind": "x", "n": 2},
    {"key": "c", "text": DOSE.format("2 mg"), "kind": "x", "n": 3},
    {"key": "d", "text": "Asthma is a disease of the airways.", "kind": "y", "n": None},
]


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> Path:
    path = folder / name
    if name.endswith(".parquet"):
        pl.DataFrame(rows).write_parquet(path)
    elif name.endswith(".csv"):
        pl.DataFrame(rows).write_csv(path)
    elif name.endswith(".json"):
        path.write_text(json.dumps(rows), "utf-8")
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["dedup", *map(str, arguments)])


def counts(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exception is None, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    return told


def failure(*arguments: object) -> str:
    result = run(*arguments)
    assert isinstance(result.exception, FineMedError), result.output
    return str(result.exception)


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet", "r.csv", "r.json"])
def test_a_file_of_any_format(tmp_path: Path, name: str) -> None:
    path, out, why = write(tmp_path, name, ROWS), tmp_path / "kept.parquet", tmp_path / "why.jsonl"
    told = counts(path, "--out", out, "--dropped", why, "--id", "key", "--set", "threshold=0.5")
    assert told == {
        "rows": 4,
        "quarantined": 0,
        "quarantined_places": [],
        "comparing": ["text", "kind"],
        "left_out": ["n"],
        "passed_over": [],
        "cut_off": [],
        "kept": 3,
        "dropped": {"exact_duplicate": 1},
        "clinical_variants": 1,
        "already_indexed": 0,
        "not_comparable": 0,
        "shared_texts": {},
        "compared": told["compared"],
        "not_compared": 0,
    }
    kept = pl.read_parquet(out)
    assert kept["key"].to_list() == ["a", "c", "d"]
    assert set(kept.columns) == {"key", "text", "kind", "n"}
    assert json.loads(why.read_text()) == {
        "row_id": "b",
        "drop_reason": "exact_duplicate",
        "detail": "of a, Jaccard 1.0000",
        "stage": "dedup",
    }


def test_an_object_among_texts_is_quarantined_wherever_it_stands(tmp_path: Path) -> None:
    texts: list[dict[str, Any]] = [{"question": f"What is disease {n}?", "answer": f"It is {n}."} for n in range(4)]
    odd = {"question": {"text": "What is gout?", "lang": "en"}, "answer": "A disease of the joints."}
    for name, place in (("first.jsonl", "first.jsonl:1"), ("first.json", "first.json[0]")):
        told = counts(write(tmp_path, name, [odd, *texts]))
        assert told["kept"] == 4
        reason = "not_string: `question` is an object, though it is text in other rows"
        assert told["quarantined_places"] == [{"place": place, "reason": reason, "rows": 1}]
    assert counts(write(tmp_path, "all.jsonl", [odd, odd | {"answer": "A crystal disease."}]))["quarantined"] == 0


def test_an_object_where_a_conversation_should_be_is_no_question(tmp_path: Path) -> None:
    rows = [{"question": f"What is disease {n}?", "answer": f"It is {n}.", "data": {"url": "a/b"}} for n in range(3)]
    told = counts(write(tmp_path, "data.jsonl", rows))
    assert (told["comparing"], told["left_out"], told["kept"]) == (["question", "answer"], ["data"], 3)


def test_the_first_places_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, "r.jsonl", [{"text": DOSE.format(f"{n} mg")} for n in range(2)])
    path.write_text(path.read_text() + "no JSON\n" * 7)
    lines = run(path).stdout.splitlines()
    at = lines.index("7 rows could not be read (--dropped lists them by place and reason):")
    assert [line.partition(": not_json: ")[0] for line in lines[at + 1 : at + 6]] == [
        f"- r.jsonl:{n}" for n in range(3, 8)
    ]
    assert lines[at + 6] == "- ..."
    told = counts(path)
    assert [each["place"] for each in told["quarantined_places"]] == [f"r.jsonl:{n}" for n in range(3, 10)]
    assert told["quarantined"] == 7
    path.write_text(json.dumps({"text": DOSE}) + "\nno JSON\n")
    assert "1 row could not be read" in run(path).stdout


@pytest.mark.parametrize(
    ("content", "kept", "lost"),
    [
        ('"question;answer"\n"Why; not?;No."\n"What?;It is ""5""."\n"Who?;He."\n"When?;Now."\n', 3, ["w.csv:2"]),
        ('"question\tanswer"\n"Why?\tNo."\n"What, then?\tThis."\n', 2, []),
        ('question;answer\nWhy?;No.\n"What, then?;This."\n"Who, else?;She."\nWhen?;Now.\n', 4, []),
        ('"question,answer"\n"Why?,No."\n"Who?,He."\n', 2, []),
        ('"question;answer"\n"Why?;No."\n"""Open;No."\n"Who?;He."\n', 2, ["w.csv:3"]),
    ],
)
def test_lines_that_a_spreadsheet_put_in_quotes(content: str, kept: int, lost: list[str], tmp_path: Path) -> None:
    (tmp_path / "w.csv").write_text(content)
    told = counts(tmp_path / "w.csv")
    assert (told["comparing"], told["kept"]) == (["question", "answer"], kept)
    assert [each["place"] for each in told["quarantined_places"]] == lost


def test_a_column_of_texts_with_commas_stays_one_column(tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text('"text"\n"Red, hot; sore."\n"Pale, cold; numb."\n')
    assert counts(tmp_path / "one.csv")["kept"] == 2


def test_rows_without_an_id_are_named_by_file_and_number(tmp_path: Path) -> None:
    path = write(tmp_path, "r.jsonl", [{"text": row["text"]} for row in ROWS])
    why = tmp_path / "why.parquet"
    run(path, "--dropped", why)
    assert pl.read_parquet(why)["row_id"].to_list() == ["r.jsonl:2"]


def test_quality_decides_which_repeat_stays(tmp_path: Path) -> None:
    path, out = write(tmp_path, "r.jsonl", ROWS), tmp_path / "kept.jsonl"
    run(path, "--quality", "n", "--out", out, "--id", "key")
    assert [json.loads(line)["key"] for line in out.read_text().splitlines()] == ["b", "c", "d"]


def test_a_title_keeps_what_is_about_another_disease(tmp_path: Path) -> None:
    text = "The inheritance of this condition is autosomal recessive, so both copies of the gene changed."
    rows = [{"id": str(n), "text": text, "focus": name} for n, name in enumerate(("Wilson disease", "Gaucher disease"))]
    path = write(tmp_path, "r.parquet", rows)
    assert counts(path, "--on", "text")["dropped"] == {"exact_duplicate": 1}
    assert counts(path, "--title", "focus")["clinical_variants"] == 1
    assert counts(path)["dropped"] == {}, "a column that differs keeps rows apart, whatever it is"


def test_conversations_are_compared_turn_by_turn(tmp_path: Path) -> None:
    def chat(question: str, answer: str) -> dict[str, Any]:
        return {
            "messages": [
                {"role": "system", "content": "Be kind."},
                {"role": "user", "content": question},
                {"role": "assistant", "content": answer},
            ]
        }

    rows = [
        chat("How is croup recognised in a child?", "By its cough."),
        chat("How is croup recognised in a child?", "Bark."),
    ]
    path = write(tmp_path, "r.jsonl", rows)
    assert counts(path)["kept"] == 2, "another answer is another row"
    assert counts(path, "--on", "messages[1]")["dropped"] == {"exact_duplicate": 1}
    assert counts(write(tmp_path, "t.jsonl", [rows[0], rows[0]]))["dropped"] == {"exact_duplicate": 1}
    shared = [
        {"conversations": [{"from": "human", "value": "What is croup?"}, {"from": "gpt", "value": answer}]}
        for answer in "ab"
    ]
    path = write(tmp_path, "s.parquet", shared)
    assert counts(path)["kept"] == 2
    assert counts(path, "--on", "conversations[0]")["dropped"] == {"exact_duplicate": 1}
    assert failure(path, "--on", "conversations[7]") == (
        "--on: there is no part `conversations[7]`; there are conversations[0], conversations[1]"
    )


def test_columns_can_be_named_and_each_counts_by_itself(tmp_path: Path) -> None:
    rows = [{"q": "What is croup?", "a": "A viral infection."}, {"q": "What is croup?", "a": "Something else."}]
    path = write(tmp_path, "r.jsonl", rows)
    assert counts(path, "--text", "q")["kept"] == 1
    assert counts(path, "--text", "q", "--text", "a")["kept"] == 2
    told = counts(path, "--on", "q,a")
    assert (told["kept"], told["comparing"], told["left_out"]) == (2, ["q", "a"], [])
    assert run(path, "--on", "q").stdout.startswith("comparing: q; left out: a\n")


def test_batches_against_an_index(tmp_path: Path) -> None:
    index = tmp_path / "index"
    one, two = write(tmp_path, "one.jsonl", ROWS[:1]), write(tmp_path, "two.jsonl", ROWS)
    assert counts(one, "--id", "key", "--index", index)["kept"] == 1
    assert counts(two, "--id", "key", "--index", index, "--no-update")["already_indexed"] == 1
    told = counts(two, "--id", "key", "--index", index)
    assert (told["already_indexed"], told["dropped"]) == (1, {"exact_duplicate": 1})
    assert counts(two, "--id", "key", "--index", index)["already_indexed"] == 3


def test_a_row_is_explained(tmp_path: Path) -> None:
    path = write(tmp_path, "r.jsonl", ROWS)
    options = (path, "--id", "key", "--set", "threshold=0.5")
    shown = run(*options, "--explain", "b").stdout
    assert shown.startswith("b: dropped: exact_duplicate of a, Jaccard 1.0000\n")
    assert "1.0000  a  kept" in shown
    told = json.loads(run(*options, "--explain", "c", "--json").stdout)
    assert told["verdict"].startswith("kept as a clinical variant of a, Jaccard 0.")
    assert {row["row_id"]: row["state"] for row in told["nearest"]}["b"].startswith("dropped")
    assert "1 mg" in told["nearest"][0]["difference"]
    assert json.loads(run(*options, "--explain", "a", "--json").stdout)["keeps_out"] == ["b"]
    assert "No other row shares" in run(*options, "--explain", "d").stdout


def test_what_steers_a_terminal_is_not_printed(tmp_path: Path) -> None:
    path = write(tmp_path, "r.jsonl", [{"id": "a", "text": "\x1b[2J\u202eevil text of four words"}])
    assert "\x1b" not in run(path, "--explain", "a").stdout


def test_a_group_that_loses_too_much_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    rows = [{"text": DOSE.format("1 mg"), "site": "twice"} for _ in range(3)]
    path, out = write(tmp_path, "r.jsonl", rows), tmp_path / "out.parquet"
    said = failure(path, "--source", "site", "--set", "loss_min_rows=3", "--out", out, "--index", tmp_path / "index")
    assert "dedup: source `twice` loses 2 of 3 rows" in said
    assert not out.exists()
    assert not (tmp_path / "index" / "index.json").exists()
    again = (path, "--source", "site", "--set", "loss_min_rows=3", "--index", tmp_path / "index")
    assert "loses 2 of 3 rows" in failure(*again, "--no-update")
    told = json.loads(run(*again, "--explain", "r.jsonl:1", "--json").stdout)
    assert told["keeps_out"] == ["r.jsonl:2", "r.jsonl:3"], "what is refused can be looked at"
    assert not (tmp_path / "index" / "index.json").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--text", "body"), "--on: there is no column `body`; there are key, text, kind, n"),
        (("--id", "kind"), "`kind` is no id: 'x' stands more than once"),
        (("--title", "topic"), "--title: there is no column `topic`"),
        (("--explain", "nobody"), "no row has the id nobody; ids here look like r.jsonl:1"),
        (("--out", "x.txt"), "ends in neither .parquet nor .jsonl"),
        (("--set", "treshold=1"), "`treshold`: no such setting"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert said in failure(write(tmp_path, "r.jsonl", ROWS), *arguments)


def test_a_bad_line_is_quarantined_by_its_place(tmp_path: Path) -> None:
    path, out, why = write(tmp_path, "r.jsonl", ROWS), tmp_path / "out.jsonl", tmp_path / "why.jsonl"
    path.write_text(path.read_text() + "{broken\n")
    told = counts(path, "--out", out, "--dropped", why)
    assert told["rows"] == 5 == told["kept"] + sum(told["dropped"].values()) + told["quarantined"]
    assert [json.loads(line)["row_id"] for line in why.read_text().splitlines()] == ["r.jsonl:2", "r.jsonl:5"]
    assert json.loads(why.read_text().splitlines()[1])["drop_reason"] == "not_json"
    assert out.read_text().splitlines() == [json.dumps(row) for row in (ROWS[0], *ROWS[2:])]
    (tmp_path / "empty.jsonl").write_text("")
    assert failure(tmp_path / "empty.jsonl")
    assert "no column is known to hold what is compared" in failure(write(tmp_path, "n.jsonl", [{"body": "x"}]))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 not really")
    assert "bad.parquet" in failure(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("how", "where"),
    [
        ("bytes", "segment-00002.parquet"),
        ("before", "segment-00002.parquet"),
        ("after", "segment-00002.parquet"),
        ("bytes", "index.json"),
        ("before", "index.json"),
        ("after", "index.json"),
        ("before", "kept.parquet"),
    ],
)
def test_a_kill_in_the_middle_of_an_update_loses_nothing(tmp_path: Path, how: str, where: str) -> None:
    """SIGKILL in the process itself; afterwards the index is the old or the new one, and the same command goes on."""
    one, two = write(tmp_path, "one.jsonl", ROWS[:1]), write(tmp_path, "two.jsonl", ROWS[1:])
    for name in ("killed", "whole"):
        counts(one, "--id", "key", "--index", tmp_path / name)
    counts(two, "--id", "key", "--index", tmp_path / "whole", "--out", tmp_path / "expected.parquet")
    out = tmp_path / "kept.parquet"
    command = [str(two), "--id", "key", "--index", str(tmp_path / "killed"), "--out", str(out)]
    child = [sys.executable, str(Path(__file__).with_name("kills.py")), "child", how, where, "1", "dedup", *command]
    assert subprocess.run(child, capture_output=True).returncode == -signal.SIGKILL
    left = index_at(tmp_path / "killed", DedupConfig()).rows()["id"].to_list()
    assert left in (["a"], ["a", "c", "d"])
    assert counts(*command)["rows"] == 3
    killed, whole = (index_at(tmp_path / name, DedupConfig()) for name in ("killed", "whole"))
    assert killed.rows().equals(whole.rows())
    assert out.read_bytes() == (tmp_path / "expected.parquet").read_bytes()
    assert {path.name for path in killed.path.iterdir()} == {path.name for path in whole.path.iterdir()}


def test_a_dataset_on_the_hub(tmp_path: Path) -> None:
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    hub = Hub({"example/qa": {"data/train.jsonl": lines}})
    try:
        command = [sys.executable, "-m", "finemed", "dedup", "hf://example/qa", "--id", "key", "--json"]
        env = environment(hub, tmp_path)
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    finally:
        hub.stop()
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dropped"] == {"exact_duplicate": 1}
