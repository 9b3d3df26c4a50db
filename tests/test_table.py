"""Anybody's files as a table: what is read of them, and that a row which is kept comes out as it went in."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from finemed.cli.main import cli
from finemed.errors import ConfigError, InputError
from finemed.standalone.table import Table, open_table

BIG = 2**53 + 1
LINES = [
    '{"id": "a", "text": "Croup barks.",  "n": 9007199254740993, "meta": {"a": 1}}\n',
    '{"id":"b","text":"Gout \\u00e9 hurts.","n":1e3,"meta":{"b":"x"},"more":[{"k":1},{}]}\r\n',
    '{"id": "c", "text": "Asthma wheezes.", "n": "three", "meta": null, "x": 0.10}',
]


def lines(path: Path, *rows: str) -> Path:
    path.write_bytes("".join(rows).encode("utf-8", "surrogatepass"))
    return path


def records(path: Path, *rows: dict[str, Any]) -> Path:
    return lines(path, *(json.dumps(row) + "\n" for row in rows))


def parts(table: Table) -> list[tuple[Any, ...]]:
    return table.parts.rows()


def faults(table: Table) -> list[str]:
    return [f"{found.place}: {found.fact}" for found in table.quarantined]


# --- out as in -------------------------------------------------------------------------------------------------------


def test_a_kept_line_has_its_own_bytes(tmp_path: Path) -> None:
    table = open_table(str(lines(tmp_path / "r.jsonl", *LINES)))
    out = tmp_path / "out.jsonl"
    table.write(out, [0, 1, 2])
    assert out.read_bytes() == "".join(LINES).encode() + b"\n"
    table.write(out, pl.Series([False, True, True]))
    assert out.read_bytes() == "".join(LINES[1:]).encode() + b"\n"
    table.write(out, [])
    assert out.read_bytes() == b""


def test_a_column_is_added_and_the_rest_of_the_line_stays(tmp_path: Path) -> None:
    table = open_table(str(lines(tmp_path / "r.jsonl", *LINES, '\n{"text": "x", "found": 1 }\n')))
    table.write(tmp_path / "out.jsonl", [0, 1, 3], {"found": pl.Series(["medqa/1", None, None, None])})
    written = (tmp_path / "out.jsonl").read_bytes().splitlines(keepends=True)
    assert written[0] == LINES[0].rstrip("}\n").encode() + b'}, "found": "medqa/1"}\n'
    assert written[1] == LINES[1].rstrip()[:-1].encode() + b', "found": null}\r\n'
    assert json.loads(written[2]) == {"text": "x", "found": None}


def test_elements_of_an_array_keep_their_text(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.json", '[{"text": "a\\nb",\n   "n": 0.10, "big": 9007199254740993},\n {"text":"c"}]')
    open_table(str(path)).write(tmp_path / "out.jsonl", [0, 1])
    assert (tmp_path / "out.jsonl").read_text() == (
        '{"text": "a\\nb", "n": 0.10, "big": 9007199254740993}\n{"text":"c"}\n'
    )


def test_parquet_keeps_types_and_metadata(tmp_path: Path) -> None:
    features = {"info": {"features": {"label": {"names": ["paediatrics", "rheumatology"], "_type": "ClassLabel"}}}}
    schema = pa.schema(
        [
            pa.field("text", pa.large_string(), metadata={"note": "mine"}),
            pa.field("label", pa.int64()),
            pa.field("group", pa.dictionary(pa.int32(), pa.string())),
            pa.field("big", pa.uint64()),
            pa.field("at", pa.timestamp("us", "UTC")),
            pa.field("raw", pa.binary()),
            pa.field("half", pa.float32()),
            pa.field("meta", pa.list_(pa.struct([("k", pa.int8()), ("v", pa.decimal128(9, 2))]))),
        ],
        metadata={"huggingface": json.dumps(features), "mine": "x"},
    )
    rows = [
        {
            "text": f"Text {n}.",
            "label": n % 2,
            "group": "ab"[n % 2],
            "big": 2**64 - 1 - n,
            "raw": bytes([n % 256]),
            "half": n / 3,
        }
        for n in range(2500)
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), tmp_path / "r.parquet", row_group_size=1100)
    source = pq.read_table(tmp_path / "r.parquet")
    table = open_table(str(tmp_path / "r.parquet"))
    keep = [0, 7, 1099, 1100, 2499]
    table.write(tmp_path / "out.parquet", keep)
    written = pq.read_table(tmp_path / "out.parquet")
    assert written.schema.equals(source.schema, check_metadata=True)
    assert written.equals(source.take(keep))
    first = (tmp_path / "out.parquet").read_bytes()
    table.write(tmp_path / "out.parquet", keep)
    assert (tmp_path / "out.parquet").read_bytes() == first
    table.write(tmp_path / "marked.parquet", keep, {"found": pl.Series([str(n) for n in range(2500)])})
    marked = pq.read_table(tmp_path / "marked.parquet")
    assert marked["found"].to_pylist() == [str(n) for n in keep]
    assert marked.drop_columns(["found"]).schema.equals(source.schema, check_metadata=True)


# --- from one format to the other ------------------------------------------------------------------------------------


def test_lines_become_parquet_without_a_change(tmp_path: Path) -> None:
    rows = [
        {
            "text": "Croup.",
            "n": BIG,
            "x": 0.5,
            "flag": True,
            "tags": ["a"],
            "messages": [{"role": "user", "content": "?"}],
        },
        {"text": "Gout.", "n": -1, "x": 2, "flag": None, "tags": [], "messages": [], "only": "here"},
    ]
    open_table(str(records(tmp_path / "r.jsonl", *rows))).write(tmp_path / "out.parquet", [0, 1])
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == [{**rows[0], "only": None}, rows[1]]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"text": "a", "m": {"a": 1}}, {"text": "b", "m": {"b": 1}}],
            "r.jsonl:1: `m` has other keys than the objects",
        ),
        ([{"text": "a", "m": 1}, {"text": "b", "m": "x"}], "r.jsonl:2: `m` is str, in r.jsonl:1 it is number"),
        ([{"text": "a", "m": 1}, {"text": "b", "m": True}], "r.jsonl:2: `m` is bool, in r.jsonl:1 it is number"),
        ([{"text": "a", "m": 2**70}], "r.jsonl:1: `m` is an integer of more than 64 bits"),
        ([{"text": "a", "m": BIG}, {"text": "a", "m": 0.5}], "r.jsonl:1: the values of `m` have no common type"),
        ([{"text": "a", "m": {}}], "r.jsonl:1: `m` holds an empty object"),
        ([{"text": "a", "m": "x\ud800"}], "r.jsonl:1: the values of `m` have no common type"),
    ],
)
def test_what_parquet_would_change_is_refused_by_place(tmp_path: Path, rows: list[dict[str, Any]], said: str) -> None:
    table = open_table(str(records(tmp_path / "r.jsonl", *rows)))
    with pytest.raises(InputError) as caught:
        table.write(tmp_path / "out.parquet", range(len(rows)))
    assert str(caught.value).startswith(said)
    assert str(caught.value).endswith("write .jsonl, which keeps every row as it is")
    assert not (tmp_path / "out.parquet").exists()
    table.write(tmp_path / "out.jsonl", range(len(rows)))
    assert (tmp_path / "out.jsonl").read_bytes() == (tmp_path / "r.jsonl").read_bytes()


def test_parquet_becomes_lines_without_a_change(tmp_path: Path) -> None:
    rows = [{"text": "Fiévre.", "n": BIG, "m": [{"a": None, "b": 0.1}]}, {"text": "b", "n": None, "m": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "r.parquet")
    open_table(str(tmp_path / "r.parquet")).write(tmp_path / "out.jsonl", [0, 1])
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text("utf-8").splitlines()] == rows


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([b"x", None]), "r.parquet: `m` is binary, for which JSON has no form"),
        (pa.array([0, 1], pa.timestamp("us")), "r.parquet: `m` is timestamp[us], for which JSON has no form"),
        (pa.array([[{"b": b"x"}], []]), "r.parquet: `m` is binary, for which JSON has no form"),
        (pa.array([0.5, float("nan")]), "r.parquet:2: has no form in JSON"),
    ],
)
def test_what_json_has_no_form_for_is_refused(tmp_path: Path, column: Any, said: str) -> None:
    pq.write_table(pa.table({"text": ["a", "b"], "m": column}), tmp_path / "r.parquet")
    with pytest.raises(InputError) as caught:
        open_table(str(tmp_path / "r.parquet")).write(tmp_path / "out.jsonl", [0, 1])
    assert str(caught.value).startswith(said)


def test_csv_becomes_lines_of_texts(tmp_path: Path) -> None:
    path = lines(tmp_path / "r.csv", "id,text,n\n01,Croup barks.,1e3\n02,,9007199254740993\n")
    open_table(str(path)).write(tmp_path / "out.jsonl", [0, 1])
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"id": "01", "text": "Croup barks.", "n": "1e3"},
        {"id": "02", "text": "", "n": "9007199254740993"},
    ]


def test_files_of_a_folder_are_written_together(tmp_path: Path) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["a", "b"], "n": pa.array([1, 2], pa.int32())}), folder / "1.parquet")
    pq.write_table(
        pa.table({"n": pa.array([3], pa.int64()), "text": pa.array(["c"], pa.large_string())}), folder / "2.parquet"
    )
    records(folder / "3.jsonl", {"text": "d", "more": "x"}, {"text": "e", "n": BIG})
    table = open_table(str(folder))
    assert table.ids.to_list() == ["1.parquet:1", "1.parquet:2", "2.parquet:1", "3.jsonl:1", "3.jsonl:2"]
    for name in ("out.parquet", "out.jsonl"):
        table.write(tmp_path / name, [1, 2, 3, 4])
    expected = [
        {"text": "b", "n": 2, "more": None},
        {"text": "c", "n": 3, "more": None},
        {"text": "d", "n": None, "more": "x"},
        {"text": "e", "n": BIG, "more": None},
    ]
    assert pq.read_table(tmp_path / "out.parquet").to_pylist() == expected
    told = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert told == [{"text": "b", "n": 2}, {"n": 3, "text": "c"}, {"text": "d", "more": "x"}, {"text": "e", "n": BIG}]


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (pa.table({"text": ["c"], "n": ["three"]}), "2.parquet: `n` is string, in 1.parquet it is int64"),
        (
            pa.table({"text": ["c"], "n": [1]}).replace_schema_metadata({"huggingface": "{}"}),
            "2.parquet: has other HuggingFace features than 1.parquet",
        ),
    ],
)
def test_files_that_do_not_fit_together_are_named(tmp_path: Path, other: Any, said: str) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    pq.write_table(pa.table({"text": ["a"], "n": [1]}), folder / "1.parquet")
    pq.write_table(other, folder / "2.parquet")
    with pytest.raises(InputError) as caught:
        open_table(str(folder)).write(tmp_path / "out.parquet", [0, 1])
    assert str(caught.value).startswith(said)


def test_a_file_that_changes_meanwhile_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    table = open_table(str(path))
    pq.write_table(pa.table({"text": ["a", "b", "c"]}), path)
    with pytest.raises(InputError, match=r"r.parquet: changed while it was read"):
        table.write(tmp_path / "out.parquet", [0])


def test_the_input_itself_may_be_the_output(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    pq.write_table(pa.table({"text": ["a", "b"]}), path)
    open_table(str(path)).write(path, [1])
    assert pq.read_table(path)["text"].to_pylist() == ["b"]


# --- what is read ----------------------------------------------------------------------------------------------------


def test_bad_records_are_quarantined_and_their_file_goes_on(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "r.jsonl",
        '{"id": 1, "text": "a"}\n',
        "{broken\n",
        "\n",
        "[1, 2]\n",
        '{"id": 2, "text": "b", "question": "x", "question": "y"}\n',
        '{"id": 3, "text": "half \\ud83d of a pair"}\n',
        '{"id": 4, "messages": [{"role": "critic", "content": "no"}]}\n',
        '{"id": 5, "text": "last"}\n',
    )
    table = open_table(str(path))
    assert table.ids.to_list() == ["1", "5"]
    assert [fault.partition(": ")[0] + " " + fault.split(": ")[1] for fault in faults(table)] == [
        "r.jsonl:2 not_json",
        "r.jsonl:4 not_an_object",
        "r.jsonl:5 duplicate_column",
        "r.jsonl:6 not_utf8",
        "r.jsonl:7 bad_roles",
    ]
    assert "`question` stands twice in the record" in faults(table)[2]
    assert (table.height, table.lost) == (2, 5)
    table.write(tmp_path / "out.jsonl", [0, 1])
    assert (tmp_path / "out.jsonl").read_text() == '{"id": 1, "text": "a"}\n{"id": 5, "text": "last"}\n'


def test_nothing_to_read_is_an_error_that_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no row can be read: r.jsonl:1: not_json"):
        open_table(str(lines(tmp_path / "r.jsonl", "{broken\n")))
    with pytest.raises(InputError, match="empty_file"):
        open_table(str(lines(tmp_path / "e.jsonl", "")))


def test_a_damaged_row_group_is_counted_whole(tmp_path: Path) -> None:
    path = tmp_path / "r.parquet"
    texts = [f"{n:04d} " + "croup " * 20 for n in range(40)]
    pq.write_table(pa.table({"text": texts}), path, row_group_size=10, compression="none", use_dictionary=False)
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    content = bytearray(path.read_bytes())
    content[start : start + 12] = b"\xff" * 12
    path.write_bytes(content)
    table = open_table(str(path))
    assert (table.height, table.lost) == (30, 10)
    assert faults(table)[0].startswith("r.parquet:11: unreadable_file: ")
    assert faults(table)[0].endswith("rows 11 to 20 are lost")
    assert table.ids.to_list()[9:11] == ["r.parquet:10", "r.parquet:21"]
    table.write(tmp_path / "out.parquet", range(30))
    assert pq.read_table(tmp_path / "out.parquet")["text"].to_pylist() == texts[:10] + texts[20:]


@pytest.mark.parametrize("name", ["r.parquet", "r.csv"])
def test_a_second_column_of_a_name_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".csv"):
        lines(path, "question,question\na,b\n")
    else:
        pq.write_table(pa.table([pa.array(["a"]), pa.array(["b"])], names=["question", "question"]), path)
    with pytest.raises(InputError, match=r"`question` stands twice among the columns"):
        open_table(str(path))


def test_rows_have_the_columns_of_their_folders(tmp_path: Path) -> None:
    for language, text in (("en", "Croup."), ("zh-Hant%20x", "Gout."), ("__HIVE_DEFAULT_PARTITION__", "None.")):
        (tmp_path / "d" / f"lang={language}").mkdir(parents=True)
        pq.write_table(pa.table({"text": [text]}), tmp_path / "d" / f"lang={language}" / "p.parquet")
        lines(tmp_path / "d" / f"lang={language}" / "p.jsonl", f'{{"text":"{text}"}}\n')
    table = open_table(str(tmp_path / "d"))
    languages = table.column("lang", "--group")
    assert languages is not None
    assert languages.to_list() == [None, None, "en", "en", "zh-Hant x", "zh-Hant x"]
    table.write(tmp_path / "out.jsonl", range(6))
    told = (tmp_path / "out.jsonl").read_text().splitlines()
    assert told[2] == '{"text":"Croup.", "lang": "en"}'
    assert json.loads(told[3]) == {"text": "Croup.", "lang": "en"}
    assert json.loads(told[0]) == {"text": "None."}
    table.write(tmp_path / "out.parquet", range(6))
    assert pq.read_table(tmp_path / "out.parquet")["lang"].to_pylist() == languages.to_list()


def test_papers_and_reports_beside_data_are_no_data(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    records(tmp_path / "data" / "train.jsonl", {"text": "Croup barks."})
    lines(tmp_path / "data" / "one.json", '{"text": "A file of one record."}')
    for name in ("README.md", "LICENSE.txt", "LICENSE-DATA.md"):
        lines(tmp_path / name, "Creative Commons.")
    lines(tmp_path / "filter_report.json", '{"reasons": [], "kept": 2}')
    table = open_table(str(tmp_path))
    assert table.parts["text"].to_list() == ["A file of one record.", "Croup barks."]
    assert {found.place: found.fact.partition(":")[0] for found in table.passed_over} == {
        "README.md": "not_data",
        "LICENSE.txt": "not_data",
        "LICENSE-DATA.md": "not_data",
        "filter_report.json": "not_data",
    }
    assert open_table(str(tmp_path / "README.md")).parts["text"].to_list() == ["Creative Commons."]


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ('{"version": "1", "data": [{"text": "a"}, {"text": "b"}]}', ["a", "b"]),
        ('{"version": "1",\n "data": [\n  {"text": "a"},\n  {"text": "b"}\n ],\n "n": 2}', ["a", "b"]),
        ('{"train": [{"text": "a"}], "test": []}', ["a"]),
        ('{"text": "one record", "refs": [{"id": 1}]}', ["one record"]),
        ('{"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}]}', ["q", "a"]),
    ],
)
def test_a_list_that_an_object_wraps(tmp_path: Path, content: str, texts: list[str]) -> None:
    assert open_table(str(lines(tmp_path / "r.json", content))).parts["text"].to_list() == texts


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            '{"train": [{"text": "a"}], "test": [{"text": "b"}, {"text": "c"}]}',
            r"several_lists: .*`train` \(1\), `test` \(2\)",
        ),
        ('{"text": ["a", "b"], "answer": ["c", "d"]}', "not_records: the file holds columns"),
    ],
)
def test_what_wraps_no_one_list_is_named(tmp_path: Path, content: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        open_table(str(lines(tmp_path / "r.json", content)))


@pytest.mark.parametrize("name", ["l.jsonl", "l.parquet", "l.json", "l.csv"])
def test_a_pointer_of_git_lfs_says_what_to_do(tmp_path: Path, name: str) -> None:
    lines(tmp_path / name, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n")
    with pytest.raises(InputError, match=r"Git LFS pointer.*git lfs pull"):
        open_table(str(tmp_path / name))


def test_a_pipe_is_refused_and_never_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.jsonl")
    with pytest.raises(InputError, match=r"p.jsonl is no regular file"):
        open_table(str(tmp_path / "p.jsonl"))
    with pytest.raises(InputError, match="is no regular file"):
        open_table("/dev/null")
    records(tmp_path / "r.jsonl", {"text": "a"})
    table = open_table(str(tmp_path))
    assert table.height == 1
    assert table.passed_over == [("p.jsonl", "not_data: no regular file, but a pipe, a socket or a device", 0)]


def test_texts_and_compressed_lines_are_read(tmp_path: Path) -> None:
    lines(tmp_path / "croup.txt", "Croup\nbarks.")
    (tmp_path / "r.jsonl.gz").write_bytes(gzip.compress(b'{"text": "Gout hurts."}\n'))
    table = open_table(str(tmp_path))
    assert table.parts["text"].to_list() == ["Gout hurts."], "a text beside data files is none"
    assert table.passed_over == [("croup.txt", "not_data: a text beside data files", 0)]
    assert open_table(str(tmp_path / "croup.txt")).parts["text"].to_list() == ["Croup\nbarks."]


def test_types_may_be_mixed_and_texts_categorical(tmp_path: Path) -> None:
    mixed = records(tmp_path / "m.jsonl", {"text": "a", "n": 1}, {"text": ["b", "c"], "n": "x"}, {"text": 5})
    assert parts(open_table(str(mixed))) == [
        (0, "text", "question", "a"),
        (0, "n", "label", "1"),
        (1, "text[0]", "question", "b"),
        (1, "text[1]", "question", "c"),
        (1, "n", "label", "x"),
        (2, "text", "question", "5"),
    ]
    pl.DataFrame({"text": ["a", "b"]}, schema={"text": pl.Categorical()}).write_parquet(tmp_path / "c.parquet")
    assert open_table(str(tmp_path / "c.parquet")).parts["text"].to_list() == ["a", "b"]


# --- columns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["r.jsonl", "r.parquet"])
def test_what_is_compared_and_what_is_left_out(tmp_path: Path, name: str) -> None:
    rows = [
        {"id": "x1", "instruction": "Why?", "output": "So.", "n": 1, "source": "web", "tags": ["a"], "more": {"k": "v"}}
    ]
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    else:
        records(tmp_path / name, *rows)
    table = open_table(str(tmp_path / name))
    assert (table.compared, table.left_out) == (["instruction", "output"], ["n", "source", "tags", "more"])
    assert (table.id_column, table.ids.to_list(), table.number("x1")) == ("id", ["x1"], 0)
    named = open_table(str(tmp_path / name), on=("source",))
    assert (named.compared, named.left_out) == (["source"], ["instruction", "output", "n", "tags", "more"])
    assert parts(named) == [(0, "source", "question", "web")]
    column = table.column("n", "--quality")
    assert column is not None
    assert column.to_list() == ["1"]


def test_columns_that_are_missing_are_named_with_those_there_are(tmp_path: Path) -> None:
    path = str(records(tmp_path / "r.jsonl", {"q": "What is croup?", "a": "A cough."}))
    with pytest.raises(ConfigError, match="name some of q, a with --on"):
        open_table(path)
    with pytest.raises(ConfigError, match="--on: there is no column `b`; there are q, a"):
        open_table(path, on=("b",))
    with pytest.raises(ConfigError, match="--id: there is no column `b`"):
        open_table(path, on=("q",), row_id="b")
    assert parts(open_table(path, on=("q",))) == [(0, "q", "question", "What is croup?")]


def test_a_build_names_what_it_leaves_out(tmp_path: Path) -> None:
    records(tmp_path / "d.jsonl", {"text": "Croup barks."})
    (tmp_path / "c").mkdir()
    (tmp_path / "d.jsonl").rename(tmp_path / "c" / "d.jsonl")
    lines(tmp_path / "c" / "README.md", "# A corpus")
    config = {
        "name": "t",
        "sources": [{"name": "s", "path": "c", "license": "CC0-1.0", "attribution": "x"}],
        "split": {"min_rows": {"sft": 0, "sft_reasoning": 0, "dpo": 0, "ttt": 0}},
    }
    lines(tmp_path / "finemed.yaml", json.dumps(config))
    done = CliRunner().invoke(cli, ["build", "-c", str(tmp_path / "finemed.yaml"), "--until", "ingest"])
    assert done.exception is None, done.output
    assert "left out: README.md: papers of a repository, beside data files\n" in done.stderr
    assert "ingest: 1 in, 1 kept" in done.stderr


ARGILLA = {
    "id": "r0",
    "fields": {"prompt": "Why rest?", "response": "It helps."},
    "responses": {"quality": [{"value": "good", "user_id": "u1"}]},
    "suggestions": {"text": ""},
}
STUDIO = {"data": {"question": "Why?"}, "annotations": [{"result": [{"value": {"text": ["So.", "Thus."]}}]}]}


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_lies_inside_of_columns_is_compared_where_no_column_holds_it(tmp_path: Path, suffix: str) -> None:
    def table(row: dict[str, Any]) -> Table:
        path = tmp_path / f"r.{suffix}"
        if suffix == "parquet":
            pq.write_table(pa.Table.from_pylist([row]), path)
        else:
            records(path, row)
        return open_table(str(path))

    argilla, studio = table(ARGILLA), table(STUDIO)
    assert parts(argilla) == [
        (0, "fields.prompt", "question", "Why rest?"),
        (0, "fields.response", "answer", "It helps."),
    ]
    assert (argilla.compared, argilla.left_out[:1]) == (["fields.prompt", "fields.response"], ["responses"])
    assert parts(studio) == [
        (0, "data.question", "question", "Why?"),
        (0, "annotations.result.value.text[0]", "answer", "So."),
        (0, "annotations.result.value.text[1]", "answer", "Thus."),
    ]
    plain = table({"question": "Why?", "meta": {"text": "x"}})
    assert (plain.compared, plain.left_out) == (["question"], ["meta"])


def test_paths_into_columns_can_be_named(tmp_path: Path) -> None:
    path = str(records(tmp_path / "r.jsonl", {**ARGILLA, "chat": {"messages": [{"role": "user", "content": "Hm?"}]}}))
    assert parts(open_table(path, on=["fields.prompt", "responses.quality.value", "chat.messages"])) == [
        (0, "fields.prompt", "question", "Why rest?"),
        (0, "responses.quality.value", "answer", "good"),
        (0, "chat.messages[0]", "question", "Hm?"),
    ]
    with pytest.raises(ConfigError, match=r"no row holds anything under `fields.promt`; there are fields.prompt, "):
        open_table(path, on=["fields.promt"])
    with pytest.raises(ConfigError, match=r"there is no column `field\.prompt`"):
        open_table(path, on=["field.prompt"])


@pytest.mark.parametrize(
    ("name", "content", "kept", "broken"),
    [
        ("r.jsonl", '\n\n{"text":"a"}\n\n{bad\n{"text":"b"}\n', ["r.jsonl:3", "r.jsonl:6"], ["r.jsonl:5"]),
        ("r.csv", 'text,n\n"a\nb",1\nshort\n\n"c\nd",2\n', ["r.csv:2", "r.csv:6"], ["r.csv:4"]),
        (
            "r.json",
            '[{"text":"a"},{"text":"b"},\n7,{"text":"c"}]',
            ["r.json[0]", "r.json[1]", "r.json[3]"],
            ["r.json[2]"],
        ),
        ("l.json", '{"text":"a"}\n\n{"text":"b"}\n5\n', ["l.json:1", "l.json:3"], ["l.json:4"]),
        ("w.json", '{"version": 1, "data": [{"text":"a"},\n {"text":"\\ud800"}]}', ["w.json[0]"], ["w.json[1]"]),
        ("one.json", '{"text": "a",\n "n": 1}', ["one.json:1"], []),
    ],
)
def test_a_place_means_the_same_for_rows_and_for_faults(
    tmp_path: Path, name: str, content: str, kept: list[str], broken: list[str]
) -> None:
    table = open_table(str(lines(tmp_path / name, content)))
    assert table.ids.to_list() == kept
    assert [found.place for found in table.quarantined] == broken
