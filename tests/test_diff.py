"""The differences of two releases are what plain Python counts on their rows."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rows import pooled

from finemed.cli.main import cli
from finemed.errors import InputError, StoreError
from finemed.publish.pools import PoolFiles, published_row
from finemed.publish.versions.diff import ReleaseDiff, diff

Row = dict[str, Any]


def row(number: int, pool: str = "sft", **changed: Any) -> Row:
    """A published row whose ids end in a number; `split` says where it goes."""
    long: Row = {}
    if pool != "sft":
        long = {"reasoning_id": f"q{number}", "reasoning": "Thought: ...", "reasoning_model": "fake"}
        long |= {"reasoning_prompt": "reason@1", "reasoning_score": 9.0}
    ids = {"row_id": f"s{pool}{number}", "instruction_id": f"i{number}", "response_id": f"r{number}"}
    sample = pooled(pool=pool, **ids, **long, **changed)
    return published_row(sample) | {"_pool": pool, "_split": sample["split"]}


def write(folder: Path, rows: list[Row], **manifest: Any) -> Path:
    """A release folder with these rows in this order; one row group per row, so that groups do not matter."""
    with PoolFiles(folder / "data") as files:
        for each in rows:
            plain = {name: value for name, value in each.items() if not name.startswith("_")}
            files.write(each["_pool"], each["_split"], [plain])
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps({"files": {}, **manifest}))
    return folder


def compare(folder: Path, old: list[Row], new: list[Row]) -> ReleaseDiff:
    return diff(write(folder / "old", old), write(folder / "new", new))


def read(folder: Path, config: str) -> dict[str, Row]:
    """Id -> row with its split, as pyarrow reads it."""
    found = {}
    for path in sorted((folder / "data" / config).glob("*.parquet")):
        found |= {each["id"]: each | {"split": path.stem} for each in pq.read_table(path).to_pylist()}
    return found


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_told_apart_by_id_and_changed_ones_by_column(tmp_path: Path) -> None:
    old = [row(1), row(2, quality=4), row(3), row(4, split="test"), row(5, component_id="i1")]
    new = [row(2, quality=9, rationale="Better."), row(3), row(4), row(5, component_id="i2"), row(6), row(7)]
    found = compare(tmp_path, old, new)
    sft = found.configs["sft"]
    assert (sft.added, sft.removed, sft.changed) == (2, 1, 3)
    assert sft.changed_columns == {"component_id": 1, "quality": 1, "rationale": 1, "split": 1}
    assert sft.examples == {"added": ["ssft6", "ssft7"], "removed": ["ssft1"], "changed": ["ssft2", "ssft4", "ssft5"]}
    assert (sft.old_rows, sft.new_rows) == ({"train": 4, "test": 1}, {"train": 6})
    assert sft.scores["quality"] == (6.4, 7.3333)
    assert found.change == "major", "a split is gone"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("response", "Another answer."),
        ("extractive", True),
        ("license", None),
        ("response_score", 8.25),
        ("answer_spans", [{"start": 0, "end": 4}]),
    ],
)
def test_a_change_in_a_column_of_any_type_is_seen(tmp_path: Path, column: str, value: Any) -> None:
    found = compare(tmp_path, [row(1), row(2)], [row(1, **{column: value}), row(2)])
    assert column in found.configs["sft"].changed_columns
    assert (found.configs["sft"].changed, found.change) == (1, "minor")


def test_columns_of_messages_are_compared_by_content_and_order(tmp_path: Path) -> None:
    turned = row(1)
    turned["messages"] = list(reversed(turned["messages"]))
    found = compare(tmp_path, [row(1)], [turned])
    assert found.configs["sft"].changed_columns == {"messages": 1}


def test_equal_releases_do_not_differ(tmp_path: Path) -> None:
    found = compare(tmp_path, [row(1), row(2, "dpo")], [row(1), row(2, "dpo")])
    assert (found.change, found.markdown(), found.parts) == ("none", "", [])


def test_another_order_of_the_rows_is_a_patch_and_said(tmp_path: Path) -> None:
    found = compare(tmp_path, [row(1), row(2)], [row(2), row(1)])
    assert (found.change, found.parts) == ("patch", ["order or encoding of data/sft"])


texts = st.sampled_from(["a", "b"])
some_rows = st.dictionaries(
    st.tuples(st.integers(0, 9), st.sampled_from(["sft", "dpo"])),
    st.fixed_dictionaries(
        {
            "split": st.sampled_from(["train", "test"]),
            "quality": st.integers(1, 3),
            "department": texts,
            "rationale": texts,
            "license": st.sampled_from(["CC0-1.0", None]),
        }
    ),
    max_size=9,
)


@given(some_rows, some_rows)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_two_releases_differ_as_plain_python_counts(
    tmp_path_factory: pytest.TempPathFactory, old: dict[Any, Row], new: dict[Any, Row]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    sides = [[row(number, pool, **values) for (number, pool), values in side.items()] for side in (old, new)]
    found = compare(folder, *sides)
    for config in ("sft", "dpo"):
        before, after = read(folder / "old", config), read(folder / "new", config)
        if not before and not after:
            assert config not in found.configs
            continue
        told = found.configs[config]
        shared = before.keys() & after.keys()
        columns = Counter(name for id_ in shared for name in before[id_] if before[id_][name] != after[id_][name])
        assert (told.added, told.removed) == (len(after.keys() - shared), len(before.keys() - shared))
        assert told.changed == sum(before[id_] != after[id_] for id_ in shared)
        assert told.changed_columns == columns
        for side, rows in enumerate((before, after)):
            mean = round(sum(each["quality"] for each in rows.values()) / len(rows), 4) if rows else None
            assert told.scores["quality"][side] == mean
    for side, name in enumerate(("old", "new")):
        rows = [each for config in ("sft", "dpo") for each in read(folder / name, config).values()]
        departments = Counter(each["department"] for each in rows)
        assert {key: counts[side] for key, counts in found.departments.items() if counts[side]} == departments
        sources = Counter((each["source"], each["license"] or "", each["attribution"]) for each in rows)
        assert {key: counts[side] for key, counts in found.sources.items() if counts[side]} == sources


# --- columns, splits, configs ----------------------------------------------------------------------------------------


def rewrite(release: Path, config: str, change: Any) -> None:
    for path in (release / "data" / config).glob("*.parquet"):
        pq.write_table(change(pq.read_table(path)), path)


def test_columns_added_removed_and_retyped_are_a_major_change(tmp_path: Path) -> None:
    def change(table: pa.Table) -> pa.Table:
        kept = table.drop_columns(["url"]).append_column("checked", pa.array([True] * table.num_rows))
        at = kept.schema.get_field_index("quality")
        return kept.set_column(at, "quality", kept["quality"].cast(pa.float64()))

    old, new = write(tmp_path / "old", [row(1)]), write(tmp_path / "new", [row(1)])
    rewrite(new, "sft", change)
    found = diff(old, new)
    sft = found.configs["sft"]
    assert (sft.columns_added, sft.columns_removed) == ({"checked": "bool"}, {"url": "string"})
    assert sft.columns_retyped == {"quality": ("int64", "double")}
    assert (sft.changed, found.change) == (0, "major"), "values of a retyped column are not compared"
    assert found.why() == (
        "`sft`: column `checked` added (bool); `sft`: column `url` removed (string); "
        "`sft`: column `quality` is double, was int64"
    )


def test_a_new_config_or_split_is_minor_and_one_that_is_gone_is_major(tmp_path: Path) -> None:
    one, two = [row(1)], [row(1), row(2, "dpo"), row(3, split="test")]
    assert compare(tmp_path / "up", one, two).change == "minor"
    down = compare(tmp_path / "down", two, one)
    assert (down.change, down.configs["dpo"].is_gone, down.configs["sft"].splits_removed) == ("major", True, ["test"])
    assert "config `dpo` is gone, with its 1 row" in down.markdown()
    assert "`sft`: split `test` removed" in down.markdown()


def test_a_views_split_follows_its_rows_and_is_minor(tmp_path: Path) -> None:
    old, new = [row(1), row(2, split="test")], [row(1), row(2)]
    views = [[each | {"_pool": "sft_ent"} for each in side] for side in (old, new)]
    found = compare(tmp_path, *views)
    assert found.change == "minor"
    assert found.markdown().splitlines()[:2] == [
        "- `sft_ent`: split `test` removed",
        "- Views of `sft` whose rows differ: `sft_ent`",
    ]


def test_a_changed_manifest_alone_is_a_patch(tmp_path: Path) -> None:
    old = write(tmp_path / "old", [row(1)], card={"title": "One"})
    new = write(tmp_path / "new", [row(1)], card={"title": "Two"}, date="2026-11-20", version="1.0.0", release_hash="")
    found = diff(old, new)
    assert (found.change, found.parts, found.markdown()) == ("patch", ["card"], "- Beside the rows: `card`\n")


# --- words -----------------------------------------------------------------------------------------------------------


def test_the_changelogs_list_names_rows_scores_departments_and_sources(tmp_path: Path) -> None:
    old = [row(1, quality=4, department="ENT"), row(2, department="ENT")]
    new = [row(1, quality=8, department="ENT"), row(3, department="Surgery", source="openstax", attribution="Rice")]
    new += [row(4, "dpo", department="Surgery")]
    new[2]["license"] = "CC-BY-4.0"
    assert compare(tmp_path, old, new).markdown().splitlines() == [
        "- `sft`: 2 -> 2 rows: 1 added, 1 removed, 1 changed (`quality` 1)",
        "- `sft`, mean scores: quality 5.50 -> 7.50",
        "- config `dpo` is new, with 1 row",
        "- Departments, share of the questions: ENT 100.0% -> 33.3%, Surgery 0.0% -> 66.7%",
        "- Source demo: licence and attribution are now CC\\-BY\\-4.0, Somebody; CC0\\-1.0, Somebody; "
        "were CC0\\-1.0, Somebody",
        "- Source openstax (CC0\\-1.0, Rice) is new, with 1 question",
    ]


def test_words_of_a_corpus_cannot_format_the_changelog(tmp_path: Path) -> None:
    hostile = "<img src=x onerror=alert(1)>\n# Heading | [link](http://x) `code`"
    found = compare(tmp_path, [row(1)], [row(2, department=hostile, source=hostile, license=hostile)])
    text = found.markdown()
    assert all(line.startswith("- ") for line in text.splitlines())
    assert "<img" not in text
    assert "[link](" not in text
    assert "\\`code\\`" in text


def test_the_plain_form_is_json_and_says_the_same(tmp_path: Path) -> None:
    found = compare(tmp_path, [row(1)], [row(1, quality=9), row(2)])
    plain = json.loads(json.dumps(found.plain()))
    assert plain["change"] == "minor"
    assert (plain["configs"]["sft"]["added"], plain["configs"]["sft"]["changed_columns"]) == (1, {"quality": 1})
    assert plain["departments"]["Pediatrics"] == {"old": 1, "new": 2, "old_share": 1.0, "new_share": 1.0}
    assert plain["configs"]["sft"]["scores"]["quality"] == {"old": 7.0, "new": 8.0}


# --- what cannot be compared -----------------------------------------------------------------------------------------


def test_rows_without_ids_of_their_own_are_refused_with_the_place(tmp_path: Path) -> None:
    good = write(tmp_path / "good", [row(1)])
    doubled = write(tmp_path / "doubled", [row(1), row(1, split="test")])
    with pytest.raises(InputError, match=r"data/sft: 2 rows have an id that is empty or occurs twice, such as 'ssft1'"):
        diff(good, doubled)
    without = write(tmp_path / "without", [row(1)])
    rewrite(without, "sft", lambda table: table.drop_columns(["id"]))
    with pytest.raises(InputError, match=r"sft/train.parquet: has no text column `id`"):
        diff(good, without)


def test_a_damaged_file_and_a_folder_without_release_are_named(tmp_path: Path) -> None:
    good, bad = write(tmp_path / "good", [row(1)]), write(tmp_path / "bad", [row(1)])
    (bad / "data" / "sft" / "train.parquet").write_bytes(b"PAR1 but no more")
    with pytest.raises(StoreError, match=r"bad/data/sft/train.parquet: damaged"):
        diff(good, bad)
    with pytest.raises(InputError, match=r"nothing: holds no release"):
        diff(good, tmp_path / "nothing")


def test_columns_are_read_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from finemed.publish.versions import diff_rows

    asked: list[list[str]] = []
    real = diff_rows.batches
    monkeypatch.setattr(diff_rows, "batches", lambda path, columns: asked.append(columns) or real(path, columns))
    compare(tmp_path, [row(1), row(2)], [row(1), row(2, quality=2)])
    assert asked
    assert {len(columns) for columns in asked} == {1}
    assert pl.read_parquet(tmp_path / "new" / "data" / "sft" / "train.parquet").width > 30


def test_a_terminal_gets_no_marks_of_markdown(tmp_path: Path) -> None:
    named = "a_b [x](y) <b> & `q` *c* \x1b[2J"
    write(tmp_path / "old", [row(1)])
    write(tmp_path / "new", [row(1), row(2, source=named, license="CC-BY-4.0", attribution="A_B")])
    shown = CliRunner().invoke(cli, ["versions", "diff", str(tmp_path / "old"), str(tmp_path / "new")]).stdout
    assert "Source a_b [x](y) <b> & `q` *c* \ufffd[2J (CC-BY-4.0, A_B) is new" in shown
    assert "\\" not in shown
